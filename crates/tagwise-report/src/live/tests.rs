use std::io::{Read, Write};

use super::*;

fn site(port: u16) -> Site {
    Site::new(port, "secret".into(), vec!["nowhere".into()])
}

fn ask(text: &str) -> Response {
    // What a browser sends, one header a line.
    let bytes = format!("{}\r\n\r\n", text.replace('\n', "\r\n"));
    let request = Request::parse(bytes.as_bytes()).unwrap().unwrap();
    site(7).answer(&request)
}

#[test]
fn only_the_page_itself_is_answered() {
    let page = ask("GET /?word=secret HTTP/1.1\nHost: 127.0.0.1:7");
    assert_eq!(page.status, Status::Ok);
    assert_eq!(page.nonce.as_deref(), Some("secret"));
    let list = "GET /runs HTTP/1.1\nHost: localhost:7\nX-Tagwise-Word: secret";
    let answer = ask(list);
    assert_eq!(answer.status, Status::Ok);
    assert_eq!(answer.body, br#"{"runs":[],"version":1}"#);
    for (refused, why) in [
        ("GET / HTTP/1.1\nHost: 127.0.0.1:7", "no word"),
        (
            "GET /?word=secrex HTTP/1.1\nHost: 127.0.0.1:7",
            "another word",
        ),
        (
            "GET /runs?word=secret HTTP/1.1\nHost: 127.0.0.1:7",
            "the word in the address",
        ),
        (
            "GET /?word=secret HTTP/1.1\nHost: evil.example:7",
            "a name that was pointed here",
        ),
        (
            "GET /?word=secret HTTP/1.1\nHost: 127.0.0.1:8",
            "another port",
        ),
        ("GET /?word=secret HTTP/1.1\nX: y", "no name"),
        (
            &format!("{list}\nOrigin: http://evil.example"),
            "another site",
        ),
        (&format!("{list}\nOrigin: null"), "a page without a site"),
        (
            &format!("{list}\nSec-Fetch-Site: cross-site"),
            "another site's request",
        ),
    ] {
        assert_eq!(ask(refused).status, Status::Forbidden, "{why}");
    }
    let own = ask(&format!(
        "{list}\nOrigin: http://localhost:7\nSec-Fetch-Site: same-origin"
    ));
    assert_eq!(own.status, Status::Ok);
}

#[test]
fn nothing_but_reading_is_answered_and_no_other_path_is_read() {
    let with = "HTTP/1.1\nHost: 127.0.0.1:7\nX-Tagwise-Word: secret";
    assert_eq!(
        ask(&format!("POST /runs {with}")).status,
        Status::WrongMethod
    );
    for path in [
        "/page",
        "/page?run=/etc",
        "/page?run=..%2F..",
        "/epochs?run=nowhere",
        "/frame?run=nowhere&epoch=0",
        "/frame?epoch=x",
        "/../secret",
        "/etc/passwd",
    ] {
        assert_eq!(
            ask(&format!("GET {path} {with}")).status,
            Status::NotFound,
            "{path}"
        );
    }
}

#[test]
fn answers_forbid_whatever_the_page_does_not_need() {
    let mut sent = Vec::new();
    ask("GET /?word=secret HTTP/1.1\nHost: 127.0.0.1:7")
        .send(&mut sent)
        .unwrap();
    let text = String::from_utf8(sent).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(head.contains(&format!("Content-Length: {}", body.len())));
    for line in [
        "default-src 'none'",
        "script-src 'nonce-secret'",
        "frame-ancestors 'none'",
        "nosniff",
        "no-referrer",
    ] {
        assert!(head.contains(line), "{line}");
    }
    let refusal = Response::refusal(Status::NotFound, "gone");
    let mut sent = Vec::new();
    refusal.send(&mut sent).unwrap();
    assert!(
        String::from_utf8(sent)
            .unwrap()
            .contains("script-src 'none'")
    );
}

#[test]
fn words_are_long_and_never_the_same() {
    let (a, b) = (random_word().unwrap(), random_word().unwrap());
    assert_eq!(a.len(), 32);
    assert_ne!(a, b);
    assert!(is_equal(&a, &a) && !is_equal(&a, &b) && !is_equal("", &a) && is_equal("", ""));
}

#[test]
fn an_open_page_sees_the_end() {
    let page = LivePage::bind(0, vec!["nowhere".into()]).unwrap();
    let long = Duration::from_secs(60);
    page.show_the_end(long); // nobody looks: a wait of a minute would fail the limit of the tests
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| page.serve(&stop));
        let list = || {
            let (port, word) = (page.site.port, &page.site.word);
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            let head =
                format!("GET /runs HTTP/1.1\r\nHost: localhost:{port}\r\n{WORD}: {word}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        };
        list();
        let before = page.site.num_lists.load(Ordering::Acquire);
        let end = scope.spawn(|| page.show_the_end(long));
        while !end.is_finished() {
            list();
            thread::sleep(2 * QUIET);
        }
        assert!(page.site.num_lists.load(Ordering::Acquire) > before);
        stop.store(true, Ordering::Relaxed);
    });
}
