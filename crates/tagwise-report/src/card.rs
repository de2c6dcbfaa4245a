//! Key figures.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use tagwise::collapse::{CollapseVerdict, Headline, Untold};

use crate::format_number;
use crate::markup::{Escaped, Px};
use crate::number::typeset_sentence;
use crate::scale::{Fit, Range, Scale};
use crate::table::{Better, Cell};

/// One key figure with its verdict and, where it was followed over time, a small curve.
///
/// ```
/// use tagwise::collapse::{CollapseMetric, Evidence, Headline};
/// use tagwise_report::Card;
///
/// let headline = Headline::new(CollapseMetric::Nc3, Some(0.0031), Evidence::default());
/// let card = Card::headline(&headline).with_trend([2.4, 0.3, 0.02, 0.0031]);
/// assert_eq!(card.label, "NC3");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Name of the figure.
    pub label: String,
    /// The figure.
    pub value: Cell,
    /// Unit after the figure; may be empty.
    #[serde(default)]
    pub unit: String,
    /// A few words below the figure; may be empty.
    #[serde(default)]
    pub note: String,
    /// Which values are better, for comparisons.
    #[serde(default)]
    pub better: Better,
    /// How far collapse has come.
    #[serde(default)]
    pub verdict: Option<CardVerdict>,
    /// The figure over time, ending at its value.
    #[serde(default)]
    pub trend: Vec<Option<f64>>,
}

/// How far collapse has come by one figure, and the sentence that explains it.
///
/// Reports of version 0.1 are read as well: they say `{"level": "partial", "sentence": …}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "SavedVerdict")]
pub struct CardVerdict {
    /// How far it has come.
    pub verdict: CollapseVerdict,
    /// One sentence in plain language.
    pub sentence: String,
}

/// A [`CardVerdict`] of any version.
#[derive(Deserialize)]
#[serde(untagged)]
enum SavedVerdict {
    Now {
        verdict: CollapseVerdict,
        sentence: String,
    },
    Level {
        level: Level,
        sentence: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Absent,
    Partial,
    Collapsed,
    Unknown,
}

impl From<SavedVerdict> for CardVerdict {
    fn from(saved: SavedVerdict) -> Self {
        let (verdict, sentence) = match saved {
            SavedVerdict::Now { verdict, sentence } => (verdict, sentence),
            SavedVerdict::Level { level, sentence } => {
                let reason = Untold::NotMeasured;
                let verdict = match level {
                    Level::Absent => CollapseVerdict::NotCollapsed,
                    Level::Partial => CollapseVerdict::Partly,
                    Level::Collapsed => CollapseVerdict::Collapsed,
                    Level::Unknown => CollapseVerdict::CannotBeTold { reason },
                };
                (verdict, sentence)
            }
        };
        Self { verdict, sentence }
    }
}

/// Label of [`Card::trainable_parameters`].
pub(crate) const TRAINABLE_PARAMETERS: &str = "Trainable parameters";

const WIDTH: f64 = 96.0;
const HEIGHT: f64 = 26.0;
/// Positive trends that span more than this ratio are drawn on a logarithmic axis.
const LOG_FROM_RATIO: f64 = 20.0;

impl Card {
    /// A figure without an order.
    pub fn new(label: impl Into<String>, value: impl Into<Cell>) -> Self {
        Self {
            label: label.into(),
            value: value.into(),
            ..Self::default()
        }
    }

    /// A figure that is better when higher, such as a rate of success.
    pub fn higher(label: impl Into<String>, value: impl Into<Cell>) -> Self {
        Self {
            better: Better::Higher,
            ..Self::new(label, value)
        }
    }

    /// A figure that is better when lower, such as an error rate.
    pub fn lower(label: impl Into<String>, value: impl Into<Cell>) -> Self {
        Self {
            better: Better::Lower,
            ..Self::new(label, value)
        }
    }

    /// A headline metric with its verdict.
    pub fn headline(headline: &Headline) -> Self {
        let interval = headline.interval.map(|interval| {
            let (low, high) = (format_number(interval.low), format_number(interval.high));
            format!("95 % interval {low} to {high}.")
        });
        let chance = headline
            .chance
            .map(|chance| format!("By chance {}.", format_number(chance)));
        let note: Vec<String> = interval.into_iter().chain(chance).collect();
        Self {
            note: note.join(" "),
            verdict: Some(CardVerdict {
                verdict: headline.verdict,
                sentence: headline.sentence.clone(),
            }),
            unit: headline.unit.clone(),
            better: headline.goal.into(),
            ..Self::new(&*headline.name, headline.value)
        }
    }

    /// The number of trainable parameters, from which comparisons tell the saving.
    pub fn trainable_parameters(count: u64) -> Self {
        Self::new(TRAINABLE_PARAMETERS, count)
    }

    /// The figure with a few words below.
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// The figure with its course over time; NaN and infinite values count as missing.
    pub fn with_trend(mut self, trend: impl IntoIterator<Item = f64>) -> Self {
        self.trend = trend
            .into_iter()
            .map(|value| Some(value).filter(|value| value.is_finite()))
            .collect();
        self
    }

    pub(crate) fn html(&self) -> String {
        let mut html = format!(
            "<div class=\"card\"><dt>{}</dt><dd><span class=\"value\">{}</span>",
            Escaped(&self.label),
            Escaped(&self.value.typeset())
        );
        if !self.unit.is_empty() {
            let _ = write!(html, " <span class=\"unit\">{}</span>", Escaped(&self.unit));
        }
        html.push_str(&self.trend_svg());
        html.push_str("</dd>");
        if let Some(CardVerdict { verdict, sentence }) = &self.verdict {
            let _ = write!(
                html,
                "<dd class=\"verdict {}\"><b>{}</b> {}</dd>",
                style_class(*verdict),
                verdict.word(),
                Escaped(&typeset_sentence(sentence))
            );
        }
        if !self.note.is_empty() {
            let _ = write!(
                html,
                "<dd class=\"note\">{}</dd>",
                Escaped(&typeset_sentence(&self.note))
            );
        }
        html.push_str("</div>");
        html
    }

    /// The course as a line without axes; empty below two values.
    fn trend_svg(&self) -> String {
        let present = || self.trend.iter().flatten().copied();
        if present().count() < 2 {
            return String::new();
        }
        let (low, high) = present().fold((f64::INFINITY, 0.0f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let scale = if low > 0.0 && high / low > LOG_FROM_RATIO {
            Scale::Log
        } else {
            Scale::Linear
        };
        let range = Range::new(scale, Fit::Data, present(), 3);
        let step = (WIDTH - 6.0) / (self.trend.len() - 1) as f64;
        let mut path = String::new();
        let mut pen = 'M';
        let mut end = (3.0, HEIGHT / 2.0);
        for (at, value) in self.trend.iter().enumerate() {
            let Some(place) = value.and_then(|value| range.place(value)) else {
                pen = 'M';
                continue;
            };
            end = (3.0 + at as f64 * step, 3.0 + (1.0 - place) * (HEIGHT - 6.0));
            let _ = write!(path, "{pen}{},{}", Px(end.0), Px(end.1));
            pen = 'L';
        }
        format!(
            "<svg class=\"trend\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" aria-hidden=\"true\">\
             <path d=\"{path}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.6\" stroke-linejoin=\"round\"/>\
             <circle cx=\"{}\" cy=\"{}\" r=\"2.6\" fill=\"currentColor\"/></svg>",
            Px(end.0),
            Px(end.1)
        )
    }
}

/// The class of the style sheet that colours a verdict.
fn style_class(verdict: CollapseVerdict) -> &'static str {
    match verdict {
        CollapseVerdict::NotCollapsed => "absent",
        CollapseVerdict::Partly => "partial",
        CollapseVerdict::Collapsed => "collapsed",
        CollapseVerdict::CannotBeTold { .. } => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use tagwise::collapse::{CollapseMetric, Evidence};

    use super::*;

    #[test]
    fn verdicts_survive_json_and_older_ones_are_read() {
        let verdict = CardVerdict {
            verdict: CollapseVerdict::CannotBeTold {
                reason: Untold::AsByChance { chance: 0.25 },
            },
            sentence: "No verdict.".into(),
        };
        let json = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<CardVerdict>(&json).unwrap(), verdict);
        let older = r#"{"level":"partial","sentence":"On the way."}"#;
        let older: CardVerdict = serde_json::from_str(older).unwrap();
        assert_eq!(older.verdict, CollapseVerdict::Partly);
    }

    #[test]
    fn a_metric_card_says_what_its_value_means() {
        let metric = CollapseMetric::Nc1 { multiplicity: 1 };
        let html = Card::headline(&Headline::new(metric, Some(0.0031), Evidence::default())).html();
        insta::assert_snapshot!(html.replace("><", ">\n<"), @r#"
        <div class="card">
        <dt>NC1, m = 1</dt>
        <dd>
        <span class="value">0.00310</span>
        </dd>
        <dd class="verdict collapsed">
        <b>collapsed</b> Features of a class have gathered at its mean.</dd>
        </div>
        "#);
    }

    #[test]
    fn trends_need_two_values() {
        let card = Card::new("loss", 0.1);
        assert!(!card.clone().with_trend([0.1]).html().contains("<svg"));
        assert!(
            !card
                .clone()
                .with_trend([f64::NAN, f64::NAN])
                .html()
                .contains("<svg")
        );
        let html = card.with_trend([1.0, f64::NAN, 0.5, 0.1]).html();
        assert!(html.contains("<svg") && !html.contains("NaN"));
    }

    #[test]
    fn words_are_escaped() {
        let card = Card::new("<a>", "<b>").with_note("<i>");
        let html = card.html();
        assert!(!html.contains("<a>") && !html.contains("<b>") && !html.contains("<i>"));
    }
}
