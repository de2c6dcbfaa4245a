//! What pages consist of, whatever the number of classes: their outline is kept, so that a part that
//! goes missing or takes over is seen.

use std::fmt::Write;
use std::ops::ControlFlow;

use tagwise::collapse::AnalysisOptions;
use tagwise::etf::simplex_etf;
use tagwise::snapshot::{FeatureValues, LinearClassifier, Snapshot};
use tagwise::ufm::{LabelCounts, SolverSettings, UfmAnswer, UfmProblem, UfmSettings};
use tagwise::{LabelSet, Targets};
use tagwise_report::build::{Analysis, analyses, analysis, ufm};
use tagwise_report::{Report, render};

/// Features around the rows of a simplex ETF, and around sums of two for pairs; the spread is a fixed
/// pattern, of a size that differs from class to class.
fn snapshot(num_classes: usize, spread: f64) -> Snapshot {
    let dim = num_classes.max(4);
    let etf = simplex_etf(num_classes, dim).unwrap();
    let row = |class: u32| {
        (0..dim)
            .map(move |j| (class, j))
            .map(|(k, j)| etf[(k as usize, j)])
    };
    let mut sets: Vec<LabelSet> = Vec::new();
    for class in 0..num_classes as u32 {
        sets.extend((0..6).map(|_| LabelSet::new([class])));
    }
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        if b < num_classes as u32 {
            sets.extend((0..6).map(|_| LabelSet::new([a, b])));
        }
    }
    let mut values = Vec::new();
    for (sample, set) in sets.iter().enumerate() {
        let mut feature = vec![0.0; dim];
        for &class in set.labels() {
            feature
                .iter_mut()
                .zip(row(class))
                .for_each(|(x, w)| *x += w);
        }
        for (j, x) in feature.iter_mut().enumerate() {
            let wave = ((sample * 7 + j * 13) as f64).sin() + ((sample * j) as f64).cos();
            *x += spread * wave / (dim as f64).sqrt();
        }
        values.extend(feature);
    }
    let weight: Vec<f64> = (0..num_classes as u32).flat_map(row).collect();
    let classifier = LinearClassifier::from_rows(&weight, &vec![0.0; num_classes], dim).unwrap();
    let targets = Targets::new(num_classes, sets).unwrap();
    Snapshot::new(FeatureValues::F64(values), dim, targets, Some(classifier)).unwrap()
}

fn measured(name: &str, num_classes: usize, spread: f64) -> Analysis {
    let snapshot = snapshot(num_classes, spread);
    let options = AnalysisOptions::default();
    let mut measured = Analysis::measure(name, &snapshot, snapshot.classifier(), options).unwrap();
    measured.class_names = (0..num_classes).map(|k| format!("class {k}")).collect();
    measured
}

/// The parts of a page in their order: headings, key figures, tables and pictures.
fn outline(report: &Report) -> String {
    let html = render(report).unwrap();
    let mut out = String::new();
    let mut rest = html.as_str();
    let marks = [
        ("<h2 id=", "\n", "</h2>"),
        ("<dl class=\"cards\">", "key figures", ""),
        ("<ul class=\"notes\">", "notes", ""),
        ("<summary>", "  folded: ", " <span>"),
        ("<caption>", "  table: ", "</caption>"),
        ("<svg class=\"heat\"", "    map", ""),
        ("<svg class=\"chart\"", "    chart", ""),
        ("<svg class=\"plane\"", "    plane", ""),
        ("<h3>", "  figure: ", "</h3>"),
    ];
    while let Some((at, (mark, before, end))) = marks
        .iter()
        .filter_map(|mark| Some((rest.find(mark.0)?, mark)))
        .min_by_key(|(at, _)| *at)
    {
        rest = &rest[at + mark.len()..];
        let text = match *end {
            "" => "",
            end => rest.split(end).next().unwrap_or(""),
        };
        let text = text.rsplit('>').next().unwrap_or(text);
        let _ = writeln!(out, "{}{text}", before.trim_start_matches('\n'));
    }
    let links = html.matches("Numbers as CSV").count();
    let pictures = html.matches("data-save=").count();
    let _ = write!(out, "{links} files of numbers, {pictures} pictures to save");
    out
}

#[test]
fn few_classes_have_everything() {
    insta::assert_snapshot!(outline(&analysis(&measured("a.npz", 10, 0.2)).unwrap()), @r"
    key figures
    notes
    Results
      table: Neural collapse: 0 is exact
      folded: In detail
      table: Tag-wise averages
      table: Classes
      table: Samples farthest from the mean of their label set
      table: Label sets farthest from their tag-wise average
    Geometry
      figure: Class means, centred
        map
      figure: Classifier rows
        map
      figure: Ideal simplex ETF
        map
    9 files of numbers, 3 pictures to save
    ");
}

#[test]
fn many_classes_fold_their_table_and_order_their_maps() {
    let report = analysis(&measured("a.npz", 150, 0.2)).unwrap();
    let html = render(&report).unwrap();
    insta::assert_snapshot!(outline(&report), @r"
    key figures
    notes
    Results
      table: Neural collapse: 0 is exact
      folded: In detail
      table: Tag-wise averages
      folded: Classes
      table: Samples farthest from the mean of their label set
      table: Label sets farthest from their tag-wise average
    Geometry
      figure: Class means, centred
        map
      figure: Classifier rows
        map
      figure: Ideal simplex ETF
        map
    9 files of numbers, 3 pictures to save
    ");
    assert!(html.contains("class=\"maps many\"") && html.contains("150 rows"));
    let pictures = html.find("<svg class=\"heat\"").unwrap();
    let before = html[..pictures].matches("<tr>").count();
    let folded = html[..pictures].split("<details").skip(1);
    let folded: usize = folded
        .map(|part| {
            part.split("</details>")
                .next()
                .unwrap_or("")
                .matches("<tr>")
                .count()
        })
        .sum();
    assert!(
        before - folded < 60,
        "{before} rows, {folded} of them folded"
    );
    assert!(html.len() < 4_000_000, "{}", html.len());
}

#[test]
fn twenty_classes_fold_their_table_and_are_laid_out_as_ten_are() {
    let outline_of = |classes| outline(&analysis(&measured("a.npz", classes, 0.2)).unwrap());
    let of_ten = outline_of(10);
    assert!(of_ten.contains("  table: Classes\n"));
    let folded = of_ten.replace("  table: Classes\n", "  folded: Classes\n");
    assert_eq!(outline_of(20), folded);
}

#[test]
fn two_classes_are_a_page() {
    insta::assert_snapshot!(outline(&analysis(&measured("a.npz", 2, 0.2)).unwrap()), @r"
    key figures
    notes
    Results
      table: Neural collapse: 0 is exact
      folded: In detail
      table: Tag-wise averages
      table: Classes
      table: Samples farthest from the mean of their label set
      table: Label sets farthest from their tag-wise average
    Geometry
      figure: Class means, centred
        map
      figure: Classifier rows
        map
      figure: Ideal simplex ETF
        map
    9 files of numbers, 3 pictures to save
    ");
}

#[test]
fn several_files_are_named_on_the_axis_and_have_verdicts() {
    let files = [("one.npz", 0.6), ("two.npz", 0.3), ("three.npz", 0.05)];
    let measured: Vec<Analysis> = files
        .iter()
        .map(|(name, spread)| measured(name, 10, *spread))
        .collect();
    let report = analyses(&measured);
    let html = render(&report).unwrap();
    for (name, _) in files {
        assert!(
            html.contains(&format!("text-anchor=\"middle\">{name}</text>")),
            "{name}"
        );
    }
    assert!(
        report
            .summary
            .starts_with("From one.npz to three.npz: NC1 from "),
        "{}",
        report.summary
    );
    insta::assert_snapshot!(outline(&report), @r"
    Results
      table: Neural collapse by file: 0 is exact
      table: Verdicts
    From file to file
      figure: NC1
        chart
      figure: NC2
        chart
      figure: NC3
        chart
      figure: NC_m
        chart
    6 files of numbers, 4 pictures to save
    ");
}

/// Between tags and outside scripts and links there is no hyphen before a digit where a minus is meant,
/// and no power of ten as programs write it.
#[test]
fn numbers_have_one_dress() {
    let labels = LabelCounts::balanced(20, [(1, 30.0), (2, 2.0)]).unwrap();
    let problem = UfmProblem::new(labels, UfmSettings::default()).unwrap();
    let settings = SolverSettings::default();
    let answer = UfmAnswer::find(&problem, &settings, |_| ControlFlow::Continue(())).unwrap();
    let names: Vec<String> = (0..20).map(|k| format!("class {k}")).collect();
    let optimum = ufm(&problem, &answer, &names).unwrap();
    assert!(
        optimum.subtitle.ends_with("λ_H = 1.02e-4"),
        "{}",
        optimum.subtitle
    );
    for report in [
        optimum,
        analysis(&measured("a.npz", 10, 1e-4)).unwrap(),
        analyses(&[measured("a.npz", 10, 0.3), measured("b.npz", 10, 1e-5)]),
    ] {
        let html = render(&report).unwrap();
        let body = html.split("<script>").next().unwrap();
        let text: Vec<&str> = body
            .split('<')
            .filter_map(|part| part.split_once('>'))
            .map(|part| part.1)
            .collect();
        for word in text.iter().flat_map(|text| text.split_whitespace()) {
            let number = word.trim_matches(['(', ')', ',', '.', ';']);
            let is_plain = number.parse::<f64>().is_ok() && number.contains(['-', 'e']);
            assert!(!is_plain, "{word}");
        }
    }
}
