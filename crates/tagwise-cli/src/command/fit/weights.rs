//! Weights of classes and label sets from files.

use std::path::Path;

use anyhow::Context;
use tagwise::LabelSet;
use tagwise::head::ClassWeights;
use tagwise::names::{LabelNames, csv_cells};

use crate::command::read_text;

/// Reads `--class-weight`: `none`, `balanced`, or a CSV file with a label and its weight in every
/// line. Labels that the file does not list weigh 1.
pub fn class_weights(
    text: &str,
    names: &LabelNames,
    num_classes: usize,
) -> anyhow::Result<ClassWeights> {
    match text {
        "none" => return Ok(ClassWeights::Uniform),
        "balanced" => return Ok(ClassWeights::Balanced),
        _ => {}
    }
    let path = Path::new(text);
    let mut weights = vec![1.0; num_classes];
    for (line, name, weight) in lines(path, "class weights")? {
        let number = names.number(&name).ok();
        let weight_of = number.and_then(|number| weights.get_mut(number as usize));
        *weight_of.with_context(|| {
            let expected = match names.number(&name) {
                Err(error) => error.to_string(),
                Ok(_) => format!("expected a label below {num_classes}, found {name}"),
            };
            format!("{}, line {line}: {expected}", path.display())
        })? = weight;
    }
    Ok(ClassWeights::Given(weights))
}

/// Reads `--set-weights`: a CSV file with the labels of a set, separated by semicolons, and its
/// weight in every line.
pub fn set_weights(path: &Path, names: &LabelNames) -> anyhow::Result<Vec<(LabelSet, f64)>> {
    let read = |(line, labels, weight): (usize, String, f64)| {
        let set = names
            .set(&labels)
            .map_err(|error| anyhow::anyhow!("{}, line {line}: {error}", path.display()))?;
        Ok((set, weight))
    };
    lines(path, "label-set weights")?
        .into_iter()
        .map(read)
        .collect()
}

/// The number, the first cell and the weight of every line that is not empty.
fn lines(path: &Path, what: &str) -> anyhow::Result<Vec<(usize, String, f64)>> {
    let text = read_text(path)
        .with_context(|| format!("{what} cannot be read from {}", path.display()))?;
    let lines = (1..).zip(text.lines());
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            let cells = csv_cells(line);
            let weight = match cells.as_slice() {
                [_, weight] => weight.trim().parse().ok(),
                _ => None,
            };
            let weight = weight.with_context(|| {
                format!(
                    "{}, line {number}: expected labels, a comma and a weight, found {line:?}",
                    path.display()
                )
            })?;
            Ok((number, cells[0].clone(), weight))
        })
        .collect()
}
