//! Files that are either complete or absent.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes a file under a temporary name in the same folder, flushes it to disk and renames it, so
/// that a reader, or a crash at any moment, finds the old file or the new one, never a part.
///
/// # Errors
/// [`Error::Io`] with the path when the folder is missing, not writable or full; the temporary
/// file is removed.
///
/// ```
/// use std::io::Write;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("answer.txt");
/// tagwise_base::file::write_atomically(&path, |file| writeln!(file, "42"))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "42\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut fs::File>) -> io::Result<()>,
) -> Result<()> {
    let with_path = |source| Error::Io {
        path: path.to_path_buf(),
        source,
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let missing = format!("there is no folder {}; make it first", folder.display());
        return Err(with_path(io::Error::new(io::ErrorKind::NotFound, missing)));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".partial-");
    #[cfg(unix)]
    {
        // Temporary files are private by default; what we leave has the usual permissions.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let temporary = builder.tempfile_in(folder);
    let mut temporary = temporary.map_err(|error| with_path(without_path(error)))?;
    let mut buffered = BufWriter::new(temporary.as_file_mut());
    write(&mut buffered).map_err(with_path)?;
    buffered.flush().map_err(with_path)?;
    drop(buffered);
    temporary.as_file().sync_all().map_err(with_path)?;
    temporary
        .persist(path)
        .map_err(|error| with_path(error.error))?;
    Ok(())
}

/// An error of `tempfile` without the temporary name that it adds, which means nothing to a reader.
fn without_path(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|with_path| with_path.source());
    inner
        .and_then(|inner| inner.downcast_ref::<io::Error>()?.raw_os_error())
        .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Reads a whole file.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| Error::Io {
        path: PathBuf::from(path),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |file| {
            file.write_all(b"half of the new")?;
            Err(std::io::Error::other("no space left"))
        });
        assert!(failed.unwrap_err().to_string().ends_with("no space left"));
        assert_eq!(read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = write_atomically(Path::new("no/such/folder/file"), |_| Ok(())).unwrap_err();
        let expected = "no/such/folder/file: there is no folder no/such/folder; make it first";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn an_error_of_the_temporary_file_does_not_show_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = tempfile::Builder::new().tempfile_in(&file).unwrap_err();
        assert!(error.to_string().contains("file/"));
        assert!(!without_path(error).to_string().contains("file/"));
    }
}
