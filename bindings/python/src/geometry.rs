//! Simplex ETFs, and splits in which labels keep their share.

use numpy::prelude::*;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use tagwise::etf;
use tagwise::matrix::{Matrix, as_faer};
use tagwise::split::stratified_folds_while;

use crate::arrays::{self, rows};
use crate::error::Failure;
use crate::label_sets::LabelSets;
use crate::work;

/// The most numbers of an ETF: 8 GiB.
const LARGEST_ETF: u128 = 1 << 30;

#[pyfunction]
pub(crate) fn simplex_etf(
    py: Python<'_>,
    num_classes: usize,
    dim: usize,
) -> PyResult<Bound<'_, PyArray2<f64>>> {
    let frame = work::run(py, |_| {
        if num_classes as u128 * dim as u128 > LARGEST_ETF {
            return Err(Failure::Value(format!(
                "expected at most {LARGEST_ETF} numbers in a simplex ETF, found {num_classes} rows \
                 of {dim}"
            )));
        }
        Ok(etf::simplex_etf(num_classes, dim)?)
    })?;
    arrays::matrix(py, &frame)
}

#[pyfunction]
pub(crate) fn simplex_etf_error(
    py: Python<'_>,
    weight: PyReadonlyArray2<'_, f64>,
) -> PyResult<f64> {
    let (num_rows, num_columns) = (weight.shape()[0], weight.shape()[1]);
    let values = rows(&weight, "weight")?;
    work::run(py, |_| {
        let matrix = Matrix::from_rows(num_rows, num_columns, values.to_vec())?;
        Ok(etf::simplex_etf_error(as_faer(&matrix))?)
    })
}

#[pyfunction]
pub(crate) fn stratified_folds<'py>(
    py: Python<'py>,
    targets: &LabelSets,
    shares: Vec<f64>,
    seed: u64,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let folds = work::run(py, |watch| {
        let go_on = &|| watch.flow();
        let targets = &targets.targets;
        Ok(stratified_folds_while(targets, &shares, seed, go_on)?)
    })?;
    let folds: Vec<i64> = folds.iter().map(|&fold| fold as i64).collect();
    Ok(folds.into_pyarray(py))
}
