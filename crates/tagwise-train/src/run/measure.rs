//! What is measured while the weights rest.

use tagwise::collapse::{CollapseReport, Intervals};
use tagwise::evaluate::{SetMeasures, label_mass};
use tagwise::statistics::Statistics;

use super::Measurement;
use crate::decoders::Decoders;
use crate::extract;
use crate::{DataSets, Engine, Error, Experiment, Extracted, Measured, Result, Split, Validation};

/// Measures collapse on the training set and quality on the validation set, and shows what it was
/// measured on.
///
/// # Errors
/// [`Error::LossNotFinite`] and, from the mathematics, features that are not finite.
pub(super) fn measure(
    engine: &mut dyn Engine,
    data: &DataSets,
    experiment: &Experiment,
    epoch: usize,
    show: &mut dyn FnMut(Measurement<'_>),
) -> Result<Measured> {
    let batch_size = experiment.evaluation.batch_size;
    let train = Extracted::new(engine, data, Split::Train, batch_size)?;
    let validation = Extracted::new(engine, data, Split::Validation, batch_size)?;
    let statistics = train.statistics(engine.feature_dim(), data.train.targets())?;
    let classifier = extract::classifier(engine)?;
    let potentials = engine.potentials()?;
    let loss = |extracted: &Extracted, truth| {
        let loss = extracted.mean_loss(&experiment.loss, potentials.as_ref(), truth)?;
        match loss.is_finite() {
            true => Ok(loss),
            false => Err(Error::LossNotFinite(loss)),
        }
    };
    let measured = Measured {
        train_loss: loss(&train, data.train.targets())?,
        collapse: CollapseReport::measure_samples(
            &statistics,
            Some(&classifier),
            &train.features,
            data.train.targets(),
            Intervals::WhereCheap,
        )?,
        validation: Validation {
            loss: loss(&validation, data.validation.targets())?,
            label_mass: label_mass(&validation.logits, data.validation.targets())?,
            subset_accuracy: exact_matches(&validation, &statistics, data)?,
        },
    };
    show(Measurement {
        epoch,
        features: &train.features,
        targets: data.train.targets(),
        statistics: &statistics,
        classifier: &classifier,
    });
    Ok(measured)
}

/// Share of the validation set that one nearest neighbour decodes exactly.
fn exact_matches(
    validation: &Extracted,
    statistics: &Statistics,
    data: &DataSets,
) -> Result<Option<f64>> {
    let Ok(nearest) = Decoders::nearest(statistics) else {
        return Ok(None);
    };
    let predicted = nearest.decode(&validation.features)?.targets;
    let measures = SetMeasures::new(&predicted, data.validation.targets())?;
    Ok(Some(measures.subset_accuracy))
}

/// The value that is not finite, when that is what an error of [`measure`] says.
pub(super) fn not_finite(error: &Error) -> Option<f64> {
    match error {
        Error::Mathematics(tagwise::Error::NotFinite { value, .. }) => Some(*value),
        Error::LossNotFinite(value) => Some(*value),
        _ => None,
    }
}
