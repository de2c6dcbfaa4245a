//! Last-layer features with their label sets and the classifier on top of them.

mod array;
mod safetensors;

use std::path::Path;

use faer::Mat;

use self::array::{Array, ragged_targets};
use crate::{Error, Result, Targets};

/// The linear layer on top of the features: logits z = W h + b.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearClassifier {
    /// W, `[K, d]`.
    pub weight: Mat<f64>,
    /// b, length K; zeros for a classifier without bias.
    pub bias: Vec<f64>,
}

impl LinearClassifier {
    /// A classifier from a row-major weight.
    ///
    /// # Shapes
    /// `weight` is `[K, d]` with K the length of `bias`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the weight is not K rows of d.
    pub fn from_rows<T: Copy + Into<f64>>(weight: &[T], bias: &[T], dim: usize) -> Result<Self> {
        if weight.len() != bias.len() * dim {
            return Err(Error::SizeMismatch {
                what: "numbers in the weight of the classifier",
                expected: bias.len() * dim,
                found: weight.len(),
            });
        }
        Ok(Self {
            weight: Mat::from_fn(bias.len(), dim, |row, column| {
                weight[row * dim + column].into()
            }),
            bias: bias.iter().map(|&value| value.into()).collect(),
        })
    }

    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.weight.nrows()
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.weight.ncols()
    }

    /// Whether the classifier fits K classes and d dimensions, and is finite.
    pub(crate) fn check(&self, num_classes: usize, dim: usize) -> Result<()> {
        for (what, expected, found) in [
            (
                "rows in the weight of the classifier",
                num_classes,
                self.weight.nrows(),
            ),
            (
                "columns in the weight of the classifier",
                dim,
                self.weight.ncols(),
            ),
            (
                "numbers in the bias of the classifier",
                num_classes,
                self.bias.len(),
            ),
        ] {
            if expected != found {
                return Err(Error::SizeMismatch {
                    what,
                    expected,
                    found,
                });
            }
        }
        for row in 0..num_classes {
            for column in 0..dim {
                let value = self.weight[(row, column)];
                if !value.is_finite() {
                    return Err(Error::NotFinite {
                        what: "the weight of the classifier",
                        row,
                        column,
                        value,
                    });
                }
            }
        }
        Ok(())
    }
}

/// Features, row-major `[N, d]`, in the precision they came in; half precision is widened to f32,
/// which is exact.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureValues {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
}

impl FeatureValues {
    /// How many numbers there are, N·d.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Consecutive rows of features in the precision they came in, `[n, d]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FeatureRows<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Double precision.
    F64(&'a [f64]),
}

/// Samples that can be read block by block, as often as needed: a [`Snapshot`] in memory, or files
/// larger than memory.
pub trait SampleStream {
    /// Feature dimension d.
    fn dim(&self) -> usize;

    /// The label sets of all samples, in the order of the rows.
    fn targets(&self) -> &Targets;

    /// Shows each block of rows in order, with the number of its first row.
    ///
    /// # Errors
    /// Whatever reading or `visit` reports.
    fn for_each_block(
        &self,
        visit: &mut dyn FnMut(usize, FeatureRows<'_>) -> Result<()>,
    ) -> Result<()>;
}

impl SampleStream for Snapshot {
    fn dim(&self) -> usize {
        self.dim
    }

    fn targets(&self) -> &Targets {
        &self.targets
    }

    fn for_each_block(
        &self,
        visit: &mut dyn FnMut(usize, FeatureRows<'_>) -> Result<()>,
    ) -> Result<()> {
        match &self.features {
            FeatureValues::F32(values) => visit(0, FeatureRows::F32(values)),
            FeatureValues::F64(values) => visit(0, FeatureRows::F64(values)),
        }
    }
}

/// What collapse is measured on: features `[N, d]`, one label set per row, and the classifier if
/// it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    features: FeatureValues,
    dim: usize,
    targets: Targets,
    classifier: Option<LinearClassifier>,
}

impl Snapshot {
    /// Puts the parts together.
    ///
    /// # Shapes
    /// `features` is row-major `[N, d]` with d = `dim`; `targets` holds N label sets over K
    /// classes; the classifier's weight is `[K, d]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when sizes disagree, [`Error::NotFinite`] for a classifier that is
    /// not finite.
    ///
    /// ```
    /// use tagwise::snapshot::{FeatureValues, Snapshot};
    /// use tagwise::{LabelSet, Targets};
    ///
    /// let targets = Targets::new(3, [vec![0], vec![1, 2]].map(LabelSet::new))?;
    /// let features = FeatureValues::F32(vec![1.0, 0.0, 0.0, 2.0]); // [2, 2]
    /// let snapshot = Snapshot::new(features, 2, targets, None)?;
    /// assert_eq!(snapshot.num_samples(), 2);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn new(
        features: FeatureValues,
        dim: usize,
        targets: Targets,
        classifier: Option<LinearClassifier>,
    ) -> Result<Self> {
        if features.len() != targets.len() * dim {
            return Err(Error::SizeMismatch {
                what: "numbers in the features (rows of targets times feature dimension)",
                expected: targets.len() * dim,
                found: features.len(),
            });
        }
        if let Some(classifier) = &classifier {
            classifier.check(targets.num_classes(), dim)?;
        }
        Ok(Self {
            features,
            dim,
            targets,
            classifier,
        })
    }

    /// Reads a safetensors file with `features` [N, d] (f16, bf16, f32 or f64), `targets` [N, K]
    /// of 0 and 1 (bool, integer or float) and, optionally, `weight` `[K, d]` and `bias` `[K]`.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Format`] when it is not such a file.
    pub fn read(path: &Path) -> Result<Self> {
        safetensors::read(path)
    }

    /// Writes the snapshot as safetensors, complete or not at all: into a temporary file in the
    /// same folder, then renamed.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        safetensors::write(self, path)
    }

    /// The features, row-major `[N, d]`.
    pub fn features(&self) -> &FeatureValues {
        &self.features
    }

    /// Number of samples N.
    pub fn num_samples(&self) -> usize {
        self.targets.len()
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The label sets.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The classifier, if the snapshot has one.
    pub fn classifier(&self) -> Option<&LinearClassifier> {
        self.classifier.as_ref()
    }

    /// The statistics of all samples, with the full scatter.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when a feature is NaN or infinite.
    pub fn statistics(&self) -> Result<crate::statistics::Statistics> {
        let mut statistics =
            crate::statistics::Statistics::new(self.targets.num_classes(), self.dim);
        match &self.features {
            FeatureValues::F32(values) => statistics.update(values, &self.targets)?,
            FeatureValues::F64(values) => statistics.update(values, &self.targets)?,
        }
        Ok(statistics)
    }
}

/// Builds a snapshot from the named arrays of a file, or says what is wrong with them.
fn assemble(arrays: &[Array<'_>]) -> Result<Snapshot, String> {
    const NAMES: [&str; 7] = [
        "features",
        "targets",
        "labels",
        "offsets",
        "num_classes",
        "weight",
        "bias",
    ];
    if let Some(unknown) = arrays.iter().find(|array| !NAMES.contains(&array.name)) {
        return Err(format!(
            "unknown array `{}`; known are {}",
            unknown.name,
            NAMES.join(", ")
        ));
    }
    let find = |name: &str| arrays.iter().find(|array| array.name == name);
    let features = find("features").ok_or_else(|| {
        let found: Vec<&str> = arrays.iter().map(|array| array.name).collect();
        format!("expected an array `features` [N, d], found {found:?}")
    })?;
    let (num_samples, dim) = features.matrix_shape("[N, d]")?;
    let targets = targets(
        find("targets"),
        find("labels"),
        find("offsets"),
        find("num_classes"),
        find("weight"),
    )?;
    if targets.len() != num_samples {
        return Err(format!(
            "expected one label set for each of the {num_samples} rows of `features`, found {}",
            targets.len()
        ));
    }
    let classifier = classifier(find("weight"), find("bias"), targets.num_classes(), dim)?;
    Snapshot::new(features.to_features()?, dim, targets, classifier).map_err(|e| e.to_string())
}

fn targets(
    targets: Option<&Array<'_>>,
    labels: Option<&Array<'_>>,
    offsets: Option<&Array<'_>>,
    num_classes: Option<&Array<'_>>,
    weight: Option<&Array<'_>>,
) -> Result<Targets, String> {
    match (targets, labels, offsets) {
        (Some(targets), None, None) => targets.to_targets(),
        (None, Some(labels), Some(offsets)) => {
            let stated = num_classes.map(|array| array.to_indices()).transpose()?;
            let stated = stated.and_then(|values| values.first().map(|&value| value as usize));
            let rows = weight.and_then(|weight| weight.shape.first().copied());
            ragged_targets(labels, offsets, stated.or(rows))
        }
        _ => Err(
            "expected either `targets` [N, K] of 0 and 1, or `labels` with `offsets` [N + 1]"
                .into(),
        ),
    }
}

fn classifier(
    weight: Option<&Array<'_>>,
    bias: Option<&Array<'_>>,
    num_classes: usize,
    dim: usize,
) -> Result<Option<LinearClassifier>, String> {
    let Some(weight) = weight else {
        return match bias {
            Some(_) => Err("found `bias` without `weight`; give both or none".into()),
            None => Ok(None),
        };
    };
    if weight.matrix_shape("[K, d]")? != (num_classes, dim) {
        return Err(format!(
            "expected `weight` of shape [{num_classes}, {dim}], one row per class, found shape {:?}",
            weight.shape
        ));
    }
    let bias = match bias {
        Some(bias) if bias.shape == [num_classes] => bias.to_f64(),
        Some(bias) => {
            return Err(format!(
                "expected `bias` of shape [{num_classes}], found shape {:?}",
                bias.shape
            ));
        }
        None => vec![0.0; num_classes],
    };
    LinearClassifier::from_rows(&weight.to_f64(), &bias, dim)
        .map(Some)
        .map_err(|error| error.to_string())
}
