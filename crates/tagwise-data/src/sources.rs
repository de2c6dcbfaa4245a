use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::{Error, LabelledImages, Result};

/// The images that a composed data set may draw from: some members of a set of labelled images.
///
/// Train, validation and test sets stay disjoint because their sources are divided before
/// anything is composed.
///
/// ```
/// use tagwise_data::{Sources, digits};
///
/// let (rest, test) = Sources::all(digits::load()).split_off(0.2, 1)?;
/// let (train, validation) = rest.split_off(0.1, 1)?;
/// assert_eq!(test.members().len(), 359);
/// assert!(train.members().iter().all(|i| !test.members().contains(i)));
/// # assert_eq!(validation.members().len(), 145);
/// # Ok::<(), tagwise_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sources {
    images: Arc<LabelledImages>,
    members: Vec<u32>,
}

impl Sources {
    /// Every image.
    pub fn all(images: impl Into<Arc<LabelledImages>>) -> Self {
        let images = images.into();
        let members = (0..images.len() as u32).collect();
        Self { images, members }
    }

    /// Divides the members in two, class by class: what stays and, second, about `fraction` of
    /// each class chosen at random by the seed.
    ///
    /// Each part keeps at least one image of a class that has two or more; a class with a single
    /// image stays in the first part.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless 0 < `fraction` < 1.
    pub fn split_off(&self, fraction: f64, seed: u64) -> Result<(Self, Self)> {
        let (stay, leave) = divide(self.by_class(), fraction, seed)?;
        Ok((self.with_members(stay), self.with_members(leave)))
    }

    /// The images that the members point into.
    pub fn images(&self) -> &Arc<LabelledImages> {
        &self.images
    }

    /// Positions of the members in [`images`](Self::images), increasing.
    pub fn members(&self) -> &[u32] {
        &self.members
    }

    /// The members of each class in increasing order, K lists.
    pub(crate) fn by_class(&self) -> Vec<Vec<u32>> {
        let mut by_class = vec![Vec::new(); self.images.num_classes()];
        for &member in &self.members {
            by_class[self.images.labels()[member as usize] as usize].push(member);
        }
        by_class
    }

    fn with_members(&self, mut members: Vec<u32>) -> Self {
        members.sort_unstable();
        Self {
            images: Arc::clone(&self.images),
            members,
        }
    }
}

/// Takes about `fraction` of each group away, chosen at random by the seed: what stays and what
/// leaves. Each part keeps at least one member of a group of two or more; a single one stays.
///
/// # Errors
/// [`Error::OutOfRange`] unless 0 < `fraction` < 1.
pub(crate) fn divide(
    groups: Vec<Vec<u32>>,
    fraction: f64,
    seed: u64,
) -> Result<(Vec<u32>, Vec<u32>)> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Error::OutOfRange {
            name: "the fraction to split off",
            requirement: "between 0 and 1".into(),
            found: fraction.to_string(),
        });
    }
    let (mut stay, mut leave) = (Vec::new(), Vec::new());
    for (group, mut members) in groups.into_iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(group as u64);
        members.shuffle(&mut rng);
        let num_leaving = match members.len() {
            0 | 1 => 0,
            n => ((n as f64 * fraction).round() as usize).clamp(1, n - 1),
        };
        leave.extend_from_slice(&members[..num_leaving]);
        stay.extend_from_slice(&members[num_leaving..]);
    }
    Ok((stay, leave))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageShape;

    fn sources(class_counts: &[usize]) -> Sources {
        let labels: Vec<u32> = (0..)
            .zip(class_counts)
            .flat_map(|(class, &count)| std::iter::repeat_n(class, count))
            .collect();
        let pixels = vec![0; labels.len()];
        Sources::all(
            LabelledImages::new(
                ImageShape::new(1, 1, 1),
                class_counts.len(),
                255,
                pixels,
                labels,
            )
            .unwrap(),
        )
    }

    #[test]
    fn a_split_is_stratified_disjoint_and_complete() {
        let all = sources(&[100, 50, 1, 2, 0]);
        let (stay, leave) = all.split_off(0.2, 3).unwrap();
        let count = |part: &Sources| part.by_class().iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(count(&stay), [80, 40, 1, 1, 0]);
        assert_eq!(count(&leave), [20, 10, 0, 1, 0]);
        let mut both = [stay.members(), leave.members()].concat();
        both.sort_unstable();
        assert_eq!(both, all.members());
    }

    #[test]
    fn the_seed_alone_decides_a_split() {
        let all = sources(&[100, 50]);
        let leaving = |seed| all.split_off(0.2, seed).unwrap().1.members().to_vec();
        assert_eq!(leaving(3), leaving(3));
        assert_ne!(leaving(3), leaving(4));
    }

    #[test]
    fn a_fraction_that_leaves_nothing_is_refused() {
        for fraction in [0.0, 1.0, -0.5, f64::NAN] {
            assert!(sources(&[4]).split_off(fraction, 0).is_err());
        }
        assert_eq!(
            sources(&[4]).split_off(1.5, 0).unwrap_err().to_string(),
            "expected the fraction to split off between 0 and 1, found 1.5"
        );
    }
}
