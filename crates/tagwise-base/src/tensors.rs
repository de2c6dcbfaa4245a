//! Named tensors as safetensors bytes: the one place that writes and reads them.
//!
//! Identical content gives identical bytes: tensors are laid out as the `safetensors` crate lays
//! them out (widest elements first, then by name) and metadata are sorted. That crate reads here;
//! it does not write, because it keeps metadata in a hash map, whose order changes from one run to
//! the next, and builds the whole file in memory.
//!
//! ```
//! use tagwise_base::tensors::{TensorWriter, Tensors};
//!
//! let mut writer = TensorWriter::new();
//! writer.add("bias", &[2], &[0.5f32, -0.5])?;
//! writer.describe("epoch", "7");
//! let bytes = writer.to_bytes();
//! let tensors = Tensors::parse(&bytes)?;
//! assert_eq!(tensors.require("bias")?.to_vec::<f32>()?, [0.5, -0.5]);
//! assert_eq!(tensors.metadata("epoch"), Some("7"));
//! # Ok::<(), tagwise_base::Error>(())
//! ```

mod element;
mod read;
mod write;

pub use self::element::{Element, Number};
pub use self::read::{Tensor, Tensors};
pub use self::write::TensorWriter;
pub(crate) use self::write::little_endian;

/// The key of the metadata that holds the CRC-32 of everything else, in hexadecimal.
const CHECKSUM: &str = "crc32";

/// CRC-32 of metadata and tensors, both in the order of their names.
#[derive(Default)]
struct Checksum(crc32fast::Hasher);

impl Checksum {
    fn metadata<'a>(&mut self, entries: impl Iterator<Item = (&'a str, &'a str)>) {
        for (key, value) in entries.filter(|(key, _)| *key != CHECKSUM) {
            self.text(key);
            self.text(value);
        }
    }

    fn tensor(&mut self, name: &str, element: Element, shape: &[usize], bytes: &[u8]) {
        self.text(name);
        self.text(element.name());
        for &side in shape {
            self.0.update(&(side as u64).to_le_bytes());
        }
        self.0.update(bytes);
    }

    /// With its length, so that two texts are never read as one.
    fn text(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    fn finish(self) -> String {
        format!("{:08x}", self.0.finalize())
    }
}
