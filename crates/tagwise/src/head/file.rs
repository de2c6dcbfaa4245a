//! A head as a safetensors file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use faer::Mat;
use safetensors::{Dtype, SafeTensors, View};

use crate::file::write_atomically;
use crate::snapshot::LinearClassifier;
use crate::{Error, Result};

struct Array {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    fn new(shape: Vec<usize>, values: impl Iterator<Item = f64>) -> Self {
        Self {
            shape,
            bytes: values.flat_map(f64::to_le_bytes).collect(),
        }
    }
}

impl View for Array {
    fn dtype(&self) -> Dtype {
        Dtype::F64
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.bytes.as_slice().into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Writes W as `weight` `[K, d]` and b as `bias` `[K]`, both f64, with the description as the
/// file's metadata `head`; complete or not at all.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written.
///
/// ```
/// use tagwise::head::{read_classifier, write_classifier};
/// use tagwise::snapshot::LinearClassifier;
///
/// let classifier = LinearClassifier::from_rows(&[1.0, 2.0, 3.0, 4.0], &[0.5, -0.5], 2)?;
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("head.safetensors");
/// write_classifier(&classifier, "{}", &path)?;
/// assert_eq!(read_classifier(&path)?, classifier);
/// # Ok::<(), tagwise::Error>(())
/// ```
pub fn write_classifier(
    classifier: &LinearClassifier,
    description: &str,
    path: &Path,
) -> Result<()> {
    let (num_classes, dim) = (classifier.num_classes(), classifier.dim());
    let weight = (0..num_classes * dim).map(|i| classifier.weight[(i / dim, i % dim)]);
    let arrays = [
        ("weight", Array::new(vec![num_classes, dim], weight)),
        (
            "bias",
            Array::new(vec![num_classes], classifier.bias.iter().copied()),
        ),
    ];
    let metadata = HashMap::from([("head".to_string(), description.to_string())]);
    let bytes = safetensors::serialize(arrays, Some(metadata)).map_err(|error| Error::Format {
        path: path.to_path_buf(),
        message: error.to_string(),
    })?;
    write_atomically(path, |file| file.write_all(&bytes))
}

/// Reads a classifier from a safetensors file with `weight` `[K, d]` and, optionally, `bias`
/// `[K]`, both f32 or f64.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::Format`] when it is not such a file.
pub fn read_classifier(path: &Path) -> Result<LinearClassifier> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io {
        path: path.to_path_buf(),
        source,
    })?;
    parse(&bytes).map_err(|message| Error::Format {
        path: path.to_path_buf(),
        message,
    })
}

fn parse(bytes: &[u8]) -> Result<LinearClassifier, String> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| format!("expected a safetensors file, found {error}"))?;
    let (shape, weight) = numbers(&file, "weight")?;
    let &[num_classes, dim] = shape.as_slice() else {
        return Err(format!(
            "expected `weight` of 2 dimensions, found {shape:?}"
        ));
    };
    let bias = if file.names().contains(&"bias") {
        numbers(&file, "bias")?.1
    } else {
        vec![0.0; num_classes]
    };
    if bias.len() != num_classes {
        return Err(format!(
            "expected `bias` of length {num_classes}, found {}",
            bias.len()
        ));
    }
    if weight.iter().chain(&bias).any(|value| !value.is_finite()) {
        return Err("expected a finite classifier, found NaN or infinity".into());
    }
    Ok(LinearClassifier {
        weight: Mat::from_fn(num_classes, dim, |k, j| weight[k * dim + j]),
        bias,
    })
}

fn numbers(file: &SafeTensors<'_>, name: &str) -> Result<(Vec<usize>, Vec<f64>), String> {
    let array = file
        .tensor(name)
        .map_err(|_| format!("expected an array `{name}`, found none; is this a head?"))?;
    let values = match array.dtype() {
        Dtype::F64 => array
            .data()
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bytes| f64::from_le_bytes(*bytes))
            .collect(),
        Dtype::F32 => array
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes).into())
            .collect(),
        other => return Err(format!("expected `{name}` in f32 or f64, found {other:?}")),
    };
    Ok((array.shape().to_vec(), values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_not_heads_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head.safetensors");
        std::fs::write(&path, b"something else").unwrap();
        let error = read_classifier(&path).unwrap_err().to_string();
        assert!(error.contains("expected a safetensors file"), "{error}");
        assert!(matches!(
            read_classifier(&folder.path().join("absent")),
            Err(Error::Io { .. })
        ));
        let array = Array::new(vec![2], [1.0, 2.0].into_iter());
        std::fs::write(
            &path,
            safetensors::serialize([("bias", array)], None).unwrap(),
        )
        .unwrap();
        let error = read_classifier(&path).unwrap_err().to_string();
        assert!(error.ends_with("expected an array `weight`, found none; is this a head?"));
    }
}
