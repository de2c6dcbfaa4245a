use std::ops::ControlFlow;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::decode::rules::Rule;
use crate::decode::{
    DecoderInputs, DecoderKind, DecoderSettings, Distance, EmptySet, NearestSettings, Prior,
    Prototypes, Scales,
};
use crate::head::{DenseRows, Features, FittedHead, HeadSettings, LabelledFeatures, WeightDecay};
use crate::{LabelSet, Targets};

const NUM_CLASSES: usize = 4;
const DIM: usize = 5;

struct Data {
    features: Features,
    targets: Targets,
    head: FittedHead,
}

/// Samples around sums of axes, some without a label.
fn data() -> Data {
    let rng = &mut ChaCha8Rng::seed_from_u64(11);
    let sets: Vec<LabelSet> = (0..120u32)
        .map(|i| (0..i % 4).map(|j| (i / 4 + j) % 4).collect())
        .collect();
    let values = sets.iter().flat_map(|set| {
        let on = |axis| f64::from(u8::from(set.contains(axis)));
        let row: Vec<f64> = (0..DIM as u32)
            .map(|axis| on(axis) + rng.random_range(-0.3..0.3))
            .collect();
        row
    });
    let features = Features::Dense(DenseRows::new(values.collect(), DIM).unwrap());
    let targets = Targets::new(NUM_CLASSES, sets).unwrap();
    let settings = HeadSettings {
        weight_decay: 1e-3,
        ..HeadSettings::default()
    };
    let samples = LabelledFeatures::new(&features, &targets).unwrap();
    let go_on = |_: &_| ControlFlow::Continue(());
    let head = FittedHead::fit(samples, &settings, &WeightDecay::Given, go_on).unwrap();
    Data {
        features,
        targets,
        head,
    }
}

fn fit(data: &Data, settings: &DecoderSettings) -> FittedDecoder {
    let samples = LabelledFeatures::new(&data.features, &data.targets).unwrap();
    let inputs = DecoderInputs {
        training: Some(samples),
        validation: None,
        head: Some(&data.head),
    };
    FittedDecoder::fit(&inputs, settings, |_| ControlFlow::Continue(())).unwrap()
}

fn all_settings() -> Vec<DecoderSettings> {
    let mut all: Vec<DecoderSettings> = Vec::new();
    let with = |kind, space| DecoderSettings {
        kind,
        space,
        ..DecoderSettings::default()
    };
    for kind in RuleKind::ALL {
        for link in [Link::Softmax, Link::Sigmoid] {
            all.push(DecoderSettings {
                link: Some(link),
                ..with(DecoderKind::Rule(kind), Space::Features)
            });
        }
    }
    for distance in [Distance::Cosine, Distance::Euclidean, Distance::Mahalanobis] {
        for prototypes in [Prototypes::TagAverages, Prototypes::LabelSets] {
            for prior in [Prior::None, Prior::Multiplicity, Prior::LabelSet] {
                for empty_set in [EmptySet::Never, EmptySet::Measured, EmptySet::Below(-0.2)] {
                    let nearest = NearestSettings {
                        distance,
                        prototypes,
                        prior,
                        empty_set,
                        ..NearestSettings::default()
                    };
                    all.push(with(DecoderKind::Nearest(nearest), Space::Features));
                }
            }
        }
    }
    let euclidean = NearestSettings {
        distance: Distance::Euclidean,
        max_multiplicity: Some(2),
        max_nodes: 7,
        ..NearestSettings::default()
    };
    all.push(with(DecoderKind::Nearest(euclidean), Space::Logits));
    all.push(DecoderSettings {
        scales: Scales::Given(vec![1.0, 0.6, 0.5]),
        ..with(DecoderKind::Nearest(euclidean), Space::Features)
    });
    all.push(with(DecoderKind::Auto { max_nodes: 1000 }, Space::Logits));
    all
}

#[test]
fn every_decoder_read_back_gives_the_same_bits() {
    let data = data();
    for settings in all_settings() {
        let decoder = fit(&data, &settings);
        let bytes = decoder.to_bytes().unwrap();
        let read = FittedDecoder::from_bytes(&bytes).unwrap();
        let decode = |decoder: &FittedDecoder| {
            let decoded = decoder.decode(&data.features, |_| ControlFlow::Continue(()));
            decoded.unwrap()
        };
        assert_eq!(decode(&decoder), decode(&read), "{settings:?}");
        assert_eq!(read.to_bytes().unwrap(), bytes, "{settings:?}");
        assert_eq!(
            (read.spec(), read.tuning()),
            (decoder.spec(), decoder.tuning())
        );
        assert_eq!(read.values(), decoder.values());
    }
}

#[test]
fn a_threshold_that_nothing_reaches_is_kept() {
    let data = data();
    let rule = DecoderKind::Rule(RuleKind::Threshold);
    let mut decoder = fit(
        &data,
        &DecoderSettings {
            kind: rule,
            ..DecoderSettings::default()
        },
    );
    if let Decoder::Logits(decoder) = &mut decoder.decoder {
        decoder.rule = Rule::Threshold {
            threshold: f64::INFINITY,
        };
    }
    let read = FittedDecoder::from_bytes(&decoder.to_bytes().unwrap()).unwrap();
    assert_eq!(read.values(), decoder.values());
}

#[test]
fn names_and_what_it_was_tuned_for_are_kept_in_the_file() {
    let data = data();
    let names = ["sea", "sky", "a;b", "it's"].map(String::from).to_vec();
    let names = LabelNames::new(Some(names));
    let auto = DecoderSettings {
        kind: DecoderKind::Auto { max_nodes: 1000 },
        ..DecoderSettings::default()
    };
    let decoder = fit(&data, &auto).with_names(names.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decoder.safetensors");
    decoder.write(&path).unwrap();
    let read = FittedDecoder::read(&path).unwrap();
    assert_eq!(read.names(), &names);
    let tuning = read.tuning().unwrap();
    assert_eq!(tuning, decoder.tuning().unwrap());
    assert_eq!(tuning.num_samples, 24);
    assert_eq!(
        tuning.reason(read.spec()),
        decoder.tuning().unwrap().reason(decoder.spec())
    );
}

#[test]
fn files_that_are_no_decoders_are_refused() {
    let refused = |bytes: &[u8]| FittedDecoder::from_bytes(bytes).unwrap_err().to_string();
    let message = refused(b"something else");
    assert!(
        message.starts_with("expected a safetensors file"),
        "{message}"
    );
    let data = data();
    insta::assert_snapshot!(refused(&data.head.to_bytes().unwrap()), @"expected the file of a decoder, as saving one writes it, found none of its metadata");
    let decoder = fit(&data, &DecoderSettings::default());
    let changed = |from: &str, to: &str| {
        let bytes = decoder.to_bytes().unwrap();
        let text = String::from_utf8_lossy(&bytes[8..]).into_owned();
        let end = text.find("\"}}").map_or(0, |end| end);
        assert!(end == 0 || text.contains(from), "{text}");
        let from = from.as_bytes();
        let position = bytes.windows(from.len()).position(|w| w == from).unwrap();
        let mut bytes = bytes;
        bytes[position..position + from.len()].copy_from_slice(to.as_bytes());
        refused(&bytes)
    };
    insta::assert_snapshot!(changed(r#"version\":1"#, r#"version\":2"#), @"tagwise decoder: expected version 1 at most, found 2; read it with a newer program");
    insta::assert_snapshot!(changed(r#"num_classes\":4"#, r#"num_classes\":3"#), @"expected `labels` that rise and lie below 3, found others");
    insta::assert_snapshot!(changed(r#"dim\":5"#, r#"dim\":9"#), @"expected `directions` of shape [4, 9], found [4, 5]");
    insta::assert_snapshot!(changed(r#"max_multiplicity\":3"#, r#"max_multiplicity\":9"#), @"expected a largest multiplicity from 1 to the 4 labels and a finite concentration, found 9 and 1");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is done to the bytes: they are refused, or decode without a panic.
    #[test]
    fn changed_bytes_never_panic(which in 0usize..60, position in any::<prop::sample::Index>(), byte in any::<u8>(), cut in prop::option::of(any::<prop::sample::Index>())) {
        thread_local! {
            static SAVED: Vec<Vec<u8>> = {
                let data = data();
                let settings = all_settings();
                settings.iter().map(|settings| fit(&data, settings).to_bytes().unwrap()).collect()
            };
        }
        let mut bytes = SAVED.with(|saved| saved[which % saved.len()].clone());
        let position = position.index(bytes.len());
        bytes[position] = byte;
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(decoder) = FittedDecoder::from_bytes(&bytes)
            && decoder.dim() == DIM
        {
            let features = Features::Dense(DenseRows::new(vec![0.5; 3 * DIM], DIM).unwrap());
            let _ = decoder.decode(&features, |_| ControlFlow::Continue(()));
        }
    }
}
