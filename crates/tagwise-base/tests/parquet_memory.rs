//! Reading Parquet needs the memory of one block, however many rows there are.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parquet::data_type::{FloatType, Int32Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tagwise_base::snapshot::{NonFinite, SampleStream, SnapshotFile};

/// Counts the bytes in use, and the most that ever were.
struct Measuring;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Measuring {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is that of the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above; the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static MEASURING: Measuring = Measuring;

const DIM: usize = 128;
const GROUP: usize = 4096;

/// Writes features `[groups·4096, 128]` of 10 classes.
fn write(path: &Path, num_groups: usize) {
    let schema = "message samples {
        required group features (LIST) { repeated group list { required float element; } }
        required group labels (LIST) { repeated group list { required int32 element; } }
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder().set_dictionary_enabled(false);
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties.build())).unwrap();
    let begins = |length: usize| move |place: usize| i16::from(!place.is_multiple_of(length));
    for group in 0..num_groups {
        let values: Vec<f32> = (0..GROUP * DIM)
            .map(|i| ((i * 2_654_435_761 + group) % 8191) as f32 / 8191.0)
            .collect();
        let labels: Vec<i32> = (0..GROUP).map(|row| (row % 10) as i32).collect();
        let mut rows = writer.next_row_group().unwrap();
        let mut column = rows.next_column().unwrap().unwrap();
        let repeated: Vec<i16> = (0..values.len()).map(begins(DIM)).collect();
        let present = vec![1; values.len()];
        let written =
            column
                .typed::<FloatType>()
                .write_batch(&values, Some(&present), Some(&repeated));
        written.unwrap();
        column.close().unwrap();
        let mut column = rows.next_column().unwrap().unwrap();
        let levels = (vec![1; GROUP], vec![0; GROUP]);
        let written =
            column
                .typed::<Int32Type>()
                .write_batch(&labels, Some(&levels.0), Some(&levels.1));
        written.unwrap();
        column.close().unwrap();
        rows.close().unwrap();
    }
    writer.close().unwrap();
}

/// The most bytes in use while a file is opened and read, beyond those in use before.
fn peak_of_a_pass(path: &Path) -> usize {
    let before = IN_USE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let file = SnapshotFile::open(path, NonFinite::Refuse).unwrap();
    let mut num_rows = 0;
    file.for_each_block(&mut |_, rows| {
        num_rows += rows.num_rows(DIM);
        Ok(())
    })
    .unwrap();
    assert_eq!(num_rows, file.num_samples());
    PEAK.load(Ordering::Relaxed) - before
}

#[test]
fn four_times_the_rows_need_the_same_memory() {
    let folder = tempfile::tempdir().unwrap();
    let peaks = [20, 80].map(|num_groups| {
        let path = folder.path().join(format!("{num_groups}.parquet"));
        write(&path, num_groups);
        let peak = peak_of_a_pass(&path);
        let features = num_groups * GROUP * DIM * 4;
        println!(
            "{} MB of features: {} MB at most",
            features >> 20,
            peak >> 20
        );
        peak
    });
    // Label sets take 4 bytes a row, three times that while their list grows.
    let labels = 12 * 80 * GROUP;
    assert!(peaks[1] < peaks[0] + labels + (1 << 20), "{peaks:?}");
    // One block of 16 MiB, a batch on its way into it, a page of the column and the label sets.
    assert!(peaks[1] < 32 << 20, "{peaks:?}");
}
