//! The passes over the label sets, generic over registers.

use pulp::{Simd, WithSimd};

use super::super::super::reduced::Reduced;
use super::super::softmax::softmax_column;
use super::{Fused, LONGEST};

/// Columns of N registers.
#[inline(always)]
fn columns<S: Simd, const N: usize>(values: &[f64]) -> &[[S::f64s; N]] {
    S::as_simd_f64s(values).0.as_chunks().0
}

#[inline(always)]
fn columns_mut<S: Simd, const N: usize>(values: &mut [f64]) -> &mut [[S::f64s; N]] {
    S::as_mut_simd_f64s(values).0.as_chunks_mut().0
}

/// out += factor·column
#[inline(always)]
fn add<S: Simd, const N: usize>(
    simd: S,
    out: &mut [S::f64s; N],
    factor: f64,
    column: &[S::f64s; N],
) {
    let factor = simd.splat_f64s(factor);
    for i in 0..N {
        out[i] = simd.mul_add_f64s(factor, column[i], out[i]);
    }
}

/// One column as numbers; the padding behind N registers is not used.
type Spilled = [f64; LONGEST];

#[inline(always)]
fn spill<S: Simd, const N: usize>(column: &[S::f64s; N], out: &mut Spilled) {
    S::as_mut_simd_f64s(out).0[..N].copy_from_slice(column);
}

/// The features of `C` sets from `set` on, `[r]` each.
#[inline(always)]
fn of_sets<const C: usize>(values: &[f64], set: usize, rank: usize) -> [&[f64]; C] {
    std::array::from_fn(|c| &values[(set + c) * rank..(set + c + 1) * rank])
}

/// A pass over all label sets, `C` at once.
trait Sweep {
    fn num_sets(&self) -> usize;

    /// The sets `set..set + C` in columns of N registers.
    fn step<S: Simd, const N: usize, const C: usize>(&mut self, simd: S, set: usize);

    #[inline(always)]
    fn run<S: Simd, const N: usize, const C: usize>(&mut self, simd: S) {
        let num_sets = self.num_sets();
        for set in (0..num_sets - num_sets % C).step_by(C) {
            self.step::<S, N, C>(simd, set);
        }
        for set in num_sets - num_sets % C..num_sets {
            self.step::<S, N, 1>(simd, set);
        }
    }
}

/// Calls `$sweep.run::<S, N, C>` with the registers N of a column and the columns C that are
/// worked on at once, as many as registers allow: one alone would wait for its own sums.
macro_rules! dispatch_width {
    ($sweep:expr, $simd:expr) => {
        match $sweep.fused.width {
            // Compiled out: one number alone is no register.
            _ if S::F64_LANES == 1 => {}
            1 => $sweep.run::<S, 1, 4>($simd),
            2 => $sweep.run::<S, 2, 4>($simd),
            3 => $sweep.run::<S, 3, 2>($simd),
            4 => $sweep.run::<S, 4, 2>($simd),
            6 => $sweep.run::<S, 6, 1>($simd),
            _ => $sweep.run::<S, 8, 1>($simd),
        }
    };
}

pub(super) struct GradientSweep<'a> {
    pub fused: &'a mut Fused,
    pub reduced: &'a Reduced,
    pub features: &'a [f64],
    pub losses: &'a mut [f64],
    pub to_features: &'a mut [f64],
}

impl WithSimd for GradientSweep<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        dispatch_width!(self, simd);
    }
}

impl Sweep for GradientSweep<'_> {
    fn num_sets(&self) -> usize {
        self.reduced.num_sets
    }

    #[inline(always)]
    fn step<S: Simd, const N: usize, const C: usize>(&mut self, simd: S, set: usize) {
        let (fused, reduced) = (&mut *self.fused, self.reduced);
        let (num_classes, rows) = (reduced.num_classes, N * S::F64_LANES);
        let rank = fused.weight.len() / rows;
        let zero = simd.splat_f64s(0.0);
        let g: [&[f64]; C] = of_sets(self.features, set, rank);

        let mut z = [[zero; N]; C];
        for (j, w) in columns::<S, N>(&fused.weight).iter().enumerate() {
            for c in 0..C {
                add(simd, &mut z[c], g[c][j], w);
            }
        }
        let mut q = [[0.0; LONGEST]; C];
        for c in 0..C {
            let inverse_root = 1.0 / reduced.roots[set + c];
            let mut logits = columns::<S, N>(&fused.bias)[0];
            add(simd, &mut logits, inverse_root, &z[c]);
            spill::<S, N>(&logits, &mut q[c]);
            let p = &mut fused.probabilities[(set + c) * rows..(set + c + 1) * rows];
            self.losses[set + c] = softmax_column(reduced, set + c, &mut q[c][..rows], p);
            fused.pull[(set + c) * rows..(set + c + 1) * rows].copy_from_slice(&q[c][..rows]);
        }

        let mut to_features = [[zero; N]; C];
        let transposed = &columns::<S, N>(&fused.weight_transposed)[..num_classes];
        for (k, w) in transposed.iter().enumerate() {
            for c in 0..C {
                add(simd, &mut to_features[c], q[c][k], w);
            }
        }
        for c in 0..C {
            let mut out = [0.0; LONGEST];
            spill::<S, N>(&to_features[c], &mut out);
            self.to_features[(set + c) * rank..(set + c + 1) * rank].copy_from_slice(&out[..rank]);
        }
        let pull = &columns::<S, N>(&fused.pull)[set..set + C];
        for (j, out) in columns_mut::<S, N>(&mut fused.to_weight)
            .iter_mut()
            .enumerate()
        {
            for c in 0..C {
                add(simd, out, g[c][j], &pull[c]);
            }
        }
        for c in 0..C {
            let to_bias = &mut columns_mut::<S, N>(&mut fused.to_bias)[0];
            add(simd, to_bias, reduced.roots[set + c], &pull[c]);
        }
    }
}

pub(super) struct ProductSweep<'a> {
    pub fused: &'a mut Fused,
    pub reduced: &'a Reduced,
    pub features: &'a [f64],
    pub feature_change: &'a [f64],
    pub decay: f64,
    pub to_features: &'a mut [f64],
}

impl WithSimd for ProductSweep<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        dispatch_width!(self, simd);
    }
}

impl Sweep for ProductSweep<'_> {
    fn num_sets(&self) -> usize {
        self.reduced.num_sets
    }

    #[inline(always)]
    fn step<S: Simd, const N: usize, const C: usize>(&mut self, simd: S, set: usize) {
        let (fused, reduced) = (&mut *self.fused, self.reduced);
        let (num_classes, rows) = (reduced.num_classes, N * S::F64_LANES);
        let rank = fused.weight.len() / rows;
        let zero = simd.splat_f64s(0.0);
        let g: [&[f64]; C] = of_sets(self.features, set, rank);
        let g_change: [&[f64]; C] = of_sets(self.feature_change, set, rank);

        let weight = &columns::<S, N>(&fused.weight)[..rank];
        let change = &columns::<S, N>(&fused.change)[..rank];
        let mut t = [[zero; N]; C];
        for j in 0..rank {
            for c in 0..C {
                add(simd, &mut t[c], g_change[c][j], &weight[j]);
                add(simd, &mut t[c], g[c][j], &change[j]);
            }
        }
        let p = &columns::<S, N>(&fused.probabilities)[set..set + C];
        let mut spilled = [[0.0; LONGEST]; C];
        for c in 0..C {
            let (root, bias) = (reduced.roots[set + c], &columns::<S, N>(&fused.bias)[0]);
            let slope = reduced.weights[set + c] * reduced.multiplicities[set + c] / root;
            t[c] = change_of_q(simd, &t[c], &p[c], bias, 1.0 / root, slope);
            spill::<S, N>(&t[c], &mut spilled[c]);
            let to_bias = &mut columns_mut::<S, N>(&mut fused.to_bias)[0];
            add(simd, to_bias, root, &t[c]);
        }

        let weight = &columns::<S, N>(&fused.weight_transposed)[..num_classes];
        let change = &columns::<S, N>(&fused.change_transposed)[..num_classes];
        let q: [&[f64]; C] = of_sets(&fused.pull, set, rows);
        let (q, t_numbers) = (q.map(|q| &q[..num_classes]), &spilled);
        let mut to_features = [[zero; N]; C];
        for k in 0..num_classes {
            for c in 0..C {
                add(simd, &mut to_features[c], t_numbers[c][k], &weight[k]);
                add(simd, &mut to_features[c], q[c][k], &change[k]);
            }
        }
        for c in 0..C {
            spill::<S, N>(&to_features[c], &mut spilled[c]);
            let out = &mut self.to_features[(set + c) * rank..(set + c + 1) * rank];
            for j in 0..rank {
                out[j] = spilled[c][j] + self.decay * g_change[c][j];
            }
        }
        let pull = &columns::<S, N>(&fused.pull)[set..set + C];
        let outs = columns_mut::<S, N>(&mut fused.to_weight).iter_mut();
        for (j, out) in outs.enumerate() {
            for c in 0..C {
                add(simd, out, g[c][j], &t[c]);
                add(simd, out, g_change[c][j], &pull[c]);
            }
        }
    }
}

/// slope·p·(z − pᵀz) with z = inverse_root·t + bias, the change of a column of Q.
#[inline(always)]
fn change_of_q<S: Simd, const N: usize>(
    simd: S,
    t: &[S::f64s; N],
    p: &[S::f64s; N],
    bias: &[S::f64s; N],
    inverse_root: f64,
    slope: f64,
) -> [S::f64s; N] {
    let mut z = *bias;
    add(simd, &mut z, inverse_root, t);
    let mut mean = simd.splat_f64s(0.0);
    for i in 0..N {
        mean = simd.mul_add_f64s(p[i], z[i], mean);
    }
    let (mean, slope) = (
        simd.splat_f64s(simd.reduce_sum_f64s(mean)),
        simd.splat_f64s(slope),
    );
    for i in 0..N {
        z[i] = simd.mul_f64s(simd.mul_f64s(slope, p[i]), simd.sub_f64s(z[i], mean));
    }
    z
}

pub(super) struct DiagonalSweep<'a> {
    pub fused: &'a mut Fused,
    pub reduced: &'a Reduced,
    pub features: &'a [f64],
    pub to_features: &'a mut [f64],
}

impl WithSimd for DiagonalSweep<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        dispatch_width!(self, simd);
    }
}

impl Sweep for DiagonalSweep<'_> {
    fn num_sets(&self) -> usize {
        self.reduced.num_sets
    }

    /// The variance of the columns of W under p, and Σ p(1 − p)·g².
    #[inline(always)]
    fn step<S: Simd, const N: usize, const C: usize>(&mut self, simd: S, set: usize) {
        let (fused, reduced) = (&mut *self.fused, self.reduced);
        let (num_classes, rows) = (reduced.num_classes, N * S::F64_LANES);
        let rank = fused.weight.len() / rows;
        let zero = simd.splat_f64s(0.0);
        let p: [&[f64]; C] = of_sets(&fused.probabilities, set, rows);
        let (mut means, mut squares) = ([[zero; N]; C], [[zero; N]; C]);
        let transposed = &columns::<S, N>(&fused.weight_transposed)[..num_classes];
        for (k, w) in transposed.iter().enumerate() {
            for c in 0..C {
                let p = simd.splat_f64s(p[c][k]);
                for i in 0..N {
                    let part = simd.mul_f64s(p, w[i]);
                    means[c][i] = simd.add_f64s(means[c][i], part);
                    squares[c][i] = simd.mul_add_f64s(part, w[i], squares[c][i]);
                }
            }
        }
        for c in 0..C {
            let root = reduced.roots[set + c];
            let weight = reduced.weights[set + c] * reduced.multiplicities[set + c];
            let scale = simd.splat_f64s(weight / (root * root));
            for i in 0..N {
                let mean = means[c][i];
                let variance = simd.sub_f64s(squares[c][i], simd.mul_f64s(mean, mean));
                means[c][i] = simd.mul_f64s(scale, simd.max_f64s(variance, zero));
            }
            let mut out = [0.0; LONGEST];
            spill::<S, N>(&means[c], &mut out);
            self.to_features[(set + c) * rank..(set + c + 1) * rank].copy_from_slice(&out[..rank]);

            let mut slope = columns::<S, N>(&fused.probabilities)[set + c];
            for p in &mut slope {
                *p = simd.mul_f64s(scale, simd.sub_f64s(*p, simd.mul_f64s(*p, *p)));
            }
            let g = &self.features[(set + c) * rank..(set + c + 1) * rank];
            let outs = columns_mut::<S, N>(&mut fused.to_weight).iter_mut();
            for (out, g) in outs.zip(g) {
                add(simd, out, g * g, &slope);
            }
            let to_bias = &mut columns_mut::<S, N>(&mut fused.to_bias)[0];
            add(simd, to_bias, root * root, &slope);
        }
    }
}
