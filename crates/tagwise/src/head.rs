//! Linear heads on given features: the classifier of a frozen backbone, fitted to a stated
//! optimality.

mod features;
mod file;
mod objective;
mod separate;
mod stochastic;
mod weights;

use std::ops::ControlFlow;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use features::{DenseRows, Features, SparseRows};
pub use file::HeadFile;
pub use weights::ClassWeights;

use self::features::BLOCK_LEN;
use self::objective::Objective;
use crate::loss::Loss;
use crate::matrix::Matrix;
use crate::minimize::{Lbfgs, Minimum, Stop};
use crate::snapshot::LinearClassifier;
use crate::{Error, LabelSet, Result, Targets};

/// Which matrices a head may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadKind {
    /// Any weight matrix W.
    #[default]
    Linear,
    /// W = E·P with E a simplex ETF of K unit rows in K − 1 dimensions and a learned projection P
    /// `[K−1, d]`.
    ///
    /// E has rank K − 1, so W is any matrix whose columns sum to zero, and ‖W‖² = K/(K−1)·‖P‖².
    /// For losses that ignore a shift of all logits (pick-all-labels) this is the linear head with
    /// another weight decay; for the others it is a restriction.
    FixedEtf,
}

/// How features are scaled while the head is fitted. The head itself applies to the features as
/// given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// Mean 0 and standard deviation 1 for dense features, mean square 1 for sparse features.
    #[default]
    Standardise,
    /// As given.
    None,
}

/// How a head is fitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// L-BFGS, preconditioned by the curvature at the start; the fastest where all samples fit
    /// into memory. Binary cross-entropy, focal and asymmetric loss on sparse features are fitted
    /// label by label, in f32 as far as that goes; value and gradient reported are those of f64.
    #[default]
    Lbfgs,
    /// Stochastic gradient descent on mini-batches.
    Stochastic(Stochastic),
}

/// Stochastic gradient descent with variance reduction (SAGA): the last slope of every sample is
/// kept, so that a constant step, derived from the curvature of the loss, converges to the minimum
/// and the gradient tolerance can be met. The result depends on the seed, not on the number of
/// threads.
///
/// Source: Defazio, Bach and Lacoste-Julien 2014 (arXiv 1407.0202).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Stochastic {
    /// Samples of a step.
    pub batch_size: usize,
    /// Seed of the order of the samples.
    pub seed: u64,
}

impl Default for Stochastic {
    fn default() -> Self {
        Self {
            batch_size: 64,
            seed: 0,
        }
    }
}

/// The state of a fit after a step, or after a pass over the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps of L-BFGS, or passes over the samples.
    pub iterations: usize,
    /// The objective.
    pub objective: f64,
    /// The largest entry of its gradient.
    pub gradient_norm: f64,
}

/// What a head minimises and how far.
///
/// The objective is (1/Σw_i)·Σ_i w_i·L_c(W x_i + b, S_i) + weight_decay·‖W‖², with ‖P‖² in place of
/// ‖W‖² for a fixed ETF; the bias is free. L_c is the loss with the class weights c.
///
/// For a convex loss (all but focal and asymmetric) the gradient g at the end bounds what is left:
/// the objective, minimised over the bias, lies within ‖g_W‖²/(4·weight_decay) of its minimum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct HeadSettings {
    /// The loss L of a sample.
    pub loss: Loss,
    /// Which matrices are allowed.
    pub kind: HeadKind,
    /// λ ≥ 0, for features scaled as [`scaling`](Self::scaling) says.
    pub weight_decay: f64,
    /// Samples weigh w_i = n_S^(−balance) with n_S the number of samples of their label set: 0
    /// treats all samples alike, 1 all label sets.
    pub balance: f64,
    /// Factors of the weights of single label sets; 1 for the sets that are not listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set_weights: Vec<(LabelSet, f64)>,
    /// How much labels count where they are in a set.
    pub class_weights: ClassWeights,
    /// How features are scaled.
    pub scaling: Scaling,
    /// How the minimum is found.
    pub optimizer: Optimizer,
    /// Largest number of L-BFGS steps, or of passes over the samples.
    pub max_iterations: usize,
    /// Largest entry of the gradient at which the fit has converged; 1e-4 unless told otherwise, as
    /// for scikit-learn's `LogisticRegression`. A loss that is a sum over labels, on sparse
    /// features, is fitted further for rare labels: to this times the label's share against that
    /// of the most frequent one, or 1/100 of it at least.
    pub gradient_tolerance: f64,
}

impl Default for HeadSettings {
    fn default() -> Self {
        Self {
            loss: Loss::default(),
            kind: HeadKind::default(),
            weight_decay: 1e-4,
            balance: 0.0,
            set_weights: Vec::new(),
            class_weights: ClassWeights::default(),
            scaling: Scaling::default(),
            optimizer: Optimizer::default(),
            max_iterations: 500,
            gradient_tolerance: 1e-4,
        }
    }
}

/// A fitted head.
#[derive(Clone, Debug)]
pub struct Head {
    /// W and b, for features as given.
    pub classifier: LinearClassifier,
    /// The objective reached.
    pub objective: f64,
    /// The largest entry of its gradient.
    pub gradient_norm: f64,
    /// L-BFGS steps taken, or passes over the samples.
    pub iterations: usize,
    /// Why the fit ended.
    pub stop: Stop,
    /// The parameters in the scaled space, to start the next fit from.
    parameters: Vec<f64>,
}

impl Head {
    /// Fits a head, from W = 0 or from another head on the same features.
    ///
    /// Memory beside the features: 32 times the parameters for L-BFGS, 6 times for stochastic
    /// descent, N·K numbers, and one scaled copy of the features unless [`Scaling::None`] is
    /// chosen. Losses that are sums over labels, on sparse features, are fitted label by label
    /// instead: 3 times the parameters, and 26·d + N numbers of a cache line for each thread. The
    /// result does not depend on the number of threads.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when sizes differ, [`Error::Undefined`] without a sample or when
    /// every sample has weight 0, [`Error::OutOfRange`] for a setting out of range.
    ///
    /// ```
    /// use tagwise::head::{DenseRows, Features, Head, HeadSettings};
    /// use tagwise::{LabelSet, Targets};
    ///
    /// let features = Features::Dense(DenseRows::new(vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0], 2)?);
    /// let targets = Targets::new(3, [vec![0], vec![1], vec![0, 1]].map(LabelSet::new))?;
    /// let head = Head::fit(&features, &targets, &HeadSettings::default(), None)?;
    /// let logits = head.logits(&features)?; // [3, 3]
    /// assert!(logits[0] > logits[1] && logits[4] > logits[3] && logits[6] > logits[8]);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn fit(
        features: &Features,
        targets: &Targets,
        settings: &HeadSettings,
        start: Option<&Head>,
    ) -> Result<Self> {
        let go_on = |_: &Progress| ControlFlow::Continue(());
        Self::fit_with(features, targets, settings, start, go_on)
    }

    /// As [`fit`](Self::fit); `progress` sees every step and ends the fit by returning
    /// [`ControlFlow::Break`], which the head's [`stop`](Self::stop) then says.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_with(
        features: &Features,
        targets: &Targets,
        settings: &HeadSettings,
        start: Option<&Head>,
        progress: impl FnMut(&Progress) -> ControlFlow<()> + Send,
    ) -> Result<Self> {
        settings.check()?;
        check_sizes(features, targets)?;
        let scale = Scale::new(features, settings.scaling);
        let rescaled = scale.as_ref().map(|scale| scale.apply(features));
        let objective = Objective::new(rescaled.as_ref().unwrap_or(features), targets, settings)?;
        let mut parameters = match start {
            Some(head) if head.parameters.len() == objective.num_parameters() => {
                head.parameters.clone()
            }
            Some(head) => {
                return Err(Error::SizeMismatch {
                    what: "parameters of the head to start from",
                    expected: objective.num_parameters(),
                    found: head.parameters.len(),
                });
            }
            None => objective.start(),
        };
        let minimum = minimize(&objective, settings, &mut parameters, progress);
        let (mut weights, mut bias) = objective.weights_and_bias(&parameters);
        if let Some(scale) = &scale {
            scale.fold_into(&mut weights, &mut bias);
        }
        let num_classes = targets.num_classes();
        Ok(Self {
            classifier: LinearClassifier {
                weight: Matrix::from_fn(num_classes, features.dim(), |k, j| {
                    weights[j * num_classes + k]
                }),
                bias,
            },
            objective: minimum.value,
            gradient_norm: minimum.gradient_norm,
            iterations: minimum.iterations,
            stop: minimum.stop,
            parameters,
        })
    }

    /// The logits W x + b of each sample.
    ///
    /// # Shapes
    /// Returns row-major `[N, K]`.
    ///
    /// # Errors
    /// As [`logits`].
    pub fn logits(&self, features: &Features) -> Result<Vec<f64>> {
        logits(&self.classifier, features)
    }
}

fn minimize(
    objective: &Objective<'_>,
    settings: &HeadSettings,
    parameters: &mut [f64],
    mut progress: impl FnMut(&Progress) -> ControlFlow<()> + Send,
) -> Minimum {
    let minimiser = match settings.optimizer {
        Optimizer::Lbfgs => Lbfgs {
            max_iterations: settings.max_iterations,
            gradient_tolerance: settings.gradient_tolerance,
            ..Lbfgs::default()
        },
        Optimizer::Stochastic(stochastic) => {
            return stochastic::minimize(
                objective,
                &stochastic,
                parameters,
                settings.max_iterations,
                settings.gradient_tolerance,
                progress,
            );
        }
    };
    if let Some(features) = objective.separable() {
        return separate::minimize(objective, features, settings, parameters, progress);
    }
    let mut residuals = objective.residuals();
    minimiser.minimize_with(
        parameters,
        Some(&objective.inverse_curvatures()),
        |parameters, gradient| objective.value_and_gradient(parameters, gradient, &mut residuals),
        |minimum| {
            progress(&Progress {
                iterations: minimum.iterations,
                objective: minimum.value,
                gradient_norm: minimum.gradient_norm,
            })
        },
    )
}

/// The logits W x + b that a linear classifier gives each sample.
///
/// # Shapes
/// Returns row-major `[N, K]`.
///
/// # Errors
/// [`Error::SizeMismatch`] when the feature dimensions differ.
pub fn logits(classifier: &LinearClassifier, features: &Features) -> Result<Vec<f64>> {
    let (num_classes, dim) = (classifier.num_classes(), classifier.dim());
    if features.dim() != dim {
        return Err(Error::SizeMismatch {
            what: "feature dimensions",
            expected: dim,
            found: features.dim(),
        });
    }
    let weights: Vec<f64> = (0..dim * num_classes)
        .map(|i| classifier.weight[(i % num_classes, i / num_classes)])
        .collect(); // [d, K]
    let mut logits = vec![0.0; features.num_samples() * num_classes];
    logits
        .par_chunks_mut((BLOCK_LEN * num_classes).max(1))
        .enumerate()
        .for_each(|(block, logits)| {
            features.logits(block * BLOCK_LEN, &weights, &classifier.bias, logits);
        });
    Ok(logits)
}

impl HeadSettings {
    fn check(&self) -> Result<()> {
        for (name, value) in [
            ("the weight decay", self.weight_decay),
            ("the balance of label sets", self.balance),
            ("the gradient tolerance", self.gradient_tolerance),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::OutOfRange {
                    name,
                    requirement: "of at least 0 and finite",
                    found: value.to_string(),
                });
            }
        }
        Ok(())
    }
}

fn check_sizes(features: &Features, targets: &Targets) -> Result<()> {
    if targets.is_empty() || targets.num_classes() == 0 {
        return Err(Error::Undefined(
            "fitting a head needs at least one sample and one class".into(),
        ));
    }
    if features.num_samples() != targets.len() {
        return Err(Error::SizeMismatch {
            what: "rows of features",
            expected: targets.len(),
            found: features.num_samples(),
        });
    }
    Ok(())
}

/// x ↦ (x − shift)·factor for each column.
struct Scale {
    shifts: Vec<f64>,
    factors: Vec<f64>,
}

impl Scale {
    fn new(features: &Features, scaling: Scaling) -> Option<Self> {
        if scaling == Scaling::None {
            return None;
        }
        let moments = features.column_moments();
        let is_dense = matches!(features, Features::Dense(_));
        let shift = |mean: f64| if is_dense { mean } else { 0.0 };
        /// A column whose spread is rounding is constant.
        const CONSTANT: f64 = 1e-12;
        let factors = moments.iter().map(|&(mean, square)| {
            let spread = (square - shift(mean) * shift(mean)).max(0.0).sqrt();
            if spread > CONSTANT * square.sqrt() {
                1.0 / spread
            } else {
                0.0
            }
        });
        Some(Self {
            factors: factors.collect(),
            shifts: moments.iter().map(|&(mean, _)| shift(mean)).collect(),
        })
    }

    fn apply(&self, features: &Features) -> Features {
        features.rescaled(&self.shifts, &self.factors)
    }

    /// Turns weights `[d, K]` and bias for scaled features into those for the features as given.
    fn fold_into(&self, weights: &mut [f64], bias: &mut [f64]) {
        let num_classes = bias.len();
        for (row, (shift, factor)) in weights
            .chunks_exact_mut(num_classes)
            .zip(self.shifts.iter().zip(&self.factors))
        {
            for (weight, bias) in row.iter_mut().zip(bias.iter_mut()) {
                *weight *= factor;
                *bias -= *weight * shift;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LabelSet;
    use crate::loss::{PickAllLabels, Weighting};
    use crate::matrix::as_faer;

    #[derive(serde::Deserialize)]
    struct Golden {
        num_classes: usize,
        dim: usize,
        features: Vec<Vec<f64>>,
        labels: Vec<LabelSet>,
        fits: Vec<GoldenFit>,
    }

    #[derive(serde::Deserialize)]
    struct GoldenFit {
        loss: Loss,
        weight_decay: f64,
        weight: Vec<Vec<f64>>,
        bias: Vec<f64>,
    }

    /// Gradient 1e-9 over the smallest curvature 2λ = 2e-3.
    const OPTIMUM: f64 = 1e-5;

    fn golden() -> (Golden, Features, Targets) {
        let golden: Golden =
            serde_json::from_str(include_str!("../../../tests/golden/head.json")).unwrap();
        let features = DenseRows::new(golden.features.concat(), golden.dim).unwrap();
        let targets = Targets::new(golden.num_classes, golden.labels.iter().cloned()).unwrap();
        (golden, Features::Dense(features), targets)
    }

    fn sparse(features: &Features) -> Features {
        let values = features.to_dense();
        let rows = values.chunks(features.dim()).map(|row| {
            let entries = (0u32..).zip(row.iter().copied());
            entries.filter(|(_, x)| *x != 0.0).collect::<Vec<_>>()
        });
        Features::Sparse(SparseRows::new(features.dim(), rows).unwrap())
    }

    fn precise(loss: Loss, weight_decay: f64) -> HeadSettings {
        HeadSettings {
            loss,
            weight_decay,
            scaling: Scaling::None,
            gradient_tolerance: 1e-9,
            max_iterations: 5000,
            ..HeadSettings::default()
        }
    }

    #[test]
    fn heads_agree_with_scikit_learn() {
        let (golden, features, targets) = golden();
        for features in [features.clone(), sparse(&features)] {
            for fit in &golden.fits {
                let settings = precise(fit.loss, fit.weight_decay);
                let head = Head::fit(&features, &targets, &settings, None).unwrap();
                assert_eq!(head.stop, Stop::Converged);
                // A softmax does not determine the mean of the bias.
                let mean = |bias: &[f64]| match fit.loss {
                    Loss::PickAllLabels(_) => bias.iter().sum::<f64>() / bias.len() as f64,
                    _ => 0.0,
                };
                let (own, other) = (mean(&head.classifier.bias), mean(&fit.bias));
                for k in 0..golden.num_classes {
                    let difference = (head.classifier.bias[k] - own) - (fit.bias[k] - other);
                    assert!(
                        difference.abs() < OPTIMUM,
                        "{:?}: bias {k} off by {difference}",
                        fit.loss
                    );
                    for j in 0..golden.dim {
                        let difference = head.classifier.weight[(k, j)] - fit.weight[k][j];
                        assert!(
                            difference.abs() < OPTIMUM,
                            "{:?}: weight {k}, {j} off by {difference}",
                            fit.loss
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_fixed_etf_is_a_linear_head_with_another_weight_decay_under_pick_all_labels() {
        let (golden, features, targets) = golden();
        let k = golden.num_classes as f64;
        let linear = precise(Loss::default(), 1e-2);
        let etf = HeadSettings {
            kind: HeadKind::FixedEtf,
            weight_decay: 1e-2 * k / (k - 1.0),
            ..linear.clone()
        };
        let linear = Head::fit(&features, &targets, &linear, None).unwrap();
        let etf = Head::fit(&features, &targets, &etf, None).unwrap();
        assert!((linear.objective - etf.objective).abs() < 1e-10);
        let difference = as_faer(&linear.classifier.weight) - as_faer(&etf.classifier.weight);
        assert!(difference.norm_max() < OPTIMUM);
    }

    #[test]
    fn scaling_is_folded_into_the_head() {
        let (_, features, targets) = golden();
        for features in [features.clone(), sparse(&features)] {
            let scaled = precise(Loss::BinaryCrossEntropy {}, 0.0);
            let plain = HeadSettings {
                max_iterations: 30,
                ..scaled
            };
            let scaled = HeadSettings {
                scaling: Scaling::Standardise,
                ..plain.clone()
            };
            // Without weight decay both minimise the same function, in other coordinates.
            let loss = |settings: &HeadSettings| {
                let head = Head::fit(&features, &targets, settings, None).unwrap();
                let logits = head.logits(&features).unwrap();
                let mut gradient = vec![0.0; targets.num_classes()];
                let total: f64 = logits
                    .chunks(targets.num_classes())
                    .zip(targets.iter())
                    .map(|(row, set)| settings.loss.value_and_gradient(row, set, &mut gradient))
                    .sum();
                (total / targets.len() as f64, head.objective)
            };
            for settings in [plain, scaled] {
                let (measured, reported) = loss(&settings);
                assert!(
                    (measured - reported).abs() < 1e-10,
                    "{measured} vs {reported}"
                );
            }
        }
    }

    #[test]
    fn a_warm_start_at_the_optimum_takes_no_step() {
        let (_, features, targets) = golden();
        let settings = precise(Loss::Zlpr {}, 1e-2);
        let head = Head::fit(&features, &targets, &settings, None).unwrap();
        let again = Head::fit(&features, &targets, &settings, Some(&head)).unwrap();
        assert_eq!(again.iterations, 0);
        assert_eq!(again.classifier.weight, head.classifier.weight);
    }

    #[test]
    fn balanced_label_sets_count_alike() {
        let targets = Targets::new(2, [0, 0, 0, 1].map(|k| LabelSet::new([k]))).unwrap();
        let features = Features::Dense(DenseRows::new(vec![0.0; 4], 1).unwrap());
        let settings = HeadSettings {
            balance: 1.0,
            ..precise(Loss::default(), 1e-2)
        };
        let head = Head::fit(&features, &targets, &settings, None).unwrap();
        assert!((head.classifier.bias[0] - head.classifier.bias[1]).abs() < 1e-8);
        let settings = HeadSettings {
            balance: 0.0,
            ..settings
        };
        let head = Head::fit(&features, &targets, &settings, None).unwrap();
        let gap = head.classifier.bias[0] - head.classifier.bias[1];
        assert!((gap - 3f64.ln()).abs() < 1e-7);
    }

    #[test]
    fn heads_are_the_same_bits_whatever_the_number_of_threads() {
        let features = DenseRows::new((0..700 * 70).map(|i| f64::from(i % 97).sin()).collect(), 70);
        let features = Features::Dense(features.unwrap());
        let sets = (0..700u32).map(|i| LabelSet::new([i % 5, (i / 5) % 5]));
        let targets = Targets::new(5, sets).unwrap();
        let with_threads = |num_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads);
            let settings = HeadSettings::default();
            pool.build().unwrap().install(|| {
                let head = Head::fit(&features, &targets, &settings, None).unwrap();
                head.classifier.weight
            })
        };
        assert_eq!(with_threads(1), with_threads(3));
    }

    #[test]
    fn bad_input_is_refused() {
        let targets = Targets::new(2, [LabelSet::new([0])]).unwrap();
        let features = |values: Vec<f64>| Features::Dense(DenseRows::new(values, 2).unwrap());
        let fit = |features: &Features, targets: &Targets, settings: HeadSettings| {
            Head::fit(features, targets, &settings, None).unwrap_err()
        };
        let settings = HeadSettings::default();
        insta::assert_snapshot!(fit(&features(vec![0.0; 4]), &targets, settings.clone()), @"expected 1 rows of features, found 2");
        let negative = HeadSettings {
            weight_decay: -1.0,
            ..settings.clone()
        };
        insta::assert_snapshot!(fit(&features(vec![0.0; 2]), &targets, negative), @"expected the weight decay of at least 0 and finite, found -1");
        let unlabelled = Targets::new(2, [LabelSet::default()]).unwrap();
        insta::assert_snapshot!(fit(&features(vec![0.0; 2]), &unlabelled, settings), @"the pick-all-labels loss needs samples with labels, found none");
        insta::assert_snapshot!(DenseRows::new(vec![0.0, f64::NAN], 2).unwrap_err(), @"expected finite numbers, found NaN in features at row 0, column 1");
        insta::assert_snapshot!(SparseRows::new(2, [[(2, 1.0)]]).unwrap_err(), @"expected a column of sparse features below the feature dimension, found 2 in row 0 with 2 dimensions");
        assert!(
            PickAllLabels {
                weighting: Weighting::Mean
            }
            .sample_weight(0)
                == 0.0
        );
    }

    /// A gradient of 1e-4 over the smallest curvature 2λ = 2e-2.
    const STOCHASTIC_OPTIMUM: f64 = 1e-2;

    #[test]
    fn stochastic_descent_meets_the_tolerance_at_the_minimum_of_lbfgs() {
        let (_, features, targets) = golden();
        for features in [features.clone(), sparse(&features)] {
            for kind in [HeadKind::Linear, HeadKind::FixedEtf] {
                for loss in [Loss::default(), Loss::BinaryCrossEntropy {}] {
                    let exact = HeadSettings {
                        kind,
                        scaling: Scaling::Standardise,
                        class_weights: ClassWeights::Balanced,
                        ..precise(loss, 1e-2)
                    };
                    let stochastic = HeadSettings {
                        optimizer: Optimizer::Stochastic(Stochastic {
                            batch_size: 8,
                            seed: 3,
                        }),
                        gradient_tolerance: 1e-4,
                        ..exact.clone()
                    };
                    let fit = |settings| Head::fit(&features, &targets, settings, None).unwrap();
                    let (exact, found) = (fit(&exact), fit(&stochastic));
                    assert_eq!(found.stop, Stop::Converged, "{loss:?} {kind:?}");
                    assert!(found.gradient_norm <= 1e-4);
                    assert!(found.objective >= exact.objective - 1e-12);
                    assert!(found.objective - exact.objective < 1e-6);
                    let difference =
                        as_faer(&exact.classifier.weight) - as_faer(&found.classifier.weight);
                    assert!(difference.norm_max() < STOCHASTIC_OPTIMUM);
                    assert_eq!(found.classifier, fit(&stochastic).classifier);
                }
            }
        }
    }

    #[test]
    fn stochastic_descent_gives_the_same_bits_on_any_number_of_threads() {
        let (_, features, targets) = golden();
        let settings = HeadSettings {
            optimizer: Optimizer::Stochastic(Stochastic::default()),
            max_iterations: 5,
            ..HeadSettings::default()
        };
        let on = |num_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads);
            let fit = || Head::fit(&features, &targets, &settings, None).unwrap();
            pool.build().unwrap().install(fit).classifier
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn a_weight_of_two_is_a_sample_given_twice() {
        let (_, features, targets) = golden();
        let set = targets.distinct().last().unwrap().clone();
        let rows: Vec<usize> = (0..targets.len())
            .flat_map(|row| vec![row; 1 + usize::from(*targets.set(row) == set)])
            .collect();
        let settings = precise(Loss::default(), 1e-2);
        let weighted = HeadSettings {
            set_weights: vec![(set, 2.0)],
            ..settings.clone()
        };
        let weighted = Head::fit(&features, &targets, &weighted, None).unwrap();
        let (features, targets) = (features.select(&rows), targets.select(rows));
        let repeated = Head::fit(&features, &targets, &settings, None).unwrap();
        let difference =
            as_faer(&weighted.classifier.weight) - as_faer(&repeated.classifier.weight);
        assert!(difference.norm_max() < OPTIMUM);
    }

    #[test]
    fn a_fit_can_be_interrupted() {
        let (_, features, targets) = golden();
        for optimizer in [
            Optimizer::Lbfgs,
            Optimizer::Stochastic(Stochastic::default()),
        ] {
            let settings = HeadSettings {
                optimizer,
                ..precise(Loss::default(), 1e-3)
            };
            let head = Head::fit_with(&features, &targets, &settings, None, |progress| {
                match progress.iterations < 2 {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            });
            let head = head.unwrap();
            assert_eq!((head.stop, head.iterations), (Stop::Interrupted, 2));
        }
    }
}
