//! From a path to the arrays that lie there.

use std::path::{Path, PathBuf};

use super::array::Stored;
use super::mapped::{Bytes, Part};
use super::member::Member;
use super::{npy, parquet, refused, safetensors};
use crate::{Error, Result};

/// The ending of a file in small letters.
pub(super) fn ending(path: &Path) -> Option<String> {
    let ending = path.extension()?.to_str()?;
    Some(ending.to_ascii_lowercase())
}

/// The arrays of a file or folder.
pub(super) fn load(path: &Path) -> Result<Vec<Member>> {
    let with_path = |message: String| Error::Format {
        path: path.to_path_buf(),
        message,
    };
    if path.is_dir() {
        let tables = parquet_files_in(path)?;
        return if tables.is_empty() {
            load_folder(path)
        } else {
            load_tables(path, &tables)
        };
    }
    match ending(path).as_deref() {
        Some("safetensors") => safetensors::tensors(&Bytes::map(path)?)
            .map(numbers)
            .map_err(with_path),
        Some("npz") => npy::archive(&Bytes::map(path)?).map_err(with_path),
        Some("parquet") => load_tables(path, &[]),
        Some("npy") => match path.file_name().and_then(|name| name.to_str()) {
            Some("features.npy") => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                load_folder(folder.unwrap_or(Path::new(".")))
            }
            _ => Err(with_path(
                "a .npy file holds one array; name the folder that holds features.npy and targets.npy".into(),
            )),
        },
        _ => Err(with_path(refused::advice(path).unwrap_or_else(|| {
            "expected a file that ends in .safetensors, .npz or .parquet, or a folder of .npy or .parquet files".into()
        }))),
    }
}

fn numbers(arrays: Vec<Stored>) -> Vec<Member> {
    arrays.into_iter().map(Member::from).collect()
}

/// The Parquet files of a folder, sorted by name.
fn parquet_files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let with_path = |source| Error::Io {
        path: folder.to_path_buf(),
        source,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(with_path)? {
        let path = entry.map_err(with_path)?.path();
        if ending(&path).as_deref() == Some("parquet") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// These Parquet files, or else the one file at `path` or those that `path` is a pattern of.
fn load_tables(path: &Path, tables: &[PathBuf]) -> Result<Vec<Member>> {
    if !tables.is_empty() {
        parquet::members(tables)
    } else if path.exists() || !cfg!(feature = "parquet") {
        parquet::members(&[path.to_path_buf()])
    } else {
        parquet::members(&parquet::files_like(path)?)
    }
}

/// Every .npy file of a folder, named by its file name.
fn load_folder(folder: &Path) -> Result<Vec<Member>> {
    let with_path = |source| Error::Io {
        path: folder.to_path_buf(),
        source,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(with_path)? {
        let path = entry.map_err(with_path)?.path();
        if ending(&path).as_deref() == Some("npy") {
            paths.push(path);
        }
    }
    paths.sort();
    let load_one = |path: PathBuf| {
        let bytes = Bytes::map(&path)?;
        let range = 0..bytes.len();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        npy::member(&name, Part { bytes, range }).map_err(|message| Error::Format { path, message })
    };
    paths.into_iter().map(load_one).collect()
}
