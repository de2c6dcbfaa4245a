//! From the library's matrices to NumPy arrays and back.

use faer::MatRef;
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use tagwise::LinearClassifier;
use tagwise::matrix::Matrix;

use crate::error::{Failure, Outcome};

/// A row-major matrix that the caller has made contiguous.
pub(crate) fn rows<'a, T: numpy::Element>(
    array: &'a PyReadonlyArray2<'_, T>,
    argument: &str,
) -> Outcome<&'a [T]> {
    array.as_slice().map_err(|_| {
        Failure::Value(format!(
            "expected `{argument}` as contiguous rows, found another layout"
        ))
    })
}

/// As [`rows`], for one dimension.
pub(crate) fn list<'a, T: numpy::Element>(
    array: &'a PyReadonlyArray1<'_, T>,
    argument: &str,
) -> Outcome<&'a [T]> {
    array.as_slice().map_err(|_| {
        Failure::Value(format!(
            "expected `{argument}` as contiguous numbers, found another layout"
        ))
    })
}

/// A row-major matrix on its way to Python.
pub(crate) struct Rows {
    num_rows: usize,
    num_columns: usize,
    values: Vec<f64>,
}

impl Rows {
    /// Rows of these values.
    pub(crate) fn new(num_rows: usize, num_columns: usize, values: Vec<f64>) -> Self {
        Self {
            num_rows,
            num_columns,
            values,
        }
    }

    /// A copy of a matrix of any layout.
    pub(crate) fn of(matrix: MatRef<'_, f64>) -> Self {
        let (num_rows, num_columns) = (matrix.nrows(), matrix.ncols());
        let mut values = Vec::with_capacity(num_rows * num_columns);
        for row in 0..num_rows {
            values.extend((0..num_columns).map(|column| matrix[(row, column)]));
        }
        Self::new(num_rows, num_columns, values)
    }

    pub(crate) fn into_array(self, py: Python<'_>) -> PyResult<Bound<'_, PyArray2<f64>>> {
        let array = Array2::from_shape_vec((self.num_rows, self.num_columns), self.values)
            .map_err(|error| Failure::Panic(error.to_string()))?;
        Ok(array.into_pyarray(py))
    }
}

/// A matrix as an array.
pub(crate) fn matrix<'py>(py: Python<'py>, matrix: &Matrix) -> PyResult<Bound<'py, PyArray2<f64>>> {
    Rows::new(matrix.nrows(), matrix.ncols(), matrix.as_slice().to_vec()).into_array(py)
}

/// The classifier of a weight `[K, d]` and a bias `[K]`, zeros without one.
pub(crate) fn classifier(
    weight: Option<&PyReadonlyArray2<'_, f64>>,
    bias: Option<&PyReadonlyArray1<'_, f64>>,
) -> Outcome<Option<LinearClassifier>> {
    let Some(weight) = weight else {
        return match bias {
            None => Ok(None),
            Some(_) => Err(Failure::Value(
                "expected `weight` [K, d] beside `bias`, found none".into(),
            )),
        };
    };
    let (num_classes, dim) = (weight.shape()[0], weight.shape()[1]);
    let zeros = vec![0.0; num_classes];
    let bias = match bias {
        Some(bias) => list(bias, "bias")?,
        None => &zeros,
    };
    if bias.len() != num_classes {
        return Err(Failure::Value(format!(
            "expected {num_classes} numbers in `bias`, one for each row of `weight`, found {}",
            bias.len()
        )));
    }
    let weight = rows(weight, "weight")?;
    Ok(Some(LinearClassifier::from_rows(weight, bias, dim)?))
}
