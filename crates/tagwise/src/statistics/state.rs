//! Statistics in a file (.ncs): a safetensors file, so that any language can read it.
//!
//! Tensors: `label_sets.labels` and `label_sets.offsets` (ragged class indices), `counts` [L],
//! `square_sums` [L], `means` and `means_low` [L, d] (the mean is their sum), per multiplicity m
//! `scatter.m` (the lower triangle of the within-scatter, row by row), and `weight`, `bias` when
//! the samples came with a classifier. The header's metadata hold the format's name and version,
//! the number of classes, the dimension and the kind of scatter.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, View};

use super::panel::PANEL_WIDTH;
use super::scatter::TiledScatter;
use super::{ScatterKind, Statistics};
use crate::file::write_atomically;
use crate::snapshot::LinearClassifier;
use crate::{Error, LabelSet, Result};

const FORMAT: &str = "tagwise statistics";
const VERSION: &str = "1";

/// Saved statistics with the classifier that belongs to the features, if it is known.
///
/// ```
/// use tagwise::statistics::{Statistics, StatisticsFile};
/// use tagwise::{LabelSet, Targets};
///
/// let mut statistics = Statistics::new(2, 1);
/// statistics.update(&[1.0, 3.0], &Targets::new(2, [[0], [0]].map(LabelSet::new))?)?;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("shard.ncs");
/// StatisticsFile { statistics, classifier: None }.write(&path)?;
/// let back = StatisticsFile::read(&path)?;
/// assert_eq!(back.statistics.set_mean(&LabelSet::new([0])), Some(vec![2.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct StatisticsFile {
    /// Counts, means and scatter.
    pub statistics: Statistics,
    /// The classifier on top of the features.
    pub classifier: Option<LinearClassifier>,
}

impl StatisticsFile {
    /// Writes the file, complete or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let metadata = HashMap::from([
            ("format".to_string(), FORMAT.to_string()),
            ("version".to_string(), VERSION.to_string()),
            (
                "num_classes".to_string(),
                self.statistics.num_classes.to_string(),
            ),
            ("dim".to_string(), self.statistics.dim.to_string()),
            (
                "scatter".to_string(),
                match self.statistics.kind {
                    ScatterKind::Full => "full".to_string(),
                    ScatterKind::Trace => "trace".to_string(),
                },
            ),
        ]);
        let bytes = safetensors::serialize(self.tensors(), Some(metadata)).map_err(|error| {
            Error::Format {
                path: path.to_path_buf(),
                message: format!("the statistics cannot be written ({error})"),
            }
        })?;
        write_atomically(path, |file| file.write_all(&bytes))
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Format`] when it is not such a file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = crate::file::read(path)?;
        parse(&bytes).map_err(|message| Error::Format {
            path: path.to_path_buf(),
            message,
        })
    }

    /// Absorbs another part of the same stream.
    ///
    /// # Errors
    /// As [`Statistics::merge`]; [`Error::Undefined`] when the classifiers differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.classifier != other.classifier {
            return Err(Error::Undefined(
                "the parts come with different classifiers, so they are not parts of one network's features".into(),
            ));
        }
        self.statistics.merge(&other.statistics)
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        let statistics = &self.statistics;
        let (num_sets, dim) = (statistics.ids.len(), statistics.dim);
        let labels: Vec<u32> = statistics
            .label_sets()
            .flat_map(|set| set.labels().iter().copied())
            .collect();
        let mut offsets = vec![0u64];
        for set in statistics.label_sets() {
            offsets.push(offsets[offsets.len() - 1] + set.multiplicity() as u64);
        }
        let part = |which: usize| {
            statistics.ids.values().flat_map(move |&id| {
                (0..dim).map(move |column| {
                    let panel = &statistics.panels[column / PANEL_WIDTH];
                    panel.mean_parts(id, column % PANEL_WIDTH)[which]
                })
            })
        };
        let mut tensors = vec![
            (
                "label_sets.labels".to_string(),
                Tensor::new(
                    Dtype::U32,
                    vec![labels.len()],
                    labels.iter().flat_map(|v| v.to_le_bytes()),
                ),
            ),
            (
                "label_sets.offsets".to_string(),
                Tensor::new(
                    Dtype::U64,
                    vec![offsets.len()],
                    offsets.iter().flat_map(|v| v.to_le_bytes()),
                ),
            ),
            (
                "counts".to_string(),
                Tensor::new(
                    Dtype::U64,
                    vec![num_sets],
                    statistics.set_counts().iter().flat_map(|v| v.to_le_bytes()),
                ),
            ),
            (
                "square_sums".to_string(),
                Tensor::numbers(vec![num_sets], statistics.set_square_sums()),
            ),
            (
                "means".to_string(),
                Tensor::numbers(vec![num_sets, dim], part(0)),
            ),
            (
                "means_low".to_string(),
                Tensor::numbers(vec![num_sets, dim], part(1)),
            ),
        ];
        for (multiplicity, scatter) in &statistics.scatters {
            let packed = scatter.to_packed();
            tensors.push((
                format!("scatter.{multiplicity}"),
                Tensor::numbers(vec![packed.len()], packed),
            ));
        }
        if let Some(classifier) = &self.classifier {
            let num_classes = classifier.num_classes();
            let weight = (0..num_classes)
                .flat_map(|row| (0..dim).map(move |column| classifier.weight[(row, column)]));
            tensors.push((
                "weight".to_string(),
                Tensor::numbers(vec![num_classes, dim], weight),
            ));
            tensors.push((
                "bias".to_string(),
                Tensor::numbers(vec![num_classes], classifier.bias.iter().copied()),
            ));
        }
        tensors
    }
}

struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    fn new(dtype: Dtype, shape: Vec<usize>, bytes: impl Iterator<Item = u8>) -> Self {
        Self {
            dtype,
            shape,
            bytes: bytes.collect(),
        }
    }

    fn numbers(shape: Vec<usize>, values: impl IntoIterator<Item = f64>) -> Self {
        Self::new(
            Dtype::F64,
            shape,
            values.into_iter().flat_map(f64::to_le_bytes),
        )
    }
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

fn parse(bytes: &[u8]) -> Result<StatisticsFile, String> {
    let damaged = |error| {
        format!(
            "expected saved statistics (.ncs), found something else or only a part of one ({error})"
        )
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let text = |key: &str| metadata.get(key).map(String::as_str);
    if text("format") != Some(FORMAT) {
        return Err("expected saved statistics (.ncs), found another safetensors file; to measure features, name it .safetensors".into());
    }
    if text("version") != Some(VERSION) {
        return Err(format!(
            "expected version {VERSION} of saved statistics, found {}; make them again with this program",
            text("version").unwrap_or("none")
        ));
    }
    let number = |key: &str| {
        text(key)
            .and_then(|text| text.parse::<usize>().ok())
            .ok_or_else(|| format!("the header does not state {key}"))
    };
    let (num_classes, dim) = (number("num_classes")?, number("dim")?);
    let kind = match text("scatter") {
        Some("full") => ScatterKind::Full,
        Some("trace") => ScatterKind::Trace,
        other => return Err(format!("expected scatter full or trace, found {other:?}")),
    };
    let file = File(SafeTensors::deserialize(bytes).map_err(damaged)?);
    let sets = file.label_sets(num_classes)?;
    let statistics = file.statistics(num_classes, dim, kind, sets)?;
    let classifier = if file.0.tensor("weight").is_ok() {
        let weight = file.numbers("weight", num_classes * dim)?;
        let bias = file.numbers("bias", num_classes)?;
        let classifier = LinearClassifier::from_rows(&weight, &bias, dim);
        Some(classifier.map_err(|error| error.to_string())?)
    } else {
        None
    };
    Ok(StatisticsFile {
        statistics,
        classifier,
    })
}

struct File<'a>(SafeTensors<'a>);

impl File<'_> {
    fn elements<const SIZE: usize>(
        &self,
        name: &str,
        dtype: Dtype,
    ) -> Result<&[[u8; SIZE]], String> {
        let tensor = self
            .0
            .tensor(name)
            .map_err(|_| format!("`{name}` is missing"))?;
        if tensor.dtype() != dtype {
            return Err(format!(
                "expected `{name}` of {dtype:?}, found {:?}",
                tensor.dtype()
            ));
        }
        Ok(tensor.data().as_chunks::<SIZE>().0)
    }

    fn numbers(&self, name: &str, count: usize) -> Result<Vec<f64>, String> {
        let elements = self.elements::<8>(name, Dtype::F64)?;
        if elements.len() != count {
            return Err(format!(
                "expected {count} numbers in `{name}`, found {}",
                elements.len()
            ));
        }
        let values: Vec<f64> = elements
            .iter()
            .map(|&bytes| f64::from_le_bytes(bytes))
            .collect();
        match values.iter().position(|value| !value.is_finite()) {
            Some(position) => Err(format!(
                "expected finite numbers in `{name}`, found {} at {position}",
                values[position]
            )),
            None => Ok(values),
        }
    }

    fn label_sets(&self, num_classes: usize) -> Result<Vec<LabelSet>, String> {
        let labels = self.elements::<4>("label_sets.labels", Dtype::U32)?;
        let offsets = self.elements::<8>("label_sets.offsets", Dtype::U64)?;
        let offsets: Vec<usize> = offsets
            .iter()
            .map(|&bytes| u64::from_le_bytes(bytes) as usize)
            .collect();
        if offsets.first() != Some(&0)
            || offsets.last() != Some(&labels.len())
            || !offsets.is_sorted()
        {
            return Err("`label_sets.offsets` does not fit `label_sets.labels`".into());
        }
        let sets: Vec<LabelSet> = offsets
            .windows(2)
            .map(|bounds| {
                labels[bounds[0]..bounds[1]]
                    .iter()
                    .map(|&b| u32::from_le_bytes(b))
                    .collect()
            })
            .collect();
        let fits = |set: &LabelSet| {
            set.labels()
                .last()
                .is_none_or(|&label| (label as usize) < num_classes)
        };
        match (
            sets.iter().all(fits),
            sets.windows(2).all(|pair| pair[0] < pair[1]),
        ) {
            (true, true) => Ok(sets),
            (false, _) => Err(format!(
                "expected labels below {num_classes}, found larger ones"
            )),
            (_, false) => Err("expected every label set once and in order".into()),
        }
    }

    fn statistics(
        &self,
        num_classes: usize,
        dim: usize,
        kind: ScatterKind,
        sets: Vec<LabelSet>,
    ) -> Result<Statistics, String> {
        let mut statistics = Statistics::with_scatter(num_classes, dim, kind);
        let counts = self.elements::<8>("counts", Dtype::U64)?;
        if counts.len() != sets.len() {
            return Err(format!(
                "expected {} counts, found {}",
                sets.len(),
                counts.len()
            ));
        }
        let square_sums = self.numbers("square_sums", sets.len())?;
        let high = self.numbers("means", sets.len() * dim)?;
        let low = self.numbers("means_low", sets.len() * dim)?;
        let ids: Vec<usize> = sets.iter().map(|set| statistics.id(set)).collect();
        statistics.make_room();
        for (row, &id) in ids.iter().enumerate() {
            statistics.counts[id] = u64::from_le_bytes(counts[row]);
            for column in 0..dim {
                let parts = [high[row * dim + column], low[row * dim + column]];
                statistics.panels[column / PANEL_WIDTH].set_mean_parts(
                    id,
                    column % PANEL_WIDTH,
                    parts,
                );
            }
            // The sum over all panels is what counts; the first one keeps it.
            if let Some(panel) = statistics.panels.first_mut() {
                panel.set_square_sum(id, square_sums[row]);
            }
        }
        let multiplicities: std::collections::BTreeSet<usize> =
            sets.iter().map(LabelSet::multiplicity).collect();
        for multiplicity in multiplicities {
            let name = format!("scatter.{multiplicity}");
            if kind == ScatterKind::Full && self.0.tensor(&name).is_ok() {
                let packed = self.numbers(&name, dim * (dim + 1) / 2)?;
                statistics
                    .scatters
                    .insert(multiplicity, TiledScatter::from_packed(dim, &packed));
            }
        }
        Ok(statistics)
    }
}
