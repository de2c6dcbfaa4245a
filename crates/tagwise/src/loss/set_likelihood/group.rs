//! Several samples side by side: the same sums as in [`counts`](super::counts), one in each lane of a
//! register.

use super::counts::{Counts, ENOUGH, SMALLEST_SUM, STEPS, log_weights, step_of_large};
use super::mass::Mass;
use super::sweep::Sweep;
use crate::kernel::{exp_of_negative, vectorized};

/// Samples side by side.
pub(super) const LANES: usize = 8;

/// A number of every sample.
#[derive(Clone, Copy, Debug)]
struct Lanes([f64; LANES]);

impl Lanes {
    #[inline(always)]
    fn map(self, one: impl Fn(f64) -> f64) -> Self {
        let mut out = self;
        for lane in 0..LANES {
            out.0[lane] = one(self.0[lane]);
        }
        out
    }

    #[inline(always)]
    fn with(self, other: Self, one: impl Fn(f64, f64) -> f64) -> Self {
        let mut out = self;
        for lane in 0..LANES {
            out.0[lane] = one(self.0[lane], other.0[lane]);
        }
        out
    }
}

impl Mass for Lanes {
    const ZERO: Self = Self([0.0; LANES]);
    const ONE: Self = Self([1.0; LANES]);
    /// Half a megabyte, which second-level caches hold.
    const KEPT: usize = 1 << 13;

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.with(
            other,
            #[inline(always)]
            |a, b| a + b,
        )
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.with(
            other,
            #[inline(always)]
            |a, b| a * b,
        )
    }
}

/// Logits of one sample and the potentials c that hold for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample<'a> {
    pub(super) logits: &'a [f64],
    pub(super) potentials: &'a [f64],
}

/// Memory of the sums of up to [`LANES`] samples.
#[derive(Debug, Default)]
pub(super) struct Group {
    sweep: Sweep<Lanes>,
    /// `[K]`
    logits: Vec<Lanes>,
    /// e^{−|z − shift|}
    small: Vec<Lanes>,
}

impl Group {
    /// As [`Counts::run`] for each of 1 to [`LANES`] samples of the same sizes; those whose chances
    /// leave the range of f64 are left to it.
    pub(super) fn run(&mut self, samples: &[Sample<'_>], counts: &mut [&mut Counts]) {
        let Some(first) = samples.first() else {
            return;
        };
        let (num_classes, width) = (first.logits.len(), first.potentials.len());
        let sample = |lane: usize| samples.get(lane).unwrap_or(first);
        self.logits.resize(num_classes, Lanes::ZERO);
        self.small.resize(num_classes, Lanes::ZERO);
        for lane in 0..LANES {
            let logits = sample(lane).logits.iter();
            self.logits
                .iter_mut()
                .zip(logits)
                .for_each(|(lanes, &z)| lanes.0[lane] = z);
        }
        let shift = self.shift(width - 1, samples);
        let mut offset = [0.0; LANES];
        self.sweep.weights.clear();
        self.sweep.weights.resize(width, Lanes::ZERO);
        for (lane, (own, counts)) in samples.iter().zip(counts.iter_mut()).enumerate() {
            counts.resize(num_classes, width);
            counts.shift = shift.0[lane];
            offset[lane] = log_weights(own.potentials, shift.0[lane], &mut counts.log_weights);
            let weights = self.sweep.weights.iter_mut().zip(&counts.log_weights);
            weights.for_each(|(weight, &log)| weight.0[lane] = log);
        }
        let (log_sums, sums) = vectorized(
            #[inline(always)]
            || {
                self.sweep.weights.iter_mut().for_each(
                    #[inline(always)]
                    |weight| *weight = weight.map(exp_of_negative),
                );
                let log_sums = self.odds(shift);
                self.sweep.forward();
                let total = self.sweep.total();
                let inverse = total.map(
                    #[inline(always)]
                    |total| 1.0 / total,
                );
                for (j, part) in self.sweep.parts().enumerate() {
                    let share = part.times(inverse);
                    for (counts, share) in counts.iter_mut().zip(share.0) {
                        counts.multiplicities[j] = share.min(1.0);
                    }
                }
                // Where the logits were, once they are not needed any more.
                let shares = &mut self.logits;
                self.sweep.backward(
                    #[inline(always)]
                    |label, part| {
                        shares[label] = part.times(inverse).map(
                            #[inline(always)]
                            |share| share.min(1.0),
                        );
                    },
                );
                (log_sums, total)
            },
        );
        for (lane, (own, counts)) in samples.iter().zip(counts).enumerate() {
            // NaN is less than nothing here: whoever has it gets it from the sums for one.
            if sums.0[lane] > SMALLEST_SUM {
                let shares = counts.inclusion.iter_mut().zip(&self.logits);
                shares.for_each(|(own, share)| *own = share.0[lane]);
                counts.log_partition = log_sums.0[lane] + offset[lane] + sums.0[lane].ln();
            } else {
                counts.run(own.logits, own.potentials);
            }
        }
    }

    /// A shift of each sample's logits under which no more labels are expected to be on than may be;
    /// leaves e^{−|z − shift|}.
    fn shift(&mut self, max_multiplicity: usize, samples: &[Sample<'_>]) -> Lanes {
        /// Steps that only look at how many labels are expected; those after it sort.
        const QUICK_STEPS: usize = 4;
        let most = (max_multiplicity as f64).max(0.5);
        let can_be_all = most + 1.0 > self.logits.len() as f64;
        let mut shift = Lanes::ZERO;
        for step in 0..STEPS {
            let expected = vectorized(
                #[inline(always)]
                || self.expected(shift),
            );
            let mut is_done = true;
            for (lane, sample) in samples.iter().enumerate() {
                let expected = expected.0[lane];
                if can_be_all || expected.is_nan() || expected <= ENOUGH * most {
                    continue;
                }
                is_done = false;
                let by_count = (expected / most).ln();
                let own = &mut shift.0[lane];
                *own += match step < QUICK_STEPS {
                    true => by_count,
                    false => {
                        by_count.max(0.5 * step_of_large(sample.logits, *own, max_multiplicity))
                    }
                };
            }
            if is_done {
                break;
            }
        }
        shift
    }

    /// How many labels are expected to be on.
    #[inline(always)]
    fn expected(&mut self, shift: Lanes) -> Lanes {
        let mut sum = Lanes::ZERO;
        for (&z, small) in self.logits.iter().zip(&mut self.small) {
            let z = z.with(
                shift,
                #[inline(always)]
                |z, shift| z - shift,
            );
            *small = z.map(
                #[inline(always)]
                |z| exp_of_negative(-z.abs()),
            );
            let on = z.with(
                *small,
                #[inline(always)]
                |z, small| (if z >= 0.0 { 1.0 } else { small }) / (1.0 + small),
            );
            sum = sum.plus(on);
        }
        sum
    }

    /// Fills in the chances of labels; Σ log(1 + e^{z − shift}) of each sample.
    #[inline(always)]
    fn odds(&mut self, shift: Lanes) -> Lanes {
        /// Factors between 1 and 2 that multiply without overflow.
        const FACTORS: usize = 512;
        let num_classes = self.logits.len();
        self.sweep.on.resize(num_classes, Lanes::ZERO);
        self.sweep.off.resize(num_classes, Lanes::ZERO);
        let mut sum = Lanes::ZERO;
        for first in (0..num_classes).step_by(FACTORS) {
            let mut product = Lanes::ONE;
            for label in first..num_classes.min(first + FACTORS) {
                let small = self.small[label];
                let z = self.logits[label].with(
                    shift,
                    #[inline(always)]
                    |z, shift| z - shift,
                );
                let factor = small.plus(Lanes::ONE);
                let large = factor.map(
                    #[inline(always)]
                    |factor| 1.0 / factor,
                );
                let small = small.times(large);
                product = product.times(factor);
                for lane in 0..LANES {
                    let is_on = z.0[lane] >= 0.0;
                    sum.0[lane] += if is_on { z.0[lane] } else { 0.0 };
                    let (large, small) = (large.0[lane], small.0[lane]);
                    self.sweep.on[label].0[lane] = if is_on { large } else { small };
                    self.sweep.off[label].0[lane] = if is_on { small } else { large };
                }
            }
            for lane in 0..LANES {
                sum.0[lane] += product.0[lane].ln();
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding of sums of a thousand products, and of logarithms of hundreds.
    const ROUNDING: f64 = 1e-12;

    /// Logits of as many samples, of sizes that shift, overflow and vanish.
    fn samples(num_samples: usize, num_classes: usize) -> Vec<Vec<f64>> {
        let scales = [0.1, 3.0, 500.0, 1.0, 30.0, 8.0, 0.0, 100.0];
        let one = |sample: usize| {
            let scale = scales[sample % scales.len()];
            let wave = |k: usize| scale * (1.3 * k as f64 + 0.7 * (sample * k) as f64).sin();
            (0..num_classes).map(|k| wave(k) - 0.4 * scale).collect()
        };
        (0..num_samples).map(one).collect()
    }

    #[test]
    fn samples_side_by_side_are_those_alone() {
        for (num_classes, most) in [(1, 0), (1, 1), (4, 2), (10, 3), (30, 30), (700, 20), (9, 0)] {
            let potentials: Vec<f64> = (0..=most).map(|j| (1.9 * j as f64).cos()).collect();
            for num_samples in 1..=LANES {
                let logits = samples(num_samples, num_classes);
                let group: Vec<Sample<'_>> = logits
                    .iter()
                    .map(|logits| Sample {
                        logits,
                        potentials: &potentials,
                    })
                    .collect();
                let mut counts: Vec<Counts> = (0..num_samples).map(|_| Counts::default()).collect();
                let mut each: Vec<&mut Counts> = counts.iter_mut().collect();
                Group::default().run(&group, &mut each);
                for (own, found) in group.iter().zip(&counts) {
                    let mut alone = Counts::default();
                    alone.run(own.logits, own.potentials);
                    let size = 1.0 + alone.log_partition.abs();
                    let off = (found.log_partition - alone.log_partition).abs();
                    assert!(off < ROUNDING * size, "{num_classes} {most} {off}");
                    let pairs = found.inclusion.iter().zip(&alone.inclusion);
                    let shares = found.multiplicities.iter().zip(&alone.multiplicities);
                    for (a, b) in pairs.chain(shares) {
                        assert!((a - b).abs() < ROUNDING, "{num_classes} {most}: {a} {b}");
                    }
                }
            }
        }
    }
}
