//! Lists of numbers or texts decoded a few rows at a time; a single value is a list of one.

use half::f16;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{DataType, FixedLenByteArray};

use super::column::{Column, Content};

/// The rows of one column of one row group, read from first to last.
pub(super) trait Lists<N> {
    /// Decodes up to this many further rows and says how many there were; 0 at the end.
    fn read(&mut self, max_rows: usize) -> Result<usize, String>;

    /// How many numbers each row of the last read has.
    fn lengths(&self) -> &[usize];

    /// Appends the numbers of the last read.
    fn append_to(&self, numbers: &mut Vec<N>);
}

/// What the values of a column can be read as.
pub(super) trait ColumnValue: Sized + 'static {
    /// A reader of the column, if its numbers can be read as this kind.
    fn lists(
        reader: ColumnReader,
        column: &Column,
        first_row: usize,
    ) -> Option<Box<dyn Lists<Self>>>;
}

impl ColumnValue for f32 {
    fn lists(reader: ColumnReader, column: &Column, row: usize) -> Option<Box<dyn Lists<f32>>> {
        Some(match reader {
            ColumnReader::FloatColumnReader(r) => ListReader::boxed(r, column, row, |v| *v),
            ColumnReader::FixedLenByteArrayColumnReader(r) => {
                ListReader::boxed(r, column, row, |v| half(v).to_f32())
            }
            _ => return None,
        })
    }
}

impl ColumnValue for f64 {
    fn lists(reader: ColumnReader, column: &Column, row: usize) -> Option<Box<dyn Lists<f64>>> {
        Some(match reader {
            ColumnReader::DoubleColumnReader(r) => ListReader::boxed(r, column, row, |v| *v),
            ColumnReader::FloatColumnReader(r) => {
                ListReader::boxed(r, column, row, |v| (*v).into())
            }
            ColumnReader::Int32ColumnReader(r) => {
                ListReader::boxed(r, column, row, |v| (*v).into())
            }
            ColumnReader::Int64ColumnReader(r) => ListReader::boxed(r, column, row, |v| *v as f64),
            ColumnReader::BoolColumnReader(r) => {
                ListReader::boxed(r, column, row, |v| f64::from(u8::from(*v)))
            }
            ColumnReader::FixedLenByteArrayColumnReader(r) => {
                ListReader::boxed(r, column, row, |v| half(v).to_f64())
            }
            _ => return None,
        })
    }
}

impl ColumnValue for String {
    fn lists(reader: ColumnReader, column: &Column, row: usize) -> Option<Box<dyn Lists<String>>> {
        match reader {
            ColumnReader::ByteArrayColumnReader(r) => {
                Some(ListReader::boxed(r, column, row, |v| {
                    String::from_utf8_lossy(v.data()).into_owned()
                }))
            }
            _ => None,
        }
    }
}

/// A half-precision number; the type of the column says that it has two bytes.
fn half(value: &FixedLenByteArray) -> f16 {
    match value.data() {
        &[low, high] => f16::from_le_bytes([low, high]),
        _ => f16::NAN,
    }
}

struct ListReader<T: DataType, N> {
    reader: ColumnReaderImpl<T>,
    convert: fn(&T::T) -> N,
    column: Column,
    /// The row of the file that comes next.
    next_row: usize,
    values: Vec<T::T>,
    present: Vec<i16>,
    repeated: Vec<i16>,
    lengths: Vec<usize>,
}

impl<T: DataType, N: 'static> ListReader<T, N>
where
    T::T: 'static,
{
    fn boxed(
        reader: ColumnReaderImpl<T>,
        column: &Column,
        next_row: usize,
        convert: fn(&T::T) -> N,
    ) -> Box<dyn Lists<N>> {
        Box::new(Self {
            reader,
            convert,
            column: column.clone(),
            next_row,
            values: Vec::new(),
            present: Vec::new(),
            repeated: Vec::new(),
            lengths: Vec::new(),
        })
    }

    /// Counts the values of each row from the levels of the last read.
    fn count(&mut self, rows: usize) -> Result<(), String> {
        if !self.column.is_list {
            let null = self
                .present
                .iter()
                .position(|&level| level != self.column.whole);
            self.lengths.resize(rows, 1);
            return null.map_or(Ok(()), |row| Err(self.null_in(row)));
        }
        for (&present, &repeated) in self.present.iter().zip(&self.repeated) {
            if repeated == 0 {
                self.lengths.push(0);
            }
            let is_number = present == self.column.whole;
            match self.lengths.last_mut() {
                Some(length) if is_number => *length += 1,
                Some(_) if present == self.column.empty => {}
                _ => return Err(self.null_in(self.lengths.len().saturating_sub(1))),
            }
        }
        Ok(())
    }

    fn null_in(&self, row: usize) -> String {
        let content = match self.column.content {
            Content::Text => "text",
            Content::Numbers(_) | Content::Other(_) => "numbers",
        };
        format!(
            "expected {content} in `{}`, found null in row {}",
            self.column.name,
            self.next_row + row
        )
    }
}

impl<T: DataType, N: 'static> Lists<N> for ListReader<T, N>
where
    T::T: 'static,
{
    fn read(&mut self, max_rows: usize) -> Result<usize, String> {
        self.values.clear();
        self.present.clear();
        self.repeated.clear();
        self.lengths.clear();
        let read = self.reader.read_records(
            max_rows,
            Some(&mut self.present),
            Some(&mut self.repeated),
            &mut self.values,
        );
        let (rows, _, _) =
            read.map_err(|error| format!("`{}` cannot be decoded ({error})", self.column.name))?;
        self.count(rows)?;
        self.next_row += rows;
        Ok(rows)
    }

    fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    fn append_to(&self, numbers: &mut Vec<N>) {
        numbers.extend(self.values.iter().map(self.convert));
    }
}
