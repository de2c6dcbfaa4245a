//! `tagwise stats`, `merge` and `analyze` as their users meet them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use insta::assert_snapshot;
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tagwise-base/tests/golden/formats")
        .join(name)
}

fn tagwise(arguments: &[&str], paths: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagwise"));
    command.args(arguments).args(paths).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    let folder = golden("");
    String::from_utf8(bytes.to_vec())
        .unwrap()
        .replace(&folder.display().to_string(), "")
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn statistics_of_a_file_measure_as_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (state, merged) = (folder.path().join("a.ncs"), folder.path().join("all.ncs"));
    let features = golden("f64.safetensors");
    let output = tagwise(&["stats", "--out"], &[&state, &features]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = tagwise(&["merge", "--out"], &[&merged, &state, &state]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let direct = json(&tagwise(&["analyze", "--json"], &[&features]));
    let doubled = json(&tagwise(&["analyze", "--json"], &[&merged]));
    let (direct, doubled) = (&direct["files"][0], &doubled["files"][0]);
    assert_eq!(doubled["num_samples"], 24);
    for (outer, inner) in [("nc2", "centred_means"), ("nc1_pooled", "value")] {
        let (a, b) = (
            direct[outer][inner].as_f64().unwrap(),
            doubled[outer][inner].as_f64().unwrap(),
        );
        assert!(
            (a / b - 1.0).abs() < 1e-9,
            "{outer}.{inner}: {a} against {b}"
        );
    }
    assert!(direct["nc4"]["agreement"].is_number() && doubled["nc4"].is_null());
}

#[test]
fn an_empty_shard_merges_as_others_do() {
    use tagwise::snapshot::{FeatureValues, Snapshot};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let features = golden("f64.safetensors");
    let whole = json(&tagwise(&["analyze", "--json"], &[&features]));
    let size = |name: &str| whole["files"][0][name].as_u64().unwrap() as usize;
    let targets = tagwise::Targets::new(size("num_classes"), []).unwrap();
    let none = FeatureValues::F64(Vec::new());
    let classifier = Snapshot::read(&features).unwrap().classifier().cloned();
    let shard = Snapshot::new(none, size("dim"), targets, classifier).unwrap();
    let (empty, one, two, both) = (
        at("empty.safetensors"),
        at("1.ncs"),
        at("2.ncs"),
        at("all.ncs"),
    );
    shard.write(&empty).unwrap();
    for (out, from) in [(&one, &empty), (&two, &features)] {
        let output = tagwise(&["stats", "--out"], &[out, from]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let output = tagwise(&["merge", "--out"], &[&both, &one, &two]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let merged = json(&tagwise(&["analyze", "--json"], &[&both]));
    assert_eq!(
        merged["files"][0]["num_samples"],
        whole["files"][0]["num_samples"]
    );
    assert_eq!(merged["files"][0]["nc2"], whole["files"][0]["nc2"]);
    let refusals = [&empty, &one].map(|nothing| {
        let output = tagwise(&["analyze"], &[nothing]);
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr).replace(nothing.to_str().unwrap(), "FILE")
    });
    assert_eq!(refusals[0], refusals[1]);
    assert_snapshot!(refusals[0], @"tagwise: FILE: collapse is measured on labelled samples, and there is none");
}

#[test]
fn the_table_says_what_each_metric_means() {
    let output = tagwise(
        &["analyze", "--worst", "2", "--compat", "nc-mlab"],
        &[&golden("f32.safetensors")],
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_snapshot!(text(&output.stdout), @r"
f32.safetensors: 12 samples, 4 classes, 9 label sets of up to 2 labels, d = 3
Not collapsed by NC1 (m = 1), NC2 (W, means), NC3 and NC_m (m = 2); no verdict on NC1 (m = 2): label sets repeat too seldom to show spread. The class means are 28.0° from the certified optimum for these label counts in 3 dimensions (λ_W = 0.005, λ_H = 1.67e-3), 27.9° from a simplex ETF.

Neural collapse: 0 is exact
metric        value  by chance  verdict         what it means
──────────────────────────────────────────────────────────────────────────────────────────────────────────────
NC1, m = 1        –     0.4444  not collapsed   Features of a class spread as widely as class means are apart.
NC1, m = 2        –     0.1736  cannot be told  No verdict: 6 samples in 5 label sets repeat too few to show
                                                spread.
NC1, all          –     0.2531  cannot be told  No verdict: 12 samples in 9 label sets repeat too few to show
                                                spread.
NC2 (W)      1.200      0.7433  not collapsed   The classifier rows are far from a simplex ETF.
NC2 (means)  0.6497     0.7433  not collapsed   The class means are far from a simplex ETF.
NC3          1.340      0.7433  not collapsed   Classifier and class means are not aligned.
NC_m, m = 2  0.8690     1.000   not collapsed   Multi-label means are hardly nearer to their own tag-wise
                                                averages than chance.

In detail
detail                                                value  when collapsed
──────────────────────────────────────────────────────────────────────────────────────────────────────
NC1 as published, m = 1                             11.00    0
trace quotient, m = 1                                2.825   0
trace quotient as published, m = 1                   0.3556  0
CDNV, m = 1                                          0.1366  0
NC1 in all directions, m = 2                         0.2054  about the samples per label set
NC1 as published, m = 2                              0.2568  0
trace quotient, m = 2                                5.042   0
trace quotient as published, m = 2                   0.1789  0
CDNV, m = 2                                          0.0783  0
NC1 in all directions, all                           0.0969  about the samples per label set
NC1 as published, all                                0.2181  0
trace quotient, all                                  4.577   0
trace quotient as published, all                     0.2581  0
CDNV, all                                            0.1497  0
NC2 (means) as published, less the mean of samples   0.6881  0 for equally many samples
NC3 as published, less the mean of samples           1.341   0 for equally many samples
NC2, raw means                                       0.6943  0, or that of orthogonal means after ReLU
norms of W: deviation / mean                         0.1193  0
cosines of W: deviation                              0.3469  0
cosines of W: distance from −1/(K−1)                 0.8536  0
smallest angle of W, degrees                        30.10    109.47
log energy of W                                      0.1428  -0.4904
log kernel of W: deviation                           0.3491  0
norms of means: deviation / mean                     0.2761  0
cosines of means: deviation                          0.5975  0
cosines of means: distance from −1/(K−1)             0.5151  0
smallest angle of means, degrees                    48.92    109.47
log energy of means                                 -0.3546  -0.4904
log kernel of means: deviation                       0.3267  0
angle of W to the means, degrees                    72.23    0
squared distance of W to the means                   1.621   0
NC4: nearest mean agrees with W                      0.3333  1
effective rank of the means                          2.364   3

As the paper's public code computes them
metric         value
────────────────────
nc1           5.787
nc2_w         1.200
nc2_h         0.6943
nc3           1.342
angle_metric  0.8589

Tag-wise averages
m  sets  angle to own sum, °  to best sum, °  to any sum, °    NC_m  NC_m, best weights
───────────────────────────────────────────────────────────────────────────────────────
2     5                73.56           40.52          84.65  0.8690              0.4508

Classes
class  alone  samples  norm, centred  spread  angle to W, °
───────────────────────────────────────────────────────────
    0      2        5          3.941   4.037          38.29
    1      2        5          8.582   6.350         159.5
    2      1        3          8.772   0              62.45
    3      1        5          6.794   0              28.69

Samples farthest from the mean of their label set
row  labels  distance / typical  nearest set mean  W says
─────────────────────────────────────────────────────────
  3  {1, 3}               1.732  {2}               {1, 2}
 11  {1, 3}               1.732  {1}               {0, 2}

note: 6 of 9 label sets occur once and show no spread
note: NC1 from the within-scatter, d × d per multiplicity, of one pass
");
}

#[test]
fn several_files_are_compared_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    let files = [
        golden("f32.safetensors"),
        golden("stored.npz"),
        golden("folder"),
    ];
    let paths: Vec<&Path> = std::iter::once(page.as_path())
        .chain(files.iter().map(PathBuf::as_path))
        .collect();
    let output = tagwise(&["analyze", "--report"], &paths);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("stored.npz"));
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("<svg") && html.contains("NC3"));
    // Every family of metrics has a chart under its own name.
    assert!(html.contains(">NC_m<") && html.contains("From file to file"));
    let one = tagwise(&["analyze", "--report"], &[&page, &files[0]]);
    assert!(one.status.success(), "{}", text(&one.stderr));
    assert!(std::fs::read_to_string(&page).unwrap().contains("simplex"));
}

#[test]
fn the_ending_of_a_report_says_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let features = golden("f32.safetensors");
    let write = |name: &str| {
        let page = folder.path().join(name);
        (tagwise(&["analyze", "--report"], &[&page, &features]), page)
    };
    let (output, page) = write("page.json");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let data: Value = serde_json::from_slice(&std::fs::read(page).unwrap()).unwrap();
    assert_eq!(data["kind"], "analysis");
    let reason = &data["cards"][1]["verdict"]["verdict"]["reason"];
    assert_eq!(reason["why"], "too_few_repeats");
    let (output, page) = write("page.svg");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        std::fs::read_to_string(page)
            .unwrap()
            .starts_with("<svg xmlns")
    );
    let (output, page) = write("page.csv");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let numbers = std::fs::read_to_string(page).unwrap();
    assert!(numbers.starts_with("figure,series,x,value\nKey figures,\"NC1, m = 1\",,"));
    let (output, page) = write("page.pdf");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty() && !page.exists());
    assert!(
        text(&output.stderr)
            .ends_with("page.pdf: expected a name that ends in .html, .svg, .csv or .json\n")
    );
}

#[test]
fn the_plane_may_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("t.csv");
    let mut rows = String::from("x,y,label\n");
    for (name, x, y) in [
        ("a", 1.0, 0.0),
        ("b", 0.0, 1.0),
        ("c", -1.0, -1.0),
        ("d", 2.0, 2.0),
    ] {
        for noise in [0.0, 0.1, 0.2] {
            rows += &format!("{},{},{name}\n", x + noise, y - noise);
        }
    }
    std::fs::write(&table, rows).unwrap();
    let page = folder.path().join("p.csv");
    let plane = |chosen: &str| {
        let arguments = [
            "analyze",
            "--label-columns",
            "label",
            "--plane",
            chosen,
            "--report",
        ];
        tagwise(&arguments, &[&page, &table])
    };
    let page = folder.path().join("p.json");
    let output = tagwise(
        &[
            "analyze",
            "--label-columns",
            "label",
            "--plane",
            "d,b,0",
            "--report",
        ],
        &[&page, &table],
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let data: Value = serde_json::from_slice(&std::fs::read(page).unwrap()).unwrap();
    let arms = data["plane"]["arms"].as_array().unwrap();
    let names: Vec<&str> = arms
        .iter()
        .map(|arm| arm["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["d", "b", "a"]);
    for (chosen, expected) in [
        (
            "a,b,x",
            "expected a class for --plane, one of a, b, c, d, found \"x\"",
        ),
        (
            "a,b",
            "expected three different classes for --plane, found a, b",
        ),
        (
            "a,b,0",
            "expected three different classes for --plane, found a, b, 0",
        ),
    ] {
        let output = plane(chosen);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            text(&output.stderr).contains(expected),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_list_of_no_worst_samples_is_empty() {
    let features = golden("f32.safetensors");
    for more in [
        &["--worst", "0"][..],
        &["--worst", "0", "--directions", "tag-span"],
    ] {
        let output = tagwise(&[&["analyze", "--json"], more].concat(), &[&features]);
        assert_eq!(
            json(&output)["files"][0]["worst_samples"],
            serde_json::json!([])
        );
    }
}

#[test]
fn label_sets_that_occur_once_are_not_called_collapsed() {
    let folder = tempfile::tempdir().unwrap();
    let features = folder.path().join("once.safetensors");
    // The optimal features of each pair of six classes, one sample each.
    let output = tagwise(
        &["ufm", "-k", "6", "--counts", "2:1", "--save"],
        &[&features],
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = tagwise(&["analyze", "--worst", "0"], &[&features]);
    let table = text(&output.stdout);
    let line = |start: &str| {
        table
            .lines()
            .find(|line| line.starts_with(start))
            .unwrap()
            .trim_end()
    };
    assert_eq!(
        line("NC1, m = 2"),
        "NC1, m = 2          –     0       cannot be told  No verdict: every label set occurs once and shows no spread."
    );
    let measured = json(&tagwise(&["analyze", "--json"], &[&features]));
    let headline = &measured["files"][0]["headlines"][0];
    assert_eq!(headline["verdict"]["state"], "cannot_be_told");
    assert_eq!(headline["verdict"]["reason"]["num_sets"], 15);
}

#[test]
fn failures_are_one_sentence_and_exit_1() {
    for (arguments, file) in [
        (vec!["analyze"], "not_finite.npz"),
        (vec!["analyze"], "pickled"),
        (vec!["analyze"], "missing.safetensors"),
    ] {
        let output = tagwise(&arguments, &[&golden(file)]);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        // Lines of Python that convert a file stand indented below the sentence.
        let message = text(&output.stderr);
        let sentences = message.lines().filter(|line| !line.starts_with("    "));
        assert_eq!(sentences.count(), 1, "{message}");
        let named = text(&output.stderr).matches(file).count();
        assert_eq!(named, 1, "{}", text(&output.stderr));
    }
    let skipped = tagwise(
        &["analyze", "--json", "--skip-non-finite"],
        &[&golden("not_finite.npz")],
    );
    assert_eq!(json(&skipped)["files"][0]["num_samples"], 10);
    assert_snapshot!(text(&skipped.stderr), @"not_finite.npz: left out 2 samples with NaN or infinity, first in row 3");
}
