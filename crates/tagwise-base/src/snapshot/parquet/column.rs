//! What a column says about itself.

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::schema::types::ColumnDescriptor;

use crate::tensors::Element;

/// What the cells of a column hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Numbers(Element),
    Text,
    /// Something else, and what is said of it when it is asked for.
    Other(String),
}

/// A column of single values or of lists.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) content: Content,
    /// Its place among the columns of its file.
    pub(super) index: usize,
    /// Whether a row holds a list.
    pub(super) is_list: bool,
    /// The definition level of a value that is there.
    pub(super) whole: i16,
    /// The definition level of an empty list.
    pub(super) empty: i16,
}

impl Column {
    pub(super) fn new(index: usize, leaf: &ColumnDescriptor) -> Self {
        let name = leaf.path().parts()[0].clone();
        let is_text = matches!(leaf.logical_type_ref(), Some(LogicalType::String))
            || leaf.converted_type() == ConvertedType::UTF8;
        let content = match (leaf.physical_type(), leaf.logical_type_ref()) {
            _ if leaf.max_rep_level() > 1 => Content::Other(format!(
                "expected `{name}` to hold one number or one list per row, found lists of lists"
            )),
            (Type::FLOAT, _) => Content::Numbers(Element::F32),
            (Type::DOUBLE, _) => Content::Numbers(Element::F64),
            (Type::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16)) => {
                Content::Numbers(Element::F16)
            }
            (Type::INT32, _) => Content::Numbers(Element::I32),
            (Type::INT64, _) => Content::Numbers(Element::I64),
            (Type::BOOLEAN, _) => Content::Numbers(Element::Bool),
            (Type::BYTE_ARRAY, _) if is_text => Content::Text,
            (other, _) => Content::Other(format!("expected `{name}` of numbers, found {other}")),
        };
        // A value is present at the deepest level, an empty list one above the level of the
        // list's elements; everything between and below is a null.
        let whole = leaf.max_def_level();
        Self {
            name,
            content,
            index,
            is_list: leaf.max_rep_level() == 1,
            whole,
            empty: whole - i16::from(leaf.self_type().is_optional()) - 1,
        }
    }

    /// The kind of its numbers; of columns without any, that of none.
    pub(super) fn element(&self) -> Element {
        match self.content {
            Content::Numbers(element) => element,
            Content::Text | Content::Other(_) => Element::U8,
        }
    }

    /// Whether rows of the other column may follow those of this one.
    pub(super) fn fits(&self, other: &Self) -> bool {
        self.name == other.name && self.content == other.content && self.is_list == other.is_list
    }
}
