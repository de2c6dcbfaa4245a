//! A stripe of feature columns: its share of every mean, and the residuals of the current block.
//!
//! Work is split by columns because a stripe never needs its neighbours: the result is the same
//! bits whatever the number of threads, and no thread needs a state of its own.

use std::ops::Range;

use faer::MatRef;

use super::ScatterKind;
use crate::kernel;

/// Columns of a stripe; a multiple of every vector width, small enough that the stripe's residual
/// block stays in the second-level cache during the products.
pub(super) const PANEL_WIDTH: usize = 128;

/// How each row of a block is absorbed, the same for all panels.
pub(super) struct RowPlan {
    steps: Vec<Step>,
    touched: Vec<usize>,
    num_residuals: usize,
    /// Residual rows of each multiplicity.
    pub(super) groups: Vec<(usize, Range<usize>)>,
}

struct Step {
    row: usize,
    set: usize,
    /// 1/(n+1) with n the samples of the set seen before.
    mean_step: f64,
    /// n/(n+1).
    weight: f64,
    residual: Option<usize>,
}

impl RowPlan {
    /// Plans the samples in these rows and counts them. Rows are ordered by multiplicity when the
    /// full scatter is kept; the first sample of a set has no residual.
    pub(super) fn new(
        rows: &[usize],
        set_ids: &[u32],
        ids: &[usize],
        multiplicities: &[usize],
        counts: &mut [u64],
        kind: ScatterKind,
    ) -> Self {
        let mut groups: Vec<(usize, Range<usize>)> = Vec::new();
        let mut num_residuals = 0;
        let steps = rows
            .iter()
            .map(|&row| {
                let distinct = set_ids[row] as usize;
                let (set, multiplicity) = (ids[distinct], multiplicities[distinct]);
                let before = counts[set] as f64;
                counts[set] += 1;
                let keeps = kind == ScatterKind::Full && before > 0.0 && multiplicity > 0;
                let residual = keeps.then(|| place(&mut groups, &mut num_residuals, multiplicity));
                Step {
                    row,
                    set,
                    mean_step: 1.0 / (before + 1.0),
                    weight: before / (before + 1.0),
                    residual,
                }
            })
            .collect::<Vec<_>>();
        let mut touched: Vec<usize> = steps.iter().map(|step| step.set).collect();
        touched.sort_unstable();
        touched.dedup();
        Self {
            steps,
            touched,
            num_residuals,
            groups,
        }
    }
}

/// Reserves the next residual row for a multiplicity.
fn place(
    groups: &mut Vec<(usize, Range<usize>)>,
    num_residuals: &mut usize,
    multiplicity: usize,
) -> usize {
    let residual = *num_residuals;
    *num_residuals += 1;
    match groups.last_mut() {
        Some((last, range)) if *last == multiplicity => range.end = *num_residuals,
        _ => groups.push((multiplicity, residual..*num_residuals)),
    }
    residual
}

/// How each label set of another part is merged, the same for all panels.
pub(super) struct MergePlan {
    steps: Vec<MergeStep>,
    num_residuals: usize,
    /// Residual rows of each multiplicity.
    pub(super) groups: Vec<(usize, Range<usize>)>,
}

struct MergeStep {
    ours: usize,
    theirs: usize,
    /// n_b/(n_a+n_b).
    mean_step: f64,
    /// n_a·n_b/(n_a+n_b).
    weight: f64,
    residual: Option<usize>,
}

impl MergePlan {
    /// Plans the merge of label sets given as (our id, their id, multiplicity), ordered by
    /// multiplicity, and adds up the counts.
    pub(super) fn new(
        sets: &[(usize, usize, usize)],
        counts: &mut [u64],
        their_counts: &[u64],
        kind: ScatterKind,
    ) -> Self {
        let mut groups = Vec::new();
        let mut num_residuals = 0;
        let steps = sets
            .iter()
            .map(|&(ours, theirs, multiplicity)| {
                let (a, b) = (counts[ours] as f64, their_counts[theirs] as f64);
                counts[ours] += their_counts[theirs];
                let keeps = kind == ScatterKind::Full && a > 0.0 && b > 0.0 && multiplicity > 0;
                let residual = keeps.then(|| place(&mut groups, &mut num_residuals, multiplicity));
                let total = (a + b).max(1.0);
                MergeStep {
                    ours,
                    theirs,
                    mean_step: b / total,
                    weight: a * (b / total),
                    residual,
                }
            })
            .collect();
        Self {
            steps,
            num_residuals,
            groups,
        }
    }
}

/// The columns `first .. first + width` of every set mean, of the sums of squares and of the
/// residuals of the block at hand.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    first: usize,
    width: usize,
    /// Set means are `high + low`: `high` is the mean rounded, `low` what the rounding lost.
    high: Vec<f64>, // [L, width]
    low: Vec<f64>,         // [L, width]
    square_sums: Vec<f64>, // [L]
    residuals: Vec<f64>,   // [rows, width]
    /// Whether everything absorbed so far is finite.
    finite: bool,
}

impl Panel {
    pub(super) fn new(first: usize, width: usize) -> Self {
        Self {
            first,
            width,
            high: Vec::new(),
            low: Vec::new(),
            square_sums: Vec::new(),
            residuals: Vec::new(),
            finite: true,
        }
    }

    /// Makes room for the means of this many more label sets.
    pub(super) fn reserve(&mut self, num_sets: usize) {
        self.high.reserve(num_sets * self.width);
        self.low.reserve(num_sets * self.width);
    }

    pub(super) fn is_finite(&self) -> bool {
        self.finite
    }

    /// Zeros for label sets that are new.
    pub(super) fn make_room(&mut self, num_sets: usize) {
        self.high.resize(num_sets * self.width, 0.0);
        self.low.resize(num_sets * self.width, 0.0);
        self.square_sums.resize(num_sets, 0.0);
    }

    /// Gives back the residuals.
    pub(super) fn release(&mut self) {
        self.residuals = Vec::new();
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        let lists = [&self.high, &self.low, &self.square_sums, &self.residuals];
        lists
            .map(|list| list.capacity() * size_of::<f64>())
            .iter()
            .sum()
    }

    pub(super) fn mean(&self, set: usize, column: usize) -> f64 {
        let position = set * self.width + column;
        self.high[position] + self.low[position]
    }

    /// Writes this panel's columns of a mean to their place in the whole row.
    pub(super) fn write_mean(&self, set: usize, row: &mut [f64]) {
        let place = set * self.width..(set + 1) * self.width;
        let parts = self.high[place.clone()].iter().zip(&self.low[place]);
        for (out, (high, low)) in row[self.first..].iter_mut().zip(parts) {
            *out = high + low;
        }
    }

    /// Both parts of a mean.
    pub(super) fn mean_parts(&self, set: usize, column: usize) -> [f64; 2] {
        let position = set * self.width + column;
        [self.high[position], self.low[position]]
    }

    /// Puts back what [`mean_parts`](Self::mean_parts) gave.
    pub(super) fn set_mean_parts(&mut self, set: usize, column: usize, [high, low]: [f64; 2]) {
        let position = set * self.width + column;
        self.high[position] = high;
        self.low[position] = low;
    }

    /// This panel's share of Σ‖h − h̄_S‖².
    pub(super) fn set_square_sum(&mut self, set: usize, value: f64) {
        self.square_sums[set] = value;
    }

    pub(super) fn square_sum(&self, set: usize) -> f64 {
        self.square_sums[set]
    }

    /// Residual rows of the last block as columns, `[width, rows]`.
    pub(super) fn residuals_transposed(&self, rows: Range<usize>) -> MatRef<'_, f64> {
        let residuals = &self.residuals[rows.start * self.width..rows.end * self.width];
        MatRef::from_column_major_slice(residuals, self.width, rows.len())
    }

    /// Welford's rule for a block of rows `[n, d]`: mean += r/(n+1) with r = x − mean, and the
    /// scatter gains n/(n+1)·r rᵀ, here as the residual row √(n/(n+1))·r.
    pub(super) fn absorb<T: Copy + Into<f64>>(&mut self, rows: &[T], dim: usize, plan: &RowPlan) {
        kernel::vectorized(
            #[inline(always)]
            || self.absorb_inline(rows, dim, plan),
        );
    }

    #[inline(always)]
    fn absorb_inline<T: Copy + Into<f64>>(&mut self, rows: &[T], dim: usize, plan: &RowPlan) {
        let width = self.width;
        // One more row takes the residuals that nobody asked for.
        self.residuals.resize((plan.num_residuals + 1) * width, 0.0);
        for step in &plan.steps {
            let start = step.row * dim + self.first;
            let values = &rows[start..start + width];
            let place = step.set * width..(step.set + 1) * width;
            let (high, low) = (&mut self.high[place.clone()], &mut self.low[place]);
            if step.weight == 0.0 {
                for (high, &value) in high.iter_mut().zip(values) {
                    *high = value.into();
                }
                self.finite &= kernel::all_finite(values);
                continue;
            }
            let residual = step.residual.unwrap_or(plan.num_residuals);
            let out = &mut self.residuals[residual * width..(residual + 1) * width];
            let (mean_step, root) = (step.mean_step, step.weight.sqrt());
            let squares = kernel::absorb(values, [high, low], out, mean_step, root);
            self.finite &= squares.is_finite();
            self.square_sums[step.set] += squares;
        }
        for &set in &plan.touched {
            let place = set * width..(set + 1) * width;
            renormalize(&mut self.high[place.clone()], &mut self.low[place]);
        }
    }

    /// Chan, Golub and LeVeque's merge of the set means, with residual rows
    /// √(n_a n_b/(n_a+n_b))·δ.
    pub(super) fn merge(&mut self, theirs: &Self, plan: &MergePlan) {
        let width = self.width;
        self.residuals.resize(plan.num_residuals * width, 0.0);
        for step in &plan.steps {
            let ours = step.ours * width..(step.ours + 1) * width;
            let other = step.theirs * width..(step.theirs + 1) * width;
            let (high, low) = (&mut self.high[ours.clone()], &mut self.low[ours]);
            let (their_high, their_low) = (&theirs.high[other.clone()], &theirs.low[other]);
            self.square_sums[step.ours] += theirs.square_sums[step.theirs];
            if step.weight == 0.0 {
                if step.mean_step == 1.0 {
                    high.copy_from_slice(their_high);
                    low.copy_from_slice(their_low);
                }
                continue;
            }
            let root = step.weight.sqrt();
            let mut squares = 0.0;
            for column in 0..width {
                let delta = (their_high[column] - high[column]) + (their_low[column] - low[column]);
                low[column] += step.mean_step * delta;
                squares += delta * delta;
                if let Some(residual) = step.residual {
                    self.residuals[residual * width + column] = root * delta;
                }
            }
            self.square_sums[step.ours] += step.weight * squares;
            renormalize(high, low);
        }
    }
}

/// Makes `high` the rounded sum of the two and `low` exactly what is lost (Knuth's two-sum).
#[inline(always)]
fn renormalize(high: &mut [f64], low: &mut [f64]) {
    for (high, low) in high.iter_mut().zip(low) {
        let sum = *high + *low;
        let low_part = sum - *high;
        let high_part = sum - low_part;
        *low = (*high - high_part) + (*low - low_part);
        *high = sum;
    }
}
