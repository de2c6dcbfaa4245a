//! The scales of tag-wise averages that the unconstrained feature model predicts.

use std::ops::ControlFlow;

use crate::statistics::Statistics;
use crate::ufm::{
    ClosedForm, GeometryReport, LabelCounts, SolverSettings, UfmPoint, UfmProblem, UfmSettings,
    solve,
};
use crate::{Error, LabelSet, Result};

/// Where the scales c_1, …, c_M of the tag-wise averages of 1, …, M labels come from. They play no
/// part for the cosine between a feature and a tag-wise average.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Scales {
    /// The least-squares scales of the training samples.
    #[default]
    Measured,
    /// What the unconstrained feature model predicts for their label sets, see [`ufm_scales`].
    Ufm,
    /// These.
    Given(Vec<f64>),
}

impl Scales {
    /// The scales that are not measured, for answers of up to `max_multiplicity` labels, or as many
    /// as the samples have.
    pub(super) fn resolve(
        &self,
        statistics: &Statistics,
        max_multiplicity: Option<usize>,
    ) -> Result<Option<Vec<f64>>> {
        match self {
            Self::Measured => Ok(None),
            Self::Given(scales) => Ok(Some(scales.clone())),
            Self::Ufm => {
                let counts = statistics.set_counts();
                let counts = counts.iter().map(|&count| count as f64);
                let sets = statistics.label_sets().cloned().zip(counts);
                let labels = LabelCounts::of_sets(statistics.num_classes(), sets)?;
                let largest = statistics.label_sets().map(LabelSet::multiplicity).max();
                let problem = UfmProblem::new(labels, UfmSettings::default())?;
                let max_multiplicity = max_multiplicity.or(largest).unwrap_or(0);
                ufm_scales(&problem, max_multiplicity).map(Some)
            }
        }
    }
}

/// c_m = C_m/C_1 for m = 1..M: how long the optimal feature of m labels is against the sum of its
/// labels' optimal single-label features.
///
/// The optimum is the closed form for balanced counts and the certified solution otherwise. A
/// multiplicity that does not occur has the scale of the nearest one that does, the smaller of two,
/// times the root of the quotient of the multiplicities, which keeps the norm of a sum of
/// orthogonal means.
///
/// # Errors
/// [`Error::Undefined`] without samples of one label, and those of [`solve`].
///
/// ```
/// use tagwise::decode::ufm_scales;
/// use tagwise::ufm::{LabelCounts, UfmProblem, UfmSettings};
///
/// let labels = LabelCounts::balanced(10, [(1, 3100.0), (2, 200.0)])?;
/// let problem = UfmProblem::new(labels, UfmSettings::default())?;
/// let scales = ufm_scales(&problem, 3)?;
/// assert_eq!(scales[0], 1.0);
/// assert!(scales[1] < 1.0 && scales[2] < scales[1]);
/// # Ok::<(), tagwise::Error>(())
/// ```
pub fn ufm_scales(problem: &UfmProblem, max_multiplicity: usize) -> Result<Vec<f64>> {
    let report = GeometryReport::of(problem, &optimum(problem)?)?;
    let known: Vec<(f64, f64)> = report
        .multiplicities
        .iter()
        .filter_map(|(&m, geometry)| Some((m as f64, geometry.scale.filter(|c| *c > 0.0)?)))
        .collect();
    let Some(&(_, single)) = known.iter().find(|(m, _)| *m == 1.0) else {
        return Err(Error::Undefined(
            "the scales of the unconstrained feature model need samples with one label".into(),
        ));
    };
    let scale = |m: usize| {
        let m = m as f64;
        let distance = |other: f64| (other - m).abs();
        let nearest = known
            .iter()
            .min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)));
        nearest.map_or(1.0, |(other, scale)| scale / single * (other / m).sqrt())
    };
    Ok((1..=max_multiplicity).map(scale).collect())
}

fn optimum(problem: &UfmProblem) -> Result<UfmPoint> {
    if LabelCounts::is_balanced(problem.labels())
        && let Ok(closed) = ClosedForm::of(problem)
    {
        return closed.point(problem);
    }
    let go_on = |_: &crate::ufm::Progress| ControlFlow::Continue(());
    Ok(solve(problem, &SolverSettings::default(), go_on)?.point)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Targets;
    use crate::decode::{Distance, NearestSettings, OneNearestNeighbour};

    /// Rounding of a decomposition of a dozen numbers.
    const ROUNDING: f64 = 1e-6;

    fn problem(sets: &[(&[u32], f64)]) -> UfmProblem {
        let sets = sets
            .iter()
            .map(|(set, n)| (set.iter().copied().collect::<LabelSet>(), *n));
        UfmProblem::new(
            LabelCounts::of_sets(4, sets).unwrap(),
            UfmSettings::default(),
        )
        .unwrap()
    }

    #[test]
    fn the_optimal_features_themselves_are_decoded_with_the_scales_of_the_model() {
        let labels = LabelCounts::balanced(5, [(1, 40.0), (2, 10.0), (3, 4.0)]).unwrap();
        let problem = UfmProblem::new(labels, UfmSettings::default()).unwrap();
        let point = ClosedForm::of(&problem).unwrap().point(&problem).unwrap();
        let sets = problem.labels().sets().unwrap();
        let targets = Targets::new(5, sets.into_iter().map(|(set, _)| set)).unwrap();
        let features: Vec<f64> = (0..targets.len())
            .flat_map(|row| (0..5).map(move |c| (row, c)))
            .map(|(row, c)| point.set_features[(c, row)])
            .collect();
        let mut statistics = Statistics::new(5, 5);
        statistics.update(&features, &targets).unwrap();
        let settings = NearestSettings {
            distance: Distance::Euclidean,
            ..NearestSettings::default()
        };
        let scales = ufm_scales(&problem, 3).unwrap();
        let decoder =
            OneNearestNeighbour::fit_scaled(&statistics, &settings, &Scales::Given(scales))
                .unwrap();
        let decoded = decoder.decode(&features).unwrap();
        assert_eq!(decoded.targets, targets);
        assert!(decoded.scores.iter().all(|score| score.abs() < ROUNDING));
    }

    #[test]
    fn multiplicities_that_do_not_occur_follow_the_nearest() {
        let gap = problem(&[
            (&[0], 9.0),
            (&[1], 8.0),
            (&[2], 7.0),
            (&[3], 6.0),
            (&[0, 1, 2], 5.0),
        ]);
        let scales = ufm_scales(&gap, 4).unwrap();
        assert_eq!(scales[0], 1.0);
        assert!((scales[1] - 0.5f64.sqrt()).abs() < ROUNDING);
        assert!((scales[3] - scales[2] * 0.75f64.sqrt()).abs() < ROUNDING);
        let without = problem(&[(&[0, 1], 3.0), (&[1, 2], 3.0), (&[2, 3], 2.0)]);
        insta::assert_snapshot!(ufm_scales(&without, 2).unwrap_err(), @"the scales of the unconstrained feature model need samples with one label");
    }

    #[test]
    fn given_scales_must_be_positive_and_enough() {
        let targets = Targets::new(2, [vec![0], vec![1], vec![0, 1]].map(LabelSet::new)).unwrap();
        let mut statistics = Statistics::new(2, 2);
        statistics
            .update(&[1.0, 0.0, 0.0, 1.0, 1.0, 1.0], &targets)
            .unwrap();
        let refused = |scales: &[f64]| {
            let settings = NearestSettings {
                distance: Distance::Euclidean,
                ..NearestSettings::default()
            };
            let scales = Scales::Given(scales.to_vec());
            OneNearestNeighbour::fit_scaled(&statistics, &settings, &scales).unwrap_err()
        };
        insta::assert_snapshot!(refused(&[1.0]), @"expected 2 scales, one for each multiplicity, found 1");
        insta::assert_snapshot!(refused(&[1.0, 0.0]), @"expected the scale of a multiplicity greater than 0 and finite, found 0");
    }
}
