//! The headline metrics without one block.

use std::collections::BTreeMap;

use faer::Mat;

use super::super::geometry::{nc2_of_means, nc3};
use super::super::samples::symmetric;
use super::super::synthesis::uniform_values;
use super::super::variability::{TagSpan, in_tag_span};
use super::super::{CollapseMetric, Labelled, LinearClassifier, TagVectors};
use super::BlockLook;
use crate::Result;
use crate::kernel::dot;
use crate::product::{add_gram, product};

/// Every headline metric that has a value without this block. NC2 of the classifier is no estimate
/// from samples.
pub(super) fn values(
    look: &BlockLook<'_>,
    labelled: &Labelled<'_>,
    num_classes: usize,
    classifier: Option<&LinearClassifier>,
    block: usize,
) -> Result<BTreeMap<CollapseMetric, f64>> {
    let rest = Rest::without(look, labelled, block);
    let mut values = variability(look, &rest, block)?;
    let tags = TagVectors::estimate_from(num_classes, &rest.labelled)?;
    let geometry = [
        (CollapseMetric::Nc2ClassMeans, nc2_of_means(&tags).ok()),
        (
            CollapseMetric::Nc3,
            classifier.and_then(|classifier| nc3(&tags, classifier).ok()),
        ),
    ];
    values.extend(
        geometry
            .into_iter()
            .filter_map(|(metric, value)| Some((metric, value?))),
    );
    for (multiplicity, value) in uniform_values(&rest.labelled, &tags)? {
        values.insert(CollapseMetric::NcM { multiplicity }, value);
    }
    Ok(values)
}

/// The label sets without the samples of one block.
struct Rest<'a> {
    labelled: Labelled<'a>,
    /// Sets that lost samples but not all: multiplicity, samples left, and how far the mean moved.
    moved: Vec<(usize, f64, Vec<f64>)>,
}

impl<'a> Rest<'a> {
    fn without(look: &BlockLook<'_>, whole: &Labelled<'a>, block: usize) -> Self {
        let group = whole.all();
        let mut rest = Labelled {
            dim: whole.dim,
            sets: Vec::new(),
            counts: Vec::new(),
            square_sums: Vec::new(),
            means: Vec::new(),
            largest: whole.largest,
        };
        let mut moved = Vec::new();
        for (position, &set) in whole.sets.iter().enumerate() {
            let (count, squares) = (group.counts[position], group.square_sums[position]);
            let mean = group.mean(position);
            let Some(sums) = look.sums(position, block) else {
                rest.push(set, count, squares, mean);
                continue;
            };
            let left = count - sums.count;
            if left <= 0.0 {
                continue;
            }
            // Residuals of a set sum to zero, so those outside the block sum to −Σ.
            let shift: Vec<f64> = sums.residual.iter().map(|sum| -sum / left).collect();
            let mean: Vec<f64> = mean.iter().zip(&shift).map(|(m, s)| m + s).collect();
            let squares = squares - sums.squares - left * dot(&shift, &shift);
            rest.push(set, left, squares.max(0.0), &mean);
            moved.push((set.multiplicity(), left, shift));
        }
        Self {
            labelled: rest,
            moved,
        }
    }

    /// The scatter of one multiplicity in the tag span, around the means of what is left.
    fn scatter(&self, look: &BlockLook<'_>, multiplicity: usize, block: usize) -> Mat<f64> {
        let directions = &look.span.directions;
        let shifts: Vec<&(usize, f64, Vec<f64>)> = self
            .moved
            .iter()
            .filter(|(m, _, _)| *m == multiplicity)
            .collect();
        let weighted = Mat::from_fn(directions.nrows(), shifts.len(), |row, column| {
            let (_, left, shift) = shifts[column];
            left.sqrt() * shift[row]
        });
        let projected = product(directions.transpose(), weighted.as_ref()); // [r, sets]
        let mut correction = Mat::zeros(directions.ncols(), directions.ncols());
        add_gram(correction.as_mut(), projected.as_ref());
        look.scatter_without(multiplicity, block) - symmetric(&correction)
    }
}

/// NC1 of each multiplicity, and of all.
fn variability(
    look: &BlockLook<'_>,
    rest: &Rest<'_>,
    block: usize,
) -> Result<BTreeMap<CollapseMetric, f64>> {
    let rank = look.span.directions.ncols();
    let origin = rest.labelled.all().centre();
    let directions = look.span.directions.as_ref();
    let coordinates = rest.labelled.in_coordinates(directions, &origin);
    let axes = TagSpan {
        directions: Mat::identity(rank, rank),
        ..look.span
    };
    let mut values = BTreeMap::new();
    let mut pooled = Mat::zeros(rank, rank);
    for (multiplicity, group) in coordinates.groups() {
        let scatter = rest.scatter(look, multiplicity, block);
        let value = in_tag_span(&group, Some(&scatter), &axes)?.estimate;
        values.extend(value.map(|value| (CollapseMetric::Nc1 { multiplicity }, value)));
        pooled += scatter;
    }
    let value = in_tag_span(&coordinates.all(), Some(&pooled), &axes)?.estimate;
    values.extend(value.map(|value| (CollapseMetric::Nc1Pooled, value)));
    Ok(values)
}
