//! From a trained network to what its folder holds at the end.

use std::ops::ControlFlow;

use tagwise::Targets;
use tagwise::head::{FittedHead, HeadDescription, HeadPotentials};
use tagwise::snapshot::{FeatureValues, Snapshot};
use tagwise::statistics::Statistics;
use tagwise_data::ImageSet;

use super::{Run, Store};
use crate::decoders::Decoders;
use crate::extract::{self, Extracted};
use crate::summary::{DataSummary, FirstAndLast, NetworkSummary, Summary};
use crate::{DataSets, EpochRecord, Error, Experiment, Measured, Result, RunFolder, Select, Split};

/// Everything that a finished run knows, for tables and pictures.
#[derive(Debug)]
pub struct Finished {
    /// The final tables.
    pub summary: Summary,
    /// The experiment.
    pub experiment: Experiment,
    /// The run folder, if the run has one.
    pub folder: Option<RunFolder>,
    /// The data sets.
    pub data: DataSets,
    /// The record of every epoch.
    pub records: Vec<EpochRecord>,
    /// Features of the training set, with the classifier.
    pub train: Snapshot,
    /// Statistics of these features.
    pub statistics: Statistics,
    /// The test set as the first decoder of [`Summary::test`] sees it.
    pub test_decoded: Targets,
}

impl Run {
    /// Measures the trained network on every data set and, with a folder, writes what a run leaves
    /// there, except its report: first the weights and features, which cost the most, then what
    /// is derived.
    ///
    /// # Errors
    /// [`Error::NotTrained`], or [`Error::Checkpoint`] with a folder, before the last epoch is
    /// trained and measured; otherwise for files that cannot be written.
    pub fn finish(self) -> Result<Finished> {
        self.finish_with(|_, _| ControlFlow::Continue(()))
    }

    /// The same, with `progress` told the images done and those of all data sets after every batch;
    /// it may stop.
    ///
    /// # Errors
    /// As [`finish`](Self::finish), and [`Error::Interrupted`] when `progress` breaks; a run with a
    /// folder can be resumed and finished then.
    pub fn finish_with(
        mut self,
        mut progress: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Finished> {
        let sets = [&self.data.train, &self.data.validation, &self.data.test];
        let total = sets.iter().map(|set| set.len()).sum();
        let mut done = 0;
        let (first, last) = self.first_and_last()?;
        let selected_epoch = self.select()?;
        self.store.write_weights(self.engine.as_ref())?;
        let batch_size = self.experiment.evaluation.batch_size;
        let mut extract = |split: Split| {
            let (engine, data) = (self.engine.as_mut(), &self.data);
            Extracted::with(engine, data, split, batch_size, &mut |images| {
                done += images;
                progress(done, total)
            })
        };
        let train = extract(Split::Train)?;
        let validation = extract(Split::Validation)?;
        let test = extract(Split::Test)?;
        let statistics = train.statistics(self.engine.feature_dim(), self.data.train.targets())?;
        let train = self.snapshot(train.features, &self.data.train)?;
        self.store
            .write_features("features-train.safetensors", &train)?;
        if let Store::Folder(_) = self.store {
            for (name, extracted, images) in [
                (
                    "features-validation.safetensors",
                    &validation,
                    &self.data.validation,
                ),
                ("features-test.safetensors", &test, &self.data.test),
            ] {
                let snapshot = self.snapshot(extracted.features.clone(), images)?;
                self.store.write_features(name, &snapshot)?;
            }
        }
        let potentials = self.engine.potentials()?;
        if let Some(potentials) = &potentials {
            self.store.write_head(&self.head(potentials.clone())?)?;
        }
        let validation_targets = self.data.validation.targets();
        let decoders = Decoders::new(&statistics, &validation, validation_targets, potentials)?;
        let (test, test_decoded) = decoders.evaluate(&test, self.data.test.targets())?;
        let summary = Summary {
            name: self.experiment.name.clone(),
            seed: self.experiment.seed,
            folder: self.folder().map(|folder| folder.path().to_path_buf()),
            provenance: self
                .provenance()
                .map(|(name, value)| (name.to_string(), value))
                .into(),
            seconds: self.records.iter().map(|record| record.seconds).sum(),
            data: DataSummary::new(&self.data),
            network: NetworkSummary::new(self.engine.as_ref())?,
            epochs: self.experiment.training.epochs,
            selected_epoch,
            train_loss: last.train_loss,
            collapse: FirstAndLast {
                first: first.collapse,
                last: last.collapse,
            },
            test,
        };
        self.store.write_summary(&summary)?;
        Ok(Finished {
            summary,
            experiment: self.experiment,
            folder: self.store.into_folder(),
            data: self.data,
            records: self.records,
            train,
            statistics,
            test_decoded,
        })
    }

    /// What was measured before the first and after the last epoch.
    fn first_and_last(&self) -> Result<(Measured, Measured)> {
        let epochs = self.experiment.training.epochs;
        let measured = |epoch: usize| {
            self.records
                .get(epoch)
                .and_then(|record| record.measured.clone())
                .ok_or_else(|| match self.folder() {
                    None => Error::NotTrained { epoch, epochs },
                    Some(folder) => Error::Checkpoint {
                        path: folder.file("metrics.jsonl"),
                        message: format!(
                            "expected what was measured after epoch {epoch} of {epochs}, found \
                             nothing; start the run anew"
                        ),
                    },
                })
        };
        Ok((measured(0)?, measured(epochs)?))
    }

    /// Puts the selected epoch's weights into the network and returns that epoch.
    fn select(&mut self) -> Result<usize> {
        let last = self.experiment.training.epochs;
        if self.experiment.evaluation.select == Select::Last {
            return Ok(last);
        }
        let Some(best) = best_epoch(&self.records) else {
            return Ok(last);
        };
        if best != last {
            self.store.load_best(self.engine.as_mut())?;
        }
        Ok(best)
    }

    /// The last layer with what the set likelihood learned beside it.
    fn head(&self, potentials: HeadPotentials) -> Result<FittedHead> {
        let classifier = extract::classifier(self.engine.as_ref())?;
        let description = HeadDescription {
            num_samples: self.data.train.len(),
            num_classes: classifier.num_classes(),
            dim: classifier.dim(),
            label_names: Some(self.data.class_names().to_vec()),
            ..HeadDescription::default()
        };
        Ok(FittedHead {
            potentials: Some(potentials),
            description,
            ..FittedHead::of_classifier(classifier)
        })
    }

    /// Features of a data set with the classifier.
    fn snapshot(&self, features: Vec<f32>, images: &ImageSet) -> Result<Snapshot> {
        let classifier = extract::classifier(self.engine.as_ref())?;
        Ok(Snapshot::new(
            FeatureValues::F32(features),
            classifier.dim(),
            images.targets().clone(),
            Some(classifier),
        )?)
    }
}

/// The trained epoch with the most exact matches on the validation set; of equals the one with
/// the smallest validation loss, then the first. `None` before one is measured.
pub(super) fn best_epoch(records: &[EpochRecord]) -> Option<usize> {
    let trained = records.iter().filter(|record| record.epoch > 0);
    let candidates = trained.filter_map(|record| {
        let validation = record.measured.as_ref()?.validation;
        let exact = validation.subset_accuracy.unwrap_or(0.0);
        Some((record.epoch, exact, validation.loss))
    });
    candidates
        .reduce(|best, next| {
            let is_better = next.1 > best.1 || (next.1 == best.1 && next.2 < best.2);
            if is_better { next } else { best }
        })
        .map(|(epoch, _, _)| epoch)
}
