//! What the epochs of a run show, finished or not: key figures and curves.

use tagwise::loss::{Loss, PickAllLabels, Weighting};
use tagwise_report::{Axis, Card, Chart, CollapseMetric, Reference, Series};
use tagwise_train::{EpochRecord, Measured};

/// The collapse metrics after the last measured epoch, with their course.
pub fn cards(records: &[EpochRecord]) -> Vec<Card> {
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
    let last = records
        .iter()
        .rev()
        .find_map(|record| record.measured.as_ref());
    for &multiplicity in last
        .iter()
        .flat_map(|measured| measured.collapse.nc_m.keys())
    {
        metric(CollapseMetric::NcM { multiplicity }, &move |m| {
            m.collapse.nc_m.get(&multiplicity)?.uniform.value
        });
    }
    cards
}

/// Loss, collapse and validation over the epochs, as far as they go.
pub fn curves(records: &[EpochRecord], trained_with: &Loss) -> Vec<Chart> {
    let epoch = || Axis::linear("epoch");
    let multiplicities = records
        .iter()
        .rev()
        .find_map(|record| record.measured.as_ref())
        .map(|measured| measured.collapse.nc1.keys().copied().collect::<Vec<_>>())
        .unwrap_or_default();

    let mut loss = Chart::new("Loss", epoch(), Axis::linear("mean loss per image"));
    loss.caption = lower_bound(trained_with).into();
    loss.series = vec![
        series("training set", records, |m| Some(m.train_loss)),
        series("validation set", records, |m| Some(m.validation.loss)),
    ];

    let mut variability = Chart::new("Variability within label sets", epoch(), Axis::log("NC1"));
    variability.caption = "0 when every feature equals the mean of its label set; measured in the \
                           directions in which the class means differ."
        .into();
    variability.series = multiplicities
        .iter()
        .map(|&m| {
            let name = if m == 1 {
                "1 label".to_string()
            } else {
                format!("{m} labels")
            };
            series(name, records, move |measured| {
                measured.collapse.nc1.get(&m)?.tag_span
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

/// What keeps the loss from falling to 0.
fn lower_bound(loss: &Loss) -> &'static str {
    match loss {
        Loss::PickAllLabels(PickAllLabels {
            weighting: Weighting::Sum,
        }) => "With m labels picked the loss cannot fall below m log m.",
        Loss::PickAllLabels(PickAllLabels {
            weighting: Weighting::Mean,
        }) => "With m labels picked the mean over them cannot fall below log m.",
        _ => "",
    }
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

/// The configuration as `key.path`, `value` pairs.
pub fn settings(toml: &str) -> anyhow::Result<Vec<(String, String)>> {
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
