//! Pictures of the classes, of whatever features: their cosines and the plane of three of them.

use tagwise::LinearClassifier;
#[cfg(feature = "train")]
use tagwise::Targets;
use tagwise::collapse::TagVectors;
use tagwise::matrix::as_faer;
use tagwise::statistics::Statistics;

use super::rows;
use crate::Geometry;
#[cfg(feature = "train")]
use crate::plane::collapse_plane;
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
