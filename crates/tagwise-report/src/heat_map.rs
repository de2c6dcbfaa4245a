//! Heat maps of cosines: class means, classifier rows, and the ideal they should meet.

mod draw;

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use tagwise::words::counted;

use crate::scale::nice_step;
use crate::{Error, Result, typeset_number};

/// The title of the map that others are compared with.
pub(crate) const IDEAL: &str = "Ideal simplex ETF";

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
        let mut map = Self::from_fn(IDEAL, labels, value);
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
            // Cosines end at 1, up to rounding.
            largest if largest <= 1.0 + 1e-9 => nice_step(largest * 1.05).min(1.0),
            largest => nice_step(largest * 1.05),
        }
    }

    /// "Off the diagonal −0.109 on average, from −0.140 to −0.082."
    pub(crate) fn spread_sentence(&self) -> String {
        match self.off_diagonal() {
            // the spread would be read as the same four digits
            Some(off) if off.high - off.low < 5e-5 => {
                format!("{} everywhere off the diagonal.", typeset_number(off.mean))
            }
            Some(off) => format!(
                "Off the diagonal {} on average, from {} to {}.",
                typeset_number(off.mean),
                typeset_number(off.low),
                typeset_number(off.high)
            ),
            None => String::new(),
        }
    }

    /// The order of rows in which similar classes are neighbours: from the pair with the largest
    /// cosine on, at either end the class that is nearest to it.
    pub(crate) fn order(&self) -> Vec<usize> {
        let num_classes = self.labels.len();
        let value = |i: usize, j: usize| {
            let value = self.values.get(i).and_then(|row| *row.get(j)?);
            value.filter(|value| value.is_finite()).unwrap_or(f64::MIN)
        };
        let pairs = (0..num_classes).flat_map(|i| (i + 1..num_classes).map(move |j| (i, j)));
        let Some((first, second)) =
            pairs.reduce(
                |best, pair| match value(pair.0, pair.1) > value(best.0, best.1) {
                    true => pair,
                    false => best,
                },
            )
        else {
            return (0..num_classes).collect();
        };
        let mut order = std::collections::VecDeque::from([first, second]);
        let mut left: Vec<usize> = (0..num_classes)
            .filter(|&class| class != first && class != second)
            .collect();
        while !left.is_empty() {
            let (front, back) = (order[0], order[order.len() - 1]);
            let nearest = |end: usize| {
                let by_value = |&a: &usize, &b: &usize| {
                    value(end, left[a])
                        .total_cmp(&value(end, left[b]))
                        .then(b.cmp(&a))
                };
                (0..left.len()).max_by(by_value).unwrap_or(0)
            };
            let (at_front, at_back) = (nearest(front), nearest(back));
            match value(front, left[at_front]) > value(back, left[at_back]) {
                true => order.push_front(left.remove(at_front)),
                false => order.push_back(left.remove(at_back)),
            }
        }
        order.into()
    }

    /// The map with its classes in this order.
    pub(crate) fn reordered(&self, order: &[usize]) -> Self {
        let rows = order.iter().filter_map(|&row| self.values.get(row));
        Self {
            labels: order
                .iter()
                .map(|&class| self.labels[class].clone())
                .collect(),
            values: rows
                .map(|row| {
                    order
                        .iter()
                        .map(|&column| row.get(column).copied().flatten())
                        .collect()
                })
                .collect(),
            ..self.clone()
        }
    }

    /// The map in words, for readers who cannot see it.
    pub fn summary(&self) -> String {
        let mut text = format!("{}, {}.", self.title, counted(self.labels.len(), "class"));
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

    pub(crate) fn check_shape(&self) -> Result<()> {
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
}

/// −1/(K−1); `None` below two classes.
pub(crate) fn ideal_cosine(num_classes: usize) -> Option<f64> {
    (num_classes >= 2).then(|| -1.0 / (num_classes - 1) as f64)
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
        <svg class="heat" viewBox="0 0 360 415.7" data-cells="14.3 18 339.7" role="img" aria-label="Ideal simplex ETF, 2 classes. Off the diagonal −1.000 on average, from −1.000 to −1.000. Ideal −1.000." font-family="system-ui,sans-serif" font-size="11" fill="#1b1f27">
        <g class="soft" fill="#565d6b">
        <text x="8.3" y="106.9" text-anchor="end">0</text>
        <text x="99.2" y="13" text-anchor="middle">0</text>
        <text x="8.3" y="276.8" text-anchor="end">1</text>
        <text x="269.1" y="13" text-anchor="middle">1</text>
        </g>
        <g shape-rendering="crispEdges">
        <rect x="14.3" y="18" width="169.9" height="169.9" fill="#c45412" fill-opacity="1.00"/>
        <rect x="184.1" y="18" width="169.9" height="169.9" fill="#1f6fb4" fill-opacity="1.00"/>
        <rect x="14.3" y="187.9" width="169.9" height="169.9" fill="#1f6fb4" fill-opacity="1.00"/>
        <rect x="184.1" y="187.9" width="169.9" height="169.9" fill="#c45412" fill-opacity="1.00"/>
        </g>
        <g text-anchor="middle" font-size="13" aria-hidden="true">
        <text x="99.2" y="106.1" fill="#fff">1</text>
        <text x="269.1" y="106.1" fill="#fff">−1</text>
        <text x="99.2" y="276" fill="#fff">−1</text>
        <text x="269.1" y="276" fill="#fff">1</text>
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
        <text x="14.3" y="403.7" text-anchor="start">≤ −1</text>
        <text x="184.1" y="403.7">0</text>
        <text x="354" y="403.7" text-anchor="end">≥ 1</text>
        </g>
        <g class="ink" stroke="#1b1f27" stroke-width="1.5">
        <path d="M14.3,378.7H14.3" stroke-linecap="round"/>
        <circle cx="14.3" cy="378.7" r="2.6" stroke="none"/>
        </g>
        <path class="ink" stroke="#1b1f27" stroke-width="1" d="M14.3,373.7v17"/>
        <text x="14.3" y="370.7" text-anchor="middle">ideal −1.000</text>
        </svg>
        "##);
    }

    #[test]
    fn the_ideal_map_of_an_etf_equals_measured_cosines() {
        let etf = tagwise_base::etf::simplex_etf(4, 6).unwrap();
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
    fn similar_classes_are_put_side_by_side() {
        // Classes of equal parity are alike.
        let map = HeatMap::from_fn("m", names(8), |i, j| match (i == j, i % 2 == j % 2) {
            (true, _) => 1.0,
            (_, true) => 0.5,
            _ => -0.3,
        });
        let order = map.order();
        let parities: Vec<usize> = order.iter().map(|class| class % 2).collect();
        assert_eq!(
            parities
                .windows(2)
                .filter(|pair| pair[0] != pair[1])
                .count(),
            1
        );
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..8).collect::<Vec<_>>());
        let ordered = map.reordered(&order);
        assert_eq!(ordered.labels[0], map.labels[order[0]]);
        assert_eq!(ordered.values[1][7], map.values[order[1]][order[7]]);
        for count in 0..3 {
            assert_eq!(
                HeatMap::ideal_simplex_etf(names(count)).order().len(),
                count
            );
        }
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
}
