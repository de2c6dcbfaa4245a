use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The folder of one data set among those that were fetched: `TAGWISE_DATA/<name>` if that
/// variable is set, else `tagwise/<name>` in the user's cache folder (`XDG_CACHE_HOME`,
/// `~/.cache`, or `LOCALAPPDATA` on Windows).
///
/// # Errors
/// [`Error::OutOfRange`] when the system names no cache folder.
pub fn data_folder(name: &str) -> Result<PathBuf> {
    data_folder_from(name, |variable| {
        std::env::var_os(variable).map(PathBuf::from)
    })
}

fn data_folder_from(name: &str, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf> {
    // Empty means unset; a relative cache folder is to be ignored (XDG base directories).
    let set = |name: &str| variable(name).filter(|path| !path.as_os_str().is_empty());
    let absolute = |name: &str| set(name).filter(|path| path.is_absolute());
    let cache = || {
        absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("LOCALAPPDATA"))
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .map(|cache| cache.join(Path::new("tagwise")))
    };
    match set("TAGWISE_DATA").or_else(cache) {
        Some(root) => Ok(root.join(name)),
        None => Err(Error::OutOfRange {
            name: "one of the variables TAGWISE_DATA, XDG_CACHE_HOME and HOME",
            requirement: "to name a folder for data sets".into(),
            found: "none".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(variables: &[(&str, &str)]) -> Result<String, String> {
        data_folder_from("mnist", |name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| PathBuf::from(value))
        })
        .map(|path| path.display().to_string())
        .map_err(|error| error.to_string())
    }

    #[test]
    #[cfg(unix)]
    fn the_users_variables_choose_the_folder() {
        let home = ("HOME", "/home/ada");
        assert_eq!(folder(&[home]).unwrap(), "/home/ada/.cache/tagwise/mnist");
        let xdg = ("XDG_CACHE_HOME", "/cache");
        assert_eq!(folder(&[home, xdg]).unwrap(), "/cache/tagwise/mnist");
        let relative = ("XDG_CACHE_HOME", "cache");
        assert_eq!(
            folder(&[home, relative]).unwrap(),
            "/home/ada/.cache/tagwise/mnist"
        );
        let ours = ("TAGWISE_DATA", "data");
        assert_eq!(folder(&[home, xdg, ours]).unwrap(), "data/mnist");
        assert_eq!(
            folder(&[xdg, ("TAGWISE_DATA", "")]).unwrap(),
            "/cache/tagwise/mnist"
        );
        insta::assert_snapshot!(folder(&[]).unwrap_err(), @"expected one of the variables TAGWISE_DATA, XDG_CACHE_HOME and HOME to name a folder for data sets, found none");
    }
}
