//! Some samples of three classes and their pairs, for the picture of the features in a plane.

use tagwise::snapshot::{FeatureRows, SampleStream, SnapshotFile};
use tagwise::{LabelSet, Targets};
use tagwise_report::Scatter;
use tagwise_report::plane::{choose_classes, collapse_plane};

/// Samples of one label set that are drawn; the arms and tag-wise averages are those of these.
const MAX_SAMPLES: usize = 500;

/// Draws the three classes that show the most; `None` when no three classes have single-label
/// samples whose means span a plane.
pub fn draw(file: &SnapshotFile, class_names: &[String]) -> anyhow::Result<Option<Scatter>> {
    let targets = file.targets();
    let Some(classes) = choose_classes(targets) else {
        return Ok(None);
    };
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
    file.for_each_block(&mut |first, rows| {
        let num_rows = match rows {
            FeatureRows::F32(rows) => rows.len(),
            FeatureRows::F64(rows) => rows.len(),
        } / file.dim();
        for row in 0..num_rows {
            let room = &mut room[targets.set_ids()[first + row] as usize];
            if *room > 0 {
                *room -= 1;
                let place = row * file.dim()..(row + 1) * file.dim();
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
    let plane = collapse_plane(&features, file.dim(), &chosen, classes, class_names);
    Ok(plane.ok().map(|plane| Scatter {
        caption: format!(
            "Each dot is a sample, up to {MAX_SAMPLES} of each label set. Under collapse, samples with \
             one label gather at the ends of the arms, and samples with two labels at the scaled \
             average of their two arms, which a ring marks."
        ),
        ..plane
    }))
}
