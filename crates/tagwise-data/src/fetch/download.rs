use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use md5::{Digest, Md5};

use super::Event;
use crate::{Error, Result};

/// A file, its published sum and where it can be had, best place first.
pub(super) struct Download {
    pub(super) file: &'static str,
    pub(super) md5: &'static str,
    pub(super) urls: Vec<String>,
}

/// Tries without a new byte before the next mirror has its turn.
const MAX_IDLE_TRIES: u32 = 4;

/// How a try on one mirror ended, if not with the file.
enum Setback {
    /// The mirror may do better next time.
    Passing(String),
    /// The mirror does not have the file.
    Final(String),
    /// The bytes on disk are of no use: start over.
    Unusable(String),
    /// The disk refuses; no mirror can help.
    Disk(Error),
}

/// An HTTP client that gives up on silence but not on slowness.
pub(super) struct Client {
    agent: ureq::Agent,
    pause: Duration,
}

impl Client {
    /// `patience` is how long a server may stay silent; pauses between tries derive from it.
    pub(super) fn new(proxy: Option<ureq::Proxy>, patience: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .proxy(proxy)
            .http_status_as_error(false)
            .timeout_resolve(Some(patience))
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .user_agent(concat!("tagwise/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.into(),
            pause: patience / 30,
        }
    }

    /// Fetches one file into `folder`, unless it is there with the right sum.
    pub(super) fn fetch(
        &self,
        download: &Download,
        folder: &Path,
        on_event: &mut impl FnMut(Event<'_>),
    ) -> Result<()> {
        let target = folder.join(download.file);
        if target.is_file() && md5_of(&target)? == download.md5 {
            on_event(Event::Present {
                file: download.file,
            });
            return Ok(());
        }
        let part = folder.join(format!("{}.part", download.file));
        let mut file = open_part(&part)?;
        let mut reasons = Vec::new();
        for url in &download.urls {
            match self.fetch_from(url, download, &part, &mut file, on_event) {
                Ok(()) => {
                    drop(file);
                    fs::rename(&part, &target).map_err(|source| Error::io(&target, source))?;
                    on_event(Event::Finished {
                        file: download.file,
                    });
                    return Ok(());
                }
                Err(Setback::Disk(error)) => return Err(error),
                Err(
                    Setback::Passing(reason) | Setback::Final(reason) | Setback::Unusable(reason),
                ) => {
                    reasons.push(format!("{url}: {reason}"));
                }
            }
        }
        Err(Error::Fetch {
            file: download.file.into(),
            reasons: reasons.join("; "),
            kept: keep_or_remove(&file, &part),
        })
    }

    /// Tries one mirror until it has given the file or has given nothing for too long.
    fn fetch_from(
        &self,
        url: &str,
        download: &Download,
        part: &Path,
        file: &mut File,
        on_event: &mut impl FnMut(Event<'_>),
    ) -> Result<(), Setback> {
        let mut idle_tries = 0;
        let mut most_bytes = length(file, part)?;
        let mut may_start_over = true;
        loop {
            let setback = match self.attempt(url, download, part, file, on_event) {
                Ok(()) => return Ok(()),
                Err(setback) => setback,
            };
            let reason = match setback {
                Setback::Disk(_) | Setback::Final(_) => return Err(setback),
                Setback::Unusable(reason) => {
                    truncate(file, part)?;
                    if !may_start_over {
                        return Err(Setback::Unusable(reason));
                    }
                    may_start_over = false;
                    most_bytes = 0;
                    reason
                }
                Setback::Passing(reason) => {
                    let num_bytes = length(file, part)?;
                    idle_tries = if num_bytes > most_bytes {
                        0
                    } else {
                        idle_tries + 1
                    };
                    most_bytes = most_bytes.max(num_bytes);
                    if idle_tries >= MAX_IDLE_TRIES {
                        return Err(Setback::Passing(reason));
                    }
                    reason
                }
            };
            on_event(Event::Retrying {
                reason: &format!("{url}: {reason}"),
            });
            std::thread::sleep(self.pause * 2u32.pow(idle_tries));
        }
    }

    /// One request: continues what is on disk, and checks the sum when the body ends.
    fn attempt(
        &self,
        url: &str,
        download: &Download,
        part: &Path,
        file: &mut File,
        on_event: &mut impl FnMut(Event<'_>),
    ) -> Result<(), Setback> {
        let on_disk = length(file, part)?;
        let mut request = self.agent.get(url).header("Accept-Encoding", "identity");
        if on_disk > 0 {
            request = request.header("Range", format!("bytes={on_disk}-"));
        }
        let response = request
            .call()
            .map_err(|error| Setback::Passing(error.to_string()))?;
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let body_len = header("content-length").and_then(|value| value.parse::<u64>().ok());
        let range = header("content-range").and_then(ContentRange::parse);
        let start = match response.status().as_u16() {
            200 => {
                truncate(file, part)?;
                0
            }
            206 if range.is_some_and(|range| range.start == Some(on_disk)) => on_disk,
            206 => {
                return Err(Setback::Unusable(
                    "the server sent another part than asked for".into(),
                ));
            }
            416 if range.is_some_and(|range| range.total == Some(on_disk)) => {
                return check(download, part);
            }
            416 => {
                return Err(Setback::Unusable(
                    "the server's file is shorter than what is on disk".into(),
                ));
            }
            status @ (408 | 429 | 500..) => {
                return Err(Setback::Passing(format!("the server answered {status}")));
            }
            status => return Err(Setback::Final(format!("the server answered {status}"))),
        };
        let total = body_len.map(|len| start + len);
        on_event(Event::Started {
            file: download.file,
            url,
            resumed_at: start,
            total,
        });
        let done = append(
            response.into_body().into_reader(),
            file,
            part,
            start,
            on_event,
        )?;
        if total.is_some_and(|total| done < total) {
            return Err(Setback::Passing(format!(
                "the connection ended after {done} bytes"
            )));
        }
        check(download, part)
    }
}

/// What a `Content-Range` header says: `bytes 5-9/10` or `bytes */10`.
#[derive(Clone, Copy)]
struct ContentRange {
    start: Option<u64>,
    total: Option<u64>,
}

impl ContentRange {
    fn parse(header: &str) -> Option<Self> {
        let (range, total) = header.strip_prefix("bytes ")?.split_once('/')?;
        let start = range
            .split_once('-')
            .and_then(|(start, _)| start.parse().ok());
        Some(Self {
            start,
            total: total.parse().ok(),
        })
    }
}

/// Opens the unfinished file for this process alone.
fn open_part(part: &Path) -> Result<File> {
    let failed = |source| Error::io(part, source);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(part)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::format(
            part,
            "another process is fetching this file; wait for it or stop it".into(),
        )),
        Err(fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Appends the body from `start` on; what arrives before an error stays on disk.
fn append(
    mut body: impl Read,
    file: &mut File,
    part: &Path,
    start: u64,
    on_event: &mut impl FnMut(Event<'_>),
) -> Result<u64, Setback> {
    let disk = |source| Setback::Disk(Error::io(part, source));
    file.seek(SeekFrom::Start(start)).map_err(disk)?;
    let mut done = start;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => return Ok(done),
            Ok(num_bytes) => {
                file.write_all(&buffer[..num_bytes]).map_err(disk)?;
                done += num_bytes as u64;
                on_event(Event::Advanced { done });
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Setback::Passing(format!("{error} after {done} bytes"))),
        }
    }
}

fn check(download: &Download, part: &Path) -> Result<(), Setback> {
    let found = md5_of(part).map_err(Setback::Disk)?;
    if found == download.md5 {
        let file = File::open(part).and_then(|file| file.sync_all());
        return file.map_err(|source| Setback::Disk(Error::io(part, source)));
    }
    Err(Setback::Unusable(format!(
        "expected a file with the MD5 sum {}, found {found}",
        download.md5
    )))
}

fn length(file: &File, part: &Path) -> Result<u64, Setback> {
    let metadata = file.metadata();
    metadata
        .map(|m| m.len())
        .map_err(|source| Setback::Disk(Error::io(part, source)))
}

fn truncate(file: &File, part: &Path) -> Result<(), Setback> {
    file.set_len(0)
        .map_err(|source| Setback::Disk(Error::io(part, source)))
}

/// Says what the next try can go on with; an empty file is removed.
fn keep_or_remove(file: &File, part: &Path) -> String {
    match file.metadata().map(|metadata| metadata.len()) {
        Ok(num_bytes) if num_bytes > 0 => format!(
            "; {num_bytes} bytes are kept in {}, run the same command again to go on",
            part.display()
        ),
        _ => {
            // Nothing is lost if this fails: an empty file is a fresh start.
            let _ = fs::remove_file(part);
            String::new()
        }
    }
}

fn md5_of(path: &Path) -> Result<String> {
    let failed = |source| Error::io(path, source);
    let mut file = File::open(path).map_err(failed)?;
    let mut sum = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            num_bytes => sum.update(&buffer[..num_bytes]),
        }
    }
    Ok(sum
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
