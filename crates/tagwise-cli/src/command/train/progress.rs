//! The live display of a run on stderr: a bar on a terminal, lines elsewhere.

use std::cell::Cell;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tagwise::collapse::CollapseMetric;
use tagwise_train::{EpochRecord, Event, Run, Step};

use crate::terminal::{plain, tell};

/// Where there is no bar, an epoch under way shows itself this often.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Shows what a run reports.
pub struct Display {
    mode: Mode,
    /// Multiplicity whose NC_m has a column, once the first record is known.
    multiplicity: Cell<usize>,
    last_line: Cell<Instant>,
    remaining: Cell<Option<Duration>>,
}

enum Mode {
    Quiet,
    Lines,
    Bar(ProgressBar),
}

impl Display {
    /// A bar when stderr is a terminal that can draw one, plain lines when it is not, nothing
    /// when `quiet`.
    pub fn new(quiet: bool) -> Self {
        let bar = || {
            let style = ProgressStyle::with_template("{prefix} [{bar:24}] {pos}/{len}  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
            ProgressBar::new(0).with_style(style)
        };
        let mode = if quiet {
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
        self.line(&run.description()?);
        let multiplicities = run.records().iter().find_map(|record| {
            let nc_m = &record.measured.as_ref()?.collapse.nc_m;
            nc_m.keys().max().copied()
        });
        self.multiplicity.set(multiplicities.unwrap_or(2));
        self.line(&header(self.multiplicity.get()));
        let epochs = run.experiment().training.epochs;
        for record in run.records() {
            self.line(&self.epoch_line(record, epochs));
        }
        Ok(())
    }

    /// Shows one event.
    pub fn show(&self, event: &Event<'_>) {
        match event {
            Event::Step(step) => self.show_step(step),
            Event::Measuring => {
                if let Mode::Bar(bar) = &self.mode {
                    bar.set_message("measuring collapse");
                }
            }
            Event::Epoch { record, epochs } => self.line(&self.epoch_line(record, *epochs)),
        }
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
            Mode::Quiet => {}
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
            Mode::Lines => {
                tell!("{text}");
                self.last_line.set(Instant::now());
            }
            Mode::Bar(bar) => bar.println(plain(text)),
        }
    }

    /// One epoch as a row under [`header`].
    fn epoch_line(&self, record: &EpochRecord, epochs: usize) -> String {
        let or_dash = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".to_string(), |value| format!("{value:.digits$}"))
        };
        let measured = record.measured.as_ref();
        let metrics: String = CollapseMetric::of_paper([self.multiplicity.get()])
            .into_iter()
            .map(|metric| {
                let value = measured.and_then(|measured| metric.value(&measured.collapse));
                format!(" {:>8}", or_dash(value, 4))
            })
            .collect();
        format!(
            "{:>7} {:>7} {:>9}{metrics} {:>11} {:>8}",
            format!("{}/{epochs}", record.epoch),
            or_dash(record.loss, 4),
            or_dash(record.images_per_second, 0),
            or_dash(measured.and_then(|m| m.validation.subset_accuracy), 4),
            self.remaining.get().map_or_else(|| "-".to_string(), clock),
        )
    }
}

fn header(multiplicity: usize) -> String {
    let metrics: String = CollapseMetric::of_paper([multiplicity])
        .into_iter()
        .map(|metric| format!(" {:>8}", metric.column()))
        .collect();
    format!("  epoch    loss  images/s{metrics}  val. exact      ETA")
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

    #[test]
    fn the_header_names_the_metrics_of_the_paper() {
        assert_eq!(
            header(2),
            "  epoch    loss  images/s      NC1   NC2(W)   NC2(H)      NC3     NC_2  val. exact      ETA"
        );
    }

    #[test]
    fn durations_read_as_clocks() {
        assert_eq!(clock(Duration::from_secs(7)), "0:07");
        assert_eq!(clock(Duration::from_secs(3 * 3600 + 65)), "3:01:05");
    }
}
