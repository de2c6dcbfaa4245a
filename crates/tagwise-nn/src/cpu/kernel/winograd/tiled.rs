//! The 36 products of transformed numbers by tiles of AMX.
//!
//! The transformed tiles of a run are the rows of the left factor, so no row is at an unequal
//! distance. Rows after the last tile of a run hold older numbers: their sums are written, and
//! nothing reads them.

use super::{PRODUCTS, Task, Winograd};
use crate::cpu::kernel::output::Write;
use crate::cpu::kernel::tiles::{self, Columns, Rows, SIDE, Step, TileRow, Tiles};

/// Steps of a product at most, so that their table needs no memory of its own.
const MOST_STEPS: usize = 64;

/// Lanes that each step sums over.
pub(super) fn depth(pass: &Winograd) -> usize {
    tiles::depth(pass.lanes())
}

impl Task<'_> {
    /// The products of a run of transformed tiles with one block of outputs.
    ///
    /// # Safety
    /// `T` is available and configured for the pass's depth.
    #[inline(always)]
    pub(super) unsafe fn multiply_tiled<T: Tiles>(&mut self, amx: &T, tiles: usize, block: usize) {
        let pass = self.pass;
        let (inputs, products) = self.scratch.split_at_mut(PRODUCTS * pass.input_step());
        let (lanes, depth) = (pass.lanes(), depth(pass));
        let most = MOST_STEPS * depth;
        for product in 0..PRODUCTS {
            let input = &inputs[product * pass.input_step()..];
            let weights = (block * PRODUCTS + product) * lanes * pass.block;
            let sums = products[product * pass.output_step()..].as_mut_ptr();
            for first in (0..lanes).step_by(most) {
                let mut steps = [Step::default(); MOST_STEPS];
                let mut count = 0;
                for lane in (first..lanes.min(first + most)).step_by(depth) {
                    (steps[count].left, steps[count].right) = (lane, lane * pass.block);
                    count += 1;
                }
                let columns = Columns {
                    right: Rows {
                        first: self.transformed[weights..].as_ptr(),
                        step: pass.block,
                    },
                    count: pass.block,
                    steps: &steps[..count],
                    write: match first {
                        0 => Write::Replace,
                        _ => Write::Add,
                    },
                };
                // SAFETY: passed on from the caller; the scratch memory has rows for all tiles of
                // a run, which are a multiple of those of AMX.
                unsafe {
                    columns.multiply(amx, tiles.div_ceil(SIDE), |row| TileRow {
                        left: Rows {
                            first: input.as_ptr().wrapping_add(row * SIDE * pass.tile_lanes()),
                            step: pass.tile_lanes(),
                        },
                        sums: Rows {
                            first: sums.wrapping_add(row * SIDE * pass.block),
                            step: pass.block,
                        },
                    });
                }
            }
        }
    }
}
