//! Products of bf16 matrices by tiles: registers of two dimensions, as AMX has them.
//!
//! A tile of *sums* has 16 rows and 16 columns of f32. One step of a product adds to it a tile of
//! the left factor (16 rows of up to 16 lanes, each a pair of bf16) times one of the right factor
//! (as many rows of lanes, 16 columns). Up to two by two tiles of sums stay in registers over all
//! steps, so that every tile of a factor that is loaded serves two products.

#[cfg(target_arch = "x86_64")]
pub(super) mod amx;
mod direct;
#[cfg(test)]
pub(super) mod emulated;
mod transposed;

use super::output::Write;

pub(super) use direct::{DirectJob, MOST_STEPS};
pub(super) use transposed::{TransposedJob, place_in_squares};

/// Rows and columns of a tile of sums, and the most lanes that a step sums over.
pub(super) const SIDE: usize = 16;
/// Lanes of a whole tile.
pub(super) const TILE: usize = SIDE * SIDE;

/// Rows in memory: the first one and the distance of two, in lanes.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Rows<P> {
    pub first: P,
    pub step: usize,
}

impl Rows<*const f32> {
    /// The same rows to write; they come from a pointer that may be written through.
    fn writable(self) -> Rows<*mut f32> {
        Rows {
            first: self.first.cast_mut(),
            step: self.step,
        }
    }
}

/// Where the factors of one step start, in lanes after those of a product.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub left: usize,
    pub right: usize,
}

/// Up to two by two tiles of sums of products.
#[repr(C)]
pub(crate) struct Product {
    /// The rows of each row of tiles; the second may be unused.
    pub left: [Rows<*const f32>; 2],
    /// The second column of tiles follows the first after [`SIDE`] lanes, here and in the sums.
    pub right: Rows<*const f32>,
    pub sums: [Rows<*mut f32>; 2],
    pub steps: *const Step,
    /// At least one.
    pub num_steps: usize,
    /// 1 to add to the sums in memory, 0 to replace them.
    pub adds: usize,
}

/// The tile registers of a machine while they are configured: one value exists per thread.
pub(crate) trait Tiles: Sized {
    /// Tiles that sum over `depth` lanes at a step, from 1 to [`SIDE`].
    ///
    /// # Safety
    /// The machine has the tiles, and the thread holds no others.
    unsafe fn configure(depth: usize) -> Self;

    /// Adds up the steps of a product with `ROWS` × `COLUMNS` tiles of sums, each 1 or 2.
    ///
    /// # Safety
    /// All rows that the product names lie inside allocations; those of sums may be written.
    unsafe fn multiply<const ROWS: usize, const COLUMNS: usize>(&self, product: &Product);

    /// Transposes 16 rows of 16 lanes in place.
    ///
    /// # Safety
    /// The machine has the tiles, and `square` points at [`TILE`] lanes.
    unsafe fn transpose(square: *mut f32);
}

/// Lanes that each step sums over, so that equal steps make up `lanes`.
pub(super) fn depth(lanes: usize) -> usize {
    let mut fitting = (1..=SIDE)
        .rev()
        .filter(|depth| lanes.is_multiple_of(*depth));
    fitting.next().unwrap_or(1)
}

/// One row of tiles of a product.
#[derive(Clone, Copy)]
pub(super) struct TileRow {
    pub left: Rows<*const f32>,
    pub sums: Rows<*mut f32>,
}

/// What all rows of tiles of a product share.
pub(super) struct Columns<'a> {
    pub right: Rows<*const f32>,
    /// Columns of the right factor, a multiple of [`SIDE`].
    pub count: usize,
    pub steps: &'a [Step],
    pub write: Write,
}

impl Columns<'_> {
    /// Multiplies `count` rows of tiles, two at a time.
    ///
    /// # Safety
    /// As [`Tiles::multiply`], for all columns of every row of tiles.
    #[inline(always)]
    pub(super) unsafe fn multiply<T: Tiles>(
        &self,
        tiles: &T,
        count: usize,
        row: impl Fn(usize) -> TileRow,
    ) {
        for first in (0..count).step_by(2) {
            // SAFETY: passed on from the caller.
            unsafe {
                if first + 1 < count {
                    self.multiply_rows::<T, 2>(tiles, [row(first), row(first + 1)]);
                } else {
                    self.multiply_rows::<T, 1>(tiles, [row(first); 2]);
                }
            }
        }
    }

    /// # Safety
    /// As [`Columns::multiply`], for the first `ROWS` rows of tiles.
    #[inline(always)]
    unsafe fn multiply_rows<T: Tiles, const ROWS: usize>(&self, tiles: &T, rows: [TileRow; 2]) {
        for column in (0..self.count).step_by(2 * SIDE) {
            let product = Product {
                left: rows.map(|row| row.left),
                right: Rows {
                    first: self.right.first.wrapping_add(column),
                    step: self.right.step,
                },
                sums: rows.map(|row| Rows {
                    first: row.sums.first.wrapping_add(column),
                    step: row.sums.step,
                }),
                steps: self.steps.as_ptr(),
                num_steps: self.steps.len(),
                adds: usize::from(self.write == Write::Add),
            };
            // SAFETY: passed on from the caller; the columns exist.
            unsafe {
                if column + SIDE < self.count {
                    tiles.multiply::<ROWS, 2>(&product);
                } else {
                    tiles.multiply::<ROWS, 1>(&product);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_divide_the_lanes() {
        for (lanes, expected) in [
            (1, 1),
            (8, 8),
            (16, 16),
            (24, 12),
            (32, 16),
            (33, 11),
            (17, 1),
        ] {
            assert_eq!(depth(lanes), expected);
        }
    }
}
