//! Predictions as a Parquet file: one row for each sample.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::Predicted;
use crate::decode::answers::parquet::{GROUP_LEN, Levels, write_column, write_labels};
use crate::{Error, LabelSet, Result};

/// `sample` (INT64), `labels` (a list of strings) or `label_ids` (a list of unsigned integers),
/// `confidences` (a list of DOUBLE) and `file` (a string) where samples came from files.
pub(super) fn to_bytes(predicted: &Predicted) -> Result<Vec<u8>> {
    write(predicted).map_err(|error| Error::Malformed(error.to_string()))
}

fn write(predicted: &Predicted) -> Result<Vec<u8>, ParquetError> {
    let (column, element) = match predicted.names.is_known() {
        true => ("labels", "required byte_array element (STRING);"),
        false => ("label_ids", "required int32 element (INTEGER(32,false));"),
    };
    let file = match &predicted.files {
        Some(_) => "required byte_array file (STRING);",
        None => "",
    };
    let list = |name: &str, element: &str| {
        format!("required group {name} (LIST) {{ repeated group list {{ {element} }} }}")
    };
    let (labels, confidences) = (
        list(column, element),
        list("confidences", "required double element;"),
    );
    let schema =
        format!("message predictions {{ required int64 sample; {labels} {confidences} {file} }}");
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let schema = Arc::new(parse_message_type(&schema)?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let sets: Vec<&LabelSet> = predicted.targets.iter().collect();
    for (group, sets) in sets.chunks(GROUP_LEN).enumerate() {
        let range = group * GROUP_LEN..group * GROUP_LEN + sets.len();
        let mut rows = writer.next_row_group()?;
        let samples: Vec<i64> = range.clone().map(|sample| sample as i64).collect();
        write_column::<Int64Type>(&mut rows, &samples, None)?;
        write_labels(&mut rows, &predicted.names, sets)?;
        let confidences = predicted.confidences[range.clone()].concat();
        write_column::<DoubleType>(&mut rows, &confidences, Some(&Levels::of(sets)))?;
        if let Some(files) = &predicted.files {
            let files = files[range]
                .iter()
                .map(|file| ByteArray::from(file.as_str()));
            write_column::<ByteArrayType>(&mut rows, &files.collect::<Vec<_>>(), None)?;
        }
        rows.close()?;
    }
    writer.into_inner()
}
