use std::path::{Path, PathBuf};

/// What can go wrong in this crate, with the numbers a person needs to mend it.
///
/// A sentence that advises an option of the readers names it as `(option leave-out)`: each front end
/// has its own spelling of options and may write it in the place of these words.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A label is not one of the classes.
    #[error(
        "expected labels 0 to {last}, found {label} in sample {sample}; check the number of classes",
        last = .num_classes.saturating_sub(1)
    )]
    LabelOutOfRange {
        /// Row of the sample, from 0.
        sample: usize,
        /// The label found.
        label: u32,
        /// Number of classes K.
        num_classes: usize,
    },

    /// A multi-hot target holds something other than 0 and 1.
    #[error("expected targets of 0 and 1, found {value} at row {row}, column {column}")]
    TargetNotBinary {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The value found.
        value: f64,
    },

    /// Two inputs that belong together differ in size.
    #[error("expected {expected} {what}, found {found}")]
    SizeMismatch {
        /// What is counted, for example "rows of targets".
        what: &'static str,
        /// The size that the other input asks for.
        expected: usize,
        /// The size found.
        found: usize,
    },

    /// A number is NaN or infinite where a finite one is needed.
    #[error("expected finite numbers, found {value} in {what} at row {row}, column {column}")]
    NotFinite {
        /// Which array.
        what: &'static str,
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The value found.
        value: f64,
    },

    /// Rows of features hold NaN or infinity.
    #[error(
        "{}expected finite features, found NaN or infinity in {count} of {num_rows} rows, first in row {first}; mend them or leave them out",
        .path.as_ref().map_or(String::new(), |path| format!("{}: ", path.display()))
    )]
    NonFiniteRows {
        /// The file, where the features come from one.
        path: Option<PathBuf>,
        /// How many rows.
        count: usize,
        /// Rows of the file.
        num_rows: usize,
        /// The first of them, from 0.
        first: usize,
    },

    /// A setting lies outside the range where the mathematics holds.
    #[error("expected {name} {requirement}, found {found}")]
    OutOfRange {
        /// Name of the argument.
        name: &'static str,
        /// What holds for a legal value, for example "greater than 0".
        requirement: &'static str,
        /// The value found, as a person writes it.
        found: String,
    },

    /// No simplex ETF fits into so few dimensions.
    #[error(
        "no simplex ETF of {num_classes} classes exists in {dim} dimensions; use at least {}",
        .num_classes - 1
    )]
    NoSimplexEtf {
        /// Number of classes K.
        num_classes: usize,
        /// Feature dimension d.
        dim: usize,
    },

    /// The data cannot answer what was asked.
    #[error("{0}")]
    Undefined(String),

    /// A text names no label.
    #[error("expected {expected}, found {found:?}")]
    UnknownLabel {
        /// What would name one, for example "the number of a label".
        expected: String,
        /// The text found.
        found: String,
    },

    /// Something that was not given is needed.
    #[error("{purpose} needs {what}, found none")]
    Missing {
        /// What is missing, for example "training samples".
        what: &'static str,
        /// What it is for.
        purpose: &'static str,
    },

    /// A progress callback ended the work before it was done.
    #[error("stopped before the work was done")]
    Interrupted,

    /// A line of a text is not what it is read as.
    #[error("{}line {line}: {message}", .path.as_ref().map_or(String::new(), |path| format!("{}, ", path.display())))]
    Line {
        /// The file, where the text comes from one.
        path: Option<PathBuf>,
        /// The line, from 1.
        line: usize,
        /// What was expected, what was found and what to do.
        message: String,
    },

    /// Bytes are not those of a whole safetensors file.
    #[error("expected a safetensors file, found something else or only a part of one ({problem})")]
    NotTensors {
        /// What the reader stumbled over.
        problem: String,
    },

    /// Bytes are not what they should be: what was expected, what was found and what to do.
    #[error("{0}")]
    Malformed(String),

    /// A file is not what its name or place says.
    #[error("{}: {message}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was expected, what was found and what to do.
        message: String,
    },

    /// The operating system refused a file.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: std::io::Error,
    },
}

impl Error {
    /// Says in which file the bytes or lines were that are not what they should be; other errors
    /// stay as they are.
    #[must_use]
    pub fn in_file(self, path: &Path) -> Self {
        match self {
            Self::NotTensors { .. } | Self::Malformed(_) => Self::Format {
                path: path.to_path_buf(),
                message: self.to_string(),
            },
            Self::Line { line, message, .. } => Self::Line {
                path: Some(path.to_path_buf()),
                line,
                message,
            },
            other => other,
        }
    }

    /// What is wrong, without the file, which somebody else names.
    pub(crate) fn without_path(self) -> String {
        match self {
            Self::Format { message, .. } => message,
            other => other.to_string(),
        }
    }

    /// Moves a row number found in a block to its place in the whole, where the block began at
    /// row `first`.
    #[must_use]
    pub fn at_row(self, first: usize) -> Self {
        match self {
            Self::NotFinite {
                what,
                row,
                column,
                value,
            } => Self::NotFinite {
                what,
                row: row + first,
                column,
                value,
            },
            other => other,
        }
    }
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
