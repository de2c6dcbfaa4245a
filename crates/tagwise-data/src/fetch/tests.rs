use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use super::*;

/// The MD5 sum of [`body`].
const BODY_MD5: &str = "f055b68e7051988eb97b09aae0487e41";

/// How long these tests let a server be silent.
const PATIENCE: Duration = Duration::from_millis(300);

/// 200,000 bytes that do not repeat within a buffer.
fn body() -> Vec<u8> {
    (0..200_000u64).map(|i| (i * i / 7 + i) as u8).collect()
}

/// How the server of a test treats one request.
#[derive(Clone, Copy)]
enum Answer {
    /// The whole file, or the part that was asked for.
    Serve,
    /// As [`Answer::Serve`], but the connection closes after this many bytes.
    CutAfter(usize),
    /// As [`Answer::Serve`], but nothing follows after this many bytes.
    StallAfter(usize),
    /// The whole file, whatever was asked for.
    IgnoreRange,
    /// A file of the right length and other content.
    WrongContent,
    /// Another part than the one asked for.
    WrongPart,
    /// Only a status, with this `Content-Range` if any.
    Status(u16, &'static str),
}

struct Server {
    url: String,
    requests: mpsc::Receiver<String>,
}

impl Server {
    /// Serves these answers, one per connection, and then stops listening.
    fn start(answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel();
        let answers = answers.to_vec();
        std::thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                // A client that gives up closes the connection: that is what is tested.
                let _ = serve(stream, answer, &sender);
            }
        });
        Self { url, requests }
    }

    /// The value of the Range header of each request so far, "-" without one.
    fn ranges(&self) -> Vec<String> {
        self.requests.try_iter().collect()
    }
}

fn serve(mut stream: TcpStream, answer: Answer, log: &mpsc::Sender<String>) -> std::io::Result<()> {
    let mut range = "-".to_string();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("range")
        {
            range = value.to_string();
        }
    }
    let asked_from: Option<usize> = range
        .strip_prefix("bytes=")
        .and_then(|r| r.strip_suffix('-')?.parse().ok());
    log.send(range).unwrap();
    let mut body = body();
    let total = body.len();
    let mut start = asked_from;
    let mut length = usize::MAX;
    let mut stalls = false;
    match answer {
        Answer::Status(status, content_range) => {
            let content_range = match content_range {
                "" => String::new(),
                range => format!("Content-Range: {range}\r\n"),
            };
            return write!(
                stream,
                "HTTP/1.1 {status} -\r\nConnection: close\r\n{content_range}Content-Length: 0\r\n\r\n"
            );
        }
        Answer::Serve => {}
        Answer::CutAfter(num_bytes) => length = num_bytes,
        Answer::StallAfter(num_bytes) => (length, stalls) = (num_bytes, true),
        Answer::IgnoreRange => start = None,
        Answer::WrongContent => body[total - 1] ^= 1,
        Answer::WrongPart => start = start.map(|start| start + 1),
    }
    let body = &body[start.unwrap_or(0)..];
    let head = match start {
        None => "HTTP/1.1 200 OK\r\n".to_string(),
        Some(start) => format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{}/{total}\r\n",
            total - 1
        ),
    };
    write!(
        stream,
        "{head}Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body[..length.min(body.len())])?;
    if stalls {
        std::thread::sleep(PATIENCE * 3);
    }
    Ok(())
}

/// Fetches from these servers; returns the outcome and the events but for `Advanced`.
fn fetch(servers: &[&Server], folder: &Path) -> (Result<()>, Vec<String>) {
    let client = Client::new(None, PATIENCE);
    let download = Download {
        file: "file",
        md5: BODY_MD5,
        urls: servers.iter().map(|server| server.url.clone()).collect(),
    };
    let mut events = Vec::new();
    let outcome = client.fetch(&download, folder, &mut |event| match event {
        Event::Advanced { .. } => {}
        Event::Started {
            resumed_at, total, ..
        } => {
            events.push(format!("started at {resumed_at} of {total:?}"));
        }
        Event::Retrying { .. } => events.push("retrying".into()),
        Event::Present { .. } => events.push("present".into()),
        Event::Finished { .. } => events.push("finished".into()),
        Event::Unpacking { .. } => unreachable!("no archive"),
    });
    (outcome, events)
}

/// What is left in the folder: names and sizes.
fn listing(folder: &Path) -> Vec<(String, u64)> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (
            entry.file_name().into_string().unwrap(),
            entry.metadata().unwrap().len(),
        )
    };
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(entry).collect();
    entries.sort();
    entries
}

fn assert_complete(folder: &Path) {
    assert_eq!(listing(folder), [("file".to_string(), 200_000)]);
    assert_eq!(fs::read(folder.join("file")).unwrap(), body());
}

/// An error without the parts that differ from run to run.
fn refusal(outcome: Result<()>, servers: &[&Server], folder: &Path) -> String {
    let mut text = outcome.unwrap_err().to_string();
    for (index, server) in servers.iter().enumerate() {
        text = text.replace(&server.url, &format!("MIRROR-{index}"));
    }
    text.replace(&folder.display().to_string(), "FOLDER")
}

#[test]
fn a_file_is_fetched_checked_and_not_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[Answer::Serve]);
    let (outcome, events) = fetch(&[&server], folder.path());
    outcome.unwrap();
    assert_eq!(events, ["started at 0 of Some(200000)", "finished"]);
    assert_complete(folder.path());
    let (outcome, events) = fetch(&[&server], folder.path());
    outcome.unwrap();
    assert_eq!(events, ["present"]);
    assert_eq!(server.ranges(), ["-"]);
}

#[test]
fn a_cut_and_a_stalled_transfer_go_on_where_they_ended() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[
        Answer::CutAfter(50_000),
        Answer::StallAfter(70_000),
        Answer::Status(500, ""),
        Answer::Serve,
    ]);
    let (outcome, events) = fetch(&[&server], folder.path());
    outcome.unwrap();
    assert_eq!(
        events,
        [
            "started at 0 of Some(200000)",
            "retrying",
            "started at 50000 of Some(200000)",
            "retrying",
            "retrying",
            "started at 120000 of Some(200000)",
            "finished"
        ]
    );
    assert_eq!(
        server.ranges(),
        ["-", "bytes=50000-", "bytes=120000-", "bytes=120000-"]
    );
    assert_complete(folder.path());
}

#[test]
fn an_interrupted_command_goes_on_when_it_is_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[Answer::CutAfter(60_000), Answer::Status(404, "")]);
    let (outcome, _) = fetch(&[&server], folder.path());
    insta::assert_snapshot!(refusal(outcome, &[&server], folder.path()), @"file could not be fetched: MIRROR-0: the server answered 404; 60000 bytes are kept in FOLDER/file.part, run the same command again to go on");
    assert_eq!(listing(folder.path()), [("file.part".to_string(), 60_000)]);

    let server = Server::start(&[Answer::Serve]);
    fetch(&[&server], folder.path()).0.unwrap();
    assert_eq!(server.ranges(), ["bytes=60000-"]);
    assert_complete(folder.path());
}

#[test]
fn a_server_without_ranges_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[Answer::CutAfter(60_000), Answer::IgnoreRange]);
    fetch(&[&server], folder.path()).0.unwrap();
    assert_complete(folder.path());
}

#[test]
fn the_next_mirror_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Server::start(&[Answer::Status(404, "")]);
    let failing = Server::start(&[Answer::Status(500, ""); 5]);
    let good = Server::start(&[Answer::Serve]);
    fetch(&[&missing, &failing, &good], folder.path())
        .0
        .unwrap();
    assert_eq!(missing.ranges().len(), 1);
    assert_eq!(failing.ranges().len(), 4);
    assert_complete(folder.path());
}

#[test]
fn a_wrong_checksum_is_tried_once_more_and_then_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[Answer::WrongContent, Answer::WrongContent]);
    let (outcome, _) = fetch(&[&server], folder.path());
    insta::assert_snapshot!(refusal(outcome, &[&server], folder.path()), @"file could not be fetched: MIRROR-0: expected a file with the MD5 sum f055b68e7051988eb97b09aae0487e41, found 05d53077dd6fd15889f414ddb78be4bb");
    assert_eq!(server.ranges(), ["-", "-"]);
    assert_eq!(listing(folder.path()), []);
}

#[test]
fn a_rotten_part_is_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file.part"), vec![9; 1000]).unwrap();
    let server = Server::start(&[Answer::Serve, Answer::Serve]);
    fetch(&[&server], folder.path()).0.unwrap();
    assert_eq!(server.ranges(), ["bytes=1000-", "-"]);
    assert_complete(folder.path());
}

#[test]
fn a_part_that_is_complete_needs_no_bytes_and_a_longer_one_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file.part"), body()).unwrap();
    let server = Server::start(&[Answer::Status(416, "bytes */200000")]);
    fetch(&[&server], folder.path()).0.unwrap();
    assert_complete(folder.path());

    fs::remove_file(folder.path().join("file")).unwrap();
    fs::write(folder.path().join("file.part"), vec![0; 300_000]).unwrap();
    let server = Server::start(&[Answer::Status(416, "bytes */200000"), Answer::Serve]);
    fetch(&[&server], folder.path()).0.unwrap();
    assert_complete(folder.path());
}

#[test]
fn another_part_than_asked_for_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file.part"), &body()[..1000]).unwrap();
    let server = Server::start(&[Answer::WrongPart, Answer::Serve]);
    fetch(&[&server], folder.path()).0.unwrap();
    assert_eq!(server.ranges(), ["bytes=1000-", "-"]);
    assert_complete(folder.path());
}

#[test]
fn an_old_file_with_a_wrong_sum_is_replaced_only_by_a_right_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "old").unwrap();
    let server = Server::start(&[Answer::Status(404, "")]);
    assert!(fetch(&[&server], folder.path()).0.is_err());
    assert_eq!(listing(folder.path()), [("file".to_string(), 3)]);
    let server = Server::start(&[Answer::Serve]);
    fetch(&[&server], folder.path()).0.unwrap();
    assert_complete(folder.path());
}

#[test]
fn two_processes_do_not_write_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let other = File::create(folder.path().join("file.part")).unwrap();
    other.lock().unwrap();
    let server = Server::start(&[]);
    let (outcome, _) = fetch(&[&server], folder.path());
    insta::assert_snapshot!(refusal(outcome, &[&server], folder.path()), @"FOLDER/file.part: another process is fetching this file; wait for it or stop it");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let url = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/file", listener.local_addr().unwrap())
    };
    let server = Server {
        url,
        requests: mpsc::channel().1,
    };
    let (outcome, events) = fetch(&[&server], folder.path());
    assert_eq!(events, ["retrying"; 3]);
    let text = refusal(outcome, &[&server], folder.path());
    assert!(text.contains("MIRROR-0: "), "{text}");
    assert_eq!(listing(folder.path()), []);
}

#[test]
fn a_proxy_is_asked_instead_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        if first.starts_with("CONNECT ") {
            while !lines.next().unwrap().unwrap().is_empty() {}
            write!(stream, "HTTP/1.1 200 OK\r\n\r\n").unwrap();
        }
        let (log, _requests) = mpsc::channel();
        serve(stream, Answer::Serve, &log).unwrap();
        first
    });
    let proxy = ureq::Proxy::new(&format!("http://{address}")).unwrap();
    let client = Client::new(Some(proxy), PATIENCE);
    let download = Download {
        file: "file",
        md5: BODY_MD5,
        urls: vec!["http://server.invalid:8080/file".into()],
    };
    client.fetch(&download, folder.path(), &mut |_| {}).unwrap();
    let request = server.join().unwrap();
    assert!(request.contains("server.invalid:8080"), "{request}");
    assert_complete(folder.path());
}

#[test]
fn an_archive_becomes_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("train.tar.gz");
    let gzip =
        flate2::write::GzEncoder::new(File::create(&archive).unwrap(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(gzip);
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o644);
    header.set_cksum();
    builder
        .append_data(&mut header, "train/1.png", &b"png"[..])
        .unwrap();
    builder.into_inner().unwrap().finish().unwrap();
    unpack(&archive, folder.path(), "train").unwrap();
    assert_eq!(fs::read(folder.path().join("train/1.png")).unwrap(), b"png");
    assert_eq!(listing(folder.path()).len(), 1);
}

#[test]
fn what_is_not_published_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = super::fetch(Source::Digits, folder.path(), |_| {}).unwrap_err();
    insta::assert_snapshot!(error, @"expected a data set to fetch that is one of mnist, fashion-mnist, cifar10, svhn, found digits");
}
