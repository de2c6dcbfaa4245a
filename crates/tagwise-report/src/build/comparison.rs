//! Several runs, each under the name of its own.

use serde_json::{Map, Value, json};

use crate::{Report, Result, Table, compare};

/// The reports side by side as [`compare`] lays them, each under another name where one is given:
/// runs of one experiment have one title, and their folders tell them apart.
///
/// # Errors
/// As [`compare`].
pub fn comparison(reports: &[Report], names: &[Option<String>]) -> Result<Report> {
    let mut named = reports.to_vec();
    for (report, name) in named.iter_mut().zip(names) {
        if let Some(name) = name {
            report.title.clone_from(name);
        }
    }
    compare(&named)
}

/// Tables as JSON: lists of objects under the titles of the tables.
///
/// ```
/// use tagwise_report::build::figures;
/// use tagwise_report::{Column, Table};
///
/// let mut table = Table::new("Key figures", [Column::new("run"), Column::higher("F1")]);
/// table.push(["a".into(), 0.5.into()]);
/// assert_eq!(figures(&[table])["key_figures"][0]["F1"], 0.5);
/// ```
pub fn figures(tables: &[Table]) -> Map<String, Value> {
    let mut object = Map::new();
    for table in tables {
        let rows = table.rows.iter().map(|row| {
            let cells = table.columns.iter().zip(row);
            let pairs = cells.map(|(column, cell)| (column.name.clone(), json!(cell)));
            Value::Object(pairs.collect())
        });
        let key = table.title.to_lowercase().replace(' ', "_");
        object.insert(key, rows.collect());
    }
    object
}
