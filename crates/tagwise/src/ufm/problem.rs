use serde::{Deserialize, Serialize};

use super::{ClassifierKind, LabelCounts};
use crate::loss::set_likelihood::{
    MultiplicityPotentials, SeenSetPotentials, SetLikelihood, SetPotentials,
};
use crate::loss::{Loss, PickAllLabels};
use crate::{Error, LabelSet, Result};

/// The bias of the classifier.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bias {
    /// No bias: the logits are W h.
    None,
    /// A bias without decay. Every class must occur: the bias of one that never does would run
    /// to −∞.
    Free,
    /// A bias with decay λ_b‖b‖².
    Decayed(f64),
}

impl Bias {
    /// λ_b of a bias with decay.
    pub(super) fn decay(self) -> Option<f64> {
        match self {
            Self::None | Self::Free => None,
            Self::Decayed(decay) => Some(decay),
        }
    }
}

/// Which features are allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureKind {
    /// Any vector.
    #[default]
    Free,
    /// No negative entry, as after a rectifier and average pooling.
    NonNegative,
}

/// The settings of the unconstrained feature model besides the labels.
///
/// The default asks for as many feature dimensions as classes, the sum over labels (PAL),
/// λ_W = 5e-3, λ_H = 5e-3·K/N, λ_b = λ_c = 1e-3, a learned classifier and free features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct UfmSettings {
    /// Feature dimension d; the number of classes when absent.
    pub dim: Option<usize>,
    /// PAL (sum over the labels of a sample), PAL-N (mean) or the set likelihood, whose constant
    /// potentials of multiplicities are learned beside the classifier.
    pub loss: Loss,
    /// Decay λ_W of ‖W‖², without a factor ½.
    pub lambda_w: f64,
    /// Decay λ_H of Σ‖hᵢ‖² over all samples, without ½ or 1/N; 5e-3·K/N when absent.
    pub lambda_h: Option<f64>,
    /// The bias and its decay.
    pub bias: Bias,
    /// Decay λ_c of ‖c‖², the learned potentials of multiplicities of a set likelihood.
    pub lambda_c: f64,
    /// Learned or fixed classifier.
    pub classifier: ClassifierKind,
    /// Free or non-negative features.
    pub features: FeatureKind,
}

impl Default for UfmSettings {
    fn default() -> Self {
        Self {
            dim: None,
            loss: Loss::default(),
            lambda_w: 5e-3,
            lambda_h: None,
            bias: Bias::Decayed(1e-3),
            lambda_c: 1e-3,
            classifier: ClassifierKind::Learned,
            features: FeatureKind::Free,
        }
    }
}

/// The unconstrained feature model of one label distribution:
///
/// min over W, H, b of (1/N) Σᵢ α_m L(W hᵢ + b, Sᵢ) + λ_W‖W‖² + λ_H‖H‖² + λ_b‖b‖²,
///
/// where L is the pick-all-labels cross-entropy, m = |Sᵢ| and α_m is 1 (PAL) or 1/m (PAL-N).
/// Samples with an empty label set have loss 0 and feature 0; they count in N.
///
/// With the set likelihood L is −log p(Sᵢ), α = 1, and an empty set has a feature like any other.
/// Its potentials c of multiplicities are 0, or learned with λ_c‖c‖² added: jointly convex with
/// the logits, so that all that is proved for pick-all-labels holds. Without decay they would run
/// to −∞ for a multiplicity that never occurs.
///
/// ```
/// use tagwise::ufm::{LabelCounts, UfmProblem, UfmSettings};
///
/// let labels = LabelCounts::balanced(10, [(1, 3100.0), (2, 200.0)])?;
/// let problem = UfmProblem::new(labels, UfmSettings::default())?;
/// assert_eq!(problem.labels().num_samples(), 40_000.0);
/// assert_eq!(problem.dim(), 10);
/// # Ok::<(), tagwise::Error>(())
/// ```
///
/// Source: Li et al. 2024 (arXiv 2310.15903), equation 4.
#[derive(Clone, Debug, PartialEq)]
pub struct UfmProblem {
    labels: LabelCounts,
    dim: usize,
    loss: ProblemLoss,
    lambda_w: f64,
    lambda_h: f64,
    bias: Bias,
    classifier: ClassifierKind,
    features: FeatureKind,
}

/// The loss with all that it needs.
#[derive(Clone, Debug, PartialEq)]
enum ProblemLoss {
    PickAllLabels(PickAllLabels),
    SetLikelihood {
        /// Which potentials, and M.
        likelihood: SetLikelihood,
        /// With all potentials 0.
        potentials: SetPotentials,
        /// λ_c of learned potentials.
        decay: Option<f64>,
    },
}

impl UfmProblem {
    /// Checks the settings against the labels.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a decay that is not a positive finite number, for d = 0, and for a
    /// largest multiplicity below one that occurs or above K; [`Error::NoSimplexEtf`] for a fixed
    /// ETF with d < K − 1; [`Error::Undefined`] for a free bias with a class that never occurs or
    /// with the set likelihood, for potentials of a set likelihood that are linear or of seen sets,
    /// and for other losses.
    pub fn new(labels: LabelCounts, settings: UfmSettings) -> Result<Self> {
        let num_classes = labels.num_classes();
        let lambda_h = settings
            .lambda_h
            .unwrap_or(5e-3 * num_classes as f64 / labels.num_samples());
        check_decay("lambda_w", settings.lambda_w)?;
        check_decay("lambda_h", lambda_h)?;
        match settings.bias {
            Bias::Decayed(lambda_b) => check_decay("lambda_b", lambda_b)?,
            Bias::Free => check_every_class_occurs(&labels)?,
            Bias::None => {}
        }
        let loss = ProblemLoss::new(&labels, &settings)?;
        let dim = settings.dim.unwrap_or(num_classes);
        if dim == 0 {
            return Err(Error::OutOfRange {
                name: "the feature dimension",
                requirement: "to be at least 1",
                found: "0".into(),
            });
        }
        if settings.classifier == ClassifierKind::FixedEtf && dim + 1 < num_classes {
            return Err(Error::NoSimplexEtf { num_classes, dim });
        }
        Ok(Self {
            labels,
            dim,
            loss,
            lambda_w: settings.lambda_w,
            lambda_h,
            bias: settings.bias,
            classifier: settings.classifier,
            features: settings.features,
        })
    }

    /// The label distribution.
    pub fn labels(&self) -> &LabelCounts {
        &self.labels
    }

    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.labels.num_classes()
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The loss; for a set likelihood with the largest multiplicity filled in.
    pub fn loss(&self) -> Loss {
        match &self.loss {
            ProblemLoss::PickAllLabels(loss) => Loss::PickAllLabels(*loss),
            ProblemLoss::SetLikelihood { likelihood, .. } => Loss::SetLikelihood(*likelihood),
        }
    }

    /// The potentials of a set likelihood, all 0.
    pub(super) fn potentials(&self) -> Option<&SetPotentials> {
        match &self.loss {
            ProblemLoss::PickAllLabels(_) => None,
            ProblemLoss::SetLikelihood { potentials, .. } => Some(potentials),
        }
    }

    /// The number of potentials of multiplicities, M + 1; 0 with pick-all-labels.
    pub fn num_potentials(&self) -> usize {
        self.potentials()
            .map_or(0, |potentials| potentials.multiplicities().len())
    }

    /// Decay λ_c of the potentials of multiplicities, where they are learned.
    pub fn lambda_c(&self) -> Option<f64> {
        match self.loss {
            ProblemLoss::PickAllLabels(_) => None,
            ProblemLoss::SetLikelihood { decay, .. } => decay,
        }
    }

    /// The distinct label sets that have features, with the number of samples of each: all of them
    /// for a set likelihood, those with a label otherwise.
    ///
    /// # Errors
    /// As [`LabelCounts::sets`].
    pub fn sets(&self) -> Result<Vec<(LabelSet, f64)>> {
        let mut sets = self.labels.sets()?;
        if self.counts_empty_set() {
            sets.insert(0, (LabelSet::default(), self.labels.num_empty()));
        }
        Ok(sets)
    }

    /// The number of these label sets.
    pub fn num_sets(&self) -> f64 {
        self.labels.num_sets() + f64::from(u8::from(self.counts_empty_set()))
    }

    /// Whether there are samples without a label whose feature matters.
    pub(super) fn counts_empty_set(&self) -> bool {
        self.potentials().is_some() && self.labels.num_empty() > 0.0
    }

    /// The multiplicities of these label sets, with the number of samples of each.
    pub(super) fn multiplicities(&self) -> impl Iterator<Item = (usize, f64)> {
        let first = usize::from(self.potentials().is_none());
        let totals = self.labels.totals().range(first..);
        totals.map(|(&m, &total)| (m, total))
    }

    /// Decay of the classifier, λ_W.
    pub fn lambda_w(&self) -> f64 {
        self.lambda_w
    }

    /// Decay of the features, λ_H.
    pub fn lambda_h(&self) -> f64 {
        self.lambda_h
    }

    /// The bias and its decay.
    pub fn bias(&self) -> Bias {
        self.bias
    }

    /// Learned or fixed classifier.
    pub fn classifier(&self) -> ClassifierKind {
        self.classifier
    }

    /// Free or non-negative features.
    pub fn features(&self) -> FeatureKind {
        self.features
    }

    pub(super) fn with_features(mut self, features: FeatureKind) -> Self {
        self.features = features;
        self
    }

    /// α_m, the weight of the loss of one sample with m labels: 1 (PAL, set likelihood) or 1/m
    /// (PAL-N).
    pub fn sample_weight(&self, multiplicity: usize) -> f64 {
        match self.loss {
            ProblemLoss::PickAllLabels(loss) => loss.sample_weight(multiplicity),
            ProblemLoss::SetLikelihood { .. } => 1.0,
        }
    }
}

impl ProblemLoss {
    fn new(labels: &LabelCounts, settings: &UfmSettings) -> Result<Self> {
        let mut likelihood = match settings.loss {
            Loss::PickAllLabels(loss) => return Ok(Self::PickAllLabels(loss)),
            Loss::SetLikelihood(likelihood) => likelihood,
            Loss::BinaryCrossEntropy {}
            | Loss::Focal { .. }
            | Loss::Asymmetric { .. }
            | Loss::Zlpr {} => {
                return Err(Error::Undefined(format!(
                    "expected pick-all-labels or the set likelihood as the loss of an \
                     unconstrained feature model, found {}",
                    settings.loss.info().name
                )));
            }
        };
        if settings.bias == Bias::Free {
            return Err(Error::Undefined(
                "expected a bias with decay or none for the set likelihood, found one without \
                 decay: where every sample has the largest multiplicity, or one of the classes, \
                 no minimum is attained; give the bias a decay"
                    .into(),
            ));
        }
        if likelihood.seen_sets == SeenSetPotentials::Learned {
            return Err(Error::Undefined(
                "expected a set likelihood without potentials of seen label sets, found learned \
                 ones; leave them out"
                    .into(),
            ));
        }
        let decay = match likelihood.multiplicities {
            MultiplicityPotentials::None => None,
            MultiplicityPotentials::Constant => {
                check_decay("lambda_c", settings.lambda_c)?;
                Some(settings.lambda_c)
            }
            MultiplicityPotentials::Linear => {
                return Err(Error::Undefined(
                    "expected no or constant potentials of multiplicities, found linear ones, \
                     which are more rows of the classifier; take constant ones"
                        .into(),
                ));
            }
        };
        let occurring = labels.totals().keys().copied().max().unwrap_or(0);
        let most = likelihood.max_multiplicity.unwrap_or(occurring);
        if most < occurring || most > labels.num_classes() {
            return Err(Error::OutOfRange {
                name: "the largest multiplicity",
                requirement: "from the largest that occurs to the number of classes",
                found: format!(
                    "{most} with samples of {occurring} labels and {} classes",
                    labels.num_classes()
                ),
            });
        }
        likelihood.max_multiplicity = Some(most);
        Ok(Self::SetLikelihood {
            potentials: SetPotentials::new(labels.num_classes(), vec![0.0; most + 1])?,
            likelihood,
            decay,
        })
    }
}

fn check_decay(name: &'static str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::OutOfRange {
        name,
        requirement: "to be greater than 0 and finite (without decay the minimum is not attained)",
        found: value.to_string(),
    })
}

fn check_every_class_occurs(labels: &LabelCounts) -> Result<()> {
    let absent = labels.absent_classes();
    match absent.first() {
        None => Ok(()),
        Some(class) => Err(Error::Undefined(format!(
            "expected every class in some sample when the bias has no decay, found none with \
             class {class} ({} such classes); drop the class or give the bias a decay",
            absent.len()
        ))),
    }
}
