//! What a file holds under a name, before it is known whether anyone asks for it.

use super::array::Stored;
use super::mapped::Part;
use super::parquet::{TableColumn, TextColumn};
use crate::label::TargetsBuilder;

/// One member of a file.
#[derive(Clone, Debug)]
pub(super) enum Member {
    Numbers(Stored),
    Text(TextArray),
    /// A column of tables that stays in its files.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code))]
    Column(TableColumn),
    /// A column of text that stays in its files.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code))]
    TextColumn(TextColumn),
    /// The column `labels` or `label_ids` of tables: lists of class numbers.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code))]
    Sets {
        name: String,
        sets: TargetsBuilder,
    },
    /// Something that is no array of numbers or text, and why it cannot be read.
    Unreadable {
        name: String,
        why: String,
    },
}

impl Member {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Numbers(array) => &array.name,
            Self::Text(array) => &array.name,
            Self::Column(column) => column.name(),
            Self::TextColumn(column) => column.name(),
            Self::Sets { name, .. } | Self::Unreadable { name, .. } => name,
        }
    }

    /// The numbers, or why there are none.
    pub(super) fn into_numbers(self) -> Result<Stored, String> {
        match self {
            Self::Numbers(array) => Ok(array),
            Self::Text(array) => Err(format!(
                "expected `{}` to hold numbers, found text",
                array.name
            )),
            Self::Column(column) => Err(format!(
                "expected `{}` to be an array of another kind than a column of lists",
                column.name()
            )),
            Self::TextColumn(column) => Err(format!(
                "expected `{}` to hold numbers, found text",
                column.name()
            )),
            Self::Sets { name, .. } => {
                Err(format!("expected `{name}` to be an array, found lists"))
            }
            Self::Unreadable { why, .. } => Err(why),
        }
    }
}

impl From<Stored> for Member {
    fn from(array: Stored) -> Self {
        Self::Numbers(array)
    }
}

/// How NumPy stores letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letters {
    /// `S`: one byte a letter.
    Bytes,
    /// `<U`: four bytes a letter.
    Utf32Le,
    /// `>U`: the same, the other way round.
    Utf32Be,
}

impl Letters {
    pub(super) fn size(self) -> usize {
        match self {
            Self::Bytes => 1,
            Self::Utf32Le | Self::Utf32Be => 4,
        }
    }
}

/// Texts of at most `width` letters, filled up with zeros.
#[derive(Clone, Debug)]
pub(super) struct TextArray {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) letters: Letters,
    pub(super) width: usize,
    pub(super) part: Part,
}

impl TextArray {
    /// Each text, without the zeros behind it.
    pub(super) fn texts(&self) -> Result<Vec<String>, String> {
        let size = self.letters.size() * self.width;
        if size == 0 {
            return Ok(vec![String::new(); self.shape.iter().product()]);
        }
        let texts = self.part.chunks_exact(size).map(|bytes| self.text(bytes));
        texts.collect::<Option<_>>().ok_or_else(|| {
            format!(
                "expected `{}` to hold letters, found other bytes",
                self.name
            )
        })
    }

    fn text(&self, bytes: &[u8]) -> Option<String> {
        let code = |four: &[u8; 4]| match self.letters {
            Letters::Utf32Be => u32::from_be_bytes(*four),
            _ => u32::from_le_bytes(*four),
        };
        let text: String = match self.letters {
            Letters::Bytes => std::str::from_utf8(bytes).ok()?.to_string(),
            _ => {
                let (letters, _) = bytes.as_chunks::<4>();
                letters
                    .iter()
                    .map(|four| char::from_u32(code(four)))
                    .collect::<Option<_>>()?
            }
        };
        Some(text.trim_end_matches('\0').to_string())
    }
}
