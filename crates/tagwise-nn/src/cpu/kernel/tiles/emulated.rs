//! Tiles in plain Rust, with which machines without AMX test everything but its instructions.

use super::{Product, Rows, SIDE, TILE, Tiles};
use crate::cpu::bf16::Bf16;
use crate::cpu::kernel::simd::Simd;

/// Tiles that sum over so many lanes at a step.
pub(in super::super) struct Emulated {
    depth: usize,
}

impl Tiles for Emulated {
    unsafe fn configure(depth: usize) -> Self {
        assert!((1..=SIDE).contains(&depth));
        Self { depth }
    }

    unsafe fn multiply<const ROWS: usize, const COLUMNS: usize>(&self, product: &Product) {
        // SAFETY: the caller vouches for the steps.
        let steps = unsafe { std::slice::from_raw_parts(product.steps, product.num_steps) };
        assert!(!steps.is_empty() && product.adds <= 1);
        for row in 0..ROWS * SIDE {
            let (tile, row) = (row / SIDE, row % SIDE);
            for column in 0..COLUMNS * SIDE {
                // SAFETY: the caller vouches for all rows.
                unsafe {
                    let to = at_mut(product.sums[tile], row).add(column);
                    let mut sum = if product.adds == 1 { *to } else { 0.0 };
                    for step in steps {
                        let left = at(product.left[tile], row).add(step.left);
                        for lane in 0..self.depth {
                            let right = at(product.right, lane).add(step.right + column);
                            sum += dot(*left.add(lane), *right);
                        }
                    }
                    *to = sum;
                }
            }
        }
    }

    unsafe fn transpose(square: *mut f32) {
        // SAFETY: the caller vouches for the lanes.
        let square = unsafe { std::slice::from_raw_parts_mut(square, TILE) };
        for row in 0..SIDE {
            for column in 0..row {
                square.swap(row * SIDE + column, column * SIDE + row);
            }
        }
    }
}

unsafe fn at(rows: Rows<*const f32>, row: usize) -> *const f32 {
    // SAFETY: the caller vouches for the row.
    unsafe { rows.first.add(row * rows.step) }
}

unsafe fn at_mut(rows: Rows<*mut f32>, row: usize) -> *mut f32 {
    // SAFETY: the caller vouches for the row.
    unsafe { rows.first.add(row * rows.step) }
}

fn dot(a: f32, b: f32) -> f32 {
    let ([a, c], [b, d]) = (Bf16::pair_of(a), Bf16::pair_of(b));
    a.widen() * b.widen() + c.widen() * d.widen()
}

/// Sixteen lanes in plain Rust, beside the emulated tiles.
#[derive(Clone, Copy)]
pub(in super::super) struct Wide;

type Lanes = [f32; SIDE];

impl Simd for Wide {
    type Vector = Lanes;
    const LANES: usize = SIDE;
    const PAIR_STEPS: usize = 1;

    unsafe fn zero() -> Lanes {
        [0.0; SIDE]
    }
    unsafe fn splat(value: f32) -> Lanes {
        [value; SIDE]
    }
    unsafe fn load(from: *const f32) -> Lanes {
        // SAFETY: the caller vouches for the numbers, here and below.
        unsafe { from.cast::<Lanes>().read() }
    }
    unsafe fn store(to: *mut f32, value: Lanes) {
        // SAFETY: as above.
        unsafe { to.cast::<Lanes>().write(value) }
    }
    unsafe fn add(a: Lanes, b: Lanes) -> Lanes {
        std::array::from_fn(|i| a[i] + b[i])
    }
    unsafe fn subtract(a: Lanes, b: Lanes) -> Lanes {
        std::array::from_fn(|i| a[i] - b[i])
    }
    unsafe fn multiply(a: Lanes, b: Lanes) -> Lanes {
        std::array::from_fn(|i| a[i] * b[i])
    }
    unsafe fn multiply_add(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    unsafe fn relu(value: Lanes) -> Lanes {
        value.map(|x| if x < 0.0 { 0.0 } else { x })
    }
    unsafe fn keep_positive(value: Lanes, sign: Lanes) -> Lanes {
        std::array::from_fn(|i| if sign[i] > 0.0 { value[i] } else { 0.0 })
    }
    unsafe fn factor_of_pairs(pairs: Lanes, _step: usize) -> Lanes {
        pairs
    }
    unsafe fn multiply_add_pairs(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        std::array::from_fn(|i| c[i] + dot(a[i], b[i]))
    }
    unsafe fn load_bf16(from: *const Bf16) -> Lanes {
        // SAFETY: as above.
        unsafe { from.cast::<[Bf16; SIDE]>().read() }.map(Bf16::widen)
    }
    unsafe fn store_bf16(to: *mut Bf16, value: Lanes) {
        // SAFETY: as above.
        unsafe { to.cast::<[Bf16; SIDE]>().write(value.map(Bf16::round)) }
    }
    unsafe fn pair(first: Lanes, second: Lanes) -> Lanes {
        std::array::from_fn(|i| f32::from_bits(first[i].to_bits() >> 16 | second[i].to_bits()))
    }
    unsafe fn store_pairs(to: *mut f32, first: Lanes, second: Lanes) {
        let pairs = std::array::from_fn(|i| Bf16::pair([first[i], second[i]].map(Bf16::round)));
        // SAFETY: as above.
        unsafe { to.cast::<Lanes>().write(pairs) }
    }
}
