//! Label sets: what targets and answers are.

use half::f16;
use numpy::ndarray::{Array2, ArrayView2};
use numpy::prelude::*;
use numpy::{Element, IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use tagwise::label::TargetsBuilder;
use tagwise::{Error, LabelSet, Targets};

use crate::arrays::list;
use crate::error::{Failure, Outcome};
use crate::work;

/// The label set of each of N samples over K classes.
#[pyclass(frozen, module = "tagwise._core")]
pub(crate) struct LabelSets {
    pub(crate) targets: Targets,
}

/// A number that may be a target.
trait Target: Element + Copy + Sync {
    /// Whether the label is on; `None` unless it is 0 or 1.
    fn is_on(self) -> Option<bool>;

    /// The number, for a message.
    fn shown(self) -> f64;
}

impl Target for bool {
    fn is_on(self) -> Option<bool> {
        Some(self)
    }

    fn shown(self) -> f64 {
        f64::from(u8::from(self))
    }
}

impl Target for f16 {
    fn is_on(self) -> Option<bool> {
        f64::from(self).is_on()
    }

    fn shown(self) -> f64 {
        self.into()
    }
}

macro_rules! targets {
    ($($number:ty),*) => {$(
        impl Target for $number {
            fn is_on(self) -> Option<bool> {
                if self == 0 as $number {
                    Some(false)
                } else if self == 1 as $number {
                    Some(true)
                } else {
                    None
                }
            }

            fn shown(self) -> f64 {
                self as f64
            }
        }
    )*};
}

targets!(i8, i16, i32, i64, u8, u16, u32, u64, f32, f64);

#[pymethods]
impl LabelSets {
    /// From 0 and 1 `[N, K]` in any type of whole or floating-point numbers.
    #[staticmethod]
    fn from_array(py: Python<'_>, array: &Bound<'_, PyAny>) -> PyResult<Self> {
        macro_rules! first_of {
            ($($number:ty),*) => {$(
                if let Ok(array) = array.cast::<PyArray2<$number>>() {
                    return of_array(py, array);
                }
            )*};
        }
        first_of!(bool, u8, i64, f32, f64, i8, i16, i32, u16, u32, u64, f16);
        let kind = array.get_type().name()?;
        Err(Failure::Value(format!("expected an array of numbers, found {kind}")).into())
    }

    /// From class numbers, list after list, and where each list begins, N + 1 numbers.
    #[staticmethod]
    #[pyo3(signature = (labels, starts, num_classes))]
    fn from_lists(
        py: Python<'_>,
        labels: PyReadonlyArray1<'_, i64>,
        starts: PyReadonlyArray1<'_, i64>,
        num_classes: Option<usize>,
    ) -> PyResult<Self> {
        let (labels, starts) = (list(&labels, "labels")?, list(&starts, "starts")?);
        let targets = work::run(py, |_| of_lists(labels, starts, num_classes))?;
        Ok(Self { targets })
    }

    /// What `to_bytes` gave.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        let targets = work::run(py, |_| Ok(Targets::from_bytes(data)?))?;
        Ok(Self { targets })
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = work::run(py, |_| Ok(self.targets.to_bytes()))?;
        Ok(PyBytes::new(py, &bytes))
    }

    #[getter]
    fn num_classes(&self) -> usize {
        self.targets.num_classes()
    }

    fn __len__(&self) -> usize {
        self.targets.len()
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.targets == other.targets
    }

    /// The labels of one sample.
    fn at<'py>(&self, py: Python<'py>, sample: usize) -> PyResult<Bound<'py, PyTuple>> {
        if sample >= self.targets.len() {
            let message = format!(
                "expected a sample below {}, found {sample}",
                self.targets.len()
            );
            return Err(Failure::Value(message).into());
        }
        PyTuple::new(py, self.targets.set(sample).labels())
    }

    /// Some samples, in this order.
    fn select(&self, py: Python<'_>, rows: PyReadonlyArray1<'_, i64>) -> PyResult<Self> {
        let rows = list(&rows, "rows")?;
        let num_samples = self.targets.len();
        let targets = work::run(py, |_| {
            let is_sample = |&row: &i64| usize::try_from(row).is_ok_and(|row| row < num_samples);
            match rows.iter().find(|row| !is_sample(row)) {
                Some(row) => Err(Failure::Value(format!(
                    "expected samples from 0 to below {num_samples}, found {row}"
                ))),
                None => Ok(self.targets.select(rows.iter().map(|&row| row as usize))),
            }
        })?;
        Ok(Self { targets })
    }

    /// Class numbers, list after list, and where each list begins.
    #[expect(clippy::type_complexity, reason = "two arrays")]
    fn to_lists<'py>(
        &self,
        py: Python<'py>,
    ) -> (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>) {
        let (mut labels, mut starts) = (Vec::new(), Vec::with_capacity(self.targets.len() + 1));
        starts.push(0);
        for set in self.targets.iter() {
            labels.extend(set.labels().iter().map(|&label| i64::from(label)));
            starts.push(labels.len() as i64);
        }
        (labels.into_pyarray(py), starts.into_pyarray(py))
    }

    /// 0 and 1 `[N, K]`.
    fn to_array<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<u8>>> {
        let values = work::run(py, |_| Ok(self.targets.to_multi_hot()))?;
        let shape = (self.targets.len(), self.targets.num_classes());
        let array = Array2::from_shape_vec(shape, values)
            .map_err(|error| Failure::Panic(error.to_string()))?;
        Ok(array.into_pyarray(py))
    }

    /// The distinct label sets, in order.
    fn distinct(&self) -> Self {
        let sets = self.targets.distinct().iter().cloned();
        // Labels that fitted once fit again.
        let targets = Targets::new(self.targets.num_classes(), sets);
        Self {
            targets: targets.unwrap_or_else(|_| self.targets.clone()),
        }
    }

    /// How many samples have each of the distinct label sets.
    fn counts<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        let counts = self.targets.counts();
        let counts: Vec<i64> = counts.iter().map(|&count| count as i64).collect();
        counts.into_pyarray(py)
    }

    /// How many labels each sample has.
    fn multiplicities<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        let sets = self.targets.iter();
        let sizes: Vec<i64> = sets.map(|set| set.multiplicity() as i64).collect();
        sizes.into_pyarray(py)
    }
}

fn of_array<T: Target>(py: Python<'_>, array: &Bound<'_, PyArray2<T>>) -> PyResult<LabelSets> {
    let array = array
        .try_readonly()
        .map_err(|error| Failure::Value(format!("targets: {error}")))?;
    let values = array.as_array();
    let targets = work::run(py, |_| of_values(values))?;
    Ok(LabelSets { targets })
}

fn of_values<T: Target>(values: ArrayView2<'_, T>) -> Outcome<Targets> {
    let mut builder = TargetsBuilder::new();
    let mut labels = Vec::new();
    for (row, targets) in values.rows().into_iter().enumerate() {
        labels.clear();
        for (column, &value) in targets.iter().enumerate() {
            match value.is_on() {
                Some(true) => labels.push(column as u32),
                Some(false) => {}
                None => {
                    let value = value.shown();
                    return Err(Error::TargetNotBinary { row, column, value }.into());
                }
            }
        }
        builder.push(LabelSet::new(labels.iter().copied()));
    }
    Ok(builder.finish(Some(values.ncols()))?)
}

fn of_lists(labels: &[i64], starts: &[i64], num_classes: Option<usize>) -> Outcome<Targets> {
    let mut builder = TargetsBuilder::new();
    for (sample, bounds) in starts.windows(2).enumerate() {
        let range = usize::try_from(bounds[0])
            .ok()
            .zip(usize::try_from(bounds[1]).ok())
            .and_then(|(begin, end)| labels.get(begin..end));
        let Some(list) = range else {
            return Err(Failure::Value(format!(
                "expected starts that rise from 0 to {}, found {} before {}",
                labels.len(),
                bounds[0],
                bounds[1]
            )));
        };
        builder.push(set_of(list, sample)?);
    }
    Ok(builder.finish(num_classes)?)
}

fn set_of(list: &[i64], sample: usize) -> Outcome<LabelSet> {
    let mut labels = Vec::with_capacity(list.len());
    for &label in list {
        labels.push(u32::try_from(label).map_err(|_| {
            Failure::Value(format!(
                "expected class numbers of at least 0, found {label} in sample {sample}"
            ))
        })?);
    }
    let set = LabelSet::new(labels.iter().copied());
    if set.multiplicity() == list.len() {
        return Ok(set);
    }
    labels.sort_unstable();
    let twice = labels.windows(2).find(|pair| pair[0] == pair[1]);
    let twice = twice.map_or(0, |pair| pair[0]);
    Err(Failure::Value(format!(
        "expected each label of a sample once, found label {twice} twice in sample {sample}; give \
         rows of 0 and 1 as an array, not as lists"
    )))
}
