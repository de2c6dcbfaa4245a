//! Heads × decoders on one data set with a standard split, as JSON.
//!
//! `cargo run --release -p tagwise --example heads -- TRAIN TEST [VALIDATION] [--seed S]
//! [--link softmax|sigmoid] [--heads NAME,NAME] [--scaling chosen]`
//!
//! The files are snapshots (.safetensors, .npz) with features and targets. Without VALIDATION the
//! program does what `tagwise fit` and `tagwise decode` do: a fifth of the training set, stratified
//! by labels with the seed, is held out; the weight decay is that of least held-out loss; rules are
//! tuned on the held-out logits of the head that has not seen them; the final head and all
//! prototypes come from the whole training set. With VALIDATION, as for features of a trained
//! network, which have seen the whole training set, that file takes the place of the held-out part
//! and heads are fitted to the training set once.
//!
//! One-nearest-neighbour decoders run on the features themselves (rows with the head "none"),
//! standardised unless the training file holds a classifier, and on each head's logits less their
//! mean. A head of the set likelihood is also decoded from its own distribution over label sets, by
//! its most probable set and by expected F1, neither of them tuned. `--heads` picks heads, and with
//! `--scaling chosen` each also has the scaling of least held-out loss instead of unit variance. A
//! classifier in the training file is a head too ("network"); `--link` says what its logits
//! mean. `bench/heads.py` makes the files, runs this program and draws the table.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use tagwise::decode::threshold::top_multiplicity;
use tagwise::decode::{
    Decoder, DecoderSpec, Distance, EmptyMatch, EmptyRule, EmptySet, Link, LogitDecoder,
    NearestSettings, OneNearestNeighbour, Prior, Prototypes, Rule, RuleKind, SetDecoder, SetRule,
    SetSettings, TuningData, choose_each,
};
use tagwise::evaluate::{Calibration, Criterion, SetMeasures};
use tagwise::head::{
    DenseRows, Features, Head, HeadKind, HeadSettings, LabelledFeatures, Parts, WeightDecaySearch,
    centre_logits, logits,
};
use tagwise::loss::{LOSSES, Loss};
use tagwise::snapshot::{FeatureValues, LinearClassifier, Snapshot};
use tagwise::statistics::Statistics;
use tagwise::{LabelSet, Result, Targets};

/// As in `tagwise decode --decoder auto`: nodes of a search times classes.
const LABELS_WEIGHED: u64 = 44_000;

/// Each table shows what decoders reach when they are tuned for it.
const CRITERIA: [(&str, Criterion); 2] = [
    ("exact", Criterion::SubsetAccuracy),
    ("f1", Criterion::F1Samples),
];

struct Options {
    files: Vec<String>,
    seed: u64,
    link: Link,
    /// All when there is none.
    heads: Vec<String>,
    chooses_scaling: bool,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self {
            files: Vec::new(),
            seed: 0,
            link: Link::Softmax,
            heads: Vec::new(),
            chooses_scaling: false,
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seed" => options.seed = arguments.next()?.parse().ok()?,
                "--link" => {
                    options.link = match arguments.next()?.as_str() {
                        "softmax" => Link::Softmax,
                        "sigmoid" => Link::Sigmoid,
                        _ => return None,
                    }
                }
                "--heads" => {
                    let names = arguments.next()?;
                    options.heads = names.split(',').map(String::from).collect();
                }
                "--scaling" => options.chooses_scaling = arguments.next()? == "chosen",
                _ => options.files.push(argument),
            }
        }
        (2..=3).contains(&options.files.len()).then_some(options)
    }
}

#[derive(Clone)]
struct Data {
    features: Features,
    targets: Targets,
}

impl Data {
    fn read(path: &str) -> Result<(Self, Option<LinearClassifier>)> {
        let snapshot = Snapshot::read(Path::new(path))?;
        let values: Vec<f64> = match snapshot.features() {
            FeatureValues::F32(values) => values.iter().map(|&x| x.into()).collect(),
            FeatureValues::F64(values) => values.clone(),
        };
        let features = Features::from_dense(values, snapshot.dim())?;
        let targets = snapshot.targets().clone();
        Ok((Self { features, targets }, snapshot.classifier().cloned()))
    }

    fn part(&self, samples: &[usize]) -> Self {
        Self {
            features: self.features.select(samples),
            targets: self.targets.select(samples.iter().copied()),
        }
    }

    fn labelled(&self) -> Result<LabelledFeatures<'_>> {
        LabelledFeatures::new(&self.features, &self.targets)
    }
}

/// What is fitted, what decoders are tuned on, what prototypes come from and what is measured.
struct Split {
    fitting: Data,
    tuning: Data,
    training: Data,
    test: Data,
    /// Whether the final head is fitted to more than `fitting`.
    refits: bool,
}

/// Features of one-nearest-neighbour decoders and logits of a head on every part.
struct Space {
    fitting: Vec<f64>,
    tuning: Vec<f64>,
    training: Vec<f64>,
    test: Vec<f64>,
}

impl Space {
    fn map(split: &Split, f: impl Fn(&Features) -> Result<Vec<f64>>) -> Result<Self> {
        Ok(Self {
            fitting: f(&split.fitting.features)?,
            tuning: f(&split.tuning.features)?,
            training: f(&split.training.features)?,
            test: f(&split.test.features)?,
        })
    }

    /// The logits of the head that was fitted without the samples held out, and of the final one.
    fn of_head(
        split: &Split,
        held_out: &LinearClassifier,
        last: &LinearClassifier,
    ) -> Result<Self> {
        Ok(Self {
            fitting: logits(held_out, &split.fitting.features)?,
            tuning: logits(held_out, &split.tuning.features)?,
            training: logits(last, &split.training.features)?,
            test: logits(last, &split.test.features)?,
        })
    }

    /// Less their mean in each row.
    fn centred(&self, num_classes: usize) -> Self {
        let centred = |values: &[f64]| {
            let mut values = values.to_vec();
            centre_logits(&mut values, num_classes);
            values
        };
        Self {
            fitting: centred(&self.fitting),
            tuning: centred(&self.tuning),
            training: centred(&self.training),
            test: centred(&self.test),
        }
    }
}

fn standardised(split: &Split) -> Result<Space> {
    let (values, dim) = (
        split.training.features.to_dense(),
        split.training.features.dim(),
    );
    let n = split.training.targets.len() as f64;
    let mut mean = vec![0.0; dim];
    let mut squares = vec![0.0; dim];
    for row in values.chunks(dim) {
        row.iter().zip(&mut mean).for_each(|(x, m)| *m += x / n);
    }
    for row in values.chunks(dim) {
        let residuals = row.iter().zip(&mean).zip(&mut squares);
        residuals.for_each(|((x, m), s)| *s += (x - m).powi(2) / n);
    }
    let scales = squares
        .iter()
        .map(|s| if *s > 0.0 { 1.0 / s.sqrt() } else { 1.0 });
    let scales: Vec<f64> = scales.collect();
    Space::map(split, |features| {
        let mut values = features.to_dense();
        for row in values.chunks_mut(dim) {
            let columns = row.iter_mut().zip(&mean).zip(&scales);
            columns.for_each(|((x, m), s)| *x = (*x - m) * s);
        }
        Ok(values)
    })
}

/// Decodes in every way and collects one row for each head, decoder and criterion.
struct Bench<'a> {
    split: &'a Split,
    rows: Vec<Value>,
}

impl Bench<'_> {
    fn num_classes(&self) -> usize {
        self.split.test.targets.num_classes()
    }

    fn add(&mut self, head: &str, decoder: &str, tuned_for: &str, decoded: &Targets, extra: Value) {
        let measures = SetMeasures::new(decoded, &self.split.test.targets);
        let measures = measures.expect("as many label sets as test samples");
        self.rows.push(json!({
            "head": head, "decoder": decoder, "tuned_for": tuned_for,
            "measures": measures, "extra": extra,
        }));
    }

    fn settings(&self) -> Vec<NearestSettings> {
        let has_unlabelled = self.split.training.targets.iter().any(LabelSet::is_empty);
        let pairs = [
            (Distance::Cosine, Prototypes::TagAverages, Prior::None),
            (
                Distance::Mahalanobis,
                Prototypes::TagAverages,
                Prior::Multiplicity,
            ),
            (Distance::Mahalanobis, Prototypes::LabelSets, Prior::None),
            (
                Distance::Mahalanobis,
                Prototypes::LabelSets,
                Prior::LabelSet,
            ),
        ];
        let settings = pairs.map(|(distance, prototypes, prior)| NearestSettings {
            distance,
            prototypes,
            prior,
            empty_set: match has_unlabelled {
                true => EmptySet::Measured,
                false => EmptySet::Never,
            },
            max_nodes: (LABELS_WEIGHED / self.num_classes() as u64).max(1),
            ..NearestSettings::default()
        });
        settings.into()
    }

    /// One-nearest-neighbour decoders.
    fn nearest(&mut self, head: &str, space: &Space) -> Result<()> {
        let statistics = statistics(&space.training, &self.split.training.targets)?;
        for settings in self.settings() {
            let name = DecoderSpec::OneNearestNeighbour { settings }.to_string();
            match OneNearestNeighbour::fit(&statistics, &settings) {
                Ok(decoder) => {
                    let decoded = decoder.decode(&space.test)?;
                    let extra = json!({"unproven": decoded.unproven.len()});
                    for (tuned_for, _) in CRITERIA {
                        self.add(head, &name, tuned_for, &decoded.targets, extra.clone());
                    }
                }
                Err(error) => eprintln!("{head}, {name}: {error}"),
            }
        }
        Ok(())
    }

    /// Rules on logits, the choice among all decoders and the top m with m known.
    fn rules(&mut self, head: &str, link: Link, space: &Space, extra: &Value) -> Result<()> {
        let split = self.split;
        let num_classes = self.num_classes();
        if link == Link::Sigmoid {
            let half = LogitDecoder {
                link,
                rule: Rule::Threshold { threshold: 0.0 },
                empty_rule: EmptyRule::Allow,
            };
            let decoded = half.decode(&space.test, num_classes)?;
            for (tuned_for, _) in CRITERIA {
                self.add(
                    head,
                    "p ≥ 0.5, not tuned",
                    tuned_for,
                    &decoded,
                    extra.clone(),
                );
            }
        }
        let centred = space.centred(num_classes);
        for (tuned_for, criterion) in CRITERIA {
            for kind in RuleKind::ALL {
                let (logits, truth) = (&space.tuning, &split.tuning.targets);
                let decoder = LogitDecoder::fit(kind, link, logits, truth, criterion)?;
                let name = DecoderSpec::Rule { kind, link }.to_string();
                let decoded = decoder.decode(&space.test, num_classes)?;
                self.add(head, &name, tuned_for, &decoded, extra.clone());
            }
        }
        self.auto(head, link, space, &centred)?;
        let multiplicities: Vec<usize> = split
            .test
            .targets
            .iter()
            .map(LabelSet::multiplicity)
            .collect();
        let decoded = top_multiplicity(&space.test, num_classes, &multiplicities)?;
        for (tuned_for, _) in CRITERIA {
            self.add(head, "top-m, m known", tuned_for, &decoded, extra.clone());
        }
        self.nearest(head, &centred)
    }

    /// The choice among all decoders, for each criterion.
    fn auto(&mut self, head: &str, link: Link, space: &Space, centred: &Space) -> Result<()> {
        let split = self.split;
        let features = DenseRows::new(centred.tuning.clone(), self.num_classes())?;
        let tuning = TuningData {
            features: &Features::Dense(features),
            logits: Some(&space.tuning),
            link,
            sets: None,
            truth: &split.tuning.targets,
        };
        let fitted = statistics(&centred.fitting, &split.fitting.targets)?;
        let choices = choose_each(
            &fitted,
            &tuning,
            CRITERIA.map(|(_, criterion)| criterion),
            |_| ControlFlow::Continue(()),
        )?;
        for (choice, (tuned_for, _)) in choices.into_iter().zip(CRITERIA) {
            let spec = choice.candidates[choice.best].spec;
            let decoder = match spec {
                DecoderSpec::OneNearestNeighbour { settings } => {
                    let statistics = statistics(&centred.training, &split.training.targets)?;
                    let decoder = OneNearestNeighbour::fit(&statistics, &settings)?;
                    Decoder::OneNearestNeighbour(Box::new(decoder))
                }
                DecoderSpec::Rule { .. } | DecoderSpec::SetLikelihood { .. } => choice.decoder,
            };
            let decoded = decoder.decode(&centred.test, &space.test, self.num_classes())?;
            let extra = json!({"chosen": spec.to_string()});
            self.add(head, "auto", tuned_for, &decoded, extra);
        }
        Ok(())
    }

    /// Decodes a head of the set likelihood without tuning.
    fn sets(&mut self, name: &str, head: &Head, extra: &Value) -> Result<()> {
        let Some(potentials) = &head.potentials else {
            return Ok(());
        };
        let map = potentials.outputs_of(&head.classifier)?;
        let outputs = logits(&map, &self.split.test.features)?;
        for rule in [
            SetRule::MostProbable,
            SetRule::ExpectedF1 {
                empty_match: EmptyMatch::Zero,
            },
        ] {
            let settings = SetSettings {
                rule,
                ..SetSettings::default()
            };
            let decoder = SetDecoder {
                potentials: potentials.clone(),
                settings,
            };
            let decoded = decoder.decode(&outputs)?;
            let truth = &self.split.test.targets;
            let calibration = Calibration::new(&decoded.targets, &decoded.probabilities, truth)?;
            let mut extra = extra.clone();
            extra["ece"] = calibration.expected_calibration_error.into();
            let spec = DecoderSpec::SetLikelihood { settings };
            for (tuned_for, _) in CRITERIA {
                let name_of = spec.to_string();
                self.add(name, &name_of, tuned_for, &decoded.targets, extra.clone());
            }
        }
        Ok(())
    }

    /// Fits a head and decodes.
    fn head(
        &mut self,
        name: &str,
        settings: HeadSettings,
        link: Link,
        search: &WeightDecaySearch,
    ) -> Result<()> {
        let start = Instant::now();
        let mut settings = settings;
        if let Loss::SetLikelihood(likelihood) = &mut settings.loss {
            // Parts of the samples may have smaller sets than all.
            let most = self.split.training.targets.max_multiplicity();
            likelihood.max_multiplicity.get_or_insert(most);
        }
        let (fitting, tuning) = (
            self.split.fitting.labelled()?,
            self.split.tuning.labelled()?,
        );
        let go_on = |_: &_| ControlFlow::Continue(());
        let choice = search.run_all(fitting, tuning, &settings, go_on)?;
        let (settings, best) = (choice.settings, choice.head);
        // Potentials of label sets are others for other samples.
        let has_potentials = best.potentials.is_some();
        let training = &self.split.training;
        let last = match self.split.refits {
            true => Head::fit(
                &training.features,
                &training.targets,
                &settings,
                (!has_potentials).then_some(&best),
            )?,
            false => best.clone(),
        };
        let extra = json!({
            "weight_decay": settings.weight_decay, "scaling": settings.scaling,
            "loss": settings.loss, "seen_set_decay": settings.seen_set_decay,
            "iterations": last.iterations, "fit_seconds": start.elapsed().as_secs_f64(),
        });
        self.sets(name, &last, &extra)?;
        let space = Space::of_head(self.split, &best.classifier, &last.classifier)?;
        self.rules(name, link, &space, &extra)
    }
}

fn statistics(features: &[f64], targets: &Targets) -> Result<Statistics> {
    let dim = features.len() / targets.len().max(1);
    let mut statistics = Statistics::new(targets.num_classes(), dim);
    statistics.update(features, targets)?;
    Ok(statistics)
}

/// Every loss of the library as a linear head; one of either kind also with a fixed ETF.
fn heads() -> Vec<(String, Loss, HeadKind)> {
    let mut heads = Vec::new();
    for line in LOSSES {
        heads.push((line.title.to_string(), line.loss, HeadKind::Linear));
        if ["pal-n", "bce"].contains(&line.name) {
            let name = format!("{}, fixed ETF", line.title);
            heads.push((name, line.loss, HeadKind::FixedEtf));
        }
    }
    heads
}

fn main() -> Result<()> {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!(
            "usage: heads TRAIN TEST [VALIDATION] [--seed S] [--link softmax|sigmoid] [--heads \
             NAME,NAME] [--scaling chosen]"
        );
        std::process::exit(2);
    };
    let (training, classifier) = Data::read(&options.files[0])?;
    let (test, _) = Data::read(&options.files[1])?;
    let (fitting, tuning) = match options.files.get(2) {
        Some(path) => (training.clone(), Data::read(path)?.0),
        None => {
            let parts = Parts::new(&training.targets, 0.2, options.seed)?;
            (
                training.part(&parts.fitting),
                training.part(&parts.held_out),
            )
        }
    };
    let split = Split {
        fitting,
        tuning,
        training,
        test,
        refits: options.files.len() == 2,
    };
    let mut bench = Bench {
        split: &split,
        rows: Vec::new(),
    };
    match &classifier {
        Some(classifier) => {
            bench.nearest("none", &Space::map(&split, |f| Ok(f.to_dense()))?)?;
            let space = Space::of_head(&split, classifier, classifier)?;
            bench.rules("network", options.link, &space, &json!({}))?;
        }
        None => bench.nearest("none", &standardised(&split)?)?,
    }
    let mut search = WeightDecaySearch::default();
    if !options.chooses_scaling {
        search.scalings.clear();
    }
    for (name, loss, kind) in heads() {
        if !options.heads.is_empty() && !options.heads.contains(&name) {
            continue;
        }
        let start = Instant::now();
        let settings = HeadSettings {
            loss,
            kind,
            ..HeadSettings::default()
        };
        bench.head(&name, settings, loss.info().link, &search)?;
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("seed {}, {name}: {seconds:.1} s", options.seed);
    }
    println!("{}", Value::Array(bench.rows));
    Ok(())
}
