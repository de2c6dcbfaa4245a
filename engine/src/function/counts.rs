//! `multilabel_counts` and `evaluation_json`: predicted against true label sets.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::scalar::ScalarValue;
use tagwise::Targets;
use tagwise::evaluate::EvaluationCounts;

use super::columns::{LabelColumn, is_labels, num_classes};
use super::failed;

const NAME: &str = "multilabel_counts";

/// The aggregate function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Counts {
    signature: Signature,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl AggregateUDFImpl for Counts {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [predicted, labels, classes]
                if is_labels(predicted) && is_labels(labels) && classes.is_integer() =>
            {
                Ok(vec![predicted.clone(), labels.clone(), DataType::Int64])
            }
            _ => plan_err!(
                "multilabel_counts takes predicted and true labels (lists of integers) and the number \
                 of classes, found {types:?}"
            ),
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn accumulator(&self, _arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(CountsSoFar {
            counts: None,
            seen: 0,
        }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(arguments.name, "counts");
        Ok(vec![Arc::new(Field::new(name, DataType::Utf8, true))])
    }
}

#[derive(Debug)]
struct CountsSoFar {
    counts: Option<EvaluationCounts>,
    /// Rows seen, for messages.
    seen: u64,
}

impl CountsSoFar {
    fn update(&mut self, values: &[ArrayRef]) -> std::result::Result<(), String> {
        let Some(num_classes) = num_classes(&values[2])? else {
            return Ok(());
        };
        let first = self.seen;
        self.seen += values[0].len() as u64;
        let targets = |column: &ArrayRef| {
            let column = LabelColumn::new(column, first)?;
            let sets = (0..column.len()).map(|row| column.set(row, num_classes, first));
            let sets = sets.collect::<std::result::Result<Vec<_>, String>>()?;
            Targets::new(num_classes, sets).map_err(|error| error.to_string())
        };
        let (predicted, truth) = (targets(&values[0])?, targets(&values[1])?);
        let counts = self
            .counts
            .get_or_insert_with(|| EvaluationCounts::new(num_classes));
        counts
            .update(&predicted, &truth)
            .map_err(|error| error.to_string())
    }

    fn merge(&mut self, states: &ArrayRef) -> std::result::Result<(), String> {
        for text in states.as_string::<i32>().iter().flatten() {
            let other = parse(text)?;
            match &mut self.counts {
                None => self.counts = Some(other),
                Some(counts) => counts.merge(&other).map_err(|error| error.to_string())?,
            }
        }
        Ok(())
    }

    fn value(&self) -> Result<ScalarValue> {
        let text = self.counts.as_ref().map(serde_json::to_string).transpose();
        text.map(ScalarValue::Utf8)
            .map_err(|error| failed(NAME, error))
    }
}

fn parse(text: &str) -> std::result::Result<EvaluationCounts, String> {
    serde_json::from_str(text).map_err(|error| {
        format!("expected counts as multilabel_counts makes them, found others ({error})")
    })
}

impl Accumulator for CountsSoFar {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.update(values).map_err(|error| failed(NAME, error))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.value()
    }

    fn size(&self) -> usize {
        const LABEL_BYTES: usize = 24;
        let labels = self
            .counts
            .as_ref()
            .map_or(0, EvaluationCounts::num_classes);
        size_of::<Self>() + labels * LABEL_BYTES
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.merge(&states[0]).map_err(|error| failed(NAME, error))
    }
}

/// `evaluation_json`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct EvaluationJson {
    signature: Signature,
}

impl EvaluationJson {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for EvaluationJson {
    fn name(&self) -> &str {
        "evaluation_json"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let counts = arguments.args[0].to_array(arguments.number_rows)?;
        let mut texts = StringBuilder::new();
        for text in counts.as_string::<i32>().iter() {
            let text = text.map(measures).transpose();
            texts.append_option(text.map_err(|error| failed(self.name(), error))?);
        }
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    }
}

fn measures(counts: &str) -> std::result::Result<String, String> {
    let evaluation = parse(counts)?.finish().map_err(|error| error.to_string())?;
    serde_json::to_string(&evaluation).map_err(|error| error.to_string())
}
