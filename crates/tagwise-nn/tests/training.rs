//! A network's promises: gradients, determinism, state, errors.

use rayon::ThreadPoolBuilder;
use tagwise_nn::{
    Architecture, ClassifierKind, Device, Error, ImageShape, NamedTensor, Network, NetworkSpec,
    Precision, Sgd, SgdConfig, read_safetensors, write_safetensors,
};

const BATCH: usize = 6;

fn spec(classifier: ClassifierKind) -> NetworkSpec {
    NetworkSpec {
        architecture: Architecture::Small,
        input: ImageShape {
            height: 9,
            width: 8,
            channels: 1,
        },
        num_classes: 4,
        feature_dim: Some(7),
        classifier,
    }
}

fn network(classifier: ClassifierKind) -> Network {
    let device = Device::cpu().expect("a device");
    Network::new(&spec(classifier), 3, device).expect("a network")
}

fn images() -> Vec<f32> {
    (0..BATCH * 72)
        .map(|i| ((i * 7919) % 97) as f32 / 97.0)
        .collect()
}

/// Three steps with a made-up gradient; returns everything they change.
fn train() -> Vec<NamedTensor> {
    let mut network = network(ClassifierKind::Learned);
    let mut sgd = Sgd::new(SgdConfig::default(), &network);
    for _ in 0..3 {
        network.forward_train(&images(), BATCH).expect("a pass");
        let gradient: Vec<f32> = network.logits().iter().map(|z| z - 0.3).collect();
        network.backward(&gradient, None).expect("gradients");
        sgd.step(&mut network, 0.05).expect("a step");
    }
    let mut tensors = network.state();
    tensors.extend(sgd.state(&network).expect("velocities"));
    tensors
}

#[test]
fn training_gives_the_same_bits_on_one_two_and_three_threads() {
    let runs: Vec<_> = [1, 2, 3]
        .into_iter()
        .map(|threads| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("a pool").install(train)
        })
        .collect();
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0], runs[2]);
    assert!(runs[0].iter().all(|t| t.data.iter().all(|v| v.is_finite())));
}

#[test]
fn a_run_resumed_from_saved_tensors_continues_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let (weights, velocities) = (folder.path().join("w.safetensors"), folder.path().join("v"));
    let step = |network: &mut Network, sgd: &mut Sgd| {
        network.forward_train(&images(), BATCH).expect("a pass");
        let gradient: Vec<f32> = network.logits().iter().map(|z| z - 0.3).collect();
        network.backward(&gradient, None).expect("gradients");
        sgd.step(network, 0.05).expect("a step");
    };
    let mut first = network(ClassifierKind::Learned);
    let mut sgd = Sgd::new(SgdConfig::default(), &first);
    step(&mut first, &mut sgd);
    write_safetensors(&weights, &first.state()).expect("weights");
    write_safetensors(&velocities, &sgd.state(&first).expect("state")).expect("velocities");
    step(&mut first, &mut sgd);

    let mut second = network(ClassifierKind::Learned);
    let mut sgd = Sgd::new(SgdConfig::default(), &second);
    second
        .load_state(&read_safetensors(&weights).expect("weights"))
        .expect("state");
    let state = read_safetensors(&velocities).expect("velocities");
    sgd.load_state(&second, &state).expect("state");
    step(&mut second, &mut sgd);
    assert_eq!(first.state(), second.state());
}

#[test]
fn a_frozen_classifier_never_moves_and_its_bias_does() {
    let mut network = network(ClassifierKind::FixedEtf);
    let mut learned = self::network(ClassifierKind::Learned);
    assert_eq!(learned.num_trainable() - network.num_trainable(), 4 * 7);
    for network in [&mut learned, &mut network] {
        assert_eq!(
            network.spec().num_trainable().expect("a count"),
            network.num_trainable()
        );
    }
    let before = network.classifier_weight().to_vec();
    let mut sgd = Sgd::new(SgdConfig::default(), &network);
    network.forward_train(&images(), BATCH).expect("a pass");
    network
        .backward(&[0.1; BATCH * 4], None)
        .expect("gradients");
    sgd.step(&mut network, 0.1).expect("a step");
    assert_eq!(before, network.classifier_weight());
    assert!(
        network
            .classifier_bias()
            .iter()
            .all(|b| (b + 0.06).abs() < 1e-6)
    );
}

#[test]
fn evaluation_treats_every_image_on_its_own() {
    let mut network = network(ClassifierKind::Learned);
    network.forward_eval(&images(), BATCH).expect("a pass");
    let together = network.logits().to_vec();
    for (i, image) in images().chunks(72).enumerate() {
        network.forward_eval(image, 1).expect("a pass");
        assert_eq!(network.logits(), &together[i * 4..][..4]);
    }
}

/// Logits in evaluation, which keeps weights in another form from pass to pass.
fn evaluate(network: &mut Network) -> Vec<f32> {
    network.forward_eval(&images(), BATCH).expect("a pass");
    network.logits().to_vec()
}

#[test]
fn evaluation_sees_every_change_of_the_weights() {
    for precision in [Precision::F32, Precision::Bf16] {
        let device = Device::cpu().expect("a device").with_precision(precision);
        let spec = spec(ClassifierKind::Learned);
        let mut network = Network::new(&spec, 3, device).expect("a network");
        let mut fresh = Network::new(&spec, 4, device).expect("a network");
        let mut sgd = Sgd::new(SgdConfig::default(), &network);
        let mut seen = vec![evaluate(&mut network)];
        for _ in 0..2 {
            network.forward_train(&images(), BATCH).expect("a pass");
            let gradient: Vec<f32> = network.logits().iter().map(|z| z - 0.3).collect();
            network.backward(&gradient, None).expect("gradients");
            sgd.step(&mut network, 0.05).expect("a step");
            let logits = evaluate(&mut network);
            assert_eq!(logits, evaluate(&mut network), "nothing changed");
            assert!(!seen.contains(&logits));
            seen.push(logits);
        }
        evaluate(&mut fresh);
        fresh.load_state(&network.state()).expect("its tensors");
        assert_eq!(evaluate(&mut fresh), seen[2]);
    }
}

#[test]
fn wrong_calls_are_errors_with_numbers() {
    let mut network = network(ClassifierKind::Learned);
    let message = |result: Result<(), Error>| result.unwrap_err().to_string();
    insta::assert_snapshot!(
        message(network.forward_train(&[0.0; 71], 1)),
        @"expected 72 numbers of images [B, height, width, channels], found 71"
    );
    insta::assert_snapshot!(
        message(network.backward(&[0.0; 4], None)),
        @"backward needs a forward pass in training mode before it"
    );
    network.forward_eval(&[0.0; 72], 1).expect("a pass");
    assert!(network.backward(&[0.0; 4], None).is_err());
    network.forward_train(&images(), BATCH).expect("a pass");
    insta::assert_snapshot!(
        message(network.backward(&[0.0; 4], None)),
        @"expected 24 numbers of grad_logits [B, K], found 4"
    );
}

#[test]
fn weights_of_another_network_are_refused_and_change_nothing() {
    let mut network = network(ClassifierKind::Learned);
    let before = network.state();
    let load = |network: &mut Network, tensors: &[NamedTensor]| {
        network.load_state(tensors).unwrap_err().to_string()
    };
    let mut missing = before.clone();
    missing.retain(|t| t.name != "layer1.0.bn2.weight");
    insta::assert_snapshot!(
        load(&mut network, &missing),
        @"the weights lack the tensor layer1.0.bn2.weight [64]; they belong to another network"
    );
    let mut foreign = before.clone();
    foreign[0].name = "conv1.bias".into();
    foreign.push(before[0].clone());
    insta::assert_snapshot!(
        load(&mut network, &foreign),
        @"the weights have a tensor conv1.bias [32, 1, 3, 3] that the network lacks; they belong to another network"
    );
    let mut misshapen = before.clone();
    misshapen[0].shape = vec![32, 3, 3, 1];
    insta::assert_snapshot!(
        load(&mut network, &misshapen),
        @"expected the tensor conv1.weight of shape [32, 1, 3, 3], found [32, 3, 3, 1]"
    );
    assert_eq!(before, network.state());
}

#[test]
fn a_truncated_weights_file_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    write_safetensors(&path, &network(ClassifierKind::Learned).state()).expect("weights");
    let bytes = std::fs::read(&path).expect("bytes");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("half the bytes");
    let error = read_safetensors(&path).unwrap_err().to_string();
    assert!(
        error.contains("weights.safetensors: expected a safetensors file, found"),
        "{error}"
    );
    std::fs::write(&path, b"not weights").expect("text");
    assert!(matches!(
        tagwise_nn::weights::from_bytes(b"not weights"),
        Err(Error::NotSafetensors { .. })
    ));
    assert!(matches!(read_safetensors(&path), Err(Error::File { .. })));
    let missing = folder.path().join("nowhere");
    assert!(matches!(read_safetensors(&missing), Err(Error::Io { .. })));
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        1
    );
}

#[test]
fn impossible_networks_are_refused() {
    let build = |change: &dyn Fn(&mut NetworkSpec)| {
        let mut spec = spec(ClassifierKind::FixedEtf);
        change(&mut spec);
        let device = Device::cpu().expect("a device");
        Network::new(&spec, 0, device)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(
        build(&|spec| spec.feature_dim = Some(2)),
        @"no simplex ETF of 4 classes exists in 2 dimensions; use at least 3"
    );
    insta::assert_snapshot!(
        build(&|spec| spec.num_classes = 1),
        @"expected at least 2 classes, found 1"
    );
    insta::assert_snapshot!(
        build(&|spec| spec.architecture = Architecture::Vgg16),
        @"the images are too small for this network: 1x1 pixels are left before its 4th maximum pooling; use images of at least 32x32"
    );
}
