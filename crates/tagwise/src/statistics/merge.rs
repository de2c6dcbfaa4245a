//! Statistics of the whole from those of its parts.

use super::panel::MergePlan;
use super::scatter::TiledScatter;
use super::{BLOCK_NUMBERS, Statistics, check_size};
use crate::{Error, Result};
use rayon::prelude::*;

impl Statistics {
    /// Absorbs the samples of another part of the same stream.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the number of classes or the dimension differ,
    /// [`Error::Undefined`] when the kind of scatter does, [`Error::OutOfRange`] for more samples
    /// than fit 64 bits; the statistics are then as before.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        for (what, expected, found) in [
            ("classes", self.num_classes, other.num_classes),
            ("feature dimensions", self.dim, other.dim),
        ] {
            check_size(what, expected, found)?;
        }
        if self.kind != other.kind {
            return Err(Error::Undefined(
                "statistics with full scatter and with its trace only cannot be merged; make both the same way".into(),
            ));
        }
        // Every count is at most the sum, so this holds for each of them too.
        let total = self.num_samples().checked_add(other.num_samples());
        if total.is_none() {
            return Err(Error::OutOfRange {
                name: "the number of samples of both parts together",
                requirement: "that fits 64 bits",
                found: format!("{} and {}", self.num_samples(), other.num_samples()),
            });
        }
        let dim = self.dim;
        for (&multiplicity, scatter) in &other.scatters {
            self.scatters
                .entry(multiplicity)
                .or_insert_with(|| TiledScatter::new(dim))
                .add_scatter(scatter);
        }
        let sets: Vec<(usize, usize, usize)> = other
            .ids
            .iter()
            .map(|(set, &theirs)| (self.id(set), theirs, set.multiplicity()))
            .collect();
        self.make_room();
        let block_rows = (BLOCK_NUMBERS / dim.max(1)).clamp(64, 4096);
        for block in sets.chunks(block_rows) {
            let plan = MergePlan::new(block, &mut self.counts, &other.counts, self.kind);
            self.panels
                .par_iter_mut()
                .zip(&other.panels)
                .for_each(|(panel, theirs)| panel.merge(theirs, &plan));
            for (multiplicity, range) in plan.groups {
                self.scatters
                    .entry(multiplicity)
                    .or_insert_with(|| TiledScatter::new(dim))
                    .add(&self.panels, range);
            }
        }
        Ok(())
    }
}
