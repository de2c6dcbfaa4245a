//! Runs of pixels, packed to rows without gaps; in bf16 pairs of two pixels, whose products one lane
//! sums.

use std::ops::Range;

use super::{Job, Piece, Places, ROWS_PER_TILED_RUN, WeightGradient, has_whole_registers};
use crate::Precision;
use crate::cpu::activations::View;
use crate::cpu::bf16::Bf16;
use crate::cpu::buffer::LINE;
use crate::cpu::kernel::padded_channels;
use crate::cpu::kernel::simd::{Pairs, Simd, prefetch};
use crate::cpu::kernel::tiles::{self, SIDE, Step, TILE, Tiles, TransposedJob, place_in_squares};

/// Rows and what their places count from.
type Rows<'a> = (*const f32, &'a [usize]);

impl<'a> Piece<'a> {
    /// Adds a run of pixels, at most as many as the plan says, while it asks for those of the next.
    ///
    /// # Safety
    /// The places are those of pixels inside x and dz; `S` is available.
    #[inline(always)]
    pub(super) unsafe fn add<S: Simd>(&mut self, run: Places<'_>, next: Places<'_>) {
        let plan = self.plan;
        let taps = plan.taps_per_piece;
        let pieces_per_block = plan.shape.taps() / taps;
        let first_tap = self.piece % pieces_per_block * taps;
        let block = self.piece / pieces_per_block * plan.block;
        // SAFETY: passed on from the caller; the scratch memory has a row for every pixel or pair.
        unsafe {
            if let View::Bf16(dz) = self.dz {
                self.pack_gradients::<S>(run.dz, block, dz);
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
                    View::F32(x) => self.pack_images::<S>(run.x, first_tap + tap, x),
                    View::Bf16(x) => self.pack_inputs::<S>(run.x, shift, x),
                }
                let (mut x, mut dz) = self.packed(run);
                if let View::F32(numbers) = self.dz {
                    dz = (numbers.as_ptr().add(block), run.dz);
                    if let (View::F32(numbers), true) = (self.x, self.reads_in_place()) {
                        x = (numbers.as_ptr().add(shift), run.x);
                    }
                    self.multiply::<S>(tap, x, dz, &ahead);
                } else if plan.tiled {
                    ahead.prefetch(0..plan.row_channels());
                    self.add_tiles::<S>(tap, x.1.len());
                } else {
                    self.multiply::<Pairs<S>>(tap, x, dz, &ahead);
                }
            }
        }
    }

    /// Whether rows of x need not be packed.
    fn reads_in_place(&self) -> bool {
        self.plan.precision == Precision::F32 && has_whole_registers(&self.plan.shape)
    }

    /// Where a channel of a packed row of inputs is.
    #[inline(always)]
    fn x_place(&self, row: usize, channel: usize) -> usize {
        if self.plan.tiled {
            place_in_squares(self.plan.rows(), row, channel)
        } else {
            row * self.plan.x_step + channel
        }
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
    #[inline(always)]
    unsafe fn pack_inputs<S: Simd>(&mut self, places: &[usize], shift: usize, x: &[Bf16]) {
        let channels = padded_channels(self.plan.shape.in_channels);
        for (row, pair) in places.chunks(2).enumerate() {
            let (first, last) = (pair[0] + shift, pair[pair.len() - 1] + shift);
            for c in (0..channels).step_by(S::LANES) {
                // SAFETY: passed on from the caller.
                unsafe {
                    let first = S::load_bf16(x.as_ptr().add(first + c));
                    let last = S::load_bf16(x.as_ptr().add(last + c));
                    let to = self.rows.as_mut_ptr().add(self.x_place(row, c));
                    S::store(to, S::pair(first, last));
                }
            }
        }
    }

    /// Packs inputs in f32 that are perhaps not padded, for the taps of a row, rounded to pairs of
    /// pixels for bf16.
    ///
    /// # Safety
    /// As [`Piece::add`].
    #[inline(always)]
    unsafe fn pack_images<S: Simd>(&mut self, places: &[usize], first_tap: usize, x: &[f32]) {
        let plan = self.plan;
        let shape = &plan.shape;
        // Taps side by side have their inputs side by side.
        let (lines, len) = match plan.taps_per_row {
            1 => (1, shape.in_channels),
            _ => (shape.kernel, shape.kernel * shape.in_channels),
        };
        for (row, pixels) in places.chunks(plan.precision.per_lane()).enumerate() {
            for line in 0..lines {
                let shift = plan.shift(first_tap + line * shape.kernel);
                let (first, last) = (pixels[0] + shift, pixels[pixels.len() - 1] + shift);
                let end = first.max(last) + len.next_multiple_of(S::LANES);
                if end > x.len() || plan.tiled {
                    for i in 0..len {
                        let place = self.x_place(row, line * len + i);
                        self.rows[place] = match plan.precision {
                            Precision::F32 => x[first + i],
                            Precision::Bf16 => {
                                Bf16::pair([x[first + i], x[last + i]].map(Bf16::round))
                            }
                        };
                    }
                    continue;
                }
                // What is written after a line is written again with the next, or lies between rows.
                for i in (0..len).step_by(S::LANES) {
                    // SAFETY: whole registers lie inside x, and a row and what follows it in the
                    // scratch memory have room for them.
                    unsafe {
                        let to = self
                            .rows
                            .as_mut_ptr()
                            .add(self.x_place(row, line * len + i));
                        let first = S::load(x.as_ptr().add(first + i));
                        match plan.precision {
                            Precision::F32 => S::store(to, first),
                            Precision::Bf16 => {
                                S::store_pairs(to, first, S::load(x.as_ptr().add(last + i)));
                            }
                        }
                    }
                }
            }
        }
    }

    /// Packs gradients in pairs of pixels, an odd last one with zeros.
    ///
    /// # Safety
    /// As [`Piece::add`].
    #[inline(always)]
    unsafe fn pack_gradients<S: Simd>(&mut self, places: &[usize], block: usize, dz: &[Bf16]) {
        let plan = self.plan;
        let rows = &mut self.rows[plan.rows() * plan.x_step..];
        for (pair, row) in places.chunks(2).zip(rows.chunks_exact_mut(plan.block)) {
            for c in (0..plan.block).step_by(S::LANES) {
                // SAFETY: passed on from the caller; a block is whole registers.
                unsafe {
                    let first = S::load_bf16(dz.as_ptr().add(pair[0] + block + c));
                    let second = match pair.get(1) {
                        Some(place) => S::load_bf16(dz.as_ptr().add(place + block + c)),
                        None => S::zero(),
                    };
                    S::store(row.as_mut_ptr().add(c), S::pair(first, second));
                }
            }
        }
    }

    /// Adds the products of rows to the sums of a tap, with the registers of `M`.
    ///
    /// # Safety
    /// The rows lie inside the allocations that the pointers come from; `M` is available.
    #[inline(always)]
    unsafe fn multiply<M: Simd>(
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
            x,
            dz,
            sums: sums[..channels * plan.block].as_mut_ptr(),
        };
        let ahead = |channels| ahead.prefetch(channels);
        // SAFETY: passed on from the caller.
        unsafe { job.add::<M>(plan.block / M::LANES, ahead) }
    }

    /// Adds the products of so many rows of pairs, filled up with zeros to whole steps, to the sums
    /// of a tap.
    ///
    /// # Safety
    /// `S` is available and has tiles.
    #[inline(always)]
    unsafe fn add_tiles<S: Simd>(&mut self, tap: usize, rows: usize) {
        let plan = self.plan;
        let num_steps = rows.div_ceil(SIDE);
        for row in rows..num_steps * SIDE {
            for c in (0..padded_channels(plan.row_channels())).step_by(SIDE) {
                let place = self.x_place(row, c);
                self.rows[place..place + SIDE].fill(0.0);
            }
        }
        let left_len = plan.rows() * plan.x_step;
        let (left, right) = self.rows.split_at_mut(left_len);
        right[rows * plan.block..num_steps * SIDE * plan.block].fill(0.0);
        let mut steps = [Step::default(); ROWS_PER_TILED_RUN / SIDE];
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
                channels: plan.row_channels(),
                left: tiles::Rows {
                    first: left.as_ptr(),
                    step: plan.rows() * SIDE,
                },
                right: tiles::Rows {
                    first: right.as_ptr(),
                    step: plan.block,
                },
                columns: plan.block,
                sums: self.sums[tap * plan.shape.in_channels * plan.block..].as_mut_ptr(),
                steps: &steps[..num_steps],
            };
            if let (Some(tiles), true) = (S::Tiles::configure(SIDE), num_steps > 0) {
                job.run(&tiles);
            }
        }
    }
}

/// The pixels of the next run, which are asked for while channels of this one are summed.
struct Ahead<'a> {
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
    fn prefetch(&self, channels: Range<usize>) {
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
