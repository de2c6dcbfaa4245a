//! Columns of features and of label sets, borrowed.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float16Array, Float32Array, Float64Array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, UInt32Type};
use tagwise::LabelSet;
use tagwise::features::FeatureSlice;

/// What is wrong with a column, in one sentence.
pub(super) type Result<T> = std::result::Result<T, String>;

/// Rows of features, one after the other, all of one length.
pub(super) struct FeatureColumn {
    values: ArrayRef,
    start: usize,
    pub(super) dim: usize,
    pub(super) num_rows: usize,
}

/// Whether a type is one of features: lists of floating-point numbers.
pub(super) fn is_features(data_type: &DataType) -> bool {
    match data_type {
        DataType::FixedSizeList(item, _) | DataType::List(item) | DataType::LargeList(item) => {
            item.data_type().is_floating()
        }
        _ => false,
    }
}

/// Whether a type is one of label sets: lists of integers.
pub(super) fn is_labels(data_type: &DataType) -> bool {
    match data_type {
        DataType::FixedSizeList(item, _) | DataType::List(item) | DataType::LargeList(item) => {
            item.data_type().is_integer() || item.data_type().is_null()
        }
        _ => false,
    }
}

impl FeatureColumn {
    /// `first` is the number of rows that came before these, for messages.
    pub(super) fn new(column: &ArrayRef, first: u64) -> Result<Self> {
        if let Some(row) = first_null(column) {
            return Err(format!(
                "expected features in every row, found null in row {}; leave such rows out with a filter",
                first + row as u64
            ));
        }
        let num_rows = column.len();
        let (values, start, end, dim) = match column.data_type() {
            DataType::FixedSizeList(_, width) => {
                let list = column.as_fixed_size_list();
                let width = *width as usize;
                // The values of a slice begin where the slice does.
                (
                    list.values().clone(),
                    list.value_offset(0) as usize,
                    num_rows * width,
                    width,
                )
            }
            DataType::List(_) => of_offsets(column.as_list::<i32>(), first)?,
            DataType::LargeList(_) => of_offsets(column.as_list::<i64>(), first)?,
            other => {
                return Err(format!(
                    "expected features as lists of numbers, found {other}"
                ));
            }
        };
        let (start, end) = match column.data_type() {
            DataType::FixedSizeList(..) => (start, start + end),
            _ => (start, end),
        };
        if num_rows > 0 && dim == 0 {
            return Err("expected features of at least one number, found empty lists".into());
        }
        let used = values.slice(start, end - start);
        if let Some(place) = first_null(&used) {
            return Err(format!(
                "expected numbers, found null in row {}, column {}",
                first + (place / dim) as u64,
                place % dim
            ));
        }
        Ok(Self {
            values: used,
            start: 0,
            dim,
            num_rows,
        })
    }

    /// All numbers, row by row.
    pub(super) fn numbers(&self) -> Result<FeatureSlice<'_>> {
        let end = self.start + self.num_rows * self.dim;
        let any = self.values.as_any();
        if let Some(values) = any.downcast_ref::<Float32Array>() {
            Ok(FeatureSlice::F32(&values.values()[self.start..end]))
        } else if let Some(values) = any.downcast_ref::<Float64Array>() {
            Ok(FeatureSlice::F64(&values.values()[self.start..end]))
        } else if let Some(values) = any.downcast_ref::<Float16Array>() {
            Ok(FeatureSlice::F16(&values.values()[self.start..end]))
        } else {
            Err(format!(
                "expected features of 16, 32 or 64 bit floating point, found {}",
                self.values.data_type()
            ))
        }
    }
}

/// The values, where they begin and end, and the length of every list.
fn of_offsets<O: datafusion::arrow::array::OffsetSizeTrait>(
    list: &datafusion::arrow::array::GenericListArray<O>,
    first: u64,
) -> Result<(ArrayRef, usize, usize, usize)> {
    let offsets = list.value_offsets();
    let (start, end) = (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize());
    let mut lengths = offsets
        .windows(2)
        .map(|pair| pair[1].as_usize() - pair[0].as_usize());
    let dim = lengths.next().unwrap_or(0);
    if let Some(ragged) = lengths.position(|length| length != dim) {
        let row = ragged + 1;
        return Err(format!(
            "expected features of {dim} numbers as in row {first}, found {} in row {}",
            offsets[row + 1].as_usize() - offsets[row].as_usize(),
            first + row as u64
        ));
    }
    Ok((list.values().clone(), start, end, dim))
}

fn first_null(array: &dyn Array) -> Option<usize> {
    if array.null_count() == 0 {
        return None;
    }
    (0..array.len()).find(|&place| array.is_null(place))
}

/// The label set of each row.
pub(super) struct LabelColumn {
    labels: ArrayRef,
    offsets: Vec<usize>,
}

impl LabelColumn {
    pub(super) fn new(column: &ArrayRef, first: u64) -> Result<Self> {
        if let Some(row) = first_null(column) {
            return Err(format!(
                "expected labels in every row, found null in row {}; an empty list is a sample without \
                 a label, and a filter leaves rows out",
                first + row as u64
            ));
        }
        let (values, offsets) = match column.data_type() {
            DataType::FixedSizeList(_, width) => {
                let list = column.as_fixed_size_list();
                let start = list.value_offset(0) as usize;
                let offsets = (0..=list.len()).map(|row| start + row * *width as usize);
                (list.values().clone(), offsets.collect())
            }
            DataType::List(_) => lists(column.as_list::<i32>()),
            DataType::LargeList(_) => lists(column.as_list::<i64>()),
            other => {
                return Err(format!(
                    "expected labels as lists of integers, found {other}"
                ));
            }
        };
        let offsets: Vec<usize> = offsets;
        let (start, end) = (offsets[0], offsets[offsets.len() - 1]);
        let used = values.slice(start, end - start);
        let row_of = |place: usize| {
            first as usize + offsets.partition_point(|&offset| offset - start <= place) - 1
        };
        if let Some(place) = first_null(&used) {
            return Err(format!(
                "expected labels, found null in row {}",
                row_of(place)
            ));
        }
        let labels = cast(&used, &DataType::UInt32).map_err(|error| error.to_string())?;
        // What does not fit becomes null.
        if let Some(place) = first_null(&labels) {
            let found = datafusion::arrow::util::display::array_value_to_string(&used, place);
            return Err(format!(
                "expected labels from 0, found {} in row {}",
                found.unwrap_or_default(),
                row_of(place)
            ));
        }
        let offsets = offsets.iter().map(|offset| offset - start).collect();
        Ok(Self { labels, offsets })
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The labels of one row as they stand.
    pub(super) fn row(&self, row: usize) -> &[u32] {
        &self.labels.as_primitive::<UInt32Type>().values()[self.offsets[row]..self.offsets[row + 1]]
    }

    /// The label set of one row; an error for a label that is no class.
    pub(super) fn set(&self, row: usize, num_classes: usize, first: u64) -> Result<LabelSet> {
        let labels = self.row(row);
        match labels.iter().find(|&&label| label as usize >= num_classes) {
            None => Ok(LabelSet::new(labels.iter().copied())),
            Some(label) => Err(format!(
                "expected labels 0 to {}, found {label} in row {}; check the number of classes",
                num_classes.saturating_sub(1),
                first + row as u64
            )),
        }
    }
}

fn lists<O: datafusion::arrow::array::OffsetSizeTrait>(
    list: &datafusion::arrow::array::GenericListArray<O>,
) -> (ArrayRef, Vec<usize>) {
    let offsets = list.value_offsets().iter().map(|offset| offset.as_usize());
    (list.values().clone(), offsets.collect())
}

/// The one value of a column of equal whole numbers, such as K.
pub(super) fn constant(column: &ArrayRef, what: &str) -> Result<Option<i64>> {
    let column = cast(column, &DataType::Int64).map_err(|error| error.to_string())?;
    let values = column.as_primitive::<datafusion::arrow::datatypes::Int64Type>();
    if values.null_count() > 0 {
        return Err(format!("expected {what}, found null"));
    }
    let Some((first, rest)) = values.values().split_first() else {
        return Ok(None);
    };
    match rest.iter().find(|value| *value != first) {
        None => Ok(Some(*first)),
        Some(other) => Err(format!(
            "expected one {what} for all rows, found {first} and {other}"
        )),
    }
}

/// The number of classes of a batch; `None` without rows.
pub(super) fn num_classes(column: &ArrayRef) -> Result<Option<usize>> {
    let Some(found) = constant(column, "number of classes K")? else {
        return Ok(None);
    };
    let number = usize::try_from(found).ok();
    let number = number.filter(|&number| (1..=tagwise::label::MAX_CLASSES).contains(&number));
    number.map(Some).ok_or_else(|| {
        format!(
            "expected a number of classes from 1 to {}, found {found}",
            tagwise::label::MAX_CLASSES
        )
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{FixedSizeListArray, Int64Array, LargeListArray, ListArray};
    use datafusion::arrow::datatypes::{Field, Float32Type, Int32Type};

    use super::*;

    #[test]
    fn slices_of_lists_are_read_from_where_they_begin() {
        let rows = [vec![1.0f32, 2.0], vec![3.0, 4.0], vec![5.0, 6.0]];
        let rows = rows.map(|row| Some(row.into_iter().map(Some)));
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows));
        let field = Arc::new(Field::new_list_field(DataType::Float32, true));
        let values = Arc::new(Float32Array::from(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        let fixed: ArrayRef = Arc::new(FixedSizeListArray::new(field, 2, values, None));
        for column in [list, fixed] {
            let column = FeatureColumn::new(&column.slice(1, 2), 0).unwrap();
            assert_eq!((column.dim, column.num_rows), (2, 2));
            let FeatureSlice::F32(numbers) = column.numbers().unwrap() else {
                panic!("single precision");
            };
            assert_eq!(numbers, [3.0, 4.0, 5.0, 6.0]);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_row() {
        let ragged = [Some(vec![Some(1.0f32)]), Some(vec![Some(1.0), Some(2.0)])];
        let ragged: ArrayRef =
            Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(ragged));
        let message = FeatureColumn::new(&ragged, 10).err().unwrap();
        assert_eq!(
            message,
            "expected features of 1 numbers as in row 10, found 2 in row 11"
        );
        let null: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>([
            Some(vec![Some(1.0f32)]),
            None,
        ]));
        assert!(
            FeatureColumn::new(&null, 0)
                .err()
                .unwrap()
                .contains("null in row 1")
        );
        let sets = [
            Some(vec![Some(0)]),
            Some(vec![]),
            Some(vec![Some(2), Some(-1)]),
        ];
        let sets: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(sets));
        let message = LabelColumn::new(&sets, 0).err().unwrap();
        assert_eq!(message, "expected labels from 0, found -1 in row 2");
        let sets = LabelColumn::new(&sets.slice(0, 2), 0).unwrap();
        assert_eq!(
            (sets.len(), sets.row(0), sets.row(1)),
            (2, &[0][..], &[][..])
        );
        assert!(sets.set(0, 0, 5).unwrap_err().contains("found 0 in row 5"));
    }

    #[test]
    fn large_lists_are_lists() {
        let rows = [Some(vec![Some(1.0f32), Some(2.0)])];
        let rows: ArrayRef = Arc::new(LargeListArray::from_iter_primitive::<Float32Type, _, _>(
            rows,
        ));
        assert_eq!(FeatureColumn::new(&rows, 0).unwrap().dim, 2);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![3, 3]));
        assert_eq!(num_classes(&numbers), Ok(Some(3)));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![3, 4]));
        assert!(num_classes(&numbers).is_err());
    }
}
