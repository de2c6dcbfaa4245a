//! The forms of files and JSON that Tagwise writes, each with its version.
//!
//! A form changes only by additions within a version. What is of a later version is refused by every
//! reader in one sentence; what states none was written before there were versions, or by others, and
//! is read as it stands.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The key of a file's metadata that names the form.
pub(crate) const FORMAT: &str = "format";

/// The key that states its version.
pub(crate) const VERSION: &str = "version";

/// What a file or a JSON object of Tagwise is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Features with label sets and a classifier.
    Snapshot,
    /// A multi-label head.
    Head,
    /// A decoder.
    Decoder,
    /// Saved statistics.
    Statistics,
    /// The weights of a network.
    Weights,
    /// What an interrupted run goes on from.
    Checkpoint,
    /// A data set of images.
    Images,
    /// What new images must be for a network: `network.json`.
    Network,
    /// What was measured after an epoch: a line of `metrics.jsonl`.
    Epoch,
    /// The pictures of an epoch: a line of `frames.jsonl`.
    Frame,
    /// The final tables of a run: `summary.json`.
    Summary,
    /// A report as data.
    Report,
    /// What a command prints or writes as JSON.
    Answer,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 13] = [
        Self::Snapshot,
        Self::Head,
        Self::Decoder,
        Self::Statistics,
        Self::Weights,
        Self::Checkpoint,
        Self::Images,
        Self::Network,
        Self::Epoch,
        Self::Frame,
        Self::Summary,
        Self::Report,
        Self::Answer,
    ];

    /// The version that this program writes, and the last that it reads.
    pub const fn version(self) -> u32 {
        match self {
            Self::Snapshot
            | Self::Head
            | Self::Decoder
            | Self::Statistics
            | Self::Weights
            | Self::Checkpoint
            | Self::Images
            | Self::Network
            | Self::Epoch
            | Self::Frame
            | Self::Summary
            | Self::Report
            | Self::Answer => 1,
        }
    }

    /// The name in the metadata of a file: `tagwise snapshot`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "tagwise snapshot",
            Self::Head => "tagwise head",
            Self::Decoder => "tagwise decoder",
            Self::Statistics => "tagwise statistics",
            Self::Weights => "tagwise weights",
            Self::Checkpoint => "tagwise checkpoint",
            Self::Images => "tagwise images",
            Self::Network => "tagwise network",
            Self::Epoch => "tagwise epoch",
            Self::Frame => "tagwise frame",
            Self::Summary => "tagwise summary",
            Self::Report => "tagwise report",
            Self::Answer => "tagwise answer",
        }
    }

    /// The form of this name; `None` for files of others.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name() == name)
    }

    /// Whether this program knows what a file of this version holds.
    ///
    /// ```
    /// use tagwise_base::form::Form;
    ///
    /// assert!(Form::Report.check(Some(1)).is_ok() && Form::Report.check(None).is_ok());
    /// assert_eq!(
    ///     Form::Report.check(Some(2)).unwrap_err().to_string(),
    ///     "tagwise report: expected version 1 at most, found 2; read it with a newer program"
    /// );
    /// ```
    ///
    /// # Errors
    /// [`Error::Malformed`] for a version after [`version`](Self::version).
    pub fn check(self, found: Option<u32>) -> Result<()> {
        match found {
            Some(found) if found > self.version() => Err(self.too_new(&found.to_string())),
            _ => Ok(()),
        }
    }

    /// [`check`](Self::check) of the version that a file's metadata state.
    ///
    /// # Errors
    /// As [`check`](Self::check), and for what is no number.
    pub(crate) fn check_text(self, found: Option<&str>) -> Result<()> {
        match found.map(|text| (text, text.parse())) {
            None => Ok(()),
            Some((_, Ok(version))) => self.check(Some(version)),
            Some((text, Err(_))) => Err(self.too_new(text)),
        }
    }

    fn too_new(self, found: &str) -> Error {
        Error::Malformed(format!(
            "{}: expected version {} at most, found {found}; read it with a newer program",
            self.name(),
            self.version()
        ))
    }

    /// The value with the version of its form in front.
    ///
    /// The value must be written as an object.
    pub const fn versioned<T>(self, value: T) -> Versioned<T> {
        Versioned {
            version: Some(self.version()),
            value,
        }
    }
}

/// An object of JSON with the version of its [`Form`]; none where it was written before there were
/// versions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// The version.
    #[serde(default)]
    pub version: Option<u32>,
    /// Everything else.
    #[serde(flatten)]
    pub value: T,
}

/// The version alone, to be [checked](Form::check) before the rest is read.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Stated {
    /// The version, if there is one.
    #[serde(default)]
    pub version: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_a_name_of_its_own() {
        for form in Form::ALL {
            assert_eq!(Form::named(form.name()), Some(form));
        }
        assert_eq!(Form::named("pt"), None);
    }

    #[test]
    fn later_versions_are_refused_and_earlier_ones_read() {
        for form in Form::ALL {
            let next = form.version() + 1;
            for good in [None, Some(form.version())] {
                assert!(form.check(good).is_ok());
            }
            let refused = form.check(Some(next)).unwrap_err().to_string();
            assert!(refused.contains(&format!("found {next}; read it with a newer program")));
        }
        assert!(Form::Head.check_text(Some("1")).is_ok() && Form::Head.check_text(None).is_ok());
        for bad in ["2", "1.5", "", "99999999999"] {
            assert!(Form::Head.check_text(Some(bad)).is_err(), "{bad:?}");
        }
    }
}
