//! A group of tiles, transformed for the weight gradient.

use super::{Range, WinogradGradient};
use crate::cpu::bf16::Bf16;
use crate::cpu::kernel::simd::{Number, Simd, TileWork, Work};
use crate::cpu::kernel::tiles::{SIDE, TILE, Tiles, place_in_squares};
use crate::cpu::kernel::winograd::transform::{self, INPUTS, RESULTS, Tile, Transformed};

/// Tiles to transform: x into `inputs`, dz into `gradients`.
pub(super) struct Group<'a> {
    pub plan: &'a WinogradGradient,
    pub tiles: Range,
    pub inputs: &'a mut [f32],
    pub gradients: &'a mut [f32],
}

/// A group whose lanes hold the numbers of one tile each.
pub(super) struct SingleGroup<'a, E> {
    pub group: Group<'a>,
    pub x: &'a [E],
    pub dz: &'a [E],
}

/// A group whose lanes hold the numbers of two tiles each.
pub(super) struct PairedGroup<'a> {
    pub group: Group<'a>,
    pub x: &'a [Bf16],
    pub dz: &'a [Bf16],
}

impl<E: Number> Work for SingleGroup<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let (plan, tiles) = (self.group.plan, self.group.tiles.clone());
        let (x, dz) = (self.x.as_ptr(), self.dz.as_ptr());
        let mut here = plan.place(tiles.start);
        for (row, tile) in tiles.enumerate() {
            let next = plan.place(tile + 1);
            // SAFETY: passed on from the caller.
            unsafe {
                self.group.transform_tile::<S, _>(row, (here, next), x, dz);
            }
            here = next;
        }
    }
}

impl Work for PairedGroup<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let (plan, tiles) = (self.group.plan, self.group.tiles.clone());
        let (x, dz) = (self.x.as_ptr(), self.dz.as_ptr());
        let pair = |tile| [plan.place(tile), plan.place(tile + 1)];
        let mut here = pair(tiles.start);
        for (row, tile) in tiles.clone().step_by(2).enumerate() {
            let next = pair(tile + 2);
            let [first, second] = here;
            let second = (tile + 1 < tiles.end).then_some(second);
            // SAFETY: passed on from the caller.
            unsafe {
                self.group
                    .transform_pair::<S, _>(row, (first, second), next, x, dz);
            }
            here = next;
        }
        if plan.tiled {
            // SAFETY: passed on from the caller.
            unsafe { self.group.fill_up::<S>() }
        }
    }
}

/// The inputs of a group in squares, to be turned so that a row holds the pairs of one channel.
pub(super) struct Squares<'a> {
    pub plan: &'a WinogradGradient,
    /// Tiles of the group.
    pub tiles: usize,
    pub inputs: &'a mut [f32],
}

impl TileWork for Squares<'_> {
    #[inline(always)]
    unsafe fn run<T: Tiles>(self) {
        let plan = self.plan;
        let (input_step, _) = plan.steps();
        let filled = plan.filled_rows(self.tiles) * SIDE;
        for matrix in self.inputs.chunks_mut(input_step) {
            let matrix = &mut matrix[..plan.rows() * plan.in_pitch];
            for channels in matrix.chunks_exact_mut(plan.rows() * SIDE) {
                for square in channels[..filled].chunks_exact_mut(TILE) {
                    // SAFETY: the square is whole.
                    unsafe { T::transpose(square.as_mut_ptr()) }
                }
            }
        }
    }
}

impl Group<'_> {
    /// One tile; `next` is the one after it.
    ///
    /// # Safety
    /// x and dz hold the image of the tile, the group has a row for it; `S` is available.
    #[inline(always)]
    unsafe fn transform_tile<S: Simd, E: Number>(
        &mut self,
        row: usize,
        (at, next): (Place, Place),
        x: *const E,
        dz: *const E,
    ) {
        let plan = self.plan;
        let (input_step, gradient_step) = plan.steps();
        for channel in (0..plan.in_pitch).step_by(S::LANES) {
            next.prefetch_input(x, channel);
            // SAFETY: passed on from the caller.
            unsafe {
                let numbers = at.input::<S, E>(x, channel);
                let to = self
                    .inputs
                    .as_mut_ptr()
                    .add(row * plan.row_steps[0] + channel);
                transform::store::<S, _>(numbers, to, input_step);
            }
        }
        for channel in (0..plan.out_pitch).step_by(S::LANES) {
            next.prefetch_gradient(dz, channel);
            // SAFETY: passed on from the caller.
            unsafe {
                let numbers = at.gradient::<S, E>(dz, channel);
                let to = row * plan.row_steps[1] + channel;
                transform::store::<S, _>(
                    numbers,
                    self.gradients.as_mut_ptr().add(to),
                    gradient_step,
                );
            }
        }
    }

    /// Two tiles, or one and zeros after the last one; `next` are the two after them.
    ///
    /// # Safety
    /// As [`Group::transform_tile`].
    #[inline(always)]
    unsafe fn transform_pair<S: Simd, E: Number>(
        &mut self,
        row: usize,
        (first, second): (Place, Option<Place>),
        next: [Place; 2],
        x: *const E,
        dz: *const E,
    ) {
        let plan = self.plan;
        let (input_step, gradient_step) = plan.steps();
        for channel in (0..plan.in_pitch).step_by(S::LANES) {
            next.iter().for_each(|next| next.prefetch_input(x, channel));
            // SAFETY: passed on from the caller.
            unsafe {
                let even = first.input::<S, E>(x, channel);
                let odd = match second {
                    Some(place) => place.input::<S, E>(x, channel),
                    None => [[S::zero(); INPUTS]; INPUTS],
                };
                let to = self.inputs.as_mut_ptr().add(plan.pairs_place(row, channel));
                transform::store_pairs::<S>(even, odd, to, input_step);
            }
        }
        for channel in (0..plan.out_pitch).step_by(S::LANES) {
            next.iter()
                .for_each(|next| next.prefetch_gradient(dz, channel));
            // SAFETY: passed on from the caller.
            unsafe {
                let even = first.gradient::<S, E>(dz, channel);
                let odd = match second {
                    Some(place) => place.gradient::<S, E>(dz, channel),
                    None => [[S::zero(); INPUTS]; INPUTS],
                };
                let to = row * plan.row_steps[1] + channel;
                let to = self.gradients.as_mut_ptr().add(to);
                transform::store_pairs::<S>(even, odd, to, gradient_step);
            }
        }
    }

    /// Writes zeros into the rows that complete the last step.
    ///
    /// # Safety
    /// `S` is available.
    #[inline(always)]
    unsafe fn fill_up<S: Simd>(&mut self) {
        let plan = self.plan;
        let (input_step, gradient_step) = plan.steps();
        let tiles = self.tiles.len();
        for row in tiles.div_ceil(2)..plan.filled_rows(tiles) {
            // SAFETY: the group has room for whole steps.
            unsafe {
                let zeros = [[S::zero(); INPUTS]; INPUTS];
                for channel in (0..plan.in_pitch).step_by(S::LANES) {
                    let to = self.inputs.as_mut_ptr().add(plan.pairs_place(row, channel));
                    transform::store::<S, _>(zeros, to, input_step);
                }
                for channel in (0..plan.out_pitch).step_by(S::LANES) {
                    let to = row * plan.row_steps[1] + channel;
                    transform::store::<S, _>(
                        zeros,
                        self.gradients.as_mut_ptr().add(to),
                        gradient_step,
                    );
                }
            }
        }
    }
}

impl WinogradGradient {
    /// Where a channel of a row of pairs of inputs is written.
    #[inline(always)]
    fn pairs_place(&self, row: usize, channel: usize) -> usize {
        if self.tiled {
            place_in_squares(self.rows(), row, channel)
        } else {
            row * self.row_steps[0] + channel
        }
    }

    /// Where a tile of the batch is.
    fn place(&self, tile: usize) -> Place {
        let (image, y, x) = self.tiling.place(tile);
        let (inputs, start) = self.tiling.inputs(y, x, self.in_pitch);
        let start = image * self.tiling.bordered_len(self.in_pitch) + start;
        let row_step = (self.tiling.width + 2) * self.out_pitch;
        let (rows, columns) = self.tiling.inside(y, x);
        let gradients = Tile {
            row_step,
            column_step: self.out_pitch,
            rows,
            columns,
        };
        let first = image * self.tiling.bordered_len(self.out_pitch);
        let first = first + (y + 1) * row_step + (x + 1) * self.out_pitch;
        Place {
            inputs: (inputs, start),
            gradients: (gradients, first),
        }
    }
}

/// Where the inputs and the gradients of one tile are.
#[derive(Clone, Copy)]
struct Place {
    inputs: (Tile, usize),
    gradients: (Tile, usize),
}

impl Place {
    /// Asks for the inputs that the tile before has not read.
    #[inline(always)]
    fn prefetch_input<E>(&self, x: *const E, channel: usize) {
        let (tile, start) = self.inputs;
        tile.prefetch(INPUTS - RESULTS, x.wrapping_add(start), channel);
    }

    #[inline(always)]
    fn prefetch_gradient<E>(&self, dz: *const E, channel: usize) {
        let (tile, start) = self.gradients;
        tile.prefetch(0, dz.wrapping_add(start), channel);
    }

    /// # Safety
    /// `x` points at the batch's bordered images; `S` is available.
    #[inline(always)]
    unsafe fn input<S: Simd, E: Number>(
        self,
        x: *const E,
        channel: usize,
    ) -> Transformed<S::Vector> {
        let (tile, start) = self.inputs;
        // SAFETY: passed on from the caller; the tile lies inside its image.
        unsafe { transform::input::<S, E>(tile, x.add(start + channel)) }
    }

    /// # Safety
    /// `dz` points at the batch's bordered gradients; `S` is available.
    #[inline(always)]
    unsafe fn gradient<S: Simd, E: Number>(
        self,
        dz: *const E,
        channel: usize,
    ) -> Transformed<S::Vector> {
        let (tile, start) = self.gradients;
        // SAFETY: passed on from the caller; the tile lies inside its image.
        unsafe { transform::gradient::<S, E>(tile, dz.add(start + channel)) }
    }
}
