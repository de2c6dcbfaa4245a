//! Saved statistics read back, with everything in them checked.

use std::collections::BTreeSet;

use super::super::panel::PANEL_WIDTH;
use super::super::scatter::TiledScatter;
use super::super::{MAX_DIM, ScatterKind, Statistics};
use super::{StatisticsFile, kind_name, scatter_name};
use crate::form::Form;
use crate::label::MAX_CLASSES;
use crate::tensors::Tensors;
use crate::{Error, LabelSet, LinearClassifier, Result};

pub(super) fn parse(bytes: &[u8]) -> Result<StatisticsFile> {
    let tensors = Tensors::parse(bytes).map_err(|error| match error {
        Error::NotTensors { problem } => malformed(format!(
            "expected saved statistics (.ncs), found something else or only a part of one ({problem})"
        )),
        other => other,
    })?;
    let parts = Parts::new(&tensors)?;
    tensors.verify()?;
    parts.check_names()?;
    Ok(StatisticsFile {
        statistics: parts.statistics()?,
        classifier: parts.classifier()?,
    })
}

fn malformed(message: String) -> Error {
    Error::Malformed(message)
}

/// The tensors with what the header says about them.
struct Parts<'a> {
    tensors: &'a Tensors<'a>,
    num_classes: usize,
    dim: usize,
    kind: ScatterKind,
    sets: Vec<LabelSet>,
}

impl<'a> Parts<'a> {
    fn new(tensors: &'a Tensors<'a>) -> Result<Self> {
        if tensors.metadata("format") != Some(Form::Statistics.name()) {
            return Err(malformed("expected saved statistics (.ncs), found another safetensors file; to measure features, name it .safetensors".into()));
        }
        if tensors.metadata("version").is_none() {
            return Err(malformed(
                "expected the version of these saved statistics in the header, found none; make them again with this program".into(),
            ));
        }
        let number = |key: &str, most: usize| {
            let text = tensors.metadata(key).unwrap_or("nothing");
            let number = text.parse().ok().filter(|&number: &usize| number <= most);
            number.ok_or_else(|| {
                malformed(format!(
                    "expected {key} of at most {most} in the header, found {text}"
                ))
            })
        };
        let stated = tensors.metadata("scatter");
        let kinds = [ScatterKind::Full, ScatterKind::Trace];
        let kind = kinds
            .into_iter()
            .find(|&kind| stated == Some(kind_name(kind)));
        let num_classes = number("num_classes", MAX_CLASSES)?;
        Ok(Self {
            tensors,
            num_classes,
            dim: number("dim", MAX_DIM)?,
            kind: kind.ok_or_else(|| {
                malformed(format!("expected scatter full or trace, found {stated:?}"))
            })?,
            sets: label_sets(tensors, num_classes)?,
        })
    }

    /// Whether there is any tensor that belongs to nothing here.
    fn check_names(&self) -> Result<()> {
        let known = [
            "label_sets.labels",
            "label_sets.offsets",
            "counts",
            "square_sums",
            "means",
            "means_low",
            "weight",
            "bias",
        ];
        let multiplicities: BTreeSet<String> = match self.kind {
            ScatterKind::Full => {
                let labelled = self.sets.iter().filter(|set| !set.is_empty());
                labelled
                    .map(|set| scatter_name(set.multiplicity()))
                    .collect()
            }
            ScatterKind::Trace => BTreeSet::new(),
        };
        let mut names = self.tensors.iter().map(|tensor| tensor.name());
        match names.find(|name| !known.contains(name) && !multiplicities.contains(*name)) {
            None => Ok(()),
            Some(name) => Err(malformed(format!(
                "found `{name}`, which belongs to no statistics of these label sets with scatter {}",
                kind_name(self.kind)
            ))),
        }
    }

    fn statistics(&self) -> Result<Statistics> {
        let (num_sets, dim) = (self.sets.len(), self.dim);
        let counts = self.counts()?;
        let square_sums = self
            .tensors
            .require("square_sums")?
            .finite_of(&[num_sets])?;
        if let Some(place) = square_sums.iter().position(|&sum| sum < 0.0) {
            return Err(malformed(format!(
                "expected sums of squares of at least 0 in `square_sums`, found {} at {place}",
                square_sums[place]
            )));
        }
        let high = self.tensors.require("means")?.finite_of(&[num_sets, dim])?;
        let low = self.tensors.require("means_low")?;
        let low = low.finite_of(&[num_sets, dim])?;
        let scatters = self.scatters(&counts)?;
        let mut statistics = Statistics::with_scatter(self.num_classes, dim, self.kind);
        let ids: Vec<usize> = self.sets.iter().map(|set| statistics.id(set)).collect();
        statistics.make_room();
        for (row, &id) in ids.iter().enumerate() {
            statistics.counts[id] = counts[row];
            for column in 0..dim {
                let parts = [high[row * dim + column], low[row * dim + column]];
                let panel = &mut statistics.panels[column / PANEL_WIDTH];
                panel.set_mean_parts(id, column % PANEL_WIDTH, parts);
            }
            // The sum over all panels is what counts; the first one keeps it.
            if let Some(panel) = statistics.panels.first_mut() {
                panel.set_square_sum(id, square_sums[row]);
            }
        }
        statistics.scatters = scatters.into_iter().collect();
        Ok(statistics)
    }

    /// n_S of each label set: none of them 0, and all together still a number.
    fn counts(&self) -> Result<Vec<u64>> {
        let counts: Vec<u64> = self
            .tensors
            .require("counts")?
            .to_vec_of(&[self.sets.len()])?;
        if let Some(place) = counts.iter().position(|&count| count == 0) {
            return Err(malformed(format!(
                "expected at least one sample of every label set, found none of {}",
                self.sets[place]
            )));
        }
        let total = counts
            .iter()
            .try_fold(0u64, |sum, &count| sum.checked_add(count));
        match total {
            Some(_) => Ok(counts),
            None => Err(malformed(
                "expected `counts` whose sum fits 64 bits, found more samples".into(),
            )),
        }
    }

    /// The scatter of every multiplicity in which a label set has two samples.
    fn scatters(&self, counts: &[u64]) -> Result<Vec<(usize, TiledScatter)>> {
        let of_pairs = self.sets.iter().zip(counts);
        let needed: BTreeSet<usize> = of_pairs
            .filter(|(set, count)| !set.is_empty() && **count > 1)
            .map(|(set, _)| set.multiplicity())
            .collect();
        if self.kind == ScatterKind::Trace {
            return Ok(Vec::new());
        }
        let all: BTreeSet<usize> = self.sets.iter().map(LabelSet::multiplicity).collect();
        let mut scatters = Vec::new();
        for multiplicity in all {
            let name = scatter_name(multiplicity);
            if needed.contains(&multiplicity) || self.tensors.get(&name).is_some() {
                scatters.push((multiplicity, self.scatter(&name)?));
            }
        }
        Ok(scatters)
    }

    fn scatter(&self, name: &str) -> Result<TiledScatter> {
        let dim = self.dim;
        let packed = self.tensors.require(name)?;
        let packed = packed.finite_of(&[dim * (dim + 1) / 2])?; // d ≤ 2²⁴, so this does not overflow
        let mut place = 0;
        for row in 0..dim {
            let square = packed[place + row];
            if square < 0.0 {
                return Err(malformed(format!(
                    "expected sums of squares of at least 0 on the diagonal of `{name}`, found {square} in dimension {row}"
                )));
            }
            place += row + 1;
        }
        Ok(TiledScatter::from_packed(dim, &packed))
    }

    fn classifier(&self) -> Result<Option<LinearClassifier>> {
        let sizes = [self.num_classes, self.dim];
        match (self.tensors.get("weight"), self.tensors.get("bias")) {
            (None, None) => Ok(None),
            (Some(weight), Some(bias)) => {
                let (weight, bias) = (weight.finite_of(&sizes)?, bias.finite_of(&sizes[..1])?);
                LinearClassifier::from_rows(&weight, &bias, self.dim).map(Some)
            }
            _ => Err(malformed(
                "expected `weight` and `bias` both or neither, found one of them".into(),
            )),
        }
    }
}

/// The distinct label sets, in order.
fn label_sets(tensors: &Tensors<'_>, num_classes: usize) -> Result<Vec<LabelSet>> {
    let labels: Vec<u32> = tensors.require("label_sets.labels")?.to_vec()?;
    let offsets: Vec<u64> = tensors.require("label_sets.offsets")?.to_vec()?;
    let ends_right = offsets.first() == Some(&0) && offsets.last() == Some(&(labels.len() as u64));
    if !ends_right || !offsets.is_sorted() {
        return Err(malformed(
            "`label_sets.offsets` does not fit `label_sets.labels`".into(),
        ));
    }
    if labels.iter().any(|&label| label as usize >= num_classes) {
        return Err(malformed(format!(
            "expected labels below {num_classes}, found larger ones"
        )));
    }
    let mut sets = Vec::with_capacity(offsets.len() - 1);
    for bounds in offsets.windows(2) {
        let labels = &labels[bounds[0] as usize..bounds[1] as usize];
        if !labels.is_sorted_by(|a, b| a < b) {
            return Err(malformed(
                "expected the labels of every label set once and in order".into(),
            ));
        }
        sets.push(LabelSet::new(labels.iter().copied()));
    }
    match sets.is_sorted_by(|a, b| a < b) {
        true => Ok(sets),
        false => Err(malformed(
            "expected every label set once and in order".into(),
        )),
    }
}
