//! One-pass, mergeable statistics of a stream of features and their label sets.

mod memory;
mod merge;
mod panel;
mod read_out;
mod scatter;
mod state;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rayon::prelude::*;

use self::panel::{PANEL_WIDTH, Panel, RowPlan};
use self::scatter::TiledScatter;
pub use self::state::StatisticsFile;
use crate::features::{FeatureRows, FeaturesView};
use crate::snapshot::SampleStream;
use crate::{Error, LabelSet, Result, Targets};

/// Numbers in one block of residuals: the working memory of an update beside the state itself,
/// 32 MiB, enough rows of one multiplicity for products near the full rate.
const BLOCK_NUMBERS: usize = 1 << 22;

/// The most dimensions that saved statistics may have: a bound on what a few bytes can ask for, far
/// above any network's.
pub const MAX_DIM: usize = 1 << 24;

/// What is kept of the spread of the samples around the mean of their label set.
///
/// [`Full`](Self::Full) needs 8·d² bytes per multiplicity and is what NC1 needs when the samples
/// can be seen only once. [`Trace`](Self::Trace) keeps one number per label set; NC1 then needs a
/// second look at the samples, see [`crate::collapse`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScatterKind {
    /// One pooled d×d within-scatter per multiplicity.
    #[default]
    Full,
    /// Only the trace of the scatter, per label set.
    Trace,
}

/// Counts, means and within-scatter of a stream of features, in f64, mergeable.
///
/// Per label set S the number of samples n_S, the mean h̄_S and Σ‖h − h̄_S‖²; per multiplicity m
/// one pooled within-scatter Σ_{|S|=m} Σ_i (h_i − h̄_S)(h_i − h̄_S)ᵀ. Samples are absorbed by
/// Welford's rule, so that the scatter is a sum of squares and never a difference of large
/// numbers; means are unevaluated sums of two f64, so that residuals keep all their digits however
/// small they are beside the mean. Parts merge by the formula of Chan, Golub and LeVeque (1983):
/// n = n_a + n_b, the weighted mean, and scatter + scatter' + Σ_S n_a n_b/(n_a+n_b)·δ_S δ_Sᵀ.
///
/// The state takes 16·L·d bytes for L distinct label sets plus about 4·d² bytes per multiplicity
/// ([`ScatterKind::Full`]), whatever the number of samples. Results do not depend on the number
/// of threads.
///
/// ```
/// use tagwise::statistics::Statistics;
/// use tagwise::{LabelSet, Targets};
///
/// let targets = Targets::new(2, [[0], [0], [1]].map(LabelSet::new))?;
/// let mut statistics = Statistics::new(2, 2);
/// statistics.update(&[1.0f32, 0.0, 3.0, 0.0, 0.0, 5.0], &targets)?;
/// let means = statistics.class_means()?; // [K, d]
/// assert_eq!((means[(0, 0)], means[(1, 1)]), (2.0, 5.0));
/// assert!((statistics.within_scatter(1).unwrap()[(0, 0)] - 2.0).abs() < 1e-12);
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Statistics {
    num_classes: usize,
    dim: usize,
    kind: ScatterKind,
    /// Arrival number of each label set: its position in `counts` and in every panel.
    ids: BTreeMap<LabelSet, usize>,
    counts: Vec<u64>,
    panels: Vec<Panel>,
    scatters: BTreeMap<usize, TiledScatter>,
}

/// The largest dimension of a full scatter: 32 GiB for every multiplicity.
const MAX_FULL_DIM: usize = 1 << 16;

impl Statistics {
    /// The statistics of no sample yet, with the full scatter per multiplicity.
    pub fn new(num_classes: usize, dim: usize) -> Self {
        Self::with_scatter(num_classes, dim, ScatterKind::Full)
    }

    /// The statistics of no sample yet.
    pub fn with_scatter(num_classes: usize, dim: usize, kind: ScatterKind) -> Self {
        Self {
            num_classes,
            dim,
            kind,
            ids: BTreeMap::new(),
            counts: Vec::new(),
            panels: (0..dim)
                .step_by(PANEL_WIDTH)
                .map(|first| Panel::new(first, PANEL_WIDTH.min(dim - first)))
                .collect(),
            scatters: BTreeMap::new(),
        }
    }

    /// The statistics of a whole stream.
    ///
    /// # Errors
    /// Whatever reading the samples reports, [`Error::NotFinite`], and [`Error::OutOfRange`] for a
    /// full scatter of more than 65,536 dimensions.
    ///
    /// ```
    /// use tagwise::snapshot::{FeatureValues, Snapshot};
    /// use tagwise::statistics::{ScatterKind, Statistics};
    /// use tagwise::{LabelSet, Targets};
    ///
    /// let targets = Targets::new(1, [[0], [0]].map(LabelSet::new))?;
    /// let snapshot = Snapshot::new(FeatureValues::F32(vec![1.0, 3.0]), 1, targets, None)?;
    /// let statistics = Statistics::of(&snapshot, ScatterKind::Full)?;
    /// assert_eq!(statistics.global_mean(), Some(vec![2.0]));
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn of(stream: &impl SampleStream, kind: ScatterKind) -> Result<Self> {
        Self::of_with(stream, kind, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`of`](Self::of), with a word after each block: how many samples were absorbed so far,
    /// and whether to go on.
    ///
    /// # Errors
    /// As [`of`](Self::of), and [`Error::Interrupted`] when `progress` breaks.
    pub fn of_with(
        stream: &impl SampleStream,
        kind: ScatterKind,
        progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Self> {
        let targets = stream.targets();
        if kind == ScatterKind::Full && stream.dim() > MAX_FULL_DIM {
            return Err(Error::OutOfRange {
                name: "the feature dimension",
                requirement: "of at most 65536 for the full scatter, d² numbers; keep its trace alone",
                found: stream.dim().to_string(),
            });
        }
        let mut statistics = Self::with_scatter(targets.num_classes(), stream.dim(), kind);
        stream.for_each_block(&mut |first, rows| {
            statistics.update_block(first, rows, targets)?;
            match progress(first + rows.num_rows(stream.dim())) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(Error::Interrupted),
            }
        })?;
        Ok(statistics)
    }

    /// Absorbs samples whose features somebody else keeps, of any precision, with a stride, or
    /// sparse. Contiguous f32 and f64 are read where they lie; everything else is widened, gathered
    /// or written out with its zeros in blocks of 2²² numbers.
    ///
    /// # Shapes
    /// `features` is `[n, d]`; `targets` holds n label sets.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    ///
    /// ```
    /// use tagwise::features::CsrView;
    /// use tagwise::statistics::Statistics;
    /// use tagwise::{LabelSet, Targets};
    ///
    /// let sparse = CsrView::new(&[0usize, 1, 2], &[1, 1], &[2.0f32, 4.0], 3)?; // [2, 3]
    /// let targets = Targets::new(1, [[0], [0]].map(LabelSet::new))?;
    /// let mut statistics = Statistics::new(1, 3);
    /// statistics.update_view(sparse.into(), &targets)?;
    /// assert_eq!(statistics.global_mean(), Some(vec![0.0, 3.0, 0.0]));
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn update_view(&mut self, features: FeaturesView<'_>, targets: &Targets) -> Result<()> {
        check_size("classes", self.num_classes, targets.num_classes())?;
        check_size("feature dimensions", self.dim, features.dim())?;
        check_size("rows of features", targets.len(), features.num_rows())?;
        features.for_each_block(&mut |first, rows| self.update_block(first, rows, targets))
    }

    /// Absorbs consecutive rows, the first of which is row `first` of the targets.
    fn update_block(
        &mut self,
        first: usize,
        rows: FeatureRows<'_>,
        targets: &Targets,
    ) -> Result<()> {
        let end = first + rows.num_rows(self.dim);
        let set_ids = targets.set_ids().get(first..end);
        let set_ids = set_ids.ok_or(Error::SizeMismatch {
            what: "rows of features",
            expected: targets.len(),
            found: end,
        })?;
        match rows {
            FeatureRows::F32(rows) => self.update_sets(rows, targets.distinct(), set_ids),
            FeatureRows::F64(rows) => self.update_sets(rows, targets.distinct(), set_ids),
        }
        .map_err(|error| error.at_row(first))
    }

    /// Absorbs samples. How a stream is cut into updates changes no more than the last digits.
    ///
    /// # Shapes
    /// `features` is row-major `[n, d]`; `targets` holds n label sets.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when sizes disagree; [`Error::NotFinite`] for NaN or infinity, with
    /// the rows before it absorbed in part: drop the statistics then.
    pub fn update<T: Copy + Into<f64> + Sync>(
        &mut self,
        features: &[T],
        targets: &Targets,
    ) -> Result<()> {
        self.check_sizes(features.len(), targets)?;
        self.update_sets(features, targets.distinct(), targets.set_ids())
    }

    /// As [`update`](Self::update), for label sets given as positions in a list whose labels are
    /// known to be below the number of classes.
    fn update_sets<T: Copy + Into<f64> + Sync>(
        &mut self,
        features: &[T],
        distinct: &[LabelSet],
        set_ids: &[u32],
    ) -> Result<()> {
        let dim = self.dim;
        if self.ids.is_empty() {
            self.panels
                .par_iter_mut()
                .for_each(|panel| panel.reserve(distinct.len()));
        }
        // Only the sets that occur here are looked up: a list may be long and a block short.
        let mut ids = vec![usize::MAX; distinct.len()];
        for &id in set_ids {
            if ids[id as usize] == usize::MAX {
                ids[id as usize] = self.id(&distinct[id as usize]);
            }
        }
        self.make_room();
        let multiplicities: Vec<usize> = distinct.iter().map(LabelSet::multiplicity).collect();
        let mut order: Vec<usize> = (0..set_ids.len()).collect();
        if self.kind == ScatterKind::Full {
            // Long runs of one multiplicity make large products. The sort is stable.
            order.sort_by_key(|&row| multiplicities[set_ids[row] as usize]);
        }
        let block_rows = (BLOCK_NUMBERS / dim.max(1)).clamp(64, 4096);
        for block in order.chunks(block_rows) {
            let counts = &mut self.counts;
            let plan = RowPlan::new(block, set_ids, &ids, &multiplicities, counts, self.kind);
            self.panels
                .par_iter_mut()
                .for_each(|panel| panel.absorb(features, dim, &plan));
            if !self.panels.iter().all(Panel::is_finite) {
                // Either a value is not finite, or finite ones are too large for their squares.
                check_finite(features, dim)?;
            }
            for (multiplicity, range) in plan.groups {
                self.scatters
                    .entry(multiplicity)
                    .or_insert_with(|| TiledScatter::new(dim))
                    .add(&self.panels, range);
            }
        }
        Ok(())
    }

    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// What is kept of the scatter.
    pub fn scatter_kind(&self) -> ScatterKind {
        self.kind
    }

    /// Number of samples N, those with an empty label set included.
    pub fn num_samples(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The L distinct label sets in order (by multiplicity, then lexicographically); the order of
    /// every other per-set accessor.
    pub fn label_sets(&self) -> impl ExactSizeIterator<Item = &LabelSet> + '_ {
        self.ids.keys()
    }

    /// Gives every label set its place in every panel.
    fn make_room(&mut self) {
        let num_sets = self.counts.len();
        self.panels
            .par_iter_mut()
            .for_each(|panel| panel.make_room(num_sets));
    }

    /// The arrival number of a label set, made on first sight; its place in the panels is made by
    /// [`make_room`](Self::make_room).
    fn id(&mut self, set: &LabelSet) -> usize {
        if let Some(&id) = self.ids.get(set) {
            return id;
        }
        let id = self.counts.len();
        self.ids.insert(set.clone(), id);
        self.counts.push(0);
        id
    }

    fn check_sizes(&self, num_values: usize, targets: &Targets) -> Result<()> {
        check_size("classes", self.num_classes, targets.num_classes())?;
        check_size(
            "numbers in the features (rows of targets times feature dimension)",
            targets.len().saturating_mul(self.dim),
            num_values,
        )
    }
}

fn check_size(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found {
        Ok(())
    } else {
        Err(Error::SizeMismatch {
            what,
            expected,
            found,
        })
    }
}

/// Refuses NaN and infinity.
fn check_finite<T: Copy + Into<f64> + Sync>(rows: &[T], dim: usize) -> Result<()> {
    let bad = rows
        .par_iter()
        .position_first(|&value| !value.into().is_finite());
    bad.map_or(Ok(()), |bad| {
        Err(Error::NotFinite {
            what: "the features",
            row: bad / dim,
            column: bad % dim,
            value: rows[bad].into(),
        })
    })
}
