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

/// The precision of this name; ends the program where there is none.
pub fn precision(name: Option<&str>) -> Precision {
    let name = name.unwrap_or_default();
    serde_json::from_value(serde_json::Value::String(name.to_owned())).unwrap_or_else(|_| {
        eprintln!("--precision: expected f32 or bf16, found \"{name}\"");
        std::process::exit(2);
    })
}
