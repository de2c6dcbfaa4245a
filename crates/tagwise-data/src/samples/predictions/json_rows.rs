//! Rows of 0 and 1 in JSON, as `predictions.tolist()` of Python gives them.

use serde_json::Value;
use tagwise_base::LabelSet;

/// The label sets of a list of rows that all have an entry for each class; none where the list is
/// something else.
///
/// Of three classes or more such a row cannot be a list of labels, in which each stands once. Of
/// one or two it can, unless its entries are `true` and `false`.
pub(super) fn read(value: &Value, num_classes: usize) -> Result<Option<Vec<LabelSet>>, String> {
    let Some(rows) = value.as_array().filter(|rows| !rows.is_empty()) else {
        return Ok(None);
    };
    let flags: Option<Vec<Vec<bool>>> = rows.iter().map(|row| flags(row, num_classes)).collect();
    let Some(flags) = flags else {
        return Ok(None);
    };
    let mut entries = rows.iter().filter_map(Value::as_array).flatten();
    if num_classes < 3 && !entries.all(Value::is_boolean) {
        return Err(format!(
            "expected label sets, found rows of {num_classes} numbers, which may be labels or 0 and 1 for \
             each class; write true and false, names of classes, or an array (.npy)"
        ));
    }
    Ok(Some(
        flags
            .iter()
            .map(|row| LabelSet::from_multi_hot(row))
            .collect(),
    ))
}

fn flags(row: &Value, num_classes: usize) -> Option<Vec<bool>> {
    let row = row.as_array().filter(|row| row.len() == num_classes)?;
    let flag = |entry: &Value| match (entry.as_bool(), entry.as_f64()) {
        (Some(flag), _) => Some(flag),
        (None, Some(number)) if number == 0.0 || number == 1.0 => Some(number == 1.0),
        _ => None,
    };
    row.iter().map(flag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(text: &str, num_classes: usize) -> Result<Option<Vec<String>>, String> {
        let value = serde_json::from_str(text).unwrap();
        let sets = read(&value, num_classes)?;
        Ok(sets.map(|sets| sets.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn rows_of_all_classes_are_told_from_lists() {
        let expected = Ok(Some(vec!["{0, 2}".to_string(), "{}".to_string()]));
        assert_eq!(sets("[[1, 0, 1], [0, 0, 0]]", 3), expected);
        assert_eq!(sets("[[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]", 3), expected);
        assert_eq!(
            sets("[[true, false, true], [false, false, false]]", 3),
            expected
        );
        for lists in [
            "[[1, 0], [2]]",
            "[[0, 1, 2]]",
            "[[1, 0, 1], [2]]",
            "[]",
            "{}",
            "[[\"a\"]]",
        ] {
            assert_eq!(sets(lists, 3), Ok(None), "{lists}");
        }
    }

    #[test]
    fn rows_of_two_numbers_may_be_either() {
        assert!(sets("[[1, 0], [0, 1]]", 2).is_err());
        assert!(sets("[[0], [0]]", 1).is_err());
        assert_eq!(sets("[[1, 0], [1]]", 2), Ok(None));
        let told = sets("[[true, false], [true, true]]", 2).unwrap().unwrap();
        assert_eq!(told, ["{0}", "{0, 1}"]);
    }
}
