//! VGG-16 and VGG-19 with batch norm, global average pooling and one linear classifier;
//! convolutions are named as torchvision's `vgg16_bn` and `vgg19_bn` name them.

use super::path::Path;
use super::{Bias, Blueprint};
use crate::Result;

pub(super) fn vgg16(path: Path<'_>) -> Result<Blueprint> {
    vgg(path, [2, 2, 3, 3, 3])
}

pub(super) fn vgg19(path: Path<'_>) -> Result<Blueprint> {
    vgg(path, [2, 2, 4, 4, 4])
}

/// Five stages of 3×3 convolutions, each ended by a 2×2 maximum; the last convolution's output
/// has the feature dimension.
fn vgg(mut path: Path<'_>, depths: [usize; 5]) -> Result<Blueprint> {
    // torchvision numbers convolution, norm, ReLU and pooling in one sequence.
    let mut index = 0;
    for (stage, depth) in depths.into_iter().enumerate() {
        let width = (64 << stage).min(512);
        for layer in 0..depth {
            let is_last = stage == 4 && layer + 1 == depth;
            let out = if is_last {
                path.feature_dim(width)
            } else {
                width
            };
            let names = (
                format!("features.{index}"),
                format!("features.{}", index + 1),
            );
            let mut conv = path.conv(names, out, 3, 1);
            conv.bias = Bias::With;
            path.push_conv(conv);
            index += 3;
        }
        path.push_max_pool()?;
        index += 1;
    }
    Ok(path.end("classifier"))
}
