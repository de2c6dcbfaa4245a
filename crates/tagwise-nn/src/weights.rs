//! Named tensors and their safetensors files.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tagwise_base::file::write_atomically;

use crate::{Error, Result};

/// A tensor in row-major order under the name that PyTorch gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// For example `layer1.0.conv1.weight`.
    pub name: String,
    /// For example `[64, 64, 3, 3]`.
    pub shape: Vec<usize>,
    /// The numbers.
    pub data: Vec<f32>,
}

/// Reads all 32-bit float tensors of a safetensors file; PyTorch's integer counters
/// `num_batches_tracked` are skipped.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::NotSafetensors`] when it is truncated or
/// something else, [`Error::TensorType`] when a tensor holds other numbers.
pub fn read_safetensors(path: &Path) -> Result<Vec<NamedTensor>> {
    let bytes = fs::read(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| Error::NotSafetensors {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        if name.ends_with(".num_batches_tracked") {
            continue;
        }
        if view.dtype() != Dtype::F32 {
            return Err(Error::TensorType {
                name: name.to_owned(),
                found: format!("{:?}", view.dtype()),
            });
        }
        let numbers = view.data().chunks_exact(4);
        tensors.push(NamedTensor {
            name: name.to_owned(),
            shape: view.shape().to_vec(),
            data: numbers
                .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
                .collect(),
        });
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

/// Writes tensors to a safetensors file, first under a temporary name in the same folder: the
/// file is there whole or not at all.
///
/// # Errors
/// [`Error::Io`] when the folder or the disk refuses.
pub fn write_safetensors(path: &Path, tensors: &[NamedTensor]) -> Result<()> {
    let io_error = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let bytes: BTreeMap<&str, (Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|tensor| {
            let data = tensor.data.iter().flat_map(|value| value.to_le_bytes());
            (tensor.name.as_str(), (tensor.shape.clone(), data.collect()))
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, (shape, data))| {
            TensorView::new(Dtype::F32, shape.clone(), data).map(|view| (*name, view))
        })
        .collect::<std::result::Result<Vec<_>, _>>();
    let serialized = views
        .and_then(|views| safetensors::serialize(views, None))
        .map_err(|error| io_error(std::io::Error::other(error)))?;
    write_atomically(path, |file| file.write_all(&serialized)).map_err(|error| match error {
        tagwise_base::Error::Io { path, source } => Error::Io { path, source },
        other => io_error(std::io::Error::other(other)),
    })
}

/// Compares names and shapes: every expected tensor once, no other.
pub(crate) fn expect_same(expected: &[(&str, Vec<usize>)], tensors: &[&NamedTensor]) -> Result<()> {
    for (name, shape) in expected {
        let Some(tensor) = tensors.iter().find(|tensor| tensor.name == *name) else {
            return Err(Error::MissingTensor {
                name: (*name).to_owned(),
                expected: shape.clone(),
            });
        };
        if tensor.shape != *shape || tensor.data.len() != shape.iter().product::<usize>() {
            return Err(Error::TensorShape {
                name: (*name).to_owned(),
                expected: shape.clone(),
                found: tensor.shape.clone(),
            });
        }
    }
    let foreign = tensors
        .iter()
        .find(|tensor| !expected.iter().any(|(name, _)| *name == tensor.name));
    match foreign {
        None => Ok(()),
        Some(tensor) => Err(Error::UnexpectedTensor {
            name: tensor.name.clone(),
            found: tensor.shape.clone(),
        }),
    }
}
