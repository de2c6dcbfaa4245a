use std::path::{Path, PathBuf};

/// What can go wrong in this crate, with the numbers a person needs to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting lies outside the range that makes sense.
    #[error("expected {name} {requirement}, found {found}")]
    OutOfRange {
        /// Name of the setting.
        name: &'static str,
        /// What holds for a legal value, for example "greater than 0".
        requirement: String,
        /// The value found, as a person writes it.
        found: String,
    },

    /// Two things that belong together differ in size.
    #[error("expected {expected} {what}, found {found}")]
    SizeMismatch {
        /// What is counted, for example "pixels".
        what: &'static str,
        /// The size that the other thing asks for.
        expected: usize,
        /// The size found.
        found: usize,
    },

    /// A composed image asks for a class of which there is no source image.
    #[error(
        "label set {set} cannot be composed: no source image of class {label}; \
         leave the set out or add source images"
    )]
    NoSourceImage {
        /// The label set asked for.
        set: tagwise_base::LabelSet,
        /// The class without images.
        label: u32,
    },

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

    /// No mirror gave a file.
    #[error("{file} could not be fetched: {reasons}{kept}")]
    Fetch {
        /// Name of the file.
        file: String,
        /// What each mirror did.
        reasons: String,
        /// What is left for the next try, as an end of the sentence; empty for nothing.
        kept: String,
    },

    /// A file does not have the sizes that another one has set.
    #[error("expected {expected} {what} like {like}, found {found} in {}", .path.display())]
    Unlike {
        /// What is counted, for example "features".
        what: &'static str,
        /// The size that the other file has set.
        expected: usize,
        /// The other file, for example "the training samples in train.npz".
        like: String,
        /// The size found.
        found: usize,
        /// The file.
        path: PathBuf,
    },

    /// The mathematics refuses what a file holds.
    #[error("{place}: {source}")]
    Within {
        /// The file, or what it is a part of.
        place: String,
        /// What is wrong.
        source: tagwise_base::Error,
    },

    /// From the mathematics: a label that is no class, a dump that is none.
    #[error(transparent)]
    Mathematics(#[from] tagwise_base::Error),
}

impl Error {
    /// Whether the mistake lies in what was asked for, not in a file or a connection.
    pub fn is_about_settings(&self) -> bool {
        matches!(self, Self::OutOfRange { .. } | Self::NoSourceImage { .. })
    }

    pub(crate) fn format(path: &Path, message: String) -> Self {
        Self::Format {
            path: path.to_path_buf(),
            message,
        }
    }

    pub(crate) fn within(path: &Path, source: tagwise_base::Error) -> Self {
        Self::Within {
            place: path.display().to_string(),
            source,
        }
    }

    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
