//! Every block's gradients against central differences of the whole network.

use tagwise_nn::{
    Architecture, ClassifierKind, Device, ImageShape, NamedTensor, Network, NetworkSpec,
};

const BATCH: usize = 4;
/// Step of the central differences: f32 passes carry errors of 1e-6, which divided by the step
/// stay below the tolerance.
const STEP: f32 = 4e-3;
/// Share of the largest gradient of a tensor: rounding and curvature.
const TOLERANCE: f64 = 4e-2;
/// Entries that may disagree because a step flips the sign before some ReLU, where the loss has a
/// kink. A wrong gradient disagrees at most entries of its tensor, which are five.
const KINKS: usize = 2;
/// Entries of a tensor that are tried.
const ENTRIES: usize = 5;

/// Σ over samples of ½‖logits‖²-like terms with fixed weights, and of features: smooth, and every
/// logit and feature matters.
fn loss(network: &Network) -> (f64, Vec<f32>, Vec<f32>) {
    let mut value = 0.0;
    let mut weigh = |numbers: &[f32]| -> Vec<f32> {
        let gradient = numbers.iter().enumerate().map(|(i, z)| {
            let weight = ((i * 37) % 11) as f32 / 11.0 - 0.4;
            value += f64::from(weight) * f64::from(*z) + 0.05 * f64::from(*z).powi(2);
            weight + 0.1 * z
        });
        gradient.collect()
    };
    let logits = weigh(network.logits());
    let features = weigh(network.features());
    (value, logits, features)
}

fn images(shape: ImageShape) -> Vec<f32> {
    (0..BATCH * shape.num_elements())
        .map(|i| ((i * 7919) % 97) as f32 / 97.0)
        .collect()
}

fn loss_with(network: &mut Network, state: &[NamedTensor], images: &[f32]) -> f64 {
    network
        .load_state(state)
        .expect("the network's own tensors");
    network.forward_train(images, BATCH).expect("a pass");
    loss(network).0
}

fn check(architecture: Architecture, input: ImageShape, classifier: ClassifierKind) {
    check_tensors(architecture, input, classifier, "");
}

/// Tries the tensors whose names begin so.
fn check_tensors(
    architecture: Architecture,
    input: ImageShape,
    classifier: ClassifierKind,
    prefix: &str,
) {
    let spec = NetworkSpec {
        architecture,
        input,
        num_classes: 5,
        feature_dim: Some(6),
        classifier,
    };
    let device = Device::cpu().expect("a device");
    let mut network = Network::new(&spec, 11, device).expect("a network");
    let images = images(input);
    network.forward_train(&images, BATCH).expect("a pass");
    let (_, grad_logits, grad_features) = loss(&network);
    network
        .backward(&grad_logits, Some(&grad_features))
        .expect("gradients");
    let gradients = network.gradients();
    let state = network.state();
    let (mut tried, mut wrong) = (0, Vec::new());
    for gradient in gradients.iter().filter(|g| g.name.starts_with(prefix)) {
        let index = state
            .iter()
            .position(|t| t.name == gradient.name)
            .expect("its tensor");
        let largest = gradient.data.iter().fold(0.0f32, |m, g| m.max(g.abs()));
        for entry in (0..gradient.data.len()).step_by(gradient.data.len().div_ceil(ENTRIES)) {
            let mut moved = state.clone();
            moved[index].data[entry] += STEP;
            let above = loss_with(&mut network, &moved, &images);
            moved[index].data[entry] -= 2.0 * STEP;
            let below = loss_with(&mut network, &moved, &images);
            let numeric = (above - below) / f64::from(2.0 * STEP);
            let error = (numeric - f64::from(gradient.data[entry])).abs();
            tried += 1;
            if error > TOLERANCE * f64::from(largest).max(0.05) {
                let analytic = gradient.data[entry];
                wrong.push(format!(
                    "{}[{entry}]: {analytic} but {numeric}",
                    gradient.name
                ));
            }
        }
    }
    assert!(tried > 0);
    assert!(
        wrong.len() <= KINKS,
        "{} of {tried}: {wrong:#?}",
        wrong.len()
    );
}

const SQUARE: ImageShape = ImageShape {
    height: 6,
    width: 5,
    channels: 2,
};

#[test]
fn gradients_of_convolutions_residual_blocks_and_a_learned_classifier_are_differences() {
    check(Architecture::Small, SQUARE, ClassifierKind::Learned);
}

#[test]
fn gradients_below_a_frozen_classifier_are_differences() {
    check(Architecture::Small, SQUARE, ClassifierKind::FixedEtf);
}

#[test]
fn gradients_of_a_residual_block_without_projection_are_differences() {
    let input = ImageShape {
        height: 4,
        width: 4,
        channels: 1,
    };
    check_tensors(
        Architecture::ResNet18,
        input,
        ClassifierKind::Learned,
        "layer1.1.bn",
    );
}
