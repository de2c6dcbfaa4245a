//! Pictures of the classes, of whatever features: their cosines and the plane of three of them.

use std::ops::ControlFlow;

#[cfg(feature = "train")]
use tagwise::Targets;
use tagwise::collapse::{CHEAP_OPTIMUM, TagVectors, optimal_cosines};
use tagwise::matrix::as_faer;
use tagwise::statistics::Statistics;
use tagwise::ufm::UfmSettings;
use tagwise::{GoOn, LinearClassifier};

use super::rows;
#[cfg(feature = "train")]
use crate::plane::collapse_plane;
use crate::{Geometry, HeatMap};
#[cfg(feature = "train")]
use crate::{Result, Scatter};

/// Cosines among centred class means and among classifier rows, beside the ideal; `None` when a
/// class has no vector.
pub fn class_geometry(
    statistics: &Statistics,
    classifier: Option<&LinearClassifier>,
    class_names: &[String],
) -> Option<Geometry> {
    let tags = TagVectors::estimate(statistics).ok()?;
    let mut means = rows(tags.vectors());
    for mean in &mut means {
        let centre = tags.centre().iter();
        mean.iter_mut().zip(centre).for_each(|(x, c)| *x -= c);
    }
    let classifier = classifier.map(|classifier| rows(as_faer(&classifier.weight)));
    Geometry::new(class_names, &means, classifier.as_deref()).ok()
}

/// Cosines between the class means that the unconstrained feature model predicts for the label counts
/// of these statistics; `None` where it has no certified optimum or to find it takes long.
pub fn predicted_geometry(statistics: &Statistics, class_names: &[String]) -> Option<HeatMap> {
    let num_sets = statistics.label_sets().len();
    if statistics.num_classes() * num_sets > CHEAP_OPTIMUM {
        return None;
    }
    let go_on: GoOn<'_> = &|| ControlFlow::Continue(());
    let found = optimal_cosines(statistics, UfmSettings::default(), go_on);
    let cosines = found.ok().flatten()?;
    Some(HeatMap::from_fn(
        PREDICTION,
        class_names.to_vec(),
        |i, j| cosines[(i, j)],
    ))
}

/// The title of what the model predicts.
const PREDICTION: &str = "Optimum for these label counts";

/// The plane of three classes with the sentence that says what to see in it.
///
/// # Errors
/// As [`collapse_plane`].
#[cfg(feature = "train")]
pub fn class_plane<T: Copy + Into<f64>>(
    features: &[T],
    dim: usize,
    targets: &Targets,
    classes: [u32; 3],
    class_names: &[String],
) -> Result<Scatter> {
    let plane = collapse_plane(features, dim, targets, classes, class_names)?;
    Ok(Scatter {
        caption: "Each dot is a training image. Images with one label gather at the ends of \
                  their arms; images with two gather where theory puts them, on the scaled sum \
                  of the two arms, marked by a ring."
            .into(),
        ..plane
    })
}
