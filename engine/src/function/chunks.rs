//! `nc_chunks`: a state in rows that fit every message.
//!
//! A message of the cluster holds one row at least, and 16 MiB by default: the scatter of 2,048
//! dimensions is larger. Each chunk begins with its place and the number of all, so that they may
//! arrive in any order.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, LargeBinaryBuilder, ListBuilder};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

/// Bytes of a chunk at most.
const CHUNK: usize = 4 << 20;

/// The place of the chunk and the number of all, 4 bytes each.
const HEADER: usize = 8;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ChunkFunction {
    signature: Signature,
}

impl ChunkFunction {
    pub(super) fn new() -> Self {
        let signature = Signature::exact(vec![DataType::LargeBinary], Volatility::Immutable);
        Self { signature }
    }
}

impl ScalarUDFImpl for ChunkFunction {
    fn name(&self) -> &str {
        "nc_chunks"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(
            DataType::LargeBinary,
            true,
        ))))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let states = arguments.args[0].to_array(arguments.number_rows)?;
        let states = states.as_binary::<i64>();
        let mut lists = ListBuilder::new(LargeBinaryBuilder::new());
        for row in 0..states.len() {
            // A group without a state keeps its row.
            match states.is_valid(row) {
                true => cut(states.value(row), |chunk| {
                    lists.values().append_value(chunk)
                })?,
                false => lists.values().append_null(),
            }
            lists.append(true);
        }
        Ok(ColumnarValue::Array(Arc::new(lists.finish())))
    }
}

fn cut(bytes: &[u8], mut write: impl FnMut(&[u8])) -> Result<()> {
    let number = bytes.len().div_ceil(CHUNK - HEADER).max(1);
    let Ok(all) = u32::try_from(number) else {
        return exec_err!("expected a state of fewer chunks, found {number}");
    };
    let mut chunk = Vec::new();
    for place in 0..all {
        let start = place as usize * (CHUNK - HEADER);
        chunk.clear();
        chunk.extend_from_slice(&place.to_le_bytes());
        chunk.extend_from_slice(&all.to_le_bytes());
        chunk.extend_from_slice(&bytes[start..bytes.len().min(start + CHUNK - HEADER)]);
        write(&chunk);
    }
    Ok(())
}

/// Puts the chunks of one state together again.
///
/// ```
/// use tagwise_engine::function::Chunks;
///
/// let mut chunks = Chunks::default();
/// chunks.push(&[1, 0, 0, 0, 2, 0, 0, 0, b'b']).unwrap();
/// chunks.push(&[0, 0, 0, 0, 2, 0, 0, 0, b'a']).unwrap();
/// assert_eq!(chunks.finish().unwrap(), b"ab");
/// ```
#[derive(Debug, Default)]
pub struct Chunks {
    parts: Vec<Option<Vec<u8>>>,
}

impl Chunks {
    /// Takes a chunk.
    ///
    /// # Errors
    /// For a chunk that is none, that came before, or that belongs to another state.
    pub fn push(&mut self, chunk: &[u8]) -> std::result::Result<(), String> {
        let number = |from: usize| {
            let bytes = chunk.get(from..from + 4)?.try_into().ok()?;
            Some(u32::from_le_bytes(bytes) as usize)
        };
        let (Some(place), Some(all)) = (number(0), number(4)) else {
            return Err("expected a chunk of a state, found fewer than 8 bytes".into());
        };
        if self.parts.is_empty() {
            // A chunk declares at most 16,384 others: 64 GiB.
            if all == 0 || all > 1 << 14 {
                return Err(format!(
                    "expected 1 to 16384 chunks of a state, found {all}"
                ));
            }
            self.parts.resize_with(all, || None);
        }
        let expected = self.parts.len();
        if all != expected || place >= expected {
            return Err(format!(
                "expected chunk 0 to {} of a state, found {place} of {all}",
                expected - 1
            ));
        }
        match self.parts[place].replace(chunk[HEADER..].to_vec()) {
            None => Ok(()),
            Some(_) => Err(format!(
                "expected every chunk of a state once, found {place} twice"
            )),
        }
    }

    /// Whether every chunk has come.
    pub fn is_complete(&self) -> bool {
        !self.parts.is_empty() && self.parts.iter().all(Option::is_some)
    }

    /// The state.
    ///
    /// # Errors
    /// When a chunk is missing.
    pub fn finish(self) -> std::result::Result<Vec<u8>, String> {
        let num_parts = self.parts.len();
        let found = self.parts.iter().flatten().count();
        if found < num_parts || num_parts == 0 {
            return Err(format!(
                "expected {num_parts} chunks of a state, found {found}"
            ));
        }
        Ok(self.parts.into_iter().flatten().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_in_any_order_are_the_state() {
        for len in [0, 1, CHUNK - HEADER, CHUNK - HEADER + 1, 3 * CHUNK] {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 31 % 251) as u8).collect();
            let mut all = Vec::new();
            cut(&bytes, |chunk| all.push(chunk.to_vec())).unwrap();
            assert!(all.iter().all(|chunk| chunk.len() <= CHUNK));
            let mut chunks = Chunks::default();
            for chunk in all.iter().rev() {
                chunks.push(chunk).unwrap();
            }
            assert!(chunks.push(&all[0]).unwrap_err().contains("twice"));
            assert!(chunks.finish().unwrap() == bytes, "{len}");
        }
    }

    #[test]
    fn chunks_that_do_not_belong_together_are_refused() {
        let mut chunks = Chunks::default();
        assert!(chunks.push(&[0; 7]).is_err());
        assert!(chunks.push(&[0; 8]).is_err(), "no chunk at all");
        assert!(
            chunks.push(&[0, 0, 0, 0, 255, 255, 255, 255]).is_err(),
            "too many"
        );
        chunks.push(&[0, 0, 0, 0, 2, 0, 0, 0, 7]).unwrap();
        assert!(chunks.push(&[0, 0, 0, 0, 3, 0, 0, 0, 7]).is_err());
        assert_eq!(
            chunks.finish().unwrap_err(),
            "expected 2 chunks of a state, found 1"
        );
    }
}
