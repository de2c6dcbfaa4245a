//! Data sets on disk for other tools.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use rayon::prelude::*;
use tagwise_base::form::Form;

use crate::{ImageSet, Result};

/// Images that are in memory at once while a data set is written.
const IMAGES_PER_CHUNK: usize = 1024;

/// Writes images and targets as safetensors: `images` `[N, height, width, channels]` and
/// `targets` `[N, K]` multi-hot, both of unsigned bytes, with what `facts` says as metadata.
///
/// The metadata also hold `white`, the pixel value that stands for 1.0: what a network is given
/// before normalisation is `images / white`. The file is written a thousand images at a time and
/// is there whole or not at all.
///
/// # Errors
/// [`crate::Error::Mathematics`] with the path when the disk refuses.
///
/// ```
/// use tagwise_data::{ComposeSpec, ComposedImages, Sources, digits, export};
///
/// let spec = ComposeSpec { per_multiplicity: vec![2, 1], ..ComposeSpec::default() };
/// let images = ComposedImages::new(&Sources::all(digits::load()), &spec, 0)?;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("digits.safetensors");
/// export::write_safetensors(&images.into(), &Default::default(), &path)?;
/// assert!(std::fs::metadata(&path)?.len() > 65 * (16 * 16 + 10));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_safetensors(
    images: &ImageSet,
    facts: &BTreeMap<String, String>,
    path: &Path,
) -> Result<()> {
    let mut metadata = facts.clone();
    metadata.insert("format".into(), Form::Images.name().into());
    metadata.insert("version".into(), Form::Images.version().to_string());
    metadata.insert("white".into(), images.white().to_string());
    let header = header(images, &metadata);
    tagwise_base::file::write_atomically(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        write_images(images, file)?;
        file.write_all(&images.targets().to_multi_hot())
    })?;
    Ok(())
}

/// The JSON that names the tensors and their places; spaces bring its length to a multiple of 8.
fn header(images: &ImageSet, metadata: &BTreeMap<String, String>) -> String {
    let (num_images, shape) = (images.len(), images.shape());
    let num_classes = images.targets().num_classes();
    let end_of_images = num_images * shape.num_elements();
    let end = end_of_images + num_images * num_classes;
    let mut header = serde_json::json!({
        "__metadata__": metadata,
        "images": {
            "dtype": "U8",
            "shape": [num_images, shape.height, shape.width, shape.channels],
            "data_offsets": [0, end_of_images],
        },
        "targets": {
            "dtype": "U8",
            "shape": [num_images, num_classes],
            "data_offsets": [end_of_images, end],
        },
    })
    .to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    header
}

fn write_images(images: &ImageSet, file: &mut impl Write) -> io::Result<()> {
    let image_len = images.shape().num_elements();
    let mut chunk = vec![0; IMAGES_PER_CHUNK.min(images.len()) * image_len];
    for first in (0..images.len()).step_by(IMAGES_PER_CHUNK) {
        let num_images = IMAGES_PER_CHUNK.min(images.len() - first);
        let chunk = &mut chunk[..num_images * image_len];
        chunk
            .par_chunks_exact_mut(image_len)
            .enumerate()
            .for_each(|(i, bytes)| images.bytes_into(first + i, bytes));
        file.write_all(chunk)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;
    use crate::{ComposeSpec, ComposedImages, Sources, digits};

    #[test]
    fn the_file_holds_what_the_network_is_given() {
        let spec = ComposeSpec {
            per_multiplicity: vec![100, 10],
            ..ComposeSpec::default()
        };
        let images = ComposedImages::new(&Sources::all(digits::load()), &spec, 4).unwrap();
        let images = ImageSet::from(images);
        assert!(images.len() > IMAGES_PER_CHUNK, "more than one chunk");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("digits.safetensors");
        let facts = BTreeMap::from([("seed".to_string(), "4".to_string())]);
        write_safetensors(&images, &facts, &path).unwrap();

        let bytes = std::fs::read(&path).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = metadata.metadata().clone().unwrap();
        assert_eq!(
            (metadata["seed"].as_str(), metadata["white"].as_str()),
            ("4", "16")
        );
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let stored = tensors.tensor("images").unwrap();
        assert_eq!(stored.shape(), [1450, 16, 16, 1]);
        let mut values = vec![0.0; 256];
        for (index, bytes) in stored.data().chunks_exact(256).enumerate() {
            images.image_into(index, &mut values);
            let scaled: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 16.0).collect();
            assert_eq!(values, scaled);
        }
        let targets = tensors.tensor("targets").unwrap();
        assert_eq!(targets.shape(), [1450, 10]);
        assert_eq!(targets.data(), images.targets().to_multi_hot());
    }
}
