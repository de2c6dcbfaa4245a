//! Small problems in one sweep over the label sets: each column of logits stays in registers from
//! its product to its share of the result.

use pulp::{Simd, WithSimd};

use super::super::reduced::Reduced;

mod sweep;

use sweep::{DiagonalSweep, GradientSweep, ProductSweep};

/// Numbers of registers that a column can take.
const WIDTHS: [usize; 6] = [1, 2, 3, 4, 6, 8];
/// Most numbers in a column: the widest column of the widest registers.
const LONGEST: usize = 64;

/// What one sweep reads and writes, in columns padded to whole registers.
///
/// Memory: 5 matrices `[padded K, K]` and 2 `[padded K, L]`.
pub(super) struct Fused {
    /// Registers of a column.
    width: usize,
    /// Numbers of a column with padding.
    rows: usize,
    /// W, `[rows, r]`, and its transpose, `[rows, K]`
    weight: Vec<f64>,
    weight_transposed: Vec<f64>,
    /// the same of a change of W
    change: Vec<f64>,
    change_transposed: Vec<f64>,
    /// b or a change of it
    bias: Vec<f64>,
    /// softmax and Q, `[rows, L]`
    probabilities: Vec<f64>,
    pull: Vec<f64>,
    /// the parts of a result that belong to W, `[rows, r]`, and to b
    to_weight: Vec<f64>,
    to_bias: Vec<f64>,
}

/// The variables W, G, b or changes of them.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub weight: &'a [f64],
    pub features: &'a [f64],
    pub bias: &'a [f64],
}

/// The same for results.
pub(super) struct PartsMut<'a> {
    pub weight: &'a mut [f64],
    pub features: &'a mut [f64],
    pub bias: &'a mut [f64],
}

/// 2λ_W, 2λ_H and 2λ_b of the scaled variables.
#[derive(Clone, Copy)]
pub(super) struct Decays {
    pub weight: f64,
    pub features: f64,
    pub bias: f64,
}

/// Numbers in a register of this machine.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F64_LANES
    }
}

impl Fused {
    /// `None` for problems with columns that do not fit into registers, and without registers.
    pub fn new(reduced: &Reduced, rank: usize) -> Option<Self> {
        let (num_classes, num_sets) = (reduced.num_classes, reduced.num_sets);
        let lanes = pulp::Arch::new().dispatch(Lanes);
        let needed = num_classes.max(rank).div_ceil(lanes);
        let width = WIDTHS.into_iter().find(|&width| width >= needed)?;
        let rows = width * lanes;
        (lanes > 1 && rank > 0 && rows <= LONGEST).then(|| Self {
            width,
            rows,
            weight: vec![0.0; rows * rank],
            weight_transposed: vec![0.0; rows * num_classes],
            change: vec![0.0; rows * rank],
            change_transposed: vec![0.0; rows * num_classes],
            bias: vec![0.0; rows],
            probabilities: vec![0.0; rows * num_sets],
            pull: vec![0.0; rows * num_sets],
            to_weight: vec![0.0; rows * rank],
            to_bias: vec![0.0; rows],
        })
    }

    /// Writes softmax, Q, losses and the gradient of their sum; decay is not in it.
    pub fn gradient(
        &mut self,
        reduced: &Reduced,
        x: Parts<'_>,
        [probabilities, pull, losses]: [&mut [f64]; 3],
        gradient: PartsMut<'_>,
    ) {
        let num_classes = reduced.num_classes;
        pad(x.weight, num_classes, &mut self.weight);
        transpose(x.weight, num_classes, &mut self.weight_transposed);
        self.bias[..num_classes].fill(0.0);
        self.bias[..x.bias.len()].copy_from_slice(x.bias);
        self.bias[num_classes..].fill(f64::NEG_INFINITY); // padding has probability 0
        self.to_weight.fill(0.0);
        self.to_bias.fill(0.0);
        let sweep = GradientSweep {
            fused: self,
            reduced,
            features: x.features,
            losses,
            to_features: gradient.features,
        };
        pulp::Arch::new().dispatch(sweep);
        unpad(&self.probabilities, num_classes, probabilities);
        unpad(&self.pull, num_classes, pull);
        unpad(&self.to_weight, num_classes, gradient.weight);
        let len = gradient.bias.len();
        gradient.bias.copy_from_slice(&self.to_bias[..len]);
    }

    /// The product with the Hessian at the point of the last gradient.
    pub fn hessian_times(
        &mut self,
        reduced: &Reduced,
        features: &[f64],
        vector: Parts<'_>,
        decays: Decays,
        product: PartsMut<'_>,
    ) {
        let num_classes = reduced.num_classes;
        pad(vector.weight, num_classes, &mut self.change);
        transpose(vector.weight, num_classes, &mut self.change_transposed);
        self.bias.fill(0.0);
        self.bias[..vector.bias.len()].copy_from_slice(vector.bias);
        self.to_weight.fill(0.0);
        self.to_bias.fill(0.0);
        let sweep = ProductSweep {
            fused: self,
            reduced,
            features,
            feature_change: vector.features,
            decay: decays.features,
            to_features: product.features,
        };
        pulp::Arch::new().dispatch(sweep);
        let outs = product.weight.chunks_exact_mut(num_classes);
        let sums = self.to_weight.chunks_exact(self.rows);
        let changes = vector.weight.chunks_exact(num_classes);
        for ((out, sum), change) in outs.zip(sums).zip(changes) {
            for k in 0..num_classes {
                out[k] = sum[k] + decays.weight * change[k];
            }
        }
        let changes = product.bias.iter_mut().zip(vector.bias);
        for ((out, change), sum) in changes.zip(&self.to_bias) {
            *out = sum + decays.bias * change;
        }
    }

    /// The diagonal of the Hessian at the point of the last gradient, without decay.
    pub fn diagonal(&mut self, reduced: &Reduced, features: &[f64], diagonal: PartsMut<'_>) {
        self.to_weight.fill(0.0);
        self.to_bias.fill(0.0);
        let sweep = DiagonalSweep {
            fused: self,
            reduced,
            features,
            to_features: diagonal.features,
        };
        pulp::Arch::new().dispatch(sweep);
        unpad(&self.to_weight, reduced.num_classes, diagonal.weight);
        let len = diagonal.bias.len();
        diagonal.bias.copy_from_slice(&self.to_bias[..len]);
    }
}

/// Columns of `rows` numbers into the longer columns of `out`, whose ends stay 0.
fn pad(columns: &[f64], rows: usize, out: &mut [f64]) {
    let longer = out.len() / (columns.len() / rows);
    for (out, column) in out.chunks_exact_mut(longer).zip(columns.chunks_exact(rows)) {
        out[..rows].copy_from_slice(column);
    }
}

fn unpad(columns: &[f64], rows: usize, out: &mut [f64]) {
    let longer = columns.len() / (out.len() / rows);
    for (out, column) in out.chunks_exact_mut(rows).zip(columns.chunks_exact(longer)) {
        out.copy_from_slice(&column[..rows]);
    }
}

/// `[rows, r]` into `[ranks, rows]`, whose last ranks − r rows stay 0.
fn transpose(columns: &[f64], rows: usize, out: &mut [f64]) {
    let ranks = out.len() / rows;
    for (j, column) in columns.chunks_exact(rows).enumerate() {
        for (k, value) in column.iter().enumerate() {
            out[k * ranks + j] = *value;
        }
    }
}
