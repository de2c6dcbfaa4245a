//! The report of a finished run.

use anyhow::Context;
use tagwise::Targets;
use tagwise::collapse::{CollapseReport, TagVectors};
use tagwise::snapshot::FeatureValues;
use tagwise_report::plane::{choose_classes, collapse_plane};
use tagwise_report::{
    Axis, Card, Chart, CollapseMetric, ContactSheet, Example, Geometry, Kind, Reference, Report,
    Series, render,
};
use tagwise_train::{EpochRecord, Finished, Measured};

use super::tables;

/// Writes `report.html` and, for comparisons of several runs, the same as `report.json`.
pub fn write(finished: &Finished) -> anyhow::Result<()> {
    let report = build(finished).context("the report cannot be drawn")?;
    let html = render(&report).context("the report cannot be drawn")?;
    finished.folder.write("report.html", html.as_bytes())?;
    finished
        .folder
        .write("report.json", &serde_json::to_vec(&report)?)?;
    Ok(())
}

fn build(finished: &Finished) -> anyhow::Result<Report> {
    let summary = &finished.summary;
    let targets = finished.data.train.targets();
    let class_names: Vec<String> = (0..targets.num_classes()).map(|k| k.to_string()).collect();
    Ok(Report {
        kind: Kind::Training,
        title: format!("{}, seed {}", summary.data.title, summary.seed),
        subtitle: format!(
            "{:?} network, {:?} classifier, d = {}, {} epochs, {} training images",
            summary.network.architecture,
            summary.network.classifier,
            summary.network.feature_dim,
            summary.epochs,
            targets.len()
        ),
        summary: sentence(finished),
        cards: cards(finished),
        curves: curves(&finished.records),
        geometry: geometry(finished, &class_names),
        plane: plane(finished, &class_names),
        examples: Some(examples(finished)?),
        tables: vec![tables::collapse(summary), tables::test(summary)],
        configuration: flatten(&finished.experiment.to_toml())?,
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

/// The value of one metric over the epochs at which it was measured.
fn curve(
    records: &[EpochRecord],
    value: impl Fn(&Measured) -> Option<f64>,
) -> Vec<(f64, Option<f64>)> {
    records
        .iter()
        .filter_map(|record| Some((record.epoch as f64, value(record.measured.as_ref()?))))
        .collect()
}

fn series(
    name: impl Into<String>,
    records: &[EpochRecord],
    value: impl Fn(&Measured) -> Option<f64>,
) -> Series {
    Series {
        name: name.into(),
        points: curve(records, value),
    }
}

fn cards(finished: &Finished) -> Vec<Card> {
    let records = &finished.records;
    let mut cards = Vec::new();
    let mut metric = |metric, value: &dyn Fn(&Measured) -> Option<f64>| {
        let trend: Vec<Option<f64>> = curve(records, value).into_iter().map(|(_, v)| v).collect();
        if let Some(last) = trend.last().copied().flatten() {
            cards.push(Card {
                trend,
                ..Card::metric(metric, last)
            });
        }
    };
    metric(CollapseMetric::Nc1, &|m| m.collapse.nc1.get(&1)?.value);
    metric(CollapseMetric::Nc2Classifier, &|m| {
        m.collapse.nc2.classifier
    });
    metric(CollapseMetric::Nc2ClassMeans, &|m| {
        m.collapse.nc2.centred_means
    });
    metric(CollapseMetric::Nc3, &|m| m.collapse.nc3);
    for &multiplicity in finished.summary.collapse.last.nc_m.keys() {
        metric(CollapseMetric::NcM { multiplicity }, &move |m| {
            m.collapse.nc_m.get(&multiplicity)?.uniform.value
        });
    }
    if let Some(best) = finished.summary.test.first() {
        cards.push(
            Card::higher("Exact match, test", best.evaluation.sets.subset_accuracy)
                .with_note(format!("Decoded by {}.", best.decoder)),
        );
    }
    let count = finished.summary.network.parameters;
    cards.push(
        Card::new("Trainable parameters", count.trainable as u64)
            .with_note(tables::parameters(&finished.summary)),
    );
    cards.push(Card {
        unit: "s".into(),
        ..Card::new("Training and measuring", finished.summary.seconds.round())
    });
    cards
}

fn curves(records: &[EpochRecord]) -> Vec<Chart> {
    let epoch = || Axis::linear("epoch");
    let multiplicities = records
        .last()
        .and_then(|record| record.measured.as_ref())
        .map(|measured| measured.collapse.nc1.keys().copied().collect::<Vec<_>>())
        .unwrap_or_default();

    let mut loss = Chart::new("Loss", epoch(), Axis::linear("mean loss per image"));
    loss.caption = "With m labels picked the loss cannot fall below m log m.".into();
    loss.series = vec![
        series("training set", records, |m| Some(m.train_loss)),
        series("validation set", records, |m| Some(m.validation.loss)),
    ];

    let mut variability = Chart::new("Variability within label sets", epoch(), Axis::log("NC1"));
    variability.caption = "0 when every feature equals the mean of its label set.".into();
    variability.series = multiplicities
        .iter()
        .map(|&m| {
            let name = if m == 1 {
                "1 label".to_string()
            } else {
                format!("{m} labels")
            };
            series(name, records, move |measured| {
                measured.collapse.nc1.get(&m)?.value
            })
        })
        .collect();

    let mut frame = Chart::new(
        "Distance from a simplex ETF",
        epoch(),
        Axis::log("NC2, NC3"),
    );
    frame.caption = "0 when class means, or classifier rows, are equally long, equally far apart, \
                     and the same up to scale."
        .into();
    frame.series = vec![
        series("NC2 of W", records, |m| m.collapse.nc2.classifier),
        series("NC2 of means", records, |m| m.collapse.nc2.centred_means),
        series("NC3", records, |m| m.collapse.nc3),
    ];

    let mut averages = Chart::new(
        "Distance from tag-wise averages",
        epoch(),
        Axis::log("NC_m"),
    );
    averages.caption = "Angle of a label set's mean to the sum of its own class means, over the \
                        angle to all such sums: 1 is chance."
        .into();
    averages.series = multiplicities
        .iter()
        .filter(|&&m| m > 1)
        .map(|&m| {
            series(format!("m = {m}"), records, move |measured| {
                measured.collapse.nc_m.get(&m)?.uniform.value
            })
        })
        .collect();
    averages.references = vec![Reference {
        name: "chance".into(),
        value: 1.0,
    }];

    let mut quality = Chart::new("Validation", epoch(), Axis::linear("share of images"));
    quality.caption = "Exact matches are decoded by one nearest neighbour.".into();
    quality.series = vec![
        series("exact match", records, |m| m.validation.subset_accuracy),
        series("label mass", records, |m| m.validation.label_mass),
    ];
    vec![loss, variability, frame, averages, quality]
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
    let mut pixels = vec![0.0; chosen.len() * shape.len()];
    test.compose_batch_into(&chosen, &mut pixels);
    let pixels: Vec<u8> = pixels.iter().map(|&p| (p * 255.0).round() as u8).collect();
    let sets = chosen
        .iter()
        .map(|&index| Example {
            truth: test.targets().set(index).clone(),
            decoded: decoded.set(index).clone(),
        })
        .collect();
    let mut sheet = ContactSheet::new(&pixels, [shape.height, shape.width, shape.channels], sets)?;
    sheet.caption = format!(
        "Test images, evenly spread over the label sets, decoded by one nearest neighbour: {} of \
         these {} exactly right.",
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

/// The configuration as `key.path`, `value` pairs.
fn flatten(toml: &str) -> anyhow::Result<Vec<(String, String)>> {
    fn visit(prefix: &str, value: &toml::Value, pairs: &mut Vec<(String, String)>) {
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    let path = if prefix.is_empty() {
                        key.clone()
                    } else {
                        format!("{prefix}.{key}")
                    };
                    visit(&path, value, pairs);
                }
            }
            toml::Value::String(text) => pairs.push((prefix.to_string(), text.clone())),
            other => pairs.push((prefix.to_string(), other.to_string())),
        }
    }
    let mut pairs = Vec::new();
    visit("", &toml::Value::Table(toml.parse()?), &mut pairs);
    Ok(pairs)
}
