//! `tagwise export`: heads and networks for other programs.

use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};
use tagwise::file::write_atomically;
use tagwise_nn::Device;
use tagwise_train::{RunFolder, TrainedNetwork};

use super::head::StoredHead;
use crate::failure::Usage;
use crate::output;
use crate::outputs::Files;
use crate::terminal::tell;

/// Write a head or the network of a run as ONNX, for ONNX Runtime and others
///
/// A head takes features [N, d] and gives logits = features @ weight.T + bias [N, K]. A network
/// takes images [N, channels, height, width] of values from 0 to 1 and gives features and logits.
/// Numbers are f32; the names of the classes stand in the model's metadata.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A head that `tagwise fit` wrote, any safetensors file with weight [K, d] and bias [K], or the
    /// folder of a run
    model: PathBuf,

    /// The file to write, NAME.onnx
    #[arg(long, short, value_name = "FILE", default_value = "model.onnx")]
    out: PathBuf,

    /// Print one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  tagwise export head.safetensors --out head.onnx
  tagwise export runs/digits-001 --out digits.onnx";

/// Writes the model and says what enters and leaves it.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    Files::reading([&arguments.model])
        .writing("--out", Some(&arguments.out))
        .check()?;
    let Model {
        bytes,
        about,
        shapes,
    } = match arguments.model.is_dir() {
        true => network(arguments)?,
        false => head(arguments)?,
    };
    write_atomically(&arguments.out, |file| file.write_all(&bytes))?;
    let value = json!({ "shapes": shapes, "file": arguments.out });
    let line = format!("{about}: {}", arguments.out.display());
    output::outcome(arguments.json, &value, &line)
}

/// A model, what is said of it, and the shapes of its inputs and outputs by name.
struct Model {
    bytes: Vec<u8>,
    about: String,
    shapes: Value,
}

fn head(arguments: &Arguments) -> anyhow::Result<Model> {
    let head = StoredHead::read(&arguments.model)?.head;
    if head.potentials.is_some() {
        tell!(
            "{}: the potentials of its set likelihood are no part of the model, which gives logits alone",
            arguments.model.display()
        );
    }
    let classifier = &head.classifier;
    let (num_classes, dim) = (classifier.num_classes(), classifier.dim());
    let bytes = classifier.to_onnx(head.description.label_names.as_deref());
    Ok(Model {
        bytes,
        about: format!("features [N, {dim}] to logits [N, {num_classes}]"),
        shapes: json!({ "features": ["N", dim], "logits": ["N", num_classes] }),
    })
}

fn network(arguments: &Arguments) -> anyhow::Result<Model> {
    let run = RunFolder::open(&arguments.model)?;
    let device = Device::cpu().map_err(|error| Usage(error.to_string()))?;
    let network = TrainedNetwork::of_run(&run, device)?;
    let shape = network.description().image_shape();
    let num_classes = network.description().class_names.len();
    let dim = network.classifier()?.dim();
    Ok(Model {
        bytes: network.to_onnx()?,
        about: format!(
            "images [N, {}, {}, {}] to features and logits [N, {num_classes}]",
            shape.channels, shape.height, shape.width
        ),
        shapes: json!({
            "images": ["N", shape.channels, shape.height, shape.width],
            "features": ["N", dim],
            "logits": ["N", num_classes],
        }),
    })
}
