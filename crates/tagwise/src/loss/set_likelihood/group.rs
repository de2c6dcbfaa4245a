//! Several samples side by side: the same sums as in [`counts`](super::counts), one in each lane of a
//! register.

use super::counts::{Counts, ENOUGH, SMALLEST_SUM, STEPS, log_weights, step_of_large};
use super::mass::Mass;
use super::sweep::Sweep;
use crate::kernel::{exp_of_negative, vectorized};

/// Samples side by side.
pub(super) const LANES: usize = 8;

/// A number of every sample.
type Lanes = [f64; LANES];

#[inline(always)]
fn with(a: Lanes, b: Lanes, one: impl Fn(f64, f64) -> f64) -> Lanes {
    let mut out = a;
    for lane in 0..LANES {
        out[lane] = one(a[lane], b[lane]);
    }
    out
}

impl Mass for Lanes {
    const ZERO: Self = [0.0; LANES];
    const ONE: Self = [1.0; LANES];
    /// Half a megabyte, which second-level caches hold.
    const KEPT: usize = 1 << 13;

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        with(
            self,
            other,
            #[inline(always)]
            |a, b| a + b,
        )
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        with(
            self,
            other,
            #[inline(always)]
            |a, b| a * b,
        )
    }

    #[inline(always)]
    fn plus_product(self, a: Self, b: Self) -> Self {
        let mut out = self;
        for lane in 0..LANES {
            out[lane] = a[lane].mul_add(b[lane], self[lane]);
        }
        out
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
                .for_each(|(lanes, &z)| lanes[lane] = z);
        }
        let shift = self.shift(width - 1, samples);
        let mut offset = [0.0; LANES];
        self.sweep.weights.clear();
        self.sweep.weights.resize(width, Lanes::ZERO);
        for (lane, (own, counts)) in samples.iter().zip(counts.iter_mut()).enumerate() {
            counts.resize(num_classes, width);
            counts.shift = shift[lane];
            offset[lane] = log_weights(own.potentials, shift[lane], &mut counts.log_weights);
            let weights = self.sweep.weights.iter_mut().zip(&counts.log_weights);
            weights.for_each(|(weight, &log)| weight[lane] = log);
        }
        let (log_sums, sums) = vectorized(
            #[inline(always)]
            || {
                for weight in self.sweep.weights.as_flattened_mut() {
                    *weight = exp_of_negative(*weight);
                }
                let log_sums = self.odds(shift);
                self.sweep.forward();
                let total = self.sweep.total();
                let mut inverse = total;
                inverse.iter_mut().for_each(|total| *total = 1.0 / *total);
                for (j, part) in self.sweep.parts().enumerate() {
                    let share = part.times(inverse);
                    for (counts, share) in counts.iter_mut().zip(share) {
                        counts.multiplicities[j] = share.min(1.0);
                    }
                }
                // Where the logits were, once they are not needed any more.
                let shares = &mut self.logits;
                self.sweep.backward(
                    #[inline(always)]
                    |label, part| {
                        shares[label] = part.times(inverse);
                    },
                );
                for share in shares.as_flattened_mut() {
                    *share = share.min(1.0);
                }
                (log_sums, total)
            },
        );
        for (lane, (own, counts)) in samples.iter().zip(counts).enumerate() {
            // NaN is less than nothing here: whoever has it gets it from the sums for one.
            if sums[lane] > SMALLEST_SUM {
                let shares = counts.inclusion.iter_mut().zip(&self.logits);
                shares.for_each(|(own, share)| *own = share[lane]);
                counts.log_partition = log_sums[lane] + offset[lane] + sums[lane].ln();
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
                let expected = expected[lane];
                if can_be_all || expected.is_nan() || expected <= ENOUGH * most {
                    continue;
                }
                is_done = false;
                let by_count = (expected / most).ln();
                let own = &mut shift[lane];
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

    /// How many labels are expected to be on. Steps go over all numbers alike, one after the other: that
    /// runs on whole registers, where a loop over lanes around a longer step would not.
    #[inline(always)]
    fn expected(&mut self, shift: Lanes) -> Lanes {
        let minus = |z: f64, shift: f64| z - shift;
        for (&z, small) in self.logits.iter().zip(&mut self.small) {
            *small = with(z, shift, minus);
        }
        for small in self.small.as_flattened_mut() {
            *small = exp_of_negative(-small.abs());
        }
        let mut sum = Lanes::ZERO;
        for (z, small) in self.logits.iter().zip(&self.small) {
            for lane in 0..LANES {
                let on = if z[lane] >= shift[lane] {
                    1.0
                } else {
                    small[lane]
                };
                sum[lane] += on * (1.0 / (1.0 + small[lane]));
            }
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
        let (on, off) = (&mut self.sweep.on, &mut self.sweep.off);
        let mut sum = Lanes::ZERO;
        for (z, on) in self.logits.iter().zip(&mut *on) {
            for lane in 0..LANES {
                on[lane] = z[lane] - shift[lane];
                sum[lane] += if on[lane] >= 0.0 { on[lane] } else { 0.0 };
            }
        }
        for small in self.small.chunks(FACTORS) {
            let mut product = Lanes::ONE;
            for &small in small {
                product = product.times(small.plus(Lanes::ONE));
            }
            for lane in 0..LANES {
                sum[lane] += product[lane].ln();
            }
        }
        let small = self.small.as_flattened();
        let chances = on.as_flattened_mut().iter_mut();
        let chances = chances.zip(off.as_flattened_mut());
        for ((on, off), &small) in chances.zip(small) {
            let is_on = *on >= 0.0;
            let large = 1.0 / (1.0 + small);
            let small = small * large;
            *on = if is_on { large } else { small };
            *off = if is_on { small } else { large };
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
