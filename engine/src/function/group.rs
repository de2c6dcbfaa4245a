//! The samples of one group: a state, and rows that wait until there are enough of them.

use tagwise::features::{DenseView, FeatureSlice, FeaturesView};
use tagwise::statistics::{ScatterKind, Statistics, StatisticsFile};
use tagwise::{LabelSet, Targets};

use super::columns::Result;

/// Bytes of rows that a group keeps at most before it absorbs them. A block of thousands of rows makes
/// the products of the scatter efficient; rows come in batches of which a group may have only a few.
const PENDING_BYTES: usize = 4 << 20;

/// The same for all groups together.
const PENDING_BYTES_OF_ALL: usize = 256 << 20;

/// Rows that wait at most.
const PENDING_ROWS: usize = 4096;

/// What a group does with samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Options {
    pub(super) full_scatter: bool,
    pub(super) skip_non_finite: bool,
}

impl Options {
    pub(super) const DEFAULT: Self = Self {
        full_scatter: true,
        skip_non_finite: false,
    };

    /// From words separated by commas: `full`, `trace`, `skip-non-finite`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut options = Self::DEFAULT;
        for word in text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            match word {
                "full" => options.full_scatter = true,
                "trace" => options.full_scatter = false,
                "skip-non-finite" => options.skip_non_finite = true,
                other => {
                    return Err(format!(
                        "expected options full, trace or skip-non-finite, found {other:?}"
                    ));
                }
            }
        }
        Ok(options)
    }

    fn scatter_kind(self) -> ScatterKind {
        match self.full_scatter {
            true => ScatterKind::Full,
            false => ScatterKind::Trace,
        }
    }
}

#[derive(Debug)]
enum Numbers {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// Rows that wait.
#[derive(Debug)]
struct Pending {
    numbers: Numbers,
    sets: Vec<LabelSet>,
    /// Which row of the input each is, for messages.
    rows: Vec<u64>,
}

/// One group.
#[derive(Debug, Default)]
pub(super) struct Group {
    statistics: Option<StatisticsFile>,
    pending: Option<Pending>,
    allocated: usize,
}

/// Rows of a batch that belong together.
pub(super) struct Samples<'a> {
    pub(super) numbers: FeatureSlice<'a>,
    pub(super) dim: usize,
    pub(super) num_classes: usize,
    /// Number of rows that came before the batch.
    pub(super) first: u64,
    pub(super) options: Options,
    /// Number of groups, which share the room for rows that wait.
    pub(super) num_groups: usize,
}

impl Samples<'_> {
    fn room(&self) -> usize {
        (PENDING_BYTES_OF_ALL / self.num_groups.max(1)).min(PENDING_BYTES)
    }
}

impl Group {
    /// Takes one row of a batch.
    pub(super) fn push(&mut self, samples: &Samples<'_>, row: usize, set: LabelSet) -> Result<()> {
        self.check(samples)?;
        let range = row * samples.dim..(row + 1) * samples.dim;
        let is_f64 = matches!(samples.numbers, FeatureSlice::F64(_));
        if self
            .pending
            .as_ref()
            .is_some_and(|p| matches!(p.numbers, Numbers::F64(_)) != is_f64)
        {
            self.flush(samples.options)?;
        }
        let pending = self.pending.get_or_insert_with(|| Pending {
            numbers: match is_f64 {
                true => Numbers::F64(Vec::new()),
                false => Numbers::F32(Vec::new()),
            },
            sets: Vec::new(),
            rows: Vec::new(),
        });
        match (&mut pending.numbers, samples.numbers) {
            (Numbers::F32(kept), FeatureSlice::F32(new)) => kept.extend_from_slice(&new[range]),
            (Numbers::F64(kept), FeatureSlice::F64(new)) => kept.extend_from_slice(&new[range]),
            (Numbers::F32(kept), FeatureSlice::F16(new)) => {
                kept.extend(new[range].iter().map(|number| number.to_f32()));
            }
            _ => return Err("expected features of 16, 32 or 64 bit floating point".into()),
        }
        pending.sets.push(set);
        pending.rows.push(samples.first + row as u64);
        let full = pending.sets.len() * samples.dim * size_of::<f32>() >= samples.room();
        if full || pending.sets.len() >= PENDING_ROWS {
            self.flush(samples.options)?;
        }
        Ok(())
    }

    /// Takes a whole batch; the rows are absorbed where they lie if they are many.
    pub(super) fn push_all(&mut self, samples: &Samples<'_>, sets: Vec<LabelSet>) -> Result<()> {
        const MANY: usize = 256;
        self.check(samples)?;
        if sets.len() < MANY || samples.options.skip_non_finite {
            for (row, set) in sets.into_iter().enumerate() {
                self.push(samples, row, set)?;
            }
            return Ok(());
        }
        self.flush(samples.options)?;
        let targets = Targets::new(samples.num_classes, sets).map_err(|error| error.to_string())?;
        let view =
            DenseView::new(samples.numbers, samples.dim).map_err(|error| error.to_string())?;
        let statistics = self.statistics_of(samples);
        statistics
            .update_view(FeaturesView::Dense(view), &targets)
            .map_err(|error| error.at_row(samples.first as usize).to_string())?;
        self.measure();
        Ok(())
    }

    /// Refuses rows of another dimension or number of classes, and makes the state on first sight.
    fn check(&mut self, samples: &Samples<'_>) -> Result<()> {
        let statistics = self.statistics_of(samples);
        let (dim, num_classes) = (statistics.dim(), statistics.num_classes());
        if dim != samples.dim {
            return Err(format!(
                "expected features of {dim} numbers as in other rows, found {}; features of several \
                 layers need a column or folder that tells them apart",
                samples.dim
            ));
        }
        if num_classes != samples.num_classes {
            return Err(format!(
                "expected {num_classes} classes as in other rows, found {}",
                samples.num_classes
            ));
        }
        Ok(())
    }

    fn statistics_of(&mut self, samples: &Samples<'_>) -> &mut Statistics {
        let file = self.statistics.get_or_insert_with(|| StatisticsFile {
            statistics: Statistics::with_scatter(
                samples.num_classes,
                samples.dim,
                samples.options.scatter_kind(),
            ),
            classifier: None,
        });
        &mut file.statistics
    }

    /// Absorbs the rows that wait.
    pub(super) fn flush(&mut self, options: Options) -> Result<()> {
        let (Some(mut pending), Some(file)) = (self.pending.take(), self.statistics.as_mut())
        else {
            return Ok(());
        };
        let statistics = &mut file.statistics;
        let dim = statistics.dim();
        if options.skip_non_finite {
            pending.leave_out_non_finite(dim);
        }
        let sets = std::mem::take(&mut pending.sets);
        let targets =
            Targets::new(statistics.num_classes(), sets).map_err(|error| error.to_string())?;
        let done = match &pending.numbers {
            Numbers::F32(numbers) => statistics.update(numbers, &targets),
            Numbers::F64(numbers) => statistics.update(numbers, &targets),
        };
        done.map_err(|error| pending.with_row(error).to_string())?;
        statistics.release();
        self.measure();
        Ok(())
    }

    /// Absorbs the state of another part.
    pub(super) fn merge(&mut self, bytes: &[u8]) -> Result<()> {
        let other = StatisticsFile::from_bytes(bytes).map_err(|error| error.to_string())?;
        match &mut self.statistics {
            None => self.statistics = Some(other),
            Some(own) => own.merge(&other).map_err(|error| error.to_string())?,
        }
        if let Some(file) = &mut self.statistics {
            file.statistics.release();
        }
        self.measure();
        Ok(())
    }

    /// The bytes of the state; nothing without a sample seen.
    pub(super) fn into_bytes(mut self, options: Options) -> Result<Option<Vec<u8>>> {
        self.flush(options)?;
        Ok(self.statistics.map(|file| file.to_bytes()))
    }

    fn measure(&mut self) {
        let file = self.statistics.as_ref();
        self.allocated = file.map_or(0, |file| file.statistics.allocated_bytes());
    }

    /// The bytes that are allocated.
    pub(super) fn allocated_bytes(&self) -> usize {
        let pending = self.pending.as_ref().map_or(0, Pending::allocated_bytes);
        size_of::<Self>() + self.allocated + pending
    }
}

impl Pending {
    fn allocated_bytes(&self) -> usize {
        const SET_BYTES: usize = 16;
        let numbers = match &self.numbers {
            Numbers::F32(numbers) => numbers.capacity() * size_of::<f32>(),
            Numbers::F64(numbers) => numbers.capacity() * size_of::<f64>(),
        };
        let sets = self.sets.capacity() * (size_of::<LabelSet>() + SET_BYTES);
        numbers + sets + self.rows.capacity() * size_of::<u64>()
    }

    fn leave_out_non_finite(&mut self, dim: usize) {
        let keeps: Vec<bool> = match &self.numbers {
            Numbers::F32(numbers) => numbers
                .chunks_exact(dim)
                .map(|row| row.iter().all(|n| n.is_finite()))
                .collect(),
            Numbers::F64(numbers) => numbers
                .chunks_exact(dim)
                .map(|row| row.iter().all(|n| n.is_finite()))
                .collect(),
        };
        if keeps.iter().all(|&keep| keep) {
            return;
        }
        let of_number = |place: usize| keeps[place / dim];
        match &mut self.numbers {
            Numbers::F32(numbers) => retain(numbers, of_number),
            Numbers::F64(numbers) => retain(numbers, of_number),
        }
        retain(&mut self.sets, |row| keeps[row]);
        retain(&mut self.rows, |row| keeps[row]);
    }

    /// The error with the row of the input in the place of that of the block.
    fn with_row(&self, error: tagwise::Error) -> tagwise::Error {
        match error {
            tagwise::Error::NotFinite {
                what,
                row,
                column,
                value,
            } => tagwise::Error::NotFinite {
                what,
                row: self.rows.get(row).map_or(row, |&row| row as usize),
                column,
                value,
            },
            other => other,
        }
    }
}

fn retain<T>(list: &mut Vec<T>, keep: impl Fn(usize) -> bool) {
    let mut place = 0;
    list.retain(|_| {
        place += 1;
        keep(place - 1)
    });
}
