//! As much of HTTP as a local page needs: one request a connection, read whole or refused.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A request is refused when its head is longer.
const LONGEST_HEAD: usize = 1 << 14;
const MOST_HEADERS: usize = 64;
/// A browser that says nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a browser asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub method: String,
    /// Without what stands behind the question mark.
    pub path: String,
    /// Names and values behind the question mark, decoded.
    pub query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

/// What it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub status: Status,
    pub kind: &'static str,
    pub body: Vec<u8>,
    /// What scripts of the page may be: those with this word.
    pub nonce: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    Forbidden,
    NotFound,
    WrongMethod,
    Failed,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::Forbidden => "403 Forbidden",
            Self::NotFound => "404 Not Found",
            Self::WrongMethod => "405 Method Not Allowed",
            Self::Failed => "500 Internal Server Error",
        }
    }
}

impl Response {
    pub fn html(body: String) -> Self {
        Self::new(Status::Ok, "text/html; charset=utf-8", body)
    }

    pub fn json(body: String) -> Self {
        Self::new(Status::Ok, "application/json", body)
    }

    /// One sentence.
    pub fn refusal(status: Status, sentence: impl Into<String>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", sentence.into())
    }

    fn new(status: Status, kind: &'static str, body: String) -> Self {
        Self {
            status,
            kind,
            body: body.into_bytes(),
            nonce: None,
        }
    }

    /// Sends it and ends the connection.
    pub fn send(&self, stream: &mut impl Write) -> io::Result<()> {
        let scripts = match &self.nonce {
            Some(nonce) => format!("'nonce-{nonce}'"),
            None => "'none'".into(),
        };
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
             Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n\
             Cross-Origin-Opener-Policy: same-origin\r\n\
             Content-Security-Policy: default-src 'none'; script-src {scripts}; \
             style-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'\r\n\r\n",
            self.status.line(),
            self.kind,
            self.body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(&self.body)?;
        stream.flush()
    }
}

impl Request {
    /// Reads the head of a request.
    ///
    /// # Errors
    /// What the connection reports; a sentence for bytes that are no request.
    pub fn read(stream: &mut TcpStream) -> io::Result<Result<Self, String>> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (mut bytes, mut block) = (Vec::new(), [0; 4096]);
        loop {
            let count = stream.read(&mut block)?;
            bytes.extend_from_slice(&block[..count]);
            match Self::parse(&bytes) {
                Ok(Some(request)) => return Ok(Ok(request)),
                Err(sentence) => return Ok(Err(sentence)),
                Ok(None) if count == 0 => return Ok(Err("the request is cut off".into())),
                Ok(None) if bytes.len() > LONGEST_HEAD => {
                    return Ok(Err("the head of the request is too long".into()));
                }
                Ok(None) => {}
            }
        }
    }

    /// The request in these bytes; `None` while it is not whole.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, String> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(bytes) {
            Err(error) => return Err(format!("this is no request: {error}")),
            Ok(httparse::Status::Partial) => return Ok(None),
            Ok(httparse::Status::Complete(_)) => {}
        }
        let target = parsed.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        let headers = parsed.headers.iter().map(|header| {
            let value = String::from_utf8_lossy(header.value);
            (header.name.to_ascii_lowercase(), value.into_owned())
        });
        Ok(Some(Self {
            method: parsed.method.unwrap_or_default().into(),
            path: path.into(),
            query: query.collect(),
            headers: headers.collect(),
        }))
    }

    /// A header by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The first value of a name behind the question mark.
    pub fn value<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// All of them.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.query.iter().filter(move |(other, _)| other == name);
        pairs.map(|(_, value)| value.as_str())
    }
}

/// Text with `%41` for a byte and `+` for a space.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_when_they_are_whole() {
        let text = b"GET /frame?run=a%2Fb+c&epoch=3&x HTTP/1.1\r\nHost: 127.0.0.1:7\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(Request::parse(&text[..cut]), Ok(None), "{cut}");
        }
        let request = Request::parse(text).unwrap().unwrap();
        assert_eq!((&*request.method, &*request.path), ("GET", "/frame"));
        assert_eq!(request.value("run"), Some("a/b c"));
        assert_eq!(request.value("x"), Some(""));
        assert_eq!(request.header("host"), Some("127.0.0.1:7"));
        assert_eq!(request.value("y"), None);
        assert!(Request::parse(b"\x16\x03\x01\x02\x00\x01").is_err());
    }

    #[test]
    fn escapes_that_are_none_stay() {
        assert_eq!(decoded("%41%zz%4"), "A%zz%4");
        assert_eq!(decoded("%"), "%");
        assert_eq!(decoded("%C3%BC"), "ü");
    }
}
