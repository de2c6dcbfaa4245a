//! What a measured epoch looks like: small enough to be kept for every epoch.

use std::collections::BTreeMap;

use tagwise_train::Measurement;

use crate::build::{class_geometry, class_plane, predicted_geometry};
use crate::plane::choose_classes;
use crate::{Geometry, HeatMap, Scatter};

/// The pictures of the training set's features after an epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpochPictures {
    /// Epochs done; 0 for the initial network.
    pub epoch: usize,
    /// ‖h‖ of the samples of each multiplicity.
    pub feature_norms: BTreeMap<usize, Vec<f64>>,
    /// Cosines of class means and of the classifier; absent when a class has no vector.
    pub geometry: Option<Geometry>,
    /// What the unconstrained feature model predicts for these label counts: with the initial network
    /// alone, as it stays the same.
    pub prediction: Option<HeatMap>,
    /// The plane of three classes, the same ones after every epoch; absent when there are no such.
    pub plane: Option<Scatter>,
}

impl EpochPictures {
    /// Draws what was measured; what the features do not allow is left out.
    pub fn of(measured: &Measurement<'_>, class_names: &[String]) -> Self {
        let (targets, statistics) = (measured.targets, measured.statistics);
        let dim = statistics.dim();
        let mut feature_norms: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        let features = measured.features.chunks_exact(dim.max(1));
        for (feature, set) in features.zip(targets.iter()) {
            let square: f64 = feature.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            let norms = feature_norms.entry(set.multiplicity()).or_default();
            norms.push(square.sqrt());
        }
        let plane = choose_classes(targets).and_then(|classes| {
            class_plane(measured.features, dim, targets, classes, class_names).ok()
        });
        Self {
            epoch: measured.epoch,
            feature_norms,
            prediction: (measured.epoch == 0)
                .then(|| predicted_geometry(statistics, class_names))
                .flatten(),
            geometry: class_geometry(statistics, Some(measured.classifier), class_names),
            plane,
        }
    }
}
