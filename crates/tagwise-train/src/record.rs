//! What is written down after an epoch.

use serde::{Deserialize, Serialize};
use tagwise::collapse::{CollapseMetric, CollapseReport};

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Epochs done; 0 is the initial network.
    pub epoch: usize,
    /// Seconds of the epoch, measurement included.
    pub seconds: f64,
    /// Images learned from in a second, measurement not included; absent for epoch 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_per_second: Option<f64>,
    /// Learning rate of the last step; absent for epoch 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Mean loss of the epoch's batches while the weights moved; absent for epoch 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// What was measured after the epoch; absent between two measurements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

impl EpochRecord {
    /// Every number of the record under a name for a column or a tracker, in the order in which
    /// `metrics.csv` has them; a number that was not measured is left out.
    ///
    /// The names are `seconds`, `images_per_second`, `learning_rate`, `loss` (while the weights
    /// moved), `train_loss` (at rest), `validation_loss`, `validation_label_mass`,
    /// `validation_exact_match` and the [keys](CollapseMetric::key) of the collapse metrics.
    pub fn figures(&self) -> Vec<(String, f64)> {
        let mut figures = vec![("seconds".to_string(), Some(self.seconds))];
        let mut add = |name: &str, value| figures.push((name.to_string(), value));
        add("images_per_second", self.images_per_second);
        add("learning_rate", self.learning_rate);
        add("loss", self.loss);
        if let Some(measured) = &self.measured {
            add("train_loss", Some(measured.train_loss));
            add("validation_loss", Some(measured.validation.loss));
            add("validation_label_mass", measured.validation.label_mass);
            add(
                "validation_exact_match",
                measured.validation.subset_accuracy,
            );
            for metric in CollapseMetric::of_report(&measured.collapse) {
                add(&metric.key(), metric.value(&measured.collapse));
            }
        }
        let known = figures.into_iter();
        known
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

/// The records as `metrics.csv`: a line for each epoch, a column for each figure of any of them,
/// empty where it was not measured.
pub(crate) fn csv(records: &[EpochRecord]) -> String {
    let rows: Vec<_> = records.iter().map(EpochRecord::figures).collect();
    let mut columns: Vec<&str> = Vec::new();
    // The record with the most figures has them in their order.
    let mut by_length: Vec<_> = rows.iter().collect();
    by_length.sort_by_key(|row| std::cmp::Reverse(row.len()));
    for (name, _) in by_length.into_iter().flatten() {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let mut text = format!("epoch,{}\n", columns.join(","));
    for (record, row) in records.iter().zip(&rows) {
        text.push_str(&record.epoch.to_string());
        for column in &columns {
            text.push(',');
            if let Some((_, value)) = row.iter().find(|(name, _)| name == column) {
                text.push_str(&value.to_string());
            }
        }
        text.push('\n');
    }
    text
}

/// Everything measured with the weights at rest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Mean loss of the training set in evaluation mode.
    pub train_loss: f64,
    /// Collapse of the training set's features.
    pub collapse: CollapseReport,
    /// Quality on the validation set.
    pub validation: Validation,
}

/// Quality on the validation set with the cheapest decoder.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Validation {
    /// Mean loss.
    pub loss: f64,
    /// Mean softmax mass on the true labels, Σ_{k∈S} p_k; `None` without a labelled sample.
    pub label_mass: Option<f64>,
    /// Share of samples whose set the one-nearest-neighbour decoder finds exactly; `None` while
    /// the class means allow no decoder, as when all of them are zero.
    pub subset_accuracy: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: usize, loss: Option<f64>) -> EpochRecord {
        EpochRecord {
            epoch,
            seconds: 0.5,
            images_per_second: loss.map(|_| 1000.0),
            learning_rate: loss.map(|_| 0.1),
            loss,
            measured: None,
        }
    }

    #[test]
    fn a_figure_that_was_not_measured_is_an_empty_cell() {
        insta::assert_snapshot!(csv(&[record(0, None), record(1, Some(2.25e-8))]), @r"
        epoch,seconds,images_per_second,learning_rate,loss
        0,0.5,,,
        1,0.5,1000,0.1,0.0000000225
        ");
        assert_eq!(csv(&[]), "epoch,\n");
    }
}
