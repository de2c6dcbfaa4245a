//! `onn_decode`: features to label sets by a saved decoder.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, Float64Array, ListBuilder, StructArray, UInt32Builder, new_empty_array,
};
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use tagwise::decode::{FittedDecoder, Rule, TunedValues};
use tagwise::features::{DenseView, FeaturesView};

use super::columns::{FeatureColumn, is_features};
use super::{Latest, failed, shared_bytes};

const NAME: &str = "onn_decode";

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Decode {
    signature: Signature,
}

impl Decode {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

/// `label_ids`, and `score` and `margin`, which are null where no prototypes were compared.
fn fields() -> Fields {
    let labels = DataType::List(Arc::new(Field::new_list_field(DataType::UInt32, true)));
    Fields::from(vec![
        Field::new("label_ids", labels, true),
        Field::new("score", DataType::Float64, true),
        Field::new("margin", DataType::Float64, true),
    ])
}

impl ScalarUDFImpl for Decode {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [features, decoder] if is_features(features) && decoder.is_binary() => {
                Ok(vec![features.clone(), DataType::LargeBinary])
            }
            _ => plan_err!(
                "onn_decode takes lists of numbers (features) and the bytes of a saved decoder \
                 (binary), found {types:?}"
            ),
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let features = arguments.args[0].to_array(arguments.number_rows)?;
        if features.is_empty() {
            return Ok(ColumnarValue::Array(new_empty_array(
                arguments.return_type(),
            )));
        }
        shared_bytes(&arguments.args[1], "one decoder")
            .and_then(|bytes| decode(&features, bytes))
            .map(ColumnarValue::Array)
            .map_err(|error| failed(NAME, error))
    }
}

fn decode(features: &ArrayRef, bytes: &[u8]) -> std::result::Result<ArrayRef, String> {
    let decoder = DECODER.get(bytes, read)?;
    let features = FeatureColumn::new(features, 0)?;
    let view = DenseView::new(features.numbers()?, features.dim).map_err(|e| e.to_string())?;
    let decoded = decoder
        .decode_view(FeaturesView::Dense(view), |_| ControlFlow::Continue(()))
        .map_err(|error| error.to_string())?;
    let mut labels = ListBuilder::new(UInt32Builder::new());
    for set in decoded.targets.iter() {
        labels.values().append_slice(set.labels());
        labels.append(true);
    }
    let numbers = |of: &[f64]| -> ArrayRef {
        match of.len() == features.num_rows {
            true => Arc::new(Float64Array::from(of.to_vec())),
            false => Arc::new(Float64Array::new_null(features.num_rows)),
        }
    };
    let columns = vec![
        Arc::new(labels.finish()) as ArrayRef,
        numbers(&decoded.scores),
        numbers(&decoded.margins),
    ];
    Ok(Arc::new(StructArray::new(fields(), columns, None)))
}

static DECODER: Latest<FittedDecoder> = Latest::new();

/// The decoder of these bytes, if it can answer sample by sample.
fn read(bytes: &[u8]) -> std::result::Result<FittedDecoder, String> {
    let decoder = FittedDecoder::from_bytes(bytes).map_err(|error| error.to_string())?;
    match decoder.values() {
        TunedValues::Rule {
            rule: Rule::Proportional { .. },
            ..
        } => Err(
            "expected a decoder that answers sample by sample, found the proportional rule, which needs \
             all samples at once; choose another with tagwise decode --save"
                .into(),
        ),
        _ => Ok(decoder),
    }
}
