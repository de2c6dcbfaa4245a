//! Heads × decoders on one data set with a standard split, as JSON.
//!
//! `cargo run --release -p tagwise --example heads -- train.safetensors test.safetensors [SEEDS]`
//!
//! For each seed a fifth of the training set, stratified by labels, is held out. Each head takes
//! the weight decay of least held-out loss. Decoders are tuned on the held-out part for exact
//! match and measured on the test set. One-nearest-neighbour decoders see the head's logits,
//! without their mean, as features. `bench/heads.py` makes the files and the table.

use std::time::Instant;

use serde_json::{Value, json};
use tagwise::decode::threshold::top_multiplicity;
use tagwise::decode::{
    DecoderSpec, Distance, EmptySet, Link, LogitDecoder, NearestSettings, OneNearestNeighbour,
    Prior, Prototypes, RuleKind, Validation, choose,
};
use tagwise::evaluate::{Criterion, Evaluation};
use tagwise::head::{Features, Head, HeadSettings};
use tagwise::loss::{Loss, PickAllLabels, Weighting};
use tagwise::snapshot::{FeatureValues, Snapshot};
use tagwise::split::stratified_folds;
use tagwise::statistics::Statistics;
use tagwise::{LabelSet, Result, Targets};

const WEIGHT_DECAYS: [f64; 6] = [1e-1, 2e-2, 5e-3, 1e-3, 2e-4, 5e-5];

struct Data {
    features: Features,
    targets: Targets,
}

impl Data {
    fn read(path: &str) -> Result<Self> {
        let snapshot = Snapshot::read(path.as_ref())?;
        let values: Vec<f64> = match snapshot.features() {
            FeatureValues::F32(values) => values.iter().map(|&x| x.into()).collect(),
            FeatureValues::F64(values) => values.clone(),
        };
        let features = Features::from_dense(values, snapshot.dim())?;
        Ok(Self {
            features,
            targets: snapshot.targets().clone(),
        })
    }

    fn part(&self, samples: &[usize]) -> Result<Self> {
        let sets = samples.iter().map(|&i| self.targets.set(i).clone());
        Ok(Self {
            features: self.features.select(samples),
            targets: Targets::new(self.targets.num_classes(), sets)?,
        })
    }
}

fn mean_loss(loss: Loss, logits: &[f64], targets: &Targets) -> f64 {
    let mut gradient = vec![0.0; targets.num_classes()];
    let rows = logits.chunks(targets.num_classes()).zip(targets.iter());
    rows.map(|(row, set)| loss.value_and_gradient(row, set, &mut gradient))
        .sum::<f64>()
        / targets.len() as f64
}

fn centred(logits: &[f64], num_classes: usize) -> Vec<f64> {
    let mut centred = logits.to_vec();
    for row in centred.chunks_mut(num_classes) {
        let mean = row.iter().sum::<f64>() / num_classes as f64;
        row.iter_mut().for_each(|z| *z -= mean);
    }
    centred
}

fn nearest(
    distance: Distance,
    prototypes: Prototypes,
    prior: Prior,
    unlabelled: bool,
) -> NearestSettings {
    NearestSettings {
        distance,
        prototypes,
        prior,
        empty_set: if unlabelled {
            EmptySet::Measured
        } else {
            EmptySet::Never
        },
        max_nodes: 20_000,
        ..NearestSettings::default()
    }
}

/// Fits the head, decodes the test set in every way and returns one row for each decoder.
fn rows(
    loss: Loss,
    link: Link,
    fitting: &Data,
    held_out: &Data,
    test: &Data,
) -> Result<Vec<Value>> {
    let num_classes = test.targets.num_classes();
    let start = Instant::now();
    let mut best: Option<(f64, f64, Head)> = None;
    let mut last: Option<Head> = None;
    for weight_decay in WEIGHT_DECAYS {
        let settings = HeadSettings {
            loss,
            weight_decay,
            gradient_tolerance: 1e-4,
            ..HeadSettings::default()
        };
        let head = Head::fit(
            &fitting.features,
            &fitting.targets,
            &settings,
            last.as_ref(),
        )?;
        let value = mean_loss(loss, &head.logits(&held_out.features)?, &held_out.targets);
        if best.as_ref().is_none_or(|(best, _, _)| value < *best) {
            best = Some((value, weight_decay, head.clone()));
        }
        last = Some(head);
    }
    let (_, weight_decay, head) = best.expect("the grid is not empty");
    let fit_seconds = start.elapsed().as_secs_f64();

    let logits = |data: &Data| head.logits(&data.features);
    let (fitting_logits, held_out_logits, test_logits) =
        (logits(fitting)?, logits(held_out)?, logits(test)?);
    let [fitting_features, held_out_features, test_features] =
        [&fitting_logits, &held_out_logits, &test_logits].map(|z| centred(z, num_classes));
    let mut statistics = Statistics::new(num_classes, num_classes);
    statistics.update(&fitting_features, &fitting.targets)?;

    let mut rows = Vec::new();
    let mut add = |decoder: String, decoded: &Targets| -> Result<()> {
        let evaluation = Evaluation::with_logits(decoded, &test_logits, &test.targets)?;
        rows.push(json!({
            "decoder": decoder, "weight_decay": weight_decay, "fit_seconds": fit_seconds,
            "evaluation": evaluation,
        }));
        Ok(())
    };
    for kind in RuleKind::ALL {
        let decoder = LogitDecoder::fit(
            kind,
            link,
            &held_out_logits,
            &held_out.targets,
            Criterion::SubsetAccuracy,
        )?;
        let name = DecoderSpec::Rule { kind, link }.to_string();
        add(name, &decoder.decode(&test_logits, num_classes)?)?;
    }
    let unlabelled = fitting.targets.iter().any(LabelSet::is_empty);
    for settings in [
        nearest(
            Distance::Cosine,
            Prototypes::TagAverages,
            Prior::None,
            unlabelled,
        ),
        nearest(
            Distance::Mahalanobis,
            Prototypes::TagAverages,
            Prior::Multiplicity,
            unlabelled,
        ),
        nearest(
            Distance::Mahalanobis,
            Prototypes::LabelSets,
            Prior::None,
            unlabelled,
        ),
        nearest(
            Distance::Mahalanobis,
            Prototypes::LabelSets,
            Prior::LabelSet,
            unlabelled,
        ),
    ] {
        let name = DecoderSpec::OneNearestNeighbour { settings }.to_string();
        match OneNearestNeighbour::fit(&statistics, &settings) {
            Ok(decoder) => add(name, &decoder.decode(&test_features)?.targets)?,
            Err(error) => eprintln!("{name}: {error}"),
        }
    }
    let validation = Validation {
        features: &held_out_features,
        logits: Some(&held_out_logits),
        link,
        truth: &held_out.targets,
    };
    let choice = choose(&statistics, &validation, Criterion::SubsetAccuracy)?;
    eprintln!("auto: {}", choice.candidates[choice.best].spec);
    add(
        "auto".into(),
        &choice
            .decoder
            .decode(&test_features, &test_logits, num_classes)?,
    )?;
    let multiplicities: Vec<usize> = test.targets.iter().map(LabelSet::multiplicity).collect();
    add(
        "top-m, true m".into(),
        &top_multiplicity(&test_logits, num_classes, &multiplicities)?,
    )?;
    Ok(rows)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(train), Some(test)) = (arguments.first(), arguments.get(1)) else {
        eprintln!("usage: heads train.safetensors test.safetensors [SEEDS]");
        std::process::exit(2);
    };
    let num_seeds: u64 = arguments.get(2).and_then(|n| n.parse().ok()).unwrap_or(3);
    let (train, test) = (Data::read(train)?, Data::read(test)?);
    let pal = |weighting| Loss::PickAllLabels(PickAllLabels { weighting });
    let mut all = Vec::new();
    for seed in 0..num_seeds {
        let folds = stratified_folds(&train.targets, &[0.8, 0.2], seed)?;
        let samples =
            |fold| -> Vec<usize> { (0..folds.len()).filter(|&i| folds[i] == fold).collect() };
        let (fitting, held_out) = (train.part(&samples(0))?, train.part(&samples(1))?);
        for (name, loss, link) in [
            ("PAL", pal(Weighting::Sum), Link::Softmax),
            ("PAL-N", pal(Weighting::Mean), Link::Softmax),
            ("BCE", Loss::BinaryCrossEntropy {}, Link::Sigmoid),
            ("ZLPR", Loss::Zlpr {}, Link::Sigmoid),
        ] {
            eprintln!("seed {seed}, {name}");
            for mut row in rows(loss, link, &fitting, &held_out, &test)? {
                row["head"] = name.into();
                row["seed"] = seed.into();
                all.push(row);
            }
        }
    }
    println!("{}", Value::Array(all));
    Ok(())
}
