//! Names and last values at the ends of lines.

use std::fmt::Write;

use super::{BOTTOM, Chart, FONT, Frame, HEIGHT, TOP};
use crate::markup::{Escaped, Px, shorten, text_width};
use crate::number::typeset_number;
use crate::palette;
use crate::scale::Range;

/// The least distance between the base lines of two labels.
const LABEL_STEP: f64 = 15.0;
const MAX_NAME_CHARS: usize = 24;
/// How much wider bold digits are.
const BOLDER: f64 = 1.1;
/// Name and last value beside the end of a line.
pub(super) struct EndLabel {
    y: f64,
    name: String,
    full_name: String,
    value: Option<f64>,
    position: Option<usize>,
}

impl EndLabel {
    pub(super) fn width(&self) -> f64 {
        let value = self.value.map(typeset_number).unwrap_or_default();
        text_width(&self.name, FONT) + text_width(" ", FONT) + BOLDER * text_width(&value, FONT)
    }
}

impl Chart {
    pub(super) fn end_labels(&self, y: &Range) -> Vec<EndLabel> {
        let plot_height = HEIGHT - BOTTOM - TOP;
        let place = |value: f64| {
            let place = y.place(value).unwrap_or(0.0);
            TOP + (1.0 - place) * plot_height
        };
        let lines = self
            .series
            .iter()
            .enumerate()
            .filter_map(|(position, series)| {
                let (_, value) = series.present().next_back()?;
                Some(EndLabel {
                    y: place(value),
                    name: shorten(&series.name, MAX_NAME_CHARS),
                    full_name: series.name.clone(),
                    value: Some(value),
                    position: Some(position),
                })
            });
        let levels = self
            .references
            .iter()
            .filter(|reference| y.place(reference.value).is_some())
            .map(|reference| EndLabel {
                y: place(reference.value),
                name: shorten(&reference.name, MAX_NAME_CHARS),
                full_name: reference.name.clone(),
                value: None,
                position: None,
            });
        let mut labels: Vec<EndLabel> = lines.chain(levels).collect();
        labels.sort_by(|a, b| a.y.total_cmp(&b.y));
        let mut heights: Vec<f64> = labels.iter().map(|label| label.y).collect();
        spread(&mut heights, LABEL_STEP, TOP, HEIGHT - BOTTOM);
        for (label, height) in labels.iter_mut().zip(heights) {
            label.y = height;
        }
        labels
    }

    pub(super) fn draw_end_labels(&self, out: &mut String, frame: &Frame) {
        for label in self.end_labels(&frame.y) {
            let (class, colour) = match label.position {
                Some(position) => (
                    format!("f{}", position % palette::SERIES.len() + 1),
                    palette::series(position).light,
                ),
                None => ("soft".into(), palette::role("soft")),
            };
            let _ = write!(
                out,
                "<text x=\"{}\" y=\"{}\" class=\"{class}\" fill=\"{colour}\">",
                Px(frame.right + 9.0),
                Px(label.y + 4.0),
            );
            if label.name != label.full_name {
                let _ = write!(out, "<title>{}</title>", Escaped(&label.full_name));
            }
            if label.name.is_empty() {
                out.push_str("<tspan font-weight=\"600\">");
            } else {
                let _ = write!(out, "{} <tspan font-weight=\"600\">", Escaped(&label.name));
            }
            let value = label.value.map(typeset_number).unwrap_or_default();
            let _ = write!(out, "{value}</tspan></text>");
        }
    }
}

/// Moves sorted heights apart until neighbours are `step` away from each other, staying between
/// `top` and `bottom` where there is room.
fn spread(heights: &mut [f64], step: f64, top: f64, bottom: f64) {
    let room = (bottom - top) / heights.len().max(1) as f64;
    let step = step.min(room.max(8.0));
    // each cluster of touching labels is centred on the mean of its wishes
    let mut clusters: Vec<(f64, usize)> = Vec::new(); // (sum of wishes for the first label, size)
    for &height in heights.iter() {
        clusters.push((height, 1));
        while let [.., (above, above_len), (below, below_len)] = clusters[..] {
            let above_end = above / above_len as f64 + (above_len - 1) as f64 * step;
            if below / below_len as f64 >= above_end + step {
                break;
            }
            clusters.pop();
            clusters.pop();
            let shifted = below - (above_len * below_len) as f64 * step;
            clusters.push((above + shifted, above_len + below_len));
        }
    }
    let mut slots = heights.iter_mut();
    for (sum, len) in clusters {
        let last = (bottom - (len - 1) as f64 * step).max(top);
        let first = (sum / len as f64).clamp(top, last);
        for position in 0..len {
            if let Some(slot) = slots.next() {
                *slot = first + position as f64 * step;
            }
        }
    }
    // clamping at one edge may have pushed clusters into each other
    for position in 1..heights.len() {
        heights[position] = heights[position].max(heights[position - 1] + step);
    }
    for position in (1..heights.len()).rev() {
        let limit = if position + 1 == heights.len() {
            bottom
        } else {
            heights[position + 1] - step
        };
        heights[position] = heights[position].min(limit);
        heights[position - 1] = heights[position - 1].min(heights[position] - step);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn spread_labels_keep_their_order_and_distance(mut heights in prop::collection::vec(0.0f64..250.0, 0..10)) {
            heights.sort_by(f64::total_cmp);
            spread(&mut heights, LABEL_STEP, 0.0, 250.0);
            for pair in heights.windows(2) {
                prop_assert!(pair[1] - pair[0] >= LABEL_STEP - 1e-9);
            }
            for height in heights {
                prop_assert!((-1e-9..=250.0 + 1e-9).contains(&height));
            }
        }

        #[test]
        fn labels_with_room_stay_where_they_are(first in 0.0f64..100.0, gap in LABEL_STEP..100.0) {
            let mut heights = [first, first + gap];
            spread(&mut heights, LABEL_STEP, 0.0, 250.0);
            prop_assert!((heights[0] - first).abs() < 1e-9 && (heights[1] - first - gap).abs() < 1e-9);
        }
    }
}
