//! Label sets written as text.

use std::collections::{BTreeMap, HashSet};

use super::{ClassNames, LabelSet, Targets};
use crate::{Error, Result};

/// How many classes numbers may imply: a slip of the pen should not fill the memory.
const MAX_NUMBERED: usize = 1 << 22;

/// Label sets written as names or class numbers with `;` between them, one text a sample.
///
/// ```
/// use tagwise_base::label::LabelLists;
///
/// let mut lists = LabelLists::default();
/// for text in ["cat; dog", "", "ant"] {
///     lists.push(text)?;
/// }
/// let (targets, names) = lists.finish(None, None)?;
/// assert_eq!(names.unwrap(), ["ant", "cat", "dog"]);
/// assert_eq!(targets.set(0).to_string(), "{1, 2}");
/// # Ok::<(), tagwise_base::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LabelLists {
    /// Each name once, with its place in the order of appearance.
    places: BTreeMap<String, u32>,
    /// For each sample the places of its labels.
    rows: Vec<LabelSet>,
    holds_semicolons: bool,
    holds_other_separators: bool,
}

impl LabelLists {
    /// Adds the labels of the next sample; an empty text is the empty set.
    ///
    /// # Errors
    /// [`Error::Malformed`] for lists as Python prints them.
    pub fn push(&mut self, text: &str) -> Result<()> {
        let text = text.trim();
        if text.starts_with(['[', '{', '(']) {
            return Err(Error::Malformed(format!(
                "expected labels with ; between them, found {text:?}; join lists before they are \
                 written, in Python with \";\".join(labels)"
            )));
        }
        self.holds_semicolons |= text.contains(';');
        self.holds_other_separators |= text.contains([',', '|']);
        let names = text.split(';').map(str::trim);
        self.push_names(names.filter(|name| !name.is_empty()));
        Ok(())
    }

    /// Adds the labels of the next sample, one by one.
    ///
    /// ```
    /// use tagwise_base::label::LabelLists;
    ///
    /// let mut lists = LabelLists::default();
    /// lists.push_names(["semi;colon", "dot"]);
    /// assert_eq!(lists.finish(None, None)?.1.unwrap(), ["dot", "semi;colon"]);
    /// # Ok::<(), tagwise_base::Error>(())
    /// ```
    pub fn push_names<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        let mut row = Vec::new();
        for name in names {
            let next = self.places.len() as u32;
            row.push(match self.places.get(name) {
                Some(&place) => place,
                None => *self.places.entry(name.to_string()).or_insert(next),
            });
        }
        self.rows.push(LabelSet::new(row));
    }

    /// Whether texts hold commas or bars but none a `;`, so that lists were perhaps meant.
    pub fn may_have_other_separators(&self) -> bool {
        self.holds_other_separators && !self.holds_semicolons
    }

    /// Whether the labels are names of classes, rather than their numbers.
    pub fn are_names(&self, class_names: Option<&[String]>) -> bool {
        self.numbers(class_names).is_none()
    }

    /// Each label as a number, unless some are none or are called so.
    fn numbers(&self, class_names: Option<&[String]>) -> Option<Vec<u32>> {
        let names: HashSet<&String> = class_names.into_iter().flatten().collect();
        let labels = self.places.keys();
        let numbers = labels.map(|label| match names.contains(label) {
            true => None,
            false => class_number(label),
        });
        numbers.collect()
    }

    /// The label sets, and the names of the classes where they are more than numbers.
    ///
    /// Where all labels are whole numbers and none is among `class_names`, these are the classes, K
    /// in all or as many as the largest says. Otherwise the classes are those in `class_names`, or,
    /// where that says nothing, those that occur, sorted.
    ///
    /// ```
    /// use tagwise_base::label::LabelLists;
    ///
    /// let mut lists = LabelLists::default();
    /// lists.push("30")?;
    /// let years = ["30", "10"].map(String::from);
    /// let (targets, _) = lists.finish(None, Some(&years))?;
    /// assert_eq!(targets.set(0).to_string(), "{0}"); // the first class is called 30
    /// # Ok::<(), tagwise_base::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Malformed`] for a label that is not among the given names and for another number of
    /// classes than the given one.
    pub fn finish(
        self,
        num_classes: Option<usize>,
        class_names: Option<&[String]>,
    ) -> Result<(Targets, Option<Vec<String>>)> {
        let numbers = self.numbers(class_names);
        let mut classes = vec![0; self.places.len()];
        let num_classes = num_classes.or(class_names.map(<[String]>::len));
        let (num_classes, names) = match numbers {
            Some(numbers) => {
                for (&place, &number) in self.places.values().zip(&numbers) {
                    classes[place as usize] = number;
                }
                let num_classes = number_of_classes(&numbers, num_classes)?;
                let names = ClassNames::settle(num_classes, None, class_names)?;
                (num_classes, names.into_names())
            }
            None => {
                let names = self.named(num_classes, class_names, &mut classes)?;
                (names.len(), Some(names))
            }
        };
        let sets = self
            .rows
            .iter()
            .map(|row| LabelSet::new(row.indices().map(|place| classes[place])));
        Ok((Targets::new(num_classes, sets)?, names))
    }

    fn named(
        &self,
        num_classes: Option<usize>,
        class_names: Option<&[String]>,
        classes: &mut [u32],
    ) -> Result<Vec<String>> {
        let names: Vec<String> = match class_names {
            Some(names) => names.to_vec(),
            None => self.places.keys().cloned().collect(),
        };
        let numbers: BTreeMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
        for (name, &place) in &self.places {
            classes[place as usize] = *numbers.get(name.as_str()).ok_or_else(|| {
                Error::Malformed(format!(
                    "expected one of the given class names, found {name:?}"
                ))
            })?;
        }
        match num_classes {
            Some(expected) if expected != names.len() => Err(Error::Malformed(format!(
                "expected {expected} classes, found {} names",
                names.len()
            ))),
            _ => Ok(names),
        }
    }
}

/// A whole number, also as `2.0`, which tables write where cells were missing. `02` is a code, and
/// so a name.
fn class_number(label: &str) -> Option<u32> {
    let digits = label.trim_start_matches('+');
    if digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.") {
        return None;
    }
    let whole = label.trim_end_matches('0').strip_suffix('.');
    whole.unwrap_or(label).parse().ok()
}

/// What to say of numbers of classes that nobody has counted and that may start at 1: class 0 is
/// none of them.
///
/// ```
/// use tagwise_base::label::counted_from_one;
/// use tagwise_base::{LabelSet, Targets};
///
/// let targets = Targets::new(4, [[1, 2], [3, 1]].map(LabelSet::new))?;
/// assert!(counted_from_one(&targets).unwrap().starts_with("no sample has class 0"));
/// # Ok::<(), tagwise_base::Error>(())
/// ```
pub fn counted_from_one(targets: &Targets) -> Option<&'static str> {
    let is_zero_free = targets.distinct().iter().all(|set| !set.contains(0));
    let has_labels = targets.distinct().iter().any(|set| !set.is_empty());
    (is_zero_free && has_labels).then_some(
        "no sample has class 0, which counts as a class without samples; if classes are counted from \
         1, subtract 1",
    )
}

/// K as it is given, or one more than the largest class number.
pub(crate) fn number_of_classes(numbers: &[u32], given: Option<usize>) -> Result<usize> {
    let implied = numbers
        .iter()
        .max()
        .map_or(0, |&largest| largest as usize + 1);
    let max = given.unwrap_or(MAX_NUMBERED.max(numbers.len()));
    match implied <= max {
        true => Ok(given.unwrap_or(implied)),
        false => Err(Error::Malformed(format!(
            "expected class numbers below {max}, found {}",
            implied - 1
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(
        texts: &[&str],
        num_classes: Option<usize>,
        names: Option<&[String]>,
    ) -> Result<(Vec<String>, Option<Vec<String>>)> {
        let mut lists = LabelLists::default();
        for text in texts {
            lists.push(text)?;
        }
        let (targets, names) = lists.finish(num_classes, names)?;
        Ok((targets.iter().map(ToString::to_string).collect(), names))
    }

    #[test]
    fn numbers_are_classes_in_their_own_order() {
        let (sets, names) = finish(&["10;2", "9", ""], None, None).unwrap();
        assert_eq!(
            (sets, names),
            (vec!["{2, 10}".into(), "{9}".into(), "{}".into()], None)
        );
        assert!(finish(&["3"], Some(3), None).is_err());
        assert!(finish(&["4000000000"], None, None).is_err());
    }

    #[test]
    fn numbers_with_a_fraction_of_zero_are_classes_and_codes_are_names() {
        let (sets, names) = finish(&["2.0;10.0", "0.0", "1"], None, None).unwrap();
        assert_eq!((sets[0].as_str(), names), ("{2, 10}", None));
        let (sets, names) = finish(&["01;02", "2"], None, None).unwrap();
        assert_eq!(
            (sets[0].as_str(), names.unwrap()),
            ("{0, 1}", vec!["01".into(), "02".into(), "2".into()])
        );
        for name in ["1.5", "1e1", "0.5", ".0", "-1"] {
            assert_eq!(class_number(name), None, "{name}");
        }
        assert_eq!(class_number("10"), Some(10));
        assert_eq!(class_number("0"), Some(0));
        assert_eq!(class_number("100"), Some(100));
    }

    #[test]
    fn classes_may_be_counted_from_one() {
        let is_said = |sets: &[&[u32]]| {
            let sets = sets.iter().map(|set| LabelSet::new(set.iter().copied()));
            counted_from_one(&Targets::new(5, sets).unwrap()).is_some()
        };
        assert!(is_said(&[&[1], &[2, 3], &[]]));
        for sets in [&[&[0][..], &[2]][..], &[&[], &[]]] {
            assert!(!is_said(sets));
        }
    }

    #[test]
    fn given_names_set_the_order_and_must_hold_all_labels() {
        let names = ["dog", "cat"].map(String::from);
        let (sets, _) = finish(&["cat", "dog;cat"], None, Some(&names)).unwrap();
        assert_eq!(sets, ["{1}", "{0, 1}"]);
        let error = finish(&["cow"], None, Some(&names))
            .unwrap_err()
            .to_string();
        insta::assert_snapshot!(error, @r#"expected one of the given class names, found "cow""#);
        let error = finish(&["cow"], Some(3), None).unwrap_err().to_string();
        insta::assert_snapshot!(error, @"expected 3 classes, found 1 names");
        // Numbers are names where names are numbers, and never both.
        let years = ["30", "10", "20"].map(String::from);
        let (sets, names) = finish(&["10", "30;20"], None, Some(&years)).unwrap();
        assert_eq!(
            (sets, names.unwrap()),
            (vec!["{1}".into(), "{0, 2}".into()], years.to_vec())
        );
        let (sets, names) = finish(&["2", "0;1"], None, Some(&years)).unwrap();
        assert_eq!(
            (sets, names.unwrap()),
            (vec!["{2}".into(), "{0, 1}".into()], years.to_vec())
        );
        let error = finish(&["10", "2"], None, Some(&years))
            .unwrap_err()
            .to_string();
        insta::assert_snapshot!(error, @r#"expected one of the given class names, found "2""#);
        let error = finish(&["['a', 'b']"], None, None).unwrap_err().to_string();
        insta::assert_snapshot!(error, @r#"expected labels with ; between them, found "['a', 'b']"; join lists before they are written, in Python with ";".join(labels)"#);
    }
}
