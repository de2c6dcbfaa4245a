//! Runs of pixels in bf16, joined to pairs of two pixels whose products one lane sums.

use super::{Job, PIXELS_PER_TILED_RUN, Piece, Stretch};
use crate::bf16::Bf16;
use crate::buffer::View;
use crate::kernel::simd::{Pairs, Simd};
use crate::kernel::tiles::{Rows, SIDE, Step, TILE, Tiles, TransposedJob, place_in_squares};

/// Where a pixel's inputs and its gradients start.
type Place = (usize, usize);

impl Piece<'_> {
    /// Joins the pixels of a run to pairs and adds them; the last one of an odd number is joined
    /// with a gradient of zero.
    ///
    /// # Safety
    /// As [`Piece::add`].
    #[inline(always)]
    pub(super) unsafe fn add_pairs<S: Simd>(&mut self, run: &[Stretch], dz: &[Bf16]) {
        let plan = self.plan;
        let (x_step, dz_step) = plan.steps();
        let mut places = [Place::default(); PIXELS_PER_TILED_RUN];
        let mut pixels = 0;
        for stretch in run {
            for i in 0..stretch.pixels {
                places[pixels] = (stretch.input + i * x_step, stretch.gradient + i * dz_step);
                pixels += 1;
            }
        }
        for (row, pair) in places[..pixels].chunks(2).enumerate() {
            // SAFETY: passed on from the caller; the scratch memory has a row for every pair.
            unsafe { self.join::<S>(row, pair, dz) }
        }
        let rows = pixels.div_ceil(2);
        if plan.tiled {
            // SAFETY: the rows written above; plans for tiles are made only where `S` has them.
            unsafe { self.add_tiles::<S>(rows) }
            return;
        }
        let (x_pairs, dz_pairs) = self.pairs.split_at(plan.rows() * plan.paired_channels());
        let job = Job {
            x_step: plan.paired_channels(),
            dz_step: plan.block,
            channels: plan.shape.in_channels,
            x: x_pairs.as_ptr(),
            dz: dz_pairs.as_ptr(),
            sums: self.sums.as_mut_ptr(),
        };
        let rows = Stretch {
            input: 0,
            gradient: 0,
            pixels: rows,
        };
        // SAFETY: the rows written above.
        unsafe { job.add::<Pairs<S>>(plan.block / S::LANES, &[rows]) }
    }

    /// Where a channel of a row of pairs is written.
    #[inline(always)]
    fn x_place(&self, row: usize, channel: usize) -> usize {
        if self.plan.tiled {
            place_in_squares(self.plan.rows(), row, channel)
        } else {
            row * self.plan.paired_channels() + channel
        }
    }

    /// Writes one row of pairs.
    ///
    /// # Safety
    /// As [`Piece::add`], for one or two pixels; the scratch memory has the row.
    #[inline(always)]
    unsafe fn join<S: Simd>(&mut self, row: usize, pair: &[Place], dz: &[Bf16]) {
        let plan = self.plan;
        let ((x_first, dz_first), second) = (pair[0], pair.get(1));
        let x_second = second.map_or(x_first, |(x, _)| *x);
        let dz_row = plan.rows() * plan.paired_channels() + row * plan.block;
        // SAFETY: passed on from the caller.
        unsafe {
            match self.x {
                View::F32(x) => {
                    for c in 0..plan.shape.in_channels {
                        let numbers = [x_first, x_second].map(|i| Bf16::round(x[i + c]));
                        self.pairs[self.x_place(row, c)] = Bf16::pair(numbers);
                    }
                }
                View::Bf16(x) => {
                    let (first, second) = (x.as_ptr().add(x_first), x.as_ptr().add(x_second));
                    for c in (0..plan.paired_channels()).step_by(S::LANES) {
                        let even = S::load_bf16(first.add(c));
                        let odd = S::load_bf16(second.add(c));
                        let to = self.pairs.as_mut_ptr().add(self.x_place(row, c));
                        S::store_pairs(to, even, odd);
                    }
                }
            }
            for c in (0..plan.block).step_by(S::LANES) {
                let even = S::load_bf16(dz.as_ptr().add(dz_first + c));
                let odd = match second {
                    Some((_, dz_second)) => S::load_bf16(dz.as_ptr().add(dz_second + c)),
                    None => S::zero(),
                };
                S::store_pairs(self.pairs.as_mut_ptr().add(dz_row + c), even, odd);
            }
        }
    }

    /// Adds the products of so many rows of pairs, filled up with zeros to whole steps.
    ///
    /// # Safety
    /// `S` is available and has tiles.
    #[inline(always)]
    unsafe fn add_tiles<S: Simd>(&mut self, rows: usize) {
        let plan = self.plan;
        let num_steps = rows.div_ceil(SIDE);
        for row in rows..num_steps * SIDE {
            for c in (0..plan.paired_channels()).step_by(SIDE) {
                let place = self.x_place(row, c);
                self.pairs[place..place + SIDE].fill(0.0);
            }
        }
        let left_len = plan.rows() * plan.paired_channels();
        let (left, right) = self.pairs.split_at_mut(left_len);
        right[rows * plan.block..num_steps * SIDE * plan.block].fill(0.0);
        let mut steps = [Step::default(); PIXELS_PER_TILED_RUN / 2 / SIDE];
        for (i, step) in steps.iter_mut().enumerate() {
            (step.left, step.right) = (i * TILE, i * SIDE * plan.block);
        }
        // SAFETY: passed on from the caller; squares and steps lie inside the scratch memory.
        unsafe {
            for channels in left.chunks_exact_mut(plan.rows() * SIDE) {
                for square in channels[..num_steps * TILE].chunks_exact_mut(TILE) {
                    S::Tiles::transpose(square.as_mut_ptr());
                }
            }
            let job = TransposedJob {
                channels: plan.shape.in_channels,
                left: Rows {
                    first: left.as_ptr(),
                    step: plan.rows() * SIDE,
                },
                right: Rows {
                    first: right.as_ptr(),
                    step: plan.block,
                },
                columns: plan.block,
                sums: self.sums.as_mut_ptr(),
                steps: &steps[..num_steps],
            };
            if let (Some(tiles), true) = (S::Tiles::configure(SIDE), num_steps > 0) {
                job.run(&tiles);
            }
        }
    }
}
