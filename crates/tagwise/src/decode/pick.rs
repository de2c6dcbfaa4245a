//! Labels picked from one row of scores.

use crate::LabelSet;

/// The first label of largest score.
pub(super) fn top_label(row: &[f64]) -> usize {
    let mut top = 0;
    for (label, score) in row.iter().enumerate() {
        if *score > row[top] {
            top = label;
        }
    }
    top
}

/// The labels whose number and score `keep` wants.
pub(super) fn labels_where<T: Copy + Into<f64>>(
    row: &[T],
    mut keep: impl FnMut(usize, f64) -> bool,
) -> LabelSet {
    let labels = row.iter().enumerate();
    labels
        .filter(|&(label, &score)| keep(label, score.into()))
        .map(|(label, _)| label as u32)
        .collect()
}

/// The m labels of largest score, ties to the smaller label; `scratch` keeps its memory.
pub(super) fn top<T: Copy + Into<f64>>(row: &[T], m: usize, scratch: &mut Vec<f64>) -> LabelSet {
    let m = m.min(row.len());
    if m == 0 {
        return LabelSet::default();
    }
    // Adding 0 turns −0 into 0, so that the two tie.
    let key = |score: f64| score + 0.0;
    scratch.clear();
    scratch.extend(row.iter().map(|&score| key(score.into())));
    scratch.select_nth_unstable_by(m - 1, |a, b| b.total_cmp(a));
    let weakest = scratch[m - 1];
    let above = row.iter().filter(|&&score| key(score.into()) > weakest);
    let mut ties_left = m - above.count();
    labels_where(row, |_, score| {
        let is_tie = key(score) == weakest && ties_left > 0;
        ties_left -= usize::from(is_tie);
        key(score) > weakest || is_tie
    })
}
