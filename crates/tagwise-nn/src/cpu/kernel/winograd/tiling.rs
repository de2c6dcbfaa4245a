//! How the tiles of results cover an image.

use super::transform::{INPUTS, RESULTS, Tile};

/// Which tiles an image has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    pub height: usize,
    pub width: usize,
}

impl Tiling {
    pub(super) fn columns(self) -> usize {
        self.width.div_ceil(RESULTS)
    }
    pub(super) fn count(self) -> usize {
        self.height.div_ceil(RESULTS) * self.columns()
    }
    /// Image, first row and first column of results of a tile of a batch.
    pub(super) fn place(self, tile: usize) -> (usize, usize, usize) {
        let (image, tile) = (tile / self.count(), tile % self.count());
        let (y, x) = (tile / self.columns(), tile % self.columns());
        (image, y * RESULTS, x * RESULTS)
    }
    /// Rows and columns of results that a tile at (y, x) has inside the image.
    pub(super) fn inside(self, y: usize, x: usize) -> (usize, usize) {
        (RESULTS.min(self.height - y), RESULTS.min(self.width - x))
    }
    /// Numbers of a bordered image.
    pub(super) fn bordered_len(self, pitch: usize) -> usize {
        (self.height + 2) * (self.width + 2) * pitch
    }
    /// The inputs of a tile of a batch, and where they start in the batch's bordered images.
    pub(super) fn inputs_of(self, tile: usize, pitch: usize) -> (Tile, usize) {
        let (image, y, x) = self.place(tile);
        let (tile, start) = self.inputs(y, x, pitch);
        (tile, image * self.bordered_len(pitch) + start)
    }
    /// The inputs of the results at (y, x), and where they start in a bordered image.
    pub(super) fn inputs(self, y: usize, x: usize, pitch: usize) -> (Tile, usize) {
        let row_step = (self.width + 2) * pitch;
        let tile = Tile {
            row_step,
            column_step: pitch,
            rows: INPUTS.min(self.height + 2 - y),
            columns: INPUTS.min(self.width + 2 - x),
        };
        (tile, y * row_step + x * pitch)
    }
}
