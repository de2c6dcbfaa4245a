//! The page of a solved unconstrained feature model: the plane of three classes where they have
//! features of their own, heat maps of cosines, and the course of the solver.

mod tables;

use std::fmt::Write;

use tagwise::ufm::{SetSynthesis, UfmAnswer, UfmPoint, UfmProblem};
use tagwise::{LabelSet, Targets};

pub use tables::ufm_text;

use tagwise::words::counted;

use super::provenance;
use crate::contact_sheet::set_name;
use crate::plane::{choose_classes, collapse_plane};
use crate::{
    Axis, Card, Chart, Column, Geometry, HeatMap, Kind, Report, Result, Scatter, Series, Table,
};

/// So many classes are drawn cell by cell; of more, the most frequent ones.
const MOST_CLASSES: usize = 100;
/// Of more classes than this, heat maps show the numbers and not the names.
const MOST_NAMES: usize = 16;
/// Label sets listed in the table.
const MOST_SETS: usize = 40;

/// The page of an answer to a problem.
///
/// ```
/// use std::ops::ControlFlow;
/// use tagwise::ufm::{LabelCounts, SolverSettings, UfmAnswer, UfmProblem, UfmSettings};
/// use tagwise_report::build::ufm;
///
/// let labels = LabelCounts::balanced(3, [(1, 2.0), (2, 1.0)])?;
/// let problem = UfmProblem::new(labels, UfmSettings::default())?;
/// let settings = SolverSettings::default();
/// let answer = UfmAnswer::find(&problem, &settings, |_| ControlFlow::Continue(()))?;
/// let page = ufm(&problem, &answer, &["a", "b", "c"].map(String::from))?;
/// assert_eq!(page.tables.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Mathematics`](crate::Error::Mathematics) when there are too many label sets to write
/// out, [`Error::SizeMismatch`](crate::Error::SizeMismatch) unless there is one name per class.
pub fn ufm(problem: &UfmProblem, answer: &UfmAnswer, class_names: &[String]) -> Result<Report> {
    if class_names.len() != problem.num_classes() {
        return Err(crate::Error::SizeMismatch {
            what: "class names",
            expected: problem.num_classes(),
            found: class_names.len(),
        });
    }
    let point = answer.point(problem)?;
    Ok(Report {
        kind: Kind::Ufm,
        title: "Optimal geometry".into(),
        subtitle: tables::question(answer),
        summary: tables::verdict(problem, answer),
        cards: cards(answer),
        curves: curves(answer),
        geometry: Some(geometry(problem, &point, class_names)?),
        plane: plane(problem, &point, class_names)?,
        tables: vec![tables::multiplicities(answer), sets(answer, class_names)],
        class_names: class_names.to_vec(),
        provenance: provenance(),
        ..Report::default()
    })
}

/// Every label set once, with its feature `[L, d]`.
fn one_sample_per_set(problem: &UfmProblem, point: &UfmPoint) -> Result<(Vec<f64>, Targets)> {
    let sets = problem.sets()?.into_iter();
    let sets: Vec<LabelSet> = sets.map(|(set, _)| set).collect();
    let columns = point.set_features.col_iter();
    let features = columns.flat_map(|column| column.iter().copied().collect::<Vec<_>>());
    let targets = Targets::new(problem.num_classes(), sets)?;
    Ok((features.collect(), targets))
}

fn plane(
    problem: &UfmProblem,
    point: &UfmPoint,
    class_names: &[String],
) -> Result<Option<Scatter>> {
    let (features, targets) = one_sample_per_set(problem, point)?;
    let Some(classes) = choose_classes(&targets) else {
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
fn geometry(problem: &UfmProblem, point: &UfmPoint, class_names: &[String]) -> Result<Geometry> {
    let sets = problem.sets()?;
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
        map.caption = map.spread_sentence();
    }
    Ok(Geometry {
        maps,
        caption: match shown.len() < problem.num_classes() {
            true => format!(
                "The {} most frequent of {}.",
                shown.len(),
                counted(problem.num_classes(), "class")
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

fn cards(answer: &UfmAnswer) -> Vec<Card> {
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
        let name = match tables::mass_name(answer) {
            "p(S)" => "p(S)",
            _ => "Label mass",
        };
        cards.push(Card::higher(format!("{name}, {m} per sample"), *mass));
    }
    cards
}

fn curves(answer: &UfmAnswer) -> Vec<Chart> {
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
fn sets(answer: &UfmAnswer, class_names: &[String]) -> Table {
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
    let angle = |set: &SetSynthesis| set.uniform_angle.unwrap_or(0.0);
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
        table.push([
            set_name(&set.label_set, class_names).into(),
            tables::count_of(set.num_samples).into(),
            tables::angle(set.uniform_angle),
            tables::angle(set.weighted_angle),
            tables::angle(set.frequency_angle),
            weights.join(", ").into(),
        ]);
    }
    table
}
