//! Blocks of rows of an array in memory or mapped.

use half::{bf16, f16};
use rayon::prelude::*;

use super::FeatureRows;
use super::array::{Stored, gather_rows};
use crate::Result;
use crate::tensors::Element;

/// Bytes of features shown at once; what a block costs beside the mapped file when its numbers
/// must be converted.
const BLOCK_BYTES: usize = 64 << 20;

/// Shows all rows `[N, d]` in order, with the number of the first row of each block.
pub(super) fn show_blocks(
    features: &Stored,
    num_rows: usize,
    dim: usize,
    visit: &mut dyn FnMut(usize, FeatureRows<'_>) -> Result<()>,
) -> Result<()> {
    let size = features.element.size();
    let row_bytes = dim * size;
    let block_rows = (BLOCK_BYTES / row_bytes).max(1);
    let mut gathered = Vec::new();
    for first in (0..num_rows).step_by(block_rows) {
        let count = block_rows.min(num_rows - first);
        let bytes = if features.column_major {
            gathered.resize(count * row_bytes, 0);
            let shape = [num_rows, dim];
            gather_rows(&features.part, size, shape, first, &mut gathered);
            &gathered[..]
        } else {
            &features.part[first * row_bytes..(first + count) * row_bytes]
        };
        show(features.element, bytes, &mut |rows| visit(first, rows))?;
    }
    Ok(())
}

/// Shows bytes as f32 or f64, without a copy where they lie aligned.
fn show(
    element: Element,
    bytes: &[u8],
    visit: &mut dyn FnMut(FeatureRows<'_>) -> Result<()>,
) -> Result<()> {
    let native = cfg!(target_endian = "little");
    match element {
        Element::F64 => match bytemuck::try_cast_slice(bytes) {
            Ok(values) if native => visit(FeatureRows::F64(values)),
            _ => visit(FeatureRows::F64(&convert(bytes, f64::from_le_bytes))),
        },
        Element::F16 => visit(FeatureRows::F32(&convert(bytes, |b| {
            f16::from_le_bytes(b).to_f32()
        }))),
        Element::BF16 => visit(FeatureRows::F32(&convert(bytes, |b| {
            bf16::from_le_bytes(b).to_f32()
        }))),
        _ => match bytemuck::try_cast_slice(bytes) {
            Ok(values) if native => visit(FeatureRows::F32(values)),
            _ => visit(FeatureRows::F32(&convert(bytes, f32::from_le_bytes))),
        },
    }
}

fn convert<const SIZE: usize, T: Send>(
    bytes: &[u8],
    read: impl Fn([u8; SIZE]) -> T + Sync,
) -> Vec<T> {
    let (elements, _) = bytes.as_chunks::<SIZE>();
    elements
        .par_iter()
        .with_min_len(1 << 14)
        .map(|&element| read(element))
        .collect()
}
