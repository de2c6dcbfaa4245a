//! Where label sets are in a table, in the three forms that tables have.

use datafusion::arrow::datatypes::DataType;

use super::{quoted, text};
use crate::source::Source;
use crate::{Error, Result};

/// Which columns hold the label sets, and what the classes are.
#[derive(Clone, Debug, Default)]
pub struct LabelColumns {
    /// A column of lists of numbers or of names; `label_ids` or `labels` when absent.
    pub column: Option<String>,
    /// One column of 0 and 1 for each class instead.
    pub columns: Vec<String>,
    /// What the classes are called, where lists hold names.
    pub names: Vec<String>,
    /// The number of classes K; that of the names or columns, or what the files state, when absent.
    pub num_classes: Option<u64>,
}

/// Label sets of a table as an expression.
pub(super) struct LabelSets {
    /// Gives lists of numbers.
    pub(super) expression: String,
    pub(super) num_classes: u64,
    /// The columns that it reads.
    pub(super) columns: Vec<String>,
}

impl LabelColumns {
    /// How the label sets of these files are read.
    ///
    /// # Errors
    /// [`Error::Usage`] when something is missing that the files do not say.
    pub(super) fn of(&self, source: &Source) -> Result<LabelSets> {
        let (expression, columns, known) = match self.columns.as_slice() {
            [] => self.of_lists(source)?,
            columns => {
                let names: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
                let expression = format!("label_ids_of({})", names.join(", "));
                (expression, columns.to_vec(), Some(columns.len() as u64))
            }
        };
        let num_classes = source.num_classes(self.num_classes.or(known))?;
        let num_classes = num_classes.ok_or_else(|| {
            Error::Usage(
                "expected --classes K, since the files do not state the number of classes".into(),
            )
        })?;
        Ok(LabelSets {
            expression,
            num_classes,
            columns,
        })
    }

    fn of_lists(&self, source: &Source) -> Result<(String, Vec<String>, Option<u64>)> {
        let schema = source.schema();
        let has = |name: &&str| schema.field_with_name(name).is_ok();
        let column = match &self.column {
            Some(column) => column.clone(),
            None => ["label_ids", "labels"]
                .iter()
                .find(|name| has(name))
                .map(|name| name.to_string())
                .ok_or_else(|| {
                    Error::Usage("expected a column label_ids or labels, or --labels COLUMN".into())
                })?,
        };
        let field = schema.field_with_name(&column).map_err(|_| {
            Error::Usage(format!(
                "{}: expected a column {column}",
                source.files[0].name()
            ))
        })?;
        let item = match field.data_type() {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                item
            }
            other => {
                return Err(Error::Usage(format!(
                    "expected column {column} as lists of numbers or names, found {other}; one column of \
                     0 and 1 for each class is --label-columns A,B,C"
                )));
            }
        };
        if !item.data_type().is_string() {
            return Ok((quoted(&column), vec![column], None));
        }
        if self.names.is_empty() {
            return Err(Error::Usage(format!(
                "expected --class-names A,B,C or @FILE, since column {column} holds names"
            )));
        }
        let names =
            serde_json::to_string(&self.names).map_err(|error| Error::Failed(error.to_string()))?;
        let expression = format!("label_ids({}, {})", quoted(&column), text(&names));
        Ok((expression, vec![column], Some(self.names.len() as u64)))
    }
}
