//! Features that a NumPy array or a SciPy matrix keeps, borrowed.

use std::ops::Range;
use std::slice;

use half::f16;
use numpy::prelude::*;
use numpy::{Element, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tagwise::Targets;
use tagwise::features::{CsrView, DenseView, FeatureRows, FeatureSlice, FeaturesView};
use tagwise::snapshot::SampleStream;

use crate::arrays::list;
use crate::error::{Failure, Outcome};
use crate::work::Watch;

/// Bytes of features between two looks at [`Watch`]: as many as the command reads of a file at
/// once, so that both round alike.
const BLOCK_BYTES: usize = 64 << 20;

/// An argument that holds features `[N, d]`: a dense array of f16, f32 or f64 whose rows are
/// contiguous, or the parts (starts, columns, values, d) of compressed sparse rows.
pub(crate) enum Features<'py> {
    F16(PyReadonlyArray2<'py, f16>),
    F32(PyReadonlyArray2<'py, f32>),
    F64(PyReadonlyArray2<'py, f64>),
    Sparse(Sparse<'py>),
}

/// Compressed sparse rows.
pub(crate) struct Sparse<'py> {
    starts: PyReadonlyArray1<'py, i64>,
    columns: PyReadonlyArray1<'py, u32>,
    values: Values<'py>,
    dim: usize,
}

enum Values<'py> {
    F32(PyReadonlyArray1<'py, f32>),
    F64(PyReadonlyArray1<'py, f64>),
}

impl<'py> Features<'py> {
    /// Borrows what `tagwise._inputs.as_features` made.
    pub(crate) fn of(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(array) = object.cast::<PyArray2<f32>>() {
            return Ok(Self::F32(borrow(array)?));
        }
        if let Ok(array) = object.cast::<PyArray2<f64>>() {
            return Ok(Self::F64(borrow(array)?));
        }
        if let Ok(array) = object.cast::<PyArray2<f16>>() {
            return Ok(Self::F16(borrow(array)?));
        }
        if let Ok(parts) = object.cast::<PyTuple>() {
            return Ok(Self::Sparse(Sparse::of(parts)?));
        }
        let kind = object.get_type().name()?;
        Err(Failure::Value(format!(
            "expected features as rows of floating-point numbers, found {kind}"
        ))
        .into())
    }

    /// The same as the library sees them.
    pub(crate) fn view(&self) -> Outcome<FeaturesView<'_>> {
        match self {
            Self::F16(array) => dense(array),
            Self::F32(array) => dense(array),
            Self::F64(array) => dense(array),
            Self::Sparse(sparse) => sparse.view(),
        }
    }
}

impl<'py> Sparse<'py> {
    fn of(parts: &Bound<'py, PyTuple>) -> PyResult<Self> {
        let values = parts.get_item(2)?;
        Ok(Self {
            starts: parts.get_item(0)?.extract()?,
            columns: parts.get_item(1)?.extract()?,
            values: match values.extract() {
                Ok(values) => Values::F32(values),
                Err(_) => Values::F64(values.extract()?),
            },
            dim: parts.get_item(3)?.extract()?,
        })
    }

    fn view(&self) -> Outcome<FeaturesView<'_>> {
        let starts = list(&self.starts, "indptr")?;
        let columns = list(&self.columns, "indices")?;
        let values: FeatureSlice<'_> = match &self.values {
            Values::F32(values) => list(values, "data")?.into(),
            Values::F64(values) => list(values, "data")?.into(),
        };
        Ok(CsrView::new(starts, columns, values, self.dim)?.into())
    }
}

fn borrow<'py, T: Element>(array: &Bound<'py, PyArray2<T>>) -> PyResult<PyReadonlyArray2<'py, T>> {
    array
        .try_readonly()
        .map_err(|error| Failure::Value(format!("features: {error}")).into())
}

/// Rows with a stride, where they lie.
fn dense<'a, T: Element>(array: &'a PyReadonlyArray2<'_, T>) -> Outcome<FeaturesView<'a>>
where
    &'a [T]: Into<FeatureSlice<'a>>,
{
    let (num_rows, dim) = (array.shape()[0], array.shape()[1]);
    let size = size_of::<T>() as isize;
    let [row_bytes, step] = [array.strides()[0], array.strides()[1]];
    let has_rows = num_rows > 0 && dim > 0;
    let is_packed = step == size || dim == 1;
    let has_stride = row_bytes % size == 0 && row_bytes / size >= dim as isize || num_rows == 1;
    let is_aligned = (array.data() as usize).is_multiple_of(align_of::<T>());
    if has_rows && !(is_packed && has_stride && is_aligned) {
        return Err(Failure::Value(
            "expected features as contiguous rows, found another layout".into(),
        ));
    }
    let stride = match num_rows {
        0 | 1 => dim,
        _ => (row_bytes / size) as usize,
    };
    let values = match has_rows {
        false => &[][..],
        // SAFETY: the array is borrowed for reading as long as `array` lives, its numbers are
        // of type T, which `cast` ensures, and aligned, and row r of its N rows holds d numbers from
        // number r·stride on, as was checked above, so that all of them lie within one allocation.
        true => unsafe { slice::from_raw_parts(array.data(), (num_rows - 1) * stride + dim) },
    };
    Ok(DenseView::with_stride(values, num_rows, dim, stride)?.into())
}

/// Features with label sets, shown in blocks between which the work can be stopped.
pub(crate) struct WatchedSamples<'a> {
    pub(crate) features: FeaturesView<'a>,
    /// Of the rows that are shown.
    pub(crate) targets: &'a Targets,
    /// Rows that are left out, in order.
    pub(crate) skipped: &'a [usize],
    pub(crate) watch: &'a Watch,
}

impl WatchedSamples<'_> {
    /// The row of the features that is shown as this one.
    pub(crate) fn row_of(&self, shown: usize) -> usize {
        self.skipped
            .iter()
            .fold(shown, |row, &skipped| row + usize::from(skipped <= row))
    }

    /// What is left of a range of rows, in pieces.
    fn kept(&self, rows: Range<usize>) -> Vec<Range<usize>> {
        let first = self.skipped.partition_point(|&row| row < rows.start);
        let mut start = rows.start;
        let mut pieces = Vec::new();
        for &skipped in self.skipped[first..]
            .iter()
            .take_while(|&&row| row < rows.end)
        {
            pieces.push(start..skipped);
            start = skipped + 1;
        }
        pieces.push(start..rows.end);
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}

impl SampleStream for WatchedSamples<'_> {
    fn dim(&self) -> usize {
        self.features.dim()
    }

    fn targets(&self) -> &Targets {
        self.targets
    }

    fn for_each_block(
        &self,
        visit: &mut dyn FnMut(usize, FeatureRows<'_>) -> tagwise::Result<()>,
    ) -> tagwise::Result<()> {
        let mut shown = 0;
        for rows in blocks(&self.features) {
            self.watch.check()?;
            for piece in self.kept(rows) {
                let length = piece.len();
                let block = self.features.rows(piece)?;
                block.for_each_block(&mut |start, rows| visit(shown + start, rows))?;
                shown += length;
            }
        }
        Ok(())
    }
}

/// Ranges of rows of some megabytes.
pub(crate) fn blocks(features: &FeaturesView<'_>) -> impl Iterator<Item = Range<usize>> + use<> {
    let num_rows = features.num_rows();
    let size = match features {
        FeaturesView::Dense(view) if view.num_rows() > 0 => view.row(0).element_size(),
        FeaturesView::Dense(_) => 1,
        FeaturesView::Sparse(_) => size_of::<f64>(),
    };
    let length = (BLOCK_BYTES / (features.dim() * size).max(1)).max(1);
    (0..num_rows)
        .step_by(length)
        .map(move |first| first..num_rows.min(first + length))
}

/// Whether there are as many rows as label sets: said before anything is read.
pub(crate) fn check_rows(features: &FeaturesView<'_>, targets: &Targets) -> Outcome<()> {
    match features.num_rows() == targets.len() {
        true => Ok(()),
        false => Err(Failure::Tagwise(tagwise::Error::SizeMismatch {
            what: "rows of features, one for each row of targets",
            expected: targets.len(),
            found: features.num_rows(),
        })),
    }
}
