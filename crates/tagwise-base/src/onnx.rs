//! Models as ONNX, which ONNX Runtime and most tools of inference read.
//!
//! [`GraphWriter`] writes the few parts of the format that a linear head and a convolutional
//! network need; the bytes are a `ModelProto` of operator set 13. [`LinearClassifier::to_onnx`]
//! is the graph of a head.

use crate::LinearClassifier;
use crate::wire::Message;

/// The operator set of ONNX: that of release 1.8, which every runtime of today reads.
const OPERATOR_SET: i64 = 13;

/// The version of the file format that came with it.
const IR_VERSION: i64 = 7;

/// `TensorProto.FLOAT`.
const FLOAT: i64 = 1;

/// One side of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Whatever the caller gives, under a name such as `N`.
    Free(&'static str),
    /// Always this.
    Fixed(usize),
}

/// A setting of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Attribute<'a> {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f32),
    /// Whole numbers.
    Ints(&'a [i64]),
}

/// Puts a graph of f32 tensors together; the same calls give the same bytes.
///
/// ```
/// use tagwise_base::onnx::{GraphWriter, Side};
///
/// let mut graph = GraphWriter::new("rectifier");
/// graph.input("x", &[Side::Free("N"), Side::Fixed(3)]);
/// graph.node("Relu", &["x"], &["y"], &[]);
/// graph.output("y", &[Side::Free("N"), Side::Fixed(3)]);
/// let bytes = graph.to_bytes();
/// assert!(bytes.windows(4).any(|bytes| bytes == b"Relu"));
/// ```
#[derive(Clone, Debug)]
pub struct GraphWriter {
    graph: Message,
    metadata: Vec<(String, String)>,
}

impl GraphWriter {
    /// An empty graph.
    pub fn new(name: &str) -> Self {
        let mut graph = Message::default();
        graph.text(2, name);
        Self {
            graph,
            metadata: Vec::new(),
        }
    }

    /// An input, `sides` being its shape.
    pub fn input(&mut self, name: &str, sides: &[Side]) {
        self.graph.message(11, &value(name, sides));
    }

    /// An output of this shape, made by a node.
    pub fn output(&mut self, name: &str, sides: &[Side]) {
        self.graph.message(12, &value(name, sides));
    }

    /// A constant, row-major.
    pub fn constant(&mut self, name: &str, shape: &[usize], numbers: &[f32]) {
        let mut tensor = Message::default();
        for &side in shape {
            tensor.int(1, side as i64);
        }
        tensor.int(2, FLOAT);
        tensor.text(8, name);
        let bytes: Vec<u8> = numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        tensor.bytes(9, &bytes);
        self.graph.message(5, &tensor);
    }

    /// An operation; nodes stand in the order in which they are computed.
    pub fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) {
        let mut node = Message::default();
        for input in inputs {
            node.text(1, input);
        }
        for output in outputs {
            node.text(2, output);
        }
        node.text(3, outputs.first().unwrap_or(&operator));
        node.text(4, operator);
        for (name, attribute) in attributes {
            node.message(5, &setting(name, *attribute));
        }
        self.graph.message(1, &node);
    }

    /// logits = features · weightᵀ + bias, with the constants `weight` `[K, d]` and `bias` `[K]`.
    pub fn linear(&mut self, shape: [usize; 2], weight: &[f32], bias: &[f32]) {
        self.constant("weight", &shape, weight);
        self.constant("bias", &shape[..1], bias);
        let transposed = [("transB", Attribute::Int(1))];
        self.node(
            "Gemm",
            &["features", "weight", "bias"],
            &["logits"],
            &transposed,
        );
    }

    /// A word about the model, such as the names of its classes.
    pub fn describe(&mut self, key: &str, value: String) {
        self.metadata.push((key.to_string(), value));
    }

    /// The whole model.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut model = Message::default();
        model.int(1, IR_VERSION);
        model.text(2, "tagwise");
        model.message(7, &self.graph);
        let mut operators = Message::default();
        operators.text(1, "");
        operators.int(2, OPERATOR_SET);
        model.message(8, &operators);
        for (key, value) in &self.metadata {
            let mut pair = Message::default();
            pair.text(1, key);
            pair.text(2, value);
            model.message(14, &pair);
        }
        model.into_bytes()
    }
}

/// A `ValueInfoProto`.
fn value(name: &str, sides: &[Side]) -> Message {
    let mut shape = Message::default();
    for side in sides {
        let mut dimension = Message::default();
        match side {
            Side::Fixed(size) => dimension.int(1, *size as i64),
            Side::Free(name) => dimension.text(2, name),
        }
        shape.message(1, &dimension);
    }
    let mut tensor = Message::default();
    tensor.int(1, FLOAT);
    tensor.message(2, &shape);
    let mut kind = Message::default();
    kind.message(1, &tensor);
    let mut value = Message::default();
    value.text(1, name);
    value.message(2, &kind);
    value
}

/// An `AttributeProto`.
fn setting(name: &str, attribute: Attribute<'_>) -> Message {
    let mut setting = Message::default();
    setting.text(1, name);
    let kind = match attribute {
        Attribute::Float(number) => {
            setting.float(2, number);
            1
        }
        Attribute::Int(number) => {
            setting.int(3, number);
            2
        }
        Attribute::Ints(numbers) => {
            numbers.iter().for_each(|&number| setting.int(8, number));
            7
        }
    };
    setting.int(20, kind);
    setting
}

/// The names of classes as they stand in the metadata of a model, a JSON list of texts.
pub fn names_as_json(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    format!("[{}]", quoted.join(","))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if u32::from(letter) < 0x20 => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

impl LinearClassifier {
    /// The head as an ONNX model: logits = features · weightᵀ + bias, in f32.
    ///
    /// # Shapes
    /// Input `features` `[N, d]`, output `logits` `[N, K]`, any N.
    ///
    /// `class_names` stand in the metadata of the model as a JSON list.
    ///
    /// ```
    /// use tagwise_base::LinearClassifier;
    ///
    /// let head = LinearClassifier::from_rows(&[1.0, 0.0, 0.0, 1.0], &[0.5, -0.5], 2)?;
    /// let model = head.to_onnx(Some(&["sea".to_string(), "sky".to_string()]));
    /// assert!(model.windows(4).any(|bytes| bytes == b"Gemm"));
    /// # Ok::<(), tagwise_base::Error>(())
    /// ```
    pub fn to_onnx(&self, class_names: Option<&[String]>) -> Vec<u8> {
        let single = |numbers: &[f64]| numbers.iter().map(|&x| x as f32).collect::<Vec<_>>();
        let shape = [self.num_classes(), self.dim()];
        let mut graph = GraphWriter::new("head");
        graph.input("features", &[Side::Free("N"), Side::Fixed(shape[1])]);
        graph.linear(shape, &single(self.weight.as_slice()), &single(&self.bias));
        graph.output("logits", &[Side::Free("N"), Side::Fixed(shape[0])]);
        if let Some(names) = class_names {
            graph.describe("class_names", names_as_json(names));
        }
        graph.to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_letters_are_a_list_of_json() {
        let names = ["plain", "a \"quote\"", "back\\slash", "line\nend", "Ü"].map(String::from);
        insta::assert_snapshot!(names_as_json(&names), @r#"["plain","a \"quote\"","back\\slash","line\u000aend","Ü"]"#);
        assert_eq!(names_as_json(&[]), "[]");
    }

    #[test]
    fn the_bytes_of_a_head_are_those_that_onnx_runtime_was_given() {
        // tests/golden/onnx_head.py runs this file in ONNX Runtime and compares the logits.
        let golden = include_bytes!("../tests/golden/onnx/head.onnx");
        let head =
            LinearClassifier::from_rows(&[1.0, 0.5, -0.25, 2.0, 0.0, -1.5], &[0.125, -1.0], 3)
                .unwrap();
        let names = ["sea".to_string(), "sky".to_string()];
        assert_eq!(head.to_onnx(Some(&names)), golden);
    }
}
