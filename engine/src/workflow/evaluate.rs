//! `evaluate`: predicted against true label sets of any number of samples.

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::prelude::SessionContext;
use tagwise::evaluate::{Evaluation, EvaluationCounts};

use super::labels::LabelColumns;
use super::progress::Progress;
use super::{check_rows, numbers, only, quoted};
use crate::session::Settings;
use crate::source::Source;
use crate::{Error, Result};

/// What is compared.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Predictions: paths, folders, patterns and URLs.
    pub places: Vec<String>,
    /// The column of predicted labels, lists of numbers.
    pub predicted: String,
    /// The true labels, where other files hold them.
    pub truth: Vec<String>,
    /// The column that names a sample in both.
    pub key: Option<String>,
    /// Where true label sets are.
    pub labels: LabelColumns,
}

/// Counts and measures.
///
/// # Errors
/// [`Error::Usage`] for what cannot be meant; [`Error::Failed`] when predictions and truth are not of
/// the same samples.
pub async fn evaluate(
    comparison: &Comparison,
    settings: &Settings,
) -> Result<(Evaluation, EvaluationCounts)> {
    let lister = settings.local_session()?;
    let predictions = Source::open(&lister, &comparison.places).await?;
    predictions.check_columns(&[&comparison.predicted])?;
    let session = settings.session().await?;
    session.register_table("predictions", predictions.table()?)?;
    let truth = match comparison.truth.as_slice() {
        [] => predictions.clone(),
        places => Source::open(&lister, places).await?,
    };
    let labels = comparison.labels.of(&truth)?;
    let columns: Vec<&str> = labels.columns.iter().map(String::as_str).collect();
    truth.check_columns(&columns)?;
    let predicted = format!("p.{}", quoted(&comparison.predicted));
    let from = match &comparison.key {
        None if comparison.truth.is_empty() => {
            format!(
                "(SELECT *, {} AS true_labels FROM predictions) AS p",
                labels.expression
            )
        }
        None => {
            return Err(Error::Usage(
                "expected --key COLUMN, which names a sample in both files".into(),
            ));
        }
        Some(key) => {
            predictions.check_columns(&[key])?;
            truth.check_columns(&[key])?;
            session.register_table("truth", truth.table()?)?;
            let key = quoted(key);
            check_keys(&session, &key, &predictions, &truth).await?;
            format!(
                "predictions AS p JOIN (SELECT {key} AS true_key, {} AS true_labels FROM truth) AS t \
                 ON p.{key} = t.true_key",
                labels.expression
            )
        }
    };
    let query = format!(
        "SELECT multilabel_counts({predicted}, true_labels, {}), count(*) FROM {from}",
        labels.num_classes
    );
    let progress = Progress::start("evaluate", predictions.num_rows(), false);
    let batches = session.sql(&query).await?.collect().await?;
    drop(progress);
    let batch = only(&batches)?;
    check_rows(
        "evaluate",
        predictions.num_rows(),
        batch.column(1).as_primitive::<Int64Type>().value(0) as u64,
    )?;
    let counts = batch.column(0).as_string::<i32>();
    if counts.is_null(0) {
        return Err(Error::Failed(
            "expected samples to evaluate, found none".into(),
        ));
    }
    let counts: EvaluationCounts =
        serde_json::from_str(counts.value(0)).map_err(|error| Error::Failed(error.to_string()))?;
    check_rows(
        "evaluate",
        predictions.num_rows(),
        counts.num_samples() as u64,
    )?;
    Ok((counts.finish()?, counts))
}

/// Refuses a column that names samples twice, or other samples in one file than in the other.
async fn check_keys(
    session: &SessionContext,
    key: &str,
    predictions: &Source,
    truth: &Source,
) -> Result<()> {
    if predictions.num_rows() != truth.num_rows() {
        return Err(Error::Failed(format!(
            "expected as many true as predicted label sets, found {} and {}",
            truth.num_rows(),
            predictions.num_rows()
        )));
    }
    for (table, source) in [("predictions", predictions), ("truth", truth)] {
        let distinct = numbers(
            session,
            &format!("SELECT count(DISTINCT {key}) FROM {table}"),
        )
        .await?;
        if distinct[0] != source.num_rows() {
            return Err(Error::Failed(format!(
                "expected {} distinct values of {key} in the {table}, one for each sample, found {}",
                source.num_rows(),
                distinct[0]
            )));
        }
    }
    Ok(())
}
