//! The picture of multi-label neural collapse: features of three classes and their pairs in the
//! plane of the class means.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use tagwise::words::counted;

use crate::markup::{Escaped, Px, shorten, text_width};
use crate::palette;

/// Features in a plane, with the arm of each class and the tag-wise averages they should meet.
///
/// [`crate::plane::collapse_plane`] makes one from features and label sets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scatter {
    /// What is shown, in a few words.
    pub title: String,
    /// What to see in it; may be empty.
    #[serde(default)]
    pub caption: String,
    /// From the origin to the mean of the samples of a single label.
    pub arms: Vec<Arm>,
    /// The samples of each label set.
    pub clouds: Vec<Cloud>,
    /// Where theory puts the mean of each set of several labels.
    pub averages: Vec<Average>,
}

/// A class: its name and the mean of its single-label samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Name of the class.
    pub name: String,
    /// Mean in the plane.
    pub tip: [f64; 2],
}

/// The samples of one label set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cloud {
    /// Name of the set; empty for none beside the points.
    pub name: String,
    /// Positions of the set's classes in [`Scatter::arms`].
    pub classes: Vec<usize>,
    /// Samples in the plane.
    pub points: Vec<[f64; 2]>,
}

/// The tag-wise average of one label set: the sum of the means of its labels, scaled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Average {
    /// Positions of the set's classes in [`Scatter::arms`].
    pub classes: Vec<usize>,
    /// The average in the plane.
    pub at: [f64; 2],
    /// The factor C before the sum.
    pub scale: f64,
}

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 500.0;
const FONT: f64 = 14.0;
const MARGIN: f64 = 46.0;
const KEY_HEIGHT: f64 = 26.0;
const MAX_NAME_CHARS: usize = 18;
const DOT: f64 = 4.4;
const RING: f64 = 9.0;

/// Maps plane coordinates to pixels, the same scale on both axes.
pub(crate) struct View {
    scale: f64,
    centre: [f64; 2],
}

impl Scatter {
    /// The picture as an `<svg>` element that needs no style sheet.
    pub fn svg(&self) -> String {
        let view = self.view();
        let mut out = format!(
            "<svg class=\"plane\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\" \
             font-family=\"system-ui,sans-serif\" font-size=\"{FONT}\" fill=\"{}\">",
            Escaped(&self.summary()),
            palette::role("ink"),
        );
        self.draw_sums(&mut out, &view);
        self.draw_arms(&mut out, &view);
        self.draw_clouds(&mut out, &view);
        self.draw_averages(&mut out, &view);
        self.draw_names(&mut out, &view);
        self.draw_key(&mut out);
        out.push_str("</svg>");
        out
    }

    /// The picture in words, for readers who cannot see it.
    pub fn summary(&self) -> String {
        let count: usize = self.clouds.iter().map(|cloud| cloud.points.len()).sum();
        let mut text = format!(
            "{}: {} of {} around {}.",
            self.title,
            counted(count, "sample"),
            counted(self.clouds.len(), "label set"),
            counted(self.arms.len(), "single-label arm")
        );
        for (cloud, average) in self.meetings() {
            let Some(mean) = mean(&cloud.points) else {
                continue;
            };
            let angle = angle_degrees(mean, average.at);
            let _ = write!(
                text,
                " The mean of {} lies {angle:.1} degrees from its tag-wise average in this plane.",
                cloud.name
            );
        }
        text
    }

    /// Each cloud with the average of the same classes.
    fn meetings(&self) -> impl Iterator<Item = (&Cloud, &Average)> {
        self.clouds.iter().filter_map(|cloud| {
            let average = self
                .averages
                .iter()
                .find(|average| average.classes == cloud.classes)?;
            Some((cloud, average))
        })
    }

    /// Width and height of the picture.
    pub(crate) fn size() -> (f64, f64) {
        (WIDTH, HEIGHT)
    }

    pub(crate) fn view(&self) -> View {
        let points = self
            .clouds
            .iter()
            .flat_map(|cloud| cloud.points.iter().copied())
            .chain(self.arms.iter().map(|arm| arm.tip))
            .chain(self.averages.iter().map(|average| average.at))
            .filter(|point| point.iter().all(|value| value.is_finite()));
        let (mut low, mut high) = ([0.0f64; 2], [0.0f64; 2]);
        for point in points {
            for axis in 0..2 {
                low[axis] = low[axis].min(point[axis]);
                high[axis] = high[axis].max(point[axis]);
            }
        }
        let width = (high[0] - low[0]).max(f64::MIN_POSITIVE);
        let height = (high[1] - low[1]).max(f64::MIN_POSITIVE);
        let room = [
            WIDTH - 2.0 * MARGIN - 30.0,
            HEIGHT - 2.0 * MARGIN - KEY_HEIGHT,
        ];
        let scale = (room[0] / width).min(room[1] / height);
        View {
            scale: if scale.is_finite() { scale } else { 1.0 },
            centre: [low[0].midpoint(high[0]), low[1].midpoint(high[1])],
        }
    }

    /// Dotted lines from scaled arms to each average: how the sum comes about.
    fn draw_sums(&self, out: &mut String, view: &View) {
        let axis = palette::role("axis");
        let _ = write!(
            out,
            "<g class=\"sum\" stroke=\"{axis}\" stroke-width=\"1\" stroke-dasharray=\"1.5 4\" fill=\"none\">"
        );
        for average in &self.averages {
            let (end_x, end_y) = view.px(average.at);
            for arm in average.classes.iter().filter_map(|&at| self.arms.get(at)) {
                let (x, y) = view.px(arm.tip.map(|value| value * average.scale));
                let _ = write!(
                    out,
                    "<path d=\"M{},{}L{},{}\"/>",
                    Px(x),
                    Px(y),
                    Px(end_x),
                    Px(end_y)
                );
            }
        }
        out.push_str("</g>");
    }

    fn draw_arms(&self, out: &mut String, view: &View) {
        let (origin_x, origin_y) = view.px([0.0, 0.0]);
        for (position, arm) in self.arms.iter().enumerate() {
            let (x, y) = view.px(arm.tip);
            let _ = write!(
                out,
                "<path class=\"s{}\" stroke=\"{}\" stroke-width=\"2.5\" stroke-linecap=\"round\" d=\"M{},{}L{},{}\"/>",
                position % palette::SERIES.len() + 1,
                palette::series(position).light,
                Px(origin_x),
                Px(origin_y),
                Px(x),
                Px(y)
            );
        }
        let ink = palette::role("ink");
        let _ = write!(
            out,
            "<circle class=\"ink\" fill=\"{ink}\" cx=\"{}\" cy=\"{}\" r=\"3\"/>",
            Px(origin_x),
            Px(origin_y)
        );
    }

    /// One path of round dots per cloud: a few bytes for each sample.
    fn draw_clouds(&self, out: &mut String, view: &View) {
        for (position, cloud) in self.clouds.iter().enumerate() {
            let colour = self.colour(position);
            let _ = write!(
                out,
                "<path class=\"s{}\" stroke=\"{}\" stroke-width=\"{DOT}\" stroke-opacity=\".75\" stroke-linecap=\"round\" fill=\"none\" d=\"",
                colour % palette::SERIES.len() + 1,
                palette::series(colour).light,
            );
            for point in &cloud.points {
                if point.iter().all(|value| value.is_finite()) {
                    let (x, y) = view.px(*point);
                    let _ = write!(out, "M{},{}h0", Px(x), Px(y));
                }
            }
            out.push_str("\"/>");
        }
    }

    fn draw_averages(&self, out: &mut String, view: &View) {
        let ink = palette::role("ink");
        for average in &self.averages {
            let (x, y) = view.px(average.at);
            let _ = write!(
                out,
                "<circle class=\"ring\" stroke=\"{ink}\" stroke-width=\"1.6\" fill=\"none\" cx=\"{}\" cy=\"{}\" r=\"{RING}\"/>",
                Px(x),
                Px(y)
            );
        }
    }

    fn draw_names(&self, out: &mut String, view: &View) {
        for (position, cloud) in self.clouds.iter().enumerate() {
            let average = self
                .averages
                .iter()
                .find(|average| average.classes == cloud.classes);
            let arm = match cloud.classes[..] {
                [class] => self.arms.get(class).map(|arm| arm.tip),
                _ => None,
            };
            let anchor = average.map(|average| average.at).or(arm);
            let Some(anchor) = anchor.or_else(|| mean(&cloud.points)) else {
                continue;
            };
            let colour = self.colour(position);
            let name = shorten(&cloud.name, MAX_NAME_CHARS);
            let (x, y, side) = self.label_place(cloud, anchor, view, &name);
            let _ = write!(
                out,
                "<text class=\"f{}\" fill=\"{}\" font-weight=\"600\" text-anchor=\"{side}\" x=\"{}\" y=\"{}\">{}</text>",
                colour % palette::SERIES.len() + 1,
                palette::series(colour).light,
                Px(x),
                Px(y),
                Escaped(&name)
            );
        }
    }

    /// Beyond the outermost point of the cloud, seen from the origin.
    fn label_place(
        &self,
        cloud: &Cloud,
        anchor: [f64; 2],
        view: &View,
        name: &str,
    ) -> (f64, f64, &'static str) {
        let length = anchor[0].hypot(anchor[1]);
        let direction = if length > 0.0 {
            [anchor[0] / length, anchor[1] / length]
        } else {
            [0.0, -1.0]
        };
        let reach = cloud
            .points
            .iter()
            .map(|point| point[0] * direction[0] + point[1] * direction[1])
            .filter(|reach| reach.is_finite())
            .fold(length, f64::max);
        let (x, y) = view.px(direction.map(|axis| axis * reach));
        let (dx, dy) = (direction[0] * (RING + 7.0), -direction[1] * (RING + 9.0));
        let (side, shift) = match direction[0] {
            ..-0.35 => ("end", 0.0),
            0.35.. => ("start", 0.0),
            _ => ("middle", direction[0] * 8.0),
        };
        let width = text_width(name, FONT);
        let (room_left, room_right) = match side {
            "end" => (width, 0.0),
            "start" => (0.0, width),
            _ => (width / 2.0, width / 2.0),
        };
        let x = (x + dx + shift).clamp(room_left.min(WIDTH), (WIDTH - room_right).max(room_left));
        let y = (y + dy + 5.0).clamp(FONT, HEIGHT - KEY_HEIGHT - 6.0);
        (x, y, side)
    }

    fn draw_key(&self, out: &mut String) {
        let (soft, ink, base) = (palette::role("soft"), palette::role("ink"), HEIGHT - 8.0);
        let mut x = 6.0;
        let _ = write!(out, "<g class=\"soft\" fill=\"{soft}\" font-size=\"12\">");
        let entries: [(&str, String); 3] = [
            (
                "single-label mean",
                format!(
                    "<path class=\"ink\" stroke=\"{ink}\" stroke-width=\"2.5\" stroke-linecap=\"round\" d=\"M0,{}h16\"/>",
                    Px(base - 4.0)
                ),
            ),
            (
                "one sample",
                format!(
                    "<circle class=\"ink\" fill=\"{ink}\" cx=\"11\" cy=\"{}\" r=\"2.2\"/>",
                    Px(base - 4.0)
                ),
            ),
            (
                "tag-wise average (theory)",
                format!(
                    "<circle class=\"ring\" stroke=\"{ink}\" stroke-width=\"1.6\" fill=\"none\" cx=\"9\" cy=\"{}\" r=\"7\"/>",
                    Px(base - 4.0)
                ),
            ),
        ];
        for (name, mark) in entries {
            let _ = write!(
                out,
                "<g transform=\"translate({} 0)\">{mark}<text x=\"23\" y=\"{}\">{name}</text></g>",
                Px(x),
                Px(base)
            );
            x += 23.0 + text_width(name, 12.0) + 26.0;
        }
        out.push_str("</g>");
    }

    /// Single-label clouds have the colour of their arm; the others take the colours that follow.
    pub(crate) fn colour(&self, cloud: usize) -> usize {
        match self.clouds[cloud].classes[..] {
            [class] => class,
            _ => {
                let earlier = self.clouds[..cloud]
                    .iter()
                    .filter(|other| other.classes.len() != 1)
                    .count();
                self.arms.len() + earlier
            }
        }
    }
}

impl View {
    pub(crate) fn px(&self, point: [f64; 2]) -> (f64, f64) {
        (
            WIDTH / 2.0 + (point[0] - self.centre[0]) * self.scale,
            (HEIGHT - KEY_HEIGHT) / 2.0 - (point[1] - self.centre[1]) * self.scale,
        )
    }
}

fn mean(points: &[[f64; 2]]) -> Option<[f64; 2]> {
    let count = points.len() as f64;
    let sum = points.iter().fold([0.0; 2], |sum, point| {
        [sum[0] + point[0], sum[1] + point[1]]
    });
    (!points.is_empty()).then(|| sum.map(|value| value / count))
}

fn angle_degrees(a: [f64; 2], b: [f64; 2]) -> f64 {
    let cross = a[0] * b[1] - a[1] * b[0];
    let dot = a[0] * b[0] + a[1] * b[1];
    cross.abs().atan2(dot).to_degrees()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_arms() -> Scatter {
        let tip = |degrees: f64| {
            let angle = degrees.to_radians();
            [angle.cos(), angle.sin()]
        };
        let arms: Vec<Arm> = [("a", 90.0), ("b", 210.0), ("c", 330.0)]
            .map(|(name, degrees)| Arm {
                name: name.into(),
                tip: tip(degrees),
            })
            .into();
        let pair = [
            arms[0].tip[0] + arms[1].tip[0],
            arms[0].tip[1] + arms[1].tip[1],
        ];
        Scatter {
            title: "Collapsed features".into(),
            clouds: vec![
                Cloud {
                    name: "a".into(),
                    classes: vec![0],
                    points: vec![arms[0].tip],
                },
                Cloud {
                    name: "{a, b}".into(),
                    classes: vec![0, 1],
                    points: vec![pair.map(|value| value * 0.9)],
                },
            ],
            averages: vec![Average {
                classes: vec![0, 1],
                at: pair.map(|value| value * 0.9),
                scale: 0.9,
            }],
            arms,
            ..Scatter::default()
        }
    }

    #[test]
    fn a_small_plane_looks_like_this() {
        insta::assert_snapshot!(three_arms().svg().replace("><", ">\n<"), @r##"
        <svg class="plane" viewBox="0 0 600 500" role="img" aria-label="Collapsed features: 2 samples of 2 label sets around 3 single-label arms. The mean of {a, b} lies 0.0 degrees from its tag-wise average in this plane." font-family="system-ui,sans-serif" font-size="14" fill="#1b1f27">
        <g class="sum" stroke="#9aa1ae" stroke-width="1" stroke-dasharray="1.5 4" fill="none">
        <path d="M300,71.5L101.5,186.1"/>
        <path d="M101.5,415.3L101.5,186.1"/>
        </g>
        <path class="s1" stroke="#0b62a8" stroke-width="2.5" stroke-linecap="round" d="M300,300.7L300,46"/>
        <path class="s2" stroke="#bf4208" stroke-width="2.5" stroke-linecap="round" d="M300,300.7L79.5,428"/>
        <path class="s3" stroke="#08785a" stroke-width="2.5" stroke-linecap="round" d="M300,300.7L520.5,428"/>
        <circle class="ink" fill="#1b1f27" cx="300" cy="300.7" r="3"/>
        <path class="s1" stroke="#0b62a8" stroke-width="4.4" stroke-opacity=".75" stroke-linecap="round" fill="none" d="M300,46h0"/>
        <path class="s4" stroke="#96468a" stroke-width="4.4" stroke-opacity=".75" stroke-linecap="round" fill="none" d="M101.5,186.1h0"/>
        <circle class="ring" stroke="#1b1f27" stroke-width="1.6" fill="none" cx="101.5" cy="186.1" r="9"/>
        <text class="f1" fill="#0b62a8" font-weight="600" text-anchor="middle" x="300" y="33">a</text>
        <text class="f4" fill="#96468a" font-weight="600" text-anchor="end" x="87.7" y="182.1">{a, b}</text>
        <g class="soft" fill="#565d6b" font-size="12">
        <g transform="translate(6 0)">
        <path class="ink" stroke="#1b1f27" stroke-width="2.5" stroke-linecap="round" d="M0,488h16"/>
        <text x="23" y="492">single-label mean</text>
        </g>
        <g transform="translate(161.7 0)">
        <circle class="ink" fill="#1b1f27" cx="11" cy="488" r="2.2"/>
        <text x="23" y="492">one sample</text>
        </g>
        <g transform="translate(277.8 0)">
        <circle class="ring" stroke="#1b1f27" stroke-width="1.6" fill="none" cx="9" cy="488" r="7"/>
        <text x="23" y="492">tag-wise average (theory)</text>
        </g>
        </g>
        </svg>
        "##);
    }

    #[test]
    fn the_summary_states_the_angle_to_the_average() {
        assert_eq!(
            three_arms().summary(),
            "Collapsed features: 2 samples of 2 label sets around 3 single-label arms. \
             The mean of {a, b} lies 0.0 degrees from its tag-wise average in this plane."
        );
    }

    #[test]
    fn empty_and_broken_points_are_left_out() {
        let mut scatter = three_arms();
        scatter.clouds[0].points = vec![[f64::NAN, 1.0], [f64::INFINITY, 0.0]];
        scatter.clouds[1].points.clear();
        let svg = scatter.svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(!Scatter::default().svg().contains("NaN"));
    }

    #[test]
    fn names_are_escaped() {
        let mut scatter = three_arms();
        scatter.clouds[0].name = "<b>".into();
        assert!(!scatter.svg().contains("<b>"));
    }
}
