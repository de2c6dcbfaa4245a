//! How much memory statistics take, and giving back what only an update needs.

use std::mem::size_of;

use super::Statistics;
use super::panel::Panel;
use super::scatter::TiledScatter;
use crate::LabelSet;

/// What a map keeps beside a label set of its own: the key, the number, and pointers.
const SET_BYTES: usize = 48;

impl Statistics {
    /// The bytes that are allocated for this state: means, scatters, label sets, and the residuals
    /// of the last block, which [`release`](Self::release) gives back.
    ///
    /// ```
    /// use tagwise::statistics::Statistics;
    /// use tagwise::{LabelSet, Targets};
    ///
    /// let mut statistics = Statistics::new(1, 64);
    /// statistics.update(&[1.0f32; 128], &Targets::new(1, [[0], [0]].map(LabelSet::new))?)?;
    /// assert!(statistics.allocated_bytes() > 64 * 64 * 4);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn allocated_bytes(&self) -> usize {
        let labels = self.ids.keys().map(LabelSet::multiplicity).sum::<usize>() * size_of::<u32>();
        let panels = self.panels.iter().map(Panel::allocated_bytes);
        let scatters = self.scatters.values().map(TiledScatter::allocated_bytes);
        labels
            + self.ids.len() * SET_BYTES
            + self.counts.capacity() * size_of::<u64>()
            + panels.sum::<usize>()
            + scatters.sum::<usize>()
    }

    /// Gives back the residuals of the last block, up to 32 MiB; the next update makes room for its
    /// own. Whoever keeps many states and updates them in turn calls it after each update.
    pub fn release(&mut self) {
        self.panels.iter_mut().for_each(Panel::release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Targets;

    #[test]
    fn released_statistics_are_smaller_and_go_on_the_same() {
        let targets = Targets::new(3, (0..600).map(|row| LabelSet::new([row % 3]))).unwrap();
        let rows: Vec<f64> = (0..600 * 8).map(|i| f64::from(i * 37 % 101)).collect();
        let mut kept = Statistics::new(3, 8);
        let mut released = Statistics::new(3, 8);
        for _ in 0..2 {
            kept.update(&rows, &targets).unwrap();
            released.update(&rows, &targets).unwrap();
            let before = released.allocated_bytes();
            released.release();
            // 597 residual rows at least.
            assert!(before - released.allocated_bytes() >= 597 * 8 * size_of::<f64>());
        }
        assert_eq!(kept.set_means(), released.set_means());
        assert_eq!(kept.within_scatter(1), released.within_scatter(1));
    }

    #[test]
    fn the_scatter_of_each_multiplicity_is_counted() {
        let update = |sets: [Vec<u32>; 4]| {
            let targets = Targets::new(2, sets.map(LabelSet::new)).unwrap();
            let mut statistics = Statistics::new(2, 256);
            statistics.update(&[1.0f32; 4 * 256], &targets).unwrap();
            statistics.release();
            statistics.allocated_bytes()
        };
        let one = update([vec![0], vec![0], vec![1], vec![1]]);
        let two = update([vec![0], vec![0], vec![0, 1], vec![0, 1]]);
        // Tiles of the upper triangle: 3 of 128 × 128.
        assert_eq!((two - one) / (8 * 128 * 128), 3);
    }
}
