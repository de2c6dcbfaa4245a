//! `worst`: the samples farthest from the mean of their label set.

use std::path::PathBuf;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::execution::FunctionRegistry;
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::{Expr, ident, lit};
use tagwise::statistics::StatisticsFile;

use super::labels::LabelColumns;
use super::progress::Progress;
use crate::session::Settings;
use crate::source::Source;
use crate::{Error, Result};

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Search {
    /// Paths, folders, patterns and URLs.
    pub places: Vec<String>,
    /// The column of features.
    pub features: String,
    /// Where label sets are.
    pub labels: LabelColumns,
    /// The state that `stats` made of these samples.
    pub state: PathBuf,
    /// Columns that name a sample.
    pub keep: Vec<String>,
    /// How many.
    pub count: usize,
}

/// The samples of largest relative residual: the columns that are kept, `label_ids`, `residual` and
/// `relative`, the largest first. Equal ones are ordered by what names them.
///
/// # Errors
/// [`Error::Usage`] and [`Error::Failed`] as for other commands.
pub async fn worst(search: &Search, settings: &Settings) -> Result<Vec<RecordBatch>> {
    if search.keep.is_empty() {
        return Err(Error::Usage(
            "expected --keep COLUMN,…, which names a sample in the answer".into(),
        ));
    }
    let file = StatisticsFile::read(&search.state)?;
    let lister = settings.local_session()?;
    let source = Source::open(&lister, &search.places).await?;
    let labels = LabelColumns {
        num_classes: search
            .labels
            .num_classes
            .or(Some(file.statistics.num_classes() as u64)),
        ..search.labels.clone()
    };
    let labels = labels.of(&source)?;
    let mut columns: Vec<&str> = search
        .keep
        .iter()
        .chain(&labels.columns)
        .map(String::as_str)
        .collect();
    columns.push(&search.features);
    source.check_columns(&columns)?;
    let session = settings.session().await?;
    session.register_table("samples", source.table()?)?;
    let table = session.table("samples").await?;
    let label_ids = session.parse_sql_expr(&labels.expression, table.schema())?;
    let residual = session.udf("label_residual")?.call(vec![
        ident(&search.features),
        ident("set"),
        lit(ScalarValue::LargeBinary(Some(file.to_bytes()))),
    ]);
    let kept = || search.keep.iter().map(ident).collect::<Vec<Expr>>();
    let mut columns = kept();
    columns.extend([ident(&search.features), label_ids.alias("set")]);
    let mut with_residual = kept();
    with_residual.extend([ident("set"), residual.alias("found")]);
    let mut shown = kept();
    shown.push(ident("set").alias("label_ids"));
    for field in ["residual", "relative"] {
        shown.push(get_field(ident("found"), field).alias(field));
    }
    let mut order = vec![ident("relative").sort(false, false)];
    order.extend(kept().into_iter().map(|column| column.sort(true, false)));
    let found = table
        .select(columns)?
        .select(with_residual)?
        .select(shown)?
        .sort(order)?
        .limit(0, Some(search.count))?;
    let _progress = Progress::start("worst", source.num_rows(), false);
    Ok(found.collect().await?)
}
