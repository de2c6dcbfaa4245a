//! A network, an image size and a batch, as benchmarks name them.

use tagwise_nn::{Architecture, ClassifierKind, ImageShape, NetworkSpec, Precision};

pub const EXPECTED: &str = "expected NAME:HxWxC:BATCH, as resnet18:56x56x1:32";

pub struct Case {
    pub spec: NetworkSpec,
    pub batch: usize,
}

impl Case {
    pub fn parse(name: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let mut parts = name.split(':');
        let mut next = || parts.next().ok_or("a part is missing");
        let architecture: Architecture =
            serde_json::from_value(serde_json::Value::String(next()?.to_owned()))?;
        let size = next()?
            .split('x')
            .map(str::parse)
            .collect::<Result<Vec<usize>, _>>()?;
        let batch: usize = next()?.parse()?;
        let [height, width, channels] = size[..] else {
            return Err("the size needs three numbers".into());
        };
        let spec = NetworkSpec {
            architecture,
            input: ImageShape {
                height,
                width,
                channels,
            },
            num_classes: 10,
            feature_dim: None,
            classifier: ClassifierKind::Learned,
        };
        Ok(Self { spec, batch })
    }
}

#[allow(dead_code, reason = "the other bench parses in order")]
pub const PRECISIONS: [&str; 2] = ["f32", "bf16"];

/// What follows `--precision`; ends the program where that is no precision.
pub fn precision(arguments: &[String]) -> Precision {
    let named = arguments.iter().position(|a| a == "--precision");
    match named.map(|at| arguments.get(at + 1).map_or("", String::as_str)) {
        None | Some("f32") => Precision::F32,
        Some("bf16") => Precision::Bf16,
        Some(other) => {
            eprintln!("--precision: expected f32 or bf16, found \"{other}\"");
            std::process::exit(2);
        }
    }
}
