//! Sums over transformed tiles by tiles of AMX: each stays in its register over a whole round.

use super::{PRODUCTS, Products};
use crate::cpu::kernel::tiles::{Rows, SIDE, Step, TILE, Tiles, TransposedJob};

/// Steps of a product at most: those of a round, or fewer of a round of many.
const MOST_STEPS: usize = 64;

impl Products<'_> {
    /// # Safety
    /// The groups hold the tiles, their inputs in transposed squares; `T` is available and
    /// configured for the whole depth.
    #[inline(always)]
    pub(super) unsafe fn add_tiled<T: Tiles>(&mut self, amx: &T) {
        let plan = self.plan;
        let (input_step, gradient_step) = plan.steps();
        let gradients = PRODUCTS * input_step + self.product * gradient_step;
        let mut steps = [Step::default(); MOST_STEPS];
        let mut count = 0;
        for (group, first) in (0..self.tiles).step_by(plan.tiles_per_group).enumerate() {
            let tiles = plan.tiles_per_group.min(self.tiles - first);
            for step in 0..plan.filled_rows(tiles) / SIDE {
                steps[count] = Step {
                    left: group * plan.group_len() + step * TILE,
                    right: group * plan.group_len() + step * SIDE * plan.out_pitch,
                };
                count += 1;
                if count == MOST_STEPS {
                    // SAFETY: passed on from the caller.
                    unsafe { self.add_steps(amx, gradients, &steps) }
                    count = 0;
                }
            }
        }
        if count > 0 {
            // SAFETY: passed on from the caller.
            unsafe { self.add_steps(amx, gradients, &steps[..count]) }
        }
    }

    /// # Safety
    /// As [`Products::add_tiled`], for these steps.
    #[inline(always)]
    unsafe fn add_steps<T: Tiles>(&mut self, amx: &T, gradients: usize, steps: &[Step]) {
        let plan = self.plan;
        let (input_step, _) = plan.steps();
        let job = TransposedJob {
            channels: plan.in_channels,
            left: Rows {
                first: self.groups[self.product * input_step..].as_ptr(),
                step: plan.rows() * SIDE,
            },
            right: Rows {
                first: self.groups[gradients + self.block * plan.block..].as_ptr(),
                step: plan.out_pitch,
            },
            columns: plan.block,
            sums: self.sums.as_mut_ptr(),
            steps,
        };
        // SAFETY: passed on from the caller.
        unsafe { job.run(amx) }
    }
}
