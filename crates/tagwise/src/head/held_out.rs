//! The part of the samples that a head does not see while its weight decay is chosen.

use serde::{Deserialize, Serialize};

use crate::split::stratified_folds;
use crate::{Error, Result, Targets};

/// Which samples were held out, in a form that finds them again.
///
/// ```
/// use tagwise::head::HeldOut;
/// use tagwise::{LabelSet, Targets};
///
/// let targets = Targets::new(2, (0..10).map(|i| LabelSet::new([i % 2])))?;
/// let held_out = HeldOut::new(0.2, 7, &targets)?;
/// let parts = held_out.split(&targets)?.unwrap();
/// assert_eq!((parts.fitting.len(), parts.held_out.len()), (8, 2));
///
/// let others = Targets::new(2, (0..10).map(|i| LabelSet::new([i / 5])))?;
/// assert_eq!(held_out.split(&others)?, None);
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// Their share of all samples.
    pub share: f64,
    /// The seed of the split.
    pub seed: u64,
    /// Which label sets were split.
    pub fingerprint: u64,
}

/// The rows of two parts of the samples, each in increasing order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The samples that are fitted to.
    pub fitting: Vec<usize>,
    /// The samples held out.
    pub held_out: Vec<usize>,
}

impl HeldOut {
    /// Holds out a share of the samples, so that every label keeps its share.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless 0 < share < 1.
    pub fn new(share: f64, seed: u64, targets: &Targets) -> Result<Self> {
        if !(share > 0.0 && share < 1.0) {
            return Err(Error::OutOfRange {
                name: "the share of samples held out",
                requirement: "between 0 and 1",
                found: share.to_string(),
            });
        }
        Ok(Self {
            share,
            seed,
            fingerprint: fingerprint(targets),
        })
    }

    /// Both parts, if the split was of these label sets; `None` if it was of others.
    ///
    /// # Errors
    /// As [`stratified_folds`].
    pub fn split(&self, targets: &Targets) -> Result<Option<Parts>> {
        if self.fingerprint != fingerprint(targets) {
            return Ok(None);
        }
        Parts::new(targets, self.share, self.seed).map(Some)
    }
}

impl Parts {
    /// Holds out a share of the samples, so that every label keeps its share.
    ///
    /// # Errors
    /// As [`stratified_folds`].
    pub fn new(targets: &Targets, share: f64, seed: u64) -> Result<Self> {
        let folds = stratified_folds(targets, &[1.0 - share, share], seed)?;
        let (fitting, held_out) = (0..folds.len()).partition(|&row| folds[row] == 0);
        Ok(Self { fitting, held_out })
    }
}

/// A number that tells label matrices apart (Fowler, Noll and Vo's hash, 64 bits).
fn fingerprint(targets: &Targets) -> u64 {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let numbers = targets.iter().flat_map(|set| {
        let labels = set.labels().iter().map(|&label| u64::from(label) + 1);
        labels.chain([0])
    });
    numbers.fold(START, |hash, number| (hash ^ number).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LabelSet;

    #[test]
    fn a_share_must_leave_both_parts_something() {
        let targets = Targets::new(1, [LabelSet::new([0])]).unwrap();
        for share in [0.0, 1.0, -0.5, f64::NAN] {
            assert!(HeldOut::new(share, 0, &targets).is_err());
        }
        let error = HeldOut::new(1.5, 0, &targets).unwrap_err();
        insta::assert_snapshot!(error, @"expected the share of samples held out between 0 and 1, found 1.5");
    }

    #[test]
    fn another_seed_holds_out_others() {
        let targets = Targets::new(3, (0..60).map(|i| LabelSet::new([i % 3]))).unwrap();
        let parts = |seed| {
            let held_out = HeldOut::new(0.25, seed, &targets).unwrap();
            held_out.split(&targets).unwrap().unwrap()
        };
        assert_eq!(parts(1), parts(1));
        assert_ne!(parts(1), parts(2));
        assert_eq!(parts(1).held_out.len(), 15);
    }
}
