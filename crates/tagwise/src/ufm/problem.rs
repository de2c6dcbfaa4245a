use serde::{Deserialize, Serialize};

use super::{ClassifierKind, LabelCounts};
use crate::loss::Weighting;
use crate::{Error, Result};

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
/// λ_W = 5e-3, λ_H = 5e-3·K/N, λ_b = 1e-3, a learned classifier and free features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct UfmSettings {
    /// Feature dimension d; the number of classes when absent.
    pub dim: Option<usize>,
    /// PAL (sum over the labels of a sample) or PAL-N (mean).
    pub weighting: Weighting,
    /// Decay λ_W of ‖W‖², without a factor ½.
    pub lambda_w: f64,
    /// Decay λ_H of Σ‖hᵢ‖² over all samples, without ½ or 1/N; 5e-3·K/N when absent.
    pub lambda_h: Option<f64>,
    /// The bias and its decay.
    pub bias: Bias,
    /// Learned or fixed classifier.
    pub classifier: ClassifierKind,
    /// Free or non-negative features.
    pub features: FeatureKind,
}

impl Default for UfmSettings {
    fn default() -> Self {
        Self {
            dim: None,
            weighting: Weighting::Sum,
            lambda_w: 5e-3,
            lambda_h: None,
            bias: Bias::Decayed(1e-3),
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
    weighting: Weighting,
    lambda_w: f64,
    lambda_h: f64,
    bias: Bias,
    classifier: ClassifierKind,
    features: FeatureKind,
}

impl UfmProblem {
    /// Checks the settings against the labels.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a decay that is not a positive finite number or for d = 0;
    /// [`Error::NoSimplexEtf`] for a fixed ETF with d < K − 1; [`Error::Undefined`] for a free
    /// bias with a class that never occurs.
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
            weighting: settings.weighting,
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

    /// Sum or mean over the labels of a sample.
    pub fn weighting(&self) -> Weighting {
        self.weighting
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

    /// α_m, the weight of the loss of one sample with m labels: 1 (PAL) or 1/m (PAL-N).
    pub fn sample_weight(&self, multiplicity: usize) -> f64 {
        match self.weighting {
            Weighting::Sum => 1.0,
            Weighting::Mean => 1.0 / multiplicity as f64,
        }
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
