//! Networks as ONNX models.

use tagwise_base::onnx::{Attribute, GraphWriter, Side, names_as_json};

use super::{Bias, Block, Blueprint, Convolution, Residual, TensorSpec};
use crate::weights::expect_same;
use crate::{Error, NamedTensor, Result};

/// ε of every norm.
const EPSILON: f32 = 1e-5;

/// What is done to the values (0 to 1) of each channel before the first convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputScale<'a> {
    /// What is subtracted.
    pub mean: &'a [f32],
    /// What is divided by.
    pub std: &'a [f32],
}

impl Blueprint {
    /// The network in evaluation mode as an ONNX model, with its weights.
    ///
    /// With a scale, images enter as values from 0 to 1 and the model normalises them; without, they
    /// enter as the network takes them. The names of the classes stand in the metadata.
    ///
    /// # Shapes
    /// Input `images` `[N, channels, height, width]`, ONNX's order; outputs `features` `[N, d]` and
    /// `logits` `[N, K]`, any N.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::TensorShape`] or [`Error::UnexpectedTensor`] when the
    /// tensors are not exactly those of the network, [`Error::InvalidSpec`] for a scale of another
    /// number of channels.
    ///
    /// ```
    /// use tagwise_nn::*;
    ///
    /// let spec = NetworkSpec {
    ///     architecture: Architecture::Small,
    ///     input: ImageShape { height: 8, width: 8, channels: 1 },
    ///     num_classes: 3,
    ///     feature_dim: Some(4),
    ///     classifier: ClassifierKind::Learned,
    /// };
    /// let network = Network::new(&spec, 0, Device::cpu()?)?;
    /// let model = spec.blueprint()?.to_onnx(&network.state(), None, None)?;
    /// assert!(model.windows(17).any(|bytes| bytes == b"GlobalAveragePool"));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn to_onnx(
        &self,
        tensors: &[NamedTensor],
        scale: Option<InputScale<'_>>,
        class_names: Option<&[String]>,
    ) -> Result<Vec<u8>> {
        let specs = self.tensors();
        let expected = specs
            .iter()
            .map(|TensorSpec { name, shape, .. }| (name.as_str(), shape.clone()));
        let expected: Vec<(&str, Vec<usize>)> = expected.collect();
        expect_same(&expected, &tensors.iter().collect::<Vec<_>>())?;
        let mut drawing = Drawing {
            graph: GraphWriter::new("network"),
        };
        let classifier = &self.classifier;
        let is_of_classifier = |tensor: &&NamedTensor| {
            tensor
                .name
                .strip_prefix(&classifier.name)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        for tensor in tensors.iter().filter(|tensor| !is_of_classifier(tensor)) {
            drawing
                .graph
                .constant(&tensor.name, &tensor.shape, &tensor.data);
        }
        let last = drawing.blocks(self, scale)?;
        drawing.plain("GlobalAveragePool", &[&last], "pooled");
        drawing.graph.node(
            "Flatten",
            &["pooled"],
            &["features"],
            &[("axis", Attribute::Int(1))],
        );
        let data = |suffix: &str| {
            let name = format!("{}.{suffix}", classifier.name);
            let tensor = tensors.iter().find(|tensor| tensor.name == name);
            tensor.map_or(&[][..], |tensor| &tensor.data)
        };
        let shape = [classifier.num_classes, classifier.feature_dim];
        drawing.graph.linear(shape, data("weight"), data("bias"));
        for (name, size) in [("features", shape[1]), ("logits", shape[0])] {
            drawing
                .graph
                .output(name, &[Side::Free("N"), Side::Fixed(size)]);
        }
        if let Some(names) = class_names {
            drawing.graph.describe("class_names", names_as_json(names));
        }
        Ok(drawing.graph.to_bytes())
    }
}

/// A graph that grows block by block; every function returns the name of what it made.
struct Drawing {
    graph: GraphWriter,
}

impl Drawing {
    fn blocks(&mut self, network: &Blueprint, scale: Option<InputScale<'_>>) -> Result<String> {
        let input = network.input;
        let sides = [input.channels, input.height, input.width].map(Side::Fixed);
        self.graph
            .input("images", &[&[Side::Free("N")], &sides[..]].concat());
        let mut last = match scale {
            None => "images".to_string(),
            Some(scale) => self.normalised(scale, input.channels)?,
        };
        for (number, block) in network.blocks.iter().enumerate() {
            last = match block {
                Block::Convolution(convolution) => {
                    let normed = self.convolution(convolution, &last);
                    self.rectified(&normed)
                }
                Block::Residual(residual) => self.residual(residual, &last),
                Block::MaxPool(_) => self.max_pool(&last, number),
            };
        }
        Ok(last)
    }

    /// An operation without settings.
    fn plain(&mut self, operator: &str, inputs: &[&str], output: &str) -> String {
        self.graph.node(operator, inputs, &[output], &[]);
        output.to_string()
    }

    fn normalised(&mut self, scale: InputScale<'_>, channels: usize) -> Result<String> {
        for numbers in [scale.mean, scale.std] {
            if numbers.len() != channels {
                return Err(Error::InvalidSpec(format!(
                    "expected a scale of {channels} channels, found {}",
                    numbers.len()
                )));
            }
        }
        self.graph
            .constant("mean", &[1, channels, 1, 1], scale.mean);
        self.graph.constant("std", &[1, channels, 1, 1], scale.std);
        self.plain("Sub", &["images", "mean"], "centred");
        Ok(self.plain("Div", &["centred", "std"], "normalised"))
    }

    /// Convolution and norm.
    fn convolution(&mut self, convolution: &Convolution, input: &str) -> String {
        let (name, norm) = (&convolution.name, &convolution.norm);
        let of = |prefix: &str, suffix: &str| format!("{prefix}.{suffix}");
        let (weight, bias) = (of(name, "weight"), of(name, "bias"));
        let mut inputs = vec![input, &weight];
        if convolution.bias == Bias::With {
            inputs.push(&bias);
        }
        let side = convolution.kernel as i64;
        let (stride, pad) = (convolution.stride as i64, side / 2);
        self.graph.node(
            "Conv",
            &inputs,
            &[&of(name, "out")],
            &[
                ("kernel_shape", Attribute::Ints(&[side; 2])),
                ("strides", Attribute::Ints(&[stride; 2])),
                ("pads", Attribute::Ints(&[pad; 4])),
            ],
        );
        let settings = ["weight", "bias", "running_mean", "running_var"];
        let settings = settings.map(|suffix| of(norm, suffix));
        let out = of(name, "out");
        let mut inputs = vec![out.as_str()];
        inputs.extend(settings.iter().map(String::as_str));
        let output = of(norm, "out");
        let epsilon = [("epsilon", Attribute::Float(EPSILON))];
        self.graph
            .node("BatchNormalization", &inputs, &[&output], &epsilon);
        output
    }

    fn rectified(&mut self, input: &str) -> String {
        self.plain("Relu", &[input], &format!("{input}.relu"))
    }

    fn residual(&mut self, residual: &Residual, input: &str) -> String {
        let mut last = input.to_string();
        for (number, convolution) in residual.body.iter().enumerate() {
            if number > 0 {
                last = self.rectified(&last);
            }
            last = self.convolution(convolution, &last);
        }
        let shortcut = match &residual.projection {
            None => input.to_string(),
            Some(projection) => self.convolution(projection, input),
        };
        let sum = self.plain("Add", &[&last, &shortcut], &format!("{last}.sum"));
        self.rectified(&sum)
    }

    /// A row or column too many at the end is left out, as ONNX does by itself.
    fn max_pool(&mut self, input: &str, number: usize) -> String {
        let output = format!("pool{number}");
        let window = [
            ("kernel_shape", Attribute::Ints(&[2; 2])),
            ("strides", Attribute::Ints(&[2; 2])),
        ];
        self.graph.node("MaxPool", &[input], &[&output], &window);
        output
    }
}
