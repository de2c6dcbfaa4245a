//! Statistics of features in files (tests/golden/formats.py made them), saved and merged.

use std::fs;
use std::path::{Path, PathBuf};

use tagwise::collapse::{AnalysisOptions, CollapseReport};
use tagwise::snapshot::{FeatureValues, NonFinite, Snapshot, SnapshotFile};
use tagwise::statistics::{ScatterKind, Statistics, StatisticsFile};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden/formats")
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
    insta::assert_snapshot!(error.replace(&path.display().to_string(), "FILE"), @"FILE: expected finite features, found NaN or infinity in 2 of 12 rows, first in row 3; mend them or leave them out (skip non-finite rows)");
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
