//! Parquet files by path or URL: which they are, how many rows their footers state, and what folders
//! such as `epoch=3` say about them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use datafusion::prelude::SessionContext;
use datafusion_datasource_parquet::metadata::DFParquetMetadata;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;

use crate::{Error, Result};

/// Footers that are read at once.
const FOOTERS_AT_ONCE: usize = 16;

/// One file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    url: ListingTableUrl,
    /// What folders say: the column and its value.
    pub folders: BTreeMap<String, String>,
    /// Rows as the footer states them.
    pub num_rows: u64,
    /// Whether the file has this many bytes of rows, for the size of parts.
    pub num_bytes: u64,
    schema: SchemaRef,
    num_classes: Option<u64>,
}

impl SourceFile {
    /// What a person calls it: its path, or its URL.
    pub fn name(&self) -> String {
        let text = self.url.as_str();
        text.strip_prefix("file://").unwrap_or(text).to_string()
    }
}

/// Files whose footers have been read.
#[derive(Clone, Debug)]
pub struct Source {
    /// In the order of their names.
    pub files: Vec<SourceFile>,
}

impl Source {
    /// Lists paths, folders, patterns such as `part-*.parquet` and URLs, and reads the footer of every
    /// file that ends in `.parquet`.
    ///
    /// # Errors
    /// [`Error::Failed`] with the file's name when one cannot be read or is no whole Parquet file,
    /// [`Error::Usage`] when nothing is there or something is named twice.
    pub async fn open(session: &SessionContext, places: &[String]) -> Result<Self> {
        let mut found = BTreeMap::new();
        for place in places {
            let files = list(session, place).await?;
            if files.is_empty() {
                return Err(Error::Usage(format!(
                    "{place}: expected files that end in .parquet, found none"
                )));
            }
            for (url, meta) in files {
                let name = url.as_str().to_string();
                if found.insert(name.clone(), (url, meta)).is_some() {
                    return Err(Error::Usage(format!(
                        "expected every file once, found {name} twice"
                    )));
                }
            }
        }
        let files: Vec<SourceFile> = futures::stream::iter(found.into_values())
            .map(|(url, meta)| footer(session, url, meta))
            .buffered(FOOTERS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(Self { files })
    }

    /// Rows of all files.
    pub fn num_rows(&self) -> u64 {
        self.files.iter().map(|file| file.num_rows).sum()
    }

    /// The columns of the first file.
    pub fn schema(&self) -> SchemaRef {
        self.files[0].schema.clone()
    }

    /// Columns that folders stand for in every file.
    pub fn folders(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self.files[0].folders.keys().cloned().collect();
        names.retain(|name| {
            self.files
                .iter()
                .all(|file| file.folders.contains_key(name))
        });
        names
    }

    /// The number of classes K, which files may state: `known`, or else what they state.
    ///
    /// # Errors
    /// [`Error::Failed`] for a file that states another number than `known`, or than the one before it.
    pub fn num_classes(&self, known: Option<u64>) -> Result<Option<u64>> {
        let mut number = known;
        for file in &self.files {
            match (number, file.num_classes) {
                (Some(expected), Some(found)) if expected != found => {
                    return Err(Error::Failed(format!(
                        "{}: expected {expected} classes as {}, found {found} in its metadata",
                        file.name(),
                        if known.is_some() {
                            "asked for"
                        } else {
                            "in the files before it"
                        }
                    )));
                }
                (None, found) => number = found,
                _ => {}
            }
        }
        Ok(number)
    }

    /// Refuses files in which one of these columns is missing or of another type than in the first.
    ///
    /// # Errors
    /// [`Error::Failed`] that names the file and the column.
    pub fn check_columns(&self, columns: &[&str]) -> Result<()> {
        let first = &self.files[0];
        for file in &self.files {
            for &column in columns {
                let found = file.schema.field_with_name(column).map_err(|_| {
                    let names: Vec<&str> = file
                        .schema
                        .fields()
                        .iter()
                        .map(|f| f.name().as_str())
                        .collect();
                    Error::Failed(format!(
                        "{}: expected a column {column}, found {}",
                        file.name(),
                        names.join(", ")
                    ))
                })?;
                let expected = first
                    .schema
                    .field_with_name(column)
                    .map(|field| field.data_type());
                if expected.is_ok_and(|expected| !same_type(expected, found.data_type())) {
                    return Err(Error::Failed(format!(
                        "{}: expected column {column} as {} like {}, found {}; files of several layers \
                         are kept in folders such as layer=3 that --by layer names",
                        file.name(),
                        first
                            .schema
                            .field_with_name(column)
                            .map_or(String::new(), |f| shown(f.data_type())),
                        first.name(),
                        shown(found.data_type())
                    )));
                }
            }
        }
        Ok(())
    }

    /// The files for each combination of what these folders say, in order.
    pub fn split(&self, folders: &[String]) -> Vec<(BTreeMap<String, String>, Self)> {
        let mut parts: BTreeMap<Vec<_>, (BTreeMap<String, String>, Self)> = BTreeMap::new();
        for file in &self.files {
            let values = folders.iter().map(|name| natural(&file.folders[name]));
            let part = parts.entry(values.collect::<Vec<_>>()).or_insert_with(|| {
                let values = folders
                    .iter()
                    .map(|name| (name.clone(), file.folders[name].clone()));
                (values.collect(), Self { files: Vec::new() })
            });
            part.1.files.push(file.clone());
        }
        parts.into_values().collect()
    }

    /// These files as a table.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn table(&self) -> Result<Arc<ListingTable>> {
        let options =
            ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
        let urls = self.files.iter().map(|file| file.url.clone()).collect();
        let config = ListingTableConfig::new_with_multi_paths(urls)
            .with_listing_options(options)
            .with_schema(self.schema());
        Ok(Arc::new(ListingTable::try_new(config)?))
    }
}

/// What values are ordered by: numbers by their size, and before words.
pub(crate) fn natural(value: &str) -> (bool, u64, String) {
    match value.parse() {
        Ok(number) => (false, number, value.to_string()),
        Err(_) => (true, 0, value.to_string()),
    }
}

/// Types that are read as one: what a list's entries are called and whether they may be null does not
/// matter.
fn same_type(a: &DataType, b: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, List};
    match (a, b) {
        (FixedSizeList(a, n), FixedSizeList(b, m)) => {
            n == m && same_type(a.data_type(), b.data_type())
        }
        (List(a), List(b)) | (LargeList(a), LargeList(b)) => {
            same_type(a.data_type(), b.data_type())
        }
        _ => a == b,
    }
}

fn shown(data_type: &DataType) -> String {
    use DataType::{FixedSizeList, LargeList, List};
    match data_type {
        FixedSizeList(item, n) => format!("lists of {n} {}", item.data_type()),
        List(item) | LargeList(item) => format!("lists of {}", item.data_type()),
        other => other.to_string(),
    }
}

async fn list(session: &SessionContext, place: &str) -> Result<Vec<(ListingTableUrl, ObjectMeta)>> {
    let failed = |error: datafusion::error::DataFusionError| {
        Error::Failed(format!("{place}: {}", Error::from(error)))
    };
    let url = ListingTableUrl::parse(place).map_err(failed)?;
    let root = url.object_store();
    let store = session.runtime_env().object_store(&root).map_err(failed)?;
    let state = session.state();
    let files = url
        .list_all_files(&state, &store, ".parquet")
        .await
        .map_err(failed)?;
    let files: Vec<ObjectMeta> = files.try_collect().await.map_err(failed)?;
    let files = files.into_iter().map(|meta| {
        let url = format!("{}{}", root.as_str(), meta.location);
        Ok((ListingTableUrl::parse(&url).map_err(failed)?, meta))
    });
    files.collect()
}

async fn footer(
    session: &SessionContext,
    url: ListingTableUrl,
    meta: ObjectMeta,
) -> Result<SourceFile> {
    let store = session.runtime_env().object_store(url.object_store())?;
    let text = url.as_str();
    let name = text.strip_prefix("file://").unwrap_or(text).to_string();
    let loaded = DFParquetMetadata::new(store.as_ref(), &meta)
        .fetch_metadata()
        .await;
    let loaded = loaded.and_then(|metadata| {
        Ok(ArrowReaderMetadata::try_new(
            metadata,
            ArrowReaderOptions::new(),
        )?)
    });
    let loaded = loaded.map_err(|error| {
        Error::Failed(format!(
            "{name}: expected a Parquet file, found something else or only a part of one ({})",
            Error::from(error)
        ))
    })?;
    let file = loaded.metadata().file_metadata();
    let stated = file.key_value_metadata().and_then(|pairs| {
        pairs
            .iter()
            .find(|pair| pair.key == "num_classes")?
            .value
            .as_deref()?
            .parse()
            .ok()
    });
    let groups = loaded.metadata().row_groups().iter();
    let num_rows = groups.map(|group| group.num_rows().max(0) as u64).sum();
    Ok(SourceFile {
        folders: folders_of(meta.location.as_ref()),
        num_rows,
        num_bytes: meta.size,
        schema: loaded.schema().clone(),
        num_classes: stated,
        url,
    })
}

/// `layer=3/epoch=10/part-0.parquet` says layer 3 and epoch 10.
fn folders_of(path: &str) -> BTreeMap<String, String> {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    parts
        .into_iter()
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_say_what_their_names_hold() {
        let found = folders_of("data/layer=3/epoch=10/part-0.parquet");
        let expected = [("epoch", "10"), ("layer", "3")];
        assert_eq!(
            found,
            expected.map(|(a, b)| (a.to_string(), b.to_string())).into()
        );
        assert!(
            folders_of("a=b.parquet").is_empty(),
            "the file's own name says nothing"
        );
    }

    #[test]
    fn numbers_are_ordered_by_size() {
        let mut values = ["10", "9", "last", "1"];
        values.sort_by_key(|value| natural(value));
        assert_eq!(values, ["1", "9", "10", "last"]);
    }
}
