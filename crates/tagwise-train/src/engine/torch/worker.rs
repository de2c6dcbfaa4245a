//! The Python process that an engine on PyTorch talks to, and the frames that they exchange.
//!
//! A frame is the length of its header (four bytes, little-endian), the header as JSON, and as many
//! bytes as the header's `bytes` says. Every request is answered by one frame; numbers are
//! little-endian.

use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::{Error, Result};

/// What the interpreter runs: the worker of the package, where there is one.
const PROGRAM: &str = "\
import sys
from importlib.util import find_spec
if find_spec('tagwise') is None or find_spec('tagwise.experiment') is None:
    sys.exit(97)
from tagwise.experiment._worker import main
main()
";

/// How an interpreter without the package ends.
const NO_PACKAGE: i32 = 97;

/// A worker that lost its partner has so long to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Headers are small; a larger one is none.
const LONGEST_HEADER: usize = 1 << 24;

/// The process.
#[derive(Debug)]
pub(super) struct Worker {
    process: Child,
    requests: Option<BufWriter<ChildStdin>>,
    answers: BufReader<ChildStdout>,
    interpreter: String,
}

impl Worker {
    /// Starts an interpreter. Its errors and warnings go where ours go.
    pub(super) fn start(interpreter: &Path) -> Result<Self> {
        let mut command = Command::new(interpreter);
        // Without -P a file torch.py in the current folder would be taken for PyTorch.
        command
            .args(["-P", "-c", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        in_a_group_of_its_own(&mut command);
        let name = interpreter.display().to_string();
        let mut process = command.spawn().map_err(|error| {
            Error::Torch(format!(
                "the Python interpreter {name} cannot be started: {error}"
            ))
        })?;
        let lost = || Error::Torch(format!("the Python interpreter {name} has no pipes"));
        let requests = process.stdin.take().ok_or_else(lost)?;
        let answers = process.stdout.take().ok_or_else(lost)?;
        Ok(Self {
            process,
            requests: Some(BufWriter::with_capacity(1 << 16, requests)),
            answers: BufReader::with_capacity(1 << 16, answers),
            interpreter: name,
        })
    }

    /// Asks and waits for the answer.
    pub(super) fn ask(&mut self, request: Value, payload: &[u8]) -> Result<Answer> {
        self.send(request, payload.len(), |pipe| pipe.write_all(payload))?;
        self.answer()
    }

    /// Sends a request whose payload is written piece by piece.
    pub(super) fn send(
        &mut self,
        mut request: Value,
        num_bytes: usize,
        write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<()> {
        request["bytes"] = num_bytes.into();
        let header = request.to_string();
        let sent = match &mut self.requests {
            None => Err(ErrorKind::BrokenPipe.into()),
            Some(pipe) => pipe
                .write_all(&(header.len() as u32).to_le_bytes())
                .and_then(|()| pipe.write_all(header.as_bytes()))
                .and_then(|()| write(pipe))
                .and_then(|()| pipe.flush()),
        };
        match sent {
            Ok(()) => Ok(()),
            // A worker that gave up has said why.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.answer().map(drop).and(Err(self.lost()))
            }
            Err(error) => Err(Error::Torch(format!(
                "the PyTorch process cannot be written to: {error}"
            ))),
        }
    }

    /// The next frame.
    pub(super) fn answer(&mut self) -> Result<Answer> {
        let answer = match self.frame() {
            Ok(Some(answer)) => answer,
            Ok(None) => return Err(unexpected("a header")),
            Err(_) => return Err(self.lost()),
        };
        match answer.header.get("error").and_then(Value::as_str) {
            Some(sentence) => Err(Error::Torch(sentence.to_owned())),
            None => Ok(answer),
        }
    }

    /// `None` for bytes that are no frame.
    fn frame(&mut self) -> std::io::Result<Option<Answer>> {
        let mut length = [0; 4];
        self.answers.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST_HEADER {
            return Ok(None);
        }
        let mut header = vec![0; length];
        self.answers.read_exact(&mut header)?;
        let Ok(Value::Object(header)) = serde_json::from_slice(&header) else {
            return Ok(None);
        };
        let bytes = header.get("bytes").and_then(Value::as_u64).unwrap_or(0);
        let mut payload = Vec::new();
        (&mut self.answers).take(bytes).read_to_end(&mut payload)?;
        Ok((payload.len() as u64 == bytes).then_some(Answer { header, payload }))
    }

    /// Why there is no answer.
    fn lost(&mut self) -> Error {
        self.requests = None;
        let status = self.end();
        let name = &self.interpreter;
        Error::Torch(match status {
            Some(status) if status.code() == Some(NO_PACKAGE) => format!(
                "expected the Python package tagwise beside {name}, found none; pip install \
                 \"tagwise[torch]\" there"
            ),
            Some(status) if was_killed(status) => format!(
                "the PyTorch process was ended by the system ({status}), most often for lack of memory"
            ),
            Some(status) => format!("the PyTorch process ended before it was done ({status})"),
            None => "the PyTorch process answers no more".into(),
        })
    }

    /// How the process ended, if it has or does so soon.
    fn end(&mut self) -> Option<ExitStatus> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.requests = None; // it reads the end of its requests, and ends
        if self.end().is_none() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// What a worker answers.
#[derive(Debug)]
pub(super) struct Answer {
    header: Map<String, Value>,
    payload: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self, key: &str) -> Result<&str> {
        self.header
            .get(key)
            .and_then(Value::as_str)
            .ok_or_else(|| unexpected(key))
    }

    pub(super) fn number(&self, key: &str) -> Result<u64> {
        self.header
            .get(key)
            .and_then(Value::as_u64)
            .ok_or_else(|| unexpected(key))
    }

    /// All numbers of the payload in single precision.
    pub(super) fn singles(&self) -> Vec<f32> {
        let (numbers, _) = self.payload.as_chunks();
        numbers
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect()
    }

    /// All numbers of the payload in double precision.
    pub(super) fn doubles(&self) -> Vec<f64> {
        let (numbers, _) = self.payload.as_chunks();
        numbers
            .iter()
            .map(|&bytes| f64::from_le_bytes(bytes))
            .collect()
    }
}

/// The two programs do not speak alike.
pub(super) fn unexpected(what: &str) -> Error {
    Error::Torch(format!(
        "expected {what} in an answer of the PyTorch process, found none; install the command and the \
         package together"
    ))
}

/// A Ctrl-C at the terminal reaches the whole group of a process: the worker must live until the run
/// has stopped.
fn in_a_group_of_its_own(command: &mut Command) {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        command.process_group(0);
    }
    #[cfg(windows)]
    {
        use std::os::windows::process::CommandExt;
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
        command.creation_flags(CREATE_NEW_PROCESS_GROUP);
    }
}

#[cfg(unix)]
fn was_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(9)
}

#[cfg(not(unix))]
fn was_killed(_: ExitStatus) -> bool {
    false
}
