//! Files for the readers that take paths.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use tempfile::TempDir;

/// Writes a file of this name into a folder of the process and returns its path.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| TempDir::new().expect("a folder for temporary files"));
    let path = folder.path().join(name);
    let parent = path.parent().expect("a file of the folder");
    fs::create_dir_all(parent).expect("a folder that can be written");
    fs::write(&path, bytes).expect("a file that can be written");
    path
}

/// What stands between the files of one input.
pub const SEPARATOR: &[u8] = b"\n%%%%\n";

/// An input that stands for two files; the second is empty where nothing separates them.
pub fn two_files(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes
        .windows(SEPARATOR.len())
        .position(|found| found == SEPARATOR);
    match at {
        Some(at) => (&bytes[..at], &bytes[at + SEPARATOR.len()..]),
        None => (bytes, &[]),
    }
}
