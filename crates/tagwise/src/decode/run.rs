//! Features decoded by a [`FittedDecoder`], wherever they are: in memory, in somebody else's arrays
//! or in files larger than memory.

use std::ops::{ControlFlow, Range};

use tagwise_base::features::{DenseView, FeatureRows, FeaturesView};

use super::blocks::{BLOCK_LEN, Collected, DecodeProgress, ask};
use super::choice::Decoder;
use super::fitted::{FittedDecoder, no_classifier};
use super::nearest::Decoded;
use super::record::Space;
use super::rules::{LogitDecoder, Rule};
use crate::head::{Features, LogitMap, centre_logits};
use crate::snapshot::SampleStream;
use crate::{Error, Result};

impl FittedDecoder {
    /// The label set of each sample, block by block: beside the answers, memory holds the dense
    /// features or logits of 1024 samples. Only the proportional rule, which looks at all samples
    /// together, needs the logits of all, N·K numbers.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] for another feature dimension, [`Error::Interrupted`] when
    /// `progress` says so.
    pub fn decode(
        &self,
        features: &Features,
        progress: impl FnMut(&DecodeProgress) -> ControlFlow<()>,
    ) -> Result<Decoded> {
        let num_samples = features.num_samples();
        let mut run = Run::new(self, features.dim(), num_samples, progress)?;
        for rows in blocks(num_samples) {
            run.block(features, rows)?;
        }
        run.finish()
    }

    /// As [`decode`](Self::decode), for features that somebody else keeps, in any precision, with a
    /// stride or sparse; blocks of them are copied.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); [`Error::NotFinite`] for NaN and infinity.
    pub fn decode_view(
        &self,
        features: FeaturesView<'_>,
        progress: impl FnMut(&DecodeProgress) -> ControlFlow<()>,
    ) -> Result<Decoded> {
        let num_samples = features.num_rows();
        let mut run = Run::new(self, features.dim(), num_samples, progress)?;
        for rows in blocks(num_samples) {
            let block = Features::of_view(features.rows(rows.clone())?)
                .map_err(|error| error.at_row(rows.start))?;
            run.block(&block, 0..rows.len())?;
        }
        run.finish()
    }

    /// As [`decode`](Self::decode), for samples that are read as they are decoded, such as those of
    /// a [`SnapshotFile`](crate::snapshot::SnapshotFile) larger than memory.
    ///
    /// # Errors
    /// As [`decode_view`](Self::decode_view), and those of reading.
    pub fn decode_stream(
        &self,
        samples: &dyn SampleStream,
        progress: impl FnMut(&DecodeProgress) -> ControlFlow<()>,
    ) -> Result<Decoded> {
        let dim = samples.dim();
        let mut run = Run::new(self, dim, samples.targets().len(), progress)?;
        samples.for_each_block(&mut |first, rows| {
            let view = match rows {
                FeatureRows::F32(values) => DenseView::new(values, dim)?,
                FeatureRows::F64(values) => DenseView::new(values, dim)?,
            };
            for rows in blocks(view.num_rows()) {
                let view = FeaturesView::Dense(view.rows(rows.clone())?);
                let block =
                    Features::of_view(view).map_err(|error| error.at_row(first + rows.start))?;
                run.block(&block, 0..rows.len())?;
            }
            Ok(())
        })?;
        run.finish()
    }
}

fn blocks(num_samples: usize) -> impl Iterator<Item = Range<usize>> {
    let starts = (0..num_samples).step_by(BLOCK_LEN);
    starts.map(move |start| start..(start + BLOCK_LEN).min(num_samples))
}

/// Decoding that has come some way.
struct Run<'a, P> {
    decoder: &'a FittedDecoder,
    /// Where the decoder reads logits.
    map: Option<LogitMap>,
    collected: Collected,
    /// Logits kept for a rule that looks at all samples together.
    logits: Vec<f64>,
    num_samples: usize,
    progress: P,
}

impl<'a, P: FnMut(&DecodeProgress) -> ControlFlow<()>> Run<'a, P> {
    fn new(
        decoder: &'a FittedDecoder,
        dim: usize,
        num_samples: usize,
        progress: P,
    ) -> Result<Self> {
        if dim != decoder.dim {
            return Err(Error::SizeMismatch {
                what: "features",
                expected: decoder.dim,
                found: dim,
            });
        }
        Ok(Self {
            decoder,
            map: decoder.outputs()?.as_ref().map(LogitMap::new),
            collected: Collected::default(),
            logits: Vec::new(),
            num_samples,
            progress,
        })
    }

    /// Decodes some rows of features.
    fn block(&mut self, features: &Features, rows: Range<usize>) -> Result<()> {
        const WITH_MARGINS: usize = 2;
        let decoder = self.decoder;
        let num_classes = decoder.num_classes;
        let state = DecodeProgress {
            num_decoded: self.collected.len() + self.logits.len() / num_classes.max(1),
            num_samples: self.num_samples,
        };
        ask(&mut self.progress, &state)?;
        let block = match &decoder.decoder {
            Decoder::OneNearestNeighbour(nearest) => {
                let values = match decoder.space {
                    Space::Features => features.rows_to_dense(rows),
                    Space::Logits => {
                        let mut logits = self.logits_of(features, rows)?;
                        centre_logits(&mut logits, num_classes);
                        logits
                    }
                };
                nearest.decode_best(&values, WITH_MARGINS)?
            }
            Decoder::Sets(sets) => sets.decode(&self.logits_of(features, rows)?)?,
            Decoder::Logits(rule) => {
                let logits = self.logits_of(features, rows)?;
                if looks_at_all(rule) {
                    self.logits.extend(logits);
                    return Ok(());
                }
                by_rule(rule, &logits, num_classes)?
            }
        };
        self.collected.push(block);
        Ok(())
    }

    fn logits_of(&self, features: &Features, rows: Range<usize>) -> Result<Vec<f64>> {
        let map = self.map.as_ref().ok_or_else(no_classifier)?;
        map.logits(features, rows)
    }

    fn finish(self) -> Result<Decoded> {
        let num_classes = self.decoder.num_classes;
        match &self.decoder.decoder {
            Decoder::Logits(rule) if looks_at_all(rule) => by_rule(rule, &self.logits, num_classes),
            _ => self.collected.finish(num_classes),
        }
    }
}

fn looks_at_all(rule: &LogitDecoder) -> bool {
    matches!(rule.rule, Rule::Proportional { .. })
}

fn by_rule(rule: &LogitDecoder, logits: &[f64], num_classes: usize) -> Result<Decoded> {
    Ok(Decoded::of(rule.decode(logits, num_classes)?))
}

#[cfg(test)]
mod tests {
    use tagwise_base::features::CsrView;

    use super::*;
    use crate::decode::{DecoderInputs, DecoderKind, DecoderSettings, RuleKind};
    use crate::head::{DenseRows, FittedHead, LabelledFeatures};
    use crate::snapshot::{FeatureValues, Snapshot};
    use crate::{LabelSet, LinearClassifier, Targets};

    const DIM: usize = 4;

    /// Features in f32 around sums of three axes, more than one block of them.
    fn data() -> (Vec<f32>, Targets) {
        let sets: Vec<LabelSet> = (0..1500u32)
            .map(|i| (0..1 + i % 2).map(|j| (i / 2 + j) % 3).collect())
            .collect();
        let wiggle = |i: usize, j: u32| ((i as u32 * 31 + j * 17) % 23) as f32 / 60.0;
        let rows = sets.iter().enumerate().flat_map(|(i, set)| {
            let row = |j| f32::from(u8::from(set.contains(j))) + wiggle(i, j);
            (0..DIM as u32).map(row).collect::<Vec<_>>()
        });
        (rows.collect(), Targets::new(3, sets).unwrap())
    }

    fn go_on(_: &DecodeProgress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn decoders(features: &Features, targets: &Targets) -> Vec<FittedDecoder> {
        let identity: Vec<f64> = (0..3 * DIM)
            .map(|i| f64::from(u8::from(i / DIM == i % DIM)))
            .collect();
        let classifier = LinearClassifier::from_rows(&identity, &[0.0; 3], DIM).unwrap();
        let head = FittedHead::of_classifier(classifier);
        let inputs = DecoderInputs {
            training: Some(LabelledFeatures::new(features, targets).unwrap()),
            validation: None,
            head: Some(&head),
        };
        let kinds = [
            DecoderSettings::default(),
            DecoderSettings {
                space: Space::Logits,
                ..DecoderSettings::default()
            },
            DecoderSettings {
                kind: DecoderKind::Rule(RuleKind::Proportional),
                ..DecoderSettings::default()
            },
            DecoderSettings {
                kind: DecoderKind::Rule(RuleKind::Threshold),
                ..DecoderSettings::default()
            },
        ];
        let fit = |settings: &DecoderSettings| {
            FittedDecoder::fit(&inputs, settings, |_| ControlFlow::Continue(())).unwrap()
        };
        kinds.iter().map(fit).collect()
    }

    #[test]
    fn features_are_decoded_alike_wherever_they_are() {
        let (values, targets) = data();
        let wide = values.iter().map(|&x| x.into()).collect();
        let features = Features::Dense(DenseRows::new(wide, DIM).unwrap());
        let columns: Vec<u32> = (0..values.len() as u32).map(|i| i % DIM as u32).collect();
        let starts: Vec<usize> = (0..=targets.len()).map(|row| row * DIM).collect();
        let sparse = CsrView::new(&starts, &columns, &values, DIM).unwrap();
        let dense = DenseView::new(&values, DIM).unwrap();
        let snapshot = Snapshot::new(
            FeatureValues::F32(values.clone()),
            DIM,
            targets.clone(),
            None,
        )
        .unwrap();
        for decoder in decoders(&features, &targets) {
            let expected = decoder.decode(&features, go_on).unwrap();
            assert_eq!(expected.targets.len(), targets.len());
            let of_view = |view| decoder.decode_view(view, go_on).unwrap();
            assert_eq!(of_view(dense.into()), expected, "{}", decoder.spec());
            assert_eq!(of_view(sparse.into()).targets, expected.targets);
            assert_eq!(decoder.decode_stream(&snapshot, go_on).unwrap(), expected);
        }
    }

    #[test]
    fn decoding_stops_when_told_and_refuses_other_features() {
        let (mut values, targets) = data();
        let wide = values.iter().map(|&x| x.into()).collect();
        let features = Features::Dense(DenseRows::new(wide, DIM).unwrap());
        let decoder = &decoders(&features, &targets)[0];
        let mut seen = Vec::new();
        let stopped = decoder.decode(&features, |state| {
            seen.push(state.num_decoded);
            match state.num_decoded {
                0 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        });
        assert!(matches!(stopped, Err(Error::Interrupted)));
        assert_eq!(seen, [0, 1024]);
        let narrow = DenseView::new(&values, 2).unwrap();
        let refused = decoder.decode_view(narrow.into(), go_on).unwrap_err();
        insta::assert_snapshot!(refused, @"expected 4 features, found 2");
        values[4 * 1200 + 1] = f32::NAN;
        let broken = DenseView::new(&values, DIM).unwrap();
        let refused = decoder.decode_view(broken.into(), go_on).unwrap_err();
        insta::assert_snapshot!(refused, @"expected finite numbers, found NaN in features at row 1200, column 1");
    }
}
