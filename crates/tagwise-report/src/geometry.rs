//! Maps of cosines beside each other.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::heat_map::HeatMap;
use crate::page::figure;

/// From so many classes on, maps put similar ones side by side.
const ORDERED_FROM: usize = 29;

/// Cosine matrices shown beside each other on one colour scale.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Geometry {
    /// The matrices.
    pub maps: Vec<HeatMap>,
    /// What to see in them; may be empty.
    #[serde(default)]
    pub caption: String,
}

impl Geometry {
    /// Cosines among class means and among classifier rows, beside the ideal simplex ETF.
    ///
    /// # Errors
    /// [`crate::Error::SizeMismatch`] unless there is one vector per class, all of the same length.
    pub fn new(
        class_names: &[String],
        centred_class_means: &[Vec<f64>],
        classifier: Option<&[Vec<f64>]>,
    ) -> Result<Self> {
        let ideal = HeatMap::ideal_simplex_etf(class_names.to_vec());
        let measured = |title: &str, rows: &[Vec<f64>], columns: &[Vec<f64>]| -> Result<HeatMap> {
            let mut map = HeatMap::cosines(title, class_names.to_vec(), rows, columns)?;
            map.ideal = ideal.ideal;
            map.caption = map.spread_sentence();
            Ok(map)
        };
        let mut maps = vec![measured(
            "Class means, centred",
            centred_class_means,
            centred_class_means,
        )?];
        if let Some(classifier) = classifier {
            maps.push(measured("Classifier rows", classifier, classifier)?);
        }
        maps.push(ideal);
        Ok(Self {
            maps,
            caption: String::new(),
        })
    }

    /// The maps side by side; `limit` is the end of their scale, by default that of their entries.
    pub(crate) fn html(&self, limit: Option<f64>) -> Result<String> {
        let limit = limit.unwrap_or_else(|| HeatMap::common_limit(&self.maps));
        let order = self.order();
        let class = if order.is_some() { "maps many" } else { "maps" };
        let mut html = format!("<div class=\"{class}\">");
        for map in &self.maps {
            let ordered = order.as_ref().map(|order| map.reordered(order));
            let map = ordered.as_ref().unwrap_or(map);
            let svg = map.svg(Some(limit))?;
            html.push_str(&figure(&map.title, &map.caption, &svg, &map.csv()));
        }
        html.push_str("</div>");
        Ok(html)
    }

    /// Where each class of many stands so that similar ones are neighbours.
    fn order(&self) -> Option<Vec<usize>> {
        let first = self.maps.first()?;
        let is_same = |map: &HeatMap| map.labels == first.labels;
        let holds = first.labels.len() >= ORDERED_FROM && self.maps.iter().all(is_same);
        holds.then(|| first.order())
    }

    /// What to see in them, with a word on their order.
    pub(crate) fn caption(&self) -> String {
        let order = match self.order() {
            Some(_) => {
                "Classes stand in an order that puts similar ones side by side; point at a cell for its names."
            }
            None => "",
        };
        match self.caption.is_empty() || order.is_empty() {
            true => format!("{}{order}", self.caption),
            false => format!("{} {order}", self.caption),
        }
    }
}
