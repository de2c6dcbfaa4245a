//! Downloads of data sets from their official places.
//!
//! A file is written as `NAME.part`, continued after an interruption, checked against the
//! published MD5 sum and only then renamed. Proxies come from the usual variables
//! (`ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).

mod download;

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use crate::{Error, Result, Source};
use download::{Client, Download};

/// What happens during a download.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The file is there already, with the right sum.
    Present {
        /// Name of the file.
        file: &'a str,
    },
    /// A mirror answers.
    Started {
        /// Name of the file.
        file: &'a str,
        /// Address of the mirror.
        url: &'a str,
        /// Bytes that an earlier try left, 0 for a fresh start.
        resumed_at: u64,
        /// Bytes of the whole file if the mirror says so.
        total: Option<u64>,
    },
    /// More bytes are on disk.
    Advanced {
        /// Bytes of the file so far.
        done: u64,
    },
    /// A try failed and another follows.
    Retrying {
        /// What went wrong, with the mirror's address.
        reason: &'a str,
    },
    /// The file is complete and right.
    Finished {
        /// Name of the file.
        file: &'a str,
    },
    /// An archive is being unpacked.
    Unpacking {
        /// Name of the archive.
        file: &'a str,
    },
}

/// Fetches what is missing of a data set into `folder`, which is made if need be.
///
/// # Errors
/// [`Error::OutOfRange`] for a data set that is not published, [`Error::Fetch`] when no mirror
/// gives a file with the right sum, [`Error::Io`] when the disk refuses; what was downloaded is
/// kept for the next try.
pub fn fetch(source: Source, folder: &Path, mut on_event: impl FnMut(Event<'_>)) -> Result<()> {
    let Some(published) = source.entry().download else {
        let fetchable = Source::ALL
            .into_iter()
            .filter(|s| s.entry().download.is_some());
        let names: Vec<&str> = fetchable.map(Source::name).collect();
        return Err(Error::OutOfRange {
            name: "a data set to fetch",
            requirement: format!("that is one of {}", names.join(", ")),
            found: source.to_string(),
        });
    };
    fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
    let client = Client::new(ureq::Proxy::try_from_env(), Duration::from_secs(30));
    for file in published.files {
        if let Some(half) = file.unpacks_to
            && folder.join(half).is_dir()
        {
            on_event(Event::Present { file: half });
            continue;
        }
        let url = |mirror: &&str| format!("{mirror}{}", file.name);
        let download = Download {
            file: file.name,
            md5: file.md5,
            urls: published.mirrors.iter().map(url).collect(),
        };
        client.fetch(&download, folder, &mut on_event)?;
        if let Some(half) = file.unpacks_to {
            on_event(Event::Unpacking { file: file.name });
            unpack(&folder.join(file.name), folder, half)?;
        }
    }
    Ok(())
}

/// Unpacks an archive of one folder, so that the folder is there whole or not at all, and removes
/// the archive.
fn unpack(archive: &Path, folder: &Path, inner: &str) -> Result<()> {
    let failed = |source| Error::io(archive, source);
    let file = File::open(archive).map_err(failed)?;
    let unpacked = tempfile::Builder::new()
        .prefix(".partial-")
        .tempdir_in(folder)
        .map_err(|source| Error::io(folder, source))?;
    let decoder = flate2::read::MultiGzDecoder::new(std::io::BufReader::new(file));
    tar::Archive::new(decoder)
        .unpack(unpacked.path())
        .map_err(failed)?;
    let target = folder.join(inner);
    fs::rename(unpacked.path().join(inner), &target)
        .map_err(|source| Error::io(&target, source))?;
    fs::remove_file(archive).map_err(failed)
}

#[cfg(test)]
mod tests;
