//! `label_residual`: how far a sample is from the mean of its label set.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, Float64Builder, StructArray, new_empty_array};
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use tagwise::LabelSet;
use tagwise::statistics::{Statistics, StatisticsFile};

use super::columns::{FeatureColumn, LabelColumn, is_features, is_labels};
use super::{Latest, failed, shared_bytes};

const NAME: &str = "label_residual";

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Residual {
    signature: Signature,
}

impl Residual {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

/// `residual` is ‖h − h̄_S‖, `relative` that over the root mean square of its multiplicity; both null
/// for label sets without a mean.
fn fields() -> Fields {
    let number = |name| Field::new(name, DataType::Float64, true);
    Fields::from(vec![number("residual"), number("relative")])
}

impl ScalarUDFImpl for Residual {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [features, labels, state]
                if is_features(features) && is_labels(labels) && state.is_binary() =>
            {
                Ok(vec![
                    features.clone(),
                    labels.clone(),
                    DataType::LargeBinary,
                ])
            }
            _ => plan_err!(
                "label_residual takes lists of numbers (features), lists of integers (labels) and \
                 statistics (binary), found {types:?}"
            ),
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let features = arguments.args[0].to_array(arguments.number_rows)?;
        let labels = arguments.args[1].to_array(arguments.number_rows)?;
        if features.is_empty() {
            return Ok(ColumnarValue::Array(new_empty_array(
                arguments.return_type(),
            )));
        }
        shared_bytes(&arguments.args[2], "one state of statistics")
            .and_then(|state| residuals(&features, &labels, state))
            .map(ColumnarValue::Array)
            .map_err(|error| failed(NAME, error))
    }
}

fn residuals(
    features: &ArrayRef,
    labels: &ArrayRef,
    state: &[u8],
) -> std::result::Result<ArrayRef, String> {
    let means = MEANS.get(state, read)?;
    let features = FeatureColumn::new(features, 0)?;
    let labels = LabelColumn::new(labels, 0)?;
    if features.dim != means.dim {
        return Err(format!(
            "expected features of {} numbers, found {}",
            means.dim, features.dim
        ));
    }
    let (mut residuals, mut relatives) = (Float64Builder::new(), Float64Builder::new());
    let numbers = features.numbers()?;
    for row in 0..features.num_rows {
        let set = labels.set(row, means.num_classes, 0)?;
        let residual = means.sets.get(&set).map(|mean| {
            let squares = mean.iter().enumerate().map(|(column, mean)| {
                let difference = numbers.get(row * features.dim + column) - mean;
                difference * difference
            });
            squares.sum::<f64>().sqrt()
        });
        let scale = means
            .scales
            .get(&set.multiplicity())
            .copied()
            .filter(|&scale| scale > 0.0);
        residuals.append_option(residual);
        relatives.append_option(
            residual
                .zip(scale)
                .map(|(residual, scale)| residual / scale),
        );
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(residuals.finish()), Arc::new(relatives.finish())];
    Ok(Arc::new(StructArray::new(fields(), columns, None)))
}

/// What residuals are measured against.
struct Means {
    dim: usize,
    num_classes: usize,
    sets: HashMap<LabelSet, Vec<f64>>,
    /// Root mean square residual of each multiplicity.
    scales: HashMap<usize, f64>,
}

impl Means {
    fn new(statistics: &Statistics) -> Self {
        let (counts, squares) = (statistics.set_counts(), statistics.set_square_sums());
        let mut sums: HashMap<usize, (f64, f64)> = HashMap::new();
        let mut sets = HashMap::new();
        for (place, set) in statistics.label_sets().enumerate() {
            let sum = sums.entry(set.multiplicity()).or_default();
            sum.0 += squares[place];
            sum.1 += counts[place] as f64;
            sets.insert(set.clone(), statistics.set_mean(set).unwrap_or_default());
        }
        let scales = sums
            .into_iter()
            .map(|(m, (squares, count))| (m, (squares / count).sqrt()));
        Self {
            dim: statistics.dim(),
            num_classes: statistics.num_classes(),
            sets,
            scales: scales.collect(),
        }
    }
}

static MEANS: Latest<Means> = Latest::new();

/// The means of these statistics.
fn read(state: &[u8]) -> std::result::Result<Means, String> {
    let file = StatisticsFile::from_bytes(state).map_err(|error| error.to_string())?;
    Ok(Means::new(&file.statistics))
}
