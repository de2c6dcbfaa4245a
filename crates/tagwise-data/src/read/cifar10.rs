//! CIFAR-10 in its binary layout.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{MaybeGzip, Part, read_up_to, reading_failed};
use crate::{Error, ImageShape, LabelledImages, Result};

/// The names of the classes, in the order of their labels.
pub const CLASS_NAMES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const RECORD: usize = 1 + 3 * PLANE;
const IMAGES_PER_BATCH: usize = 10_000;
const FOLDER: &str = "cifar-10-batches-bin";
const ARCHIVE: &str = "cifar-10-binary.tar.gz";

/// Reads one half of CIFAR-10 from its binary `.tar.gz`, or from a folder with the archive, the
/// unpacked folder `cifar-10-batches-bin` or the `.bin` files themselves.
///
/// The files hold planes of red, green and blue; the images come with the channels innermost.
///
/// # Errors
/// [`Error::Format`] when a batch is missing, has the wrong size or a label above 9;
/// [`Error::Io`] when a file cannot be read.
pub fn read(path: &Path, part: Part) -> Result<LabelledImages> {
    let names: Vec<String> = match part {
        Part::Train => (1..=5).map(|n| format!("data_batch_{n}.bin")).collect(),
        Part::Test => vec!["test_batch.bin".into()],
    };
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    let batches = match locate(path, &names[0])? {
        Location::Folder(folder) => read_folder(&folder, &names)?,
        Location::Archive(archive) => read_archive(&archive, &names)?,
    };
    for (path, bytes) in &batches {
        append_batch(path, bytes, IMAGES_PER_BATCH, &mut pixels, &mut labels)?;
    }
    LabelledImages::new(ImageShape::new(SIDE, SIDE, 3), 10, 255, pixels, labels)
}

enum Location {
    Folder(PathBuf),
    Archive(PathBuf),
}

fn locate(path: &Path, first_batch: &str) -> Result<Location> {
    if path.is_file() {
        return Ok(Location::Archive(path.to_path_buf()));
    }
    for folder in [path.to_path_buf(), path.join(FOLDER)] {
        if folder.join(first_batch).is_file() {
            return Ok(Location::Folder(folder));
        }
    }
    let archive = path.join(ARCHIVE);
    if archive.is_file() {
        return Ok(Location::Archive(archive));
    }
    let hint = match path.join("cifar-10-batches-py").is_dir() {
        true => "; this is the Python version, fetch the binary version",
        false => "; fetch the data set or give another folder",
    };
    Err(Error::format(
        path,
        format!("expected a folder with {ARCHIVE}, {FOLDER} or {first_batch}, found none{hint}"),
    ))
}

/// One byte more than a batch shows a file that is too long without reading all of it.
const READ_LIMIT: u64 = (IMAGES_PER_BATCH * RECORD) as u64 + 1;

fn read_folder(folder: &Path, names: &[String]) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let read = |name: &String| {
        let path = folder.join(name);
        let bytes = read_up_to(&path, &mut MaybeGzip::open(&path)?, READ_LIMIT)?;
        Ok((path, bytes))
    };
    names.iter().map(read).collect()
}

fn read_archive(path: &Path, names: &[String]) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let failed = |source| reading_failed(path, source);
    let mut archive = tar::Archive::new(MaybeGzip::open(path)?);
    let mut found = BTreeMap::new();
    for entry in archive.entries().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let inner = entry.path().map_err(failed)?.into_owned();
        let Some(position) = names.iter().position(|name| inner.ends_with(name)) else {
            continue;
        };
        let mut bytes = Vec::new();
        entry
            .take(READ_LIMIT)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        found.insert(position, (path.join(inner), bytes));
        if found.len() == names.len() {
            break;
        }
    }
    if let Some(missing) = (0..names.len()).find(|position| !found.contains_key(position)) {
        return Err(Error::format(
            path,
            format!(
                "expected the binary version of CIFAR-10 with {}, which is not in the archive",
                names[missing]
            ),
        ));
    }
    Ok(found.into_values().collect())
}

fn append_batch(
    path: &Path,
    bytes: &[u8],
    num_images: usize,
    pixels: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> Result<()> {
    let expected = num_images * RECORD;
    if bytes.len() != expected {
        let found = match bytes.len() {
            more if more > expected => "more".into(),
            fewer => format!("{fewer}; the file is cut off, fetch it again"),
        };
        return Err(Error::format(
            path,
            format!("expected {expected} bytes, {num_images} images of {RECORD}, found {found}"),
        ));
    }
    pixels.reserve(num_images * 3 * PLANE);
    for (image, record) in bytes.chunks_exact(RECORD).enumerate() {
        let (label, planes) = (record[0], &record[1..]);
        if label > 9 {
            return Err(Error::format(
                path,
                format!("expected labels 0 to 9, found {label} for image {image}"),
            ));
        }
        labels.push(label.into());
        for i in 0..PLANE {
            pixels.extend([planes[i], planes[PLANE + i], planes[2 * PLANE + i]]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(label: u8, [red, green, blue]: [u8; 3]) -> Vec<u8> {
        let mut record = vec![label];
        record.extend([red; PLANE]);
        record.extend([green; PLANE]);
        record.extend([blue; PLANE]);
        record
    }

    #[test]
    fn planes_become_pixels() {
        let bytes = [record(3, [1, 2, 3]), record(9, [4, 5, 6])].concat();
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        append_batch(Path::new("b"), &bytes, 2, &mut pixels, &mut labels).unwrap();
        assert_eq!(labels, [3, 9]);
        assert_eq!(pixels.len(), 2 * 3 * PLANE);
        assert_eq!(pixels[..6], [1, 2, 3, 1, 2, 3]);
        assert_eq!(pixels[6 * PLANE - 3..], [4, 5, 6]);
    }

    #[test]
    fn every_malformed_batch_gets_one_sentence() {
        let refusal = |bytes: &[u8]| {
            append_batch(
                Path::new("b.bin"),
                bytes,
                2,
                &mut Vec::new(),
                &mut Vec::new(),
            )
            .unwrap_err()
            .to_string()
        };
        let good = [record(0, [0; 3]), record(1, [0; 3])].concat();
        insta::assert_snapshot!(refusal(&good[..6000]), @"b.bin: expected 6146 bytes, 2 images of 3073, found 6000; the file is cut off, fetch it again");
        insta::assert_snapshot!(refusal(&[&good[..], &[0]].concat()), @"b.bin: expected 6146 bytes, 2 images of 3073, found more");
        insta::assert_snapshot!(refusal(&[&good[..RECORD], &record(10, [0; 3])].concat()), @"b.bin: expected labels 0 to 9, found 10 for image 1");
    }

    #[test]
    fn archive_and_folder_read_alike_and_a_missing_batch_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = vec![7u8; IMAGES_PER_BATCH * RECORD];
        let archive = folder.path().join(ARCHIVE);
        let gzip = flate2::write::GzEncoder::new(
            std::fs::File::create(&archive).unwrap(),
            flate2::Compression::fast(),
        );
        let mut builder = tar::Builder::new(gzip);
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder
            .append_data(&mut header, format!("{FOLDER}/test_batch.bin"), &bytes[..])
            .unwrap();
        builder.into_inner().unwrap().finish().unwrap();

        let from_archive = read(folder.path(), Part::Test).unwrap();
        assert_eq!(from_archive.len(), IMAGES_PER_BATCH);
        assert_eq!(read(&archive, Part::Test).unwrap(), from_archive);
        let error = read(&archive, Part::Train).unwrap_err().to_string();
        assert!(error.ends_with(
            "expected the binary version of CIFAR-10 with data_batch_1.bin, which is not in the archive"
        ));

        let whole = std::fs::read(&archive).unwrap();
        std::fs::write(&archive, &whole[..whole.len() / 2]).unwrap();
        let error = read(&archive, Part::Test).unwrap_err().to_string();
        assert!(error.contains("damaged or cut off"), "{error}");

        std::fs::create_dir(folder.path().join(FOLDER)).unwrap();
        std::fs::write(folder.path().join(FOLDER).join("test_batch.bin"), &bytes).unwrap();
        assert_eq!(read(folder.path(), Part::Test).unwrap(), from_archive);
    }

    #[test]
    fn a_folder_without_the_files_is_named() {
        let error = read(Path::new("no/such/folder"), Part::Train).unwrap_err();
        insta::assert_snapshot!(error, @"no/such/folder: expected a folder with cifar-10-binary.tar.gz, cifar-10-batches-bin or data_batch_1.bin, found none; fetch the data set or give another folder");
    }
}
