//! Direct convolution by tiles: a row of a tile is a pixel.

use super::{Columns, Rows, SIDE, Step, TILE, TileRow, Tiles};
use crate::cpu::kernel::register_tiles::{Job, Pixel};

/// Steps of one job at most: enough that reading and writing sums costs little beside them.
pub(in super::super) const MOST_STEPS: usize = 36;
/// Pixels whose sums are taken at a time.
const PIXELS: usize = 2 * SIDE;
/// Columns of one block of weights at most.
const MOST_COLUMNS: usize = 4 * SIDE;

/// A job of a convolution whose factors are pairs.
pub(in super::super) struct DirectJob<'a> {
    pub job: Job<'a>,
    /// Lanes of a step; they divide the job's channels.
    pub depth: usize,
}

impl DirectJob<'_> {
    /// Lanes of scratch memory that [`DirectJob::run`] needs.
    pub(in super::super) const SCRATCH: usize = 2 * MOST_STEPS * TILE + PIXELS * MOST_COLUMNS;

    /// # Safety
    /// All offsets stay inside the allocations that the pointers come from; `T` is available and
    /// configured for the depth.
    #[inline(always)]
    pub(in super::super) unsafe fn run<T: Tiles>(&self, tiles: &T, scratch: &mut [f32]) {
        let mut steps = [Step::default(); MOST_STEPS];
        let mut count = 0;
        for tap in self.job.taps {
            for lane in (0..self.job.channels).step_by(self.depth) {
                steps[count] = Step {
                    left: tap.input as usize + lane,
                    right: tap.weights as usize + lane * self.job.block,
                };
                count += 1;
            }
        }
        for pixels in self.job.pixels.chunks(PIXELS) {
            // SAFETY: passed on from the caller.
            unsafe { self.multiply(tiles, &steps[..count], pixels, scratch) }
        }
    }

    /// At most [`PIXELS`] pixels. Tiles are read and written in place where their pixels lie at
    /// equal distances, through scratch memory where they do not (at the ends of image rows).
    ///
    /// # Safety
    /// As [`DirectJob::run`].
    #[inline(always)]
    unsafe fn multiply<T: Tiles>(
        &self,
        tiles: &T,
        steps: &[Step],
        pixels: &[Pixel],
        scratch: &mut [f32],
    ) {
        let (gathered, staged) = scratch.split_at_mut(2 * MOST_STEPS * TILE);
        let lefts = rows_in_place(pixels, self.job.input, |pixel| pixel.input);
        let sums = rows_in_place(pixels, self.job.output.cast_const(), |pixel| pixel.output);
        let mut packed = [Step::default(); MOST_STEPS];
        // SAFETY: passed on from the caller; the scratch memory has room for two rows of tiles.
        unsafe {
            if lefts.is_none() {
                self.gather(steps, pixels, gathered);
                for (i, (to, from)) in packed.iter_mut().zip(steps).enumerate() {
                    (to.left, to.right) = (i * TILE, from.right);
                }
            }
            if sums.is_none() {
                self.copy_sums::<true>(pixels, staged);
            }
            let columns = Columns {
                right: Rows {
                    first: self.job.weights,
                    step: self.job.block,
                },
                count: self.job.block,
                steps: match lefts {
                    Some(_) => steps,
                    None => &packed[..steps.len()],
                },
                write: self.job.write,
            };
            let lefts = lefts.unwrap_or_else(|| {
                let tiles = [0, 1].map(|row| gathered[row * MOST_STEPS * TILE..].as_ptr());
                tiles.map(|first| Rows { first, step: SIDE })
            });
            let places = sums.map(|rows| rows.map(Rows::writable));
            let places = places.unwrap_or_else(|| {
                let step = self.job.block;
                [0, 1].map(|row| Rows {
                    first: staged.as_mut_ptr().wrapping_add(row * SIDE * step),
                    step,
                })
            });
            columns.multiply(tiles, pixels.len().div_ceil(SIDE), |row| TileRow {
                left: lefts[row],
                sums: places[row],
            });
            if sums.is_none() {
                self.copy_sums::<false>(pixels, staged);
            }
        }
    }

    /// Copies the lanes of all steps, a tile for each: `[row of tiles][step][16 pixels][16]`.
    ///
    /// # Safety
    /// As [`DirectJob::run`].
    #[inline(always)]
    unsafe fn gather(&self, steps: &[Step], pixels: &[Pixel], gathered: &mut [f32]) {
        for (i, pixel) in pixels.iter().enumerate() {
            let tiles = &mut gathered[i / SIDE * MOST_STEPS * TILE..][..MOST_STEPS * TILE];
            for (step, tile) in steps.iter().zip(tiles.chunks_exact_mut(TILE)) {
                let to = &mut tile[i % SIDE * SIDE..][..SIDE];
                // SAFETY: passed on from the caller.
                unsafe {
                    let from = self.job.input.add(pixel.input as usize + step.left);
                    if self.depth == SIDE {
                        let row = from.cast::<[f32; SIDE]>().read();
                        to.copy_from_slice(&row);
                    } else {
                        for (lane, to) in to.iter_mut().enumerate().take(self.depth) {
                            *to = *from.add(lane);
                        }
                    }
                }
            }
        }
    }

    /// Copies sums to be added to into the scratch memory, or finished ones out of it.
    ///
    /// # Safety
    /// As [`DirectJob::run`].
    #[inline(always)]
    unsafe fn copy_sums<const IN: bool>(&self, pixels: &[Pixel], staged: &mut [f32]) {
        for (pixel, staged) in pixels.iter().zip(staged.chunks_exact_mut(self.job.block)) {
            // SAFETY: passed on from the caller.
            unsafe {
                let sums = self.job.output.add(pixel.output as usize);
                let sums = std::slice::from_raw_parts_mut(sums, self.job.block);
                match IN {
                    true => staged.copy_from_slice(sums),
                    false => sums.copy_from_slice(staged),
                }
            }
        }
    }
}

/// The rows of one or two whole tiles of pixels that start after `first`, if the pixels of each lie
/// at equal distances.
#[inline(always)]
fn rows_in_place(
    pixels: &[Pixel],
    first: *const f32,
    at: impl Fn(&Pixel) -> u32,
) -> Option<[Rows<*const f32>; 2]> {
    let mut rows = [Rows { first, step: 0 }; 2];
    for (tile, rows) in pixels.chunks(SIDE).zip(&mut rows) {
        let (start, end) = (at(&tile[0]), at(tile.get(SIDE - 1)?));
        let step = end.checked_sub(start)? / (SIDE as u32 - 1);
        let mut places = tile.iter().zip(0..);
        if !places.all(|(pixel, i)| at(pixel) == start + i * step) {
            return None;
        }
        rows.first = first.wrapping_add(start as usize);
        rows.step = step as usize;
    }
    Some(rows)
}
