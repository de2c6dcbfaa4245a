//! A series on its way to pixels.

use std::fmt::Write;

use super::{BOTTOM, Frame, HEIGHT, Series};
use crate::markup::{Escaped, Px};
use crate::number::typeset_number;
use crate::palette;

/// Lines with no more points than this show each point.
const MAX_MARKED_POINTS: usize = 25;
/// Lines with more points than this are thinned to the extremes of each pixel column.
const MAX_DRAWN_POINTS: usize = 1200;

/// One line: its points, thinned out where there are many.
pub(super) struct Line {
    /// Pixel position, the values there, and whether the pen was lifted before.
    pub points: Vec<LinePoint>,
    /// Horizontal positions of values at or below zero on a logarithmic axis.
    pub below: Vec<f64>,
}

pub(super) struct LinePoint {
    x_px: f64,
    y_px: f64,
    x: f64,
    y: f64,
    starts: bool,
}

impl Line {
    pub fn trace(series: &Series, frame: &Frame) -> Self {
        let mut line = Self {
            points: Vec::with_capacity(series.points.len()),
            below: Vec::new(),
        };
        let mut starts = true;
        for &(x, y) in &series.points {
            let (Some(x_px), Some(y)) = (frame.x_px(x), y.filter(|y| y.is_finite())) else {
                starts = true;
                continue;
            };
            match frame.y_px(y) {
                Some(y_px) => {
                    line.points.push(LinePoint {
                        x_px,
                        y_px,
                        x,
                        y,
                        starts,
                    });
                    starts = false;
                }
                None => {
                    line.below.push(x_px);
                    starts = true;
                }
            }
        }
        if line.points.len() > MAX_DRAWN_POINTS {
            line.thin_out();
        }
        line
    }

    /// Keeps the first, lowest, highest and last point of each pixel column: the picture stays the
    /// same, whatever the number of steps.
    fn thin_out(&mut self) {
        let columns = self
            .points
            .chunk_by(|a, b| !b.starts && a.x_px.round() == b.x_px.round());
        let mut keep = Vec::new();
        let mut start = 0;
        for column in columns {
            let by_height = |a: &usize, b: &usize| column[*a].y_px.total_cmp(&column[*b].y_px);
            let highest = (0..column.len()).min_by(by_height).unwrap_or(0);
            let lowest = (0..column.len()).max_by(by_height).unwrap_or(0);
            let mut kept = [0, highest, lowest, column.len() - 1];
            kept.sort_unstable();
            keep.extend(kept.map(|offset| start + offset));
            start += column.len();
        }
        keep.dedup();
        let mut keep = keep.into_iter().peekable();
        let mut index = 0;
        self.points.retain(|_| {
            let wanted = keep.next_if_eq(&index).is_some();
            index += 1;
            wanted
        });
    }

    pub fn draw(&self, out: &mut String, position: usize, series: &Series) {
        let colour = palette::series(position).light;
        let number = position % palette::SERIES.len() + 1;
        let dash = if position < palette::SERIES.len() {
            ""
        } else {
            " stroke-dasharray=\"6 3\""
        };
        let _ = write!(
            out,
            "<g class=\"series\" data-name=\"{}\" data-x=\"",
            Escaped(&series.name)
        );
        for (at, point) in self.points.iter().enumerate() {
            let space = if at > 0 { " " } else { "" };
            let _ = write!(out, "{space}{}", point.x);
        }
        out.push_str("\" data-y=\"");
        for (at, point) in self.points.iter().enumerate() {
            let space = if at > 0 { " " } else { "" };
            let _ = write!(out, "{space}{}", typeset_number(point.y));
        }
        let _ = write!(
            out,
            "\"><path class=\"s{number}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
             stroke-linejoin=\"round\" stroke-linecap=\"round\"{dash} d=\""
        );
        for point in &self.points {
            let pen = if point.starts { 'M' } else { 'L' };
            let _ = write!(out, "{pen}{},{}", Px(point.x_px), Px(point.y_px));
        }
        out.push_str("\"/>");
        for (at, point) in self.points.iter().enumerate() {
            let last = at + 1 == self.points.len();
            let alone = point.starts && self.points.get(at + 1).is_none_or(|next| next.starts);
            if last || alone || self.points.len() <= MAX_MARKED_POINTS {
                let _ = write!(
                    out,
                    "<circle class=\"f{number}\" fill=\"{colour}\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>",
                    Px(point.x_px),
                    Px(point.y_px),
                    if last || alone { "3.5" } else { "2.5" }
                );
            }
        }
        for &x in &self.below {
            let _ = write!(
                out,
                "<path class=\"f{number}\" fill=\"{colour}\" d=\"M{},{}h8l-4,6z\"/>",
                Px(x - 4.0),
                Px(HEIGHT - BOTTOM - 7.0)
            );
        }
        out.push_str("</g>");
    }
}
