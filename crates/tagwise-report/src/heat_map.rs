//! Heat maps of cosines: class means, classifier rows, and the ideal they should meet.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::markup::{Escaped, Px, shorten, text_width};
use crate::number::true_minus;
use crate::scale::nice_step;
use crate::sprite;
use crate::{Error, Result, palette, typeset_number};

/// A K×K matrix shown as coloured cells around zero.
///
/// ```
/// use tagwise_report::HeatMap;
///
/// let map = HeatMap::ideal_simplex_etf(["cat", "dog", "owl"].map(String::from).into());
/// assert_eq!(map.values[0][1], Some(-0.5)); // −1/(K−1)
/// assert!(map.svg(None)?.contains("cat"));
/// # Ok::<(), tagwise_report::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// What is shown, in a few words.
    pub title: String,
    /// What to see in it; may be empty.
    #[serde(default)]
    pub caption: String,
    /// Names of rows and columns.
    pub labels: Vec<String>,
    /// Rows of values; missing where a class has no samples.
    pub values: Vec<Vec<Option<f64>>>,
    /// The value that every entry off the diagonal should have, marked on the scale.
    #[serde(default)]
    pub ideal: Option<f64>,
}

/// Lowest, mean and highest entry off the diagonal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OffDiagonal {
    /// The lowest entry.
    pub low: f64,
    /// The mean of the entries.
    pub mean: f64,
    /// The highest entry.
    pub high: f64,
}

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
    /// The matrix with entry `value(row, column)`; NaN and infinite entries count as missing.
    pub fn from_fn(
        title: impl Into<String>,
        labels: Vec<String>,
        value: impl Fn(usize, usize) -> f64,
    ) -> Self {
        let num_classes = labels.len();
        let values = (0..num_classes)
            .map(|row| {
                (0..num_classes)
                    .map(|column| Some(value(row, column)).filter(|value| value.is_finite()))
                    .collect()
            })
            .collect();
        Self {
            title: title.into(),
            labels,
            values,
            ..Self::default()
        }
    }

    /// Cosines between the rows of two sets of vectors; missing where a vector is zero.
    ///
    /// Give the same rows twice for the cosines among class means, or classifier rows and class
    /// means for their duality.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] unless there is one vector for each label on both sides, all of the
    /// same length.
    pub fn cosines(
        title: impl Into<String>,
        labels: Vec<String>,
        rows: &[Vec<f64>],
        columns: &[Vec<f64>],
    ) -> Result<Self> {
        let dim = rows.first().map_or(0, Vec::len);
        let check = |what, expected, found| match expected == found {
            true => Ok(()),
            false => Err(Error::SizeMismatch {
                what,
                expected,
                found,
            }),
        };
        check("row vectors", labels.len(), rows.len())?;
        check("column vectors", labels.len(), columns.len())?;
        for vector in rows.iter().chain(columns) {
            check("coordinates in each vector", dim, vector.len())?;
        }
        let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        Ok(Self::from_fn(title, labels, |i, j| {
            let dot: f64 = rows[i].iter().zip(&columns[j]).map(|(a, b)| a * b).sum();
            dot / (norm(&rows[i]) * norm(&columns[j]))
        }))
    }

    /// What a simplex equiangular tight frame shows: 1 on the diagonal, −1/(K−1) elsewhere.
    pub fn ideal_simplex_etf(labels: Vec<String>) -> Self {
        let off = ideal_cosine(labels.len());
        let value = |i, j| if i == j { 1.0 } else { off.unwrap_or(0.0) };
        let mut map = Self::from_fn("Ideal simplex ETF", labels, value);
        map.ideal = off;
        map
    }

    /// The spread of the entries off the diagonal; `None` when there are none.
    pub fn off_diagonal(&self) -> Option<OffDiagonal> {
        let entries = self.values.iter().enumerate().flat_map(|(i, row)| {
            row.iter()
                .enumerate()
                .filter(move |(j, _)| *j != i)
                .filter_map(|(_, value)| value.filter(|value| value.is_finite()))
        });
        let (mut count, mut sum) = (0usize, 0.0);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in entries {
            count += 1;
            sum += value;
            low = low.min(value);
            high = high.max(value);
        }
        (count > 0).then(|| OffDiagonal {
            low,
            mean: sum / count as f64,
            high,
        })
    }

    /// The end of a scale, symmetric about zero, that shows every entry off the diagonal of these
    /// maps; diagonals may exceed it.
    pub fn common_limit<'a>(maps: impl IntoIterator<Item = &'a Self>) -> f64 {
        let largest = maps
            .into_iter()
            .flat_map(|map| {
                let spread = map.off_diagonal();
                let ideal = map.ideal.unwrap_or(0.0);
                spread.map_or([0.0, 0.0, ideal], |off| [off.low, off.high, ideal])
            })
            .fold(0.0, |largest: f64, value| largest.max(value.abs()));
        match largest {
            0.0 => 1.0,
            largest => nice_step(largest * 1.05),
        }
    }

    /// The map as an `<svg>` element that needs no style sheet; `limit` is the end of the scale,
    /// [`common_limit`](Self::common_limit) of this map alone when `None`.
    ///
    /// # Errors
    /// [`Error::HeatMapShape`] unless the values are K×K for K labels.
    pub fn svg(&self, limit: Option<f64>) -> Result<String> {
        self.check_shape()?;
        let limit = limit.unwrap_or_else(|| Self::common_limit([self]));
        let layout = Layout::new(&self.labels);
        let mut out = format!(
            "<svg class=\"heat\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{}\" \
             font-family=\"system-ui,sans-serif\" font-size=\"{FONT}\" fill=\"{}\">",
            Px(layout.top + layout.side + SCALE_HEIGHT),
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

    /// The map in words, for readers who cannot see it.
    pub fn summary(&self) -> String {
        let mut text = format!("{}, {} classes.", self.title, self.labels.len());
        if let Some(off) = self.off_diagonal() {
            let _ = write!(
                text,
                " Off the diagonal {} on average, from {} to {}.",
                typeset_number(off.mean),
                typeset_number(off.low),
                typeset_number(off.high)
            );
        }
        if let Some(ideal) = self.ideal {
            let _ = write!(text, " Ideal {}.", typeset_number(ideal));
        }
        text
    }

    fn check_shape(&self) -> Result<()> {
        let expected = self.labels.len();
        let wrong = |place: String, found| Error::HeatMapShape {
            title: self.title.clone(),
            expected,
            place,
            found,
        };
        if self.values.len() != expected {
            return Err(wrong("rows".into(), self.values.len()));
        }
        for (index, row) in self.values.iter().enumerate() {
            if row.len() != expected {
                return Err(wrong(format!("row {index}"), row.len()));
            }
        }
        Ok(())
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

/// −1/(K−1); `None` below two classes.
pub(crate) fn ideal_cosine(num_classes: usize) -> Option<f64> {
    (num_classes >= 2).then(|| -1.0 / (num_classes - 1) as f64)
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
        let colour = if value < 0.0 {
            palette::NEGATIVE
        } else {
            palette::POSITIVE
        };
        Self {
            colour,
            opacity: (value / limit).abs().min(1.0),
        }
    }
}

/// Where the cells lie.
struct Layout {
    left: f64,
    top: f64,
    side: f64,
    slanted: bool,
}

impl Layout {
    fn new(labels: &[String]) -> Self {
        let widest = labels
            .iter()
            .map(|label| text_width(&shorten(label, MAX_NAME_CHARS), FONT))
            .fold(0.0, f64::max);
        let left = widest + 8.0;
        let side = WIDTH - left - RIGHT;
        let slanted = widest > side / labels.len().clamp(1, MAX_NAMED) as f64 - 2.0
            && labels.len() <= MAX_NAMED;
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
        let stride = if labels.len() <= MAX_NAMED {
            1
        } else {
            nice_step(labels.len() as f64 / 8.0) as usize
        };
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

    fn names(num_classes: usize) -> Vec<String> {
        (0..num_classes).map(|class| class.to_string()).collect()
    }

    #[test]
    fn two_classes_look_like_this() {
        let svg = HeatMap::ideal_simplex_etf(names(2)).svg(None).unwrap();
        insta::assert_snapshot!(svg.replace("><", ">\n<"), @r##"
        <svg class="heat" viewBox="0 0 360 415.7" role="img" aria-label="Ideal simplex ETF, 2 classes. Off the diagonal −1.000 on average, from −1.000 to −1.000. Ideal −1.000." font-family="system-ui,sans-serif" font-size="11" fill="#1b1f27">
        <g class="soft" fill="#565d6b">
        <text x="8.3" y="106.9" text-anchor="end">0</text>
        <text x="99.2" y="13" text-anchor="middle">0</text>
        <text x="8.3" y="276.8" text-anchor="end">1</text>
        <text x="269.1" y="13" text-anchor="middle">1</text>
        </g>
        <g shape-rendering="crispEdges">
        <rect x="14.3" y="18" width="169.9" height="169.9" fill="#c45412" fill-opacity="0.50"/>
        <rect x="184.1" y="18" width="169.9" height="169.9" fill="#1f6fb4" fill-opacity="0.50"/>
        <rect x="14.3" y="187.9" width="169.9" height="169.9" fill="#1f6fb4" fill-opacity="0.50"/>
        <rect x="184.1" y="187.9" width="169.9" height="169.9" fill="#c45412" fill-opacity="0.50"/>
        </g>
        <g text-anchor="middle" font-size="13" aria-hidden="true">
        <text x="99.2" y="106.1">1</text>
        <text x="269.1" y="106.1">−1</text>
        <text x="99.2" y="276">−1</text>
        <text x="269.1" y="276">1</text>
        </g>
        <rect class="axis" x="14.3" y="18" width="339.7" height="339.7" fill="none" stroke="#9aa1ae" stroke-width=".6"/>
        <rect x="14.3" y="383.7" width="13.7" height="7" fill="#1f6fb4" fill-opacity="1.00"/>
        <rect x="27.9" y="383.7" width="13.7" height="7" fill="#1f6fb4" fill-opacity="0.92"/>
        <rect x="41.4" y="383.7" width="13.7" height="7" fill="#1f6fb4" fill-opacity="0.83"/>
        <rect x="55" y="383.7" width="13.7" height="7" fill="#1f6fb4" fill-opacity="0.75"/>
        <rect x="68.6" y="383.7" width="13.7" height="7" fill="#1f6fb4" fill-opacity="0.67"/>
        <rect x="82.2" y="383.7" width="13.7" height="7" fill="#1f6fb4" fill-opacity="0.58"/>
        <rect x="95.8" y="383.7" width="13.7" height="7" fill="#1f6fb4" fill-opacity="0.50"/>
        <rect x="109.4" y="383.7" width="13.7" height="7" fill="#1f6fb4" fill-opacity="0.42"/>
        <rect x="123" y="383.7" width="13.7" height="7" fill="#1f6fb4" fill-opacity="0.33"/>
        <rect x="136.6" y="383.7" width="13.7" height="7" fill="#1f6fb4" fill-opacity="0.25"/>
        <rect x="150.2" y="383.7" width="13.7" height="7" fill="#1f6fb4" fill-opacity="0.17"/>
        <rect x="163.8" y="383.7" width="13.7" height="7" fill="#1f6fb4" fill-opacity="0.08"/>
        <rect x="177.3" y="383.7" width="13.7" height="7" fill="#c45412" fill-opacity="0.00"/>
        <rect x="190.9" y="383.7" width="13.7" height="7" fill="#c45412" fill-opacity="0.08"/>
        <rect x="204.5" y="383.7" width="13.7" height="7" fill="#c45412" fill-opacity="0.17"/>
        <rect x="218.1" y="383.7" width="13.7" height="7" fill="#c45412" fill-opacity="0.25"/>
        <rect x="231.7" y="383.7" width="13.7" height="7" fill="#c45412" fill-opacity="0.33"/>
        <rect x="245.3" y="383.7" width="13.7" height="7" fill="#c45412" fill-opacity="0.42"/>
        <rect x="258.9" y="383.7" width="13.7" height="7" fill="#c45412" fill-opacity="0.50"/>
        <rect x="272.5" y="383.7" width="13.7" height="7" fill="#c45412" fill-opacity="0.58"/>
        <rect x="286.1" y="383.7" width="13.7" height="7" fill="#c45412" fill-opacity="0.67"/>
        <rect x="299.6" y="383.7" width="13.7" height="7" fill="#c45412" fill-opacity="0.75"/>
        <rect x="313.2" y="383.7" width="13.7" height="7" fill="#c45412" fill-opacity="0.83"/>
        <rect x="326.8" y="383.7" width="13.7" height="7" fill="#c45412" fill-opacity="0.92"/>
        <rect x="340.4" y="383.7" width="13.7" height="7" fill="#c45412" fill-opacity="1.00"/>
        <g class="soft" fill="#565d6b" text-anchor="middle">
        <text x="14.3" y="403.7" text-anchor="start">≤ −2</text>
        <text x="184.1" y="403.7">0</text>
        <text x="354" y="403.7" text-anchor="end">≥ 2</text>
        </g>
        <g class="ink" stroke="#1b1f27" stroke-width="1.5">
        <path d="M99.2,378.7H99.2" stroke-linecap="round"/>
        <circle cx="99.2" cy="378.7" r="2.6" stroke="none"/>
        </g>
        <path class="ink" stroke="#1b1f27" stroke-width="1" d="M99.2,373.7v17"/>
        <text x="99.2" y="370.7" text-anchor="middle">ideal −1.000</text>
        </svg>
        "##);
    }

    #[test]
    fn the_ideal_map_of_an_etf_equals_measured_cosines() {
        let etf = tagwise::etf::simplex_etf(4, 6).unwrap();
        let rows: Vec<Vec<f64>> = (0..4)
            .map(|i| (0..6).map(|j| 3.0 * etf[(i, j)]).collect())
            .collect();
        let measured = HeatMap::cosines("W", names(4), &rows, &rows).unwrap();
        let ideal = HeatMap::ideal_simplex_etf(names(4));
        for (a, b) in measured
            .values
            .iter()
            .flatten()
            .zip(ideal.values.iter().flatten())
        {
            assert!((a.unwrap() - b.unwrap()).abs() < 1e-12);
        }
        let off = measured.off_diagonal().unwrap();
        assert!((off.mean + 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_zero_vector_has_no_cosines() {
        let rows = vec![vec![1.0, 0.0], vec![0.0, 0.0]];
        let map = HeatMap::cosines("means", names(2), &rows, &rows).unwrap();
        assert_eq!(map.values[0][1], None);
        let svg = map.svg(None).unwrap();
        assert!(svg.contains('–') && !svg.contains("NaN"));
        assert!(map.off_diagonal().is_none());
    }

    #[test]
    fn many_classes_become_pixels_and_stay_small() {
        let map = HeatMap::from_fn("means", names(80), |i, j| {
            if i == j {
                1.0
            } else {
                ((i * 37 + j * 37) % 100) as f64 / 400.0 - 0.12
            }
        });
        let svg = map.svg(None).unwrap();
        assert!(
            svg.contains("data:image/png;base64,") && svg.len() < 30_000,
            "{}",
            svg.len()
        );
    }

    #[test]
    fn one_class_and_no_class_are_drawn() {
        for num_classes in [0, 1] {
            let svg = HeatMap::ideal_simplex_etf(names(num_classes))
                .svg(None)
                .unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn the_scale_is_wide_enough_and_round() {
        let map = HeatMap::from_fn("m", names(3), |i, j| if i == j { 1.0 } else { -0.13 });
        assert_eq!(HeatMap::common_limit([&map]), 0.2);
        assert_eq!(HeatMap::common_limit([]), 1.0);
    }

    #[test]
    fn a_matrix_that_is_not_square_is_refused() {
        let mut map = HeatMap::ideal_simplex_etf(names(3));
        map.values[1].pop();
        assert_eq!(
            map.svg(None).unwrap_err().to_string(),
            "heat map \"Ideal simplex ETF\": expected 3 values in row 1, found 2"
        );
    }

    #[test]
    fn cosines_are_short() {
        let shown: Vec<String> = [1.0, -0.1111, 0.004, -0.004, 0.996, -1.0, 0.5]
            .map(short_cosine)
            .into();
        assert_eq!(shown, ["1", "−.11", "0", "0", "1", "−1", ".50"]);
    }
}
