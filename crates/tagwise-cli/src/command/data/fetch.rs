use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use indicatif::{ProgressBar, ProgressStyle};
use tagwise_data::fetch::{Event, fetch};
use tagwise_data::{Source, data_folder};

use crate::output;
use crate::terminal::{plain, tell};

/// Download a data set from its official place and check it
///
/// An interrupted download goes on where it ended. Files go to TAGWISE_DATA/NAME, or to
/// tagwise/NAME in the cache folder. Proxies are taken from HTTPS_PROXY and its kin.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The data set
    #[arg(value_enum, value_name = "NAME")]
    name: Name,

    /// The folder to put the files in
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,

    /// Print one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  tagwise data fetch mnist
  tagwise data fetch cifar10 --to data/cifar10";

/// A data set that is published.
#[derive(Clone, Copy, Debug)]
struct Name(Source);

impl ValueEnum for Name {
    fn value_variants<'a>() -> &'a [Self] {
        static NAMES: LazyLock<Vec<Name>> = LazyLock::new(|| {
            let published = |source: &Source| source.entry().download.is_some();
            let sources = Source::ALL.into_iter().filter(published);
            sources.map(Name).collect()
        });
        &NAMES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let download = self.0.entry().download?;
        Some(PossibleValue::new(self.0.name()).help(download.about))
    }
}

/// Fetches and prints the folder.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let source = arguments.name.0;
    let folder = match &arguments.to {
        Some(folder) => folder.clone(),
        None => data_folder(source.name())?,
    };
    let mut display = Display::new();
    let fetched = fetch(source, &folder, |event| display.show(&event));
    display.finish();
    fetched?;
    if source == Source::Svhn && !folder.join("boxes_train.csv").is_file() {
        tell!(
            "next, make the tables of digit boxes: python scripts/svhn_boxes.py {}",
            folder.display()
        );
    }
    let value = serde_json::json!({ "source": source.name(), "folder": folder });
    output::outcome(arguments.json, &value, &folder.display().to_string())
}

/// A bar on a terminal, lines elsewhere.
struct Display {
    bar: Option<ProgressBar>,
    total: Option<u64>,
    next_line: u64,
}

/// Bytes between two lines when stderr is no terminal.
const BYTES_PER_LINE: u64 = 50_000_000;

impl Display {
    fn new() -> Self {
        let style = || {
            let template = "{prefix} [{bar:24}] {bytes}/{total_bytes}  {bytes_per_sec}  ETA {eta}";
            ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ")
        };
        Self {
            bar: stderr()
                .is_terminal()
                .then(|| ProgressBar::new(0).with_style(style())),
            total: None,
            next_line: BYTES_PER_LINE,
        }
    }

    fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Present { file } => self.line(&format!("{file} is there already")),
            Event::Started {
                file,
                url,
                resumed_at,
                total,
            } => {
                let from = match resumed_at {
                    0 => String::new(),
                    bytes => format!(", from byte {bytes} on"),
                };
                self.line(&format!("{file} from {url}{from}"));
                self.total = *total;
                self.next_line = resumed_at + BYTES_PER_LINE;
                if let Some(bar) = &self.bar {
                    bar.set_prefix(file.to_string());
                    bar.set_length(total.unwrap_or(0));
                    bar.set_position(*resumed_at);
                    bar.reset_eta();
                }
            }
            Event::Advanced { done } => self.advance(*done),
            Event::Retrying { reason } => self.line(&format!("{reason}; trying again")),
            Event::Finished { file } => self.line(&format!("{file} is complete")),
            Event::Unpacking { file } => self.line(&format!("unpacking {file}")),
            _ => {}
        }
    }

    fn advance(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        } else if done >= self.next_line {
            self.next_line += BYTES_PER_LINE;
            match self.total {
                Some(total) => tell!("{} of {} MB", done / 1_000_000, total / 1_000_000),
                None => tell!("{} MB", done / 1_000_000),
            }
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(plain(text)),
            None => tell!("{text}"),
        }
    }
}
