//! What statistics hold: counts, means and scatters.

use faer::Mat;
use rayon::prelude::*;

use super::panel::PANEL_WIDTH;
use super::scatter::TiledScatter;
use super::{ScatterKind, Statistics};
use crate::{Error, LabelSet, Result};

impl Statistics {
    /// The number of samples n_S of each label set, length L.
    pub fn set_counts(&self) -> Vec<u64> {
        self.ids.values().map(|&id| self.counts[id]).collect()
    }

    /// Σ‖h − h̄_S‖² over the samples of each label set, length L.
    pub fn set_square_sums(&self) -> Vec<f64> {
        self.ids
            .values()
            .map(|&id| self.panels.iter().map(|panel| panel.square_sum(id)).sum())
            .collect()
    }

    /// The mean h̄_S of each label set.
    ///
    /// # Shapes
    /// `[L, d]`.
    pub fn set_means(&self) -> Mat<f64> {
        let ids: Vec<usize> = self.ids.values().copied().collect();
        Mat::from_fn(ids.len(), self.dim, |row, column| {
            self.panels[column / PANEL_WIDTH].mean(ids[row], column % PANEL_WIDTH)
        })
    }

    /// The means of some label sets one after the other, `[sets, d]` row-major.
    pub(crate) fn set_mean_rows(&self, belongs: impl Fn(&LabelSet) -> bool) -> Vec<f64> {
        let ids: Vec<usize> = self
            .ids
            .iter()
            .filter(|(set, _)| belongs(set))
            .map(|(_, &id)| id)
            .collect();
        let mut means = vec![0.0; ids.len() * self.dim];
        means
            .par_chunks_exact_mut(self.dim.max(1))
            .zip(&ids)
            .for_each(|(row, &id)| {
                for panel in &self.panels {
                    panel.write_mean(id, row);
                }
            });
        means
    }

    /// The mean of one label set, or `None` when it has no sample.
    pub fn set_mean(&self, set: &LabelSet) -> Option<Vec<f64>> {
        let &id = self.ids.get(set)?;
        Some(
            (0..self.dim)
                .map(|column| self.panels[column / PANEL_WIDTH].mean(id, column % PANEL_WIDTH))
                .collect(),
        )
    }

    /// The number of single-label samples of each class, length K.
    pub fn class_counts(&self) -> Vec<u64> {
        (0..self.num_classes as u32)
            .map(|class| {
                self.ids
                    .get(&LabelSet::new([class]))
                    .map_or(0, |&id| self.counts[id])
            })
            .collect()
    }

    /// The mean h̄_k of the single-label samples of each class.
    ///
    /// # Shapes
    /// `[K, d]`.
    ///
    /// # Errors
    /// [`Error::Undefined`] when a class has no single-label sample; tag vectors can then be
    /// estimated by [`crate::collapse::TagVectors`].
    pub fn class_means(&self) -> Result<Mat<f64>> {
        // First, so that a number of classes that no sample backs asks for no memory.
        let is_missing = |&class: &usize| !self.ids.contains_key(&LabelSet::new([class as u32]));
        if let Some(class) = (0..self.num_classes).find(is_missing) {
            return Err(Error::Undefined(format!(
                "class {class} has no sample with that label alone, so its class mean is not defined; estimate tag vectors from all label sets instead"
            )));
        }
        let mut means = Mat::zeros(self.num_classes, self.dim);
        for class in 0..self.num_classes {
            let mean = self
                .set_mean(&LabelSet::new([class as u32]))
                .unwrap_or_default();
            for (column, value) in mean.into_iter().enumerate() {
                means[(class, column)] = value;
            }
        }
        Ok(means)
    }

    /// The mean μ_m of all samples of one multiplicity, or `None` without such samples; for
    /// multiplicity 1 this is the global mean μ_G.
    pub fn multiplicity_mean(&self, multiplicity: usize) -> Option<Vec<f64>> {
        let ids: Vec<usize> = self
            .ids
            .iter()
            .filter(|(set, _)| set.multiplicity() == multiplicity)
            .map(|(_, &id)| id)
            .collect();
        let total = ids.iter().map(|&id| self.counts[id]).sum::<u64>() as f64;
        (total > 0.0).then(|| {
            (0..self.dim)
                .map(|column| {
                    let panel = &self.panels[column / PANEL_WIDTH];
                    let weighted = ids
                        .iter()
                        .map(|&id| self.counts[id] as f64 * panel.mean(id, column % PANEL_WIDTH));
                    weighted.sum::<f64>() / total
                })
                .collect()
        })
    }

    /// The mean μ_G of all single-label samples, or `None` without such samples.
    pub fn global_mean(&self) -> Option<Vec<f64>> {
        self.multiplicity_mean(1)
    }

    /// The pooled within-scatter of one multiplicity, Σ_{|S|=m} Σ_i (h_i − h̄_S)(h_i − h̄_S)ᵀ, not
    /// divided by the number of samples; `None` for [`ScatterKind::Trace`] and without samples of
    /// that multiplicity.
    ///
    /// # Shapes
    /// `[d, d]`.
    pub fn within_scatter(&self, multiplicity: usize) -> Option<Mat<f64>> {
        if self.kind == ScatterKind::Trace {
            return None;
        }
        let seen = self
            .ids
            .keys()
            .any(|set| set.multiplicity() == multiplicity && multiplicity > 0);
        seen.then(|| {
            self.scatters
                .get(&multiplicity)
                .map_or_else(|| Mat::zeros(self.dim, self.dim), TiledScatter::to_mat)
        })
    }
}
