//! Features with label sets, as `fit`, `decode` and `evaluate` read them.

use std::path::Path;

use tagwise::Targets;
use tagwise::snapshot::{FeatureValues, LinearClassifier, NonFinite, SnapshotFile};

/// What a file of samples holds, features in f64.
pub struct Samples {
    pub features: Vec<f64>, // [N, d]
    pub dim: usize,
    pub targets: Targets,
    pub classifier: Option<LinearClassifier>,
}

impl Samples {
    /// Reads a safetensors or npz file or a folder of npy files.
    ///
    /// # Errors
    /// When the file cannot be read, is no such file, or holds NaN or infinity.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let snapshot = SnapshotFile::open(path, NonFinite::Refuse)?.to_snapshot()?;
        let features = match snapshot.features() {
            FeatureValues::F32(values) => values.iter().map(|&x| x.into()).collect(),
            FeatureValues::F64(values) => values.clone(),
        };
        Ok(Self {
            features,
            dim: snapshot.dim(),
            targets: snapshot.targets().clone(),
            classifier: snapshot.classifier().cloned(),
        })
    }

    /// These samples, in this order.
    pub fn select(&self, rows: &[usize]) -> anyhow::Result<Self> {
        Ok(Self {
            features: rows
                .iter()
                .flat_map(|&row| &self.features[row * self.dim..][..self.dim])
                .copied()
                .collect(),
            dim: self.dim,
            targets: Targets::new(
                self.targets.num_classes(),
                rows.iter().map(|&row| self.targets.set(row).clone()),
            )?,
            classifier: self.classifier.clone(),
        })
    }
}
