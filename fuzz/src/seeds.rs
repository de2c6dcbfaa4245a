//! Sound files of every kind, small, made by the program's own writers where it has them.

use std::io::Write;
use std::ops::ControlFlow;

use flate2::Compression;
use flate2::write::GzEncoder;
use tagwise::collapse::CollapseReport;
use tagwise::decode::{DecoderInputs, DecoderKind, DecoderSettings, FittedDecoder, RuleKind};
use tagwise::head::{DenseRows, Features, FittedHead, HeadSettings, LabelledFeatures, WeightDecay};
use tagwise::loss::Loss;
use tagwise::snapshot::{FeatureValues, Format, Snapshot};
use tagwise::statistics::{ScatterKind, Statistics, StatisticsFile};
use tagwise::{LabelSet, LinearClassifier, Targets};
use tagwise_nn::NamedTensor;
use tagwise_train::{Checkpoint, EpochRecord, Experiment, Measured, Validation};

use crate::scratch::SEPARATOR;

/// What a target starts from.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "arff" => texts(&[
            "@relation 'r: -C 2'\n@attribute y1 {0,1}\n@attribute y2 {no,yes}\n@attribute x real\n\
             @data\n1,no,0.5\n{0 1, 2 -1e3}\n0,yes,? % a remark\n",
            "@RELATION r\r\n@attribute 'a b' numeric\n@attribute s string\n@attribute d date \
             'yyyy'\n@attribute y1 {'\\'','b c'}\n@DATA\n1,'x',2000,'b c',{2}\n",
        ]),
        "checkpoint" => vec![checkpoint()],
        "cifar10" => vec![gzip(b""), gzip(&[0; 1024])],
        "csv" => texts(&[
            "x,y1,y2\n0.5,1,0\n-1,0,1\n",
            "\u{feff}a;b;labels\n1;2;\"cat;dog\"\n3;4;\n",
            "a\tb\tlabels\n1\t2\tcat,dog\n",
        ]),
        "decoder" => decoders(),
        "experiment" => vec![
            Experiment::default().to_toml().into_bytes(),
            two("seed = 3\n[data]\nsource = \"mnist\"\n", "training.epochs=3"),
            two("[loss]\nname = \"asl\"\n", "data.train.per_multiplicity=[6, 1]"),
        ],
        "head" => heads(),
        "idx" => vec![idx()],
        "label-sets" => vec![targets().to_bytes()],
        "libsvm" => texts(&["1,3 1:0.5 7:-2\n 2:1\n0 # nothing\n", "+1 qid:3 1:1e-3\n-1 2:2\n"]),
        "mulan" => vec![two(
            "<labels xmlns=\"http://mulan.sourceforge.net/labels\"><label name=\"a&amp;b\"/>\
             <label name=\"c\"><label name=\"d\"/></label></labels>",
            "@relation r\n@attribute x real\n@attribute 'a&b' {0,1}\n@attribute c {0,1}\n\
             @attribute d {1,0}\n@data\n{0 1.5, 2 1}\n2,1,0,1\n3,?,0,0\n",
        )],
        "npy" => vec![npy("<f4", "(2, 3)", &[0; 24]), npy("|u1", "(2,2)", &[1, 0, 0, 1])],
        "npz" => vec![snapshot(Format::Npz)],
        "npz-members" => vec![
            joined(&npy("<f8", "(2, 1)", &[0; 16]), &npy("|b1", "(2, 2)", &[1, 0, 0, 1])),
            joined(&npy("<f2", "(2, 1)", &[0; 4]), &npy("<i8", "(2,)", &[0; 16])),
            joined(&npy("<f4", "(1, 2)", &[0; 8]), &npy("<U1", "(1,)", b"a\0\0\0")),
        ],
        "own-images" => texts(&[
            "file,labels,split\n0.png,cat;dog,train\n1.png,,test\n",
            "file;cat;dog\n0.png;1;0\n1.png;0;1\n",
        ]),
        "parquet" => vec![b"PAR1\x15\x04\x19\x1cPAR1".to_vec()],
        "picture" => vec![grey_pixel(), jpeg()],
        "predictions" => texts(&[
            "sample,labels,probability,abstained\n0,cat;dog,0.5,no\n1,,0.25,yes\n2,cow,1,no\n",
            "sample,label_ids\n0,0;1\n1,\n2,2\n",
            "[[\"cat\"], [], [\"cow\", \"dog\"]]",
            "{\"label_sets\": [[0], [1, 2], []]}",
            "cat,cow,dog\n1,0,0\n0,1,1\n0,0,0\n",
        ]),
        "records" => vec![record()],
        "safetensors" => vec![snapshot(Format::Safetensors)],
        "collapse" | "statistics" => [ScatterKind::Full, ScatterKind::Trace].map(statistics).map(|file| file.to_bytes()).to_vec(),
        "svhn" => vec![joined(
            b"name,img_width,img_height,label,left,top,width,height\n1.png,1,1,1 2,0 0,0 0,1 1,1 1\n",
            &grey_pixel(),
        )],
        "weights" => vec![weights()],
        "xmc" => texts(&["2 4 3\n0,2 0:0.5 3:1\n 1:2\n", "1 1 1\n0 0:1\n"]),
        _ => Vec::new(),
    }
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn joined(first: &[u8], second: &[u8]) -> Vec<u8> {
    [first, SEPARATOR, second].concat()
}

fn two(first: &str, second: &str) -> Vec<u8> {
    joined(first.as_bytes(), second.as_bytes())
}

fn targets() -> Targets {
    let sets = [vec![0], vec![1], vec![0, 1], vec![]].map(LabelSet::new);
    Targets::new(2, sets).expect("labels of two classes")
}

fn features() -> Features {
    let values = vec![1.0, 0.25, 0.0, 1.0, 0.75, 0.5, 0.0, -1.0];
    Features::Dense(DenseRows::new(values, 2).expect("four rows"))
}

fn classifier() -> LinearClassifier {
    LinearClassifier::from_rows(&[1.0, 0.0, 0.0, 1.0], &[0.5, -0.5], 2).expect("two classes")
}

fn statistics(kind: ScatterKind) -> StatisticsFile {
    let mut statistics = Statistics::with_scatter(2, 2, kind);
    let values = [1.0f32, 0.25, 0.0, 1.0, 0.75, 0.5, 0.0, -1.0];
    let updated = statistics.update(&values, &targets());
    updated.expect("four rows of two features");
    StatisticsFile {
        statistics,
        classifier: Some(classifier()),
    }
}

fn heads() -> Vec<Vec<u8>> {
    let (features, targets) = (features(), targets());
    let losses = ["pal", "set-likelihood"].map(|name| Loss::named(name).expect("a loss"));
    let head = |loss| {
        let settings = HeadSettings {
            loss,
            ..HeadSettings::default()
        };
        let samples = LabelledFeatures::new(&features, &targets).expect("as many rows as sets");
        FittedHead::fit(samples, &settings, &WeightDecay::Given, |_| {
            ControlFlow::Continue(())
        })
        .and_then(|head| head.to_bytes())
        .expect("a head of four samples")
    };
    losses.map(head).to_vec()
}

fn decoders() -> Vec<Vec<u8>> {
    let (features, targets) = (features(), targets());
    let head = FittedHead::of_classifier(classifier());
    let samples = LabelledFeatures::new(&features, &targets).expect("as many rows as sets");
    let inputs = DecoderInputs {
        training: Some(samples),
        validation: Some(samples),
        head: Some(&head),
    };
    let kinds = [
        DecoderSettings::default().kind,
        DecoderKind::Rule(RuleKind::Threshold),
        DecoderKind::Rule(RuleKind::PredictedMultiplicity),
    ];
    let decoder = |kind| {
        let settings = DecoderSettings {
            kind,
            ..DecoderSettings::default()
        };
        FittedDecoder::fit(&inputs, &settings, |_| ControlFlow::Continue(()))
            .and_then(|decoder| decoder.to_bytes())
            .expect("a decoder of four samples")
    };
    kinds.map(decoder).to_vec()
}

fn snapshot(format: Format) -> Vec<u8> {
    let values = FeatureValues::F32(vec![1.0, 0.25, 0.0, 1.0, 0.75, 0.5, 0.0, -1.0]);
    Snapshot::new(values, 2, targets(), Some(classifier()))
        .and_then(|snapshot| snapshot.to_bytes(format))
        .expect("four rows of two features")
}

fn tensors() -> Vec<NamedTensor> {
    let tensor = |name: &str, shape: &[usize]| NamedTensor {
        name: name.into(),
        shape: shape.to_vec(),
        data: vec![0.5; shape.iter().product()],
    };
    vec![tensor("fc.weight", &[2, 3]), tensor("fc.bias", &[2])]
}

fn weights() -> Vec<u8> {
    tagwise_nn::weights::to_bytes(&tensors()).expect("shapes that fit their numbers")
}

fn checkpoint() -> Vec<u8> {
    let checkpoint = Checkpoint {
        epoch: 3,
        experiment: "89abcdef".into(),
        records: Some("01234567".into()),
        network: tensors(),
        optimiser: tensors(),
    };
    checkpoint
        .to_bytes()
        .expect("shapes that fit their numbers")
}

fn record() -> Vec<u8> {
    let file = statistics(ScatterKind::Full);
    let record = EpochRecord {
        epoch: 0,
        seconds: 0.5,
        images_per_second: None,
        learning_rate: Some(0.1),
        loss: None,
        measured: Some(Measured {
            train_loss: 1.5,
            collapse: CollapseReport::measure(&file.statistics, None).expect("two classes"),
            validation: Validation {
                loss: 1.25,
                label_mass: Some(0.5),
                subset_accuracy: None,
            },
        }),
    };
    serde_json::to_vec(&record).expect("a record as JSON")
}

fn npy(kind: &str, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(numbers);
    bytes
}

fn idx() -> Vec<u8> {
    let words = |words: &[u32]| {
        words
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect::<Vec<_>>()
    };
    let images = [words(&[2051, 2, 1, 2]), vec![0, 255, 255, 0]].concat();
    joined(&images, &[words(&[2049, 2]), vec![3, 9]].concat())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes every byte");
    encoder.finish().expect("memory takes every byte")
}

/// A PNG of one grey pixel.
pub fn grey_pixel() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 1, 1);
    encoder.set_color(png::ColorType::Grayscale);
    let writer = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(&[128])?;
        writer.finish()
    });
    writer.expect("memory takes every byte");
    bytes
}

fn jpeg() -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, 80);
    let encoded = encoder.encode(&[90; 8 * 8 * 3], 8, 8, jpeg_encoder::ColorType::Rgb);
    encoded.expect("memory takes every byte");
    bytes
}
