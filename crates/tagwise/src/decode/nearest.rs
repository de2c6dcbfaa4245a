//! One-nearest-neighbour decoding among the prototypes of all label sets.

use faer::{Mat, MatMut, MatRef};
use rayon::prelude::*;

use super::checked_rows;
use super::fit;
use super::parts::{OwnPrototype, Parts, checked_scales, row_major};
use super::scales::Scales;
use super::search::{Form, Geometry, Offset, Search};
use super::set_likelihood::ProbableSet;
use super::settings::{DEFAULT_MAX_NODES, NearestSettings};
use super::training::Training;
use crate::product::product;
use crate::statistics::Statistics;
use crate::{Error, LabelSet, Result, Targets, kernel};

/// Samples decoded together: enough for an efficient matrix product, few enough for the cache.
const BLOCK_LEN: usize = 64;

/// Decodes a feature to the label set with the nearest prototype among *all* sets of 1 to M
/// labels.
///
/// The prototype of a set is the sum of the class means of its labels, the tag-wise average of the
/// collapsed geometry, scaled by c_m for distances. The answer is exact for whatever means were
/// measured: a branch-and-bound search starts from the m largest inner products ⟨h, h̄_k⟩ of each
/// multiplicity, which already win on the exact geometry, and excludes every other set by a bound.
/// Close to collapse the cost is about K·d for the inner products and K for each multiplicity. Far
/// from it a convex relaxation is solved at each node, which takes tens of nodes on the logits of
/// real tables; with many means in few dimensions the search can still grow with the number of
/// sets, ΣC(K, m). It stops at [`with_max_nodes`](Self::with_max_nodes) and then says that the
/// answer is not proven.
///
/// [`by_cosine`](Self::by_cosine) and [`by_distance`](Self::by_distance) take class means as they are; [`fit`](Self::fit) estimates all that a
/// choice of distance, prototypes, prior and empty set needs from the statistics of a training
/// set.
///
/// Among sets equally near within rounding, the one that the search meets first wins, always the
/// same one. Under the cosine a zero feature is equally near to everything, with score 0.
///
/// Source: Li et al. 2024 (arXiv 2310.15903), one-nearest-neighbour evaluation.
///
/// ```
/// use faer::mat;
/// use tagwise::decode::OneNearestNeighbour;
///
/// let class_means = mat![[1.0, 0.0, 0.0], [0.0, 1.0, 0.1], [0.0, 0.0, 1.0]];
/// let decoder = OneNearestNeighbour::by_cosine(class_means.as_ref(), 2)?;
/// let decoded = decoder.decode(&[0.9f32, 1.1, 0.0, 0.0, 0.1, 3.0])?;
/// assert_eq!(decoded.targets.set(0).labels(), [0, 1]);
/// assert_eq!(decoded.targets.set(1).labels(), [2]);
/// assert!(decoded.scores[1] > 0.99);
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OneNearestNeighbour {
    num_classes: usize,
    /// The label of each class that the geometry knows, in increasing order.
    labels: Vec<u32>,
    /// What features are multiplied with: the class means, then the means of the label sets that
    /// have a prototype of their own, `[classes + sets, d]`.
    directions: Mat<f64>,
    geometry: Geometry,
    own: Vec<OwnPrototype>,
    concentration: f64,
    empty_set_below: f64,
    max_nodes: u64,
}

/// Decoded label sets, sample by sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The nearest label set of each sample.
    pub targets: Targets,
    /// Its cosine, or minus its squared distance, plus the term of the prior if there is one. For
    /// the Mahalanobis distance the term hᵀΣ⁻¹h, common to all sets, is left out.
    pub scores: Vec<f64>,
    /// How much the score of the second-best set is lower; infinite when there is no other set.
    /// Empty unless margins were asked for.
    pub margins: Vec<f64>,
    /// The samples whose search was cut before every other set was excluded.
    pub unproven: Vec<usize>,
    /// The probability of each answer, where there is a distribution over label sets.
    pub probabilities: Vec<f64>,
    /// The most probable label sets of each sample, where they were asked for.
    pub listed: Vec<Vec<ProbableSet>>,
    /// The samples whose answer is less probable than was asked for.
    pub abstained: Vec<usize>,
}

impl Decoded {
    /// Label sets of which nothing more is known.
    pub(super) fn of(targets: Targets) -> Self {
        Self {
            targets,
            scores: Vec::new(),
            margins: Vec::new(),
            unproven: Vec::new(),
            probabilities: Vec::new(),
            listed: Vec::new(),
            abstained: Vec::new(),
        }
    }
}

impl OneNearestNeighbour {
    /// Prepares the search among the sets of at most `max_multiplicity` of K labels for the largest
    /// cos(h, Σ_{k∈S} h̄_k): no scale is needed.
    ///
    /// Takes about 4·K² + (2·M + d)·K numbers of memory.
    ///
    /// # Shapes
    /// `class_means` is `[K, d]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless 1 ≤ M ≤ K, [`Error::NotFinite`] for a mean that is not finite,
    /// as that of a class without samples, [`Error::Undefined`] when all means are zero.
    pub fn by_cosine(class_means: MatRef<'_, f64>, max_multiplicity: usize) -> Result<Self> {
        Self::of_means(class_means, max_multiplicity, None)
    }

    /// Prepares the search for the largest −‖h − c_m·Σ_{k∈S} h̄_k‖² with m = |S| and the scales
    /// c_1, …, c_M of the tag-wise averages.
    ///
    /// # Shapes
    /// `class_means` is `[K, d]`; `scales` holds M numbers at least.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless 1 ≤ M ≤ K and every scale is positive,
    /// [`Error::NotFinite`] for a mean that is not finite, [`Error::SizeMismatch`] for fewer scales
    /// than multiplicities.
    pub fn by_distance(
        class_means: MatRef<'_, f64>,
        max_multiplicity: usize,
        scales: &[f64],
    ) -> Result<Self> {
        Self::of_means(class_means, max_multiplicity, Some(scales))
    }

    fn of_means(
        class_means: MatRef<'_, f64>,
        max_multiplicity: usize,
        scales: Option<&[f64]>,
    ) -> Result<Self> {
        let num_classes = class_means.nrows();
        if max_multiplicity == 0 || max_multiplicity > num_classes {
            return Err(Error::OutOfRange {
                name: "the largest multiplicity to decode",
                requirement: "from 1 to the number of classes",
                found: format!("{max_multiplicity} with {num_classes} classes"),
            });
        }
        check_finite(class_means)?;
        let bonuses = vec![0.0; max_multiplicity];
        let form = match scales {
            None => Form::Cosine { bonuses },
            Some(scales) => Form::Quadratic {
                scales: checked_scales(scales, max_multiplicity)?,
                bonuses,
                offset: Offset::SquaredNorm,
            },
        };
        let product = product(class_means, class_means.transpose());
        Self::from_parts(Parts {
            num_classes,
            labels: (0..num_classes as u32).collect(),
            directions: class_means.to_owned(),
            gram: row_major(product.as_ref()),
            max_multiplicity,
            form,
            own: Vec::new(),
            concentration: 1.0,
            empty_set_below: f64::NEG_INFINITY,
            max_nodes: DEFAULT_MAX_NODES,
        })
    }

    /// Estimates a decoder from the statistics of a training set.
    ///
    /// # Errors
    /// [`Error::Undefined`] when the samples do not determine what the settings ask for: no labelled
    /// sample, no class mean other than zero, no within-set covariance (for the Mahalanobis
    /// distance), no unlabelled sample (for a measured empty set). [`Error::OutOfRange`] for a
    /// largest multiplicity of 0.
    ///
    /// ```
    /// use tagwise::decode::{NearestSettings, OneNearestNeighbour};
    /// use tagwise::statistics::Statistics;
    /// use tagwise::{LabelSet, Targets};
    ///
    /// let targets = Targets::new(2, [vec![0], vec![1], vec![0, 1]].map(LabelSet::new))?;
    /// let mut statistics = Statistics::new(2, 2);
    /// statistics.update(&[1.0, 0.1, 0.0, 1.0, 0.8, 0.9], &targets)?;
    /// let decoder = OneNearestNeighbour::fit(&statistics, &NearestSettings::default())?;
    /// assert_eq!(decoder.decode(&[0.5, 0.5])?.targets.set(0).labels(), [0, 1]);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn fit(statistics: &Statistics, settings: &NearestSettings) -> Result<Self> {
        Self::from_parts(fit::estimate(statistics, settings, None)?)
    }

    /// [`fit`](Self::fit) from what decoders of the same statistics share.
    pub(super) fn fit_from(
        training: &Training,
        statistics: &Statistics,
        settings: &NearestSettings,
    ) -> Result<Self> {
        Self::from_parts(fit::estimate_from(training, statistics, settings, None)?)
    }

    /// As [`fit`](Self::fit), with scales of the tag-wise averages that need not be measured.
    ///
    /// # Errors
    /// As [`fit`](Self::fit) and [`ufm_scales`](super::ufm_scales); [`Error::SizeMismatch`] for
    /// fewer scales than multiplicities, [`Error::OutOfRange`] for one that is not positive.
    pub fn fit_scaled(
        statistics: &Statistics,
        settings: &NearestSettings,
        scales: &Scales,
    ) -> Result<Self> {
        let scales = scales.resolve(statistics, settings.max_multiplicity)?;
        Self::from_parts(fit::estimate(statistics, settings, scales.as_deref())?)
    }

    pub(super) fn from_parts(parts: Parts) -> Result<Self> {
        let num_known = parts.labels.len();
        let is_zero = (0..num_known).all(|k| parts.gram[k * num_known + k] == 0.0);
        if is_zero && matches!(parts.form, Form::Cosine { .. }) {
            return Err(Error::Undefined(
                "decoding by cosine needs a class mean other than zero".into(),
            ));
        }
        let own_sets = parts.own.iter().map(|own| own.classes.clone());
        Ok(Self {
            num_classes: parts.num_classes,
            labels: parts.labels,
            directions: parts.directions,
            geometry: Geometry::new(parts.gram, parts.max_multiplicity, parts.form)
                .excluding(own_sets),
            own: parts.own,
            concentration: parts.concentration,
            empty_set_below: parts.empty_set_below,
            max_nodes: parts.max_nodes,
        })
    }

    /// Sets how many nodes (partial label sets) the search may visit for one sample; 1,000,000
    /// unless told otherwise.
    pub fn with_max_nodes(mut self, max_nodes: u64) -> Self {
        self.max_nodes = max_nodes;
        self
    }

    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.directions.ncols()
    }

    /// The largest multiplicity M of an answer.
    pub fn max_multiplicity(&self) -> usize {
        self.geometry.max_multiplicity()
    }

    /// The nearest label set of each feature.
    ///
    /// # Shapes
    /// `features` is row-major `[N, d]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the slice is not a whole number of rows,
    /// [`Error::NotFinite`] for NaN and infinity.
    pub fn decode<T: Copy + Into<f64> + Sync>(&self, features: &[T]) -> Result<Decoded> {
        self.decode_best(features, 1)
    }

    /// As [`decode`](Self::decode), with the gap to the second-best set of each sample, which
    /// takes a longer search.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_with_margins<T: Copy + Into<f64> + Sync>(
        &self,
        features: &[T],
    ) -> Result<Decoded> {
        self.decode_best(features, 2)
    }

    /// What it is made of, as [`from_parts`](Self::from_parts) took it.
    pub(super) fn to_parts(&self) -> Parts {
        Parts {
            num_classes: self.num_classes,
            labels: self.labels.clone(),
            directions: self.directions.clone(),
            gram: self.geometry.gram().to_vec(),
            max_multiplicity: self.max_multiplicity(),
            form: self.geometry.form().clone(),
            own: self.own.clone(),
            concentration: self.concentration,
            empty_set_below: self.empty_set_below,
            max_nodes: self.max_nodes,
        }
    }

    pub(super) fn decode_best<T: Copy + Into<f64> + Sync>(
        &self,
        features: &[T],
        wanted: usize,
    ) -> Result<Decoded> {
        let num_samples = checked_rows(features, self.dim(), "columns of features")?;
        let blocks: Vec<Vec<Answer>> = features
            .par_chunks(BLOCK_LEN * self.dim())
            .map_init(
                || Worker::new(self, wanted),
                |worker, block| worker.decode(block),
            )
            .collect();
        let answers = || blocks.iter().flatten();
        let mut scores = Vec::with_capacity(num_samples);
        scores.extend(answers().map(|answer| answer.score));
        let margins = match wanted {
            1 => Vec::new(),
            _ => answers().map(|answer| answer.margin).collect(),
        };
        let unproven = answers()
            .enumerate()
            .filter_map(|(sample, answer)| answer.was_cut.then_some(sample))
            .collect();
        let sets = blocks.into_iter().flatten().map(|answer| answer.set);
        Ok(Decoded {
            scores,
            margins,
            unproven,
            ..Decoded::of(Targets::new(self.num_classes, sets)?)
        })
    }
}

fn check_finite(class_means: MatRef<'_, f64>) -> Result<()> {
    for row in 0..class_means.nrows() {
        for column in 0..class_means.ncols() {
            let value = class_means[(row, column)];
            if !value.is_finite() {
                return Err(Error::NotFinite {
                    what: "class means",
                    row,
                    column,
                    value,
                });
            }
        }
    }
    Ok(())
}

struct Answer {
    set: LabelSet,
    score: f64,
    margin: f64,
    was_cut: bool,
}

/// The buffers of one thread.
struct Worker<'a> {
    decoder: &'a OneNearestNeighbour,
    search: Search,
    features: Vec<f64>, // [BLOCK_LEN, d]
    products: Vec<f64>, // [BLOCK_LEN, classes + sets]
}

impl<'a> Worker<'a> {
    fn new(decoder: &'a OneNearestNeighbour, wanted: usize) -> Self {
        Self {
            decoder,
            search: Search::new(wanted, decoder.max_nodes),
            features: Vec::new(),
            products: Vec::new(),
        }
    }

    fn decode<T: Copy + Into<f64>>(&mut self, block: &[T]) -> Vec<Answer> {
        let (num_products, dim) = (self.decoder.directions.nrows(), self.decoder.dim());
        let num_rows = block.len() / dim;
        self.features.clear();
        self.features
            .extend(block.iter().map(|&value| value.into()));
        self.products.clear();
        self.products.resize(num_rows * num_products, 0.0);
        crate::product::multiply(
            MatMut::from_row_major_slice_mut(&mut self.products, num_rows, num_products),
            faer::Accum::Replace,
            MatRef::from_row_major_slice(&self.features, num_rows, dim),
            self.decoder.directions.transpose(),
            1.0,
        );
        (0..num_rows).map(|row| self.answer(row)).collect()
    }

    fn answer(&mut self, row: usize) -> Answer {
        let decoder = self.decoder;
        let num_products = decoder.directions.nrows();
        let feature = &self.features[row * decoder.dim()..][..decoder.dim()];
        let squared_norm = kernel::dot(feature, feature);
        let products = &mut self.products[row * num_products..][..num_products];
        let offset = match decoder.geometry.form() {
            Form::Cosine { .. } => {
                let factor = match squared_norm {
                    0.0 => 0.0,
                    _ => decoder.concentration / squared_norm.sqrt(),
                };
                products.iter_mut().for_each(|product| *product *= factor);
                0.0
            }
            Form::Quadratic {
                offset: Offset::SquaredNorm,
                ..
            } => squared_norm,
            Form::Quadratic {
                offset: Offset::None,
                ..
            } => 0.0,
        };
        let (products, own_products) = products.split_at(decoder.labels.len());
        let own = decoder.own.iter().zip(own_products).map(|(own, product)| {
            let score = match decoder.geometry.form() {
                Form::Cosine { .. } if own.squared_norm == 0.0 => 0.0,
                Form::Cosine { .. } => product / own.squared_norm.sqrt(),
                Form::Quadratic { .. } => 2.0 * product - own.squared_norm,
            };
            (&*own.classes, score + own.bonus)
        });
        let found = self.search.run(&decoder.geometry, products, own);
        let score = found[0].score - offset;
        let margin = found
            .get(1)
            .map_or(f64::INFINITY, |second| found[0].score - second.score);
        let (set, margin) = if score < decoder.empty_set_below {
            (LabelSet::default(), decoder.empty_set_below - score)
        } else {
            let classes = found[0].labels.iter();
            let set = classes.map(|&class| decoder.labels[class as usize]);
            (set.collect(), margin.min(score - decoder.empty_set_below))
        };
        Answer {
            set,
            score,
            margin,
            was_cut: self.search.was_cut(),
        }
    }
}

#[cfg(test)]
mod tests;
