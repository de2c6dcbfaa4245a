//! The answer as a picture: the plane of three classes where they have features of their own, heat
//! maps of cosines, and the course of the solver.

use std::fmt::Write;
use std::path::Path;

use tagwise::file::write_atomically;
use tagwise::snapshot::FeatureValues;
use tagwise::ufm::{UfmPoint, UfmProblem};
use tagwise::{LabelSet, Targets};
use tagwise_report::plane::{choose_classes, collapse_plane};
use tagwise_report::{
    Axis, Card, Cell, Chart, Column, Geometry, HeatMap, Kind, Report, Scatter, Series, Table,
    render, standalone_svg,
};

use super::answer::Answer;
use super::tables;
use crate::failure::Usage;

/// So many classes are drawn cell by cell; of more, the most frequent ones.
const MOST_CLASSES: usize = 100;
/// Of more classes than this, heat maps show the numbers and not the names.
const MOST_NAMES: usize = 16;
/// Label sets listed in the table.
const MOST_SETS: usize = 40;

/// Refuses a name that says neither HTML nor SVG before any work is done.
pub fn check_extension(path: &Path) -> Result<(), Usage> {
    match extension(path) {
        Some("html" | "svg") => Ok(()),
        _ => Err(Usage(format!(
            "expected --report FILE.html or FILE.svg, found {}",
            path.display()
        ))),
    }
}

fn extension(path: &Path) -> Option<&str> {
    path.extension().and_then(|extension| extension.to_str())
}

/// Writes the page, or the one picture that says most.
pub fn write(
    path: &Path,
    problem: &UfmProblem,
    answer: &Answer,
    class_names: &[String],
) -> anyhow::Result<()> {
    let point = answer.point(problem)?;
    let plane = plane(problem, &point, class_names)?;
    let geometry = geometry(problem, &point, class_names)?;
    let content = if extension(path) == Some("svg") {
        let (title, svg) = match (&plane, geometry.maps.first()) {
            (Some(plane), _) => (plane.title.clone(), plane.svg()),
            (None, Some(map)) => (map.title.clone(), map.svg(None)?),
            (None, None) => anyhow::bail!("no picture was drawn"),
        };
        standalone_svg(&title, &svg)
    } else {
        render(&Report {
            kind: Kind::Ufm,
            title: "Optimal geometry".into(),
            subtitle: tables::question(answer),
            summary: tables::verdict(problem, answer),
            cards: cards(answer),
            curves: curves(answer),
            geometry: Some(geometry),
            plane,
            tables: vec![tables::multiplicities(answer), sets(answer, class_names)],
            class_names: class_names.to_vec(),
            provenance: concat!("tagwise ", env!("CARGO_PKG_VERSION")).into(),
            ..Report::default()
        })?
    };
    write_atomically(path, |file| {
        std::io::Write::write_all(file, content.as_bytes())
    })?;
    Ok(())
}

/// Every label set once, with its feature.
fn one_sample_per_set(
    problem: &UfmProblem,
    point: &UfmPoint,
) -> anyhow::Result<(FeatureValues, Targets)> {
    let sets: Vec<LabelSet> = problem
        .labels()
        .sets()?
        .into_iter()
        .map(|(set, _)| set)
        .collect();
    let features = point.set_features.col_iter();
    let features = features.flat_map(|column| column.iter().copied().collect::<Vec<_>>());
    let targets = Targets::new(problem.num_classes(), sets)?;
    Ok((FeatureValues::F64(features.collect()), targets))
}

fn plane(
    problem: &UfmProblem,
    point: &UfmPoint,
    class_names: &[String],
) -> anyhow::Result<Option<Scatter>> {
    let (features, targets) = one_sample_per_set(problem, point)?;
    let (FeatureValues::F64(features), Some(classes)) = (features, choose_classes(&targets)) else {
        return Ok(None);
    };
    // Classes on one line (a zero classifier, say) have no plane; the page does without.
    let plane = collapse_plane(&features, problem.dim(), &targets, classes, class_names);
    Ok(plane.ok().map(|mut plane| {
        plane.caption =
            "The optimal features of three classes and of their pairs, in the plane of \
                         the three class features. Balanced labels give three equal arms at 120° \
                         with every pair in its ring; imbalance bends the arms and pulls pairs \
                         out of their rings."
                .into();
        plane
    }))
}

/// Cosines of classifier rows and of the features of single labels.
fn geometry(
    problem: &UfmProblem,
    point: &UfmPoint,
    class_names: &[String],
) -> anyhow::Result<Geometry> {
    let sets = problem.labels().sets()?;
    let shown = most_frequent(problem.num_classes(), &sets);
    let name = |k: usize| match shown.len() > MOST_NAMES {
        true => k.to_string(),
        false => class_names[k].clone(),
    };
    let rows: Vec<Vec<f64>> = shown
        .iter()
        .map(|&k| point.weight.row(k).iter().copied().collect())
        .collect();
    let (mut singles, mut features) = (Vec::new(), Vec::new());
    for (column, (set, _)) in sets.iter().enumerate() {
        if let &[class] = set.labels()
            && shown.binary_search(&(class as usize)).is_ok()
        {
            singles.push(name(class as usize));
            features.push(point.set_features.col(column).iter().copied().collect());
        }
    }
    let ideal = HeatMap::ideal_simplex_etf(class_names.to_vec()).ideal;
    let names = shown.iter().map(|&k| name(k)).collect();
    let mut maps = vec![HeatMap::cosines("Classifier rows", names, &rows, &rows)?];
    if singles.len() > 1 {
        let map = HeatMap::cosines("Features of single labels", singles, &features, &features)?;
        maps.push(map);
    }
    for map in &mut maps {
        map.ideal = ideal;
        map.caption = map.summary();
    }
    Ok(Geometry {
        maps,
        caption: match shown.len() < problem.num_classes() {
            true => format!(
                "The {} most frequent of {} classes.",
                shown.len(),
                problem.num_classes()
            ),
            false => String::new(),
        },
    })
}

/// The classes to draw, in their order.
fn most_frequent(num_classes: usize, sets: &[(LabelSet, f64)]) -> Vec<usize> {
    let mut samples = vec![0.0; num_classes];
    for (set, count) in sets {
        for class in set.indices() {
            samples[class] += count;
        }
    }
    let mut shown: Vec<usize> = (0..num_classes).collect();
    shown.sort_by(|&a, &b| samples[b].total_cmp(&samples[a]));
    shown.truncate(MOST_CLASSES);
    shown.sort_unstable();
    shown
}

fn cards(answer: &Answer) -> Vec<Card> {
    let mut cards = vec![
        Card::new("Value", answer.certificate.value),
        Card::lower("Relative gap", answer.certificate.relative_gap)
            .with_note("A rigorous bound on the distance from the global optimum."),
        Card::new("Rank", answer.rank),
    ];
    if let Some(distance) = answer.geometry.as_ref().and_then(|g| g.etf_distance) {
        const ROUNDING: f64 = 1e-12;
        let shown = if distance < ROUNDING { 0.0 } else { distance };
        cards.push(
            Card::lower("Distance from a simplex ETF", shown)
                .with_note("NC2 of the classifier; 0 for balanced labels."),
        );
    }
    for (m, mass) in answer.label_mass.iter().take(4) {
        cards.push(Card::higher(format!("Label mass, {m} per sample"), *mass));
    }
    cards
}

fn curves(answer: &Answer) -> Vec<Chart> {
    if answer.course.len() < 2 {
        return Vec::new();
    }
    let mut chart = Chart::new(
        "Value above the lower bound",
        Axis::linear("Newton step"),
        Axis::log("value − dual value"),
    );
    let bound = answer.certificate.dual_value;
    let above = answer
        .course
        .iter()
        .filter(|progress| progress.value > bound);
    let points = above.map(|progress| (progress.iterations as f64, progress.value - bound));
    chart.series.push(Series::new("value", points));
    vec![chart]
}

/// The label sets that bend furthest from the plain sum of their tags.
fn sets(answer: &Answer, class_names: &[String]) -> Table {
    let mut table = Table::new(
        "Label sets furthest from the sum of their tags",
        [
            Column::new("label set"),
            Column::new("samples"),
            Column::new("uniform sum, °"),
            Column::new("weighted sum, °"),
            Column::new("by frequency, °"),
            Column::new("weights"),
        ],
    );
    let mut sets: Vec<_> = answer.geometry.iter().flat_map(|g| &g.sets).collect();
    let angle = |set: &tagwise::ufm::SetSynthesis| set.uniform_angle.unwrap_or(0.0);
    sets.sort_by(|a, b| angle(b).total_cmp(&angle(a)));
    table.caption = "Weights: of the tag vectors, in the order of the labels, for the sum that \
                     comes nearest to the feature."
        .into();
    if sets.len() > MOST_SETS {
        let _ = write!(
            table.caption,
            " The first {MOST_SETS} of {} label sets.",
            sets.len()
        );
    }
    for set in sets.into_iter().take(MOST_SETS) {
        let weights: Vec<String> = set.weights.iter().map(|w| format!("{w:.3}")).collect();
        let names: Vec<&str> = set
            .label_set
            .indices()
            .map(|k| class_names[k].as_str())
            .collect();
        table.push([
            Cell::from(format!("{{{}}}", names.join(", "))),
            tables::count_of(set.num_samples).into(),
            tables::angle(set.uniform_angle),
            tables::angle(set.weighted_angle),
            tables::angle(set.frequency_angle),
            weights.join(", ").into(),
        ]);
    }
    table
}
