//! Which file a failure comes from. Engines report a bad page or a bad row without the file, and with
//! many parts at once nobody knows which it was; one file at a time tells.

use datafusion::arrow::array::{Array, AsArray};

use super::only;
use crate::session::Settings;
use crate::source::Source;
use crate::{Error, Result};

/// What was asked of the rows.
pub(super) struct Query {
    /// The aggregate.
    pub(super) state: String,
    /// The filter, with its WHERE.
    pub(super) filter: String,
}

/// Words of failures that do not come from what files hold.
const NOT_OF_FILES: [&str; 6] = [
    "memory pool",
    "No space left",
    "cannot be reached",
    "footers",
    "executor",
    "of the cluster",
];

/// The error with the name of the file, where reading the files one by one finds it; else as it was.
pub(super) async fn name_the_file(
    error: Error,
    query: &Query,
    source: &Source,
    settings: &Settings,
) -> Error {
    let Error::Failed(message) = &error else {
        return error;
    };
    if NOT_OF_FILES.iter().any(|words| message.contains(words)) {
        return error;
    }
    if source.files.len() > 1 {
        eprintln!(
            "tagwise-cluster: looking for the file at fault among {}",
            source.files.len()
        );
    }
    let mut first_dim: Option<(u64, String)> = None;
    for file in &source.files {
        let one = Source {
            files: vec![file.clone()],
        };
        match dim_of(query, &one, settings).await {
            Err(Error::Failed(found)) => return Error::Failed(format!("{}: {found}", file.name())),
            Err(_) | Ok(None) => {}
            Ok(Some(dim)) => match &first_dim {
                None => first_dim = Some((dim, file.name())),
                Some((expected, first)) if *expected != dim => {
                    return Error::Failed(format!(
                        "{}: expected features of {expected} numbers as in {first}, found {dim}; files of \
                         several layers are kept in folders such as layer=3 that --by layer names",
                        file.name()
                    ));
                }
                Some(_) => {}
            },
        }
    }
    error
}

/// The dimension of the features of one file, read in this process from its first row to its last.
async fn dim_of(query: &Query, file: &Source, settings: &Settings) -> Result<Option<u64>> {
    let settings = Settings {
        scheduler: None,
        partitions: Some(1),
        ..settings.clone()
    };
    let session = settings.local_session()?;
    session.register_table("samples", file.table()?)?;
    let query = format!("SELECT {} FROM samples{}", query.state, query.filter);
    let batches = session.sql(&query).await?.collect().await?;
    let states = only(&batches)?.column(0).as_binary::<i64>();
    if states.is_null(0) {
        return Ok(None);
    }
    let state = tagwise::statistics::StatisticsFile::from_bytes(states.value(0))?;
    Ok(Some(state.statistics.dim() as u64))
}
