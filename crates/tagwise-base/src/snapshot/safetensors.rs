//! Snapshots as safetensors files.

use super::array::Stored;
use super::mapped::{Bytes, Part};
use super::{FeatureValues, Snapshot};
use crate::form::Form;
use crate::tensors::{TensorWriter, Tensors};
use crate::{Error, Result};

/// All tensors of a file; their numbers stay where they are.
pub(super) fn tensors(bytes: &Bytes) -> Result<Vec<Stored>, String> {
    let tensors = Tensors::parse(bytes).map_err(|error| error.to_string())?;
    Ok(stored(bytes, &tensors))
}

/// The tensors as arrays that share the bytes.
pub(super) fn stored(bytes: &Bytes, tensors: &Tensors<'_>) -> Vec<Stored> {
    let base = bytes.as_ptr() as usize;
    let arrays = tensors.iter().map(|tensor| {
        let start = tensor.bytes().as_ptr() as usize - base;
        Stored {
            name: tensor.name().to_string(),
            element: tensor.element(),
            shape: tensor.shape().to_vec(),
            column_major: false,
            part: Part {
                bytes: bytes.clone(),
                range: start..start + tensor.bytes().len(),
            },
        }
    });
    arrays.collect()
}

/// The snapshot, to be written.
pub(super) fn writer(snapshot: &Snapshot) -> TensorWriter<'_> {
    let mut writer = TensorWriter::new();
    writer.describe_form(Form::Snapshot);
    let added = add_all(snapshot, &mut writer);
    added.unwrap_or_else(|error: Error| unreachable!("shapes are those of the values: {error}"));
    writer
}

fn add_all<'a>(snapshot: &'a Snapshot, writer: &mut TensorWriter<'a>) -> Result<()> {
    let (num_samples, dim) = (snapshot.num_samples(), snapshot.dim());
    let num_classes = snapshot.targets().num_classes();
    match snapshot.features() {
        FeatureValues::F32(values) => writer.add("features", &[num_samples, dim], values)?,
        FeatureValues::F64(values) => writer.add("features", &[num_samples, dim], values)?,
    }
    let targets = snapshot.targets().to_multi_hot();
    writer.add_owned("targets", &[num_samples, num_classes], targets)?;
    // Without it, one column alone would be class numbers.
    writer.add_owned("num_classes", &[1], [num_classes as u64])?;
    if let Some(classifier) = snapshot.classifier() {
        let weight = classifier.weight.as_slice();
        writer.add("weight", &[num_classes, dim], weight)?;
        writer.add("bias", &[num_classes], &classifier.bias)?;
    }
    Ok(())
}
