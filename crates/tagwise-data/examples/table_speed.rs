//! How long it takes to read a table.
//!
//! `cargo run --release -p tagwise-data --example table_speed -- delicious.arff delicious.xml`

use std::path::PathBuf;
use std::time::Instant;

use tagwise_data::table::arff::{self, Labels};

fn main() -> Result<(), tagwise_data::Error> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [table, labels] = paths.as_slice() else {
        eprintln!("expected an ARFF file and Mulan's XML file of its labels");
        std::process::exit(2);
    };
    let start = Instant::now();
    let read = arff::read(table, Labels::MulanXml(labels), &[])?;
    println!(
        "{} rows, {} features ({} not zero), {} labels in {:.0} ms",
        read.features.num_rows(),
        read.features.num_features(),
        read.features.num_nonzero(),
        read.targets.num_classes(),
        start.elapsed().as_secs_f64() * 1e3
    );
    Ok(())
}
