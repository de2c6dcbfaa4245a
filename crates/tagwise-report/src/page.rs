//! A report as one HTML file.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use tagwise::form::{Form, Stated};

use crate::Result;
use crate::card::Card;
use crate::chart::Chart;
use crate::contact_sheet::ContactSheet;
use crate::geometry::Geometry;
use crate::markup::Escaped;
use crate::number::typeset_sentence;
use crate::palette;
use crate::scatter::Scatter;
use crate::sprite;
use crate::table::Table;

/// Everything a report shows; parts that are empty are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// What was done, which decides the headings.
    pub kind: Kind,
    /// Name of the run or file.
    pub title: String,
    /// Data set, network, time: one line.
    pub subtitle: String,
    /// The result in one or two sentences.
    pub summary: String,
    /// What a reader must know beside the result: what was left out, and how it was measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Key figures.
    pub cards: Vec<Card>,
    /// Curves over epochs, steps, files or layers.
    pub curves: Vec<Chart>,
    /// Cosines of class means and of the classifier.
    pub geometry: Option<Geometry>,
    /// Features of three classes in the plane of their means.
    pub plane: Option<Scatter>,
    /// Example images.
    pub examples: Option<ContactSheet>,
    /// Results in numbers.
    pub tables: Vec<Table>,
    /// Names and values of every setting.
    pub configuration: Vec<(String, String)>,
    /// Names of the classes; numbers where they are missing.
    pub class_names: Vec<String>,
    /// Program version, date, device: how the report came about.
    pub provenance: String,
}

/// What a report is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A network was trained.
    #[default]
    Training,
    /// Features of any origin were measured.
    Analysis,
    /// The unconstrained feature model was solved.
    Ufm,
    /// Several runs side by side.
    Comparison,
}

impl Report {
    /// The report as JSON, with the version of its form.
    ///
    /// # Errors
    /// [`crate::Error::Json`].
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string(&Form::Report.versioned(self))?)
    }

    /// Reads what [`to_json`](Self::to_json) wrote, and reports of before they stated a version.
    ///
    /// ```
    /// use tagwise_report::Report;
    ///
    /// let report = Report { title: "run".into(), ..Report::default() };
    /// assert_eq!(Report::from_json(report.to_json()?.as_bytes())?, report);
    /// assert_eq!(
    ///     Report::from_json(br#"{"version": 2}"#).unwrap_err().to_string(),
    ///     "tagwise report: expected version 1 at most, found 2; read it with a newer program"
    /// );
    /// # Ok::<(), tagwise_report::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Mathematics`] for a later version, [`crate::Error::Json`] for something else.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let stated: Stated = serde_json::from_slice(json)?;
        Form::Report.check(stated.version)?;
        Ok(serde_json::from_slice(json)?)
    }
}

pub(crate) const STYLE: &str = include_str!("style.css");
/// What pages do with the pictures and tables within an element: `hover(root)` and `save(root)`.
pub(crate) const SCRIPT: &str = concat!(include_str!("hover.js"), include_str!("save.js"));

impl Kind {
    fn overline(self) -> &'static str {
        match self {
            Self::Training => "Training run",
            Self::Analysis => "Feature analysis",
            Self::Ufm => "Unconstrained feature model",
            Self::Comparison => "Comparison of runs",
        }
    }

    fn curves_heading(self) -> &'static str {
        match self {
            Self::Training => "Training and collapse",
            Self::Analysis => "From file to file",
            Self::Ufm => "Convergence",
            Self::Comparison => "Curves",
        }
    }
}

/// The report as one HTML file: no network, no fonts, readable without scripts, in light and dark
/// and on paper.
///
/// # Errors
/// [`crate::Error::TableShape`] and [`crate::Error::HeatMapShape`] for parts whose sizes do not
/// agree.
pub fn render(report: &Report) -> Result<String> {
    let title = Escaped(&report.title);
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title} – Tagwise</title><style>{}{STYLE}{}</style></head><body><main>{}</main>\
         <footer>{}</footer><script>{SCRIPT}hover(document);save(document);</script></body></html>\n",
        palette::css(),
        report
            .examples
            .as_ref()
            .map(ContactSheet::css)
            .unwrap_or_default(),
        body(report)?,
        Escaped(&report.provenance)
    ))
}

/// What the page holds between its head and its foot.
pub(crate) fn body(report: &Report) -> Result<String> {
    let mut html = head(report);
    for (heading, body) in sections(report)? {
        let id = heading.to_lowercase().replace(' ', "-");
        let _ = write!(
            html,
            "<section aria-labelledby=\"{id}\"><h2 id=\"{id}\">{heading}</h2>{body}</section>"
        );
    }
    Ok(html)
}

fn head(report: &Report) -> String {
    let mut html = format!(
        "<header><p class=\"overline\">{}</p><h1>{}</h1>",
        report.kind.overline(),
        Escaped(&report.title),
    );
    if !report.subtitle.is_empty() {
        let _ = write!(
            html,
            "<p class=\"subtitle\">{}</p>",
            Escaped(&typeset_sentence(&report.subtitle))
        );
    }
    if !report.summary.is_empty() {
        let _ = write!(
            html,
            "<p class=\"lead\">{}</p>",
            Escaped(&typeset_sentence(&report.summary))
        );
    }
    html.push_str("</header>");
    if !report.cards.is_empty() {
        html.push_str("<dl class=\"cards\">");
        for card in &report.cards {
            html.push_str(&card.html());
        }
        html.push_str("</dl>");
    }
    if !report.notes.is_empty() {
        html.push_str("<ul class=\"notes\">");
        for note in &report.notes {
            let _ = write!(html, "<li>{}</li>", Escaped(&typeset_sentence(note)));
        }
        html.push_str("</ul>");
    }
    html
}

/// Headings and bodies of the parts that are not empty.
fn sections(report: &Report) -> Result<Vec<(&'static str, String)>> {
    let mut sections = Vec::new();
    if !report.tables.is_empty() {
        let mut body = String::new();
        for table in &report.tables {
            body.push_str(&table.to_html()?);
        }
        sections.push(("Results", body));
    }
    if !report.curves.is_empty() {
        let mut body = String::from("<div class=\"charts\">");
        for chart in &report.curves {
            let (svg, csv) = (chart.svg(), chart.csv());
            body.push_str(&figure(&chart.title, &chart.caption, &svg, &csv));
        }
        body.push_str("</div>");
        sections.push((report.kind.curves_heading(), body));
    }
    if let Some(geometry) = &report.geometry {
        let body = paragraph(&geometry.caption()) + &geometry.html(None)?;
        sections.push(("Geometry", body));
    }
    if let Some(plane) = &report.plane {
        let body = format!(
            "<div class=\"wide\">{}</div>",
            figure(&plane.title, &plane.caption, &plane.svg(), &plane.csv())
        );
        sections.push(("Tag-wise averages", body));
    }
    if let Some(examples) = &report.examples {
        let body = paragraph(&examples.caption) + &examples.html(&report.class_names);
        sections.push(("Examples", body));
    }
    if !report.configuration.is_empty() {
        sections.push(("Configuration", configuration(&report.configuration)));
    }
    if report.kind == Kind::Ufm {
        // The picture is the answer; a stable sort keeps the rest in order.
        sections.sort_by_key(|(heading, _)| match *heading {
            "Tag-wise averages" => 0,
            "Geometry" => 1,
            _ => 2,
        });
    }
    Ok(sections)
}

fn configuration(settings: &[(String, String)]) -> String {
    let mut html = String::from("<dl class=\"settings\">");
    for (name, value) in settings {
        let _ = write!(
            html,
            "<div><dt>{}</dt><dd>{}</dd></div>",
            Escaped(name),
            Escaped(value)
        );
    }
    html.push_str("</dl>");
    html
}

fn paragraph(text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!("<p>{}</p>", Escaped(&typeset_sentence(text))),
    }
}

/// A picture with its title, what to see in it, and links that save it and its numbers.
pub(crate) fn figure(title: &str, caption: &str, svg: &str, csv: &str) -> String {
    let mut html = format!("<figure><figcaption><h3>{}</h3>", Escaped(title));
    if !caption.is_empty() {
        let _ = write!(html, "<p>{}</p>", Escaped(&typeset_sentence(caption)));
    }
    let name = file_stem(title);
    let _ = write!(
        html,
        "</figcaption>{svg}<p class=\"save\"><button data-save=\"{name}.svg\" hidden>Save as SVG</button>{}</p></figure>",
        csv_link(title, csv)
    );
    html
}

/// A link that saves numbers without a script and without a network.
pub(crate) fn csv_link(title: &str, csv: &str) -> String {
    format!(
        "<a download=\"{}.csv\" href=\"{}\">Numbers as CSV</a>",
        file_stem(title),
        sprite::csv_uri(csv)
    )
}

/// A title as the name of a file.
fn file_stem(title: &str) -> String {
    let words: Vec<String> = title
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    match words.is_empty() {
        true => "figure".into(),
        false => words.join("-").chars().take(80).collect(),
    }
}

/// A drawing of this crate as a file of its own, on white.
///
/// ```
/// use tagwise_report::{HeatMap, standalone_svg};
///
/// let map = HeatMap::ideal_simplex_etf(vec!["a".into(), "b".into()]);
/// let file = standalone_svg(&map.title, &map.svg(None)?);
/// assert!(file.starts_with("<svg xmlns=") && file.contains("<title>Ideal simplex ETF</title>"));
/// # Ok::<(), tagwise_report::Error>(())
/// ```
pub fn standalone_svg(title: &str, svg: &str) -> String {
    let Some((open, rest)) = svg.split_once('>') else {
        return svg.to_owned();
    };
    let attributes = open.strip_prefix("<svg").unwrap_or(open);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\"{attributes}><title>{}</title>\
         <rect width=\"100%\" height=\"100%\" fill=\"{}\"/>{rest}\n",
        Escaped(title),
        palette::LIGHT_PAGE
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HeatMap;

    #[test]
    fn an_empty_report_is_a_page() {
        let html = render(&Report::default()).unwrap();
        assert!(html.ends_with("</html>\n"));
        assert!(!html.contains("<section"));
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        let report = Report {
            title: "t".into(),
            curves: vec![Chart::default()],
            geometry: Some(Geometry::new(&[], &[], None).unwrap()),
            plane: Some(Scatter::default()),
            examples: Some(ContactSheet::default()),
            ..Report::default()
        };
        let html = render(&report).unwrap();
        for outside in ["http:", "https:", "src=", "@import", "<link"] {
            assert!(!html.contains(outside), "{outside}");
        }
    }

    #[test]
    fn every_text_of_the_user_is_escaped() {
        let evil = || "<script>alert(1)</script>".to_owned();
        let report = Report {
            title: evil(),
            subtitle: evil(),
            summary: evil(),
            provenance: evil(),
            cards: vec![Card::new(evil(), evil())],
            configuration: vec![(evil(), evil())],
            geometry: Some(Geometry {
                maps: vec![HeatMap::ideal_simplex_etf(vec![evil(), evil()])],
                caption: evil(),
            }),
            curves: vec![Chart {
                title: evil(),
                caption: evil(),
                ..Chart::default()
            }],
            plane: Some(Scatter {
                title: evil(),
                caption: evil(),
                ..Scatter::default()
            }),
            tables: vec![Table {
                title: evil(),
                caption: evil(),
                ..Table::default()
            }],
            ..Report::default()
        };
        let html = render(&report).unwrap();
        assert_eq!(html.matches("<script>").count(), 1);
        assert!(!html.contains("<script>alert"));
    }

    #[test]
    fn a_report_survives_json() {
        let mut report = Report {
            title: "run".into(),
            kind: Kind::Ufm,
            cards: vec![Card::new("loss", 0.25).with_trend([1.0, f64::NAN, 0.25])],
            geometry: Some(
                Geometry::new(&["a".into(), "b".into()], &[vec![1.0], vec![-1.0]], None).unwrap(),
            ),
            ..Report::default()
        };
        report.tables.push(Table::default());
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
        let partial: Report = serde_json::from_str(r#"{"title":"only a title"}"#).unwrap();
        assert_eq!(partial.title, "only a title");
    }
}
