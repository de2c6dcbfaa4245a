//! From features or logits to label sets.
//!
//! [`OneNearestNeighbour`] decodes *features*: it returns the label set whose prototype, the sum of
//! its labels' class means, is nearest. [`LogitDecoder`] decodes *logits* by a rule tuned on
//! validation data, the functions of [`threshold`] by a rule that needs no tuning.

mod choice;
mod expected_f1;
mod fit;
mod multiplicity;
mod nearest;
mod rules;
mod scales;
mod search;
mod sweep;
pub mod threshold;

pub use choice::{Candidate, Choice, Decoder, DecoderSpec, Validation, choose, choose_each};
pub use fit::{Distance, EmptySet, NearestSettings, Prior, Prototypes};
pub use multiplicity::MultiplicityModel;
pub use nearest::{Decoded, Metric, OneNearestNeighbour};
pub use rules::{EmptyRule, Link, LogitDecoder, Rule, RuleKind};
pub use scales::ufm_scales;

use crate::{Error, Result, kernel};

/// Number of rows of a row-major matrix with this many columns, all of its numbers finite.
fn checked_rows<T: Copy + Into<f64>>(
    values: &[T],
    num_columns: usize,
    what: &'static str,
) -> Result<usize> {
    if num_columns == 0 || !values.len().is_multiple_of(num_columns) {
        return Err(Error::SizeMismatch {
            what,
            expected: num_columns,
            found: values.len().checked_rem(num_columns).unwrap_or(0),
        });
    }
    if kernel::vectorized(
        #[inline(always)]
        || kernel::all_finite(values),
    ) {
        return Ok(values.len() / num_columns);
    }
    let is_wrong = |&value: &T| !Into::<f64>::into(value).is_finite();
    let position = values.iter().position(is_wrong).unwrap_or_default();
    Err(Error::NotFinite {
        what,
        row: position / num_columns,
        column: position % num_columns,
        value: values[position].into(),
    })
}
