//! `nc1`, `nc2`, `nc3`, `nc_m` and `collapse_json`: what a state says about collapse.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, Float64Builder, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use tagwise::collapse::{CollapseMetric, CollapseReport};
use tagwise::statistics::StatisticsFile;

use super::failed;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Measure {
    Nc1,
    Nc2,
    Nc3,
    NcM,
    Json,
}

impl Measure {
    pub(super) const ALL: [Self; 5] = [Self::Nc1, Self::Nc2, Self::Nc3, Self::NcM, Self::Json];

    fn name(self) -> &'static str {
        match self {
            Self::Nc1 => "nc1",
            Self::Nc2 => "nc2",
            Self::Nc3 => "nc3",
            Self::NcM => "nc_m",
            Self::Json => "collapse_json",
        }
    }

    /// The headline metric; `None` where it is not one.
    fn metric(self, multiplicity: usize) -> Option<CollapseMetric> {
        match self {
            Self::Nc1 => Some(CollapseMetric::Nc1 { multiplicity: 1 }),
            Self::Nc2 => Some(CollapseMetric::Nc2ClassMeans),
            Self::Nc3 => Some(CollapseMetric::Nc3),
            Self::NcM => Some(CollapseMetric::NcM { multiplicity }),
            Self::Json => None,
        }
    }
}

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct MeasureFunction {
    measure: Measure,
    signature: Signature,
}

impl MeasureFunction {
    pub(super) fn new(measure: Measure) -> Self {
        Self {
            measure,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for MeasureFunction {
    fn name(&self) -> &str {
        self.measure.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let is_state = |t: &DataType| t.is_binary() || t.is_null();
        match (self.measure, types) {
            (Measure::NcM, [state, m]) if is_state(state) && m.is_integer() => {
                Ok(vec![DataType::LargeBinary, DataType::Int64])
            }
            (Measure::NcM, _) => {
                plan_err!("nc_m takes statistics and a number of labels, found {types:?}")
            }
            (_, [state]) if is_state(state) => Ok(vec![DataType::LargeBinary]),
            (measure, _) => plan_err!("{} takes statistics, found {types:?}", measure.name()),
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(match self.measure {
            Measure::Json => DataType::Utf8,
            _ => DataType::Float64,
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let failed = |error: tagwise::Error| failed(self.name(), error);
        let columns = ColumnarValue::values_to_arrays(&arguments.args)?;
        let states = columns[0].as_binary::<i64>();
        let multiplicities = columns
            .get(1)
            .map(|column| column.as_primitive::<Int64Type>());
        let (mut numbers, mut texts) = (Float64Builder::new(), StringBuilder::new());
        for row in 0..states.len() {
            let report = match states.is_valid(row) {
                true => Some(measure(states.value(row)).map_err(failed)?),
                false => None,
            };
            let multiplicity = multiplicities
                .filter(|m| m.is_valid(row))
                .map_or(0, |m| m.value(row));
            match self
                .measure
                .metric(usize::try_from(multiplicity).unwrap_or(0))
            {
                Some(metric) => {
                    numbers.append_option(report.as_ref().and_then(|report| metric.value(report)));
                }
                None => texts.append_option(report.as_ref().map(to_json).transpose()?),
            }
        }
        Ok(ColumnarValue::Array(match self.measure {
            Measure::Json => Arc::new(texts.finish()),
            _ => Arc::new(numbers.finish()),
        }))
    }
}

fn measure(state: &[u8]) -> tagwise::Result<CollapseReport> {
    let file = StatisticsFile::from_bytes(state)?;
    CollapseReport::measure(&file.statistics, file.classifier.as_ref())
}

fn to_json(report: &CollapseReport) -> Result<String> {
    serde_json::to_string(report).map_err(|error| failed("collapse_json", error))
}
