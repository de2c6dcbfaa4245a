//! The report of a finished run.

use anyhow::Context;
use tagwise::Targets;
use tagwise::collapse::{CollapseReport, TagVectors};
use tagwise::snapshot::FeatureValues;
use tagwise_report::plane::{choose_classes, collapse_plane};
use tagwise_report::{Card, ContactSheet, Example, Geometry, Kind, Report, render};
use tagwise_train::Finished;

use super::tables;
use crate::command::epochs;

/// Writes `report.html` and, for comparisons of several runs, the same as `report.json`.
pub fn write(finished: &Finished) -> anyhow::Result<()> {
    let report = build(finished).context("the report cannot be drawn")?;
    let html = render(&report).context("the report cannot be drawn")?;
    if let Some(folder) = &finished.folder {
        folder.write("report.html", html.as_bytes())?;
        folder.write("report.json", &serde_json::to_vec(&report)?)?;
    }
    Ok(())
}

fn build(finished: &Finished) -> anyhow::Result<Report> {
    let summary = &finished.summary;
    let targets = finished.data.train.targets();
    let source = finished.experiment.data.source;
    let class_names: Vec<String> = source
        .class_names()
        .iter()
        .map(ToString::to_string)
        .collect();
    Ok(Report {
        kind: Kind::Training,
        title: format!("{}, seed {}", summary.data.title, summary.seed),
        subtitle: format!(
            "{}, {} classifier, d = {}, {} epochs, {} training images",
            summary.network.architecture,
            summary.network.classifier,
            summary.network.feature_dim,
            summary.epochs,
            targets.len()
        ),
        summary: sentence(finished),
        cards: cards(finished),
        curves: epochs::curves(&finished.records, &finished.experiment.loss),
        geometry: geometry(finished, &class_names),
        plane: plane(finished, &class_names),
        examples: Some(examples(finished)?),
        tables: vec![tables::collapse(summary), tables::test(summary)],
        configuration: epochs::settings(&finished.experiment.to_toml())?,
        class_names,
        provenance: summary
            .provenance
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect::<Vec<_>>()
            .join(", "),
    })
}

/// What happened, in two sentences.
fn sentence(finished: &Finished) -> String {
    let (first, last) = (
        &finished.summary.collapse.first,
        &finished.summary.collapse.last,
    );
    let nc1 = |report: &CollapseReport| report.nc1.get(&1).and_then(|nc1| nc1.value);
    let mut text = String::new();
    if let (Some(before), Some(after)) = (nc1(first), nc1(last)) {
        text = format!(
            "NC1 went from {} before training to {} at its end. ",
            tagwise_report::typeset_number(before),
            tagwise_report::typeset_number(after)
        );
    }
    if let Some(best) = finished.summary.test.first() {
        text.push_str(&format!(
            "On test images, decoding by {} finds {:.1} % of the label sets exactly. ",
            best.decoder,
            100.0 * best.evaluation.sets.subset_accuracy
        ));
    }
    text.push_str(&tables::parameters(&finished.summary));
    text.push('.');
    text
}

fn cards(finished: &Finished) -> Vec<Card> {
    let mut cards = epochs::cards(&finished.records);
    if let Some(best) = finished.summary.test.first() {
        cards.push(
            Card::higher("Exact match, test", best.evaluation.sets.subset_accuracy)
                .with_note(format!("Decoded by {}.", best.decoder)),
        );
    }
    let count = finished.summary.network.parameters;
    cards.push(
        Card::trainable_parameters(count.trainable as u64)
            .with_note(tables::parameters(&finished.summary)),
    );
    cards.push(Card {
        unit: "s".into(),
        ..Card::new("Training and measuring", finished.summary.seconds.round())
    });
    cards
}

/// Cosines of class means and classifier; absent when a class has no vector.
fn geometry(finished: &Finished, class_names: &[String]) -> Option<Geometry> {
    let tags = TagVectors::estimate(&finished.statistics).ok()?;
    let (vectors, centre) = (tags.vectors(), tags.centre());
    let means: Vec<Vec<f64>> = (0..vectors.nrows())
        .map(|k| {
            (0..vectors.ncols())
                .map(|j| vectors[(k, j)] - centre[j])
                .collect()
        })
        .collect();
    let classifier: Option<Vec<Vec<f64>>> = finished.train.classifier().map(|classifier| {
        let weight = &classifier.weight;
        (0..weight.nrows())
            .map(|k| (0..weight.ncols()).map(|j| weight[(k, j)]).collect())
            .collect()
    });
    let mut geometry = Geometry::new(class_names, &means, classifier.as_deref()).ok()?;
    geometry.caption = "Cosines between classes on one colour scale. The bar below each map spans \
                        the entries off the diagonal; the dot is their mean."
        .into();
    Some(geometry)
}

/// The plane of three classes; absent when the data have no three classes with their pairs.
fn plane(finished: &Finished, class_names: &[String]) -> Option<tagwise_report::Scatter> {
    let targets = finished.train.targets();
    let classes = choose_classes(targets)?;
    let dim = finished.train.dim();
    let mut plane = match finished.train.features() {
        FeatureValues::F32(values) => collapse_plane(values, dim, targets, classes, class_names),
        FeatureValues::F64(values) => collapse_plane(values, dim, targets, classes, class_names),
    }
    .ok()?;
    plane.caption = "Each dot is a training image. Images with one label gather at the ends of \
                     their arms; images with two gather where theory puts them, on the scaled sum \
                     of the two arms, marked by a ring."
        .into();
    Some(plane)
}

/// Images of each multiplicity shown, right and wrong ones as often as they are.
const EXAMPLES_PER_MULTIPLICITY: usize = 16;

fn examples(finished: &Finished) -> anyhow::Result<ContactSheet> {
    let (test, decoded) = (&finished.data.test, &finished.test_decoded);
    let chosen = spread_by_multiplicity(test.targets());
    let shape = test.shape();
    let mut pixels = vec![0; chosen.len() * shape.len()];
    for (&index, pixels) in chosen.iter().zip(pixels.chunks_exact_mut(shape.len())) {
        test.display_into(index, pixels);
    }
    let sets = chosen
        .iter()
        .map(|&index| Example {
            truth: test.targets().set(index).clone(),
            decoded: decoded.set(index).clone(),
        })
        .collect();
    let mut sheet = ContactSheet::new(&pixels, [shape.height, shape.width, shape.channels], sets)?;
    sheet.caption = format!(
        "Test images, evenly spread over the label sets, decoded by {}: {} of these {} exactly \
         right.",
        finished.summary.test[0].decoder,
        sheet.num_right(),
        sheet.examples.len()
    );
    Ok(sheet)
}

/// Positions of images, evenly spread over the samples of each multiplicity.
fn spread_by_multiplicity(targets: &Targets) -> Vec<usize> {
    let mut chosen = Vec::new();
    for multiplicity in 0..=targets.max_multiplicity() {
        let members: Vec<usize> = (0..targets.len())
            .filter(|&i| targets.set(i).multiplicity() == multiplicity)
            .collect();
        let count = members.len().min(EXAMPLES_PER_MULTIPLICITY);
        chosen.extend((0..count).map(|i| members[(2 * i + 1) * members.len() / (2 * count)]));
    }
    chosen
}
