//! Training, validation and test images, and whether every label can be learned and judged.

use tagwise::split::stratified_folds;
use tagwise_base::Targets;

use super::OwnSpec;
use crate::{Error, Result};

/// A part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Portion {
    Train,
    Validation,
    Test,
}

impl Portion {
    const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// The samples of each part, in increasing order: training, validation and test.
///
/// What `given` leaves without a sample is split off the training part, so that every label keeps
/// its share.
///
/// # Errors
/// [`Error::OutOfRange`] for shares that are none and for a part that no sample is left for.
pub(super) fn divide(
    targets: &Targets,
    given: Option<Vec<Portion>>,
    spec: &OwnSpec,
    seed: u64,
) -> Result<[Vec<usize>; 3]> {
    let mut portions = given.unwrap_or_else(|| vec![Portion::Train; targets.len()]);
    split_off(
        &mut portions,
        Portion::Test,
        targets,
        spec.test_fraction,
        seed,
    )?;
    split_off(
        &mut portions,
        Portion::Validation,
        targets,
        spec.validation_fraction,
        seed,
    )?;
    let parts = Portion::ALL.map(|portion| members(&portions, portion));
    for (portion, members) in Portion::ALL.into_iter().zip(&parts) {
        if members.is_empty() {
            return Err(Error::OutOfRange {
                name: "own images",
                requirement: format!(
                    "of which at least one becomes a {} image (add images, raise its share, or say \
                     in a column split which they are)",
                    portion.name()
                ),
                found: format!("{} images", targets.len()),
            });
        }
    }
    Ok(parts)
}

fn members(portions: &[Portion], portion: Portion) -> Vec<usize> {
    (0..portions.len())
        .filter(|&sample| portions[sample] == portion)
        .collect()
}

/// Takes about `fraction` of the training samples for a part that has none.
fn split_off(
    portions: &mut [Portion],
    portion: Portion,
    targets: &Targets,
    fraction: f64,
    seed: u64,
) -> Result<()> {
    if portions.contains(&portion) {
        return Ok(());
    }
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Error::OutOfRange {
            name: "the share of validation and test images",
            requirement: "between 0 and 1".into(),
            found: fraction.to_string(),
        });
    }
    let train = members(portions, Portion::Train);
    let sets = targets.select(train.iter().copied());
    let folds = stratified_folds(&sets, &[1.0 - fraction, fraction], seed)?;
    for (sample, fold) in train.into_iter().zip(folds) {
        if fold == 1 {
            portions[sample] = portion;
        }
    }
    Ok(())
}

/// What a person calls a sample: its file and the place in it.
pub(super) type Place<'a> = &'a dyn Fn(usize) -> String;

/// Whether there are two classes or more, each with two images or more.
///
/// # Errors
/// The sentence that says what is missing.
pub(super) fn expect_learnable(
    targets: &Targets,
    class_names: &[String],
    place: Place<'_>,
) -> Result<(), String> {
    if class_names.len() < 2 {
        return Err(format!(
            "expected at least 2 labels, since with one there is nothing to tell apart, found {}",
            match class_names {
                [] => "none".to_string(),
                names => format!("only {}", names.join(", ")),
            }
        ));
    }
    let members = images_of(targets);
    let none = (0..class_names.len()).filter(|&class| members[class].is_empty());
    let none: Vec<&str> = none.map(|class| class_names[class].as_str()).collect();
    if !none.is_empty() {
        let names = listed(&none);
        return Err(format!(
            "expected images with every label, found none with {names}; leave it out"
        ));
    }
    let single = (0..class_names.len()).filter(|&class| members[class].len() == 1);
    let single: Vec<usize> = single.collect();
    let Some(&first) = single.first() else {
        return Ok(());
    };
    let names: Vec<&str> = single
        .iter()
        .map(|&class| class_names[class].as_str())
        .collect();
    Err(format!(
        "expected two images or more with every label, one to learn from and one to judge by, found \
         one with {} ({}); add images or leave the label out",
        listed(&names),
        place(members[first][0])
    ))
}

/// Whether every label is on a training image.
///
/// # Errors
/// The sentence that names the labels that are not.
pub(super) fn expect_learned(
    targets: &Targets,
    train: &[usize],
    class_names: &[String],
) -> Result<(), String> {
    let members = images_of(&targets.select(train.iter().copied()));
    let unseen = (0..class_names.len()).filter(|&class| members[class].is_empty());
    let unseen: Vec<&str> = unseen.map(|class| class_names[class].as_str()).collect();
    match unseen.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "expected every label on a training image, found none with {}; move an image of it to \
             train in the column split",
            listed(&unseen)
        )),
    }
}

/// The samples of each class.
fn images_of(targets: &Targets) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); targets.num_classes()];
    for (sample, set) in targets.iter().enumerate() {
        for class in set.indices() {
            members[class].push(sample);
        }
    }
    members
}

/// The first few names and how many more there are.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("{name:?}"))
        .collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use tagwise_base::LabelSet;

    use super::*;

    fn targets(sets: &[&[u32]]) -> Targets {
        let sets = sets
            .iter()
            .map(|labels| LabelSet::new(labels.iter().copied()));
        Targets::new(3, sets).unwrap()
    }

    fn spec(test_fraction: f64, validation_fraction: f64) -> OwnSpec {
        OwnSpec {
            test_fraction,
            validation_fraction,
            ..OwnSpec::default()
        }
    }

    #[test]
    fn every_label_keeps_its_share_in_every_part() {
        let sets: Vec<&[u32]> = [&[0][..], &[1], &[0, 2]]
            .into_iter()
            .cycle()
            .take(300)
            .collect();
        let targets = targets(&sets);
        let parts = divide(&targets, None, &spec(0.2, 0.25), 1).unwrap();
        assert_eq!(parts.each_ref().map(Vec::len), [180, 60, 60]);
        for part in &parts {
            let members = images_of(&targets.select(part.iter().copied()));
            let num_pairs = part.len() / 3;
            assert_eq!(members[2].len(), num_pairs);
            assert_eq!(members[0].len(), 2 * num_pairs);
        }
        let mut all = parts.concat();
        all.sort_unstable();
        assert_eq!(all, (0..300).collect::<Vec<_>>());
        assert_ne!(parts, divide(&targets, None, &spec(0.2, 0.25), 2).unwrap());
    }

    #[test]
    fn what_a_column_says_stays_and_only_missing_parts_are_split_off() {
        use Portion::{Test, Train};
        let sets: Vec<&[u32]> = [&[0][..], &[1], &[2]]
            .into_iter()
            .cycle()
            .take(16)
            .collect();
        let targets = targets(&sets);
        let given = [vec![Test], vec![Train; 15]].concat();
        let [train, validation, test] = divide(&targets, Some(given), &spec(0.2, 0.2), 0).unwrap();
        assert_eq!(test, [0]);
        assert_eq!((train.len(), validation.len()), (12, 3));
    }

    #[test]
    fn labels_that_cannot_be_learned_are_named() {
        let names = ["sea", "sky", "sun"].map(String::from);
        let place = |sample: usize| format!("line {}", sample + 2);
        let said = |sets: &[&[u32]]| expect_learnable(&targets(sets), &names, &place).unwrap_err();
        insta::assert_snapshot!(said(&[&[0], &[1], &[0, 1]]), @r#"expected images with every label, found none with "sun"; leave it out"#);
        insta::assert_snapshot!(said(&[&[0], &[0, 1], &[1, 2]]), @r#"expected two images or more with every label, one to learn from and one to judge by, found one with "sun" (line 4); add images or leave the label out"#);
        let one = Targets::new(1, [LabelSet::new([0])]).unwrap();
        let said = expect_learnable(&one, &names[..1], &place).unwrap_err();
        insta::assert_snapshot!(said, @"expected at least 2 labels, since with one there is nothing to tell apart, found only sea");
        let targets = targets(&[&[0], &[1], &[2], &[0], &[1], &[2]]);
        expect_learned(&targets, &[0, 1, 2], &names).unwrap();
        let said = expect_learned(&targets, &[0, 3, 4], &names).unwrap_err();
        insta::assert_snapshot!(said, @r#"expected every label on a training image, found none with "sun"; move an image of it to train in the column split"#);
        let error = divide(&targets, None, &spec(0.01, 0.2), 0).unwrap_err();
        insta::assert_snapshot!(error, @"expected own images of which at least one becomes a validation image (add images, raise its share, or say in a column split which they are), found 6 images");
    }
}
