//! The small matrices of F(4×4, 3×3), one register of channels at a time.
//!
//! With the points 0, ±1/√2, ±√2 and ∞, y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A is the 4×4 result of a 3×3
//! kernel g over a 6×6 tile d. A matrix on both sides is applied to the columns, then to the rows.

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

use crate::cpu::buffer::LINE;
use crate::cpu::kernel::simd::{Number, Simd, prefetch};

/// Side of a tile of results.
pub(super) const RESULTS: usize = 4;
/// Side of a tile of inputs and of a transformed tile.
pub(super) const INPUTS: usize = RESULTS + 2;
/// Products per tile and pair of channels.
pub(super) const PRODUCTS: usize = INPUTS * INPUTS;
/// Side of the kernel.
const KERNEL: usize = 3;

/// (1/√2)³ and (√2)³.
const SMALL_CUBE: f32 = FRAC_1_SQRT_2 / 2.0;
const LARGE_CUBE: f32 = 2.0 * SQRT_2;

/// A rectangle of pixels in memory, the rest of its square being zeros.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub row_step: usize,
    pub column_step: usize,
    pub rows: usize,
    pub columns: usize,
}

impl Tile {
    /// # Safety
    /// `from` points at `rows` × `columns` pixels with these steps; `S` is available.
    #[inline(always)]
    unsafe fn load<S: Simd, E: Number, const SIDE: usize>(
        self,
        from: *const E,
    ) -> [[S::Vector; SIDE]; SIDE] {
        // SAFETY: passed on from the caller; pixels outside the rectangle are not read.
        unsafe {
            let mut pixels = [[S::zero(); SIDE]; SIDE];
            for (y, row) in pixels.iter_mut().enumerate() {
                for (x, pixel) in row.iter_mut().enumerate() {
                    if y < self.rows && x < self.columns {
                        let offset = y * self.row_step + x * self.column_step;
                        *pixel = E::load::<S>(from.add(offset));
                    }
                }
            }
            pixels
        }
    }

    /// Asks for the pixels from a column on, one register of channels of each, unless an earlier
    /// register shares their cache lines.
    #[inline(always)]
    pub(super) fn prefetch<E>(self, first_column: usize, from: *const E, channel: usize) {
        if (channel * size_of::<E>()).is_multiple_of(LINE) {
            for y in 0..self.rows {
                for x in first_column..self.columns {
                    let offset = y * self.row_step + x * self.column_step + channel;
                    prefetch(from.wrapping_add(offset));
                }
            }
        }
    }

    #[inline(always)]
    fn is_full(self, side: usize) -> bool {
        self.rows >= side && self.columns >= side
    }

    /// This tile with all its pixels, which the compiler then need not test.
    #[inline(always)]
    fn full(self, side: usize) -> Self {
        Self {
            rows: side,
            columns: side,
            ..self
        }
    }
}

/// The 36 numbers that a tile or a kernel becomes, for one register of channels.
pub(super) type Transformed<V> = [[V; INPUTS]; INPUTS];

/// Stores 36 registers `step` numbers apart.
///
/// # Safety
/// `to` points at the places; `S` is available.
#[inline(always)]
pub(super) unsafe fn store<S: Simd, E: Number>(
    numbers: Transformed<S::Vector>,
    to: *mut E,
    step: usize,
) {
    for y in 0..INPUTS {
        for x in 0..INPUTS {
            // SAFETY: passed on from the caller.
            unsafe { E::store::<S>(to.add((y * INPUTS + x) * step), numbers[y][x]) }
        }
    }
}

/// Stores 36 registers of pairs `step` apart.
///
/// # Safety
/// `to` points at the places; `S` is available.
#[inline(always)]
pub(super) unsafe fn store_pairs<S: Simd>(
    first: Transformed<S::Vector>,
    second: Transformed<S::Vector>,
    to: *mut f32,
    step: usize,
) {
    for y in 0..INPUTS {
        for x in 0..INPUTS {
            // SAFETY: passed on from the caller.
            unsafe { S::store_pairs(to.add((y * INPUTS + x) * step), first[y][x], second[y][x]) }
        }
    }
}

/// Bᵀ d B of one register of channels.
///
/// # Safety
/// `from` points at the tile's pixels; `S` is available.
#[inline(always)]
pub(super) unsafe fn input<S: Simd, E: Number>(
    tile: Tile,
    from: *const E,
) -> Transformed<S::Vector> {
    // SAFETY: passed on from the caller.
    unsafe {
        let pixels = if tile.is_full(INPUTS) {
            tile.full(INPUTS).load::<S, E, INPUTS>(from)
        } else {
            tile.load::<S, E, INPUTS>(from)
        };
        let mut numbers = [[S::zero(); INPUTS]; INPUTS];
        for x in 0..INPUTS {
            let line = input_line::<S>(column(&pixels, x));
            for y in 0..INPUTS {
                numbers[y][x] = line[y];
            }
        }
        for y in 0..INPUTS {
            numbers[y] = input_line::<S>(numbers[y]);
        }
        numbers
    }
}

/// Bᵀ d.
///
/// # Safety
/// `S` is available.
#[inline(always)]
unsafe fn input_line<S: Simd>(d: [S::Vector; INPUTS]) -> [S::Vector; INPUTS] {
    // SAFETY: passed on from the caller.
    unsafe {
        let (small, large) = (S::splat(FRAC_1_SQRT_2), S::splat(SQRT_2));
        let minus_two_and_a_half = S::splat(-2.5);
        let even = S::multiply_add(S::splat(-2.0), d[2], d[4]);
        let odd = S::subtract(S::multiply(small, d[3]), S::multiply(large, d[1]));
        let even_large = S::multiply_add(S::splat(-0.5), d[2], d[4]);
        let odd_large = S::subtract(S::multiply(large, d[3]), S::multiply(small, d[1]));
        [
            S::multiply_add(minus_two_and_a_half, d[2], S::add(d[0], d[4])),
            S::add(even, odd),
            S::subtract(even, odd),
            S::add(even_large, odd_large),
            S::subtract(even_large, odd_large),
            S::multiply_add(minus_two_and_a_half, d[3], S::add(d[1], d[5])),
        ]
    }
}

/// Aᵀ m A of 36 registers `step` apart.
///
/// # Safety
/// `from` points at the registers; `S` is available.
#[inline(always)]
pub(super) unsafe fn result<S: Simd>(
    from: *const f32,
    step: usize,
) -> [[S::Vector; RESULTS]; RESULTS] {
    // SAFETY: passed on from the caller.
    unsafe {
        let mut columns = [[S::zero(); INPUTS]; RESULTS];
        for x in 0..INPUTS {
            let mut m = [S::zero(); INPUTS];
            for y in 0..INPUTS {
                m[y] = S::load(from.add((y * INPUTS + x) * step));
            }
            let line = result_line::<S>(m);
            for y in 0..RESULTS {
                columns[y][x] = line[y];
            }
        }
        let mut results = [[S::zero(); RESULTS]; RESULTS];
        for y in 0..RESULTS {
            results[y] = result_line::<S>(columns[y]);
        }
        results
    }
}

/// Aᵀ m.
///
/// # Safety
/// `S` is available.
#[inline(always)]
unsafe fn result_line<S: Simd>(m: [S::Vector; INPUTS]) -> [S::Vector; RESULTS] {
    // SAFETY: passed on from the caller.
    unsafe {
        let (sum, difference) = (S::add(m[1], m[2]), S::subtract(m[1], m[2]));
        let (sum_large, difference_large) = (S::add(m[3], m[4]), S::subtract(m[3], m[4]));
        [
            S::add(m[0], S::add(sum, sum_large)),
            weighted::<S>(FRAC_1_SQRT_2, difference, SQRT_2, difference_large),
            weighted::<S>(0.5, sum, 2.0, sum_large),
            S::add(
                m[5],
                weighted::<S>(SMALL_CUBE, difference, LARGE_CUBE, difference_large),
            ),
        ]
    }
}

/// A y Aᵀ of one register of channels: the transpose of [`result`].
///
/// # Safety
/// `from` points at the tile's pixels; `S` is available.
#[inline(always)]
pub(super) unsafe fn gradient<S: Simd, E: Number>(
    tile: Tile,
    from: *const E,
) -> Transformed<S::Vector> {
    // SAFETY: passed on from the caller.
    unsafe {
        let pixels = if tile.is_full(RESULTS) {
            tile.full(RESULTS).load::<S, E, RESULTS>(from)
        } else {
            tile.load::<S, E, RESULTS>(from)
        };
        let mut columns = [[S::zero(); RESULTS]; INPUTS];
        for x in 0..RESULTS {
            let line = gradient_line::<S>(column(&pixels, x));
            for y in 0..INPUTS {
                columns[y][x] = line[y];
            }
        }
        let mut numbers = [[S::zero(); INPUTS]; INPUTS];
        for y in 0..INPUTS {
            numbers[y] = gradient_line::<S>(columns[y]);
        }
        numbers
    }
}

/// A y.
///
/// # Safety
/// `S` is available.
#[inline(always)]
unsafe fn gradient_line<S: Simd>(y: [S::Vector; RESULTS]) -> [S::Vector; INPUTS] {
    // SAFETY: passed on from the caller.
    unsafe {
        let even = S::multiply_add(S::splat(0.5), y[2], y[0]);
        let odd = S::multiply_add(
            S::splat(SMALL_CUBE),
            y[3],
            S::multiply(S::splat(FRAC_1_SQRT_2), y[1]),
        );
        let even_large = S::multiply_add(S::splat(2.0), y[2], y[0]);
        let odd_large = S::multiply_add(
            S::splat(LARGE_CUBE),
            y[3],
            S::multiply(S::splat(SQRT_2), y[1]),
        );
        [
            y[0],
            S::add(even, odd),
            S::subtract(even, odd),
            S::add(even_large, odd_large),
            S::subtract(even_large, odd_large),
            y[3],
        ]
    }
}

/// G g Gᵀ of one register of channels; tap k of g is at `taps[k]`.
///
/// # Safety
/// All pointers are valid for a register; `S` is available.
#[inline(always)]
pub(super) unsafe fn weights<S: Simd>(
    taps: [*const f32; KERNEL * KERNEL],
) -> Transformed<S::Vector> {
    // SAFETY: passed on from the caller.
    unsafe {
        let mut columns = [[S::zero(); KERNEL]; INPUTS];
        for x in 0..KERNEL {
            let mut g = [S::zero(); KERNEL];
            for y in 0..KERNEL {
                g[y] = S::load(taps[y * KERNEL + x]);
            }
            let line = weights_line::<S>(g);
            for y in 0..INPUTS {
                columns[y][x] = line[y];
            }
        }
        let mut numbers = [[S::zero(); INPUTS]; INPUTS];
        for y in 0..INPUTS {
            numbers[y] = weights_line::<S>(columns[y]);
        }
        numbers
    }
}

/// G g.
///
/// # Safety
/// `S` is available.
#[inline(always)]
unsafe fn weights_line<S: Simd>(g: [S::Vector; KERNEL]) -> [S::Vector; INPUTS] {
    const SMALL: f32 = -2.0 / 3.0;
    const LARGE: f32 = 1.0 / 6.0;
    // SAFETY: passed on from the caller.
    unsafe {
        let even = S::multiply(S::splat(SMALL), S::multiply_add(S::splat(0.5), g[2], g[0]));
        let odd = S::multiply(S::splat(SMALL * FRAC_1_SQRT_2), g[1]);
        let even_large = S::multiply(S::splat(LARGE), S::multiply_add(S::splat(2.0), g[2], g[0]));
        let odd_large = S::multiply(S::splat(LARGE * SQRT_2), g[1]);
        [
            g[0],
            S::add(even, odd),
            S::subtract(even, odd),
            S::add(even_large, odd_large),
            S::subtract(even_large, odd_large),
            g[2],
        ]
    }
}

/// Gᵀ u G of 36 registers `step` apart, the transpose of [`weights`]; tap k goes to `taps[k]`.
///
/// # Safety
/// All pointers are valid for a register; `S` is available.
#[inline(always)]
pub(super) unsafe fn weight_gradient<S: Simd>(
    from: *const f32,
    step: usize,
    taps: [*mut f32; KERNEL * KERNEL],
) {
    // SAFETY: passed on from the caller.
    unsafe {
        let mut columns = [[S::zero(); INPUTS]; KERNEL];
        for x in 0..INPUTS {
            let mut u = [S::zero(); INPUTS];
            for y in 0..INPUTS {
                u[y] = S::load(from.add((y * INPUTS + x) * step));
            }
            let line = weight_gradient_line::<S>(u);
            for y in 0..KERNEL {
                columns[y][x] = line[y];
            }
        }
        for y in 0..KERNEL {
            let row = weight_gradient_line::<S>(columns[y]);
            for x in 0..KERNEL {
                S::store(taps[y * KERNEL + x], row[x]);
            }
        }
    }
}

/// Gᵀ u.
///
/// # Safety
/// `S` is available.
#[inline(always)]
unsafe fn weight_gradient_line<S: Simd>(u: [S::Vector; INPUTS]) -> [S::Vector; KERNEL] {
    const SMALL: f32 = -2.0 / 3.0;
    const LARGE: f32 = 1.0 / 6.0;
    // SAFETY: passed on from the caller.
    unsafe {
        let (sum, difference) = (S::add(u[1], u[2]), S::subtract(u[1], u[2]));
        let (sum_large, difference_large) = (S::add(u[3], u[4]), S::subtract(u[3], u[4]));
        [
            S::add(u[0], weighted::<S>(SMALL, sum, LARGE, sum_large)),
            weighted::<S>(
                SMALL * FRAC_1_SQRT_2,
                difference,
                LARGE * SQRT_2,
                difference_large,
            ),
            S::add(
                u[5],
                weighted::<S>(SMALL * 0.5, sum, LARGE * 2.0, sum_large),
            ),
        ]
    }
}

/// Column `x` of a square.
#[inline(always)]
fn column<V: Copy, const SIDE: usize>(square: &[[V; SIDE]; SIDE], x: usize) -> [V; SIDE] {
    let mut column = [square[0][x]; SIDE];
    for y in 1..SIDE {
        column[y] = square[y][x];
    }
    column
}

/// small·a + large·b
///
/// # Safety
/// `S` is available.
#[inline(always)]
unsafe fn weighted<S: Simd>(small: f32, a: S::Vector, large: f32, b: S::Vector) -> S::Vector {
    // SAFETY: passed on from the caller.
    unsafe { S::multiply_add(S::splat(small), a, S::multiply(S::splat(large), b)) }
}
