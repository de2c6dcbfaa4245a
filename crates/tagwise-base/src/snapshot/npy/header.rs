//! The header of a .npy array: a Python dictionary of exactly three entries.

use super::super::member::Letters;
use super::super::refused;
use crate::tensors::Element;

/// What a header says.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    /// Byte order, kind and size of the elements, such as `<f4`.
    description: String,
    /// Whether the first index moves fastest.
    pub(super) column_major: bool,
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }`, entries in any order.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text };
        let (mut description, mut column_major, mut shape) = (None, None, None);
        reader.expect('{')?;
        while !reader.accept('}') {
            let key = reader.text()?;
            reader.expect(':')?;
            let is_new = match key {
                "descr" => description.replace(reader.description()?).is_none(),
                "fortran_order" => column_major.replace(reader.truth()?).is_none(),
                "shape" => shape.replace(reader.shape()?).is_none(),
                other => return Err(format!("its header has an unknown entry {other:?}")),
            };
            if !is_new {
                return Err(format!("its header has {key:?} twice"));
            }
            if !reader.accept(',') {
                reader.expect('}')?;
                break;
            }
        }
        if !reader.rest.trim().is_empty() {
            return Err("its header goes on after the dictionary".into());
        }
        let missing = |key: &str| format!("its header has no `{key}`");
        Ok(Self {
            description: description.ok_or_else(|| missing("descr"))?,
            column_major: column_major.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }

    /// The kind of the elements of the array of this name, if they are numbers.
    pub(super) fn element(&self, name: &str) -> Result<Element, String> {
        Ok(match self.description.as_str() {
            "|b1" => Element::Bool,
            "|u1" => Element::U8,
            "|i1" => Element::I8,
            "<u2" => Element::U16,
            "<i2" => Element::I16,
            "<u4" => Element::U32,
            "<i4" => Element::I32,
            "<u8" => Element::U64,
            "<i8" => Element::I64,
            "<f2" => Element::F16,
            "<f4" => Element::F32,
            "<f8" => Element::F64,
            "|O" => return Err(refused::objects(name)),
            "|V2" | "<V2" => {
                return Err(format!(
                    "`{name}` holds 2-byte records without a type, as NumPy writes bfloat16; save it as safetensors or float32"
                ));
            }
            other => {
                return Err(format!(
                    "`{name}` holds elements of type {other:?}; expected little-endian integers or floats of at most 64 bits; convert it, in Python with .astype"
                ));
            }
        })
    }

    /// How letters are stored and how many there are at most, if the elements are text.
    pub(super) fn letters(&self) -> Option<(Letters, usize)> {
        let kinds = [
            ("<U", Letters::Utf32Le),
            (">U", Letters::Utf32Be),
            ("|S", Letters::Bytes),
        ];
        let found = kinds
            .into_iter()
            .find_map(|(prefix, letters)| Some((letters, self.description.strip_prefix(prefix)?)));
        let (letters, width) = found?;
        let width = width.parse::<usize>().ok()?;
        // Texts without letters have no bytes, and so any number of them fits anywhere.
        (width > 0 && width < 1 << 24).then_some((letters, width))
    }
}

/// Reads a Python literal from the left.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn accept(&mut self, token: char) -> bool {
        let after = self.rest.trim_start().strip_prefix(token);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn expect(&mut self, token: char) -> Result<(), String> {
        if self.accept(token) {
            return Ok(());
        }
        let found: String = self.rest.trim().chars().take(12).collect();
        Err(format!("its header has {found:?} where {token:?} belongs"))
    }

    /// A text in single or double quotes.
    fn text(&mut self) -> Result<&'a str, String> {
        let rest = self.rest.trim_start();
        let quote = rest.chars().next().filter(|quote| "'\"".contains(*quote));
        let inside = quote.and_then(|quote| rest[1..].split_once(quote));
        let (text, rest) = inside.ok_or("its header has no text in quotes where one belongs")?;
        self.rest = rest;
        Ok(text)
    }

    /// The type of the elements, which a list would say of records.
    fn description(&mut self) -> Result<String, String> {
        if !self.accept('[') {
            return self.text().map(str::to_string);
        }
        let end = self
            .rest
            .find(']')
            .ok_or("its header has a list that does not end")?;
        self.rest = &self.rest[end + 1..];
        Ok("record".into())
    }

    fn truth(&mut self) -> Result<bool, String> {
        let rest = self.rest.trim_start();
        for (word, truth) in [("True", true), ("False", false)] {
            if let Some(rest) = rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(truth);
            }
        }
        Err("its header has a `fortran_order` that is neither True nor False".into())
    }

    /// Sides in parentheses; Python 2 wrote an L behind long ones.
    fn shape(&mut self) -> Result<Vec<usize>, String> {
        self.expect('(')?;
        let (inside, rest) = self
            .rest
            .split_once(')')
            .ok_or("its header has a `shape` that does not end")?;
        self.rest = rest;
        let inside = inside.trim();
        let inside = inside.strip_suffix(',').unwrap_or(inside);
        if inside.is_empty() {
            return Ok(Vec::new());
        }
        let sides = inside.split(',').map(|side| {
            let side = side.trim();
            let digits = side.strip_suffix('L').unwrap_or(side);
            digits
                .parse()
                .map_err(|_| format!("its header has a `shape` with {side:?}, not a count"))
        });
        sides.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_numpy_are_read() {
        for (text, column_major, shape) in [
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }   \n",
                false,
                &[3, 2][..],
            ),
            (
                "{\"shape\": (7,), \"fortran_order\": True, \"descr\": \"<f4\"}",
                true,
                &[7],
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (), }",
                false,
                &[],
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 2L), }",
                false,
                &[3, 2],
            ),
        ] {
            let header = Header::parse(text).unwrap();
            assert_eq!(header.element("x"), Ok(Element::F32));
            assert_eq!((header.column_major, &*header.shape), (column_major, shape));
        }
    }

    #[test]
    fn headers_that_numpy_does_not_write_are_refused() {
        let refusals: Vec<String> = [
            "",
            "{'descr': '<f4', 'fortran_order': False, }",
            "{'descr': '<f4', 'fortran_order': Fblse, 'shape': (3, 2), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, -2), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, , 2), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), 'shape': (3, 2), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), 'x': 1}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), } x",
            "{'descr': '<f4' 'fortran_order': False, 'shape': (3, 2), }",
        ]
        .iter()
        .map(|text| Header::parse(text).unwrap_err())
        .collect();
        insta::assert_snapshot!(refusals.join("\n"), @r#"
        its header has "" where '{' belongs
        its header has no `shape`
        its header has a `fortran_order` that is neither True nor False
        its header has a `shape` with "-2", not a count
        its header has a `shape` with "", not a count
        its header has "shape" twice
        its header has an unknown entry "x"
        its header goes on after the dictionary
        its header has "'fortran_ord" where '}' belongs
        "#);
    }
}
