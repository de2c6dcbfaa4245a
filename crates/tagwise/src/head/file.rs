//! A head as a safetensors file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

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

/// A fitted head as it is kept in a safetensors file.
///
/// `weight` `[K, d]` and `bias` `[K]` are the head; `held_out.weight` and `held_out.bias`, where
/// the file has them, the same head fitted without the held-out samples, whose logits of those
/// samples are as honest as those of new ones. The description is free text in the file's metadata
/// under `head`.
///
/// ```
/// use tagwise::head::HeadFile;
/// use tagwise::snapshot::LinearClassifier;
///
/// let head = HeadFile {
///     classifier: LinearClassifier::from_rows(&[1.0, 2.0, 3.0, 4.0], &[0.5, -0.5], 2)?,
///     held_out: None,
///     description: "{}".into(),
/// };
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("head.safetensors");
/// head.write(&path)?;
/// assert_eq!(HeadFile::read(&path)?, head);
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct HeadFile {
    /// W and b.
    pub classifier: LinearClassifier,
    /// W and b without the held-out samples.
    pub held_out: Option<LinearClassifier>,
    /// What the head is; empty when the file says nothing.
    pub description: String,
}

impl HeadFile {
    /// Writes the file in f64, complete or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut arrays = arrays("", &self.classifier);
        if let Some(held_out) = &self.held_out {
            arrays.extend(self::arrays(HELD_OUT, held_out));
        }
        let metadata = HashMap::from([(DESCRIPTION.to_string(), self.description.clone())]);
        let bytes =
            safetensors::serialize(arrays, Some(metadata)).map_err(|error| Error::Format {
                path: path.to_path_buf(),
                message: error.to_string(),
            })?;
        write_atomically(path, |file| file.write_all(&bytes))
    }

    /// Reads a head from f32 or f64; the bias is 0 and the description empty where the file has
    /// none.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Format`] when it is not such a file.
    pub fn read(path: &Path) -> Result<Self> {
        parse(&crate::file::read(path)?).map_err(|message| Error::Format {
            path: path.to_path_buf(),
            message,
        })
    }
}

/// The key of the metadata that holds the description.
const DESCRIPTION: &str = "head";

/// What the names of the arrays fitted without the held-out samples start with.
const HELD_OUT: &str = "held_out.";

fn arrays(prefix: &str, classifier: &LinearClassifier) -> Vec<(String, Array)> {
    let (num_classes, dim) = (classifier.num_classes(), classifier.dim());
    let weight = (0..num_classes * dim).map(|i| classifier.weight[(i / dim, i % dim)]);
    let bias = classifier.bias.iter().copied();
    vec![
        (
            format!("{prefix}weight"),
            Array::new(vec![num_classes, dim], weight),
        ),
        (format!("{prefix}bias"), Array::new(vec![num_classes], bias)),
    ]
}

fn parse(bytes: &[u8]) -> Result<HeadFile, String> {
    let expected = |error| format!("expected a safetensors file, found {error}");
    let file = SafeTensors::deserialize(bytes).map_err(expected)?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(expected)?;
    let description = metadata
        .metadata()
        .as_ref()
        .and_then(|entries| entries.get(DESCRIPTION));
    let has_held_out = file.names().contains(&format!("{HELD_OUT}weight").as_str());
    Ok(HeadFile {
        classifier: classifier(&file, "")?,
        held_out: has_held_out
            .then(|| classifier(&file, HELD_OUT))
            .transpose()?,
        description: description.cloned().unwrap_or_default(),
    })
}

fn classifier(file: &SafeTensors<'_>, prefix: &str) -> Result<LinearClassifier, String> {
    let (weight_name, bias_name) = (format!("{prefix}weight"), format!("{prefix}bias"));
    let (shape, weight) = numbers(file, &weight_name)?;
    let &[num_classes, dim] = shape.as_slice() else {
        return Err(format!(
            "expected `{weight_name}` of 2 dimensions, found {shape:?}"
        ));
    };
    let bias = if file.names().contains(&bias_name.as_str()) {
        numbers(file, &bias_name)?.1
    } else {
        vec![0.0; num_classes]
    };
    if bias.len() != num_classes {
        return Err(format!(
            "expected `{bias_name}` of length {num_classes}, found {}",
            bias.len()
        ));
    }
    if weight.iter().chain(&bias).any(|value| !value.is_finite()) {
        return Err("expected a finite classifier, found NaN or infinity".into());
    }
    LinearClassifier::from_rows(&weight, &bias, dim).map_err(|error| error.to_string())
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
        let error = HeadFile::read(&path).unwrap_err().to_string();
        assert!(error.contains("expected a safetensors file"), "{error}");
        assert!(matches!(
            HeadFile::read(&folder.path().join("absent")),
            Err(Error::Io { .. })
        ));
        let array = Array::new(vec![2], [1.0, 2.0].into_iter());
        std::fs::write(
            &path,
            safetensors::serialize([("bias", array)], None).unwrap(),
        )
        .unwrap();
        let error = HeadFile::read(&path).unwrap_err().to_string();
        assert!(error.ends_with("expected an array `weight`, found none; is this a head?"));
    }
}
