//! The answer as a picture: the plane of three classes where they have features of their own, heat
//! maps of cosines, and the course of the solver.

use std::path::Path;

use anyhow::Context;
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

/// Classes up to which cosines are drawn cell by cell.
const MOST_CLASSES: usize = 128;
/// Label sets listed in the table.
const MOST_SETS: usize = 200;

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
pub fn write(path: &Path, problem: &UfmProblem, answer: &Answer) -> anyhow::Result<()> {
    let point = answer.point(problem)?;
    let class_names: Vec<String> = (0..problem.num_classes()).map(|k| k.to_string()).collect();
    let plane = plane(problem, &point, &class_names)?;
    let content = if extension(path) == Some("svg") {
        let (title, svg) = match (&plane, geometry(problem, &point, &class_names)?) {
            (Some(plane), _) => (plane.title.clone(), plane.svg()),
            (None, Some(geometry)) => {
                let map = geometry.maps.first().context("no heat map was drawn")?;
                (map.title.clone(), map.svg(None)?)
            }
            (None, None) => anyhow::bail!(
                "no picture can be drawn: no three classes have features of their own, and {} \
                 classes are too many for a heat map (at most {MOST_CLASSES})",
                problem.num_classes()
            ),
        };
        standalone_svg(&title, &svg)
    } else {
        let geometry = geometry(problem, &point, &class_names)?;
        render(&Report {
            kind: Kind::Ufm,
            title: "Optimal geometry".into(),
            subtitle: tables::question(answer),
            summary: tables::verdict(problem, answer),
            cards: cards(answer),
            curves: curves(answer),
            geometry,
            plane,
            tables: vec![tables::multiplicities(answer), sets(answer)],
            class_names,
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
    Ok(collapse_plane(&features, problem.dim(), &targets, classes, class_names).ok())
}

fn geometry(
    problem: &UfmProblem,
    point: &UfmPoint,
    class_names: &[String],
) -> anyhow::Result<Option<Geometry>> {
    if problem.num_classes() > MOST_CLASSES {
        return Ok(None);
    }
    let rows: Vec<Vec<f64>> = point
        .weight
        .row_iter()
        .map(|row| row.iter().copied().collect())
        .collect();
    let mut map = HeatMap::cosines("Classifier rows", class_names.to_vec(), &rows, &rows)?;
    let ideal = HeatMap::ideal_simplex_etf(class_names.to_vec());
    map.ideal = ideal.ideal;
    map.caption = map.summary();
    Ok(Some(Geometry {
        maps: vec![map, ideal],
        caption: String::new(),
    }))
}

fn cards(answer: &Answer) -> Vec<Card> {
    let mut cards = vec![
        Card::new("Value", answer.certificate.value),
        Card::lower("Relative gap", answer.certificate.relative_gap)
            .with_note("A rigorous bound on the distance from the global optimum."),
        Card::new("Rank", answer.rank),
    ];
    if let Some(distance) = answer.geometry.as_ref().and_then(|g| g.etf_distance) {
        cards.push(
            Card::lower("Distance from a simplex ETF", distance)
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
fn sets(answer: &Answer) -> Table {
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
    if sets.len() > MOST_SETS {
        table.caption = format!("The first {MOST_SETS} of {}.", sets.len());
    }
    for set in sets.into_iter().take(MOST_SETS) {
        let weights: Vec<String> = set.weights.iter().map(|w| format!("{w:.3}")).collect();
        table.push([
            Cell::from(set.label_set.to_string()),
            set.num_samples.into(),
            set.uniform_angle.into(),
            set.weighted_angle.into(),
            set.frequency_angle.into(),
            weights.join(", ").into(),
        ]);
    }
    table
}
