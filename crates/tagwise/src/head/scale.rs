//! Features scaled while a head is fitted: the scale is applied to weights, never to features.

use super::Scaling;
use super::source::ColumnMoments;

/// x ↦ (x − shift)·factor for each column.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    shifts: Vec<f64>,
    factors: Vec<f64>,
}

impl Scale {
    pub(super) fn new(moments: &[ColumnMoments], scaling: Scaling) -> Self {
        let shift = |column: &ColumnMoments| match scaling {
            Scaling::Standardise => column.mean,
            Scaling::Maximum | Scaling::None => 0.0,
        };
        Self {
            shifts: moments.iter().map(shift).collect(),
            factors: moments
                .iter()
                .map(|column| factor(column, scaling))
                .collect(),
        }
    }

    /// The same without shifts, which the bias makes up for.
    pub(super) fn without_shifts(mut self) -> Self {
        self.shifts.fill(0.0);
        self
    }

    pub(super) fn factors(&self) -> &[f64] {
        &self.factors
    }

    /// What a number of a column becomes.
    pub(super) fn of(&self, column: usize, x: f64) -> f64 {
        (x - self.shifts[column]) * self.factors[column]
    }

    /// The mean square of each scaled column.
    pub(super) fn mean_squares(&self, moments: &[ColumnMoments]) -> Vec<f64> {
        let columns = moments.iter().zip(&self.shifts).zip(&self.factors);
        columns
            .map(|((column, shift), factor)| {
                (column.variance + (column.mean - shift).powi(2)) * factor * factor
            })
            .collect()
    }

    /// Turns weights `[d, K]` and bias for scaled features into those for the features as given.
    pub(super) fn fold_into(&self, weights: &mut [f64], bias: &mut [f64]) {
        let num_classes = bias.len();
        for (row, (shift, factor)) in weights
            .chunks_exact_mut(num_classes)
            .zip(self.shifts.iter().zip(&self.factors))
        {
            row.iter_mut().for_each(|weight| *weight *= factor);
            if *shift != 0.0 {
                for (weight, bias) in row.iter().zip(bias.iter_mut()) {
                    *bias -= weight * shift;
                }
            }
        }
    }

    /// Turns slopes in weights `[d, K]` for the features as given into those for scaled features;
    /// `bias_slopes` are the sums of the slopes in the logits.
    pub(super) fn pull_back(&self, slopes: &mut [f64], bias_slopes: &[f64]) {
        for (row, (shift, factor)) in slopes
            .chunks_exact_mut(bias_slopes.len())
            .zip(self.shifts.iter().zip(&self.factors))
        {
            for (slope, bias) in row.iter_mut().zip(bias_slopes) {
                *slope = (*slope - shift * bias) * factor;
            }
        }
    }
}

fn factor(column: &ColumnMoments, scaling: Scaling) -> f64 {
    /// A column whose spread is rounding is constant.
    const CONSTANT: f64 = 1e-12;
    let inverse = |size: f64| if size > 0.0 { 1.0 / size } else { 0.0 };
    match scaling {
        Scaling::Standardise => {
            let spread = column.variance.sqrt();
            match spread > CONSTANT * column.mean_square.sqrt() {
                true => inverse(spread),
                false => 0.0,
            }
        }
        Scaling::Maximum => inverse(column.largest),
        Scaling::None => 1.0,
    }
}
