//! The targets, by what they read.

mod arrays;
mod images;
mod settings;
mod state;
mod tables;

use crate::Target;
use crate::memory::Bound;

/// Text and arrays are copied a few times, each number into eight bytes; a name may cost a string.
const FEW_COPIES: Bound = Bound {
    always: 4 << 20,
    times: 400,
};

/// Packed files may always become 64 MiB.
const UNPACKED: Bound = Bound {
    always: 400 << 20,
    times: 4000,
};

/// A PNG of one bit a pixel may become a thousand times as long when it is unpacked, and 32 times
/// that as bytes of colour and opacity.
const PIXELS: Bound = Bound {
    always: 8 << 20,
    times: 80_000,
};

/// Matrix products keep buffers of twice the last cache for each thread, hardly any of it touched.
const PRODUCTS: Bound = Bound {
    always: 8 << 30,
    times: 4000,
};

const fn target(name: &'static str, run: fn(&[u8]), bound: Bound) -> Target {
    Target { name, run, bound }
}

pub const ALL: &[Target] = &[
    target("arff", tables::arff, UNPACKED),
    target("checkpoint", state::checkpoint, FEW_COPIES),
    target("cifar10", images::cifar10, UNPACKED),
    target("collapse", state::collapse, PRODUCTS),
    target("csv", tables::csv, UNPACKED),
    target("decoder", state::decoder, FEW_COPIES),
    target("experiment", settings::experiment, FEW_COPIES),
    target("head", state::head, FEW_COPIES),
    target("idx", images::idx, UNPACKED),
    target("label-sets", state::label_sets, FEW_COPIES),
    target("libsvm", tables::libsvm, UNPACKED),
    target("mulan", tables::mulan, UNPACKED),
    target("npy", arrays::npy, FEW_COPIES),
    target("npz", arrays::npz, UNPACKED),
    target("npz-members", arrays::npz_members, FEW_COPIES),
    target("own-images", images::own, FEW_COPIES),
    #[cfg(feature = "parquet")]
    target("parquet", arrays::parquet, UNPACKED),
    target("picture", images::picture, PIXELS),
    target("predictions", tables::predictions, FEW_COPIES),
    target("records", settings::records, FEW_COPIES),
    target("safetensors", arrays::safetensors, FEW_COPIES),
    target("statistics", state::statistics, FEW_COPIES),
    target("svhn", images::svhn, PIXELS),
    target("weights", state::weights, FEW_COPIES),
    target("xmc", tables::xmc, UNPACKED),
];
