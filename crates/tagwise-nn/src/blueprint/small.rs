//! A small residual network for images of about 16×16, named in the manner of a ResNet.

use super::Blueprint;
use super::path::Path;

/// Channels of the stem and of the two stages.
const STEM: usize = 32;
const STAGES: [usize; 2] = [64, 128];

/// A 3×3 stem and two residual blocks, each halving the image; the second's output has the
/// feature dimension.
pub(super) fn small(mut path: Path<'_>) -> Blueprint {
    let stem = path.conv(("conv1".into(), "bn1".into()), STEM, 3, 1);
    path.push_conv(stem);
    for (stage, width) in STAGES.into_iter().enumerate() {
        let is_last = stage + 1 == STAGES.len();
        let out = if is_last {
            path.feature_dim(width)
        } else {
            width
        };
        let prefix = format!("layer{}.0", stage + 1);
        let names = |i: usize| (format!("{prefix}.conv{i}"), format!("{prefix}.bn{i}"));
        let first = path.conv(names(1), width, 3, 2);
        let second = Path::conv_after(&first, names(2), out, 3, 1);
        let shortcut = (
            format!("{prefix}.downsample.0"),
            format!("{prefix}.downsample.1"),
        );
        path.push_residual(vec![first, second], shortcut);
    }
    path.end("fc")
}
