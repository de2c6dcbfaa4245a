//! From features or logits to label sets.
//!
//! [`OneNearestNeighbour`] decodes *features*: it returns the label set whose prototype, the sum of
//! its labels' class means, is nearest. [`LogitDecoder`] decodes *logits* by a rule tuned on
//! samples with known labels, the functions of [`threshold`] by a rule that needs no tuning.
//! [`choose`] takes the best of all on samples held out.
//!
//! [`FittedDecoder`] is the whole way from features to [`Answers`]: it knows which samples to tune
//! on, holds the classifier that it needs, decodes block by block, and can be saved.
//!
//! Modules depend on each other in one direction: `settings` and `search` (no training samples) ←
//! `parts` ← `training` ← `fit` ← `nearest`; `pick` ← `rules` ← `sweep` ← `tuning`; both ← `choice`
//! ← `inputs`, which makes what `fitted` uses and `saved` keeps.

pub(crate) mod answers;
mod blocks;
mod choice;
mod expected_f1;
mod fit;
mod fitted;
mod inputs;
mod label_thresholds;
mod multiplicity;
mod nearest;
mod parts;
mod pick;
mod record;
mod rules;
mod run;
mod saved;
mod scales;
mod search;
mod set_likelihood;
mod settings;
mod spec;
mod sweep;
pub mod threshold;
mod training;
mod tuning;
mod values;

pub use answers::{AnswerFormat, Answers};
pub use blocks::DecodeProgress;
pub use choice::{Candidate, Choice, ChoiceProgress, Decoder, TuningData, choose, choose_each};
pub use fitted::FittedDecoder;
pub use inputs::{DecoderInputs, DecoderKind, DecoderSettings};
pub use multiplicity::MultiplicityModel;
pub use nearest::{Decoded, OneNearestNeighbour};
pub use record::{Space, TunedOn, Tuning, TuningWarning};
pub use rules::{EmptyRule, LogitDecoder, Rule, RuleKind};
pub use scales::{Scales, ufm_scales};
pub use set_likelihood::{
    EmptyMatch, ExpectedF1, ProbableSet, SetDecoder, SetRule, SetSettings, best_expected_f1,
    most_probable,
};
pub use settings::{Distance, EmptySet, NearestSettings, Prior, Prototypes};
pub use spec::DecoderSpec;
pub use values::TunedValues;

pub use crate::loss::Link;
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
