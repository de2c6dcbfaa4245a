//! Arrays as they lie in files: element kind, shape and little-endian bytes.

use std::collections::HashMap;

use half::{bf16, f16};

use super::mapped::Part;
use crate::label::{TargetsBuilder, number_of_classes};
use crate::tensors::Element;
use crate::{LabelSet, Result, Targets};

/// A named array as a file holds it.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
    pub(super) column_major: bool,
    pub(super) part: Part,
}

impl Stored {
    pub(super) fn array(&self) -> Array<'_> {
        Array {
            name: &self.name,
            element: self.element,
            shape: &self.shape,
            bytes: &self.part,
        }
    }

    /// The same array in row-major order; copies only what is column-major.
    pub(super) fn into_row_major(self) -> Self {
        if !self.column_major {
            return self;
        }
        let size = self.element.size();
        let part = match self.shape.as_slice() {
            [] | [_] => self.part,
            &[rows, columns] => {
                let mut bytes = vec![0; self.part.len()];
                gather_rows(&self.part, size, [rows, columns], 0, &mut bytes);
                Part::owned(bytes)
            }
            shape => Part::owned(reordered(&self.part, size, shape)),
        };
        Self {
            column_major: false,
            part,
            ..self
        }
    }
}

/// The elements of a column-major array of any number of sides in row-major order.
fn reordered(bytes: &[u8], size: usize, shape: &[usize]) -> Vec<u8> {
    let mut strides = vec![size; shape.len()];
    for side in 1..shape.len() {
        strides[side] = strides[side - 1] * shape[side - 1];
    }
    let mut index = vec![0; shape.len()];
    let mut out = Vec::with_capacity(bytes.len());
    for _ in 0..bytes.len() / size {
        let place: usize = index
            .iter()
            .zip(&strides)
            .map(|(i, stride)| i * stride)
            .sum();
        out.extend_from_slice(&bytes[place..place + size]);
        for side in (0..shape.len()).rev() {
            index[side] += 1;
            if index[side] < shape[side] {
                break;
            }
            index[side] = 0;
        }
    }
    out
}

/// Copies rows of a column-major matrix `[rows, columns]` to row-major `out`, from row `first`.
pub(super) fn gather_rows(
    bytes: &[u8],
    size: usize,
    [rows, columns]: [usize; 2],
    first: usize,
    out: &mut [u8],
) {
    for (row, out) in out.chunks_exact_mut((columns * size).max(1)).enumerate() {
        for (column, out) in out.chunks_exact_mut(size).enumerate() {
            let start = (column * rows + first + row) * size;
            out.copy_from_slice(&bytes[start..start + size]);
        }
    }
}

/// One named array, row-major.
#[derive(Clone, Copy, Debug)]
pub(super) struct Array<'a> {
    pub(super) name: &'a str,
    pub(super) element: Element,
    pub(super) shape: &'a [usize],
    pub(super) bytes: &'a [u8],
}

impl Array<'_> {
    /// The two sides of a matrix, or what is wrong with the shape.
    pub(super) fn matrix_shape(self, sides: &str) -> Result<(usize, usize), String> {
        match *self.shape {
            [rows, columns] => Ok((rows, columns)),
            _ => Err(format!(
                "expected `{}` of shape {sides}, found shape {:?}",
                self.name, self.shape
            )),
        }
    }

    /// Every number as f64.
    pub(super) fn to_f64(self) -> Vec<f64> {
        fn each<const SIZE: usize>(bytes: &[u8], read: impl Fn([u8; SIZE]) -> f64) -> Vec<f64> {
            let (elements, _) = bytes.as_chunks::<SIZE>();
            elements.iter().map(|&element| read(element)).collect()
        }
        let bytes = self.bytes;
        match self.element {
            Element::Bool | Element::U8 => bytes.iter().map(|&byte| f64::from(byte)).collect(),
            Element::I8 => each(bytes, |b| f64::from(i8::from_le_bytes(b))),
            Element::U16 => each(bytes, |b| f64::from(u16::from_le_bytes(b))),
            Element::I16 => each(bytes, |b| f64::from(i16::from_le_bytes(b))),
            Element::U32 => each(bytes, |b| f64::from(u32::from_le_bytes(b))),
            Element::I32 => each(bytes, |b| f64::from(i32::from_le_bytes(b))),
            Element::U64 => each(bytes, |b| u64::from_le_bytes(b) as f64),
            Element::I64 => each(bytes, |b| i64::from_le_bytes(b) as f64),
            Element::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f64()),
            Element::BF16 => each(bytes, |b| bf16::from_le_bytes(b).to_f64()),
            Element::F32 => each(bytes, |b| f64::from(f32::from_le_bytes(b))),
            Element::F64 => each(bytes, f64::from_le_bytes),
        }
    }

    /// Whether rows `[N, K]` hold −1 for absent labels, and no 0.
    pub(super) fn has_signs(self) -> bool {
        let may_have = !matches!(
            self.element,
            Element::Bool | Element::U8 | Element::U16 | Element::U32 | Element::U64
        );
        may_have && is_signed(&self.to_f64())
    }

    /// Multi-hot rows `[N, K]` of 0 or −1 and 1, of any element kind, as label sets.
    pub(super) fn to_targets(self) -> Result<Targets, String> {
        let (_, num_classes) = self.matrix_shape("[N, K]")?;
        if num_classes == 0 {
            return Err(format!("expected `{}` with at least one class", self.name));
        }
        if self.element.size() > 1 || self.element == Element::I8 {
            let mut values = self.to_f64();
            if is_signed(&values) {
                values.iter_mut().for_each(|value| *value = value.max(0.0));
            }
            return Targets::from_multi_hot(&values, num_classes)
                .map_err(|error| format!("in `{}`: {error}", self.name));
        }
        let wrong = self.bytes.iter().position(|&byte| byte > 1);
        if let Some(position) = wrong {
            return Err(format!(
                "expected `{}` of 0 and 1, found {} at row {}, column {}",
                self.name,
                self.bytes[position],
                position / num_classes,
                position % num_classes
            ));
        }
        intern_rows(self.bytes, num_classes).map_err(|error| format!("in `{}`: {error}", self.name))
    }

    /// Whole numbers, for class indices and offsets.
    pub(super) fn to_indices(self) -> Result<Vec<u64>, String> {
        let wrong = |value: &dyn std::fmt::Display, position: usize| {
            format!(
                "expected `{}` of whole numbers from 0, found {value} at position {position}",
                self.name
            )
        };
        if self.element.is_float() {
            // Beyond 2^53 an f64 no longer tells neighbouring integers apart.
            let fits = |value: f64| {
                (0.0..9_007_199_254_740_992.0).contains(&value) && value.fract() == 0.0
            };
            let indices = self
                .to_f64()
                .into_iter()
                .enumerate()
                .map(|(position, value)| {
                    let index = fits(value).then_some(value as u64);
                    index.ok_or_else(|| wrong(&value, position))
                });
            return indices.collect();
        }
        let indices = self.integers().into_iter().enumerate();
        let indices = indices
            .map(|(position, value)| u64::try_from(value).map_err(|_| wrong(&value, position)));
        indices.collect()
    }

    /// Every whole number as it is; nothing for other elements.
    fn integers(self) -> Vec<i128> {
        fn each<const SIZE: usize, T: Into<i128>>(
            bytes: &[u8],
            read: impl Fn([u8; SIZE]) -> T,
        ) -> Vec<i128> {
            let (elements, _) = bytes.as_chunks::<SIZE>();
            elements
                .iter()
                .map(|&element| read(element).into())
                .collect()
        }
        let bytes = self.bytes;
        match self.element {
            Element::Bool | Element::U8 => each(bytes, u8::from_le_bytes),
            Element::I8 => each(bytes, i8::from_le_bytes),
            Element::U16 => each(bytes, u16::from_le_bytes),
            Element::I16 => each(bytes, i16::from_le_bytes),
            Element::U32 => each(bytes, u32::from_le_bytes),
            Element::I32 => each(bytes, i32::from_le_bytes),
            Element::U64 => each(bytes, u64::from_le_bytes),
            Element::I64 => each(bytes, i64::from_le_bytes),
            Element::F16 | Element::BF16 | Element::F32 | Element::F64 => Vec::new(),
        }
    }
}

/// Whether all numbers are −1 or 1, as those of support vector machines are, and not all 1.
fn is_signed(values: &[f64]) -> bool {
    values.contains(&-1.0) && values.iter().all(|value| value.abs() == 1.0)
}

/// Label sets of multi-hot rows of bytes 0 and 1; each distinct row is decoded once.
fn intern_rows(bytes: &[u8], num_classes: usize) -> crate::Result<Targets> {
    let mut ids: HashMap<&[u8], u32> = HashMap::new();
    let mut rows: Vec<&[u8]> = Vec::new();
    let set_ids: Vec<u32> = bytes
        .chunks_exact(num_classes)
        .map(|row| {
            *ids.entry(row).or_insert_with(|| {
                rows.push(row);
                rows.len() as u32 - 1
            })
        })
        .collect();
    let sets = rows.iter().map(|row| {
        (0u32..)
            .zip(*row)
            .filter_map(|(label, &on)| (on == 1).then_some(label))
            .collect()
    });
    Targets::from_distinct(num_classes, sets.collect(), set_ids)
}

/// Ragged labels: sample i carries `labels[offsets[i] .. offsets[i + 1]]`.
pub(super) fn ragged_targets(
    labels: &Array<'_>,
    offsets: &Array<'_>,
    num_classes: Option<usize>,
) -> Result<Targets, String> {
    let (ids, bounds) = (labels.to_indices()?, offsets.to_indices()?);
    let ends_right = bounds.first() == Some(&0) && bounds.last() == Some(&(ids.len() as u64));
    if !ends_right || !bounds.is_sorted() {
        return Err(format!(
            "expected `{}` to rise from 0 to {}, the length of `{}`",
            offsets.name,
            ids.len(),
            labels.name
        ));
    }
    let mut targets = TargetsBuilder::new();
    for window in bounds.windows(2) {
        let labels = &ids[window[0] as usize..window[1] as usize];
        targets.push(LabelSet::new(
            labels
                .iter()
                .map(|&id| u32::try_from(id).unwrap_or(u32::MAX)),
        ));
    }
    let targets = targets.finish(num_classes);
    targets.map_err(|error| format!("in `{}`: {error}", labels.name))
}

/// One class number for each sample, `[N]` or `[N, 1]`.
pub(super) fn class_targets(
    array: &Array<'_>,
    num_classes: Option<usize>,
) -> Result<Targets, String> {
    let in_array = |error: crate::Error| format!("in `{}`: {error}", array.name);
    let ids = array.to_indices()?;
    let ids: Vec<u32> = ids
        .into_iter()
        .map(|id| u32::try_from(id).unwrap_or(u32::MAX))
        .collect();
    let num_classes = number_of_classes(&ids, num_classes).map_err(in_array)?;
    Targets::new(num_classes, ids.iter().map(|&id| LabelSet::new([id]))).map_err(in_array)
}

/// As [`class_targets`], of numbers that are the names of classes; none where no number is one.
pub(super) fn named_targets(
    array: &Array<'_>,
    class_names: &[String],
) -> Result<Option<Targets>, String> {
    let named = class_names.iter().zip(0..);
    let classes: HashMap<u64, u32> = named
        .filter_map(|(name, class)| Some((name.parse().ok()?, class)))
        .collect();
    let ids = array.to_indices()?;
    if !ids.iter().any(|id| classes.contains_key(id)) {
        return Ok(None);
    }
    let sets = ids.iter().map(|id| {
        let class = classes.get(id).copied();
        class.map(|class| LabelSet::new([class])).ok_or_else(|| {
            format!(
                "in `{}`: expected one of the given class names, found {id}",
                array.name
            )
        })
    });
    let sets: Vec<LabelSet> = sets.collect::<Result<_, String>>()?;
    let targets = Targets::new(class_names.len(), sets);
    targets
        .map(Some)
        .map_err(|error| format!("in `{}`: {error}", array.name))
}
