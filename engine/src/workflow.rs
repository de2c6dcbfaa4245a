//! What the commands of `tagwise-cluster` do.

mod decode;
mod diagnose;
mod evaluate;
mod labels;
mod progress;
mod stats;
mod worst;

use std::future::Future;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::prelude::SessionContext;

use crate::source::Source;
use crate::{Error, Result};

pub use decode::{DecodeSummary, Decoding, decode};
pub use evaluate::{Comparison, evaluate};
pub use labels::LabelColumns;
pub use stats::{GroupSummary, Reduction, StatsSummary, stats};
pub use worst::{Search, worst};

/// Does the work unless Ctrl-C comes first.
///
/// # Errors
/// Those of the work, and [`Error::Interrupted`].
pub async fn until_interrupted<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
    }
}

/// A column's name as SQL writes it.
fn quoted(column: &str) -> String {
    format!("\"{}\"", column.replace('"', "\"\""))
}

/// A text as SQL writes it.
fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// The numbers of a result of one row.
async fn numbers(session: &SessionContext, query: &str) -> Result<Vec<u64>> {
    let batches = session.sql(query).await?.collect().await?;
    let batch = only(&batches)?;
    let numbers = batch.columns().iter().map(|column| {
        let column = datafusion::arrow::compute::cast(column, &DataType::Int64)
            .map_err(|error| Error::Failed(error.to_string()))?;
        Ok(column.as_primitive::<Int64Type>().value(0) as u64)
    });
    numbers.collect()
}

/// The batch of a result of one row.
fn only(batches: &[RecordBatch]) -> Result<&RecordBatch> {
    match batches.iter().find(|batch| batch.num_rows() > 0) {
        Some(batch) => Ok(batch),
        None => Err(Error::Failed(
            "expected one row from the query, found none".into(),
        )),
    }
}

/// Whether a filter can be asked of these files, before anything is run.
fn check_filter(session: &SessionContext, source: &Source, filter: &str) -> Result<()> {
    let schema = DFSchema::try_from(source.schema())?;
    let parsed = session.parse_sql_expr(filter, &schema);
    parsed.map(|_| ()).map_err(|error| {
        Error::Usage(format!(
            "expected --where as an SQL condition, found {filter:?} ({})",
            Error::from(error)
        ))
    })
}

/// The footers and the result must tell the same number of rows.
fn check_rows(what: &str, expected: u64, found: u64) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "{what}: expected {expected} rows as the footers of the files state, found {found} in the result; \
         nothing can be trusted: were files changed meanwhile? Run it again, and report it if it stays"
    )))
}
