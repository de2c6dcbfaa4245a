//! ResNet-18 and ResNet-50 for small images: a 3×3 stem of stride 1 and no maximum pooling, with
//! torchvision's tensor names.

use super::path::Path;
use super::{Blueprint, Convolution};

/// The residual blocks of a ResNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// 3×3, 3×3.
    Basic,
    /// 1×1, 3×3 with the stride, 1×1 to four times the width.
    Bottleneck,
}

pub(super) fn resnet18(path: Path<'_>) -> Blueprint {
    resnet(path, Kind::Basic, [2, 2, 2, 2])
}

pub(super) fn resnet50(path: Path<'_>) -> Blueprint {
    resnet(path, Kind::Bottleneck, [3, 4, 6, 3])
}

/// Four stages of 64, 128, 256 and 512 channels; the last block's output has the feature
/// dimension, and its inner convolutions keep their width.
fn resnet(mut path: Path<'_>, kind: Kind, depths: [usize; 4]) -> Blueprint {
    let stem = path.conv(("conv1".into(), "bn1".into()), 64, 3, 1);
    path.push_conv(stem);
    for (stage, depth) in depths.into_iter().enumerate() {
        let width = 64 << stage;
        let expanded = match kind {
            Kind::Basic => width,
            Kind::Bottleneck => 4 * width,
        };
        for block in 0..depth {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let is_last = stage == 3 && block + 1 == depth;
            let out = if is_last {
                path.feature_dim(expanded)
            } else {
                expanded
            };
            let prefix = format!("layer{}.{block}", stage + 1);
            let body = body(&path, kind, &prefix, width, out, stride);
            let names = (
                format!("{prefix}.downsample.0"),
                format!("{prefix}.downsample.1"),
            );
            path.push_residual(body, names);
        }
    }
    path.end("fc")
}

fn body(
    path: &Path<'_>,
    kind: Kind,
    prefix: &str,
    width: usize,
    out: usize,
    stride: usize,
) -> Vec<Convolution> {
    let names = |i: usize| (format!("{prefix}.conv{i}"), format!("{prefix}.bn{i}"));
    match kind {
        Kind::Basic => {
            let first = path.conv(names(1), width, 3, stride);
            let second = Path::conv_after(&first, names(2), out, 3, 1);
            vec![first, second]
        }
        Kind::Bottleneck => {
            let first = path.conv(names(1), width, 1, 1);
            let second = Path::conv_after(&first, names(2), width, 3, stride);
            let third = Path::conv_after(&second, names(3), out, 1, 1);
            vec![first, second, third]
        }
    }
}
