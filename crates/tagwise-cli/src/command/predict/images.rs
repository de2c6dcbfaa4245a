//! Images for the network of a run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tagwise::head::{Features, FittedHead, HeadDescription, HeadSettings};
use tagwise_data::own;
use tagwise_nn::Device;
use tagwise_train::{Extracted, NetworkDescription, RunFolder, TrainedNetwork};

use super::{Arguments, New, logits};
use crate::command::head::StoredHead;
use crate::failure::Usage;

/// Images that are decoded before the network looks at them.
const AT_ONCE: usize = 256;

/// Endings of images, in small letters.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

/// The head of a run with what its network sees in the images; none where the inputs are no images.
pub(super) fn of(arguments: &Arguments) -> anyhow::Result<Option<(FittedHead, New)>> {
    let paths = images(&arguments.inputs)?;
    if paths.is_empty() {
        return Ok(None);
    }
    let run = RunFolder::open(&arguments.model).with_context(|| {
        format!(
            "expected the folder of a run, whose network sees images, found {}",
            arguments.model.display()
        )
    })?;
    let device = Device::cpu().map_err(|error| Usage(error.to_string()))?;
    let mut network = TrainedNetwork::of_run(&run, device)?;
    let shape = network.description().image_shape();
    let mut extracted = Extracted {
        features: Vec::new(),
        logits: Vec::new(),
    };
    for paths in paths.chunks(AT_ONCE) {
        let images = own::read_images(paths, shape)?;
        let more = network.extract(&images)?;
        extracted.features.extend(more.features);
        extracted.logits.extend(more.logits);
    }
    let head = head(&run, network.classifier()?, network.description())?;
    let wide = |numbers: Vec<f32>| numbers.into_iter().map(f64::from).collect::<Vec<_>>();
    let features = Features::from_dense(wide(extracted.features), head.classifier.dim())?;
    let new = New {
        logits: logits(&head, &features)?,
        features,
        files: Some(
            paths
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
        ),
    };
    Ok(Some((head, new)))
}

/// The last layer of a run.
pub(super) fn head_of_run(path: &Path) -> anyhow::Result<StoredHead> {
    let run = RunFolder::open(path)?;
    let device = Device::cpu().map_err(|error| Usage(error.to_string()))?;
    let network = TrainedNetwork::of_run(&run, device)?;
    let head = head(&run, network.classifier()?, network.description())?;
    Ok(StoredHead::new(head, path))
}

/// A classifier with what the run says of it.
fn head(
    run: &RunFolder,
    classifier: tagwise::LinearClassifier,
    network: &NetworkDescription,
) -> anyhow::Result<FittedHead> {
    let settings = HeadSettings {
        loss: run.experiment()?.loss,
        ..HeadSettings::default()
    };
    let description = HeadDescription {
        num_classes: classifier.num_classes(),
        dim: classifier.dim(),
        settings: Some(settings),
        label_names: Some(network.class_names.clone()),
        ..HeadDescription::default()
    };
    Ok(FittedHead {
        potentials: run.potentials()?,
        description,
        ..FittedHead::of_classifier(classifier)
    })
}

/// The images that are named, and those in folders that are, by name.
fn images(inputs: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            if is_image(input) {
                images.push(input.clone());
            }
            continue;
        }
        let entries = std::fs::read_dir(input).with_context(|| input.display().to_string())?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
        paths.retain(|path| is_image(path));
        paths.sort();
        images.extend(paths);
    }
    let other = inputs
        .iter()
        .find(|input| !input.is_dir() && !is_image(input));
    match other {
        Some(other) if !images.is_empty() => anyhow::bail!(
            "expected images alone, or one file of features, found {} beside {}",
            other.display(),
            images[0].display()
        ),
        _ => Ok(images),
    }
}

fn is_image(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| {
        ENDINGS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}
