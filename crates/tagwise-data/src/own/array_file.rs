//! Arrays `images` and `targets` of a .npz or .safetensors file.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use tagwise_base::snapshot::{self, ArrayContents, ArrayNames, NamedArray, NamedArrays};
use tagwise_base::tensors::Element;

use super::arrays::level;
use super::{ImageArray, OwnImages, OwnSpec, PixelValues, from_arrays};
use crate::samples::numbered_names;
use crate::{Error, ImageShape, Result};

/// The file with arrays that a specification names, if it names one.
///
/// # Errors
/// [`Error::OutOfRange`] for a folder of images beside it.
pub(super) fn named_by(spec: &OwnSpec) -> Result<Option<PathBuf>> {
    let is_array_file = |path: &&PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        matches!(ending, Some("npz" | "safetensors"))
    };
    let labels = spec.labels.as_ref().filter(is_array_file);
    let folder = spec.folder.as_ref().filter(is_array_file);
    match (labels, folder) {
        (Some(labels), None) if spec.folder.is_some() => Err(Error::OutOfRange {
            name: "own images",
            requirement: format!(
                "in a folder, or in {} together with their labels",
                labels.display()
            ),
            found: "both".into(),
        }),
        (_, None) if labels.is_none() => Ok(None),
        (labels, folder) => Ok(labels.or(folder).cloned()),
    }
}

/// Reads `images`, `[N, height, width]` or `[N, height, width, channels]` in bytes or in f32 from 0
/// to 1, with the label sets and, where the file has them, the names of the classes.
pub(super) fn read(path: &Path, spec: &OwnSpec, seed: u64) -> Result<OwnImages> {
    let file = NamedArrays::read(path)?;
    let wrong = |message: String| Error::format(path, message);
    let images = file.arrays.iter().find(|array| array.name == "images");
    let images = images.ok_or_else(|| wrong("expected an array `images`, found none".into()))?;
    let shape = image_shape(images).map_err(wrong)?;
    let white = match file.metadata.get("white") {
        None => u8::MAX,
        Some(text) => text
            .parse()
            .ok()
            .filter(|&white| white > 0)
            .ok_or_else(|| {
                wrong(format!(
                    "expected `white` to be a byte above 0, found {text:?}"
                ))
            })?,
    };
    let pixels = bytes(images, white).map_err(wrong)?;

    let labels = snapshot::read_labels(path, &ArrayNames::default())?;
    let num_classes = labels.targets.num_classes();
    let noted = file.metadata.get("class_names").map(|names| {
        names
            .split(',')
            .map(str::to_string)
            .collect::<Vec<String>>()
    });
    let class_names = spec.classes.clone().or(labels.class_names).or(noted);
    let class_names = class_names.unwrap_or_else(|| numbered_names(num_classes));
    let title = path
        .file_stem()
        .and_then(|name| name.to_str())
        .unwrap_or("own images");
    let array = ImageArray {
        shape,
        values: PixelValues::Bytes(&pixels),
    };
    from_arrays(title, array, labels.targets, class_names, spec, seed)
        .map_err(|error| named(error, path))
}

/// The same error with the path of the file, which it does not know.
fn named(error: Error, path: &Path) -> Error {
    match error {
        Error::SizeMismatch { .. } | Error::OutOfRange { .. } => {
            Error::format(path, error.to_string())
        }
        Error::Format { message, .. } => Error::format(path, message),
        other => other,
    }
}

fn image_shape(images: &NamedArray) -> Result<ImageShape, String> {
    match *images.shape {
        [_, height, width] => Ok(ImageShape::new(height, width, 1)),
        [_, height, width, channels] => Ok(ImageShape::new(height, width, channels)),
        _ => Err(format!(
            "expected `images` of shape [N, height, width] or [N, height, width, channels], found \
             shape {:?}",
            images.shape
        )),
    }
}

/// The values as bytes of which 255 is white.
fn bytes(images: &NamedArray, white: u8) -> Result<Cow<'_, [u8]>, String> {
    match &images.contents {
        ArrayContents::Numbers {
            element: Element::U8,
            bytes,
        } if white == u8::MAX => Ok(Cow::Borrowed(bytes)),
        ArrayContents::Numbers {
            element: Element::U8,
            bytes,
        } => {
            if let Some(above) = bytes.iter().find(|&&byte| byte > white) {
                return Err(format!(
                    "expected `images` of bytes up to {white}, found {above}"
                ));
            }
            let scaled = |&byte: &u8| (f32::from(byte) / f32::from(white) * 255.0).round() as u8;
            Ok(bytes.iter().map(scaled).collect())
        }
        ArrayContents::Numbers {
            element: Element::F32,
            bytes,
        } => {
            let (values, _) = bytes.as_chunks::<4>();
            let levels = values.iter().map(|&value| {
                let value = f32::from_le_bytes(value);
                level(value).ok_or_else(|| {
                    format!("expected `images` from 0 to 1 (or bytes), found {value}")
                })
            });
            levels.collect()
        }
        ArrayContents::Numbers { element, .. } => Err(format!(
            "expected `images` of bytes (u8) or f32, found {}",
            element.name()
        )),
        ArrayContents::Texts(_) => Err("expected `images` of numbers, found texts".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    use super::*;
    use crate::{ComposeSpec, ComposedImages, Sources, digits, export};

    /// A file of twelve images of one pixel.
    fn write(path: &Path, dtype: Dtype, shape: &[usize], images: &[u8]) {
        let targets: Vec<u8> = (0..12).flat_map(|i| [u8::from(i % 2 == 0), 1]).collect();
        let tensors = [
            (
                "images",
                TensorView::new(dtype, shape.to_vec(), images).unwrap(),
            ),
            (
                "targets",
                TensorView::new(Dtype::U8, vec![12, 2], &targets).unwrap(),
            ),
        ];
        let bytes = safetensors::serialize(tensors, None).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn spec(path: &Path) -> OwnSpec {
        OwnSpec {
            labels: Some(path.into()),
            ..OwnSpec::default()
        }
    }

    #[test]
    fn bytes_and_floats_are_read_in_their_own_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dots.safetensors");
        let bytes: Vec<u8> = (0..12).map(|i| 10 * i).collect();
        write(&path, Dtype::U8, &[12, 1, 1], &bytes);
        let of_bytes = super::super::read(&spec(&path), 1).unwrap();
        assert_eq!((of_bytes.title.as_str(), of_bytes.train.len()), ("dots", 9));
        assert_eq!(of_bytes.train.shape(), ImageShape::new(1, 1, 1));
        assert_eq!(of_bytes.class_names, ["0", "1"]);
        let floats = bytes
            .iter()
            .flat_map(|&byte| (f32::from(byte) / 255.0).to_le_bytes());
        let floats: Vec<u8> = floats.collect();
        write(&path, Dtype::F32, &[12, 1, 1, 1], &floats);
        // The file may be named in place of the folder too.
        let named = OwnSpec {
            folder: Some(path.clone()),
            classes: Some(vec!["even".into(), "any".into()]),
            ..OwnSpec::default()
        };
        let of_floats = super::super::read(&named, 1).unwrap();
        assert_eq!(of_floats.class_names, ["even", "any"]);
        for index in 0..of_bytes.test.len() {
            assert_eq!(of_bytes.test.pixels(index), of_floats.test.pixels(index));
            let is_even = (of_bytes.test.pixels(index)[0] / 10).is_multiple_of(2);
            assert_eq!(
                of_bytes.test.targets().set(index).multiplicity(),
                1 + usize::from(is_even)
            );
        }
    }

    #[test]
    fn composed_data_sets_come_back_from_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("digits.safetensors");
        let compose = ComposeSpec {
            per_multiplicity: vec![4, 1],
            ..ComposeSpec::default()
        };
        let images = ComposedImages::new(&Sources::all(digits::load()), &compose, 0).unwrap();
        let names = "zero,one,two,three,four,five,six,seven,eight,nine";
        let facts = BTreeMap::from([("class_names".to_string(), names.to_string())]);
        export::write_safetensors(&images.into(), &facts, &path).unwrap();
        let read = super::super::read(&spec(&path), 0).unwrap();
        assert_eq!(read.class_names[9], "nine");
        assert_eq!(read.train.shape(), ImageShape::new(16, 16, 1));
        let total = read.train.len() + read.validation.len() + read.test.len();
        assert_eq!(total, 10 * 4 + 45);
        // White, 16 in the file, is white here.
        let brightest = (0..read.train.len())
            .flat_map(|i| read.train.pixels(i))
            .max();
        assert_eq!(brightest, Some(&255));
    }

    #[test]
    fn files_that_do_not_fit_get_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let said = |dtype, shape: &[usize], images: &[u8]| {
            write(&path, dtype, shape, images);
            let error = super::super::read(&spec(&path), 0).unwrap_err().to_string();
            error.replace(&format!("{}/", folder.path().display()), "")
        };
        insta::assert_snapshot!(said(Dtype::U8, &[12], &[0; 12]), @"a.safetensors: expected `images` of shape [N, height, width] or [N, height, width, channels], found shape [12]");
        insta::assert_snapshot!(said(Dtype::U8, &[11, 1, 1], &[0; 11]), @"a.safetensors: expected 12 pixel values, one image for each row of targets, found 11");
        insta::assert_snapshot!(said(Dtype::U8, &[12, 1, 1, 2], &[0; 24]), @"a.safetensors: expected arrays of images of shape [N, height, width] or [N, height, width, 1 or 3], found images of 1 x 1 x 2");
        insta::assert_snapshot!(said(Dtype::I16, &[12, 1, 1], &[0; 24]), @"a.safetensors: expected `images` of bytes (u8) or f32, found i16");
        insta::assert_snapshot!(said(Dtype::F32, &[12, 1, 1], &[0x40; 48]), @"a.safetensors: expected `images` from 0 to 1 (or bytes), found 3.0039215");
        let both = OwnSpec {
            folder: Some(folder.path().into()),
            ..spec(Path::new("a.npz"))
        };
        insta::assert_snapshot!(super::super::read(&both, 0).unwrap_err(), @"expected own images in a folder, or in a.npz together with their labels, found both");
    }
}
