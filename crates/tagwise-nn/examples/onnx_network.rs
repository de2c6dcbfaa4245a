//! Writes networks as ONNX, with images and the logits that Tagwise has for them, into a folder, for
//! `tests/golden/onnx_network.py`.

use tagwise_nn::blueprint::InputScale;
use tagwise_nn::{
    Architecture, ClassifierKind, Device, ImageShape, NamedTensor, Network, NetworkSpec,
    write_safetensors,
};

const IMAGES: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args()
        .nth(1)
        .ok_or("expected a folder to write to")?;
    for (name, architecture, side) in [
        ("small", Architecture::Small, 9),
        ("resnet18", Architecture::ResNet18, 12),
        ("resnet50", Architecture::ResNet50, 9),
        ("vgg16", Architecture::Vgg16, 33),
    ] {
        let spec = NetworkSpec {
            architecture,
            input: ImageShape {
                height: side,
                width: side + 1,
                channels: 3,
            },
            num_classes: 4,
            feature_dim: None,
            classifier: ClassifierKind::Learned,
        };
        let [model, arrays] = ["onnx", "safetensors"].map(|end| format!("{folder}/{name}.{end}"));
        write(&spec, &model, &arrays)?;
    }
    Ok(())
}

fn write(spec: &NetworkSpec, model: &str, arrays: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut network = Network::new(spec, 5, Device::cpu()?)?;
    let size = spec.input.num_elements();
    let pixel = |i: usize| ((i * 7919) % 1009) as f32 / 1009.0;
    let images: Vec<f32> = (0..IMAGES * size).map(pixel).collect(); // [3, H, W, C]
    let scale = InputScale {
        mean: &[0.5, 0.4, 0.3],
        std: &[0.25, 0.5, 0.2],
    };
    let normal = images
        .iter()
        .enumerate()
        .map(|(i, value)| (value - scale.mean[i % 3]) / scale.std[i % 3]);
    let normal: Vec<f32> = normal.collect();
    // A step of training moves means and variances away from 0 and 1.
    network.forward_train(&normal, IMAGES)?;
    network.forward_eval(&normal, IMAGES)?;
    let names = ["a", "b", "c", "d"].map(String::from);
    let bytes = spec
        .blueprint()?
        .to_onnx(&network.state(), Some(scale), Some(&names))?;
    std::fs::write(model, bytes)?;
    let ImageShape {
        height,
        width,
        channels,
    } = spec.input;
    let array = |name: &str, shape: Vec<usize>, data: &[f32]| NamedTensor {
        name: name.into(),
        shape,
        data: data.to_vec(),
    };
    let features = network.features().len() / IMAGES;
    write_safetensors(
        arrays.as_ref(),
        &[
            array("images", vec![IMAGES, height, width, channels], &images),
            array("features", vec![IMAGES, features], network.features()),
            array("logits", vec![IMAGES, spec.num_classes], network.logits()),
        ],
    )?;
    Ok(())
}
