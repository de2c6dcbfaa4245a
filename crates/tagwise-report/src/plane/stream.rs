//! Some samples of three classes and their pairs, for the picture of the features in a plane.

use tagwise::snapshot::{FeatureRows, SampleStream};
use tagwise::{LabelSet, Targets};

use super::{choose_classes, collapse_plane};
use crate::{Error, Result, Scatter};

/// Samples of one label set that are drawn; the arms and tag-wise averages are those of these.
const MAX_SAMPLES: usize = 500;

/// The picture of the three classes that show the most, of some samples of a stream; `None` when no
/// three classes have single-label samples whose means span a plane.
///
/// # Errors
/// Whatever reading the samples reports.
pub fn plane_of_stream(
    stream: &impl SampleStream,
    class_names: &[String],
) -> Result<Option<Scatter>> {
    let Some(classes) = choose_classes(stream.targets()) else {
        return Ok(None);
    };
    match plane_of_classes(stream, classes, class_names) {
        Err(Error::NoPlane(_)) => Ok(None),
        plane => plane.map(Some),
    }
}

/// The picture of three classes of the caller's choice, of some samples of a stream.
///
/// # Errors
/// [`Error::NoPlane`] when one of them has no sample with it alone or their means lie on a line, and
/// whatever reading the samples reports.
pub fn plane_of_classes(
    stream: &impl SampleStream,
    classes: [u32; 3],
    class_names: &[String],
) -> Result<Scatter> {
    let targets = stream.targets();
    let [a, b, c] = classes;
    let sets = [
        vec![a],
        vec![b],
        vec![c],
        vec![a, b],
        vec![a, c],
        vec![b, c],
    ]
    .map(LabelSet::new);
    let mut room = targets
        .distinct()
        .iter()
        .map(|set| if sets.contains(set) { MAX_SAMPLES } else { 0 })
        .collect::<Vec<usize>>();
    let (mut features, mut chosen) = (Vec::new(), Vec::new());
    stream.for_each_block(&mut |first, rows| {
        let num_rows = match rows {
            FeatureRows::F32(rows) => rows.len(),
            FeatureRows::F64(rows) => rows.len(),
        } / stream.dim();
        for row in 0..num_rows {
            let room = &mut room[targets.set_ids()[first + row] as usize];
            if *room > 0 {
                *room -= 1;
                let place = row * stream.dim()..(row + 1) * stream.dim();
                match rows {
                    FeatureRows::F32(rows) => {
                        features.extend(rows[place].iter().map(|&value| f64::from(value)));
                    }
                    FeatureRows::F64(rows) => features.extend(&rows[place]),
                }
                chosen.push(targets.set(first + row).clone());
            }
        }
        Ok(())
    })?;
    let chosen = Targets::new(targets.num_classes(), chosen)?;
    let plane = collapse_plane(&features, stream.dim(), &chosen, classes, class_names)?;
    Ok(Scatter {
        caption: format!(
            "Each dot is a sample, up to {MAX_SAMPLES} of each label set. Under collapse, samples with \
             one label gather at the ends of the arms, and samples with two labels at the scaled \
             average of their two arms, which a ring marks."
        ),
        ..plane
    })
}
