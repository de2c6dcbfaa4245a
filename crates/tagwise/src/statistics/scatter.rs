//! A symmetric d×d sum of residual outer products, as tiles of its upper triangle.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::panel::{PANEL_WIDTH, Panel};
use crate::product::{add_lower, for_each_piece, matmul, with_packed};

/// Tiles of one task, most of which share their right panel.
const TILES_PER_TASK: usize = 4;

/// The tiles (p, q), p ≤ q, of a symmetric matrix cut into panels of columns.
#[derive(Clone, Debug)]
pub(super) struct TiledScatter {
    dim: usize,
    tiles: Vec<Tile>,
}

#[derive(Clone, Debug)]
struct Tile {
    left: usize,
    right: usize,
    values: Vec<f64>, // [left width, right width], column-major; lower triangle only if left == right
}

impl Tile {
    /// Adds left·right, `[left width, n]` times `[n, right width]`.
    fn add(&mut self, left: MatRef<'_, f64>, right: MatRef<'_, f64>) {
        let (rows, columns) = (left.nrows(), right.ncols());
        let dst = MatMut::from_column_major_slice_mut(&mut self.values, rows, columns);
        if self.left == self.right {
            add_lower(dst, left, right, Par::Seq);
        } else {
            matmul(dst, Accum::Add, left, right, 1.0, Par::Seq);
        }
    }
}

impl TiledScatter {
    pub(super) fn new(dim: usize) -> Self {
        let num_panels = dim.div_ceil(PANEL_WIDTH);
        let width = |panel: usize| PANEL_WIDTH.min(dim - panel * PANEL_WIDTH);
        let tiles = (0..num_panels)
            .flat_map(|right| (0..=right).map(move |left| (left, right)))
            .map(|(left, right)| Tile {
                left,
                right,
                values: vec![0.0; width(left) * width(right)],
            })
            .collect();
        Self { dim, tiles }
    }

    /// Adds RᵀR for these residual rows. Each tile is one sequential product, so its bits do not
    /// depend on how many tiles are computed at once.
    pub(super) fn add(&mut self, panels: &[Panel], rows: Range<usize>) {
        self.tiles.par_chunks_mut(TILES_PER_TASK).for_each(|tiles| {
            with_packed(|packed| {
                for_each_piece(rows.len(), |start, depth| {
                    let rows = rows.start + start..rows.start + start + depth;
                    for tiles in tiles.chunk_by_mut(|a, b| a.right == b.right) {
                        let right = panels[tiles[0].right].residuals_transposed(rows.clone());
                        let right = packed.pack(right.transpose());
                        for tile in tiles {
                            let left = panels[tile.left].residuals_transposed(rows.clone());
                            tile.add(left, right);
                        }
                    }
                });
            });
        });
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        let numbers = self.tiles.iter().map(|tile| tile.values.capacity());
        numbers.sum::<usize>() * size_of::<f64>() + self.tiles.capacity() * size_of::<Tile>()
    }

    pub(super) fn add_scatter(&mut self, other: &Self) {
        self.tiles
            .par_iter_mut()
            .zip(&other.tiles)
            .for_each(|(tile, theirs)| {
                for (value, &their) in tile.values.iter_mut().zip(&theirs.values) {
                    *value += their;
                }
            });
    }

    /// The lower triangle, row by row, d(d+1)/2 numbers.
    pub(super) fn to_packed(&self) -> Vec<f64> {
        let matrix = self.to_mat();
        (0..self.dim)
            .flat_map(|row| (0..=row).map(move |column| (row, column)))
            .map(|(row, column)| matrix[(row, column)])
            .collect()
    }

    /// What [`to_packed`](Self::to_packed) gave; its length must fit.
    pub(super) fn from_packed(dim: usize, packed: &[f64]) -> Self {
        let mut scatter = Self::new(dim);
        for tile in &mut scatter.tiles {
            let (row0, column0) = (tile.left * PANEL_WIDTH, tile.right * PANEL_WIDTH);
            let left_width = PANEL_WIDTH.min(dim - row0);
            for (position, value) in tile.values.iter_mut().enumerate() {
                let (row, column) = (
                    row0 + position % left_width,
                    column0 + position / left_width,
                );
                let (low, high) = (row.min(column), row.max(column));
                if tile.left != tile.right || row >= column {
                    *value = packed[high * (high + 1) / 2 + low];
                }
            }
        }
        scatter
    }

    /// The whole symmetric matrix `[d, d]`.
    pub(super) fn to_mat(&self) -> Mat<f64> {
        let mut matrix = Mat::zeros(self.dim, self.dim);
        let places: BTreeMap<(usize, usize), &Tile> = self
            .tiles
            .iter()
            .map(|tile| ((tile.left, tile.right), tile))
            .collect();
        let num_panels = self.dim.div_ceil(PANEL_WIDTH);
        matrix.par_col_iter_mut().enumerate().for_each(|(j, out)| {
            let out = out.try_as_col_major_mut();
            let out = out
                .expect("columns of an owned matrix are contiguous")
                .as_slice_mut();
            let (panel, column) = (j / PANEL_WIDTH, j % PANEL_WIDTH);
            for (other, out) in (0..num_panels).zip(out.chunks_mut(PANEL_WIDTH)) {
                let tile = places[&(panel.min(other), panel.max(other))];
                let width = PANEL_WIDTH.min(self.dim - tile.left * PANEL_WIDTH);
                for (row, out) in out.iter_mut().enumerate() {
                    // The lower triangle of tiles on the diagonal, whole tiles above it.
                    let (row, column) = match other.cmp(&panel) {
                        Ordering::Less => (row, column),
                        Ordering::Equal => (row.max(column), row.min(column)),
                        Ordering::Greater => (column, row),
                    };
                    *out = tile.values[row + column * width];
                }
            }
        });
        matrix
    }
}
