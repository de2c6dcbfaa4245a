//! Files that are written never replace files that are read.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Usage;

/// A run's files that commands read, which lie in a folder that is named as a whole.
const OF_RUNS: [&str; 5] = ["safetensors", "toml", "jsonl", "json", "pth"];

/// What a folder of arrays or images consists of.
const OF_FOLDERS: [&str; 5] = ["npy", "parquet", "png", "jpg", "jpeg"];

/// The files that a command reads and writes, as the command line names them.
#[derive(Debug, Default)]
pub struct Files {
    read: Vec<PathBuf>,
    written: Vec<(&'static str, PathBuf)>,
}

impl Files {
    /// A command that reads these.
    pub fn reading<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        Self {
            read: paths.into_iter().cloned().collect(),
            written: Vec::new(),
        }
    }

    /// And these.
    pub fn and_reading<'a>(mut self, paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        self.read.extend(paths.into_iter().cloned());
        self
    }

    /// And writes what this option names, if it names anything.
    pub fn writing(mut self, option: &'static str, path: Option<&Path>) -> Self {
        self.written
            .extend(path.map(|path| (option, path.to_path_buf())));
        self
    }

    /// Whether every written file is another one than all that are read and written, whatever they
    /// are called: links to a file are the file.
    ///
    /// # Errors
    /// [`Usage`] that names both.
    pub fn check(&self) -> Result<(), Usage> {
        for (place, (option, path)) in self.written.iter().enumerate() {
            if let Some(read) = self.read.iter().find(|read| is_part_of(path, read)) {
                let place = match (path == read, is_same(path, read)) {
                    (true, _) => "is one of them".to_string(),
                    (false, true) => format!("is {}", read.display()),
                    (false, false) => format!("belongs to {}", read.display()),
                };
                return Err(Usage(format!(
                    "expected {option} to name another file than those that are read, found {}, which \
                     {place}; choose another name",
                    path.display()
                )));
            }
            let earlier = &self.written[..place];
            if let Some((other, _)) = earlier.iter().find(|(_, other)| is_same(path, other)) {
                return Err(Usage(format!(
                    "expected {other} and {option} to name two files, found {} for both",
                    path.display()
                )));
            }
        }
        Ok(())
    }
}

/// Whether a path that is written is a file that is read, or one of those in a folder or behind a
/// pattern that is read. Pipes and devices may be both.
fn is_part_of(written: &Path, read: &Path) -> bool {
    let Ok(there) = fs::metadata(written) else {
        return false; // a new file
    };
    if !there.is_file() {
        return false;
    }
    if is_same(written, read) {
        return true;
    }
    let ending = written.extension().and_then(|ending| ending.to_str());
    let is_one_of = |endings: &[&str]| ending.is_some_and(|ending| endings.contains(&ending));
    if read.is_dir() {
        let is_run = read.join("metrics.jsonl").is_file();
        let is_member = match is_run {
            true => is_one_of(&OF_RUNS) && is_of_run(written),
            false => is_one_of(&OF_FOLDERS),
        };
        return is_member && is_same_folder(written, read);
    }
    let pattern = read.to_string_lossy();
    pattern.contains('*') && is_same_folder(written, &folder(read)) && {
        let ending_read = read.extension().and_then(|ending| ending.to_str());
        ending == ending_read
    }
}

/// Whether a file in the folder of a run is one of those that the run itself has left.
fn is_of_run(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    [
        "features-",
        "weights",
        "checkpoint",
        "config",
        "metrics",
        "summary",
        "network",
        "report",
    ]
    .iter()
    .any(|start| name.starts_with(start))
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Whether a file, followed through links, lies in a folder.
fn is_same_folder(file: &Path, in_folder: &Path) -> bool {
    let file = fs::canonicalize(file).map(|file| folder(&file));
    matches!((file, fs::canonicalize(in_folder)), (Ok(a), Ok(b)) if a == b)
}

/// Whether two paths lead to one file: by its number where the system has such, and so through hard
/// links too, or else by its full name.
fn is_same(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
            return a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino());
        }
    }
    if let (Ok(a), Ok(b)) = (fs::canonicalize(a), fs::canonicalize(b)) {
        return a == b && a.is_file();
    }
    // Neither is there yet.
    !a.exists() && !b.exists() && full_name(a).is_some() && full_name(a) == full_name(b)
}

/// The name of a file that is not there yet, in its folder's full name.
fn full_name(path: &Path) -> Option<PathBuf> {
    let folder = fs::canonicalize(folder(path)).ok()?;
    Some(folder.join(path.file_name()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(read: &[&PathBuf], written: &[(&'static str, &PathBuf)]) -> Option<String> {
        let mut files = Files::reading(read.iter().copied());
        for &(option, path) in written {
            files = files.writing(option, Some(path));
        }
        files.check().err().map(|error| error.0)
    }

    #[test]
    fn a_file_is_known_by_all_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (input, other) = (path("x.npz"), path("y.npz"));
        fs::write(&input, "x").unwrap();
        fs::write(&other, "y").unwrap();
        let roundabout = folder.path().join(".").join("x.npz");
        assert!(refusal(&[&input], &[("--out", &roundabout)]).is_some());
        assert!(refusal(&[&input, &other], &[("--out", &other)]).is_some());
        assert_eq!(refusal(&[&input], &[("--out", &other)]), None);
        assert_eq!(refusal(&[&input], &[("--out", &path("new"))]), None);
        #[cfg(unix)]
        {
            fs::hard_link(&input, path("hard")).unwrap();
            std::os::unix::fs::symlink(&input, path("soft")).unwrap();
            for link in ["hard", "soft"] {
                assert!(
                    refusal(&[&input], &[("--out", &path(link))]).is_some(),
                    "{link}"
                );
                assert!(
                    refusal(&[&path(link)], &[("--out", &input)]).is_some(),
                    "{link}"
                );
            }
            let device = PathBuf::from("/dev/null");
            assert_eq!(
                refusal(&[&device], &[("--out", &device), ("--save", &device)]),
                None
            );
        }
    }

    #[test]
    fn members_of_folders_and_patterns_are_read_too() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_path_buf();
        let member = place.join("features.npy");
        fs::write(&member, "x").unwrap();
        let message = refusal(&[&place], &[("--out", &member)]).unwrap();
        assert!(message.contains("belongs to"), "{message}");
        assert!(refusal(&[&place.join("*.npy")], &[("--out", &member)]).is_some());
        assert_eq!(
            refusal(&[&place.join("*.parquet")], &[("--out", &member)]),
            None
        );
        assert_eq!(
            refusal(&[&place], &[("--out", &place.join("head.safetensors"))]),
            None
        );
        // The folder of a run takes heads and answers, and keeps what the run has left.
        fs::write(place.join("metrics.jsonl"), "").unwrap();
        for name in [
            "features-train.safetensors",
            "report.json",
            "head.safetensors",
            "answers.csv",
        ] {
            fs::write(place.join(name), "").unwrap();
            let is_refused = refusal(&[&place], &[("--out", &place.join(name))]).is_some();
            assert_eq!(is_refused, name.starts_with(['f', 'r']), "{name}");
        }
    }

    #[test]
    fn two_outputs_are_two_files() {
        let folder = tempfile::tempdir().unwrap();
        let (new, same) = (
            folder.path().join("new"),
            folder.path().join(".").join("new"),
        );
        assert!(refusal(&[], &[("--out", &new), ("--save", &same)]).is_some());
        fs::write(&new, "").unwrap();
        assert!(refusal(&[], &[("--out", &new), ("--save", &same)]).is_some());
    }
}
