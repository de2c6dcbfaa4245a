//! The numbers of a report as CSV, in full.
//!
//! A figure of its own has the columns that its numbers need. A whole report is one long table of
//! `figure,series,x,value`: every number of the page on a line of its own, which any tool groups as it
//! likes.

use std::fmt::{Display, Write};

use tagwise::names::csv_cell;

use crate::{Card, Cell, Chart, HeatMap, Report, Scatter, Table};

/// A line from cells.
fn line(out: &mut String, cells: &[&dyn Display]) {
    for (at, cell) in cells.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let _ = write!(out, "{comma}{}", csv_cell(&cell.to_string()));
    }
    out.push('\n');
}

/// The number in full, the words as they are; nothing for a missing entry.
fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Missing => String::new(),
        Cell::Count(count) => count.to_string(),
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Spread { mean, .. } => mean.to_string(),
    }
}

impl Table {
    /// The rows under their names; a spread is a mean, with its standard deviation in a column of its
    /// own.
    ///
    /// ```
    /// use tagwise_report::{Column, Table};
    ///
    /// let mut table = Table::new("Test set", [Column::new("decoder"), Column::higher("F1")]);
    /// table.push(["top, m known".into(), (2.0 / 3.0).into()]);
    /// assert_eq!(table.csv(), "decoder,F1\n\"top, m known\",0.6666666666666666\n");
    /// ```
    pub fn csv(&self) -> String {
        let has_spread: Vec<bool> = (0..self.columns.len())
            .map(|at| {
                let mut cells = self.rows.iter().filter_map(|row| row.get(at));
                cells.any(|cell| matches!(cell, Cell::Spread { .. }))
            })
            .collect();
        let mut out = String::new();
        let mut names = Vec::new();
        for (column, has_spread) in self.columns.iter().zip(&has_spread) {
            names.push(column.name.clone());
            if *has_spread {
                names.push(format!("{}, standard deviation", column.name));
            }
        }
        line(&mut out, &shown(&names));
        for row in &self.rows {
            let mut cells = Vec::new();
            for (cell, has_spread) in row.iter().zip(&has_spread) {
                cells.push(plain(cell));
                match cell {
                    Cell::Spread {
                        standard_deviation, ..
                    } => cells.push(standard_deviation.to_string()),
                    _ if *has_spread => cells.push(String::new()),
                    _ => {}
                }
            }
            line(&mut out, &shown(&cells));
        }
        out
    }
}

fn shown(cells: &[String]) -> Vec<&dyn Display> {
    cells.iter().map(|cell| cell as &dyn Display).collect()
}

impl Chart {
    /// `series,x,value,low,high`: a line for each point, with the ends of its band where there is one.
    pub fn csv(&self) -> String {
        let mut out = String::from("series,x,value,low,high\n");
        for series in &self.series {
            for &(x, value) in &series.points {
                let Some(value) = value else { continue };
                let mut band = series.band.iter().filter(|band| band.0 == x);
                let (low, high) = match band.next() {
                    Some((_, low, high)) => (low.to_string(), high.to_string()),
                    None => (String::new(), String::new()),
                };
                let x = self.position(x);
                line(&mut out, &[&series.name, &x, &value, &low, &high]);
            }
        }
        out
    }

    /// The name of a position, or the number.
    fn position(&self, x: f64) -> String {
        self.x.name(&x.to_string(), x).to_string()
    }
}

impl HeatMap {
    /// The matrix under the names of its classes, with nine decimals; empty where a class has no
    /// vector.
    pub fn csv(&self) -> String {
        let mut out = String::from("class");
        for label in &self.labels {
            let _ = write!(out, ",{}", csv_cell(label));
        }
        out.push('\n');
        for (label, values) in self.labels.iter().zip(&self.values) {
            out.push_str(&csv_cell(label));
            for value in values {
                let _ = match value {
                    Some(value) => write!(out, ",{value:.9}"),
                    None => write!(out, ","),
                };
            }
            out.push('\n');
        }
        out
    }
}

impl Scatter {
    /// `kind,name,x,y`: the arms, the samples and the tag-wise averages in the plane.
    pub fn csv(&self) -> String {
        let mut out = String::from("kind,name,x,y\n");
        for arm in &self.arms {
            line(&mut out, &[&"arm", &arm.name, &arm.tip[0], &arm.tip[1]]);
        }
        for cloud in &self.clouds {
            for [x, y] in &cloud.points {
                line(&mut out, &[&"sample", &cloud.name, x, y]);
            }
        }
        for average in &self.averages {
            let classes = average.classes.iter().filter_map(|&at| self.arms.get(at));
            let names: Vec<&str> = classes.map(|arm| arm.name.as_str()).collect();
            let name = format!("{{{}}}", names.join(", "));
            let [x, y] = average.at;
            line(&mut out, &[&"tag-wise average", &name, &x, &y]);
        }
        out
    }
}

impl Report {
    /// Every number of the page: `figure,series,x,value`.
    ///
    /// ```
    /// use tagwise_report::{Card, Report};
    ///
    /// let report = Report { cards: vec![Card::new("NC3", 0.25)], ..Report::default() };
    /// assert_eq!(report.csv(), "figure,series,x,value\nKey figures,NC3,,0.25\n");
    /// ```
    pub fn csv(&self) -> String {
        let mut out = String::from("figure,series,x,value\n");
        for Card { label, value, .. } in &self.cards {
            line(&mut out, &[&"Key figures", label, &"", &plain(value)]);
        }
        for table in &self.tables {
            for row in &table.rows {
                let name = row.first().map(plain).unwrap_or_default();
                for (column, cell) in table.columns.iter().zip(row).skip(1) {
                    let cell = plain(cell);
                    line(&mut out, &[&table.title, &column.name, &name, &cell]);
                }
            }
        }
        for chart in &self.curves {
            for series in &chart.series {
                for &(x, value) in &series.points {
                    let value = value.map(|value| value.to_string()).unwrap_or_default();
                    let x = chart.position(x);
                    line(&mut out, &[&chart.title, &series.name, &x, &value]);
                }
            }
        }
        for map in self.geometry.iter().flat_map(|geometry| &geometry.maps) {
            for (row, values) in map.labels.iter().zip(&map.values) {
                for (column, value) in map.labels.iter().zip(values) {
                    let value = value.map(|value| value.to_string()).unwrap_or_default();
                    line(&mut out, &[&map.title, column, row, &value]);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Average, Axis, Cloud, Column, Series};

    #[test]
    fn charts_give_points_and_bands() {
        let axis = Axis::named("file", ["a.npz".to_string()]);
        let mut chart = Chart::new("NC1", axis, Axis::log("NC1"));
        let mut series = Series::new("m = 1, all", [(1.0, 0.1), (2.0, f64::NAN)]);
        series.band = vec![(1.0, 0.05, 0.2)];
        chart.series.push(series);
        insta::assert_snapshot!(chart.csv(), @r#"
        series,x,value,low,high
        "m = 1, all",a.npz,0.1,0.05,0.2
        "#);
    }

    #[test]
    fn planes_and_maps_give_every_number() {
        let plane = Scatter {
            arms: vec![crate::Arm {
                name: "a".into(),
                tip: [1.0, 0.0],
            }],
            clouds: vec![Cloud {
                name: "{a, b}".into(),
                classes: vec![0],
                points: vec![[0.5, 0.25]],
            }],
            averages: vec![Average {
                classes: vec![0],
                at: [2.0, -1.0],
                scale: 1.0,
            }],
            ..Scatter::default()
        };
        insta::assert_snapshot!(plane.csv(), @r#"
        kind,name,x,y
        arm,a,1,0
        sample,"{a, b}",0.5,0.25
        tag-wise average,{a},2,-1
        "#);
        let map = HeatMap::from_fn("m", ["a", "b"].map(String::from).into(), |i, j| {
            match i == j {
                true => 1.0,
                false => f64::NAN,
            }
        });
        assert_eq!(map.csv(), "class,a,b\na,1.000000000,\nb,,1.000000000\n");
    }

    #[test]
    fn a_spread_has_two_columns() {
        let mut table = Table::new("", [Column::new("run"), Column::new("F1")]);
        let (mean, standard_deviation) = (0.5, 0.125);
        let spread = Cell::Spread {
            mean,
            standard_deviation,
        };
        table.push(["a".into(), spread]);
        table.push(["b".into(), Cell::Missing]);
        assert_eq!(
            table.csv(),
            "run,F1,\"F1, standard deviation\"\na,0.5,0.125\nb,,\n"
        );
    }
}
