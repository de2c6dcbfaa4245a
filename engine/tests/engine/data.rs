//! Tables of samples, and what the library makes of them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, FixedSizeListArray, Float16Array, Float32Array, Float64Array, Int32Array, Int64Array,
    ListArray, RecordBatch, StringArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use tagwise::statistics::{ScatterKind, Statistics};
use tagwise::{LabelSet, Targets};

pub const NUM_CLASSES: usize = 5;

/// Samples as they are.
#[derive(Clone)]
pub struct Table {
    pub dim: usize,
    pub features: Vec<f32>,
    pub labels: Vec<Vec<u32>>,
    pub first_id: i64,
    pub epochs: Vec<i32>,
}

/// A generator that is the same everywhere.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }
}

impl Table {
    /// Features near the sum of the means of their labels, in two epochs.
    pub fn new(num_rows: usize, dim: usize, seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        let mut means = Numbers(7);
        let means: Vec<f32> = (0..NUM_CLASSES * dim)
            .map(|_| 4.0 * means.unit() - 2.0)
            .collect();
        let mut table = Self {
            dim,
            features: Vec::new(),
            labels: Vec::new(),
            first_id: (seed * 1_000_000) as i64,
            epochs: Vec::new(),
        };
        for row in 0..num_rows {
            let count = 1 + (numbers.next() % 3) as usize;
            let mut labels: Vec<u32> = (0..count)
                .map(|_| (numbers.next() % NUM_CLASSES as u64) as u32)
                .collect();
            if row % 97 == 0 {
                labels.clear(); // a sample without a label
            }
            let set = LabelSet::new(labels.iter().copied());
            for column in 0..dim {
                let mean: f32 = set.indices().map(|label| means[label * dim + column]).sum();
                table.features.push(mean + 0.3 * numbers.unit());
            }
            table.labels.push(labels);
            table.epochs.push((numbers.next() % 2) as i32);
        }
        table
    }

    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn rows(&self, keep: impl Fn(usize) -> bool) -> Self {
        let rows: Vec<usize> = (0..self.len()).filter(|&row| keep(row)).collect();
        Self {
            dim: self.dim,
            features: rows
                .iter()
                .flat_map(|&row| self.features[row * self.dim..(row + 1) * self.dim].to_vec())
                .collect(),
            labels: rows.iter().map(|&row| self.labels[row].clone()).collect(),
            first_id: self.first_id,
            epochs: rows.iter().map(|&row| self.epochs[row]).collect(),
        }
    }

    pub fn targets(&self) -> Targets {
        let sets = self
            .labels
            .iter()
            .map(|labels| LabelSet::new(labels.iter().copied()));
        Targets::new(NUM_CLASSES, sets).unwrap()
    }

    /// What `tagwise stats` computes.
    pub fn statistics(&self, kind: ScatterKind) -> Statistics {
        let mut statistics = Statistics::with_scatter(NUM_CLASSES, self.dim, kind);
        statistics.update(&self.features, &self.targets()).unwrap();
        statistics
    }

    pub fn label_column(&self) -> ArrayRef {
        let lists = self
            .labels
            .iter()
            .map(|labels| Some(labels.iter().map(|&label| Some(label as i32))));
        Arc::new(ListArray::from_iter_primitive::<
            datafusion::arrow::datatypes::Int32Type,
            _,
            _,
        >(lists))
    }

    pub fn feature_column(&self, form: Form) -> ArrayRef {
        let values: ArrayRef = match form {
            Form::Fixed16 => {
                let halves = self
                    .features
                    .iter()
                    .map(|&value| half::f16::from_f32(value));
                Arc::new(Float16Array::from_iter_values(halves))
            }
            Form::Fixed64 => Arc::new(Float64Array::from_iter_values(
                self.features.iter().map(|&value| f64::from(value)),
            )),
            Form::Fixed32 | Form::List32 => Arc::new(Float32Array::from(self.features.clone())),
        };
        let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        match form {
            Form::List32 => {
                let offsets = OffsetBuffer::from_lengths((0..self.len()).map(|_| self.dim));
                Arc::new(ListArray::new(field, offsets, values, None))
            }
            _ => Arc::new(FixedSizeListArray::new(
                field,
                self.dim as i32,
                values,
                None,
            )),
        }
    }

    pub fn batch(&self, form: Form) -> RecordBatch {
        let ids = (0..self.len() as i64).map(|row| self.first_id + row);
        let splits = (0..self.len()).map(|row| if row % 4 == 0 { "test" } else { "train" });
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from_iter_values(ids))),
            ("features", self.feature_column(form)),
            ("labels", self.label_column()),
            ("epoch", Arc::new(Int32Array::from(self.epochs.clone()))),
            ("split", Arc::new(StringArray::from_iter_values(splits))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    pub fn write(&self, path: &Path, form: Form) {
        write(path, &self.batch(form));
    }
}

/// How features lie in a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    Fixed16,
    Fixed32,
    Fixed64,
    List32,
}

/// Writes a file of several row groups.
pub fn write(path: &Path, batch: &RecordBatch) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(700))
        .set_compression(Compression::SNAPPY)
        .build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// A file of one column of features and one of labels.
pub fn write_columns(path: &Path, features: ArrayRef, labels: ArrayRef) {
    let schema = Schema::new(vec![
        Field::new("features", features.data_type().clone(), true),
        Field::new("labels", labels.data_type().clone(), true),
    ]);
    write(
        path,
        &RecordBatch::try_new(Arc::new(schema), vec![features, labels]).unwrap(),
    );
}

/// Cuts a table into files of about equal size and writes them.
pub fn write_files(folder: &Path, table: &Table, num_files: usize, form: Form) {
    let batch = table.batch(form);
    let rows = table.len().div_ceil(num_files);
    for file in 0..num_files {
        let first = (file * rows).min(table.len());
        let part = batch.slice(first, rows.min(table.len() - first));
        write(&folder.join(format!("part-{file}.parquet")), &part);
    }
}

/// Whether two states are of the same samples: counts exactly, the rest to 1e-12 of its size.
pub fn assert_agree(found: &Statistics, expected: &Statistics) {
    const ROUNDING: f64 = 1e-12;
    let sets = |statistics: &Statistics| statistics.label_sets().cloned().collect::<Vec<_>>();
    assert_eq!(sets(found), sets(expected));
    assert_eq!(found.set_counts(), expected.set_counts());
    assert_eq!(
        (found.dim(), found.num_classes()),
        (expected.dim(), expected.num_classes())
    );
    let close = |what: &str, found: &[f64], expected: &[f64]| {
        assert_eq!(found.len(), expected.len());
        let size = expected
            .iter()
            .fold(0.0f64, |size, value| size.max(value.abs()));
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() <= ROUNDING * size,
                "{what}: {found}, expected {expected}"
            );
        }
    };
    close(
        "square sums",
        &found.set_square_sums(),
        &expected.set_square_sums(),
    );
    for set in expected.label_sets() {
        close(
            "mean",
            &found.set_mean(set).unwrap(),
            &expected.set_mean(set).unwrap(),
        );
    }
    let max = expected
        .label_sets()
        .map(LabelSet::multiplicity)
        .max()
        .unwrap_or(0);
    for multiplicity in 1..=max {
        let scatter = |statistics: &Statistics| {
            let scatter = statistics.within_scatter(multiplicity)?;
            let dim = scatter.nrows();
            Some(
                (0..dim * dim)
                    .map(|place| scatter[(place / dim, place % dim)])
                    .collect::<Vec<f64>>(),
            )
        };
        match (scatter(found), scatter(expected)) {
            (None, None) => {}
            (Some(found), Some(expected)) => close("scatter", &found, &expected),
            _ => panic!("one of them has no scatter of {multiplicity} labels"),
        }
    }
}

pub fn names(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    paths.sort();
    paths
}
