//! `decode`: features to label sets, as Parquet files.

use std::path::{Path, PathBuf};

use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::execution::FunctionRegistry;
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::{Expr, ident, lit};
use serde::Serialize;
use tagwise::decode::FittedDecoder;

use super::check_rows;
use super::progress::Progress;
use crate::session::Settings;
use crate::source::Source;
use crate::{Error, Result};

/// What is decoded, and how.
#[derive(Clone, Debug)]
pub struct Decoding {
    /// Paths, folders, patterns and URLs.
    pub places: Vec<String>,
    /// The column of features.
    pub features: String,
    /// A decoder that `tagwise decode --save` wrote.
    pub decoder: PathBuf,
    /// Columns that are kept beside the answers, such as what names a sample.
    pub keep: Vec<String>,
    /// The folder of the answers, on this machine or as a URL.
    pub out: String,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DecodeSummary {
    /// Files read.
    pub num_files: usize,
    /// Samples decoded.
    pub num_samples: u64,
    /// Files written.
    pub num_written: usize,
    /// Where.
    pub out: String,
}

/// Decodes every sample and writes Parquet files with the columns that are kept, `label_ids`, and
/// `score` and `margin` where prototypes are compared.
///
/// The folder must be new. One on this machine is written under another name and renamed when the
/// footers in it state as many rows as those of the input.
///
/// # Errors
/// [`Error::Usage`] for a folder that is there; [`Error::Failed`] otherwise.
pub async fn decode(decoding: &Decoding, settings: &Settings) -> Result<DecodeSummary> {
    let decoder = FittedDecoder::read(&decoding.decoder)?;
    let bytes = decoder.to_bytes()?;
    let lister = settings.local_session()?;
    let source = Source::open(&lister, &decoding.places).await?;
    let mut columns: Vec<&str> = decoding.keep.iter().map(String::as_str).collect();
    columns.push(&decoding.features);
    source.check_columns(&columns)?;
    let place = Place::new(&decoding.out)?;
    let session = settings.session().await?;
    session.register_table("samples", source.table()?)?;
    let answer = session.udf("onn_decode")?;
    let answer = answer.call(vec![
        ident(&decoding.features),
        lit(ScalarValue::LargeBinary(Some(bytes))),
    ]);
    let mut columns: Vec<Expr> = decoding.keep.iter().map(ident).collect();
    columns.push(answer.alias("answer"));
    let mut shown: Vec<Expr> = decoding.keep.iter().map(ident).collect();
    for field in ["label_ids", "score", "margin"] {
        shown.push(get_field(ident("answer"), field).alias(field));
    }
    let answers = session
        .table("samples")
        .await?
        .select(columns)?
        .select(shown)?;
    let progress = Progress::start("decode", source.num_rows(), false);
    let written = answers
        .write_parquet(place.written(), DataFrameWriteOptions::new(), None)
        .await;
    drop(progress);
    let checked = match written {
        Ok(_) => place.check(&lister, source.num_rows()).await,
        Err(error) => Err(error.into()),
    };
    match checked {
        Ok(num_written) => {
            place.keep()?;
            Ok(DecodeSummary {
                num_files: source.files.len(),
                num_samples: source.num_rows(),
                num_written,
                out: decoding.out.clone(),
            })
        }
        Err(error) => {
            place.remove();
            Err(error)
        }
    }
}

/// Where answers go.
struct Place {
    /// The folder as it was asked for.
    out: String,
    /// The folder that is written and renamed, on this machine.
    partial: Option<PathBuf>,
}

impl Place {
    fn new(out: &str) -> Result<Self> {
        if out.contains("://") {
            return Ok(Self {
                out: with_slash(out),
                partial: None,
            });
        }
        let path = Path::new(out);
        if path.exists() {
            return Err(Error::Usage(format!(
                "expected --out to name a new folder, found {out}"
            )));
        }
        let absolute =
            std::path::absolute(path).map_err(|error| Error::Failed(format!("{out}: {error}")))?;
        let name = absolute
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let partial = absolute.with_file_name(format!("{}{name}", tagwise::file::PARTIAL));
        if partial.exists() {
            return Err(Error::Usage(format!(
                "{}: found what an interrupted run has left; remove it first",
                partial.display()
            )));
        }
        std::fs::create_dir_all(&partial)
            .map_err(|error| Error::Failed(format!("{}: {error}", partial.display())))?;
        Ok(Self {
            out: out.to_string(),
            partial: Some(partial),
        })
    }

    fn written(&self) -> &str {
        self.partial
            .as_deref()
            .and_then(Path::to_str)
            .unwrap_or(&self.out)
    }

    /// Reads the footers of what was written.
    async fn check(
        &self,
        session: &datafusion::prelude::SessionContext,
        num_rows: u64,
    ) -> Result<usize> {
        let answers = Source::open(session, &[with_slash(self.written())]).await?;
        check_rows("decode", num_rows, answers.num_rows())?;
        Ok(answers.files.len())
    }

    fn keep(&self) -> Result<()> {
        match &self.partial {
            None => Ok(()),
            Some(partial) => std::fs::rename(partial, &self.out)
                .map_err(|error| Error::Failed(format!("{}: {error}", self.out))),
        }
    }

    /// Leaves nothing half written on this machine.
    fn remove(&self) {
        if let Some(partial) = &self.partial {
            let _ = std::fs::remove_dir_all(partial);
        }
    }
}

fn with_slash(place: &str) -> String {
    format!("{}/", place.trim_end_matches('/'))
}
