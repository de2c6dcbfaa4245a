//! One-nearest-neighbour decoding among the prototypes of all label sets.

use faer::{Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::checked_rows;
use super::fit::{self, NearestSettings};
use super::search::{Form, Geometry, Offset, Search};
use crate::statistics::Statistics;
use crate::{Error, LabelSet, Result, Targets, kernel};

/// Samples decoded together: enough for an efficient matrix product, few enough for the cache.
const BLOCK_LEN: usize = 64;

/// Nodes that the search may visit for one sample unless told otherwise.
pub(super) const DEFAULT_MAX_NODES: u64 = 1_000_000;

/// How near a feature h is to the prototype of a label set S, for prototypes from class means.
#[derive(Clone, Debug, PartialEq)]
pub enum Metric {
    /// cos(h, Σ_{k∈S} h̄_k): no scale is needed.
    Cosine,
    /// −‖h − c_m·Σ_{k∈S} h̄_k‖² with m = |S|.
    Euclidean {
        /// The scales c_1, …, c_M of the tag-wise averages.
        scales: Vec<f64>,
    },
}

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
/// [`new`](Self::new) takes class means as they are; [`fit`](Self::fit) estimates all that a
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
/// use tagwise::decode::{Metric, OneNearestNeighbour};
///
/// let class_means = mat![[1.0, 0.0, 0.0], [0.0, 1.0, 0.1], [0.0, 0.0, 1.0]];
/// let decoder = OneNearestNeighbour::new(class_means.as_ref(), 2, Metric::Cosine)?;
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

/// A label set whose prototype or prior does not follow from its labels.
#[derive(Clone, Debug)]
pub(super) struct OwnPrototype {
    /// Positions in `labels`, increasing; none for the empty set.
    pub(super) classes: Box<[u32]>,
    /// The squared norm of the prototype.
    pub(super) squared_norm: f64,
    /// The term of its prior.
    pub(super) bonus: f64,
}

/// All that a decoder is made of.
pub(super) struct Parts {
    pub(super) num_classes: usize,
    pub(super) labels: Vec<u32>,
    pub(super) directions: Mat<f64>,
    pub(super) gram: Vec<f64>,
    pub(super) max_multiplicity: usize,
    pub(super) form: Form,
    pub(super) own: Vec<OwnPrototype>,
    /// The factor of the cosine in the score.
    pub(super) concentration: f64,
    /// The score below which the empty set is the answer.
    pub(super) empty_set_below: f64,
    pub(super) max_nodes: u64,
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
}

impl OneNearestNeighbour {
    /// Prepares the search among the sets of at most `max_multiplicity` of K labels.
    ///
    /// Takes about 4·K² + (2·M + d)·K numbers of memory.
    ///
    /// # Shapes
    /// `class_means` is `[K, d]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless 1 ≤ M ≤ K and every scale is positive,
    /// [`Error::NotFinite`] for a mean that is not finite, as that of a class without samples,
    /// [`Error::SizeMismatch`] for fewer scales than multiplicities,
    /// [`Error::Undefined`] under the cosine when all means are zero.
    pub fn new(
        class_means: MatRef<'_, f64>,
        max_multiplicity: usize,
        metric: Metric,
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
        let form = metric.into_form(max_multiplicity)?;
        let product = class_means * class_means.transpose();
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
        training: &fit::Training,
        statistics: &Statistics,
        settings: &NearestSettings,
    ) -> Result<Self> {
        Self::from_parts(fit::estimate_from(training, statistics, settings, None)?)
    }

    /// As [`fit`](Self::fit), with the scales c_1, …, c_M of the tag-wise averages given instead of
    /// estimated, such as those of [`ufm_scales`](super::ufm_scales). They play no part for the
    /// cosine between a feature and a tag-wise average.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); [`Error::SizeMismatch`] for fewer scales than multiplicities,
    /// [`Error::OutOfRange`] for one that is not positive.
    pub fn fit_with_scales(
        statistics: &Statistics,
        settings: &NearestSettings,
        scales: &[f64],
    ) -> Result<Self> {
        Self::from_parts(fit::estimate(statistics, settings, Some(scales))?)
    }

    fn from_parts(parts: Parts) -> Result<Self> {
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

    fn decode_best<T: Copy + Into<f64> + Sync>(
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
            targets: Targets::new(self.num_classes, sets)?,
            scores,
            margins,
            unproven,
        })
    }
}

impl Metric {
    fn into_form(self, max_multiplicity: usize) -> Result<Form> {
        let bonuses = vec![0.0; max_multiplicity];
        match self {
            Self::Cosine => Ok(Form::Cosine { bonuses }),
            Self::Euclidean { scales } => Ok(Form::Quadratic {
                scales: checked_scales(&scales, max_multiplicity)?,
                bonuses,
                offset: Offset::SquaredNorm,
            }),
        }
    }
}

/// The scales of the multiplicities up to the largest, all of them positive.
pub(super) fn checked_scales(scales: &[f64], max_multiplicity: usize) -> Result<Vec<f64>> {
    let Some(scales) = scales.get(..max_multiplicity) else {
        return Err(Error::SizeMismatch {
            what: "scales, one for each multiplicity",
            expected: max_multiplicity,
            found: scales.len(),
        });
    };
    match scales
        .iter()
        .find(|&&scale| !(scale > 0.0 && scale.is_finite()))
    {
        Some(scale) => Err(Error::OutOfRange {
            name: "the scale of a multiplicity",
            requirement: "greater than 0 and finite",
            found: scale.to_string(),
        }),
        None => Ok(scales.to_vec()),
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

/// The entries of a matrix row by row.
pub(super) fn row_major(matrix: MatRef<'_, f64>) -> Vec<f64> {
    (0..matrix.nrows())
        .flat_map(|row| (0..matrix.ncols()).map(move |column| matrix[(row, column)]))
        .collect()
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
        faer::linalg::matmul::matmul(
            MatMut::from_row_major_slice_mut(&mut self.products, num_rows, num_products),
            faer::Accum::Replace,
            MatRef::from_row_major_slice(&self.features, num_rows, dim),
            self.decoder.directions.transpose(),
            1.0,
            Par::Seq,
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
mod tests {
    use faer::mat;
    use proptest::prelude::*;

    use super::*;
    use crate::etf::simplex_etf_mat;

    /// Rounding of inner products and norms of vectors of size one.
    const ROUNDING: f64 = 1e-10;

    /// Every set of 1 to `max_multiplicity` labels with the sum of its class means.
    fn prototypes(means: &Mat<f64>, max_multiplicity: usize) -> Vec<(LabelSet, Vec<f64>)> {
        (1u32..1 << means.nrows())
            .filter(|bits| bits.count_ones() as usize <= max_multiplicity)
            .map(|bits| {
                let set: LabelSet = (0..32).filter(|k| bits >> k & 1 == 1).collect();
                let sum = |c| set.indices().map(|k| means[(k, c)]).sum();
                let prototype = (0..means.ncols()).map(sum).collect();
                (set, prototype)
            })
            .collect()
    }

    fn cosine(a: &[f64], b: &[f64]) -> f64 {
        let inner = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
        inner(a, b) / (inner(a, a) * inner(b, b)).sqrt()
    }

    fn negative_squared_distance(a: &[f64], b: &[f64], scale: f64) -> f64 {
        -a.iter()
            .zip(b)
            .map(|(x, y)| (x - scale * y).powi(2))
            .sum::<f64>()
    }

    #[test]
    fn every_prototype_of_a_simplex_etf_decodes_to_its_own_set() {
        let means = simplex_etf_mat(7, 9).unwrap();
        for metric in [
            Metric::Cosine,
            Metric::Euclidean {
                scales: vec![1.0; 4],
            },
        ] {
            let decoder = OneNearestNeighbour::new(means.as_ref(), 4, metric).unwrap();
            let prototypes = prototypes(&means, 4);
            let features: Vec<f64> = prototypes.iter().flat_map(|(_, p)| p.clone()).collect();
            let decoded = decoder.decode_with_margins(&features).unwrap();
            assert!(decoded.unproven.is_empty());
            for (sample, (set, _)) in prototypes.iter().enumerate() {
                assert_eq!(decoded.targets.set(sample), set);
                assert!(decoded.margins[sample] > 0.01);
            }
        }
    }

    #[test]
    fn a_zero_feature_is_equally_near_to_everything_under_the_cosine() {
        let means = mat![[1.0, 0.0], [0.0, 1.0]];
        let decoder = OneNearestNeighbour::new(means.as_ref(), 2, Metric::Cosine).unwrap();
        let decoded = decoder.decode_with_margins(&[0.0f32, 0.0]).unwrap();
        assert_eq!((decoded.scores[0], decoded.margins[0]), (0.0, 0.0));
        assert_eq!(decoded.targets.set(0).labels(), [0]);
    }

    #[test]
    fn prototypes_that_cancel_are_never_an_answer_under_the_cosine() {
        let means = mat![[1.0, 0.0], [-1.0, 0.0]];
        let decoder = OneNearestNeighbour::new(means.as_ref(), 2, Metric::Cosine).unwrap();
        let decoded = decoder.decode_with_margins(&[-3.0f32, 0.5]).unwrap();
        assert_eq!(decoded.targets.set(0).labels(), [1]);
        let one = OneNearestNeighbour::new(mat![[2.0]].as_ref(), 1, Metric::Cosine).unwrap();
        let decoded = one.decode_with_margins(&[-3.0]).unwrap();
        assert_eq!(
            (decoded.scores[0], decoded.margins[0]),
            (-1.0, f64::INFINITY)
        );
    }

    #[test]
    fn no_samples_decode_to_no_sets() {
        let decoder =
            OneNearestNeighbour::new(mat![[1.0, 0.0]].as_ref(), 1, Metric::Cosine).unwrap();
        assert!(decoder.decode::<f32>(&[]).unwrap().targets.is_empty());
    }

    #[test]
    fn bad_input_is_refused() {
        let means = mat![[1.0, 0.0], [0.0, 1.0]];
        let new = |m, metric| OneNearestNeighbour::new(means.as_ref(), m, metric).unwrap_err();
        insta::assert_snapshot!(new(3, Metric::Cosine), @"expected the largest multiplicity to decode from 1 to the number of classes, found 3 with 2 classes");
        insta::assert_snapshot!(new(2, Metric::Euclidean { scales: vec![1.0] }), @"expected 2 scales, one for each multiplicity, found 1");
        insta::assert_snapshot!(new(1, Metric::Euclidean { scales: vec![-1.0] }), @"expected the scale of a multiplicity greater than 0 and finite, found -1");
        let missing = mat![[1.0, 0.0], [f64::NAN, 1.0]];
        insta::assert_snapshot!(OneNearestNeighbour::new(missing.as_ref(), 1, Metric::Cosine).unwrap_err(), @"expected finite numbers, found NaN in class means at row 1, column 0");
        let zero = Mat::<f64>::zeros(2, 2);
        insta::assert_snapshot!(OneNearestNeighbour::new(zero.as_ref(), 1, Metric::Cosine).unwrap_err(), @"decoding by cosine needs a class mean other than zero");
        let decoder = OneNearestNeighbour::new(means.as_ref(), 2, Metric::Cosine).unwrap();
        insta::assert_snapshot!(decoder.decode(&[1.0, 2.0, 3.0]).unwrap_err(), @"expected 2 columns of features, found 1");
        insta::assert_snapshot!(decoder.decode(&[1.0, f64::INFINITY]).unwrap_err(), @"expected finite numbers, found inf in columns of features at row 0, column 1");
    }

    #[test]
    fn answers_are_the_same_bits_whatever_the_number_of_threads() {
        let means = Mat::from_fn(6, 5, |k, c| ((k * 5 + c) as f64 * 1.7).sin());
        let features: Vec<f32> = (0..5 * 1000).map(|i| (i as f32 * 0.37).cos()).collect();
        let decoder = OneNearestNeighbour::new(means.as_ref(), 3, Metric::Cosine).unwrap();
        let with_threads = |num_threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(num_threads)
                .build()
                .unwrap()
                .install(|| decoder.decode_with_margins(&features).unwrap())
        };
        assert_eq!(with_threads(1), with_threads(3));
    }

    proptest! {
        #[test]
        fn the_answer_is_the_nearest_of_all_prototypes(
            values in prop::collection::vec(-1.0..1.0f64, 7 * 4),
            feature in prop::collection::vec(-1.0..1.0f64, 4),
            scales in prop::collection::vec(0.2..1.5f64, 3),
        ) {
            let means = Mat::from_fn(7, 4, |k, c| values[k * 4 + c]);
            let prototypes = prototypes(&means, 3);
            for metric in [Metric::Cosine, Metric::Euclidean { scales: scales.clone() }] {
                let decoder = OneNearestNeighbour::new(means.as_ref(), 3, metric.clone()).unwrap();
                let decoded = decoder.decode_with_margins(&feature).unwrap();
                let mut scores: Vec<f64> = prototypes.iter().map(|(set, prototype)| match metric {
                    Metric::Cosine => cosine(&feature, prototype),
                    Metric::Euclidean { .. } => {
                        negative_squared_distance(&feature, prototype, scales[set.multiplicity() - 1])
                    }
                }).collect();
                let own = prototypes.iter().position(|(set, _)| set == decoded.targets.set(0)).unwrap();
                prop_assert!((decoded.scores[0] - scores[own]).abs() < ROUNDING);
                scores.sort_unstable_by(|a, b| b.total_cmp(a));
                prop_assert!((decoded.scores[0] - scores[0]).abs() < ROUNDING);
                prop_assert!((decoded.margins[0] - (scores[0] - scores[1])).abs() < ROUNDING);
                prop_assert!(decoded.unproven.is_empty());
            }
        }
    }
}
