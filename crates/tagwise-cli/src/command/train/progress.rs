//! The live display of a run on stderr: a bar on a terminal, lines elsewhere.

use std::cell::Cell;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tagwise::collapse::CollapseMetric;
use tagwise::form::Form;
use tagwise_train::{EpochRecord, Event, Run, Step};

use crate::terminal::{plain, plain_json, tell};

/// Where there is no bar, an epoch under way shows itself this often.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Events as JSON show steps this often.
const JSON_EVERY: Duration = Duration::from_millis(250);

/// For whom progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// For a person: a bar on a terminal, lines elsewhere
    Auto,
    /// For another program: a JSON object for each event, one a line
    Json,
}

/// Shows what a run reports.
pub struct Display {
    mode: Mode,
    /// Multiplicity whose NC_m has a column, once the first record is known.
    multiplicity: Cell<usize>,
    columns: Vec<Column>,
    last_line: Cell<Instant>,
    remaining: Cell<Option<Duration>>,
}

enum Mode {
    Quiet,
    /// A line of JSON for each event.
    Json,
    Lines,
    Bar(ProgressBar),
}

impl Display {
    /// A bar when stderr is a terminal that can draw one, plain lines when it is not, nothing
    /// when `quiet`; a line of JSON for each event when they are for another program.
    pub fn new(quiet: bool, progress: Progress) -> Self {
        let bar = || {
            let style = ProgressStyle::with_template("{prefix} [{bar:24}] {pos}/{len}  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
            ProgressBar::new(0).with_style(style)
        };
        let mode = if progress == Progress::Json {
            Mode::Json
        } else if quiet {
            Mode::Quiet
        } else if !stderr().is_terminal() {
            Mode::Lines
        } else {
            // A dumb terminal gets a bar that hides itself, and would show nothing at all.
            match bar() {
                bar if bar.is_hidden() => Mode::Lines,
                bar => Mode::Bar(bar),
            }
        };
        Self {
            mode,
            multiplicity: Cell::new(2),
            columns: columns_within(terminal_width()),
            last_line: Cell::new(Instant::now()),
            remaining: Cell::new(None),
        }
    }

    /// Says what takes the time before there is a run.
    pub fn preparing(&self, what: &str) {
        self.line(what);
    }

    /// Says what a user may not have expected.
    pub fn warn(&self, what: &str) {
        self.line(&format!("warning: {what}"));
    }

    /// Says what is about to be trained, and the epochs that are done already.
    pub fn start(&self, run: &Run) -> anyhow::Result<()> {
        if let Mode::Json = self.mode {
            let experiment = run.experiment();
            let folder = run
                .folder()
                .map(|folder| folder.path().display().to_string());
            self.event(
                "start",
                json!({
                    "name": experiment.name,
                    "seed": experiment.seed,
                    "epochs": experiment.training.epochs,
                    "images": run.data().train.len(),
                    "folder": folder,
                }),
            );
            let records = run.records().iter();
            records.for_each(|record| self.json_epoch(record));
            return Ok(());
        }
        self.line(&run.description()?);
        let multiplicities = run.records().iter().find_map(|record| {
            let nc_m = &record.measured.as_ref()?.collapse.nc_m;
            nc_m.keys().max().copied()
        });
        self.multiplicity.set(multiplicities.unwrap_or(2));
        self.line(&self.header());
        let epochs = run.experiment().training.epochs;
        for record in run.records() {
            self.line(&self.epoch_line(record, epochs));
        }
        Ok(())
    }

    /// Shows one event.
    pub fn show(&self, event: &Event<'_>) {
        if let Mode::Json = self.mode {
            return self.json(event);
        }
        match event {
            Event::Step(step) => self.show_step(step),
            Event::Measuring => {
                if let Mode::Bar(bar) = &self.mode {
                    bar.set_message("measuring collapse");
                }
            }
            Event::Measured(_) => {}
            Event::Epoch { record, epochs } => self.line(&self.epoch_line(record, *epochs)),
        }
    }

    /// Steps as often as a reader can follow, and every epoch.
    fn json(&self, event: &Event<'_>) {
        match event {
            Event::Step(step) => {
                if step.step < step.steps && self.last_line.get().elapsed() < JSON_EVERY {
                    return;
                }
                self.last_line.set(Instant::now());
                self.event(
                    "step",
                    json!({
                        "epoch": step.epoch,
                        "epochs": step.epochs,
                        "step": step.step,
                        "steps": step.steps,
                        "loss": step.loss,
                        "mean_loss": step.mean_loss,
                        "learning_rate": step.learning_rate,
                        "images_per_second": step.images_per_second,
                        "remaining_seconds": step.remaining.as_secs_f64(),
                    }),
                );
            }
            Event::Measuring => self.event("measuring", json!({})),
            Event::Measured(_) => {}
            Event::Epoch { record, .. } => self.json_epoch(record),
        }
    }

    fn json_epoch(&self, record: &EpochRecord) {
        let figures = record.figures().into_iter();
        let figures: serde_json::Map<String, Value> =
            std::iter::once(("epoch".into(), record.epoch.into()))
                .chain(figures.map(|(name, value)| (name, json!(value))))
                .collect();
        self.event("epoch", Value::Object(figures));
    }

    /// One line: the version, what it is about, and the rest.
    fn event(&self, name: &str, rest: Value) {
        let mut line = serde_json::Map::new();
        line.insert("version".into(), Form::Answer.version().into());
        line.insert("event".into(), name.into());
        if let Value::Object(rest) = rest {
            line.extend(rest);
        }
        tell!("{}", plain_json(&Value::Object(line).to_string()));
    }

    fn show_step(&self, step: &Step) {
        let Step {
            epoch,
            epochs,
            step,
            steps,
            mean_loss,
            images_per_second,
            remaining,
            ..
        } = *step;
        self.remaining.set(Some(remaining));
        let state = format!(
            "loss {mean_loss:.4}  {images_per_second:.0} images/s  ETA {}",
            clock(remaining)
        );
        match &self.mode {
            Mode::Quiet | Mode::Json => {}
            Mode::Bar(bar) => {
                bar.set_prefix(format!("epoch {epoch}/{epochs}"));
                bar.set_length(steps as u64);
                bar.set_position(step as u64);
                bar.set_message(state);
            }
            Mode::Lines if self.last_line.get().elapsed() >= LINE_EVERY => self.line(&format!(
                "epoch {epoch}/{epochs}, batch {step}/{steps}: {state}"
            )),
            Mode::Lines => {}
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Mode::Bar(bar) = &self.mode {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.mode {
            Mode::Quiet => {}
            Mode::Json => self.event("message", json!({ "text": text })),
            Mode::Lines => {
                tell!("{text}");
                self.last_line.set(Instant::now());
            }
            Mode::Bar(bar) => bar.println(plain(text)),
        }
    }

    /// One epoch as a row under the header.
    fn epoch_line(&self, record: &EpochRecord, epochs: usize) -> String {
        let or_dash = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".to_string(), |value| format!("{value:.digits$}"))
        };
        let measured = record.measured.as_ref();
        let cells = self.columns.iter().map(|column| {
            let text = match column.of {
                Of::Epoch => format!("{}/{epochs}", record.epoch),
                Of::Loss => or_dash(record.loss, 4),
                Of::Speed => or_dash(record.images_per_second, 0),
                Of::Metric(metric) => {
                    let metric = self.of_multiplicity(metric);
                    or_dash(measured.and_then(|m| metric.value(&m.collapse)), 4)
                }
                Of::Exact => or_dash(measured.and_then(|m| m.validation.subset_accuracy), 4),
                Of::Remaining => self.remaining.get().map_or_else(|| "-".to_string(), clock),
            };
            format!("{text:>0$}", column.width)
        });
        cells.collect::<Vec<_>>().join(" ")
    }

    fn header(&self) -> String {
        let names = self.columns.iter().map(|column| {
            let name = match column.of {
                Of::Metric(metric) => self.of_multiplicity(metric).column(),
                _ => column.name.to_string(),
            };
            format!("{name:>0$}", column.width)
        });
        names.collect::<Vec<_>>().join(" ")
    }

    /// The metric of the multiplicity that the run has most labels of.
    fn of_multiplicity(&self, metric: CollapseMetric) -> CollapseMetric {
        match metric {
            CollapseMetric::NcM { .. } => CollapseMetric::NcM {
                multiplicity: self.multiplicity.get(),
            },
            other => other,
        }
    }
}

/// A column of the table of epochs.
#[derive(Clone, Copy, Debug)]
struct Column {
    of: Of,
    name: &'static str,
    width: usize,
    /// Columns of a small number stay longest where there is little room.
    rank: usize,
}

#[derive(Clone, Copy, Debug)]
enum Of {
    Epoch,
    Loss,
    Speed,
    Metric(CollapseMetric),
    Exact,
    Remaining,
}

/// As many columns as have room, in their order.
fn columns_within(width: usize) -> Vec<Column> {
    let column = |of, name, width, rank| Column {
        of,
        name,
        width,
        rank,
    };
    let mut columns = vec![
        column(Of::Epoch, "epoch", 7, 0),
        column(Of::Loss, "loss", 7, 1),
        column(Of::Speed, "images/s", 9, 9),
    ];
    let ranks = [3, 7, 6, 5, 4]; // NC1 and NC_m before the frames
    let metrics = CollapseMetric::of_paper([2]).into_iter().zip(ranks);
    columns.extend(metrics.map(|(metric, rank)| column(Of::Metric(metric), "", 8, rank)));
    columns.push(column(Of::Exact, "val. exact", 11, 2));
    columns.push(column(Of::Remaining, "ETA", 8, 8));
    let taken = |columns: &[Column]| columns.iter().map(|column| column.width + 1).sum::<usize>();
    // The last column ends without a space behind it.
    while taken(&columns) > width.saturating_add(1) && columns.len() > 1 {
        let least = columns.iter().map(|column| column.rank).max();
        columns.retain(|column| Some(column.rank) != least);
    }
    columns
}

/// Columns of the terminal on stderr; a file or a pipe takes lines of any length.
fn terminal_width() -> usize {
    match stderr().is_terminal() {
        true => {
            terminal_size::terminal_size_of(stderr()).map_or(80, |(width, _)| usize::from(width.0))
        }
        false => usize::MAX,
    }
}

/// A duration as `m:ss` or `h:mm:ss`.
fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn display(width: usize) -> Display {
        Display {
            mode: Mode::Quiet,
            multiplicity: Cell::new(2),
            columns: columns_within(width),
            last_line: Cell::new(Instant::now()),
            remaining: Cell::new(None),
        }
    }

    #[test]
    fn narrow_terminals_have_fewer_columns() {
        assert_eq!(
            display(80).header(),
            "  epoch    loss      NC1   NC2(W)   NC2(H)      NC3     NC_2  val. exact"
        );
        assert_eq!(display(40).header(), "  epoch    loss      NC1  val. exact");
        let record = EpochRecord {
            epoch: 20,
            seconds: 1.0,
            images_per_second: Some(12_345.6),
            learning_rate: Some(0.1),
            loss: Some(12.345_67),
            measured: None,
        };
        for width in 0..120 {
            let display = display(width);
            for line in [display.header(), display.epoch_line(&record, 100)] {
                assert!(line.len() <= width.max(8), "{width}: {line}");
            }
        }
    }

    #[test]
    fn the_header_names_the_metrics_of_the_paper() {
        assert_eq!(
            display(usize::MAX).header(),
            "  epoch    loss  images/s      NC1   NC2(W)   NC2(H)      NC3     NC_2  val. exact      ETA"
        );
    }

    #[test]
    fn durations_read_as_clocks() {
        assert_eq!(clock(Duration::from_secs(7)), "0:07");
        assert_eq!(clock(Duration::from_secs(3 * 3600 + 65)), "3:01:05");
    }
}
