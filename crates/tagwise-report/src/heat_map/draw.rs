//! Heat maps as SVG.

use std::fmt::Write;

use super::HeatMap;
use crate::markup::{Escaped, Px, shorten, text_width};
use crate::number::true_minus;
use crate::scale::nice_step;
use crate::{Result, palette, sprite};

const WIDTH: f64 = 360.0;
const RIGHT: f64 = 6.0;
const FONT: f64 = 11.0;
/// Height of the scale below the cells.
const SCALE_HEIGHT: f64 = 58.0;
/// Up to so many classes each cell carries its value.
const MAX_NUMBERED: usize = 10;
/// Up to so many classes cells are vector graphics; beyond, pixels keep the file small.
const MAX_VECTOR: usize = 16;
/// Up to so many classes every row is named.
const MAX_NAMED: usize = 28;
const MAX_NAME_CHARS: usize = 12;
/// From this opacity on white numbers are easier to read than black ones on the light page; on the
/// dark page all numbers are light.
const WHITE_NUMBERS: f64 = 0.9;

impl HeatMap {
    /// The map as an `<svg>` element that needs no style sheet; `limit` is the end of the scale,
    /// [`common_limit`](Self::common_limit) of this map alone when `None`.
    ///
    /// # Errors
    /// [`crate::Error::HeatMapShape`] unless the values are K×K for K labels.
    pub fn svg(&self, limit: Option<f64>) -> Result<String> {
        self.check_shape()?;
        let limit = limit.unwrap_or_else(|| Self::common_limit([self]));
        let layout = Layout::new(&self.labels);
        let mut out = format!(
            "<svg class=\"heat\" viewBox=\"0 0 {WIDTH} {}\" data-cells=\"{} {} {}\" role=\"img\" aria-label=\"{}\" \
             font-family=\"system-ui,sans-serif\" font-size=\"{FONT}\" fill=\"{}\">",
            Px(layout.top + layout.side + SCALE_HEIGHT),
            Px(layout.left),
            Px(layout.top),
            Px(layout.side),
            Escaped(&self.summary()),
            palette::role("ink"),
        );
        layout.draw_names(&mut out, &self.labels);
        if self.labels.len() <= MAX_VECTOR {
            self.draw_cells(&mut out, &layout, limit);
        } else {
            self.draw_pixels(&mut out, &layout, limit)?;
        }
        let _ = write!(
            out,
            "<rect class=\"axis\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\".6\"/>",
            Px(layout.left),
            Px(layout.top),
            Px(layout.side),
            Px(layout.side),
            palette::role("axis")
        );
        self.draw_scale(&mut out, &layout, limit);
        out.push_str("</svg>");
        Ok(out)
    }

    fn draw_cells(&self, out: &mut String, layout: &Layout, limit: f64) {
        let cell = layout.side / self.labels.len().max(1) as f64;
        let numbered = self.labels.len() <= MAX_NUMBERED;
        let mut numbers = String::new();
        out.push_str("<g shape-rendering=\"crispEdges\">");
        for (i, row) in self.values.iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                let (x, y) = (layout.left + j as f64 * cell, layout.top + i as f64 * cell);
                let shade = value.map(|value| Shade::new(value, limit));
                if let Some(shade) = &shade {
                    let _ = write!(
                        out,
                        "<rect x=\"{}\" y=\"{}\" width=\"{w}\" height=\"{w}\" fill=\"{}\" fill-opacity=\"{:.2}\"/>",
                        Px(x),
                        Px(y),
                        palette::hex(shade.colour),
                        shade.opacity,
                        w = Px(cell),
                    );
                }
                if numbered {
                    let white = shade.is_some_and(|shade| shade.opacity >= WHITE_NUMBERS);
                    let fill = if white { " fill=\"#fff\"" } else { "" };
                    let _ = write!(
                        numbers,
                        "<text x=\"{}\" y=\"{}\"{fill}>{}</text>",
                        Px(x + cell / 2.0),
                        Px(y + cell / 2.0 + 3.2),
                        value.map_or("–".into(), short_cosine)
                    );
                }
            }
        }
        out.push_str("</g>");
        if numbered {
            let size = (cell * 0.32).clamp(8.5, 13.0);
            let _ = write!(
                out,
                "<g text-anchor=\"middle\" font-size=\"{}\" aria-hidden=\"true\">{numbers}</g>",
                Px(size)
            );
        }
    }

    fn draw_pixels(&self, out: &mut String, layout: &Layout, limit: f64) -> Result<()> {
        let num_classes = self.labels.len();
        let mut pixels = Vec::with_capacity(4 * num_classes * num_classes);
        for value in self.values.iter().flatten() {
            match value.map(|value| Shade::new(value, limit)) {
                Some(shade) => {
                    pixels.extend(shade.colour);
                    pixels.push((shade.opacity * 255.0).round() as u8);
                }
                None => pixels.extend([0; 4]),
            }
        }
        let png = sprite::encode_png(&pixels, num_classes, num_classes, png::ColorType::Rgba)?;
        let _ = write!(
            out,
            "<image x=\"{}\" y=\"{}\" width=\"{s}\" height=\"{s}\" style=\"image-rendering:pixelated\" \
             preserveAspectRatio=\"none\" href=\"{}\"/>",
            Px(layout.left),
            Px(layout.top),
            sprite::data_uri(&png),
            s = Px(layout.side),
        );
        Ok(())
    }

    /// Colour bar with its numbers, the ideal value and the spread of the entries.
    fn draw_scale(&self, out: &mut String, layout: &Layout, limit: f64) {
        const STEPS: i32 = 12;
        let (left, width) = (layout.left, layout.side);
        let top = layout.top + layout.side + 26.0;
        let at = |value: f64| left + (value / limit).clamp(-1.0, 1.0).midpoint(1.0) * width;
        for step in -STEPS..=STEPS {
            let shade = Shade::new(f64::from(step) / f64::from(STEPS), 1.0);
            let step_width = width / f64::from(2 * STEPS + 1);
            let _ = write!(
                out,
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"7\" fill=\"{}\" fill-opacity=\"{:.2}\"/>",
                Px(left + f64::from(step + STEPS) * step_width),
                Px(top),
                Px(step_width + 0.1),
                palette::hex(shade.colour),
                shade.opacity
            );
        }
        let soft = palette::role("soft");
        let _ = write!(
            out,
            "<g class=\"soft\" fill=\"{soft}\" text-anchor=\"middle\"><text x=\"{}\" y=\"{y}\" text-anchor=\"start\">≤ −{l}</text>\
             <text x=\"{}\" y=\"{y}\">0</text><text x=\"{}\" y=\"{y}\" text-anchor=\"end\">≥ {l}</text></g>",
            Px(left),
            Px(left + width / 2.0),
            Px(left + width),
            y = Px(top + 20.0),
            l = limit,
        );
        let ink = palette::role("ink");
        if let Some(off) = self.off_diagonal() {
            let _ = write!(
                out,
                "<g class=\"ink\" stroke=\"{ink}\" stroke-width=\"1.5\"><path d=\"M{},{y}H{}\" stroke-linecap=\"round\"/>\
                 <circle cx=\"{}\" cy=\"{y}\" r=\"2.6\" stroke=\"none\"/></g>",
                Px(at(off.low)),
                Px(at(off.high)),
                Px(at(off.mean)),
                y = Px(top - 5.0),
            );
        }
        if let Some(ideal) = self.ideal {
            let x = at(ideal);
            let _ = write!(
                out,
                "<path class=\"ink\" stroke=\"{ink}\" stroke-width=\"1\" d=\"M{x},{}v17\"/>\
                 <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">ideal {}</text>",
                Px(top - 10.0),
                Px(top - 13.0),
                short_ideal(ideal),
                x = Px(x),
            );
        }
    }
}

/// Two decimals without the leading zero, as cells have little room.
fn short_cosine(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.replace("0.", ".");
    match text.as_str() {
        ".00" | "-.00" => "0".into(),
        "1.00" => "1".into(),
        "-1.00" => "−1".into(),
        _ => true_minus(&text),
    }
}

fn short_ideal(value: f64) -> String {
    true_minus(&format!("{value:.3}"))
}

/// Colour and opacity of a value.
struct Shade {
    colour: [u8; 3],
    opacity: f64,
}

impl Shade {
    fn new(value: f64, limit: f64) -> Self {
        let (colour, opacity) = palette::diverging(value, limit);
        Self { colour, opacity }
    }
}

/// Where the cells lie.
struct Layout {
    left: f64,
    top: f64,
    side: f64,
    slanted: bool,
}

/// Every how many-th row and column is named.
fn stride(num_classes: usize) -> usize {
    match num_classes <= MAX_NAMED {
        true => 1,
        false => nice_step(num_classes as f64 / 8.0) as usize,
    }
}

impl Layout {
    fn new(labels: &[String]) -> Self {
        let widest = labels
            .iter()
            .map(|label| text_width(&shorten(label, MAX_NAME_CHARS), FONT))
            .fold(0.0, f64::max);
        let left = widest + 8.0;
        let side = WIDTH - left - RIGHT;
        let named = labels.len().div_ceil(stride(labels.len())).max(1);
        let slanted = widest > side / named as f64 - 2.0;
        let top = if slanted { 14.0 + widest * 0.72 } else { 18.0 };
        Self {
            left,
            top,
            side,
            slanted,
        }
    }

    fn draw_names(&self, out: &mut String, labels: &[String]) {
        let cell = self.side / labels.len().max(1) as f64;
        let stride = stride(labels.len());
        let soft = palette::role("soft");
        let _ = write!(out, "<g class=\"soft\" fill=\"{soft}\">");
        for (index, label) in labels.iter().enumerate().step_by(stride) {
            let name = shorten(label, MAX_NAME_CHARS);
            let middle = (index as f64 + 0.5) * cell;
            let _ = write!(
                out,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                Px(self.left - 6.0),
                Px(self.top + middle + 4.0),
                Escaped(&name)
            );
            let (x, y) = (Px(self.left + middle), Px(self.top - 5.0));
            let _ = if self.slanted {
                write!(
                    out,
                    "<text transform=\"translate({x} {y}) rotate(-45)\">{}</text>",
                    Escaped(&name)
                )
            } else {
                write!(
                    out,
                    "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
                    Escaped(&name)
                )
            };
        }
        out.push_str("</g>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_short() {
        let shown: Vec<String> = [1.0, -0.1111, 0.004, -0.004, 0.996, -1.0, 0.5]
            .map(short_cosine)
            .into();
        assert_eq!(shown, ["1", "−.11", "0", "0", "1", "−1", ".50"]);
    }
}
