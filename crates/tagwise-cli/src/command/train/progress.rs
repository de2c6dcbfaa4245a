//! The live display of a run on stderr: a bar on a terminal, a line per epoch elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tagwise_train::{EpochRecord, Progress, Run};

/// Shows what a run reports.
pub struct Display {
    mode: Mode,
}

enum Mode {
    Quiet,
    Lines,
    Bar(ProgressBar),
}

impl Display {
    /// A bar when stderr is a terminal, plain lines when it is not, nothing when `quiet`.
    pub fn new(quiet: bool) -> Self {
        let mode = if quiet {
            Mode::Quiet
        } else if stderr().is_terminal() {
            let style = ProgressStyle::with_template("{prefix} [{bar:24}] {pos}/{len}  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
            Mode::Bar(ProgressBar::new(0).with_style(style))
        } else {
            Mode::Lines
        };
        Self { mode }
    }

    /// Says what is about to be trained, and the epochs that are done already.
    pub fn start(&self, run: &mut Run) {
        self.line(&run.description());
        self.line(HEADER);
        for record in run.records() {
            self.line(&epoch_line(record, run.experiment().training.epochs));
        }
    }

    /// Shows one event.
    pub fn show(&self, event: &Progress<'_>) {
        match *event {
            Progress::Batch {
                epoch,
                epochs,
                batch,
                batches,
                loss,
                images_per_second,
                remaining,
            } => {
                if let Mode::Bar(bar) = &self.mode {
                    bar.set_prefix(format!("epoch {epoch}/{epochs}"));
                    bar.set_length(batches as u64);
                    bar.set_position(batch as u64);
                    bar.set_message(format!(
                        "loss {loss:.4}  {images_per_second:.0} images/s  ETA {}",
                        clock(remaining)
                    ));
                }
            }
            Progress::Measuring => {
                if let Mode::Bar(bar) = &self.mode {
                    bar.set_message("measuring collapse");
                }
            }
            Progress::Epoch { record, epochs } => self.line(&epoch_line(record, epochs)),
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
                // A closed stderr must not end the training.
                let _ = writeln!(stderr(), "{text}");
            }
            Mode::Bar(bar) => bar.println(text),
        }
    }
}

const HEADER: &str =
    "  epoch    loss  images/s      NC1   NC2(W)   NC2(H)      NC3     NC_2  val. exact";

/// One epoch as a row under [`HEADER`].
fn epoch_line(record: &EpochRecord, epochs: usize) -> String {
    let or_dash = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_string(), |value| format!("{value:.digits$}"))
    };
    let measured = record.measured.as_ref();
    let collapse = measured.map(|measured| &measured.collapse);
    format!(
        "{:>7} {:>7} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>11}",
        format!("{}/{epochs}", record.epoch),
        or_dash(record.loss, 4),
        or_dash(record.images_per_second, 0),
        or_dash(collapse.and_then(|c| c.nc1.get(&1)?.value), 4),
        or_dash(collapse.and_then(|c| c.nc2.classifier), 4),
        or_dash(collapse.and_then(|c| c.nc2.centred_means), 4),
        or_dash(collapse.and_then(|c| c.nc3), 4),
        or_dash(collapse.and_then(|c| c.nc_m.get(&2)?.uniform.value), 4),
        or_dash(measured.and_then(|m| m.validation.subset_accuracy), 4),
    )
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
    fn durations_read_as_clocks() {
        assert_eq!(clock(Duration::from_secs(7)), "0:07");
        assert_eq!(clock(Duration::from_secs(3 * 3600 + 65)), "3:01:05");
    }
}
