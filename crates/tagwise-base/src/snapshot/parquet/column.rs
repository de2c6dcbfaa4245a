//! What a column of lists says about itself.

use parquet::basic::{LogicalType, Type};
use parquet::schema::types::ColumnDescriptor;

use crate::tensors::Element;

/// A column of lists of numbers.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) element: Element,
    /// Its place among the columns of its file.
    pub(super) index: usize,
    /// The definition level of a number that is there.
    pub(super) whole: i16,
    /// The definition level of an empty list.
    pub(super) empty: i16,
}

impl Column {
    pub(super) fn new(index: usize, leaf: &ColumnDescriptor) -> Result<Self, String> {
        let name = leaf.path().parts()[0].clone();
        let element = match (leaf.physical_type(), leaf.logical_type_ref()) {
            (Type::FLOAT, _) => Element::F32,
            (Type::DOUBLE, _) => Element::F64,
            (Type::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16)) => Element::F16,
            (Type::INT32, _) => Element::I32,
            (Type::INT64, _) => Element::I64,
            (Type::BOOLEAN, _) => Element::Bool,
            (other, _) => {
                return Err(format!(
                    "expected `{name}` of lists of numbers, found {other}; keep only the columns `features` and `labels` or `targets`"
                ));
            }
        };
        if leaf.max_rep_level() != 1 {
            return Err(format!(
                "expected `{name}` to hold one list of numbers per row; keep only the columns `features` and `labels` or `targets`"
            ));
        }
        // A number is present at the deepest level, an empty list one above the level of the
        // list's elements; everything between and below is a null.
        let whole = leaf.max_def_level();
        Ok(Self {
            name,
            element,
            index,
            whole,
            empty: whole - i16::from(leaf.self_type().is_optional()) - 1,
        })
    }

    /// Whether rows of the other column may follow those of this one.
    pub(super) fn fits(&self, other: &Self) -> bool {
        self.name == other.name && self.element == other.element
    }
}
