//! Snapshots as safetensors files.

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, View};

use super::array::{Element, Stored};
use super::mapped::{Bytes, Part};
use super::{FeatureValues, LinearClassifier, Snapshot};
use crate::file::write_atomically;
use crate::{Error, Result};

/// All tensors of a file; their numbers stay where they are.
pub(super) fn tensors(bytes: &Bytes) -> Result<Vec<Stored>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        format!("expected a safetensors file, found something else or only a part of one ({error})")
    })?;
    let base = bytes.as_ptr() as usize;
    file.tensors()
        .into_iter()
        .map(|(name, tensor)| {
            let element = element(tensor.dtype()).ok_or_else(|| {
                format!(
                    "`{name}` holds {:?}, which is not supported",
                    tensor.dtype()
                )
            })?;
            let start = tensor.data().as_ptr() as usize - base;
            Ok(Stored {
                element,
                shape: tensor.shape().to_vec(),
                column_major: false,
                part: Part {
                    bytes: bytes.clone(),
                    range: start..start + tensor.data().len(),
                },
                name,
            })
        })
        .collect()
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::BOOL => Element::Bool,
        Dtype::U8 => Element::U8,
        Dtype::I8 => Element::I8,
        Dtype::U16 => Element::U16,
        Dtype::I16 => Element::I16,
        Dtype::U32 => Element::U32,
        Dtype::I32 => Element::I32,
        Dtype::U64 => Element::U64,
        Dtype::I64 => Element::I64,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::BF16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        _ => return None,
    })
}

/// A tensor to be written.
struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

pub(super) fn write(snapshot: &Snapshot, path: &Path) -> Result<()> {
    let (num_samples, dim) = (snapshot.num_samples(), snapshot.dim());
    let num_classes = snapshot.targets().num_classes();
    let (dtype, bytes) = match snapshot.features() {
        FeatureValues::F32(values) => (
            Dtype::F32,
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        ),
        FeatureValues::F64(values) => (Dtype::F64, f64_bytes(values.iter().copied())),
    };
    let tensor = |dtype, shape, bytes| Tensor {
        dtype,
        shape,
        bytes,
    };
    let targets = snapshot.targets().to_multi_hot();
    let mut tensors = vec![
        ("features", tensor(dtype, vec![num_samples, dim], bytes)),
        (
            "targets",
            tensor(Dtype::U8, vec![num_samples, num_classes], targets),
        ),
    ];
    if let Some(LinearClassifier { weight, bias }) = snapshot.classifier() {
        let weight = f64_bytes(weight.as_slice().iter().copied());
        tensors.push(("weight", tensor(Dtype::F64, vec![num_classes, dim], weight)));
        let bias = f64_bytes(bias.iter().copied());
        tensors.push(("bias", tensor(Dtype::F64, vec![num_classes], bias)));
    }
    let bytes = safetensors::serialize(tensors, None).map_err(|error| Error::Format {
        path: path.to_path_buf(),
        message: format!("the snapshot cannot be written as safetensors ({error})"),
    })?;
    write_atomically(path, |file| file.write_all(&bytes))
}

fn f64_bytes(values: impl Iterator<Item = f64>) -> Vec<u8> {
    values.flat_map(f64::to_le_bytes).collect()
}
