//! The answer as tables and text.

use std::fmt::Write;

use tagwise::loss::Loss;
use tagwise::ufm::{
    Bound, MultiplicityGeometry, Spread, UfmAnswer, UfmMethod, UfmProblem, Verdict,
};
use tagwise::words::{counted, counted_as};

use crate::{Cell, Column, Table, format_number};

/// What was asked, what the optimum is, how certain that is, and what it looks like, for a terminal
/// of so many columns.
pub fn ufm_text(problem: &UfmProblem, answer: &UfmAnswer, width: usize) -> String {
    let mut text = format!("{}\n{}\n\n", question(answer), verdict(problem, answer));
    text.push_str(&multiplicities(answer).to_text(width));
    text.push('\n');
    text.push_str(&classifier(answer));
    for note in answer.geometry.iter().flat_map(|geometry| &geometry.notes) {
        let _ = writeln!(text, "Note: {note}.");
    }
    text
}

/// "10 classes, 55 label sets, 40,000 samples (12 without labels), d = 10".
pub(super) fn question(answer: &UfmAnswer) -> String {
    let unlabelled = match answer.num_unlabelled {
        0.0 => String::new(),
        count => format!(" ({} without labels)", count_of(count)),
    };
    let loss = match answer.loss {
        Loss::SetLikelihood(_) => ", set likelihood",
        _ => "",
    };
    format!(
        "{}, {}, {}{unlabelled}, d = {}, λ_W = {}, λ_H = {}{loss}",
        counted(answer.num_classes, "class"),
        several(answer.num_label_sets, "label set"),
        several(answer.num_samples, "sample"),
        answer.dim,
        format_number(answer.lambda_w),
        format_number(answer.lambda_h),
    )
}

/// "40,000 samples", of counts that need not be whole.
fn several(count: f64, thing: &str) -> String {
    // All that matters is whether it is one.
    counted_as(if count == 1.0 { 1 } else { 2 }, count_of(count), thing)
}

pub(super) fn count_of(count: f64) -> String {
    if count.fract() == 0.0 && count < 1e15 {
        crate::format_count(count as u64)
    } else {
        format_number(count)
    }
}

/// How the answer was found and what is proved about it, in one or two sentences.
pub(super) fn verdict(problem: &UfmProblem, answer: &UfmAnswer) -> String {
    let certificate = &answer.certificate;
    let found = match answer.method {
        UfmMethod::ClosedForm => "Closed form".to_string(),
        UfmMethod::Solver => format!(
            "Solved in {} and {:.3} s, rank {}",
            counted(answer.iterations, "Newton step"),
            answer.seconds,
            answer.rank
        ),
    };
    let proof = match (certificate.verdict, certificate.bound) {
        (Verdict::Certified, _) => format!(
            "certified as a global optimum: the relative gap is {:.1e}",
            certificate.relative_gap
        ),
        (Verdict::NotCertified, Bound::Relaxation) => format!(
            "not certified: non-negative features are bounded only by the optimum of free ones, \
             {:.1e} of the value below",
            certificate.relative_gap
        ),
        (Verdict::NotCertified, _) if problem.dim() < problem.num_classes() => format!(
            "not certified: with d < K only a local optimum is sought; no point is better than \
             {:.12}, {:.1e} of the value below",
            certificate.dual_value, certificate.relative_gap
        ),
        (Verdict::NotCertified, _) => format!(
            "not certified: the relative gap is {:.1e}",
            certificate.relative_gap
        ),
    };
    let zero = match answer.rank {
        0 => " W = 0 and every feature is 0: the decay is too strong for these labels.",
        _ => "",
    };
    let value = certificate.value;
    format!("{found}; value {value:.12}, {proof}.{zero}").replace("0.0e0", "0")
}

fn mean(spread: Option<Spread>) -> Cell {
    angle(spread.map(|spread| spread.mean))
}

/// Degrees; what rounding alone makes of 0 is shown as 0.
pub(super) fn angle(degrees: Option<f64>) -> Cell {
    const ROUNDING: f64 = 1e-6;
    let rounded = |angle: f64| if angle < ROUNDING { 0.0 } else { angle };
    degrees.map(rounded).into()
}

/// One row for each multiplicity.
pub(super) fn multiplicities(answer: &UfmAnswer) -> Table {
    let mut table = Table::new(
        "By multiplicity",
        [
            Column::new("labels"),
            Column::new("C_m"),
            Column::new("feature norm"),
            Column::new(mass_name(answer)),
            Column::new("to uniform sum, °"),
            Column::new("to weighted sum, °"),
            Column::new("by frequency, °"),
        ],
    );
    table.caption = "Angles in degrees between features and sums of their tag vectors, averaged \
                     over label sets."
        .into();
    const MOST: usize = 30;
    for (&m, mass) in answer.label_mass.iter().take(MOST) {
        let geometry = answer
            .geometry
            .as_ref()
            .and_then(|g| g.multiplicities.get(&m));
        let angle = |of: fn(&MultiplicityGeometry) -> Option<Spread>| mean(geometry.and_then(of));
        table.push([
            Cell::from(m),
            answer.constants.get(&m).copied().into(),
            answer.feature_norms.get(&m).copied().into(),
            (*mass).into(),
            angle(|g| g.uniform_angle),
            angle(|g| g.weighted_angle),
            angle(|g| g.frequency_angle),
        ]);
    }
    table
}

/// What `label_mass` is for the loss of the answer.
pub(super) fn mass_name(answer: &UfmAnswer) -> &'static str {
    match answer.loss {
        Loss::SetLikelihood(_) => "p(S)",
        _ => "label mass",
    }
}

fn classifier(answer: &UfmAnswer) -> String {
    let norms = &answer.row_norms;
    let low = norms.iter().copied().fold(f64::INFINITY, f64::min);
    let high = norms.iter().copied().fold(0.0, f64::max);
    let mut text = format!(
        "Classifier rows have norms from {} to {}",
        format_number(low),
        format_number(high)
    );
    let geometry = answer.geometry.as_ref();
    if let Some(cosines) = geometry.and_then(|geometry| geometry.row_cosines) {
        let ideal = -1.0 / (answer.num_classes as f64 - 1.0);
        let _ = write!(
            text,
            " and cosines from {} to {} (simplex ETF: {})",
            format_number(cosines.min),
            format_number(cosines.max),
            format_number(ideal)
        );
    }
    if let Some(distance) = geometry.and_then(|geometry| geometry.etf_distance) {
        let _ = write!(
            text,
            "; the distance from a simplex ETF (NC2) is {}",
            format_number(distance)
        );
    }
    text.push_str(".\n");
    if let Some(common) = geometry.and_then(|geometry| geometry.common) {
        let _ = write!(
            text,
            "Their mean, which says how many labels there are, has norm {}",
            format_number(common.norm)
        );
        if let Some(distance) = common.etf_distance {
            let _ = write!(
                text,
                "; without it the distance from a simplex ETF is {}",
                format_number(distance)
            );
        }
        text.push_str(".\n");
    }
    if !answer.potentials.is_empty() {
        let potentials = answer.potentials.iter().map(|&c| format_number(c));
        let potentials = potentials.collect::<Vec<_>>().join(", ");
        let most = answer.potentials.len() - 1;
        let _ = writeln!(
            text,
            "Potentials of 0 to {}: {potentials}.",
            counted(most, "label")
        );
    }
    text
}
