//! IDX files: MNIST and Fashion-MNIST.

use std::path::{Path, PathBuf};

use super::{MaybeGzip, Part, read_up_to};
use crate::{Error, ImageShape, LabelledImages, Result};

const IMAGES_MAGIC: u32 = 2051;
const LABELS_MAGIC: u32 = 2049;

/// Images or labels: an IDX file of one is often given where the other belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Images,
    Labels,
}

impl Kind {
    fn magic(self) -> u32 {
        match self {
            Self::Images => IMAGES_MAGIC,
            Self::Labels => LABELS_MAGIC,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Labels => "labels",
        }
    }
}

/// Reads one half of MNIST or Fashion-MNIST from a folder with the files' official names,
/// `train-images-idx3-ubyte` and so on, with or without `.gz`, in the folder itself or in `raw`
/// below it.
///
/// # Errors
/// [`Error::Format`] when a file is missing, is not what its name says, is cut off, or when
/// images and labels differ in number; [`Error::Io`] when a file cannot be read.
pub fn read_folder(folder: &Path, part: Part) -> Result<LabelledImages> {
    let prefix = match part {
        Part::Train => "train",
        Part::Test => "t10k",
    };
    let images = find(folder, &format!("{prefix}-images-idx3-ubyte"))?;
    let labels = find(folder, &format!("{prefix}-labels-idx1-ubyte"))?;
    read(&images, &labels, 10)
}

/// Reads a file of grey images and the file of their labels.
///
/// # Errors
/// As [`read_folder`].
pub fn read(images: &Path, labels: &Path, num_classes: usize) -> Result<LabelledImages> {
    let (shape, pixels) = read_images(images)?;
    let found_labels = read_labels(labels)?;
    let num_images = pixels.len() / shape.num_elements();
    if found_labels.len() != num_images {
        return Err(Error::format(
            labels,
            format!(
                "expected {num_images} labels, as many as there are images in {}, found {}; \
                 the two files belong to different sets",
                images.display(),
                found_labels.len()
            ),
        ));
    }
    if let Some(position) = found_labels
        .iter()
        .position(|&l| usize::from(l) >= num_classes)
    {
        return Err(Error::format(
            labels,
            format!(
                "expected labels 0 to {}, found {} for image {position}",
                num_classes.saturating_sub(1),
                found_labels[position]
            ),
        ));
    }
    let found_labels = found_labels.into_iter().map(u32::from).collect();
    LabelledImages::new(shape, num_classes, 255, pixels, found_labels)
}

fn read_images(path: &Path) -> Result<(ImageShape, Vec<u8>)> {
    let mut file = MaybeGzip::open(path)?;
    let [count, height, width] = read_header(path, &mut file, Kind::Images)?;
    let shape = ImageShape::new(height as usize, width as usize, 1);
    if shape.num_elements() == 0 {
        return Err(Error::format(
            path,
            format!("expected images of at least one pixel, found {height} x {width}"),
        ));
    }
    let expected = u64::from(count).saturating_mul(u64::from(height) * u64::from(width));
    let what = format!("pixels of {count} images of {height} x {width}");
    Ok((shape, read_body(path, &mut file, expected, &what)?))
}

fn read_labels(path: &Path) -> Result<Vec<u8>> {
    let mut file = MaybeGzip::open(path)?;
    let [count] = read_header(path, &mut file, Kind::Labels)?;
    read_body(path, &mut file, u64::from(count), "labels")
}

/// The magic number, checked, and then the sizes of the D dimensions.
fn read_header<const D: usize>(path: &Path, file: &mut MaybeGzip, kind: Kind) -> Result<[u32; D]> {
    let bytes = read_up_to(path, file, 4 * (D as u64 + 1))?;
    let mut words = bytes
        .chunks_exact(4)
        .map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    let magic = words.next();
    if magic != Some(kind.magic()) {
        let found = match magic {
            Some(IMAGES_MAGIC) => "2051: this is a file of images".into(),
            Some(LABELS_MAGIC) => "2049: this is a file of labels".into(),
            Some(magic) => format!("{magic}: this is no IDX file of bytes"),
            None => format!("{} bytes", bytes.len()),
        };
        return Err(Error::format(
            path,
            format!(
                "expected an IDX file of {}, which starts with the number {}, found {found}",
                kind.name(),
                kind.magic()
            ),
        ));
    }
    let mut sizes = [0; D];
    for size in &mut sizes {
        *size = words.next().ok_or_else(|| {
            Error::format(
                path,
                format!(
                    "the file ends after {} bytes, within its header; fetch it again",
                    bytes.len()
                ),
            )
        })?;
    }
    Ok(sizes)
}

fn read_body(path: &Path, file: &mut MaybeGzip, expected: u64, what: &str) -> Result<Vec<u8>> {
    let mut bytes = read_up_to(path, file, expected.saturating_add(1))?;
    if bytes.len() as u64 != expected {
        let found = match bytes.len() as u64 {
            more if more > expected => "more".into(),
            fewer => format!("{fewer}; the file is cut off, fetch it again"),
        };
        return Err(Error::format(
            path,
            format!("expected {expected} bytes of {what}, found {found}"),
        ));
    }
    bytes.shrink_to_fit();
    Ok(bytes)
}

fn find(folder: &Path, name: &str) -> Result<PathBuf> {
    let candidates = [folder.to_path_buf(), folder.join("raw")]
        .into_iter()
        .flat_map(|folder| [folder.join(format!("{name}.gz")), folder.join(name)]);
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        Error::format(
            folder,
            format!("expected a folder with {name} or {name}.gz, found neither; fetch the data set or give another folder"),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
        let words = std::iter::once(&magic).chain(sizes);
        let mut bytes: Vec<u8> = words.flat_map(|word| word.to_be_bytes()).collect();
        bytes.extend_from_slice(body);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Reads these two files; an error comes without the folder's name.
    fn read_bytes(images: &[u8], labels: &[u8]) -> Result<LabelledImages, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        std::fs::write(path("train-images-idx3-ubyte"), images).unwrap();
        std::fs::write(path("train-labels-idx1-ubyte"), labels).unwrap();
        read_folder(folder.path(), Part::Train).map_err(|error| {
            error
                .to_string()
                .replace(&format!("{}/", folder.path().display()), "")
        })
    }

    #[test]
    fn plain_and_gzipped_files_read_alike() {
        let images = idx(
            IMAGES_MAGIC,
            &[2, 2, 3],
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255],
        );
        let labels = idx(LABELS_MAGIC, &[2], &[9, 0]);
        let read = read_bytes(&images, &labels).unwrap();
        assert_eq!(read.shape(), ImageShape::new(2, 3, 1));
        assert_eq!(read.labels(), [9, 0]);
        assert_eq!(read.pixels(1), [6, 7, 8, 9, 10, 255]);
        assert_eq!(read_bytes(&gzip(&images), &gzip(&labels)).unwrap(), read);
    }

    #[test]
    fn every_malformed_file_gets_one_sentence() {
        let images = idx(IMAGES_MAGIC, &[2, 1, 2], &[1, 2, 3, 4]);
        let labels = idx(LABELS_MAGIC, &[2], &[0, 1]);
        let refusal = |images: &[u8], labels: &[u8]| read_bytes(images, labels).unwrap_err();
        let cut_gzip = |bytes: &[u8]| gzip(bytes)[..gzip(bytes).len() - 9].to_vec();
        insta::assert_snapshot!(refusal(&labels, &labels), @"train-images-idx3-ubyte: expected an IDX file of images, which starts with the number 2051, found 2049: this is a file of labels");
        insta::assert_snapshot!(refusal(&images, &images), @"train-labels-idx1-ubyte: expected an IDX file of labels, which starts with the number 2049, found 2051: this is a file of images");
        insta::assert_snapshot!(refusal(b"PK\x03\x04 no IDX file", &labels), @"train-images-idx3-ubyte: expected an IDX file of images, which starts with the number 2051, found 1347093252: this is no IDX file of bytes");
        insta::assert_snapshot!(refusal(b"", &labels), @"train-images-idx3-ubyte: expected an IDX file of images, which starts with the number 2051, found 0 bytes");
        insta::assert_snapshot!(refusal(&images[..10], &labels), @"train-images-idx3-ubyte: the file ends after 10 bytes, within its header; fetch it again");
        insta::assert_snapshot!(refusal(&images[..19], &labels), @"train-images-idx3-ubyte: expected 4 bytes of pixels of 2 images of 1 x 2, found 3; the file is cut off, fetch it again");
        insta::assert_snapshot!(refusal(&[&images[..], &[0]].concat(), &labels), @"train-images-idx3-ubyte: expected 4 bytes of pixels of 2 images of 1 x 2, found more");
        insta::assert_snapshot!(refusal(&cut_gzip(&images), &labels), @"train-images-idx3-ubyte: the compressed data are damaged or cut off (incomplete deflate stream); fetch the file again");
        insta::assert_snapshot!(refusal(&images, &idx(LABELS_MAGIC, &[3], &[0, 1, 2])), @"train-labels-idx1-ubyte: expected 2 labels, as many as there are images in train-images-idx3-ubyte, found 3; the two files belong to different sets");
        insta::assert_snapshot!(refusal(&images, &idx(LABELS_MAGIC, &[2], &[0, 10])), @"train-labels-idx1-ubyte: expected labels 0 to 9, found 10 for image 1");
        insta::assert_snapshot!(refusal(&idx(IMAGES_MAGIC, &[2, 0, 2], &[]), &labels), @"train-images-idx3-ubyte: expected images of at least one pixel, found 0 x 2");
        insta::assert_snapshot!(refusal(&idx(IMAGES_MAGIC, &[u32::MAX; 3], &[1]), &labels), @"train-images-idx3-ubyte: expected 18446744073709551615 bytes of pixels of 4294967295 images of 4294967295 x 4294967295, found 1; the file is cut off, fetch it again");
    }

    #[test]
    fn a_folder_without_the_files_is_named() {
        let error = read_folder(Path::new("no/such/folder"), Part::Test).unwrap_err();
        insta::assert_snapshot!(error, @"no/such/folder: expected a folder with t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz, found neither; fetch the data set or give another folder");
    }
}
