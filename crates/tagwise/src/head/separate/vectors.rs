//! Vectors of several labels side by side, and the memory of L-BFGS for each of them.

use super::real::Real;
use crate::kernel::vectorized;

/// One number of each label, in a whole cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Lanes<T, const L: usize>(pub(super) [T; L]);

impl<T: Real, const L: usize> Default for Lanes<T, L> {
    fn default() -> Self {
        Self([T::default(); L])
    }
}

/// A sum for each lane.
pub(super) type Sums<const L: usize> = [f64; L];

/// Entries whose products are added up before they go to f64.
const CHUNK_LEN: usize = 32;

#[inline(always)]
pub(super) fn add<const L: usize>(sums: &mut Sums<L>, others: &Sums<L>) {
    for lane in 0..L {
        sums[lane] += others[lane];
    }
}

#[inline(always)]
pub(super) fn widen<T: Real, const L: usize>(numbers: &[T; L]) -> Sums<L> {
    numbers.map(T::wide)
}

fn narrow<T: Real, const L: usize>(sums: &Sums<L>) -> [T; L] {
    sums.map(T::of)
}

/// Σ term(i) over i < len, lane by lane.
#[inline(always)]
fn sum<T: Real, const L: usize>(len: usize, mut term: impl FnMut(usize) -> [T; L]) -> Sums<L> {
    let mut total = [0.0; L];
    for first in (0..len).step_by(CHUNK_LEN) {
        let mut sums = [T::default(); L];
        for i in first..(first + CHUNK_LEN).min(len) {
            let terms = term(i);
            for lane in 0..L {
                sums[lane] += terms[lane];
            }
        }
        add(&mut total, &widen(&sums));
    }
    total
}

/// As [`sum`], of two terms; the sum of the second goes to `other`.
#[inline(always)]
fn sum_both<T: Real, const L: usize>(
    len: usize,
    mut terms: impl FnMut(usize) -> ([T; L], [T; L]),
    other: &mut Sums<L>,
) -> Sums<L> {
    let mut total = [0.0; L];
    for first in (0..len).step_by(CHUNK_LEN) {
        let mut sums = ([T::default(); L], [T::default(); L]);
        for i in first..(first + CHUNK_LEN).min(len) {
            let terms = terms(i);
            for lane in 0..L {
                sums.0[lane] += terms.0[lane];
                sums.1[lane] += terms.1[lane];
            }
        }
        add(&mut total, &widen(&sums.0));
        add(other, &widen(&sums.1));
    }
    total
}

/// x ← (x + factor·along)·scale for each lane; returns Σ x·other.
#[inline(always)]
fn advance<T: Real, const L: usize>(
    x: &mut [Lanes<T, L>],
    factor: [T; L],
    along: &[Lanes<T, L>],
    scale: impl Fn(usize) -> [T; L],
    other: &[Lanes<T, L>],
) -> Sums<L> {
    let (along, other) = (&along[..x.len()], &other[..x.len()]);
    sum(
        x.len(),
        #[inline(always)]
        |i| {
            let (scale, mut products) = (scale(i), [T::default(); L]);
            for lane in 0..L {
                let moved = (x[i].0[lane] + factor[lane] * along[i].0[lane]) * scale[lane];
                x[i].0[lane] = moved;
                products[lane] = moved * other[i].0[lane];
            }
            products
        },
    )
}

/// The last steps s and gradient changes y of every lane, in slots that all lanes fill at the same
/// time; a lane that has no step for a slot leaves it empty.
pub(super) struct History<T, const L: usize> {
    slots: Vec<Slot<T, L>>,
    memory: usize,
    newest: usize,
    /// sᵀy/(yᵀDy) of each lane's last pair; 1 without any.
    scales: Sums<L>,
    /// D: a rough inverse of the curvature of each variable.
    inverse_curvatures: Vec<T>,
}

struct Slot<T, const L: usize> {
    steps: Vec<Lanes<T, L>>,
    changes: Vec<Lanes<T, L>>,
    /// 1/(sᵀy) for each lane, 0 for an empty slot.
    inverse_curvatures: Sums<L>,
}

impl<T: Real, const L: usize> History<T, L> {
    pub(super) fn new(memory: usize, inverse_curvatures: Vec<T>) -> Self {
        Self {
            slots: Vec::new(),
            memory,
            newest: 0,
            scales: [1.0; L],
            inverse_curvatures,
        }
    }

    /// Forgets the pairs of one lane.
    pub(super) fn clear(&mut self, lane: usize) {
        self.scales[lane] = 1.0;
        for slot in &mut self.slots {
            slot.inverse_curvatures[lane] = 0.0;
        }
    }

    pub(super) fn is_empty(&self, lane: usize) -> bool {
        let mut slots = self.slots.iter();
        slots.all(|slot| slot.inverse_curvatures[lane] == 0.0)
    }

    /// Moves the lanes of `from` and `before` that have `moved`, and keeps their pairs
    /// s = `to` − `from` and y = `after` − `before` if their curvature is positive beyond rounding,
    /// unless this is the `first` point of the lane.
    ///
    /// To be called after every evaluation: a lane that waits loses its oldest pair to an empty
    /// slot, however many of the others have moved.
    pub(super) fn push(
        &mut self,
        moved: &[bool; L],
        first: &[bool; L],
        (from, to): (&mut [Lanes<T, L>], &[Lanes<T, L>]),
        (before, after): (&mut [Lanes<T, L>], &[Lanes<T, L>]),
    ) {
        if self.slots.len() < self.memory {
            let empty = || vec![Lanes::default(); from.len()];
            self.newest = self.slots.len();
            self.slots.push(Slot {
                steps: empty(),
                changes: empty(),
                inverse_curvatures: [0.0; L],
            });
        } else {
            self.newest = (self.newest + 1) % self.memory;
        }
        let slot = &mut self.slots[self.newest];
        let factor = moved.map(|moved| if moved { T::ONE } else { T::default() });
        let kept = first.map(|first| if first { T::default() } else { T::ONE });
        let (steps, changes) = (&mut slot.steps, &mut slot.changes);
        let mut norms = [0.0; L];
        let curvatures = vectorized(
            #[inline(always)]
            || {
                sum_both(
                    from.len(),
                    #[inline(always)]
                    |i| {
                        let inverse = self.inverse_curvatures[i];
                        let (step, change) = (&mut steps[i].0, &mut changes[i].0);
                        let (x, g) = (&mut from[i].0, &mut before[i].0);
                        let (new_x, new_g) = (&to[i].0, &after[i].0);
                        let mut products = ([T::default(); L], [T::default(); L]);
                        for lane in 0..L {
                            let is_moved = factor[lane] > T::default();
                            let next_x = if is_moved { new_x[lane] } else { x[lane] };
                            let next_g = if is_moved { new_g[lane] } else { g[lane] };
                            let is_kept = kept[lane] > T::default();
                            let s = if is_kept {
                                next_x - x[lane]
                            } else {
                                T::default()
                            };
                            let y = if is_kept {
                                next_g - g[lane]
                            } else {
                                T::default()
                            };
                            (x[lane], g[lane]) = (next_x, next_g);
                            (step[lane], change[lane]) = (s, y);
                            products.0[lane] = s * y;
                            products.1[lane] = y * y * inverse;
                        }
                        products
                    },
                    &mut norms,
                )
            },
        );
        for lane in 0..L {
            let (curvature, norm) = (curvatures[lane], norms[lane]);
            let is_kept = curvature > 1e-14 * norm && curvature.is_normal();
            slot.inverse_curvatures[lane] = if is_kept { 1.0 / curvature } else { 0.0 };
            if is_kept {
                self.scales[lane] = curvature / norm;
            }
        }
    }

    /// Writes −H·gradient to the lanes of `direction` that are `wanted`, H the inverse Hessian of
    /// the two-loop recursion; returns the slopes along the directions.
    pub(super) fn descend(
        &self,
        gradient: &[Lanes<T, L>],
        wanted: &[bool; L],
        work: &mut [Lanes<T, L>],
        direction: &mut [Lanes<T, L>],
    ) -> Sums<L> {
        let scales = narrow(&self.scales);
        let slots: Vec<&Slot<T, L>> = self.newest_first().collect();
        let mut weights = Vec::with_capacity(slots.len());
        let none = [T::default(); L];
        let chosen = wanted.map(|wanted| if wanted { T::ONE } else { T::default() });
        vectorized(
            #[inline(always)]
            || {
                for (work, gradient) in work.iter_mut().zip(gradient) {
                    for lane in 0..L {
                        work.0[lane] = -gradient.0[lane];
                    }
                }
                let as_is = |_| [T::ONE; L];
                let mut back = none;
                let mut along = gradient;
                for slot in &slots {
                    let products = advance(work, back, along, as_is, &slot.steps);
                    let weight = times(&products, &slot.inverse_curvatures);
                    weights.push(weight);
                    back = narrow(&weight.map(|w| -w));
                    along = &slot.changes;
                }
                let scaled = |i: usize| scales.map(|scale: T| scale * self.inverse_curvatures[i]);
                let other = slots.last().map_or(gradient, |slot| &slot.changes);
                let mut products = advance(work, back, along, scaled, other);
                for age in (0..slots.len()).rev() {
                    let slot = slots[age];
                    let back = times(&products, &slot.inverse_curvatures);
                    let mut forth = weights[age];
                    for lane in 0..L {
                        forth[lane] -= back[lane];
                    }
                    let other = match age {
                        0 => gradient,
                        _ => &slots[age - 1].changes,
                    };
                    products = advance(work, narrow(&forth), &slot.steps, as_is, other);
                }
                for (direction, work) in direction.iter_mut().zip(work.iter()) {
                    for lane in 0..L {
                        let is_wanted = chosen[lane] > T::default();
                        let old = direction.0[lane];
                        direction.0[lane] = if is_wanted { work.0[lane] } else { old };
                    }
                }
                products
            },
        )
    }

    fn newest_first(&self) -> impl Iterator<Item = &Slot<T, L>> {
        let len = self.slots.len();
        (0..len).map(move |age| &self.slots[(self.newest + len - age) % len])
    }
}

#[inline(always)]
fn times<const L: usize>(a: &Sums<L>, b: &Sums<L>) -> Sums<L> {
    let mut product = *a;
    for lane in 0..L {
        product[lane] *= b[lane];
    }
    product
}
