//! `sql`: any question, with the functions.

use tagwise_engine::source::Source;
use tagwise_engine::{Error, Result};

use super::output;
use super::samples::Run;

/// Ask any question in SQL, with the functions of Tagwise
///
/// nc_state(features, labels, K), nc_merge(state), nc1(state), nc2(state), nc3(state), nc_m(state, m),
/// collapse_json(state), label_ids(names, '["a", "b"]'), label_ids_of(a, b, …),
/// onn_decode(features, decoder), label_residual(features, labels, state),
/// multilabel_counts(predicted, labels, K), evaluation_json(counts).
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  tagwise-cluster sql --table t=features/ \\
    'SELECT epoch, nc1(nc_state(features, labels, 80)) FROM t GROUP BY epoch ORDER BY epoch'")]
pub struct Sql {
    /// The question
    #[arg(value_name = "SQL")]
    query: String,

    /// A table and its files, folder, pattern or URL
    #[arg(long = "table", value_name = "NAME=PLACE")]
    tables: Vec<String>,

    #[command(flatten)]
    run: Run,

    /// Print one JSON object for each row instead of a table
    #[arg(long)]
    json: bool,
}

impl Sql {
    pub async fn run(&self) -> Result<()> {
        let settings = self.run.settings();
        let lister = settings.local_session()?;
        let session = settings.session().await?;
        for table in &self.tables {
            let (name, place) = table.split_once('=').ok_or_else(|| {
                Error::Usage(format!("expected --table NAME=PLACE, found {table}"))
            })?;
            let source = Source::open(&lister, &[place.to_string()]).await?;
            session.register_table(name, source.table()?)?;
        }
        let rows = session.sql(&self.query).await?.collect().await?;
        output::rows(self.json, &rows)
    }
}
