//! Errors of the libraries as exceptions of `tagwise.errors`, with their sentences.

use std::io;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// Why a call has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The mathematics, an array or a file is not what it should be.
    Tagwise(tagwise::Error),
    /// A page cannot be drawn or written.
    Report(tagwise_report::Error),
    /// An argument is not what it should be: the whole sentence.
    Value(String),
    /// The code is wrong: what it said when it gave up.
    Panic(String),
}

impl From<tagwise::Error> for Failure {
    fn from(error: tagwise::Error) -> Self {
        Self::Tagwise(error)
    }
}

impl From<tagwise_report::Error> for Failure {
    fn from(error: tagwise_report::Error) -> Self {
        match error {
            tagwise_report::Error::Mathematics(error) => Self::Tagwise(error),
            other => Self::Report(other),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Value(error.to_string())
    }
}

/// What a call gives inside this crate.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        Python::attach(|py| match failure {
            Failure::Tagwise(tagwise::Error::Io { path, source }) => {
                let sentence = format!("{}: {source}", path.display());
                let class = match source.kind() {
                    io::ErrorKind::NotFound => Class::FileNotFound,
                    _ => Class::File,
                };
                let error = class.error(py, sentence);
                // As the interpreter sets them; the sentence stays as it is.
                let value = error.value(py);
                let _ = value.setattr("filename", path);
                let _ = value.setattr("errno", source.raw_os_error());
                error
            }
            Failure::Tagwise(error @ tagwise::Error::Interrupted) => {
                Class::Base.error(py, error.to_string())
            }
            Failure::Tagwise(error) => Class::Value.error(py, error.to_string()),
            Failure::Report(error) => Class::Value.error(py, error.to_string()),
            Failure::Value(sentence) => Class::Value.error(py, sentence),
            Failure::Panic(said) => Class::Base.error(
                py,
                format!("internal error, please report it with what was called: {said}"),
            ),
        })
    }
}

/// A class of `tagwise.errors`.
#[derive(Clone, Copy)]
enum Class {
    Base,
    Value,
    File,
    FileNotFound,
}

impl Class {
    fn error(self, py: Python<'_>, sentence: String) -> PyErr {
        static CLASSES: PyOnceLock<[Py<PyType>; 4]> = PyOnceLock::new();
        let classes = CLASSES.get_or_try_init(py, || -> PyResult<_> {
            let module = py.import("tagwise.errors")?;
            let class = |name: &str| -> PyResult<Py<PyType>> {
                Ok(module.getattr(name)?.cast_into::<PyType>()?.unbind())
            };
            Ok([
                class("TagwiseError")?,
                class("TagwiseValueError")?,
                class("TagwiseFileError")?,
                class("TagwiseFileNotFoundError")?,
            ])
        });
        match classes {
            Ok(classes) => PyErr::from_type(classes[self as usize].bind(py).clone(), (sentence,)),
            Err(_) => PyException::new_err(sentence),
        }
    }
}
