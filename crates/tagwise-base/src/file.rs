//! Files that are either complete or absent.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// What the names of files begin with that are being written; after a crash they may be removed.
pub const PARTIAL: &str = ".partial-";

/// Writes a file under a temporary name in the same folder, flushes it to disk and renames it, so
/// that a reader, or a crash at any moment, finds the old file or the new one, never a part.
///
/// A symbolic link stays one, and what it points to is replaced; a file that is replaced keeps its
/// permissions. What is no file, such as a pipe, a terminal or `/dev/null`, is written into.
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
    let there = fs::metadata(path).ok(); // of what a link points to
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        return write_through(path, write).map_err(with_path);
    }
    let target = target(path).map_err(with_path)?;
    let folder = folder_of(&target);
    if !folder.is_dir() {
        let missing = format!("there is no folder {}; make it first", folder.display());
        return Err(with_path(io::Error::new(io::ErrorKind::NotFound, missing)));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL);
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
    if let Some(there) = there {
        let same = temporary.as_file().set_permissions(there.permissions());
        same.map_err(with_path)?;
    }
    temporary.as_file().sync_all().map_err(with_path)?;
    temporary
        .persist(&target)
        .map_err(|error| with_path(error.error))?;
    sync_folder(folder).map_err(with_path)
}

/// Writes into a pipe, a terminal or a device, which cannot be replaced.
fn write_through(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut fs::File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    let mut buffered = BufWriter::new(&mut file);
    write(&mut buffered)?;
    buffered.flush()
}

/// Where a path leads, through symbolic links, the last of which may point to nothing yet.
fn target(path: &Path) -> io::Result<PathBuf> {
    /// As many links as Linux follows.
    const MOST_LINKS: usize = 40;
    let mut target = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = folder_of(&target).join(next),
            Err(_) => return Ok(target), // no link
        }
    }
    Err(io::Error::other("its symbolic links lead in a circle"))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes sure that a new name in a folder outlives a loss of power.
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        // Some file systems cannot do this for folders, and then promise nothing.
        let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
        match synced {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(error),
            _ => {}
        }
    }
    #[cfg(not(unix))]
    let _ = folder;
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

    #[cfg(unix)]
    #[test]
    fn links_stay_links_and_files_keep_their_permissions() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let [file, link, new, to_new] =
            ["file", "link", "new", "to-new"].map(|name| folder.path().join(name));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        symlink("file", &link).unwrap();
        symlink("new", &to_new).unwrap();
        for path in [&link, &to_new] {
            write_atomically(path, |file| file.write_all(b"fresh")).unwrap();
            assert!(path.is_symlink());
        }
        assert_eq!(read(&file).unwrap(), b"fresh");
        assert_eq!(read(&new).unwrap(), b"fresh");
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        symlink("circle", folder.path().join("circle")).unwrap();
        let error = write_atomically(&folder.path().join("circle"), |_| Ok(())).unwrap_err();
        assert!(error.to_string().ends_with("lead in a circle"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_no_file_is_written_into() {
        use std::os::fd::AsRawFd;
        let (mut reader, writer) = io::pipe().unwrap();
        let path = PathBuf::from(format!("/proc/self/fd/{}", writer.as_raw_fd()));
        write_atomically(&path, |file| file.write_all(b"through")).unwrap();
        drop(writer);
        let mut read = String::new();
        io::Read::read_to_string(&mut reader, &mut read).unwrap();
        assert_eq!(read, "through");
        write_atomically(Path::new("/dev/null"), |file| file.write_all(b"gone")).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
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
