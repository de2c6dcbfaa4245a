//! Answers as a Parquet file: one row for each sample.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use crate::decode::Decoded;
use crate::names::LabelNames;
use crate::{Error, LabelSet, Result};

/// Rows of one group: what a reader takes at once.
pub(crate) const GROUP_LEN: usize = 1 << 20;

/// `sample` (INT64), `labels` (a list of strings) or `label_ids` (a list of unsigned integers) and,
/// where there are scores, `score` and `margin` (DOUBLE) and `proven` (BOOLEAN), where there are
/// probabilities, `probability` (DOUBLE) and `abstained` (BOOLEAN).
pub(super) fn to_bytes(names: &LabelNames, decoded: &Decoded) -> Result<Vec<u8>> {
    write(names, decoded).map_err(|error| Error::Malformed(error.to_string()))
}

fn write(names: &LabelNames, decoded: &Decoded) -> Result<Vec<u8>, ParquetError> {
    let has_scores = !decoded.scores.is_empty();
    let (column, element) = match names.is_known() {
        true => ("labels", "required byte_array element (STRING);"),
        false => ("label_ids", "required int32 element (INTEGER(32,false));"),
    };
    let scores = match has_scores {
        true => "required double score; required double margin; required boolean proven;",
        false => "",
    };
    let has_probabilities = !decoded.probabilities.is_empty();
    let probabilities = match has_probabilities {
        true => "required double probability; required boolean abstained;",
        false => "",
    };
    let schema = format!(
        "message answers {{ required int64 sample; required group {column} (LIST) \
         {{ repeated group list {{ {element} }} }} {scores} {probabilities} }}"
    );
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let schema = Arc::new(parse_message_type(&schema)?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let sets: Vec<&LabelSet> = decoded.targets.iter().collect();
    for (group, sets) in sets.chunks(GROUP_LEN).enumerate() {
        let first = group * GROUP_LEN;
        let mut rows = writer.next_row_group()?;
        let samples: Vec<i64> = (first..first + sets.len()).map(|i| i as i64).collect();
        write_column::<Int64Type>(&mut rows, &samples, None)?;
        write_labels(&mut rows, names, sets)?;
        if has_scores {
            let range = first..first + sets.len();
            write_column::<DoubleType>(&mut rows, &decoded.scores[range.clone()], None)?;
            write_column::<DoubleType>(&mut rows, &decoded.margins[range.clone()], None)?;
            let proven: Vec<bool> = range.map(|sample| decoded.is_proven(sample)).collect();
            write_column::<BoolType>(&mut rows, &proven, None)?;
        }
        if has_probabilities {
            let range = first..first + sets.len();
            write_column::<DoubleType>(&mut rows, &decoded.probabilities[range.clone()], None)?;
            let abstained: Vec<bool> = range.map(|i| decoded.has_abstained(i)).collect();
            write_column::<BoolType>(&mut rows, &abstained, None)?;
        }
        rows.close()?;
    }
    writer.into_inner()
}

pub(crate) fn write_labels(
    rows: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    names: &LabelNames,
    sets: &[&LabelSet],
) -> Result<(), ParquetError> {
    let levels = Levels::of(sets);
    let labels = sets.iter().flat_map(|set| set.labels().iter().copied());
    match names.is_known() {
        true => {
            let labels = labels.map(|label| ByteArray::from(names.name(label).into_bytes()));
            let labels: Vec<ByteArray> = labels.collect();
            write_column::<ByteArrayType>(rows, &labels, Some(&levels))
        }
        false => {
            let labels: Vec<i32> = labels.map(u32::cast_signed).collect();
            write_column::<Int32Type>(rows, &labels, Some(&levels))
        }
    }
}

/// Where the entries of a column of lists begin and which lists are empty.
pub(crate) struct Levels {
    definition: Vec<i16>,
    repetition: Vec<i16>,
}

impl Levels {
    pub(crate) fn of(sets: &[&LabelSet]) -> Self {
        let (mut definition, mut repetition) = (Vec::new(), Vec::new());
        for set in sets {
            repetition.push(0);
            definition.push(i16::from(!set.is_empty()));
            for _ in 1..set.multiplicity() {
                repetition.push(1);
                definition.push(1);
            }
        }
        Self {
            definition,
            repetition,
        }
    }
}

pub(crate) fn write_column<T: parquet::data_type::DataType>(
    rows: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[T::T],
    levels: Option<&Levels>,
) -> Result<(), ParquetError> {
    let column = rows.next_column()?;
    let mut column =
        column.ok_or_else(|| ParquetError::General("expected another column".into()))?;
    column.typed::<T>().write_batch(
        values,
        levels.map(|levels| levels.definition.as_slice()),
        levels.map(|levels| levels.repetition.as_slice()),
    )?;
    column.close()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;
    use crate::Targets;

    fn decoded(scores: Vec<f64>) -> Decoded {
        let sets = [vec![0, 2], vec![], vec![1]].map(LabelSet::new);
        Decoded {
            margins: scores.iter().map(|score| 2.0 * score).collect(),
            scores,
            unproven: vec![1],
            ..Decoded::of(Targets::new(3, sets).unwrap())
        }
    }

    fn rows(bytes: &[u8]) -> Vec<String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        rows.map(|row| row.unwrap().to_string()).collect()
    }

    #[test]
    fn names_scores_and_empty_sets_are_read_back() {
        let names = ["sea", "sky", "semi;colon"].map(String::from);
        let names = LabelNames::new(Some(names.to_vec()));
        let bytes = to_bytes(&names, &decoded(vec![0.5, 0.25, -1.0])).unwrap();
        insta::assert_snapshot!(rows(&bytes).join("\n"), @r#"
        {sample: 0, labels: ["sea", "semi;colon"], score: 0.5, margin: 1.0, proven: true}
        {sample: 1, labels: [], score: 0.25, margin: 0.5, proven: false}
        {sample: 2, labels: ["sky"], score: -1E0, margin: -2E0, proven: true}
        "#);
    }

    #[test]
    fn numbers_alone_are_read_back() {
        let bytes = to_bytes(&LabelNames::default(), &decoded(Vec::new())).unwrap();
        insta::assert_snapshot!(rows(&bytes).join("\n"), @r"
        {sample: 0, label_ids: [0, 2]}
        {sample: 1, label_ids: []}
        {sample: 2, label_ids: [1]}
        ");
    }
}
