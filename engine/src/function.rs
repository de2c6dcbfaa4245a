//! The functions, each with the name that plans carry.
//!
//! | name | arguments | result |
//! |---|---|---|
//! | `nc_state` | features, labels, K [, options] | aggregate: statistics (LargeBinary, the bytes of `.ncs`) |
//! | `nc_merge` | statistics | aggregate: statistics of all |
//! | `nc1`, `nc2`, `nc3` | statistics | Float64 |
//! | `nc_m` | statistics, m | Float64 |
//! | `collapse_json` | statistics | Utf8: every collapse metric |
//! | `nc_chunks` | statistics | list of LargeBinary of at most 4 MiB |
//! | `label_ids` | names of labels, JSON list of classes | list of UInt32 |
//! | `label_ids_of` | one 0/1 column for each class | list of UInt32 |
//! | `onn_decode` | features, bytes of a saved decoder | struct of label_ids, score, margin |
//! | `label_residual` | features, labels, statistics | struct of residual, relative |
//! | `multilabel_counts` | predicted, labels, K | aggregate: counts (Utf8, JSON) |
//! | `evaluation_json` | counts | Utf8: every measure |

mod chunks;
mod columns;
mod counts;
mod decode;
mod group;
mod labels;
mod measures;
mod residual;
mod state;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub use chunks::Chunks;

/// Rows that `nc_state` absorbed in this process, for progress.
static ROWS_ABSORBED: AtomicU64 = AtomicU64::new(0);

/// Rows that `nc_state` has absorbed in this process so far.
pub fn rows_absorbed() -> u64 {
    ROWS_ABSORBED.load(Ordering::Relaxed)
}

/// The aggregate functions.
pub fn aggregates() -> Vec<AggregateUDF> {
    vec![
        state::State::new(state::Kind::OfSamples).into(),
        state::State::new(state::Kind::OfStates).into(),
        counts::Counts::new().into(),
    ]
}

/// The scalar functions.
pub fn scalars() -> Vec<ScalarUDF> {
    let measures =
        measures::Measure::ALL.map(|measure| measures::MeasureFunction::new(measure).into());
    let mut functions: Vec<ScalarUDF> = measures.into();
    functions.extend([
        chunks::ChunkFunction::new().into(),
        labels::LabelIds::new().into(),
        labels::LabelIdsOf::new().into(),
        decode::Decode::new().into(),
        residual::Residual::new().into(),
        counts::EvaluationJson::new().into(),
    ]);
    functions
}

/// Makes all functions known to a session or an executor.
///
/// # Errors
/// When the registry takes no functions.
pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for function in aggregates() {
        registry.register_udaf(Arc::new(function))?;
    }
    for function in scalars() {
        registry.register_udf(Arc::new(function))?;
    }
    Ok(())
}

/// A failure as the engine carries it, with the name of the function, which no other part of a
/// message has: [`crate::Error`] finds the sentence behind it again.
fn failed(function: &str, message: impl std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("[{function}] {message} [end]"))
}

/// The names of all functions.
pub fn names() -> Vec<String> {
    let aggregates = aggregates()
        .into_iter()
        .map(|function| function.name().to_string());
    aggregates
        .chain(
            scalars()
                .into_iter()
                .map(|function| function.name().to_string()),
        )
        .collect()
}

/// The bytes that all rows of a query share, such as a decoder or a state.
fn shared_bytes<'a>(
    value: &'a datafusion::logical_expr::ColumnarValue,
    what: &str,
) -> std::result::Result<&'a [u8], String> {
    use datafusion::arrow::array::{Array, AsArray};
    use datafusion::logical_expr::ColumnarValue;
    use datafusion::scalar::ScalarValue;
    match value {
        ColumnarValue::Scalar(ScalarValue::LargeBinary(Some(bytes))) => Ok(bytes),
        ColumnarValue::Array(array) if !array.is_empty() && array.null_count() == 0 => {
            let array = array.as_binary::<i64>();
            let first = array.value(0);
            match array.iter().all(|bytes| bytes == Some(first)) {
                true => Ok(first),
                false => Err(format!("expected {what} for all rows, found several")),
            }
        }
        _ => Err(format!("expected {what}, found null")),
    }
}

/// What the last bytes were read as: all batches of a query have the same.
struct Latest<T>(Mutex<Option<(Vec<u8>, Arc<T>)>>);

impl<T> Latest<T> {
    const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What these bytes are, by `read` unless they are the last ones.
    fn get(
        &self,
        bytes: &[u8],
        read: impl FnOnce(&[u8]) -> std::result::Result<T, String>,
    ) -> std::result::Result<Arc<T>, String> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, value)) = &*last
            && known == bytes
        {
            return Ok(value.clone());
        }
        let value = Arc::new(read(bytes)?);
        *last = Some((bytes.to_vec(), value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_read_once() {
        let latest = Latest::new();
        let mut reads = 0;
        let mut read = |bytes: &[u8]| {
            reads += 1;
            match bytes {
                [] => Err("expected bytes, found none".to_string()),
                _ => Ok(bytes.len()),
            }
        };
        assert_eq!(latest.get(b"abc", &mut read), Ok(Arc::new(3)));
        assert_eq!(latest.get(b"abc", &mut read), Ok(Arc::new(3)));
        assert!(latest.get(b"", &mut read).is_err());
        assert_eq!(latest.get(b"abc", &mut read), Ok(Arc::new(3)));
        assert_eq!(latest.get(b"ab", &mut read), Ok(Arc::new(2)));
        assert_eq!(reads, 3);
    }
}
