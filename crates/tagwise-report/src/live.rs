//! A local page that shows runs as they go: the drawings of their reports, the pictures of every
//! epoch one after the other, and several runs side by side.
//!
//! The server listens on this machine alone. Whoever asks must know a word that is made anew for each
//! server and stands in the address that it prints, must ask under the name of this machine, and must
//! not be another site's page. It only reads, and only the folders that it was given.

mod http;
mod runs;

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use self::http::{Request, Response, Status};
use self::runs::Runs;
use crate::page::{SCRIPT, STYLE, figure};
use crate::{Result, palette};

/// The header that carries the word.
const WORD: &str = "x-tagwise-word";
/// Connections at the same time.
const MOST_CONNECTIONS: usize = 32;
/// The end of the scale of cosines, the same for every epoch so that their colours compare.
const SCALE_OF_EPOCHS: f64 = 0.5;
/// How soon a server hears that it is to stop.
const PAUSE: Duration = Duration::from_millis(50);
/// A page that has not asked for so long is closed: it asks every 1.5 seconds.
const CLOSED: Duration = Duration::from_secs(5);
/// A page that asks for nothing for so long has all that it asked for.
const QUIET: Duration = Duration::from_millis(500);

/// A page of runs on a port of this machine.
///
/// ```
/// use tagwise_report::live::LivePage;
///
/// let page = LivePage::bind(0, vec!["runs".into()])?;
/// assert!(page.address().starts_with("http://127.0.0.1:"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct LivePage {
    listener: TcpListener,
    site: Arc<Site>,
}

/// What answers requests.
#[derive(Debug)]
struct Site {
    port: u16,
    word: String,
    runs: Runs,
    /// When a page asked last.
    asked: Mutex<Option<Instant>>,
    /// Lists of runs that were begun.
    num_lists: AtomicUsize,
    num_connections: AtomicUsize,
}

impl LivePage {
    /// Takes a port, any that is free for 0. Each path is the folder of a run, or a folder of such
    /// folders, in which runs may come and go.
    ///
    /// # Errors
    /// When the port is taken, or the system refuses.
    pub fn bind(port: u16, paths: Vec<PathBuf>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let site = Site::new(listener.local_addr()?.port(), random_word()?, paths);
        Ok(Self {
            listener,
            site: Arc::new(site),
        })
    }

    /// Where a browser finds the page.
    pub fn address(&self) -> String {
        format!(
            "http://127.0.0.1:{}/?word={}",
            self.site.port, self.site.word
        )
    }

    /// Answers until `stop` is set.
    pub fn serve(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let Ok((stream, _)) = self.listener.accept() else {
                thread::sleep(PAUSE);
                continue;
            };
            let site = self.site.clone();
            if site.num_connections.fetch_add(1, Ordering::AcqRel) >= MOST_CONNECTIONS {
                site.num_connections.fetch_sub(1, Ordering::AcqRel);
                continue; // the browser asks again
            }
            thread::spawn(move || {
                // A browser that has gone away needs no answer.
                let _ = site.converse(stream);
                site.num_connections.fetch_sub(1, Ordering::AcqRel);
            });
        }
    }

    /// Waits until an open page has seen what the runs are now, at most `most`; not at all where no page is
    /// open. Another thread has to [`serve`](Self::serve) meanwhile.
    pub fn show_the_end(&self, most: Duration) {
        let (begin, site) = (Instant::now(), &self.site);
        let since = || {
            let asked = site.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.map_or(Duration::MAX, |asked| asked.elapsed())
        };
        let lists = site.num_lists.load(Ordering::Acquire);
        while begin.elapsed() < most && since() < CLOSED {
            let has_new = site.num_lists.load(Ordering::Acquire) > lists;
            if has_new && site.num_connections.load(Ordering::Acquire) == 0 && since() > QUIET {
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Site {
    fn new(port: u16, word: String, paths: Vec<PathBuf>) -> Self {
        Self {
            port,
            word,
            runs: Runs::new(paths),
            asked: Mutex::new(None),
            num_lists: AtomicUsize::new(0),
            num_connections: AtomicUsize::new(0),
        }
    }

    fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        let response = match Request::read(&mut stream)? {
            Ok(request) => self.answer(&request),
            Err(sentence) => Response::refusal(Status::BadRequest, sentence),
        };
        response.send(&mut stream)
    }

    fn answer(&self, request: &Request) -> Response {
        if let Err(sentence) = self.admits(request) {
            return Response::refusal(Status::Forbidden, sentence);
        }
        if request.method != "GET" {
            return Response::refusal(Status::WrongMethod, "expected GET");
        }
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let answer = match &*request.path {
            "/" => return self.page(),
            "/runs" => Ok(self.list()),
            "/page" => self.report(request),
            "/epochs" => self.epochs(request),
            "/frame" => self.frame(request),
            _ => Ok(gone("there is no such page")),
        };
        answer.unwrap_or_else(|error| Response::refusal(Status::Failed, error.to_string()))
    }

    /// Whether the request comes from this page: under the name of this machine, which a page that
    /// had its name pointed here does not use, from no other site, and with the word.
    fn admits(&self, request: &Request) -> Result<(), &'static str> {
        let hosts = ["127.0.0.1", "localhost"].map(|host| format!("{host}:{}", self.port));
        if !request
            .header("host")
            .is_some_and(|host| hosts.iter().any(|own| own == host))
        {
            return Err("expected the address that was printed");
        }
        let origin = request.header("origin");
        if origin.is_some_and(|origin| hosts.iter().all(|own| origin != format!("http://{own}"))) {
            return Err("another site's page may not read this");
        }
        if matches!(
            request.header("sec-fetch-site"),
            Some("cross-site" | "same-site")
        ) && request.path != "/"
        {
            return Err("another site's page may not read this");
        }
        let given = match &*request.path {
            "/" => request.value("word"),
            _ => request.header(WORD),
        };
        match given.is_some_and(|given| is_equal(given, &self.word)) {
            true => Ok(()),
            false => Err("open the address that was printed, with the word in it"),
        }
    }

    /// The page itself; everything else comes by its script.
    fn page(&self) -> Response {
        let (word, colours) = (&self.word, palette::css());
        let body = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <title>Runs – Tagwise</title><style>{colours}{STYLE}{LIVE_STYLE}</style></head>\
             <body data-word=\"{word}\">{LIVE_BODY}\
             <script nonce=\"{word}\">{SCRIPT}{LIVE_SCRIPT}</script></body></html>\n"
        );
        Response {
            nonce: Some(word.clone()),
            ..Response::html(body)
        }
    }

    fn list(&self) -> Response {
        self.num_lists.fetch_add(1, Ordering::AcqRel);
        Response::json(json!({ "version": 1, "runs": self.runs.lines() }).to_string())
    }

    /// The page of the runs that are asked for.
    fn report(&self, request: &Request) -> Result<Response> {
        let folders: Option<Vec<PathBuf>> = request
            .values("run")
            .map(|run| self.runs.folder(run))
            .collect();
        match folders {
            Some(folders) if !folders.is_empty() => Ok(Response::html(self.runs.page(&folders)?)),
            _ => Ok(gone("the folder of this run is gone")),
        }
    }

    fn epochs(&self, request: &Request) -> Result<Response> {
        let folder = request.value("run").and_then(|run| self.runs.folder(run));
        let Some(folder) = folder else {
            return Ok(gone("the folder of this run is gone"));
        };
        let epochs = self.runs.epochs(&folder)?;
        Ok(Response::json(
            json!({ "version": 1, "epochs": epochs }).to_string(),
        ))
    }

    /// The plane and the maps of one epoch.
    fn frame(&self, request: &Request) -> Result<Response> {
        let folder = request.value("run").and_then(|run| self.runs.folder(run));
        let epoch = request.value("epoch").and_then(|epoch| epoch.parse().ok());
        let (Some(folder), Some(epoch)) = (folder, epoch) else {
            return Ok(gone("the folder of this run is gone"));
        };
        let Some((frame, class_names)) = self.runs.frame(&folder, epoch)? else {
            return Ok(gone("this epoch has no pictures"));
        };
        let mut html = String::new();
        if let Some(plane) = &frame.plane {
            html.push_str("<div class=\"plane-of-epoch\">");
            html.push_str(&figure(&plane.title, "", &plane.svg(), &plane.csv()));
            html.push_str("</div>");
        }
        if let Some(geometry) = frame.geometry(&class_names) {
            html.push_str(&geometry.html(Some(SCALE_OF_EPOCHS))?);
        }
        Ok(Response::html(html))
    }
}

const LIVE_STYLE: &str = include_str!("live/live.css");
const LIVE_BODY: &str = include_str!("live/live.html");
const LIVE_SCRIPT: &str = include_str!("live/live.js");

fn gone(sentence: &str) -> Response {
    Response::refusal(Status::NotFound, sentence)
}

/// Compares every letter, so that the time says nothing about the word.
fn is_equal(given: &str, word: &str) -> bool {
    let pairs = given.bytes().zip(word.bytes());
    given.len() == word.len() && pairs.fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// 128 bits from the system, in hexadecimal.
fn random_word() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests;
