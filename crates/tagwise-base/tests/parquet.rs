//! Features in Parquet as pyarrow writes them, tests/golden/formats.py.

use std::path::{Path, PathBuf};

use std::fs::File;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::data_type::{DataType, FloatType, Int32Type};
use parquet::file::metadata::{ParquetMetaDataReader, ParquetMetaDataWriter};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use tagwise_base::features::FeatureRows;
use tagwise_base::snapshot::{
    ArrayNames, FeatureValues, LabelsIn, NonFinite, OpenOptions, SampleStream, Snapshot,
    SnapshotFile, read_labels, read_targets,
};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/formats")
        .join(name)
}

fn values(snapshot: &Snapshot) -> Vec<f64> {
    match snapshot.features() {
        FeatureValues::F32(values) => values.iter().map(|&value| value.into()).collect(),
        FeatureValues::F64(values) => values.clone(),
    }
}

/// The sentence without the folder.
fn refusal(path: &Path) -> String {
    let error = SnapshotFile::open(path, NonFinite::Refuse).unwrap_err();
    error
        .to_string()
        .replace(&format!("{}/", golden("").display()), "")
        .replace(&golden("").display().to_string(), "")
}

#[test]
fn every_kind_of_list_holds_the_numbers_of_the_other_formats() {
    let expected = Snapshot::read(&golden("f32.safetensors")).unwrap();
    for name in [
        "fixed_f32.parquet",
        "list_f64.parquet",
        "list_f16.parquet",
        "parts",
        "parts/*.parquet",
    ] {
        let found = Snapshot::read(&golden(name)).unwrap();
        assert_eq!(values(&found), values(&expected), "{name}");
        assert_eq!(found.targets(), expected.targets(), "{name}");
    }
}

#[test]
fn tables_that_cannot_be_used_are_refused_in_one_sentence() {
    let names = [
        "ragged_rows.parquet",
        "null_number.parquet",
        "null_labels.parquet",
        "no-such-*.parquet",
    ];
    let sentences: Vec<String> = names.iter().map(|name| refusal(&golden(name))).collect();
    insta::assert_snapshot!(sentences.join("\n"), @r"
ragged_rows.parquet: expected 2 numbers in every row of `features`, as in the first, found 1 in row 1
null_number.parquet: expected numbers in `features`, found null in row 0
null_labels.parquet: expected numbers in `labels`, found null in row 1
no-such-*.parquet: no file has a name like this
");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.parquet");
    let whole = std::fs::read(golden("fixed_f32.parquet")).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(refusal(&path).contains("expected a Parquet file"));
    std::fs::copy(golden("fixed_f32.parquet"), &path).unwrap();
    std::fs::copy(
        golden("list_f64.parquet"),
        folder.path().join("other.parquet"),
    )
    .unwrap();
    assert!(refusal(folder.path()).contains("expected the columns, their types"));
}

/// Row groups of features and labels; a row of features of each length.
struct Writer(SerializedFileWriter<File>);

impl Writer {
    fn new(path: &Path) -> Self {
        let schema = "message samples {
            required group features (LIST) { repeated group list { required float element; } }
            required group labels (LIST) { repeated group list { required int32 element; } }
        }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
        let file = File::create(path).unwrap();
        Self(SerializedFileWriter::new(file, schema, Arc::new(properties.build())).unwrap())
    }

    fn group(&mut self, features: &[Vec<f32>], labels: &[Vec<i32>]) {
        let mut group = self.0.next_row_group().unwrap();
        column::<FloatType>(&mut group, features);
        column::<Int32Type>(&mut group, labels);
        group.close().unwrap();
    }
}

fn column<T: DataType>(group: &mut SerializedRowGroupWriter<'_, File>, rows: &[Vec<T::T>]) {
    let (mut present, mut repeated) = (Vec::new(), Vec::new());
    for row in rows {
        for place in 0..row.len().max(1) {
            present.push(i16::from(!row.is_empty()));
            repeated.push(i16::from(place > 0));
        }
    }
    let mut column = group.next_column().unwrap().unwrap();
    let values = rows.concat();
    let written = column
        .typed::<T>()
        .write_batch(&values, Some(&present), Some(&repeated));
    written.unwrap();
    column.close().unwrap();
}

#[test]
fn blocks_run_across_row_groups_and_files() {
    const DIM: usize = 1024;
    // More than two blocks of 2²² numbers, in groups that divide neither.
    let groups = [[3000, 1, 1500], [2000, 777, 1900]];
    let folder = tempfile::tempdir().unwrap();
    let feature = |row: usize, column: usize| (row * 31 + column * 7) as f32;
    let mut row = 0;
    for (part, sizes) in groups.iter().enumerate() {
        let mut writer = Writer::new(&folder.path().join(format!("part-{part}.parquet")));
        for &size in sizes {
            let rows = row..row + size;
            let features: Vec<Vec<f32>> = rows
                .clone()
                .map(|row| (0..DIM).map(|column| feature(row, column)).collect())
                .collect();
            let labels: Vec<Vec<i32>> = rows.map(|row| (0..(row % 4) as i32).collect()).collect();
            writer.group(&features, &labels);
            row += size;
        }
        writer.0.close().unwrap();
    }
    let file = SnapshotFile::open(folder.path(), NonFinite::Refuse).unwrap();
    assert_eq!((file.num_samples(), file.dim()), (row, DIM));
    assert_eq!(file.targets().num_classes(), 3);
    for _ in 0..2 {
        let (mut seen, mut num_blocks) = (0, 0);
        file.for_each_block(&mut |first, rows| {
            let FeatureRows::F32(values) = rows else {
                panic!("f32")
            };
            assert_eq!(first, seen);
            for (place, values) in values.chunks_exact(DIM).enumerate() {
                let row = first + place;
                assert_eq!(
                    [values[0], values[1023]],
                    [feature(row, 0), feature(row, 1023)]
                );
                assert_eq!(file.targets().set(row).multiplicity(), row % 4);
            }
            seen += values.len() / DIM;
            num_blocks += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!((seen, num_blocks), (row, 3));
    }
    assert_eq!(&read_targets(folder.path()).unwrap(), file.targets());
}

#[test]
fn a_row_of_another_length_is_named_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ragged.parquet");
    let mut writer = Writer::new(&path);
    let labels = vec![vec![0]; 3];
    writer.group(&vec![vec![1.0, 2.0]; 3], &labels);
    writer.group(&[vec![1.0, 2.0], vec![1.0], vec![1.0, 2.0, 3.0]], &labels);
    writer.0.close().unwrap();
    // The footer counts as many numbers as three rows of two have.
    let file = SnapshotFile::open(&path, NonFinite::Refuse).unwrap();
    let error = file.to_snapshot().unwrap_err().to_string();
    assert!(
        error.ends_with(
            "expected 2 numbers in every row of `features`, as in the first, found 1 in row 4"
        ),
        "{error}"
    );
}

#[test]
fn single_columns_and_columns_of_text_are_labels_too() {
    let file = SnapshotFile::open(&golden("scalar_labels.parquet"), NonFinite::Refuse).unwrap();
    assert!(file.targets().iter().all(|set| set.multiplicity() == 1));
    let file = SnapshotFile::open(&golden("path_column.parquet"), NonFinite::Refuse).unwrap();
    assert_eq!(file.notes(), ["`path` is passed over"]);
    let folder = tempfile::tempdir().unwrap();
    let texts = |rows: &[&[&str]]| -> Vec<Vec<ByteArray>> {
        let row = |row: &&[&str]| row.iter().map(|text| ByteArray::from(*text)).collect();
        rows.iter().map(row).collect()
    };
    let path = folder.path().join("names.parquet");
    let schema = "message names { required group labels (LIST) \
        { repeated group list { required byte_array element (STRING); } } }";
    write_one(&path, schema, |group| {
        column::<ByteArrayType>(group, &texts(&[&["cow", "semi;colon"], &[], &["ant"]]));
    });
    let labels = read_labels(&path, &ArrayNames::default()).unwrap();
    assert_eq!(labels.class_names.unwrap(), ["ant", "cow", "semi;colon"]);
    let sets: Vec<String> = labels.targets.iter().map(ToString::to_string).collect();
    assert_eq!(sets, ["{1, 2}", "{}", "{0}"]);
    let schema = "message names { required byte_array tags (STRING); }";
    write_one(&path, schema, |group| {
        let mut column = group.next_column().unwrap().unwrap();
        let values = texts(&[&["cow;ant", "", "ant"]]).concat();
        column
            .typed::<ByteArrayType>()
            .write_batch(&values, None, None)
            .unwrap();
        column.close().unwrap();
    });
    let names = ArrayNames {
        targets: Some("tags".into()),
        ..ArrayNames::default()
    };
    let labels = read_labels(&path, &names).unwrap();
    let sets: Vec<String> = labels.targets.iter().map(ToString::to_string).collect();
    assert_eq!(sets, ["{0, 1}", "{}", "{0}"]);
}

fn write_one(path: &Path, schema: &str, write: impl Fn(&mut SerializedRowGroupWriter<'_, File>)) {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    write(&mut group);
    group.close().unwrap();
    writer.close().unwrap();
}

/// A footer that counts a hundred million times the rows that there are is not believed, with
/// labels or without.
#[test]
fn rows_that_only_the_footer_has_are_found_before_they_take_memory() {
    const TIMES: i64 = 100_000_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let schema = "message samples { required group features (LIST) \
        { repeated group list { required float element; } } }";
    write_one(&path, schema, |group| {
        column::<FloatType>(group, &[vec![1.0, 2.0], vec![3.0, 4.0]]);
    });
    let optional = OpenOptions {
        labels: LabelsIn::Optional,
        ..OpenOptions::default()
    };
    assert_eq!(
        SnapshotFile::open_with(&path, &optional)
            .unwrap()
            .num_samples(),
        2
    );
    let file = File::open(&path).unwrap();
    let metadata = ParquetMetaDataReader::new()
        .parse_and_finish(&file)
        .unwrap();
    let groups = metadata.row_groups().iter().map(|group| {
        let columns = group.columns().iter().map(|column| {
            let values = column.num_values() * TIMES;
            column
                .clone()
                .into_builder()
                .set_num_values(values)
                .build()
                .unwrap()
        });
        let rows = group.num_rows() * TIMES;
        let builder = group.clone().into_builder().set_num_rows(rows);
        builder
            .set_column_metadata(columns.collect())
            .build()
            .unwrap()
    });
    let lying = metadata
        .clone()
        .into_builder()
        .set_row_groups(groups.collect())
        .build();
    let mut footer = Vec::new();
    ParquetMetaDataWriter::new(&mut footer, &lying)
        .finish()
        .unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let length = u32::from_le_bytes(*bytes[..bytes.len() - 4].last_chunk().unwrap()) as usize;
    let pages = &bytes[..bytes.len() - 8 - length];
    std::fs::write(&path, [pages, &footer].concat()).unwrap();
    for labels in [LabelsIn::Optional, LabelsIn::Elsewhere] {
        let options = OpenOptions {
            labels,
            ..OpenOptions::default()
        };
        let error = SnapshotFile::open_with(&path, &options)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("expected 200000000 rows of `features`"),
            "{error}"
        );
    }
}
