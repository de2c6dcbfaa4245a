//! Line charts: several series over epochs, steps or layers.

mod label;
mod line;

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use self::label::EndLabel;
use self::line::Line;
use crate::markup::{Escaped, Px, text_width};
use crate::number::typeset_number;
use crate::palette;
use crate::scale::{Fit, Range, Scale};

/// A line chart with each line named at its end.
///
/// ```
/// use tagwise_report::{Axis, Chart, Series};
///
/// let mut chart = Chart::new("Within-class variability", Axis::linear("epoch"), Axis::log("NC1"));
/// chart.series.push(Series::new("1 label", [(1.0, 2.4), (2.0, 0.31), (3.0, 0.02)]));
/// let svg = chart.svg();
/// assert!(svg.starts_with("<svg") && svg.contains("0.0200"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// What is shown, in a few words.
    pub title: String,
    /// What to see in it; may be empty.
    #[serde(default)]
    pub caption: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines.
    pub series: Vec<Series>,
    /// Levels to compare with, drawn as dashed horizontal lines.
    #[serde(default)]
    pub references: Vec<Reference>,
}

/// One axis of a chart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// Name and unit.
    pub label: String,
    /// Linear or logarithmic.
    #[serde(default)]
    pub scale: Scale,
    /// What stands at 1, 2, 3, … in place of these numbers, such as the names of files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// One line of a chart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The name at the end of the line.
    pub name: String,
    /// Points in the order they are joined; a missing value leaves a gap.
    pub points: Vec<(f64, Option<f64>)>,
    /// How sure the points are: position, lower and upper end, in the order of the points; drawn
    /// as a pale band where there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub band: Vec<(f64, f64, f64)>,
}

/// A level that lines are compared with, for example the value of the ideal geometry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// What the level is.
    pub name: String,
    /// Where it is.
    pub value: f64,
}

impl Axis {
    /// A linear axis.
    pub fn linear(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            scale: Scale::Linear,
            names: Vec::new(),
        }
    }

    /// A linear axis on which 1, 2, 3, … have names.
    pub fn named(label: impl Into<String>, names: impl IntoIterator<Item = String>) -> Self {
        Self {
            names: names.into_iter().collect(),
            ..Self::linear(label)
        }
    }

    /// A logarithmic axis.
    pub fn log(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            scale: Scale::Log,
            names: Vec::new(),
        }
    }
}

impl Axis {
    /// What a tick is called.
    pub(crate) fn name<'a>(&'a self, label: &'a str, value: f64) -> &'a str {
        let place = (value.fract() == 0.0 && value >= 1.0).then(|| value as usize - 1);
        place
            .and_then(|place| self.names.get(place))
            .map_or(label, String::as_str)
    }
}

/// As much of a text as has room in a picture: its end, where the names of files differ.
fn fitting(text: &str, room: f64) -> String {
    let mut shown = text.to_string();
    while text_width(&shown, FONT) > room && shown.chars().count() > 4 {
        shown = format!("…{}", shown.chars().skip(2).collect::<String>());
    }
    shown
}

impl Series {
    /// A line through these points; NaN and infinite values become gaps.
    pub fn new(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points: points
                .into_iter()
                .map(|(x, y)| (x, y.is_finite().then_some(y)))
                .collect(),
            band: Vec::new(),
        }
    }

    /// The points that have a value.
    fn present(&self) -> impl DoubleEndedIterator<Item = (f64, f64)> + Clone + '_ {
        self.points
            .iter()
            .filter(|(x, _)| x.is_finite())
            .filter_map(|&(x, y)| y.filter(|y| y.is_finite()).map(|y| (x, y)))
    }
}

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 320.0;
const FONT: f64 = 12.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 38.0;
/// Where the plot area lies and what it shows.
struct Frame {
    left: f64,
    right: f64,
    x: Range,
    y: Range,
}

impl Chart {
    /// An empty chart with these axes.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self {
            title: title.into(),
            x,
            y,
            ..Self::default()
        }
    }

    /// The chart as an `<svg>` element that needs no style sheet.
    pub fn svg(&self) -> String {
        let frame = self.frame();
        let mut out = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" data-x=\"{}\" role=\"img\" aria-label=\"{}\" \
             font-family=\"system-ui,sans-serif\" font-size=\"{FONT}\" fill=\"{}\">",
            Escaped(&self.x.label),
            Escaped(&self.summary()),
            palette::role("ink"),
        );
        self.draw_axes(&mut out, &frame);
        self.draw_references(&mut out, &frame);
        let drawn = self.draw_series(&mut out, &frame);
        if drawn == 0 {
            let _ = write!(
                out,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" class=\"soft\">no values</text>",
                Px((frame.left + frame.right) / 2.0),
                Px((TOP + HEIGHT - BOTTOM) / 2.0),
            );
        }
        self.draw_end_labels(&mut out, &frame);
        out.push_str("</svg>");
        out
    }

    /// The chart in words, for readers who cannot see it.
    pub fn summary(&self) -> String {
        let mut text = format!("{}: {} over {}.", self.title, self.y.label, self.x.label);
        for series in &self.series {
            let mut present = series.present();
            let _ = match (present.next(), present.next_back()) {
                (Some((_, first)), Some((_, last))) => write!(
                    text,
                    " {} from {} to {}.",
                    series.name,
                    typeset_number(first),
                    typeset_number(last)
                ),
                (Some((_, only)), None) => {
                    write!(text, " {} is {}.", series.name, typeset_number(only))
                }
                _ => write!(text, " {} has no values.", series.name),
            };
        }
        text
    }

    fn frame(&self) -> Frame {
        let values = self.series.iter().flat_map(Series::present);
        let levels = self.references.iter().map(|reference| reference.value);
        let bands = self.series.iter().flat_map(|series| &series.band);
        let bands = bands.flat_map(|&(_, low, high)| [low, high]);
        let y = Range::new(
            self.y.scale,
            Fit::Ticks,
            values.clone().map(|(_, y)| y).chain(levels).chain(bands),
            6,
        );
        let names = (1..=self.x.names.len()).map(|place| place as f64);
        let places = values.map(|(x, _)| x).chain(names);
        let x = Range::new(self.x.scale, Fit::Data, places, 8);
        let widest = |labels: &mut dyn Iterator<Item = f64>| labels.fold(0.0, f64::max);
        let ticks = widest(&mut y.ticks.iter().map(|tick| text_width(&tick.label, FONT)));
        let names = widest(&mut self.end_labels(&y).iter().map(EndLabel::width));
        Frame {
            left: 10.0 + ticks.max(24.0),
            right: WIDTH - 14.0 - names.max(8.0),
            x,
            y,
        }
    }

    fn draw_axes(&self, out: &mut String, frame: &Frame) {
        let (grid, axis, soft) = (
            palette::role("grid"),
            palette::role("axis"),
            palette::role("soft"),
        );
        let log = match self.y.scale {
            Scale::Linear => "",
            Scale::Log => " (log scale)",
        };
        let _ = write!(
            out,
            "<text x=\"0\" y=\"13\" class=\"soft\" fill=\"{soft}\">{}{log}</text>",
            Escaped(&self.y.label)
        );
        let _ = write!(out, "<g class=\"grid\" stroke=\"{grid}\" fill=\"none\">");
        for tick in &frame.y.ticks {
            if let Some(y) = frame.y_px(tick.value) {
                let _ = write!(
                    out,
                    "<path d=\"M{},{}H{}\"/>",
                    Px(frame.left),
                    Px(y),
                    Px(frame.right)
                );
            }
        }
        let base = HEIGHT - BOTTOM;
        let _ = write!(
            out,
            "</g><path class=\"axis\" stroke=\"{axis}\" d=\"M{},{}H{}",
            Px(frame.left),
            Px(base),
            Px(frame.right)
        );
        for tick in &frame.x.ticks {
            if let Some(x) = frame.x_px(tick.value) {
                let _ = write!(out, "M{},{}v4", Px(x), Px(base));
            }
        }
        let _ = write!(out, "\"/><g class=\"soft\" fill=\"{soft}\">");
        for tick in &frame.y.ticks {
            if let Some(y) = frame.y_px(tick.value) {
                let _ = write!(
                    out,
                    "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                    Px(frame.left - 7.0),
                    Px(y + 4.0),
                    Escaped(&tick.label)
                );
            }
        }
        let room = (frame.right - frame.left) / frame.x.ticks.len().max(1) as f64;
        for tick in &frame.x.ticks {
            if let Some(x) = frame.x_px(tick.value) {
                let name = self.x.name(&tick.label, tick.value);
                let shown = fitting(name, room);
                // A name at an end must not leave the picture.
                let half = text_width(&shown, FONT) / 2.0;
                let x = x.clamp(half, (WIDTH - half).max(half));
                let _ = write!(
                    out,
                    "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">",
                    Px(x),
                    Px(base + 18.0),
                );
                if shown != name {
                    let _ = write!(out, "<title>{}</title>", Escaped(name));
                }
                let _ = write!(out, "{}</text>", Escaped(&shown));
            }
        }
        let _ = write!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text></g>",
            Px(frame.right),
            Px(HEIGHT - 3.0),
            Escaped(&self.x.label)
        );
    }

    fn draw_references(&self, out: &mut String, frame: &Frame) {
        let soft = palette::role("soft");
        for reference in &self.references {
            if let Some(y) = frame.y_px(reference.value) {
                let _ = write!(
                    out,
                    "<path class=\"level\" stroke=\"{soft}\" stroke-dasharray=\"2 4\" d=\"M{},{}H{}\"/>",
                    Px(frame.left),
                    Px(y),
                    Px(frame.right)
                );
            }
        }
    }

    /// Draws the lines and returns how many points had a place.
    fn draw_series(&self, out: &mut String, frame: &Frame) -> usize {
        let mut drawn = 0;
        for (position, series) in self.series.iter().enumerate() {
            draw_band(out, position, series, frame);
            let line = Line::trace(series, frame);
            drawn += line.points.len() + line.below.len();
            line.draw(out, position, series);
        }
        drawn
    }
}

/// The band of a series as one area: its upper ends forth, its lower ends back.
fn draw_band(out: &mut String, position: usize, series: &Series, frame: &Frame) {
    let ends = |end: fn(&(f64, f64, f64)) -> f64| -> Vec<(f64, f64)> {
        let points = series.band.iter();
        let points =
            points.filter_map(|point| Some((frame.x_px(point.0)?, frame.y_px(end(point))?)));
        points.collect()
    };
    let (upper, mut lower) = (ends(|point| point.2), ends(|point| point.1));
    if upper.len() != lower.len() || upper.len() < 2 {
        return;
    }
    lower.reverse();
    let colour = palette::series(position).light;
    let number = position % palette::SERIES.len() + 1;
    let _ = write!(
        out,
        "<path class=\"f{number}\" fill=\"{colour}\" opacity=\"0.18\" d=\""
    );
    for (at, (x, y)) in upper.into_iter().chain(lower).enumerate() {
        let pen = if at == 0 { 'M' } else { 'L' };
        let _ = write!(out, "{pen}{},{}", Px(x), Px(y));
    }
    out.push_str("Z\"/>");
}

impl Frame {
    fn x_px(&self, value: f64) -> Option<f64> {
        let place = self.x.place(value)?;
        Some(self.left + place * (self.right - self.left))
    }

    fn y_px(&self, value: f64) -> Option<f64> {
        let place = self.y.place(value)?;
        Some(TOP + (1.0 - place) * (HEIGHT - BOTTOM - TOP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_is_one_area_behind_its_line() {
        let mut series = Series::new("NC1", [(0.0, 1.0), (1.0, 0.1)]);
        series.band = vec![(0.0, 0.5, 2.0), (1.0, 0.05, 0.2)];
        let svg = chart(Scale::Log, vec![series.clone()]).svg();
        let (band, line) = (svg.find("opacity=\"0.18\""), svg.find("class=\"series\""));
        assert!(band.unwrap() < line.unwrap());
        series.band.truncate(1);
        assert!(!chart(Scale::Log, vec![series]).svg().contains("0.18"));
    }

    fn chart(scale: Scale, series: Vec<Series>) -> Chart {
        Chart {
            title: "NC1".into(),
            x: Axis::linear("epoch"),
            y: Axis {
                scale,
                ..Axis::linear("NC1")
            },
            series,
            ..Chart::default()
        }
    }

    /// Number of line segments and move commands in the first path of the first series.
    fn pen_moves(svg: &str) -> (usize, usize) {
        let series = svg.split("class=\"series\"").nth(1).unwrap();
        let path = series.split(" d=\"").nth(1).unwrap();
        let path = path.split('"').next().unwrap();
        (path.matches('M').count(), path.matches('L').count())
    }

    #[test]
    fn a_small_chart_looks_like_this() {
        let chart = chart(
            Scale::Log,
            vec![Series::new("train", [(1.0, 1.0), (2.0, 0.1), (3.0, 0.01)])],
        );
        insta::assert_snapshot!(chart.svg().replace("><", ">\n<"), @r##"
        <svg class="chart" viewBox="0 0 560 320" data-x="epoch" role="img" aria-label="NC1: NC1 over epoch. train from 1.000 to 0.0100." font-family="system-ui,sans-serif" font-size="12" fill="#1b1f27">
        <text x="0" y="13" class="soft" fill="#565d6b">NC1 (log scale)</text>
        <g class="grid" stroke="#e4e7ec" fill="none">
        <path d="M34.6,272.8H471.1"/>
        <path d="M34.6,158H471.1"/>
        <path d="M34.6,43.2H471.1"/>
        </g>
        <path class="axis" stroke="#9aa1ae" d="M34.6,282H471.1M34.6,282v4M252.9,282v4M471.1,282v4"/>
        <g class="soft" fill="#565d6b">
        <text x="27.6" y="276.8" text-anchor="end">0.01</text>
        <text x="27.6" y="162" text-anchor="end">0.1</text>
        <text x="27.6" y="47.2" text-anchor="end">1</text>
        <text x="34.6" y="300" text-anchor="middle">1</text>
        <text x="252.9" y="300" text-anchor="middle">2</text>
        <text x="471.1" y="300" text-anchor="middle">3</text>
        <text x="471.1" y="317" text-anchor="end">epoch</text>
        </g>
        <g class="series" data-name="train" data-x="1 2 3" data-y="1.000 0.1000 0.0100">
        <path class="s1" fill="none" stroke="#0b62a8" stroke-width="2" stroke-linejoin="round" stroke-linecap="round" d="M34.6,43.2L252.9,158L471.1,272.8"/>
        <circle class="f1" fill="#0b62a8" cx="34.6" cy="43.2" r="2.5"/>
        <circle class="f1" fill="#0b62a8" cx="252.9" cy="158" r="2.5"/>
        <circle class="f1" fill="#0b62a8" cx="471.1" cy="272.8" r="3.5"/>
        </g>
        <text x="480.1" y="276.8" class="f1" fill="#0b62a8">train <tspan font-weight="600">0.0100</tspan>
        </text>
        </svg>
        "##);
    }

    #[test]
    fn positions_may_have_names() {
        let long = "a-long-name-of-a-file-epoch-03.npz";
        let names = ["epoch-01.npz", "epoch-02.npz", long].map(String::from);
        let mut chart = chart(
            Scale::Linear,
            vec![Series::new("all", [(1.0, 1.0), (2.0, 0.5), (3.0, 0.2)])],
        );
        chart.x = Axis::named("file", names);
        let svg = chart.svg();
        assert!(svg.contains(">epoch-01.npz</text>") && svg.contains(">epoch-02.npz</text>"));
        assert!(svg.contains(&format!("<title>{long}</title>…")), "{svg}");
        assert!(svg.contains("epoch-03.npz</text>"));
    }

    #[test]
    fn missing_values_lift_the_pen() {
        let series = Series::new(
            "train",
            [
                (1.0, 1.0),
                (2.0, 2.0),
                (3.0, f64::NAN),
                (4.0, 1.5),
                (5.0, 1.0),
            ],
        );
        assert_eq!(pen_moves(&chart(Scale::Linear, vec![series]).svg()), (2, 2));
    }

    #[test]
    fn zeros_on_a_logarithmic_axis_are_marked_at_the_edge() {
        let series = Series::new("train", [(1.0, 1.0), (2.0, 0.0), (3.0, 0.1)]);
        let svg = chart(Scale::Log, vec![series]).svg();
        assert_eq!(pen_moves(&svg), (2, 0));
        assert_eq!(svg.matches("l-4,6z").count(), 1);
    }

    #[test]
    fn charts_without_values_say_so() {
        for series in [vec![], vec![Series::new("train", [(1.0, f64::NAN)])]] {
            for scale in [Scale::Linear, Scale::Log] {
                let svg = chart(scale, series.clone()).svg();
                assert!(svg.contains("no values") && !svg.contains("NaN"), "{svg}");
            }
        }
    }

    #[test]
    fn one_point_is_a_dot() {
        let svg = chart(Scale::Log, vec![Series::new("train", [(1.0, 0.5)])]).svg();
        assert_eq!(svg.matches("<circle").count(), 1);
        assert!(!svg.contains("NaN") && !svg.contains("no values"));
    }

    #[test]
    fn names_are_escaped() {
        let svg = chart(Scale::Linear, vec![Series::new("<b>&", [(0.0, 1.0)])]).svg();
        assert!(!svg.contains("<b>") && svg.contains("&lt;b&gt;&amp;"));
    }

    #[test]
    fn long_series_are_thinned_but_keep_their_extremes() {
        let points = (0..100_000).map(|step| {
            let spike = if step == 54_321 { 9.0 } else { 0.0 };
            (f64::from(step), 1.0 + spike)
        });
        let svg = chart(Scale::Linear, vec![Series::new("loss", points)]).svg();
        assert!(svg.len() < 60_000, "{}", svg.len());
        assert!(svg.contains(" 10.00 "));
    }
}
