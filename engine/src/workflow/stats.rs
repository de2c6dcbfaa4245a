//! `stats`: one state of statistics for each group of rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use tagwise::LinearClassifier;
use tagwise::statistics::StatisticsFile;

use super::labels::{LabelColumns, LabelSets};
use super::progress::Progress;
use super::{check_filter, check_rows, diagnose, numbers, quoted, text};
use crate::function::Chunks;
use crate::session::Settings;
use crate::source::Source;
use crate::{Error, Result};

/// Jobs that a cluster is given at once, where folders make one of each group.
const JOBS_AT_ONCE: usize = 4;

/// Numbers of features in a batch: small enough for the cache, large enough for products.
const BATCH_NUMBERS: usize = 1 << 21;

/// What is reduced to statistics, and how.
#[derive(Clone, Debug)]
pub struct Reduction {
    /// Paths, folders, patterns and URLs.
    pub places: Vec<String>,
    /// The column of features.
    pub features: String,
    /// Where label sets are.
    pub labels: LabelColumns,
    /// Columns or folders that make groups.
    pub by: Vec<String>,
    /// An SQL condition that rows must meet.
    pub filter: Option<String>,
    /// Whether the d×d scatter is kept or its trace alone.
    pub full_scatter: bool,
    /// Whether rows with NaN or infinity are left out and counted.
    pub skip_non_finite: bool,
    /// The classifier on top of the features, which goes into every file.
    pub classifier: Option<LinearClassifier>,
    /// The folder of the `.ncs` files.
    pub out: PathBuf,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupSummary {
    /// The value of each column of `by`.
    pub by: BTreeMap<String, String>,
    /// Samples in the state.
    pub num_samples: u64,
    /// Rows left out for NaN or infinity.
    pub num_skipped: u64,
    /// Distinct label sets.
    pub num_label_sets: usize,
    /// Feature dimension d.
    pub dim: usize,
    /// The file.
    pub file: PathBuf,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatsSummary {
    /// Files read.
    pub num_files: usize,
    /// Rows as the footers state.
    pub num_rows: u64,
    /// Rows that the filter left out.
    pub num_filtered: u64,
    /// Rows left out for NaN or infinity.
    pub num_skipped: u64,
    /// Samples in all states: rows less those left out.
    pub num_samples: u64,
    /// Number of classes K.
    pub num_classes: u64,
    /// Every group, in order.
    pub groups: Vec<GroupSummary>,
}

/// Reads all files once and writes a `.ncs` file for each group.
///
/// The samples in the states and the rows left out must be as many as the footers state; anything else
/// is an error.
///
/// # Errors
/// [`Error::Usage`] for what cannot be meant; [`Error::Failed`] with the name of the file where one is
/// at fault.
pub async fn stats(reduction: &Reduction, settings: &Settings) -> Result<StatsSummary> {
    let lister = settings.local_session()?;
    let source = Source::open(&lister, &reduction.places).await?;
    let labels = reduction.labels.of(&source)?;
    let plan = Plan::new(reduction, &source, &labels)?;
    plan.check(&lister, &source)?;
    if source.num_rows() == 0 {
        return Err(Error::Failed(format!(
            "{}: expected samples, found none in {} files",
            reduction.places.join(", "),
            source.files.len()
        )));
    }
    std::fs::create_dir_all(&reduction.out)
        .map_err(|error| Error::Failed(format!("{}: {error}", reduction.out.display())))?;
    let settings = &Settings {
        batch_rows: settings.batch_rows.or(plan.batch_rows(&source)),
        ..settings.clone()
    };
    let session = settings.session().await?;
    let progress = Progress::start("stats", source.num_rows(), settings.scheduler.is_none());
    let parts = source.split(&plan.folders);
    let at_once = if settings.scheduler.is_some() {
        JOBS_AT_ONCE
    } else {
        1
    };
    let done: Result<Vec<Vec<GroupSummary>>> = futures::stream::iter(parts.into_iter().enumerate())
        .map(|(number, (folders, part))| plan.reduce(&session, number, folders, part))
        .buffered(at_once)
        .try_collect()
        .await;
    drop(progress);
    let groups = match done {
        Ok(groups) => groups.into_iter().flatten().collect::<Vec<_>>(),
        Err(error) => {
            return Err(diagnose::name_the_file(error, &plan.queries(), &source, settings).await);
        }
    };
    plan.finish(&session, &source, groups).await
}

/// The query, worked out.
struct Plan<'a> {
    reduction: &'a Reduction,
    labels: &'a LabelSets,
    /// Columns of `by` that folders stand for: each combination is a query of its own, so that nothing
    /// is shuffled and one state at a time is in memory.
    folders: Vec<String>,
    /// Columns of `by` in the files.
    columns: Vec<String>,
}

impl<'a> Plan<'a> {
    fn new(reduction: &'a Reduction, source: &Source, labels: &'a LabelSets) -> Result<Self> {
        let of_folders = source.folders();
        let schema = source.schema();
        let (mut folders, mut columns) = (Vec::new(), Vec::new());
        for name in &reduction.by {
            if schema.field_with_name(name).is_ok() {
                columns.push(name.clone());
            } else if of_folders.contains(name) {
                folders.push(name.clone());
            } else {
                return Err(Error::Usage(format!(
                    "expected --by to name columns or folders such as {name}=1, found {name}, which is \
                     neither in every file"
                )));
            }
        }
        let distinct: BTreeSet<&String> = reduction.by.iter().collect();
        if distinct.len() < reduction.by.len() {
            return Err(Error::Usage("expected every name in --by once".into()));
        }
        Ok(Self {
            reduction,
            labels,
            folders,
            columns,
        })
    }

    /// Refuses what files say about themselves and cannot be right.
    fn check(&self, session: &SessionContext, source: &Source) -> Result<()> {
        let mut columns: Vec<&str> = self.labels.columns.iter().map(String::as_str).collect();
        columns.extend(self.columns.iter().map(String::as_str));
        source.check_columns(&columns)?;
        // Layers may differ in dimension where folders keep them apart.
        for (_, part) in source.split(&self.folders) {
            part.check_columns(&[&self.reduction.features])?;
        }
        if let Some(filter) = &self.reduction.filter {
            check_filter(session, source, filter)?;
        }
        Ok(())
    }

    /// Rows of a batch for these features.
    fn batch_rows(&self, source: &Source) -> Option<usize> {
        let schema = source.schema();
        let field = schema.field_with_name(&self.reduction.features).ok()?;
        match field.data_type() {
            DataType::FixedSizeList(_, dim) => {
                Some((BATCH_NUMBERS / (*dim).max(1) as usize).clamp(256, 8192))
            }
            _ => Some(2048),
        }
    }

    fn state(&self) -> String {
        let options = match (self.reduction.full_scatter, self.reduction.skip_non_finite) {
            (true, false) => "full",
            (true, true) => "full,skip-non-finite",
            (false, false) => "trace",
            (false, true) => "trace,skip-non-finite",
        };
        format!(
            "nc_state({}, {}, {}, {})",
            quoted(&self.reduction.features),
            self.labels.expression,
            self.labels.num_classes,
            text(options)
        )
    }

    fn filter(&self) -> String {
        let filter = self.reduction.filter.as_ref();
        filter.map_or(String::new(), |filter| format!(" WHERE {filter}"))
    }

    fn queries(&self) -> diagnose::Query {
        diagnose::Query {
            state: self.state(),
            filter: self.filter(),
        }
    }

    /// The states of the groups in these files.
    async fn reduce(
        &self,
        session: &SessionContext,
        number: usize,
        folders: BTreeMap<String, String>,
        part: Source,
    ) -> Result<Vec<GroupSummary>> {
        let table = format!("samples_{number}");
        session.register_table(table.as_str(), part.table()?)?;
        let (mut keys, mut names) = (String::new(), Vec::new());
        for (place, column) in self.columns.iter().enumerate() {
            keys.push_str(&format!(
                "CAST({} AS VARCHAR) AS by_{place}, ",
                quoted(column)
            ));
            names.push(format!("by_{place}"));
        }
        let group = match names.is_empty() {
            true => String::new(),
            false => format!(
                " GROUP BY {}",
                (1..=names.len())
                    .map(|n| n.to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        names.extend([
            "num_rows".to_string(),
            "unnest(nc_chunks(state)) AS chunk".to_string(),
        ]);
        let query = format!(
            "SELECT {} FROM (SELECT {keys}count(*) AS num_rows, {} AS state FROM {table}{}{group})",
            names.join(", "),
            self.state(),
            self.filter(),
        );
        let mut stream = session.sql(&query).await?.execute_stream().await?;
        let mut open: BTreeMap<Vec<String>, (u64, Chunks)> = BTreeMap::new();
        let mut groups = Vec::new();
        while let Some(batch) = stream.next().await {
            self.take(&batch?, &folders, &mut open, &mut groups)?;
        }
        session.deregister_table(table.as_str())?;
        if let Some((by, _)) = open.first_key_value() {
            return Err(Error::Failed(format!(
                "expected all chunks of group {}, found a part",
                by.join(", ")
            )));
        }
        Ok(groups)
    }

    /// Puts chunks of states together, and writes those that are complete.
    fn take(
        &self,
        batch: &RecordBatch,
        folders: &BTreeMap<String, String>,
        open: &mut BTreeMap<Vec<String>, (u64, Chunks)>,
        groups: &mut Vec<GroupSummary>,
    ) -> Result<()> {
        let num_keys = self.columns.len();
        let rows = batch.column(num_keys).as_primitive::<Int64Type>();
        let chunks = batch.column(num_keys + 1).as_binary::<i64>();
        let text = |place| cast(batch.column(place), &DataType::Utf8);
        let keys = (0..num_keys)
            .map(text)
            .collect::<std::result::Result<Vec<_>, _>>();
        let keys = keys.map_err(|error| Error::Failed(error.to_string()))?;
        for row in 0..batch.num_rows() {
            if chunks.is_null(row) {
                continue; // no sample
            }
            let key = keys.iter().map(|values| {
                let values = values.as_string::<i32>();
                match values.is_null(row) {
                    true => "null".to_string(),
                    false => values.value(row).to_string(),
                }
            });
            let key: Vec<String> = key.collect();
            let entry = open.entry(key.clone()).or_default();
            entry.0 = rows.value(row) as u64;
            entry.1.push(chunks.value(row)).map_err(Error::Failed)?;
            if entry.1.is_complete() {
                let (num_rows, chunks) = open.remove(&key).unwrap_or_default();
                let mut by = folders.clone();
                by.extend(self.columns.iter().cloned().zip(key));
                groups.push(self.write(by, num_rows, chunks.finish().map_err(Error::Failed)?)?);
            }
        }
        Ok(())
    }

    /// Writes the file of a group.
    fn write(
        &self,
        by: BTreeMap<String, String>,
        num_rows: u64,
        bytes: Vec<u8>,
    ) -> Result<GroupSummary> {
        let mut file = StatisticsFile::from_bytes(&bytes)?;
        drop(bytes);
        file.classifier = self.reduction.classifier.clone();
        let statistics = &file.statistics;
        let num_samples = statistics.num_samples();
        let num_skipped = num_rows.checked_sub(num_samples).ok_or_else(|| {
            Error::Failed(format!(
                "expected at most {num_rows} samples in a group, found {num_samples}"
            ))
        })?;
        if num_skipped > 0 && !self.reduction.skip_non_finite {
            check_rows("stats", num_rows, num_samples)?;
        }
        let path = self.reduction.out.join(file_name(&self.reduction.by, &by));
        let summary = GroupSummary {
            num_samples,
            num_skipped,
            num_label_sets: statistics.label_sets().len(),
            dim: statistics.dim(),
            file: path,
            by,
        };
        file.write(&summary.file)?;
        Ok(summary)
    }

    /// Compares the number of samples with the footers.
    async fn finish(
        &self,
        session: &SessionContext,
        source: &Source,
        mut groups: Vec<GroupSummary>,
    ) -> Result<StatsSummary> {
        let num_rows = source.num_rows();
        let num_filtered = match &self.reduction.filter {
            None => 0,
            Some(filter) => {
                session.register_table("all_samples", source.table()?)?;
                let query =
                    format!("SELECT count(*), count(*) FILTER (WHERE {filter}) FROM all_samples");
                let counts = numbers(session, &query).await?;
                check_rows("stats", num_rows, counts[0])?;
                num_rows - counts[1]
            }
        };
        let num_skipped = groups.iter().map(|group| group.num_skipped).sum::<u64>();
        let num_samples = groups.iter().map(|group| group.num_samples).sum::<u64>();
        check_rows("stats", num_rows, num_samples + num_skipped + num_filtered)?;
        groups.sort_by_cached_key(|group| {
            let values = self
                .reduction
                .by
                .iter()
                .map(|name| crate::source::natural(&group.by[name]));
            values.collect::<Vec<_>>()
        });
        Ok(StatsSummary {
            num_files: source.files.len(),
            num_rows,
            num_filtered,
            num_skipped,
            num_samples,
            num_classes: self.labels.num_classes,
            groups,
        })
    }
}

/// `layer=3,epoch=10.ncs`, or `all.ncs` of one group.
fn file_name(order: &[String], by: &BTreeMap<String, String>) -> PathBuf {
    if order.is_empty() {
        return PathBuf::from("all.ncs");
    }
    let safe = |value: &str| {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
        value
            .chars()
            .map(|c| {
                if fits(c) {
                    c.to_string()
                } else {
                    format!("%{:02X}", c as u32)
                }
            })
            .collect::<String>()
    };
    let parts = order
        .iter()
        .map(|name| format!("{}={}", safe(name), safe(&by[name])));
    Path::new(&format!("{}.ncs", parts.collect::<Vec<_>>().join(","))).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_after_their_group() {
        let order = ["layer", "epoch"].map(String::from);
        let by = [("layer", "3"), ("epoch", "a/b")].map(|(a, b)| (a.to_string(), b.to_string()));
        assert_eq!(
            file_name(&order, &by.into()),
            Path::new("layer=3,epoch=a%2Fb.ncs")
        );
        assert_eq!(file_name(&[], &BTreeMap::new()), Path::new("all.ncs"));
    }
}
