//! Projection of features on the plane of three class means.

mod stream;

use std::collections::BTreeMap;

use tagwise_base::{LabelSet, Targets};

use crate::contact_sheet::set_name;
use crate::scatter::{Arm, Average, Cloud, Scatter};
use crate::{Error, Result};

pub use stream::{plane_of_classes, plane_of_stream};

/// An orthonormal basis of the plane that holds the simplex ETF of three classes: the span of
/// their class means after subtraction of the mean of the three.
///
/// The projection is linear and keeps the origin of feature space, so sums of means stay sums in
/// the picture. The first class points up.
///
/// ```
/// use tagwise_report::plane::Plane;
///
/// let means = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
/// let plane = Plane::through(&[&means[0], &means[1], &means[2]])?;
/// let [x, y] = plane.project(&means[0]);
/// assert!(x.abs() < 1e-12 && (y - (2.0f64 / 3.0).sqrt()).abs() < 1e-12);
/// # Ok::<(), tagwise_report::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    axes: [Vec<f64>; 2],
}

/// Directions shorter than this part of the means cannot be told from rounding.
const MIN_RELATIVE_LENGTH: f64 = 1e-9;
/// So many samples of each label set are drawn, evenly spread over the data set.
const MAX_POINTS: usize = 300;
/// Classes considered for the picture when the caller leaves the choice open.
const MAX_CANDIDATES: usize = 24;

impl Plane {
    /// The plane through three means of the same length d ≥ 2.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] unless there are three means of equal length, [`Error::NoPlane`]
    /// when they lie on a line (two classes collapsed into one, say) or are not finite.
    pub fn through(means: &[&[f64]]) -> Result<Self> {
        let &[first, second, third] = means else {
            return Err(Error::SizeMismatch {
                what: "class means",
                expected: 3,
                found: means.len(),
            });
        };
        for mean in means {
            if mean.len() != first.len() {
                return Err(Error::SizeMismatch {
                    what: "coordinates in each class mean",
                    expected: first.len(),
                    found: mean.len(),
                });
            }
        }
        let centre: Vec<f64> = (0..first.len())
            .map(|at| (first[at] + second[at] + third[at]) / 3.0)
            .collect();
        let largest = means.iter().map(|mean| norm(mean)).fold(0.0, f64::max);
        let up = unit(&difference(first, &centre), largest)?;
        // to the right of the first arm stands the third class, to the left the second
        let across = difference(third, second);
        let along: f64 = dot(&across, &up);
        let across: Vec<f64> = across.iter().zip(&up).map(|(a, u)| a - along * u).collect();
        let right = unit(&across, largest)?;
        Ok(Self { axes: [right, up] })
    }

    /// The point of the plane under a feature vector, `[x, y]`.
    pub fn project(&self, feature: &[f64]) -> [f64; 2] {
        [dot(feature, &self.axes[0]), dot(feature, &self.axes[1])]
    }
}

/// The picture of multi-label neural collapse for three classes: their single-label samples, the
/// samples of their pairs, and where the tag-wise average C·(h̄_a + h̄_b) lies, with the one C that
/// fits all pairs best.
///
/// # Shapes
/// `features`: `[N, d]` row-major, N = `targets.len()`.
///
/// # Errors
/// [`Error::SizeMismatch`] when features and targets do not agree, [`Error::NoPlane`] when a
/// class has no sample of its own or the class means lie on a line.
pub fn collapse_plane<T: Copy + Into<f64>>(
    features: &[T],
    dim: usize,
    targets: &Targets,
    classes: [u32; 3],
    class_names: &[String],
) -> Result<Scatter> {
    if features.len() != targets.len() * dim {
        return Err(Error::SizeMismatch {
            what: "feature values",
            expected: targets.len() * dim,
            found: features.len(),
        });
    }
    let singles = classes.map(|class| LabelSet::new([class]));
    let pairs = [(0, 1), (0, 2), (1, 2)]
        .map(|(a, b)| (vec![a, b], LabelSet::new([classes[a], classes[b]])));
    let means = Means::of(features, dim, targets, &singles, &pairs);
    let mut single_means = Vec::new();
    for set in &singles {
        let Some(mean) = means.get(set) else {
            return Err(Error::NoPlane(format!(
                "expected samples whose only label is {}, found none; choose other classes for the picture",
                set_name(set, class_names)
            )));
        };
        single_means.push(mean);
    }
    let plane = Plane::through(&single_means)?;
    let sum_of = |positions: &[usize]| sum(positions.iter().map(|&at| single_means[at]), dim);
    let scale = best_scale(
        pairs
            .iter()
            .filter_map(|(positions, set)| Some((means.get(set)?, sum_of(positions)))),
    );
    let members = singles
        .iter()
        .enumerate()
        .map(|(at, set)| (vec![at], set))
        .chain(
            pairs
                .iter()
                .map(|(positions, set)| (positions.clone(), set)),
        );
    let clouds = members
        .filter(|(_, set)| means.get(set).is_some())
        .map(|(positions, set)| Cloud {
            name: if positions.len() == 1 {
                set_name(set, class_names)
                    .trim_matches(['{', '}'])
                    .to_owned()
            } else {
                set_name(set, class_names)
            },
            classes: positions,
            points: sample_points(features, dim, targets, set, &plane),
        })
        .collect();
    let averages = pairs
        .iter()
        .filter(|(_, set)| means.get(set).is_some())
        .map(|(positions, _)| Average {
            classes: positions.clone(),
            at: plane.project(&sum_of(positions)).map(|value| value * scale),
            scale,
        })
        .collect();
    let arms = singles
        .iter()
        .zip(&single_means)
        .map(|(set, mean)| Arm {
            name: set_name(set, class_names)
                .trim_matches(['{', '}'])
                .to_owned(),
            tip: plane.project(mean),
        })
        .collect();
    Ok(Scatter {
        title: "Features in the plane of three class means".into(),
        caption: String::new(),
        arms,
        clouds,
        averages,
    })
}

/// Three classes for the picture: those whose single-label sets and pairs have the most samples.
/// `None` when no three classes have samples of their own.
pub fn choose_classes(targets: &Targets) -> Option<[u32; 3]> {
    let counts: BTreeMap<&LabelSet, usize> =
        targets.distinct().iter().zip(targets.counts()).collect();
    let count = |labels: &[u32]| {
        let set = LabelSet::new(labels.iter().copied());
        counts.get(&set).copied().unwrap_or(0)
    };
    let mut candidates: Vec<u32> = (0..targets.num_classes() as u32)
        .filter(|&class| count(&[class]) > 0)
        .collect();
    candidates.sort_by_key(|&class| std::cmp::Reverse(count(&[class])));
    candidates.truncate(MAX_CANDIDATES);
    candidates.sort_unstable();
    let mut best = None;
    for (i, &a) in candidates.iter().enumerate() {
        for (j, &b) in candidates.iter().enumerate().skip(i + 1) {
            for &c in &candidates[j + 1..] {
                let pairs = [count(&[a, b]), count(&[a, c]), count(&[b, c])];
                let present = pairs.iter().filter(|&&pair| pair > 0).count();
                let fewest = pairs.into_iter().min().unwrap_or(0);
                let score = (present, fewest);
                if best.is_none_or(|(best, _)| score > best) {
                    best = Some((score, [a, b, c]));
                }
            }
        }
    }
    best.map(|(_, classes)| classes)
}

/// The means of the label sets in the picture.
struct Means(BTreeMap<LabelSet, Vec<f64>>);

impl Means {
    fn of<T: Copy + Into<f64>>(
        features: &[T],
        dim: usize,
        targets: &Targets,
        singles: &[LabelSet],
        pairs: &[(Vec<usize>, LabelSet)],
    ) -> Self {
        let wanted = singles.iter().chain(pairs.iter().map(|(_, set)| set));
        let mut sums: BTreeMap<LabelSet, (usize, Vec<f64>)> = wanted
            .map(|set| (set.clone(), (0, vec![0.0; dim])))
            .collect();
        for (sample, set) in targets.iter().enumerate() {
            if let Some((count, sum)) = sums.get_mut(set) {
                *count += 1;
                let feature = &features[sample * dim..(sample + 1) * dim];
                for (sum, &value) in sum.iter_mut().zip(feature) {
                    *sum += value.into();
                }
            }
        }
        Self(
            sums.into_iter()
                .filter(|(_, (count, _))| *count > 0)
                .map(|(set, (count, mut sum))| {
                    sum.iter_mut().for_each(|value| *value /= count as f64);
                    (set, sum)
                })
                .collect(),
        )
    }

    fn get(&self, set: &LabelSet) -> Option<&[f64]> {
        self.0.get(set).map(Vec::as_slice)
    }
}

fn sample_points<T: Copy + Into<f64>>(
    features: &[T],
    dim: usize,
    targets: &Targets,
    set: &LabelSet,
    plane: &Plane,
) -> Vec<[f64; 2]> {
    let samples: Vec<usize> = targets
        .iter()
        .enumerate()
        .filter(|(_, other)| *other == set)
        .map(|(sample, _)| sample)
        .collect();
    let shown = samples.len().min(MAX_POINTS);
    (0..shown)
        .map(|at| samples[at * samples.len() / shown])
        .map(|sample| {
            let feature: Vec<f64> = features[sample * dim..(sample + 1) * dim]
                .iter()
                .map(|&value| value.into())
                .collect();
            plane.project(&feature)
        })
        .collect()
}

/// The C that minimises Σ ‖h̄_S − C·s_S‖² over the pairs: Σ⟨h̄_S, s_S⟩ / Σ‖s_S‖²; 1 without pairs.
fn best_scale<'a>(pairs: impl Iterator<Item = (&'a [f64], Vec<f64>)>) -> f64 {
    let (overlap, square) = pairs.fold((0.0, 0.0), |(overlap, square), (mean, sum)| {
        (overlap + dot(mean, &sum), square + dot(&sum, &sum))
    });
    if square > 0.0 { overlap / square } else { 1.0 }
}

fn sum<'a>(vectors: impl Iterator<Item = &'a [f64]>, dim: usize) -> Vec<f64> {
    let mut total = vec![0.0; dim];
    for vector in vectors {
        for (total, value) in total.iter_mut().zip(vector) {
            *total += value;
        }
    }
    total
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(vector: &[f64]) -> f64 {
    dot(vector, vector).sqrt()
}

fn unit(vector: &[f64], largest: f64) -> Result<Vec<f64>> {
    let length = norm(vector);
    if !(length.is_finite() && length > MIN_RELATIVE_LENGTH * largest) {
        return Err(Error::NoPlane(
            "expected three class means that span a plane, found them on a line; choose other \
             classes for the picture or train longer"
                .into(),
        ));
    }
    Ok(vector.iter().map(|value| value / length).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROUNDING: f64 = 1e-10; // sums of a dozen products of numbers near 1

    fn collapsed(scale: f64) -> (Vec<f64>, Targets) {
        let etf = tagwise_base::etf::simplex_etf(5, 7).unwrap();
        let sets: Vec<LabelSet> = (0..5u32)
            .map(|class| LabelSet::new([class]))
            .chain((0..5).flat_map(|a| (a + 1..5).map(move |b| LabelSet::new([a, b]))))
            .collect();
        let features = sets
            .iter()
            .flat_map(|set| {
                let factor = if set.multiplicity() == 1 { 1.0 } else { scale };
                (0..7)
                    .map(|at| factor * set.indices().map(|class| etf[(class, at)]).sum::<f64>())
                    .collect::<Vec<f64>>()
            })
            .collect();
        (features, Targets::new(5, sets).unwrap())
    }

    #[test]
    fn exact_collapse_puts_pairs_on_their_averages() {
        let (features, targets) = collapsed(0.8);
        let scatter = collapse_plane(&features, 7, &targets, [0, 2, 4], &[]).unwrap();
        assert_eq!(scatter.clouds.len(), 6);
        assert_eq!(scatter.averages.len(), 3);
        for average in &scatter.averages {
            assert!((average.scale - 0.8).abs() < ROUNDING);
            let cloud = scatter
                .clouds
                .iter()
                .find(|cloud| cloud.classes == average.classes)
                .unwrap();
            for axis in 0..2 {
                assert!((cloud.points[0][axis] - average.at[axis]).abs() < ROUNDING);
            }
        }
    }

    #[test]
    fn arms_of_an_etf_are_120_degrees_apart_with_the_first_up() {
        let (features, targets) = collapsed(0.8);
        let scatter = collapse_plane(&features, 7, &targets, [1, 2, 3], &[]).unwrap();
        let angles: Vec<f64> = scatter
            .arms
            .iter()
            .map(|arm| arm.tip[1].atan2(arm.tip[0]).to_degrees())
            .collect();
        for (angle, expected) in angles.iter().zip([90.0, -150.0, -30.0]) {
            assert!((angle - expected).abs() < 1e-6, "{angles:?}");
        }
    }

    #[test]
    fn a_class_without_single_label_samples_is_named() {
        let targets = Targets::new(3, [LabelSet::new([0]), LabelSet::new([1])]).unwrap();
        let names = ["cat", "dog", "owl"].map(String::from);
        let error =
            collapse_plane(&[1.0, 0.0, 0.0, 1.0], 2, &targets, [0, 1, 2], &names).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected samples whose only label is {owl}, found none; choose other classes for the picture"
        );
    }

    #[test]
    fn equal_means_have_no_plane() {
        let mean = [1.0, 2.0];
        assert!(matches!(
            Plane::through(&[&mean, &mean, &mean]),
            Err(Error::NoPlane(_))
        ));
        let line = [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]];
        assert!(Plane::through(&[&line[0], &line[1], &line[2]]).is_err());
        assert!(Plane::through(&[&[f64::NAN, 1.0], &line[1], &line[2]]).is_err());
    }

    #[test]
    fn the_choice_prefers_classes_whose_pairs_exist() {
        let sets = [
            vec![0],
            vec![1],
            vec![2],
            vec![3],
            vec![1, 2],
            vec![2, 3],
            vec![1, 3],
        ];
        let targets = Targets::new(4, sets.map(LabelSet::new)).unwrap();
        assert_eq!(choose_classes(&targets), Some([1, 2, 3]));
        let pairs_only = Targets::new(4, [LabelSet::new([0, 1])]).unwrap();
        assert_eq!(choose_classes(&pairs_only), None);
    }

    proptest! {
        #[test]
        fn the_basis_is_orthonormal_and_keeps_distances_in_the_plane(means in prop::collection::vec(prop::collection::vec(-1.0f64..1.0, 4), 3)) {
            let slices: Vec<&[f64]> = means.iter().map(Vec::as_slice).collect();
            let Ok(plane) = Plane::through(&slices) else { return Ok(()); };
            let [right, up] = &plane.axes;
            prop_assert!((norm(right) - 1.0).abs() < 1e-9 && (norm(up) - 1.0).abs() < 1e-9);
            prop_assert!(dot(right, up).abs() < 1e-6);
            let (a, b) = (plane.project(&means[0]), plane.project(&means[1]));
            let flat = (a[0] - b[0]).hypot(a[1] - b[1]);
            prop_assert!((flat - norm(&difference(&means[0], &means[1]))).abs() < 1e-6);
        }
    }
}
