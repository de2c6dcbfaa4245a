//! The networks of Li et al. 2024 have exactly the published numbers of trainable parameters.

use tagwise_nn::{Architecture, ClassifierKind, ImageShape, NetworkSpec};

fn num_trainable(architecture: Architecture, channels: usize, classifier: ClassifierKind) -> usize {
    let spec = NetworkSpec {
        architecture,
        input: ImageShape {
            height: 32,
            width: 32,
            channels,
        },
        num_classes: 10,
        feature_dim: (classifier == ClassifierKind::FixedEtf).then_some(10),
        classifier,
    };
    spec.num_trainable().expect("a network")
}

#[test]
fn learned_and_frozen_networks_have_the_published_numbers_of_parameters() {
    let published = [
        (Architecture::ResNet18, 11_172_810, 8_858_610),
        (Architecture::ResNet50, 23_519_690, 22_472_178),
        (Architecture::Vgg16, 14_727_114, 12_407_272),
        (Architecture::Vgg19, 20_039_370, 17_719_528),
    ];
    for (architecture, learned, frozen) in published {
        for (channels, surplus) in [(1, 0), (3, 1152)] {
            let found = num_trainable(architecture, channels, ClassifierKind::Learned);
            assert_eq!(found, learned + surplus, "{architecture:?}, learned");
            let found = num_trainable(architecture, channels, ClassifierKind::FixedEtf);
            assert_eq!(found, frozen + surplus, "{architecture:?}, fixed ETF");
        }
    }
}
