/// What can go wrong when a report is drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A matrix to be drawn is not K×K for the K names given.
    #[error("heat map {title:?}: expected {expected} values in {place}, found {found}")]
    HeatMapShape {
        /// Title of the heat map.
        title: String,
        /// The number of names K.
        expected: usize,
        /// "rows" or the row at fault.
        place: String,
        /// The number found.
        found: usize,
    },

    /// A row of a table does not have one cell for each column.
    #[error("table {title:?}: expected {expected} cells in row {row}, found {found}")]
    TableShape {
        /// Title of the table.
        title: String,
        /// Number of columns.
        expected: usize,
        /// Row at fault, from 0.
        row: usize,
        /// The number found.
        found: usize,
    },

    /// The pixels of a contact sheet do not fit its examples.
    #[error(
        "contact sheet: expected {expected} bytes for {num_examples} images of {height}×{width}×{channels}, found {found}"
    )]
    PixelCount {
        /// num_examples · height · width · channels.
        expected: usize,
        /// Number of examples.
        num_examples: usize,
        /// Rows of one image.
        height: usize,
        /// Columns of one image.
        width: usize,
        /// Channels of one image.
        channels: usize,
        /// The number of bytes found.
        found: usize,
    },

    /// Only grey and colour images can be shown.
    #[error("contact sheet: expected images of 1 or 3 channels, found {0}")]
    Channels(usize),

    /// The image encoder refused the sprite.
    #[error("contact sheet: {0}")]
    Png(#[from] png::EncodingError),

    /// Two inputs that belong together differ in size.
    #[error("expected {expected} {what}, found {found}")]
    SizeMismatch {
        /// What is counted.
        what: &'static str,
        /// The size that the other input asks for.
        expected: usize,
        /// The size found.
        found: usize,
    },

    /// The class means do not span a plane.
    #[error("{0}")]
    NoPlane(String),

    /// A comparison needs at least one report.
    #[error("expected at least one run to compare, found none")]
    NothingToCompare,

    /// The settings of an experiment cannot be listed.
    #[error("the settings of the experiment cannot be listed: {0}")]
    Settings(String),

    /// The name of a file does not say in which format a report is to be written.
    #[error("{}: expected a name that ends in .html, .svg, .csv or .json", .0.display())]
    PageFormat(std::path::PathBuf),

    /// One picture was asked for, and the report has none.
    #[error(
        "expected a report with a picture to write as .svg, found only numbers; write it as .html"
    )]
    NoPicture,

    /// The data of a report cannot be written as JSON, or JSON is something else.
    #[error("{0}")]
    Json(#[from] serde_json::Error),

    /// A folder is not that of a run.
    #[error(
        "{}: expected the folder of a run, with report.json or with config.toml and \
         metrics.jsonl, found neither", .0.display()
    )]
    NoRun(std::path::PathBuf),

    /// A file is not a report.
    #[error("{}: expected a report that tagwise has written: {source}", path.display())]
    NotAReport {
        /// The file.
        path: std::path::PathBuf,
        /// What it is instead.
        source: Box<Error>,
    },

    /// The files of a run cannot be read.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Run(Box<tagwise_train::Error>),

    /// The mathematics, or a file, has no answer.
    #[error(transparent)]
    Mathematics(#[from] tagwise::Error),
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
