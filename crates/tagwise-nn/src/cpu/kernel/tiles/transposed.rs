//! Weight gradients by tiles: sums over pixels, of which a row of a tile must hold neighbours.
//! Activations are written with neighbouring channels, so they are transposed, 16 pairs of pixels
//! × 16 channels at a time, when they are joined to pairs.

use super::{Columns, Rows, SIDE, Step, TILE, TileRow, Tiles};
use crate::cpu::kernel::output::Write;

/// Columns of one block of sums at most.
const MOST_COLUMNS: usize = 4 * SIDE;

/// Where the pair of pixels `row` (of `rows`, a multiple of 16) of a channel is written, in squares
/// `[16 channels][16 rows]` of which each is then transposed.
#[inline(always)]
pub(in super::super) fn place_in_squares(rows: usize, row: usize, channel: usize) -> usize {
    let square = channel / SIDE * (rows / SIDE) + row / SIDE;
    square * TILE + row % SIDE * SIDE + channel % SIDE
}

/// All input channels × one block of output channels.
pub(in super::super) struct TransposedJob<'a> {
    pub channels: usize,
    /// The first transposed square of the first channels, and the distance of those of the next
    /// 16 channels.
    pub left: Rows<*const f32>,
    pub right: Rows<*const f32>,
    /// Output channels of the block.
    pub columns: usize,
    /// `[channels, columns]`, which the products are added to.
    pub sums: *mut f32,
    pub steps: &'a [Step],
}

impl TransposedJob<'_> {
    /// # Safety
    /// All places lie inside the allocations that the pointers come from, those of `left` for a
    /// multiple of 16 channels; `T` is available and configured for the whole depth.
    #[inline(always)]
    pub(in super::super) unsafe fn run<T: Tiles>(&self, tiles: &T) {
        let whole = self.channels / SIDE;
        // SAFETY: passed on from the caller.
        unsafe {
            self.multiply(tiles, whole, 0, self.sums);
        }
        let rest = self.channels % SIDE * self.columns;
        if rest > 0 {
            let mut staged = [0.0; SIDE * MOST_COLUMNS];
            // SAFETY: passed on from the caller; the sums have `rest` numbers after whole tiles.
            unsafe {
                let sums = self.sums.add(whole * SIDE * self.columns);
                let sums = std::slice::from_raw_parts_mut(sums, rest);
                staged[..rest].copy_from_slice(sums);
                self.multiply(tiles, 1, whole, staged.as_mut_ptr());
                sums.copy_from_slice(&staged[..rest]);
            }
        }
    }

    /// # Safety
    /// As [`TransposedJob::run`], for `count` whole rows of tiles from `first` on.
    #[inline(always)]
    unsafe fn multiply<T: Tiles>(&self, tiles: &T, count: usize, first: usize, sums: *mut f32) {
        let columns = Columns {
            right: self.right,
            count: self.columns,
            steps: self.steps,
            write: Write::Add,
        };
        // SAFETY: passed on from the caller.
        unsafe {
            columns.multiply(tiles, count, |row| TileRow {
                left: Rows {
                    first: self.left.first.wrapping_add((first + row) * self.left.step),
                    step: SIDE,
                },
                sums: Rows {
                    first: sums.wrapping_add(row * SIDE * self.columns),
                    step: self.columns,
                },
            });
        }
    }
}
