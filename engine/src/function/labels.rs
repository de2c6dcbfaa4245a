//! `label_ids` and `label_ids_of`: label sets as numbers of classes, from names or from columns of 0
//! and 1.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListBuilder, UInt32Builder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::failed;

fn list_of_numbers() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::UInt32, true)))
}

/// From lists of names.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct LabelIds {
    signature: Signature,
}

impl LabelIds {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for LabelIds {
    fn name(&self) -> &str {
        "label_ids"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [DataType::List(item) | DataType::LargeList(item), _]
                if item.data_type().is_string() =>
            {
                let list = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
                Ok(vec![list, DataType::Utf8])
            }
            _ => plan_err!(
                "label_ids takes lists of names and the classes as a JSON list such as \
                 '[\"sea\", \"sky\"]', found {types:?}"
            ),
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(list_of_numbers())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let names = arguments.args[0].to_array(arguments.number_rows)?;
        let classes = arguments.args[1].to_array(1)?;
        ids_of_names(&names, &classes)
            .map(ColumnarValue::Array)
            .map_err(|error| failed(self.name(), error))
    }
}

fn ids_of_names(names: &ArrayRef, classes: &ArrayRef) -> std::result::Result<ArrayRef, String> {
    let classes = classes.as_string::<i32>();
    let text = if classes.is_null(0) {
        ""
    } else {
        classes.value(0)
    };
    let classes: Vec<String> = serde_json::from_str(text).map_err(|error| {
        format!("expected the classes as a JSON list of names, found {text:?} ({error})")
    })?;
    let numbers: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    if numbers.len() < classes.len() {
        return Err("expected every class once, found one twice".into());
    }
    let lists = names.as_list::<i32>();
    let mut out = ListBuilder::new(UInt32Builder::new());
    for row in 0..lists.len() {
        if lists.is_null(row) {
            out.append_null();
            continue;
        }
        let list = lists.value(row);
        let list = list.as_string::<i32>();
        for place in 0..list.len() {
            let name = if list.is_null(place) {
                "null"
            } else {
                list.value(place)
            };
            let number = numbers
                .get(name)
                .filter(|_| list.is_valid(place))
                .ok_or_else(|| {
                    let known: Vec<&str> = classes.iter().take(5).map(String::as_str).collect();
                    format!(
                        "expected one of {} classes such as {}, found {name:?}",
                        classes.len(),
                        known.join(", ")
                    )
                })?;
            out.values().append_value(*number);
        }
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

/// From one column of 0 and 1 for each class.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct LabelIdsOf {
    signature: Signature,
}

impl LabelIdsOf {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for LabelIdsOf {
    fn name(&self) -> &str {
        "label_ids_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let fits = |t: &DataType| t.is_numeric() || *t == DataType::Boolean;
        match types.iter().find(|t| !fits(t)) {
            None => Ok(types.to_vec()),
            Some(found) => plan_err!("label_ids_of takes columns of 0 and 1, found {found}"),
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(list_of_numbers())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&arguments.args)?;
        ids_of_columns(&columns, arguments.number_rows)
            .map(ColumnarValue::Array)
            .map_err(|error| failed(self.name(), error))
    }
}

fn ids_of_columns(columns: &[ArrayRef], num_rows: usize) -> std::result::Result<ArrayRef, String> {
    let numbers: Vec<ArrayRef> = columns
        .iter()
        .map(|column| cast(column, &DataType::Float64).map_err(|error| error.to_string()))
        .collect::<std::result::Result<_, _>>()?;
    let mut out = ListBuilder::new(UInt32Builder::new());
    for row in 0..num_rows {
        for (class, column) in (0u32..).zip(&numbers) {
            let column = column.as_primitive::<Float64Type>();
            let found = column.is_valid(row).then(|| column.value(row));
            match found {
                Some(0.0) => {}
                Some(1.0) => out.values().append_value(class),
                Some(other) => {
                    return Err(format!("expected 0 or 1 in column {class}, found {other}"));
                }
                None => return Err(format!("expected 0 or 1 in column {class}, found null")),
            }
        }
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{BooleanArray, Int8Array, StringArray, StringBuilder};

    use super::*;
    use crate::function::columns::LabelColumn;

    #[test]
    fn names_and_columns_give_the_same_numbers() {
        let mut names = ListBuilder::new(StringBuilder::new());
        names.append_value([Some("sky"), Some("sea")]);
        names.append_value(Vec::<Option<&str>>::new());
        let names: ArrayRef = Arc::new(names.finish());
        let classes: ArrayRef = Arc::new(StringArray::from(vec![r#"["sea", "sand", "sky"]"#]));
        let of_names = ids_of_names(&names, &classes).unwrap();
        let of_names = LabelColumn::new(&of_names, 0).unwrap();
        assert_eq!((of_names.row(0), of_names.row(1)), (&[2, 0][..], &[][..]));
        let columns: [ArrayRef; 3] = [
            Arc::new(Int8Array::from(vec![1, 0])),
            Arc::new(BooleanArray::from(vec![false, false])),
            Arc::new(Int8Array::from(vec![1, 0])),
        ];
        let of_columns = ids_of_columns(&columns, 2).unwrap();
        let of_columns = LabelColumn::new(&of_columns, 0).unwrap();
        assert_eq!(
            (of_columns.row(0), of_columns.row(1)),
            (&[0, 2][..], &[][..])
        );
    }

    #[test]
    fn what_is_no_class_is_refused() {
        let mut names = ListBuilder::new(StringBuilder::new());
        names.append_value([Some("sun")]);
        let names: ArrayRef = Arc::new(names.finish());
        let classes = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
        let message = ids_of_names(&names, &classes(r#"["sea", "sky"]"#)).unwrap_err();
        assert_eq!(
            message,
            r#"expected one of 2 classes such as sea, sky, found "sun""#
        );
        assert!(
            ids_of_names(&names, &classes("sea,sky"))
                .unwrap_err()
                .contains("JSON list")
        );
        assert!(
            ids_of_names(&names, &classes(r#"["a", "a"]"#))
                .unwrap_err()
                .contains("twice")
        );
        let two: [ArrayRef; 1] = [Arc::new(Int8Array::from(vec![2]))];
        assert_eq!(
            ids_of_columns(&two, 1).unwrap_err(),
            "expected 0 or 1 in column 0, found 2"
        );
    }
}
