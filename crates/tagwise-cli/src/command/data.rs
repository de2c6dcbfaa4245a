//! `tagwise data`: fetch data sets, compose them for other tools, look at them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Context;
use clap::builder::PossibleValue;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use tagwise::words::counted;
use tagwise_data::read::Part;
use tagwise_data::{
    ComposeSpec, ComposedImages, Counts, ImageSet, Images, Placement, Source, data_folder, export,
    preview,
};

use super::values::whole;
use crate::failure::Usage;
use crate::output;
use crate::outputs::Files;

#[cfg(feature = "fetch")]
mod fetch;

/// Fetch data sets, compose them for other tools, look at them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "fetch")]
    Fetch(fetch::Arguments),
    Compose(ComposeArguments),
    Preview(PreviewArguments),
}

const EXAMPLES: &str = "Examples:
  tagwise data preview digits --out digits.png
  tagwise data compose digits --out digits-train.safetensors";

const COMPOSE_EXAMPLES: &str = "Examples:
  tagwise data compose digits --out digits-train.safetensors
  tagwise data compose mnist --part test --pair-tiers 500,50,5 --out test.safetensors";

const PREVIEW_EXAMPLES: &str = "Examples:
  tagwise data preview digits --out digits.png";

/// Write a multi-label data set as safetensors for other tools
///
/// The file holds `images` [N, height, width, channels] and `targets` [N, K], both of bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = COMPOSE_EXAMPLES)]
struct ComposeArguments {
    #[command(flatten)]
    what: What,

    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,

    /// Print one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

/// Draw example images with their label sets as a PNG contact sheet
#[derive(Debug, clap::Args)]
#[command(after_help = PREVIEW_EXAMPLES)]
struct PreviewArguments {
    #[command(flatten)]
    what: What,

    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,

    /// Images of each multiplicity, in a row
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=100))]
    per_row: u16,

    /// Print one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

/// Which images, and how they are composed.
#[derive(Debug, clap::Args)]
struct What {
    /// The data set
    #[arg(value_enum, value_name = "NAME")]
    name: Name,

    /// The half to draw from; no source image is in both
    #[arg(long, value_enum, default_value_t = Half::Train)]
    part: Half,

    /// The folder with the data set's files; where `tagwise data fetch` puts them when absent
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,

    /// A TOML file that says how to compose, with the fields of [data.train] in an experiment
    #[arg(long, value_name = "FILE", conflicts_with_all = ["per_multiplicity", "pair_tiers", "placement", "max_shift"])]
    spec: Option<PathBuf>,

    /// Samples of every label set with 1, 2, … labels, for example 3100,200
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    per_multiplicity: Option<Vec<usize>>,

    /// Imbalanced pairs: samples of each pair in equal tiers, for example 500,50,5
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    pair_tiers: Option<Vec<usize>>,

    /// Where on the canvas the images of the labels go
    #[arg(long, value_enum)]
    placement: Option<PlacementName>,

    /// Largest random shift in pixels
    #[arg(long, value_name = "PIXELS", value_parser = whole)]
    max_shift: Option<usize>,

    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// A data set of the table.
#[derive(Clone, Copy, Debug)]
struct Name(Source);

/// Own images have no published form to be composed or previewed.
fn is_published(source: &Source) -> bool {
    !matches!(source.entry().images, Images::Own)
}

impl ValueEnum for Name {
    fn value_variants<'a>() -> &'a [Self] {
        static NAMES: LazyLock<Vec<Name>> = LazyLock::new(|| {
            Source::ALL
                .into_iter()
                .filter(is_published)
                .map(Name)
                .collect()
        });
        &NAMES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()).help(self.0.entry().about))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Half {
    Train,
    Test,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PlacementName {
    /// Every label anywhere: position says nothing about the number of labels
    Balanced,
    /// As the paper's code places them
    Paper,
}

/// Runs `tagwise data …`.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        #[cfg(feature = "fetch")]
        Command::Fetch(arguments) => fetch::run(arguments),
        Command::Compose(arguments) => compose(arguments),
        Command::Preview(arguments) => draw(arguments),
    }
}

fn compose(arguments: &ComposeArguments) -> anyhow::Result<()> {
    arguments.what.files(&arguments.out).check()?;
    let loaded = arguments.what.load()?;
    export::write_safetensors(&loaded.images, &loaded.facts, &arguments.out)?;
    let num_bytes = std::fs::metadata(&arguments.out).map_or(0, |metadata| metadata.len());
    let line = format!(
        "{}: {}, {:.1} MB",
        arguments.out.display(),
        describe(&loaded.images),
        num_bytes as f64 / 1e6
    );
    let value = json!({
        "images": counts(&loaded.images),
        "num_bytes": num_bytes,
        "file": arguments.out,
    });
    output::outcome(arguments.json, &value, &line)
}

fn draw(arguments: &PreviewArguments) -> anyhow::Result<()> {
    arguments.what.files(&arguments.out).check()?;
    let loaded = arguments.what.load()?;
    let per_row = usize::from(arguments.per_row);
    let indices = preview::spread(loaded.images.targets(), per_row);
    let sheet = preview::contact_sheet(&loaded.images, &indices, per_row, loaded.class_names)?;
    sheet.write_png(&arguments.out)?;
    let line = format!(
        "{}: {} of {}, {} x {} pixels",
        arguments.out.display(),
        indices.len(),
        describe(&loaded.images),
        sheet.width(),
        sheet.height()
    );
    let value = json!({
        "images": counts(&loaded.images),
        "num_drawn": indices.len(),
        "width": sheet.width(),
        "height": sheet.height(),
        "file": arguments.out,
    });
    output::outcome(arguments.json, &value, &line)
}

fn counts(images: &ImageSet) -> Value {
    let (shape, targets) = (images.shape(), images.targets());
    json!({
        "num_images": images.len(),
        "shape": [shape.height, shape.width, shape.channels],
        "num_label_sets": targets.distinct().len(),
        "num_classes": targets.num_classes(),
    })
}

fn describe(images: &ImageSet) -> String {
    let (shape, targets) = (images.shape(), images.targets());
    format!(
        "{} of {} x {} x {} with {} over {}",
        counted(images.len(), "image"),
        shape.height,
        shape.width,
        shape.channels,
        counted(targets.distinct().len(), "label set"),
        counted(targets.num_classes(), "class")
    )
}

/// A data set, its class names, and what its file says about where it comes from.
struct Loaded {
    images: ImageSet,
    class_names: &'static [&'static str],
    facts: BTreeMap<String, String>,
}

impl What {
    fn files(&self, out: &Path) -> Files {
        Files::reading(&self.spec)
            .and_reading(&self.from)
            .writing("--out", Some(out))
    }

    fn load(&self) -> anyhow::Result<Loaded> {
        let mut facts = BTreeMap::from([
            ("tagwise".to_string(), env!("CARGO_PKG_VERSION").to_string()),
            ("source".to_string(), self.name.0.name().to_string()),
            ("part".to_string(), self.part.name().to_string()),
        ]);
        let source = self.name.0;
        let images = match source.entry().images {
            Images::LabelSets { read } => {
                self.refuse_composing()?;
                read(&self.folder()?, self.part.into())?.into()
            }
            _ => {
                let spec = self.compose_spec(source)?;
                facts.insert("seed".into(), self.seed.to_string());
                facts.insert("compose".into(), serde_json::to_string(&spec)?);
                facts.insert("class_names".into(), source.class_names().join(","));
                self.compose(source, &spec)?.into()
            }
        };
        Ok(Loaded {
            images,
            class_names: source.class_names(),
            facts,
        })
    }

    fn compose(&self, source: Source, spec: &ComposeSpec) -> anyhow::Result<ComposedImages> {
        let folder = match source.entry().images {
            Images::Undivided { .. } => PathBuf::new(),
            _ => self.folder()?,
        };
        let (train, test) = source.load(&folder, None, self.seed)?;
        let sources = match self.part {
            Half::Train => train,
            Half::Test => test,
        };
        Ok(ComposedImages::new(&sources, spec, self.seed)?)
    }

    /// The folder that the user names, or the one where fetched data sets are.
    fn folder(&self) -> anyhow::Result<PathBuf> {
        if let Some(folder) = &self.from {
            return Ok(folder.clone());
        }
        let folder = data_folder(self.name.0.name())?;
        if folder.is_dir() {
            return Ok(folder);
        }
        anyhow::bail!(
            "{name} is not in {}; run tagwise data fetch {name}, or name its folder with --from",
            folder.display(),
            name = self.name.0.name()
        )
    }

    fn compose_spec(&self, source: Source) -> anyhow::Result<ComposeSpec> {
        if let Some(path) = &self.spec {
            return read_spec(path);
        }
        let default = ComposeSpec::default();
        Ok(ComposeSpec {
            per_multiplicity: match &self.per_multiplicity {
                Some(counts) => counts.clone(),
                None => self.part.usual_counts(source),
            },
            pair_tiers: self.pair_tiers.clone().unwrap_or_default(),
            placement: match self.placement {
                Some(PlacementName::Paper) => Placement::Paper,
                Some(PlacementName::Balanced) => Placement::Balanced,
                None => default.placement,
            },
            max_shift: self.max_shift,
            ..default
        })
    }

    fn refuse_composing(&self) -> anyhow::Result<()> {
        let is_asked = self.spec.is_some()
            || self.per_multiplicity.is_some()
            || self.pair_tiers.is_some()
            || self.placement.is_some()
            || self.max_shift.is_some();
        match is_asked {
            false => Ok(()),
            true => Err(Usage(format!(
                "{} has label sets of its own and is not composed; leave out --spec, \
                 --per-multiplicity, --pair-tiers, --placement and --max-shift",
                self.name.0
            ))
            .into()),
        }
    }
}

fn read_spec(path: &Path) -> anyhow::Result<ComposeSpec> {
    let text = super::read_text(path).with_context(|| path.display().to_string())?;
    toml::from_str(&text).map_err(|error| {
        let message = error.message().replace('\n', " ");
        Usage(format!("{}: {message}", path.display())).into()
    })
}

impl Half {
    /// How many images of every label set of one and of two labels are composed if none are asked
    /// for.
    fn usual_counts(self, source: Source) -> Vec<usize> {
        let of_part = |counts: Counts| match self {
            Self::Train => counts.train.per_label_set,
            Self::Test => counts.test.per_label_set,
        };
        source
            .counts()
            .map_or(Vec::new(), |counts| of_part(counts).into())
    }

    fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

impl From<Half> for Part {
    fn from(half: Half) -> Self {
        match half {
            Half::Train => Self::Train,
            Half::Test => Self::Test,
        }
    }
}
