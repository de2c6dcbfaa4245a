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
        set: tagwise::LabelSet,
        /// The class without images.
        label: u32,
    },

    /// A label is not one of the classes, or another fact about targets.
    #[error(transparent)]
    Targets(#[from] tagwise::Error),
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
