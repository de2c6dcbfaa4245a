//! Statistics of features in files (tests/golden/formats.py made them), saved and merged.

use std::fs;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use tagwise::collapse::{AnalysisOptions, CollapseReport};
use tagwise::features::{CsrView, DenseView, FeaturesView};
use tagwise::snapshot::{FeatureValues, LabelledView, NonFinite, Snapshot, SnapshotFile};
use tagwise::statistics::{ScatterKind, Statistics, StatisticsFile};
use tagwise::tensors::{TensorWriter, Tensors};
use tagwise::{Error, LabelSet, Targets};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tagwise-base/tests/golden/formats")
        .join(name)
}

#[test]
fn a_file_is_analyzed_as_its_snapshot_in_memory() {
    for name in ["stored.npz", "folder", "bf16.safetensors"] {
        let file = SnapshotFile::open(&golden(name), NonFinite::Refuse).unwrap();
        let snapshot = file.to_snapshot().unwrap();
        let options = AnalysisOptions::default();
        assert_eq!(
            CollapseReport::analyze(&file, file.classifier(), options).unwrap(),
            CollapseReport::analyze(&snapshot, snapshot.classifier(), options).unwrap()
        );
    }
}

#[test]
fn rows_that_are_not_finite_are_refused() {
    let path = golden("not_finite.npz");
    let file = SnapshotFile::open(&path, NonFinite::Refuse).unwrap();
    let error = Statistics::of(&file, ScatterKind::Full)
        .unwrap_err()
        .to_string();
    insta::assert_snapshot!(error.replace(&path.display().to_string(), "FILE"), @"FILE: expected finite features, found NaN or infinity in 2 of 12 rows, first in row 3; mend them or leave them out");
}

#[test]
fn saved_statistics_merge_and_measure_as_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = Snapshot::read(&golden("f64.safetensors")).unwrap();
    let FeatureValues::F64(values) = snapshot.features() else {
        panic!("f64")
    };
    let halves = [0..5, 5..12].map(|rows| {
        let targets = tagwise::Targets::new(
            4,
            rows.clone().map(|row| snapshot.targets().set(row).clone()),
        )
        .unwrap();
        let features = FeatureValues::F64(values[rows.start * 3..rows.end * 3].to_vec());
        Snapshot::new(features, 3, targets, snapshot.classifier().cloned()).unwrap()
    });
    let mut saved = Vec::new();
    for (index, half) in halves.iter().enumerate() {
        let path = folder.path().join(format!("{index}.ncs"));
        let statistics = Statistics::of(half, ScatterKind::Full).unwrap();
        StatisticsFile {
            statistics,
            classifier: half.classifier().cloned(),
        }
        .write(&path)
        .unwrap();
        saved.push(StatisticsFile::read(&path).unwrap());
    }
    let mut merged = saved[1].clone();
    merged.merge(&saved[0]).unwrap();
    let path = folder.path().join("all.ncs");
    merged.write(&path).unwrap();
    let merged = StatisticsFile::read(&path).unwrap();
    let found = CollapseReport::measure(&merged.statistics, merged.classifier.as_ref()).unwrap();
    let whole = Statistics::of(&snapshot, ScatterKind::Full).unwrap();
    let expected = CollapseReport::measure(&whole, snapshot.classifier()).unwrap();
    assert!((found.nc1[&1].value.unwrap() / expected.nc1[&1].value.unwrap() - 1.0).abs() < 1e-12);
    assert!((found.nc3.unwrap() / expected.nc3.unwrap() - 1.0).abs() < 1e-12);
    assert_eq!(found.num_samples, 12);

    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(
        StatisticsFile::read(&path)
            .unwrap_err()
            .to_string()
            .contains("expected saved statistics")
    );
    let other = StatisticsFile::read(&golden("f32.safetensors"))
        .unwrap_err()
        .to_string();
    assert!(other.ends_with("expected saved statistics (.ncs), found another safetensors file; to measure features, name it .safetensors"));
}

/// Small whole numbers, which every precision holds, half of them 0: `[40, 6]`.
fn whole_numbers() -> (Vec<f64>, Targets) {
    let values = (0..240).map(|i| match (i * 7 + i / 6) % 5 {
        0 | 3 => 0.0,
        rest => rest as f64 - 2.5 + (i % 3) as f64 / 2.0,
    });
    let sets = (0..40u32).map(|row| match row % 4 {
        3 => LabelSet::new([0, 1 + row / 4 % 2]),
        class => LabelSet::new([class]),
    });
    (values.collect(), Targets::new(3, sets).unwrap())
}

#[test]
fn every_view_of_the_same_features_measures_the_same() {
    let (values, targets) = whole_numbers();
    let single: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    let half: Vec<f16> = values.iter().map(|&value| f16::from_f64(value)).collect();
    let brain: Vec<bf16> = values.iter().map(|&value| bf16::from_f64(value)).collect();
    let wide: Vec<f32> = single
        .chunks(6)
        .flat_map(|row| row.iter().copied().chain([f32::NAN, 1e9]))
        .collect();
    let (mut starts, mut columns, mut kept) = (vec![0i64], Vec::new(), Vec::new());
    for row in single.chunks(6) {
        for (column, &value) in (0u32..).zip(row).filter(|(_, value)| **value != 0.0) {
            columns.push(column);
            kept.push(value);
        }
        starts.push(kept.len() as i64);
    }
    let views: [FeaturesView<'_>; 6] = [
        DenseView::new(&values, 6).unwrap().into(),
        DenseView::new(&single, 6).unwrap().into(),
        DenseView::new(&half, 6).unwrap().into(),
        DenseView::new(&brain, 6).unwrap().into(),
        DenseView::with_stride(&wide, 40, 6, 8).unwrap().into(),
        CsrView::new(&starts, &columns, &kept, 6).unwrap().into(),
    ];
    let options = AnalysisOptions::default();
    let mut plain = Statistics::new(3, 6);
    plain.update(&values, &targets).unwrap();
    let expected = StatisticsFile {
        statistics: plain,
        classifier: None,
    };
    let reports = views.map(|view| {
        let mut statistics = Statistics::new(3, 6);
        statistics.update_view(view, &targets).unwrap();
        let found = StatisticsFile {
            statistics,
            classifier: None,
        };
        assert_eq!(found.to_bytes(), expected.to_bytes(), "{view:?}");
        let samples = LabelledView::new(view, &targets).unwrap();
        CollapseReport::analyze(&samples, None, options).unwrap()
    });
    assert!(reports.iter().all(|report| *report == reports[0]));
}

#[test]
fn views_of_other_sizes_are_errors() {
    let (values, targets) = whole_numbers();
    let mut statistics = Statistics::new(3, 6);
    let refused = |result: tagwise::Result<()>| result.unwrap_err().to_string();
    let view = |rows: usize, dim: usize| DenseView::new(&values[..rows * dim], dim).unwrap().into();
    assert_eq!(
        refused(statistics.update_view(view(39, 6), &targets)),
        "expected 40 rows of features, found 39"
    );
    assert_eq!(
        refused(statistics.update_view(view(40, 3), &targets)),
        "expected 6 feature dimensions, found 3"
    );
    assert!(statistics.update(&values[1..], &targets).is_err());
    let mut bad = values.clone();
    bad[7 * 6 + 2] = f64::INFINITY;
    let bad = DenseView::new(&bad, 6).unwrap();
    assert_eq!(
        refused(statistics.update_view(bad.into(), &targets)),
        "expected finite numbers, found inf in the features at row 7, column 2"
    );
}

#[test]
fn a_long_pass_can_be_stopped() {
    let (values, targets) = whole_numbers();
    let view = DenseView::new(&values, 6).unwrap();
    let samples = LabelledView::new(view.into(), &targets).unwrap();
    let mut seen = 0;
    let stopped = Statistics::of_with(&samples, ScatterKind::Full, &mut |rows| {
        seen = rows;
        std::ops::ControlFlow::Break(())
    });
    assert!(matches!(stopped, Err(Error::Interrupted)));
    assert_eq!(seen, 40);
}

/// Saved statistics, taken apart so that a part can be changed.
fn saved() -> Vec<u8> {
    let (values, targets) = whole_numbers();
    let mut statistics = Statistics::new(3, 6);
    statistics.update(&values, &targets).unwrap();
    let classifier = None;
    StatisticsFile {
        statistics,
        classifier,
    }
    .to_bytes()
}

/// The same file without a checksum, with some tensors and metadata replaced or left out.
fn changed(
    metadata: &[(&str, &str)],
    without: &[&str],
    add: impl Fn(&mut TensorWriter<'_>),
) -> String {
    let bytes = saved();
    let tensors = Tensors::parse(&bytes).unwrap();
    let mut writer = TensorWriter::new();
    for tensor in tensors
        .iter()
        .filter(|tensor| !without.contains(&tensor.name()))
    {
        let (name, shape) = (tensor.name(), tensor.shape());
        match tensor.element().name() {
            "f64" => writer.add_owned(name, shape, tensor.to_vec::<f64>().unwrap()),
            "u64" => writer.add_owned(name, shape, tensor.to_vec::<u64>().unwrap()),
            _ => writer.add_owned(name, shape, tensor.to_vec::<u32>().unwrap()),
        }
        .unwrap();
    }
    for (key, value) in tensors.all_metadata() {
        if key != "crc32" {
            writer.describe(key, value);
        }
    }
    for (key, value) in metadata {
        writer.describe(*key, *value);
    }
    add(&mut writer);
    match StatisticsFile::from_bytes(&writer.to_bytes()) {
        Ok(_) => "read".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn saved_statistics_that_are_wrong_are_refused_in_one_sentence() {
    let nothing = |_: &mut TensorWriter<'_>| {};
    let counts = |counts: [u64; 5]| {
        move |writer: &mut TensorWriter<'_>| writer.add_owned("counts", &[5], counts).unwrap()
    };
    let scatter = |place: usize, value: f64| {
        move |writer: &mut TensorWriter<'_>| {
            let mut packed = vec![1.0; 21];
            packed[place] = value;
            writer.add_owned("scatter.1", &[21], packed).unwrap();
        }
    };
    // A file of an earlier version, which had no checksum, is read.
    assert_eq!(changed(&[], &[], nothing), "read");
    let sentences = [
        changed(&[("dim", "17179869184")], &[], nothing),
        changed(&[("dim", "7")], &[], nothing),
        changed(&[("dim", "-1")], &[], nothing),
        changed(&[("num_classes", "1099511627776")], &[], nothing),
        changed(&[("num_classes", "2")], &[], nothing),
        changed(&[("scatter", "half")], &[], nothing),
        changed(&[("scatter", "trace")], &[], nothing),
        changed(&[("version", "2")], &[], nothing),
        changed(&[], &["means_low"], nothing),
        changed(&[], &["scatter.1"], nothing),
        changed(&[], &["scatter.2"], nothing),
        changed(&[], &[], counts([1, 2, 3, 4, 0])),
        changed(&[], &[], counts([u64::MAX, 1, 1, 1, 1])),
        changed(&[], &[], scatter(0, f64::NAN)),
        changed(&[], &[], scatter(5, -1.0)),
        changed(&[], &[], |writer| {
            writer
                .add_owned("square_sums", &[5], [1.0, 1.0, -1.0, 1.0, 1.0])
                .unwrap();
        }),
        changed(&[], &[], |writer| {
            writer
                .add_owned("label_sets.offsets", &[6], [0u64, 1, 2, 9, 5, 7])
                .unwrap();
        }),
        changed(&[], &[], |writer| {
            writer
                .add_owned("label_sets.labels", &[7], [0u32, 1, 2, 1, 0, 0, 2])
                .unwrap();
        }),
        changed(&[], &[], |writer| {
            writer.add_owned("weight", &[3, 6], [1.0; 18]).unwrap();
        }),
        changed(&[], &[], |writer| {
            writer.add_owned("scatter.7", &[1], [1.0]).unwrap();
        }),
        changed(&[], &[], |writer| {
            writer.add_owned("counts", &[5], [1i64; 5]).unwrap();
        }),
    ];
    insta::assert_snapshot!(sentences.join("\n"), @r#"
    expected dim of at most 16777216 in the header, found 17179869184
    expected `means` of shape [5, 7], found [5, 6]
    expected dim of at most 16777216 in the header, found -1
    expected num_classes of at most 16777216 in the header, found 1099511627776
    expected labels below 2, found larger ones
    expected scatter full or trace, found Some("half")
    found `scatter.1`, which belongs to no statistics of these label sets with scatter trace
    tagwise statistics: expected version 1 at most, found 2; read it with a newer program
    `means_low` is missing
    `scatter.1` is missing
    `scatter.2` is missing
    expected at least one sample of every label set, found none of {0, 2}
    expected `counts` whose sum fits 64 bits, found more samples
    expected finite numbers in `scatter.1`, found NaN at 0
    expected sums of squares of at least 0 on the diagonal of `scatter.1`, found -1 in dimension 2
    expected sums of squares of at least 0 in `square_sums`, found -1 at 2
    `label_sets.offsets` does not fit `label_sets.labels`
    expected the labels of every label set once and in order
    expected `weight` and `bias` both or neither, found one of them
    found `scatter.7`, which belongs to no statistics of these label sets with scatter full
    expected `counts` of u64, found i64
    "#);
}

#[test]
fn a_changed_bit_in_saved_statistics_is_found() {
    let bytes = saved();
    assert_eq!(bytes, saved(), "the same statistics give the same bytes");
    for place in [bytes.len() - 1, bytes.len() - 300, bytes.len() / 2] {
        let mut bytes = bytes.clone();
        bytes[place] ^= 4;
        assert!(StatisticsFile::from_bytes(&bytes).is_err(), "{place}");
    }
    for length in 0..bytes.len() {
        assert!(StatisticsFile::from_bytes(&bytes[..length]).is_err());
    }
}

#[test]
fn parts_with_more_samples_than_can_be_counted_do_not_merge() {
    let bytes = saved();
    let tensors = Tensors::parse(&bytes).unwrap();
    let mut writer = TensorWriter::new();
    for tensor in tensors.iter() {
        match tensor.element().name() {
            "f64" => writer.add_owned(
                tensor.name(),
                tensor.shape(),
                tensor.to_vec::<f64>().unwrap(),
            ),
            "u64" => writer.add_owned(
                tensor.name(),
                tensor.shape(),
                tensor.to_vec::<u64>().unwrap(),
            ),
            _ => writer.add_owned(
                tensor.name(),
                tensor.shape(),
                tensor.to_vec::<u32>().unwrap(),
            ),
        }
        .unwrap();
    }
    for (key, value) in tensors
        .all_metadata()
        .iter()
        .filter(|(key, _)| *key != "crc32")
    {
        writer.describe(key, value);
    }
    writer
        .add_owned("counts", &[5], [u64::MAX - 10, 1, 1, 1, 1])
        .unwrap();
    let mut huge = StatisticsFile::from_bytes(&writer.to_bytes()).unwrap();
    let error = huge
        .merge(&StatisticsFile::from_bytes(&bytes).unwrap())
        .unwrap_err();
    assert!(error.to_string().contains("that fits 64 bits"), "{error}");
    assert_eq!(huge.statistics.num_samples(), u64::MAX - 6);
}

#[test]
fn a_full_scatter_of_millions_of_dimensions_is_refused_before_it_is_made() {
    let dim = 1 << 22;
    let targets = Targets::new(1, [LabelSet::new([0])]).unwrap();
    let values = FeatureValues::F32(vec![0.0; dim]);
    let snapshot = Snapshot::new(values, dim, targets, None).unwrap();
    let error = Statistics::of(&snapshot, ScatterKind::Full).unwrap_err();
    assert!(error.to_string().contains("found 4194304"), "{error}");
    assert!(Statistics::of(&snapshot, ScatterKind::Trace).is_ok());
}

#[test]
fn numbers_behind_the_last_row_of_a_view_are_nobodys() {
    let values = [1.0f32, 2.0, f32::NAN];
    let view = DenseView::with_stride(&values, 1, 2, 2).unwrap();
    assert!(view.check_finite().is_ok());
}
