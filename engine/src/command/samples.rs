//! The commands that read samples.

use std::path::PathBuf;

use tagwise::head::FittedHead;
use tagwise::words::counted;
use tagwise_engine::session::Settings;
use tagwise_engine::workflow::{self, Comparison, Decoding, LabelColumns, Reduction, Search};
use tagwise_engine::{Error, Result};

use super::output;

/// How the work is done.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The scheduler of a cluster, such as df://10.0.0.1:50050; this process does the work when absent
    #[arg(long, value_name = "URL")]
    scheduler: Option<String>,

    /// Into how many parts files are cut that are read at once; one for each core of this machine, or
    /// 16 on a cluster, when absent
    #[arg(long, value_name = "N", value_parser = whole)]
    partitions: Option<usize>,

    /// Rows of a batch; as many as are good for the features when absent
    #[arg(long, value_name = "N", value_parser = whole)]
    batch_rows: Option<usize>,

    /// Memory that the states of a query may take in this process, such as 8GiB; no limit when absent.
    /// Executors of a cluster have their own
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<usize>,

    /// The folder that this process spills to
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
}

impl Run {
    pub fn settings(&self) -> Settings {
        Settings {
            scheduler: self.scheduler.clone(),
            partitions: self.partitions,
            batch_rows: self.batch_rows,
            memory: self.memory,
            work_dir: self.work_dir.clone(),
        }
    }
}

/// Where label sets are.
#[derive(Debug, clap::Args)]
struct Labels {
    /// The column of label sets: lists of numbers or of names; label_ids or labels when absent
    #[arg(long, value_name = "COLUMN", conflicts_with = "label_columns")]
    labels: Option<String>,

    /// One column of 0 and 1 for each class instead, in the order of the classes
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    label_columns: Vec<String>,

    /// What the classes are called, in their order, where lists hold names; @FILE reads them from a
    /// file, one a line
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    class_names: Vec<String>,

    /// Number of classes K, where the files do not state it
    #[arg(long, short = 'k', value_name = "K", value_parser = whole)]
    classes: Option<usize>,
}

impl Labels {
    fn columns(&self) -> Result<LabelColumns> {
        let names = match self.class_names.as_slice() {
            [file] if file.starts_with('@') => {
                let file = &file[1..];
                let text = std::fs::read_to_string(file)
                    .map_err(|error| Error::Failed(format!("{file}: {error}")))?;
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                lines.map(str::to_string).collect()
            }
            names => names.to_vec(),
        };
        Ok(LabelColumns {
            column: self.labels.clone(),
            columns: self.label_columns.clone(),
            names,
            num_classes: self.classes.map(|classes| classes as u64),
        })
    }
}

/// Reduce features to statistics, one file for each group of rows
///
/// Parquet files with a column of features (lists of 16, 32 or 64 bit numbers) and one of label sets
/// become one .ncs file for each combination of what --by names: columns, or folders such as
/// layer=3/epoch=10. `tagwise analyze DIR/*.ncs` measures and draws them. Folders are better than
/// columns: each combination is then a query of its own, nothing is sorted or sent, and one state at a
/// time is in memory.
///
/// The samples in the result and those left out are compared with the footers of the files, always.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tagwise-cluster stats features/ --by layer,epoch --classes 80 --out stats
  tagwise-cluster stats s3://bucket/features/ --classes 80 --out stats --scheduler df://10.0.0.1:50050")]
pub struct Stats {
    /// Files, folders, patterns in quotes, or URLs (s3://, gs://, https://)
    #[arg(required = true, value_name = "PLACE")]
    places: Vec<String>,

    /// The folder of the .ncs files
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,

    /// Columns or folders whose values make groups
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    by: Vec<String>,

    /// The column of features
    #[arg(long, value_name = "COLUMN", default_value = "features")]
    features: String,

    #[command(flatten)]
    labels: Labels,

    /// Leave out rows that do not meet this SQL condition, and count them
    #[arg(long, value_name = "SQL")]
    r#where: Option<String>,

    /// What is kept of the scatter: full takes about 4·d² bytes per multiplicity, trace leaves out NC1
    #[arg(long, value_enum, default_value_t = Scatter::Full)]
    scatter: Scatter,

    /// Leave out samples whose features hold NaN or infinity, and count them
    #[arg(long)]
    skip_non_finite: bool,

    /// The classifier on top of the features, which NC2 of the classifier and NC3 need
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,

    #[command(flatten)]
    run: Run,

    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Scatter {
    Full,
    Trace,
}

impl Stats {
    pub async fn run(&self) -> Result<()> {
        let head = self.head.as_deref().map(FittedHead::read).transpose()?;
        let reduction = Reduction {
            places: self.places.clone(),
            features: self.features.clone(),
            labels: self.labels.columns()?,
            by: self.by.clone(),
            filter: self.r#where.clone(),
            full_scatter: self.scatter == Scatter::Full,
            skip_non_finite: self.skip_non_finite,
            classifier: head.map(|head| head.classifier),
            out: self.out.clone(),
        };
        let done = workflow::stats(&reduction, &self.run.settings()).await?;
        let mut lines = format!(
            "{} of {} in {}: {} in {}",
            counted(done.num_samples as usize, "sample"),
            counted(done.num_rows as usize, "row"),
            counted(done.num_files, "file"),
            counted(done.groups.len(), "state"),
            self.out.display()
        );
        for (count, what) in [
            (done.num_filtered, "filtered"),
            (done.num_skipped, "not finite"),
        ] {
            if count > 0 {
                lines.push_str(&format!(", {count} left out ({what})"));
            }
        }
        output::answer(self.json, &done, &lines)
    }
}

/// Decode features to label sets by a decoder that `tagwise decode --save` wrote
///
/// Writes a folder of Parquet files with the columns --keep names, label_ids (numbers of classes), and
/// score and margin for one-nearest-neighbour decoding. Rows come in any order.
#[derive(Debug, clap::Args)]
pub struct Decode {
    /// Files, folders, patterns in quotes, or URLs
    #[arg(required = true, value_name = "PLACE")]
    places: Vec<String>,

    /// The decoder
    #[arg(long, value_name = "FILE")]
    decoder: PathBuf,

    /// The folder of the answers, which must be new, or a URL
    #[arg(long, short, value_name = "DIR")]
    out: String,

    /// Columns that are kept beside the answers, such as what names a sample
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    keep: Vec<String>,

    /// The column of features
    #[arg(long, value_name = "COLUMN", default_value = "features")]
    features: String,

    #[command(flatten)]
    run: Run,

    /// Print one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

impl Decode {
    pub async fn run(&self) -> Result<()> {
        let decoding = Decoding {
            places: self.places.clone(),
            features: self.features.clone(),
            decoder: self.decoder.clone(),
            keep: self.keep.clone(),
            out: self.out.clone(),
        };
        let done = workflow::decode(&decoding, &self.run.settings()).await?;
        let line = format!(
            "{} decoded: {} in {}",
            counted(done.num_samples as usize, "sample"),
            counted(done.num_written, "file"),
            done.out
        );
        output::answer(self.json, &done, &line)
    }
}

/// Compare predicted with true label sets, by scikit-learn's definitions
///
/// Both are columns of the same files, or the truth is in others (--truth) and a column names the
/// sample in both (--key). Average precision needs all scores at once and is left to
/// `tagwise evaluate`.
#[derive(Debug, clap::Args)]
pub struct Evaluate {
    /// Predictions: files, folders, patterns in quotes, or URLs
    #[arg(required = true, value_name = "PLACE")]
    places: Vec<String>,

    /// The column of predicted labels
    #[arg(long, value_name = "COLUMN", default_value = "label_ids")]
    predicted: String,

    /// The true labels, where other files hold them
    #[arg(long, value_name = "PLACE")]
    truth: Vec<String>,

    /// The column that names a sample in the predictions and in the truth
    #[arg(long, value_name = "COLUMN", requires = "truth")]
    key: Option<String>,

    #[command(flatten)]
    labels: Labels,

    #[command(flatten)]
    run: Run,

    /// Print one JSON object, which has the counts of each label too
    #[arg(long)]
    json: bool,
}

impl Evaluate {
    pub async fn run(&self) -> Result<()> {
        let mut labels = self.labels.columns()?;
        if self.truth.is_empty() && labels.column.is_none() && labels.columns.is_empty() {
            labels.column = Some("labels".into());
        }
        let comparison = Comparison {
            places: self.places.clone(),
            predicted: self.predicted.clone(),
            truth: self.truth.clone(),
            key: self.key.clone(),
            labels,
        };
        let (evaluation, counts) = workflow::evaluate(&comparison, &self.run.settings()).await?;
        let failed = |error: serde_json::Error| Error::Failed(error.to_string());
        let mut value = serde_json::to_value(&evaluation).map_err(failed)?;
        let mut lines = String::new();
        for (name, value) in value.as_object().into_iter().flatten() {
            match value.as_f64() {
                Some(number) if value.is_f64() => {
                    lines.push_str(&format!("{name:<32} {number:.4}\n"))
                }
                Some(_) => lines.push_str(&format!("{name:<32} {value}\n")),
                None => {}
            }
        }
        value["labels"] = serde_json::to_value(counts.labels()).map_err(failed)?;
        output::answer(self.json, &value, &lines)
    }
}

/// List the samples farthest from the mean of their label set
///
/// Far samples are outliers as often as wrong labels; `tagwise analyze` tells those apart on one
/// machine.
#[derive(Debug, clap::Args)]
pub struct Worst {
    /// Files, folders, patterns in quotes, or URLs
    #[arg(required = true, value_name = "PLACE")]
    places: Vec<String>,

    /// The statistics of these samples, which `stats` wrote
    #[arg(long, value_name = "FILE")]
    state: PathBuf,

    /// Columns that name a sample
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', required = true)]
    keep: Vec<String>,

    /// How many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10, value_parser = whole)]
    count: usize,

    /// The column of features
    #[arg(long, value_name = "COLUMN", default_value = "features")]
    features: String,

    #[command(flatten)]
    labels: Labels,

    #[command(flatten)]
    run: Run,

    /// Print one JSON object for each sample instead of a table
    #[arg(long)]
    json: bool,
}

impl Worst {
    pub async fn run(&self) -> Result<()> {
        let search = Search {
            places: self.places.clone(),
            features: self.features.clone(),
            labels: self.labels.columns()?,
            state: self.state.clone(),
            keep: self.keep.clone(),
            count: self.count,
        };
        let found = workflow::worst(&search, &self.run.settings()).await?;
        output::rows(self.json, &found)
    }
}

/// A whole number above 0.
pub fn whole(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("expected a whole number above 0, found {text}")),
    }
}

/// Bytes, such as 512MiB or 8GiB.
pub fn size(text: &str) -> std::result::Result<usize, String> {
    const UNITS: [(&str, usize); 7] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
        .unwrap_or((text, 1));
    let bytes = number
        .trim()
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    bytes.ok_or_else(|| format!("expected a size such as 512MiB or 8GiB, found {text}"))
}
