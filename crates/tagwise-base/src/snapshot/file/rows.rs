//! The rows of a file, without those that are left out.

use rayon::prelude::*;

use super::SnapshotFile;
use crate::features::FeatureRows;
use crate::snapshot::SampleStream;
use crate::{Error, Result, Targets};

impl SampleStream for SnapshotFile {
    fn dim(&self) -> usize {
        self.dim
    }

    fn targets(&self) -> &Targets {
        &self.targets
    }

    fn for_each_block(
        &self,
        visit: &mut dyn FnMut(usize, FeatureRows<'_>) -> Result<()>,
    ) -> Result<()> {
        if self.skipped.is_empty() {
            return self
                .for_each_stored_block(visit)
                .map_err(|error| self.explain(error));
        }
        let mut shown = 0;
        self.for_each_stored_block(&mut |first, rows| {
            let keep = |row: usize| self.skipped.binary_search(&(first + row)).is_err();
            match rows {
                FeatureRows::F32(rows) => {
                    let kept = keep_rows(rows, self.dim, keep);
                    visit(shown, FeatureRows::F32(&kept))?;
                    shown += kept.len() / self.dim;
                }
                FeatureRows::F64(rows) => {
                    let kept = keep_rows(rows, self.dim, keep);
                    visit(shown, FeatureRows::F64(&kept))?;
                    shown += kept.len() / self.dim;
                }
            }
            Ok(())
        })
    }
}

fn keep_rows<T: Copy>(rows: &[T], dim: usize, keep: impl Fn(usize) -> bool) -> Vec<T> {
    rows.chunks_exact(dim)
        .enumerate()
        .filter(|&(row, _)| keep(row))
        .flat_map(|(_, values)| values.iter().copied())
        .collect()
}

impl SnapshotFile {
    /// Rows with NaN or infinity, in order.
    pub(super) fn rows_not_finite(&self) -> Result<Vec<usize>> {
        let mut found = Vec::new();
        self.for_each_stored_block(&mut |first, rows| {
            fn bad<T: Copy + Into<f64> + Sync>(rows: &[T], dim: usize) -> Vec<usize> {
                rows.par_chunks(dim)
                    .enumerate()
                    .filter(|(_, row)| row.iter().any(|&value| !value.into().is_finite()))
                    .map(|(row, _)| row)
                    .collect()
            }
            let rows = match rows {
                FeatureRows::F32(rows) => bad(rows, self.dim),
                FeatureRows::F64(rows) => bad(rows, self.dim),
            };
            found.extend(rows.into_iter().map(|row| first + row));
            Ok(())
        })?;
        Ok(found)
    }

    /// Says how many rows are not finite and what can be done, once one was met.
    fn explain(&self, error: Error) -> Error {
        let Error::NotFinite { .. } = error else {
            return error;
        };
        let rows = match self.rows_not_finite() {
            Ok(rows) => rows,
            Err(error) => return error,
        };
        Error::NonFiniteRows {
            path: self.path.clone(),
            count: rows.len(),
            num_rows: self.num_rows,
            first: rows.first().copied().unwrap_or_default(),
        }
    }
}
