//! Runs of pixels, packed to rows without gaps; in bf16 pairs of two pixels, whose products one lane
//! sums.

use std::ops::Range;

use super::packing::{Images, InNumbers, InPairs, PairsOfGradients, PairsOfInputs};
use super::{Job, Piece, Places, ROWS_PER_TILED_RUN, WeightGradient};
use crate::Precision;
use crate::cpu::activations::View;
use crate::cpu::bf16::Bf16;
use crate::cpu::buffer::LINE;
use crate::cpu::kernel::padded_channels;
use crate::cpu::kernel::simd::{
    TileWork, launch, launch_bf16, launch_product, launch_tiles, prefetch,
};
use crate::cpu::kernel::tiles::{self, SIDE, Step, TILE, Tiles, TransposedJob};

/// Rows and what their places count from.
type Rows<'a> = (*const f32, &'a [usize]);

impl<'a> Piece<'a> {
    /// Adds a run of pixels, at most as many as the plan says, while it asks for those of the next.
    ///
    /// # Safety
    /// The places are those of pixels inside x and dz.
    pub(super) unsafe fn add(&mut self, run: Places<'_>, next: Places<'_>) {
        let plan = self.plan;
        let taps = plan.taps_per_piece;
        let pieces_per_block = plan.shape.taps() / taps;
        let first_tap = self.piece % pieces_per_block * taps;
        let block = self.piece / pieces_per_block * plan.block;
        // SAFETY: passed on from the caller; the scratch memory has a row for every pixel or pair.
        unsafe {
            if let View::Bf16(dz) = self.dz {
                self.pack_gradients(run.dz, block, dz);
            }
            for tap in (0..taps).step_by(plan.taps_per_row) {
                let shift = plan.shift(first_tap + tap);
                let ahead = Ahead {
                    plan,
                    places: next,
                    shift,
                    block,
                    x: self.x,
                    dz: (tap == 0).then_some(self.dz),
                };
                match self.x {
                    View::F32(_) if self.reads_in_place() => {}
                    View::F32(x) => self.pack_images(run.x, first_tap + tap, x),
                    View::Bf16(x) => self.pack_inputs(run.x, shift, x),
                }
                let (mut x, mut dz) = self.packed(run);
                if let View::F32(numbers) = self.dz {
                    dz = (numbers.as_ptr().add(block), run.dz);
                    if let (View::F32(numbers), true) = (self.x, self.reads_in_place()) {
                        x = (numbers.as_ptr().add(shift), run.x);
                    }
                }
                if plan.tiled {
                    ahead.prefetch(0..plan.row_channels());
                    self.add_tiles(tap, x.1.len());
                } else {
                    self.multiply(tap, x, dz, &ahead);
                }
            }
        }
    }

    /// Whether rows of x need not be packed.
    fn reads_in_place(&self) -> bool {
        self.plan.precision == Precision::F32 && self.plan.in_place
    }

    /// The packed rows of a run: inputs and gradients.
    fn packed(&self, run: Places<'_>) -> (Rows<'a>, Rows<'a>) {
        let plan = self.plan;
        let rows = run.x.len().div_ceil(plan.precision.per_lane());
        let (x, dz) = self.rows.split_at(plan.rows() * plan.x_step);
        let [x_rows, dz_rows] = &plan.packed;
        (
            (x.as_ptr(), &x_rows[..rows]),
            (dz.as_ptr(), &dz_rows[..rows]),
        )
    }

    /// Packs inputs in pairs of pixels.
    ///
    /// # Safety
    /// As [`Piece::add`]; pixels are padded to whole registers.
    unsafe fn pack_inputs(&mut self, places: &[usize], shift: usize, x: &[Bf16]) {
        let work = PairsOfInputs {
            plan: self.plan,
            places,
            shift,
            x,
            rows: self.rows,
        };
        // SAFETY: passed on from the caller.
        unsafe { launch_bf16(self.kernels, work) }
    }

    /// Packs inputs in f32 that are perhaps not padded, for the taps of a row, rounded to pairs of
    /// pixels for bf16.
    ///
    /// # Safety
    /// As [`Piece::add`].
    unsafe fn pack_images(&mut self, places: &[usize], first_tap: usize, x: &[f32]) {
        let images = Images {
            plan: self.plan,
            places,
            first_tap,
            x,
            rows: self.rows,
        };
        // SAFETY: passed on from the caller.
        unsafe {
            match self.plan.precision {
                Precision::F32 => launch(self.kernels, InNumbers(images)),
                Precision::Bf16 => launch_bf16(self.kernels, InPairs(images)),
            }
        }
    }

    /// Packs gradients in pairs of pixels, an odd last one with zeros.
    ///
    /// # Safety
    /// As [`Piece::add`].
    unsafe fn pack_gradients(&mut self, places: &[usize], block: usize, dz: &[Bf16]) {
        let plan = self.plan;
        let work = PairsOfGradients {
            places,
            block,
            len: plan.block,
            dz,
            rows: &mut self.rows[plan.rows() * plan.x_step..],
        };
        // SAFETY: passed on from the caller.
        unsafe { launch_bf16(self.kernels, work) }
    }

    /// Adds the products of rows to the sums of a tap.
    ///
    /// # Safety
    /// The rows lie inside the allocations that the pointers come from.
    unsafe fn multiply(
        &mut self,
        tap: usize,
        (x, x_rows): Rows<'_>,
        (dz, dz_rows): Rows<'_>,
        ahead: &Ahead<'_>,
    ) {
        let plan = self.plan;
        let channels = plan.row_channels();
        let sums = &mut self.sums[tap * plan.shape.in_channels * plan.block..];
        let job = Job {
            x_rows,
            dz_rows,
            channels,
            block: plan.block,
            x,
            dz,
            sums: sums[..channels * plan.block].as_mut_ptr(),
            ahead: Some(ahead),
        };
        // SAFETY: passed on from the caller.
        unsafe { launch_product(self.kernels, plan.precision, job) }
    }

    /// Adds the products of so many rows of pairs, filled up with zeros to whole steps, to the sums
    /// of a tap.
    ///
    /// # Safety
    /// The rows are packed in squares.
    unsafe fn add_tiles(&mut self, tap: usize, rows: usize) {
        let plan = self.plan;
        let num_steps = rows.div_ceil(SIDE);
        if num_steps == 0 {
            return;
        }
        for row in rows..num_steps * SIDE {
            for c in (0..padded_channels(plan.row_channels())).step_by(SIDE) {
                let place = plan.x_place(row, c);
                self.rows[place..place + SIDE].fill(0.0);
            }
        }
        let left_len = plan.rows() * plan.x_step;
        let (left, right) = self.rows.split_at_mut(left_len);
        right[rows * plan.block..num_steps * SIDE * plan.block].fill(0.0);
        let work = TiledRows {
            plan,
            left,
            right,
            sums: &mut self.sums[tap * plan.shape.in_channels * plan.block..],
            num_steps,
        };
        // SAFETY: passed on from the caller.
        unsafe { launch_tiles(self.kernels, work) }
    }
}

/// Rows of pairs in squares, whose products are added to the sums of a tap.
struct TiledRows<'a> {
    plan: &'a WeightGradient,
    left: &'a mut [f32],
    right: &'a mut [f32],
    sums: &'a mut [f32],
    num_steps: usize,
}

impl TileWork for TiledRows<'_> {
    #[inline(always)]
    unsafe fn run<T: Tiles>(self) {
        let (plan, num_steps) = (self.plan, self.num_steps);
        let mut steps = [Step::default(); ROWS_PER_TILED_RUN / SIDE];
        for (i, step) in steps.iter_mut().enumerate() {
            (step.left, step.right) = (i * TILE, i * SIDE * plan.block);
        }
        // SAFETY: passed on from the caller; squares and steps lie inside the scratch memory.
        unsafe {
            for channels in self.left.chunks_exact_mut(plan.rows() * SIDE) {
                for square in channels[..num_steps * TILE].chunks_exact_mut(TILE) {
                    T::transpose(square.as_mut_ptr());
                }
            }
            let job = TransposedJob {
                channels: plan.row_channels(),
                left: tiles::Rows {
                    first: self.left.as_ptr(),
                    step: plan.rows() * SIDE,
                },
                right: tiles::Rows {
                    first: self.right.as_ptr(),
                    step: plan.block,
                },
                columns: plan.block,
                sums: self.sums.as_mut_ptr(),
                steps: &steps[..num_steps],
            };
            job.run(&T::configure(SIDE));
        }
    }
}

/// The pixels of the next run, which are asked for while channels of this one are summed.
pub(in super::super) struct Ahead<'a> {
    plan: &'a WeightGradient,
    places: Places<'a>,
    shift: usize,
    block: usize,
    x: View<'a>,
    /// The gradients, unless another tap asks for them.
    dz: Option<View<'a>>,
}

impl Ahead<'_> {
    /// Asks for the cache lines of inputs that start in these channels, and for the gradients of as
    /// large a share of the pixels.
    #[inline(always)]
    pub(super) fn prefetch(&self, channels: Range<usize>) {
        match self.x {
            View::F32(x) => self.prefetch_inputs(channels.clone(), x),
            View::Bf16(x) => self.prefetch_inputs(channels.clone(), x),
        }
        match self.dz {
            Some(View::F32(dz)) => self.prefetch_gradients(channels, dz),
            Some(View::Bf16(dz)) => self.prefetch_gradients(channels, dz),
            None => {}
        }
    }

    #[inline(always)]
    fn prefetch_inputs<E>(&self, channels: Range<usize>, x: &[E]) {
        let first = channels.start.next_multiple_of(LINE / size_of::<E>());
        if first < channels.end {
            for place in self.places.x {
                prefetch(x.as_ptr().wrapping_add(place + self.shift + first));
            }
        }
    }

    #[inline(always)]
    fn prefetch_gradients<E>(&self, channels: Range<usize>, dz: &[E]) {
        let places = self.places.dz;
        let share = |channel| channel * places.len() / self.plan.row_channels();
        for place in &places[share(channels.start)..share(channels.end)] {
            for channel in (0..self.plan.block).step_by(LINE / size_of::<E>()) {
                prefetch(dz.as_ptr().wrapping_add(place + self.block + channel));
            }
        }
    }
}
