//! What classes are called where a file and somebody else may both say it.

use std::collections::HashMap;

use super::{LabelSet, Targets};
use crate::{Error, Result};

/// The names of K classes, and where the classes of a file stand among them.
///
/// Given names that are those of the file in another order say the order of the classes. Names that
/// have nothing to do with those of the file replace them, in the order of the file.
///
/// ```
/// use tagwise_base::label::ClassNames;
/// use tagwise_base::{LabelSet, Targets};
///
/// let [own, given] = [["sea", "sky"], ["sky", "sea"]].map(|names| names.map(String::from));
/// let names = ClassNames::settle(2, Some(&own), Some(&given))?;
/// let targets = names.apply(Targets::new(2, [LabelSet::new([0])])?);
/// assert_eq!(targets.set(0).labels(), [1]); // sea
/// # Ok::<(), tagwise_base::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassNames {
    names: Option<Vec<String>>,
    /// For each class of the file its new place, where any moves.
    places: Option<Vec<u32>>,
}

impl ClassNames {
    /// Brings both together.
    ///
    /// # Errors
    /// [`Error::Malformed`] unless there is a name for each class, and for given names of which
    /// only some are those of the file, at other places.
    pub fn settle(
        num_classes: usize,
        own: Option<&[String]>,
        given: Option<&[String]>,
    ) -> Result<Self> {
        for names in [own, given].into_iter().flatten() {
            if names.len() != num_classes {
                return Err(Error::Malformed(format!(
                    "expected a name for each of the {num_classes} classes, found {} names",
                    names.len()
                )));
            }
        }
        let places = match (own, given) {
            (Some(own), Some(given)) if own != given => places(own, given)?,
            _ => None,
        };
        Ok(Self {
            names: given.or(own).map(<[String]>::to_vec),
            places,
        })
    }

    /// The names in order, where any are known.
    pub fn into_names(self) -> Option<Vec<String>> {
        self.names
    }

    /// Label sets of the file's classes as those of the named ones.
    #[must_use]
    pub fn apply(&self, targets: Targets) -> Targets {
        match &self.places {
            None => targets,
            Some(places) => targets.with_classes_at(places),
        }
    }

    /// Rows `[K, d]` of the file's classes in the order of the named ones.
    pub(crate) fn order_rows(&self, rows: Vec<f64>) -> Vec<f64> {
        let Some(places) = &self.places else {
            return rows;
        };
        let width = rows.len() / places.len().max(1);
        let mut ordered = vec![0.0; rows.len()];
        for (row, &place) in rows.chunks_exact(width.max(1)).zip(places) {
            let start = place as usize * width;
            ordered[start..start + width].copy_from_slice(row);
        }
        ordered
    }
}

/// Where each of the file's names stands among the given ones; none where these are new.
fn places(own: &[String], given: &[String]) -> Result<Option<Vec<u32>>> {
    let numbers: HashMap<&String, u32> = given.iter().zip(0..).collect();
    let found: Vec<Option<u32>> = own.iter().map(|name| numbers.get(name).copied()).collect();
    if let Some(places) = found.iter().copied().collect::<Option<Vec<u32>>>() {
        return Ok(Some(places));
    }
    let moved = (0..).zip(&found).find_map(|(class, &place)| {
        let place = place.filter(|&place| place != class)?;
        Some((class as usize, place as usize))
    });
    match moved {
        None => Ok(None),
        Some((class, place)) => Err(Error::Malformed(format!(
            "expected the classes of the file in another order, or names of their own, found {:?} as \
             class {place}, which is class {class} of the file, beside names that are not in it",
            own[class]
        ))),
    }
}

impl Targets {
    /// The same label sets with each class c called `places[c]`, a permutation.
    fn with_classes_at(&self, places: &[u32]) -> Self {
        let moved = self.distinct().iter().map(|set| {
            let labels = set.indices().map(|label| places[label]);
            LabelSet::new(labels)
        });
        let moved =
            Self::from_distinct(self.num_classes(), moved.collect(), self.set_ids().to_vec());
        moved.unwrap_or_else(|_| self.clone()) // the number of classes stays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
        names.map(String::from).to_vec()
    }

    #[test]
    fn names_of_the_file_in_another_order_move_its_classes() {
        let own = names(["cow", "ant", "bee"]);
        let sorted = names(["ant", "bee", "cow"]);
        let settled = ClassNames::settle(3, Some(&own), Some(&sorted)).unwrap();
        let targets = Targets::new(3, [vec![0], vec![1, 2], vec![]].map(LabelSet::new)).unwrap();
        let moved: Vec<String> = settled
            .apply(targets)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(moved, ["{2}", "{0, 1}", "{}"]);
        assert_eq!(
            settled.order_rows(vec![1.0, 1.5, 2.0, 2.5, 3.0, 3.5]),
            [2.0, 2.5, 3.0, 3.5, 1.0, 1.5]
        );
        assert_eq!(settled.into_names().unwrap(), sorted);
    }

    #[test]
    fn new_names_replace_and_half_known_ones_are_refused() {
        let own = names(["x1", "x2"]);
        let new = names(["sea", "sky"]);
        let settled = ClassNames::settle(2, Some(&own), Some(&new)).unwrap();
        assert_eq!((settled.places, settled.names), (None, Some(new.clone())));
        let refusal = |own: Option<&[String]>, given: &[String]| {
            let error = ClassNames::settle(2, own, Some(given)).unwrap_err();
            error.to_string()
        };
        insta::assert_snapshot!(refusal(Some(&own), &names(["x2", "sky"])), @r#"expected the classes of the file in another order, or names of their own, found "x2" as class 0, which is class 1 of the file, beside names that are not in it"#);
        insta::assert_snapshot!(refusal(None, &names(["sea"])), @"expected a name for each of the 2 classes, found 1 names");
        let half = names(["x1", "sky"]);
        let settled = ClassNames::settle(2, Some(&own), Some(&half)).unwrap();
        assert_eq!(settled.into_names().unwrap(), half);
    }
}
