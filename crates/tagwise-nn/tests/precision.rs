//! bf16 against f32: near in every pass, the same bits on any number of threads, less memory.

use rayon::ThreadPoolBuilder;
use tagwise_nn::{
    Architecture, ClassifierKind, Device, ImageShape, KernelSet, Kernels, Network, NetworkSpec,
    Precision, Sgd, SgdConfig, memory_estimate,
};

const BATCH: usize = 8;

/// Networks and the least cosine of all gradients together with those of f32. Batch norms over
/// eight random images amplify rounding in deep networks: PyTorch's autocast reaches 0.94 for
/// ResNet-18 and 0.85 for VGG-16 here.
const NETWORKS: [(Architecture, f64); 3] = [
    (Architecture::Small, 0.99),
    (Architecture::ResNet18, 0.85),
    (Architecture::Vgg16, 0.68),
];

/// Relative error of logits in evaluation, where every image is on its own: activations carry eight
/// significant bits, and Winograd's products an error of 1 % of a sum's standard deviation.
const LOGITS: f64 = 0.02;

fn spec(architecture: Architecture) -> NetworkSpec {
    NetworkSpec {
        architecture,
        input: ImageShape {
            height: 33,
            width: 32,
            channels: 3,
        },
        num_classes: 10,
        feature_dim: None,
        classifier: ClassifierKind::Learned,
    }
}

fn images() -> Vec<f32> {
    let mut state = 1u32;
    let pixel = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    (0..BATCH * 33 * 32 * 3).map(pixel).collect()
}

/// Logits in evaluation and all gradients of one step.
fn pass(architecture: Architecture, device: Device) -> (Vec<f32>, Vec<f32>) {
    let mut network = Network::new(&spec(architecture), 5, device).expect("a network");
    network.forward_eval(&images(), BATCH).expect("a pass");
    let logits = network.logits().to_vec();
    network.forward_train(&images(), BATCH).expect("a pass");
    let gradient: Vec<f32> = (0..BATCH * 10)
        .map(|i| ((i * 31) % 17) as f32 / 17.0 - 0.5)
        .collect();
    network.backward(&gradient, None).expect("gradients");
    let tensors = network.gradients();
    (logits, tensors.into_iter().flat_map(|t| t.data).collect())
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum()
}

#[test]
fn bf16_stays_near_f32_with_every_kernel_set() {
    // Every set of this machine, or the one that `TAGWISE_KERNELS` names.
    let chosen = Kernels::from_environment().expect("a kernel set");
    let available = match std::env::var_os("TAGWISE_KERNELS") {
        Some(_) => vec![chosen],
        None => KernelSet::ALL
            .into_iter()
            .flat_map(Kernels::select)
            .collect(),
    };
    let mut checked = 0;
    for kernels in available {
        // The deep networks take seconds; one kernel set tells enough about them.
        let count = if kernels == chosen { 3 } else { 1 };
        for (architecture, alignment) in NETWORKS.into_iter().take(count) {
            let precise = pass(architecture, Device::Cpu(kernels));
            let device = Device::Cpu(kernels.with_precision(Precision::Bf16));
            let rounded = pass(architecture, device);
            let what = format!("{architecture:?}, {device}");

            let difference: Vec<f32> = precise
                .0
                .iter()
                .zip(&rounded.0)
                .map(|(a, b)| a - b)
                .collect();
            let error = (dot(&difference, &difference) / dot(&precise.0, &precise.0)).sqrt();
            assert!(error < LOGITS, "{what}: logits are off by {error:.1e}");
            assert!(error > 1e-5, "{what}: nothing was rounded");

            let norms = dot(&precise.1, &precise.1) * dot(&rounded.1, &rounded.1);
            let cosine = dot(&precise.1, &rounded.1) / norms.sqrt();
            assert!(
                cosine > alignment,
                "{what}: gradients have the cosine {cosine}"
            );
            checked += 1;
        }
    }
    assert!(checked > 0);
}

/// Two steps on one, two and three threads.
fn check_bits(architecture: Architecture, precision: Precision) {
    let train = || {
        let device = Device::cpu().expect("a device").with_precision(precision);
        let mut network = Network::new(&spec(architecture), 3, device).expect("a network");
        let mut sgd = Sgd::new(SgdConfig::default(), &network);
        for _ in 0..2 {
            network.forward_train(&images(), BATCH).expect("a pass");
            let gradient: Vec<f32> = network.logits().iter().map(|z| z - 0.3).collect();
            network.backward(&gradient, None).expect("gradients");
            sgd.step(&mut network, 0.01).expect("a step");
        }
        network.state()
    };
    let runs = [1, 2, 3].map(|threads| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool").install(train)
    });
    assert!(runs[0] == runs[1] && runs[0] == runs[2], "{precision:?}");
    assert!(runs[0].iter().all(|t| t.data.iter().all(|v| v.is_finite())));
}

#[test]
fn a_small_network_has_the_same_bits_in_bf16_on_one_two_and_three_threads() {
    check_bits(Architecture::Small, Precision::Bf16);
}

#[test]
fn both_precisions_give_the_same_bits_on_one_two_and_three_threads() {
    for precision in [Precision::F32, Precision::Bf16] {
        check_bits(Architecture::ResNet18, precision);
    }
}

#[test]
fn bf16_needs_less_memory_and_says_so() {
    let device = Device::cpu().expect("a device");
    let needed = |precision| {
        let spec = spec(Architecture::ResNet18);
        memory_estimate(&spec, 128, device.with_precision(precision)).expect("an estimate")
    };
    let (precise, rounded) = (needed(Precision::F32), needed(Precision::Bf16));
    assert_eq!(precise.weights, rounded.weights);
    assert!(rounded.activations < precise.activations);
    assert!(rounded.total() < precise.total());
    let named = device.with_precision(Precision::Bf16).to_string();
    assert!(named.ends_with("kernels, bf16"), "{named}");
}
