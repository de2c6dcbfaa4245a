//! Every collapse metric against an independent NumPy implementation, tests/golden/collapse.py.

use serde_json::Value;
use tagwise::Targets;
use tagwise::collapse::{AnalysisOptions, CollapseReport, Compatibility, Directions, Nc1Path};
use tagwise::snapshot::{FeatureValues, LinearClassifier, Snapshot};
use tagwise::statistics::{ScatterKind, Statistics};

/// Relative agreement asked of two float64 implementations that sum in different orders.
const PARITY: f64 = 1e-9;

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

fn snapshot(case: &Value) -> Snapshot {
    let dim = case["features"][0].as_array().unwrap().len();
    let num_classes = case["targets"][0].as_array().unwrap().len();
    let targets = Targets::from_multi_hot(&numbers(&case["targets"]), num_classes).unwrap();
    let classifier = case.get("weight").map(|weight| {
        LinearClassifier::from_rows(&numbers(weight), &numbers(&case["bias"]), dim).unwrap()
    });
    let features = FeatureValues::F64(numbers(&case["features"]));
    Snapshot::new(features, dim, targets, classifier).unwrap()
}

/// Asserts that every number of `expected` is in `found` under the same keys.
fn assert_agree(path: &str, found: &Value, expected: &Value) {
    match expected {
        Value::Object(fields) => {
            for (key, expected) in fields {
                assert_agree(&format!("{path}.{key}"), &found[key], expected);
            }
        }
        Value::Array(items) => {
            for (index, expected) in items.iter().enumerate() {
                assert_agree(&format!("{path}[{index}]"), &found[index], expected);
            }
        }
        Value::Null => assert!(found.is_null(), "{path}: found {found}, expected nothing"),
        _ => {
            let expected = expected.as_f64().unwrap();
            let found = found.as_f64().unwrap_or(f64::NAN);
            let close = (found - expected).abs() <= PARITY * expected.abs().max(1e-3);
            assert!(close, "{path}: found {found}, expected {expected}");
        }
    }
}

/// The report under the names of the golden file.
fn flatten(report: &CollapseReport) -> Value {
    let mut value = serde_json::to_value(report).unwrap();
    for (name, place) in [
        ("nc2_classifier", ["nc2", "classifier"]),
        ("nc2_centred_means", ["nc2", "centred_means"]),
        ("nc2_raw_means", ["nc2", "raw_means"]),
        ("frame_centred_means", ["frames", "centred_means"]),
        ("frame_classifier", ["frames", "classifier"]),
        ("worst", ["worst_samples", ""]),
    ] {
        let inner = match place {
            [outer, ""] => value[outer].clone(),
            [outer, inner] => value[outer][inner].clone(),
        };
        value[name] = inner;
    }
    value["nc4"] = value["nc4"]["agreement"].clone();
    value
}

fn golden() -> Vec<Value> {
    serde_json::from_str(include_str!("golden/collapse.json")).unwrap()
}

#[test]
fn every_metric_agrees_with_numpy() {
    let golden = golden();
    assert!(golden.len() >= 7);
    for entry in golden {
        let snapshot = snapshot(&entry["case"]);
        let compatibility = match entry["expected"].get("nc_mlab") {
            Some(_) => Compatibility::NcMlab,
            None => Compatibility::None,
        };
        let options = AnalysisOptions {
            num_worst: 3,
            compatibility,
            ..AnalysisOptions::default()
        };
        let report = CollapseReport::analyze(&snapshot, snapshot.classifier(), options).unwrap();
        let name = entry["name"].as_str().unwrap();
        assert_agree(name, &flatten(&report), &entry["expected"]);
    }
}

#[test]
fn the_one_pass_path_agrees_with_numpy() {
    for entry in golden() {
        let snapshot = snapshot(&entry["case"]);
        let statistics = Statistics::of(&snapshot, ScatterKind::Full).unwrap();
        let report = CollapseReport::measure(&statistics, snapshot.classifier()).unwrap();
        let mut expected = entry["expected"].clone();
        for sample_metric in ["worst", "nc4", "nc_mlab"] {
            expected.as_object_mut().unwrap().remove(sample_metric);
        }
        let name = entry["name"].as_str().unwrap();
        assert_agree(name, &flatten(&report), &expected);
    }
}

#[test]
fn the_tag_span_alone_agrees_with_numpy() {
    for entry in golden() {
        let snapshot = snapshot(&entry["case"]);
        let options = AnalysisOptions {
            directions: Directions::TagSpan,
            ..AnalysisOptions::default()
        };
        let report = CollapseReport::analyze(&snapshot, snapshot.classifier(), options).unwrap();
        assert_eq!(report.nc1_path, Nc1Path::TagSpan);
        assert_eq!(report.nc1_pooled.value, None);
        let mut expected = entry["expected"].clone();
        for left_out in ["worst", "nc_mlab"] {
            expected.as_object_mut().unwrap().remove(left_out);
        }
        let pooled = expected["nc1_pooled"].clone();
        expected["nc1"]["pooled"] = pooled;
        let groups = expected["nc1"].as_object_mut().unwrap();
        for nc1 in groups.values_mut() {
            for left_out in ["value", "rank"] {
                nc1.as_object_mut().unwrap().remove(left_out);
            }
        }
        expected["nc1_pooled"] = groups.remove("pooled").unwrap();
        let name = entry["name"].as_str().unwrap();
        assert_agree(name, &flatten(&report), &expected);
    }
}
