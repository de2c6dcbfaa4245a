//! Your own images: PNG and JPEG files and a table of what is on them.
//!
//! The table is CSV with a header (commas, semicolons or tabs; see [`table`](crate::table)). A column `file` names the images, relative to their
//! folder. Labels stand in a column `labels`, between semicolons, or each label has a column of 0
//! and 1 of its own. A column `split` may say `train`, `validation` or `test`; a part that has no
//! image there is split off the training images such that every label keeps its share.
//!
//! Or a .npz or .safetensors file holds everything: `images`, `[N, height, width]` or `[N, height,
//! width, channels]` in bytes or f32 from 0 to 1, and `targets`, as a dump of features has them.
//!
//! Images are turned as the camera says, laid over white where they are transparent, stretched or
//! shrunk to one size by Pillow's Lanczos filter, and normalised by means and deviations of the
//! training part. They are resized as they are read: beside the resized images, N·H·W·C bytes, at
//! most 125 million pixels of originals are in memory, about a gigabyte for the worst file.

mod array_file;
mod arrays;
mod division;
mod photos;
mod table;

use std::path::{Path, PathBuf};

use tagwise_base::Targets;

use crate::{Error, ImageShape, Normalisation, Result, StoredImages};
pub use arrays::{ImageArray, PixelValues, from_arrays};
use division::{Portion, divide, expect_learnable, expect_learned};
use photos::Wanted;

/// The largest height and width that images can be resized to.
pub const MAX_SIDE: usize = 4096;

/// What files of images are resized to when nothing else is asked for.
pub const DEFAULT_SHAPE: ImageShape = ImageShape::new(64, 64, 3);

/// Where own images are and what becomes of them.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnSpec {
    /// The folder of images; that of the table when absent. Or the file with arrays.
    pub folder: Option<PathBuf>,
    /// The table of labels; `labels.csv` in the folder when absent. Or the file with arrays.
    pub labels: Option<PathBuf>,
    /// The classes in their order, when a label that is none of them is a mistake; those that occur
    /// when absent.
    pub classes: Option<Vec<String>>,
    /// Rows that images are resized to; those of [`DEFAULT_SHAPE`] or of the array when absent.
    pub height: Option<usize>,
    /// Pixels in a row that images are resized to; as above when absent.
    pub width: Option<usize>,
    /// 1 for grey, 3 for colour; as above when absent.
    pub channels: Option<usize>,
    /// Share of the images kept for the test set, unless the table says which.
    pub test_fraction: f64,
    /// Share of the others kept for validation, unless the table says which.
    pub validation_fraction: f64,
}

impl Default for OwnSpec {
    fn default() -> Self {
        Self {
            folder: None,
            labels: None,
            classes: None,
            height: None,
            width: None,
            channels: None,
            test_fraction: 0.2,
            validation_fraction: 0.1,
        }
    }
}

impl OwnSpec {
    /// The shape that images of this shape, or of any, get.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a side of 0 or above [`MAX_SIDE`] and for channels other than 1 and
    /// 3.
    pub fn shape(&self, default: ImageShape) -> Result<ImageShape> {
        let shape = ImageShape {
            height: self.height.unwrap_or(default.height),
            width: self.width.unwrap_or(default.width),
            channels: self.channels.unwrap_or(default.channels),
        };
        check_shape(shape)?;
        Ok(shape)
    }
}

/// Own images, resized, divided and normalised alike.
#[derive(Clone, Debug)]
pub struct OwnImages {
    /// The name of their folder.
    pub title: String,
    /// What the labels 0, 1, … stand for.
    pub class_names: Vec<String>,
    /// What a network learns from.
    pub train: StoredImages,
    /// What thresholds and epochs are chosen on.
    pub validation: StoredImages,
    /// What it is judged on.
    pub test: StoredImages,
}

/// Reads own images.
///
/// # Errors
/// [`Error::Format`] with file and line for tables and images that are not what they should be,
/// for fewer than two labels, a label on fewer than two images or on no training image;
/// [`Error::Io`] for a table that cannot be read; [`Error::OutOfRange`] for a specification that
/// cannot be meant.
///
/// ```
/// use tagwise_data::own::{self, OwnSpec};
///
/// let folder = tempfile::tempdir()?;
/// let mut table = "file,labels\n".to_string();
/// for i in 0..20u8 {
///     let name = format!("{i}.png");
///     let mut encoder = png::Encoder::new(std::fs::File::create(folder.path().join(&name))?, 5, 4);
///     encoder.set_color(png::ColorType::Grayscale);
///     encoder.write_header()?.write_image_data(&[10 * i; 20])?;
///     table += &format!("{name},{}\n", if i < 10 { "dark" } else { "light;grey" });
/// }
/// std::fs::write(folder.path().join("labels.csv"), table)?;
///
/// let spec = OwnSpec {
///     folder: Some(folder.path().into()),
///     height: Some(8),
///     width: Some(8),
///     ..OwnSpec::default()
/// };
/// let images = own::read(&spec, 0)?;
/// assert_eq!(images.class_names, ["dark", "grey", "light"]);
/// assert_eq!(images.train.shape().num_elements(), 8 * 8 * 3);
/// assert_eq!((images.train.len(), images.validation.len(), images.test.len()), (14, 2, 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(spec: &OwnSpec, seed: u64) -> Result<OwnImages> {
    if let Some(file) = array_file::named_by(spec)? {
        return array_file::read(&file, spec, seed);
    }
    let shape = spec.shape(DEFAULT_SHAPE)?;
    let place = Place::of(spec)?;
    let table = table::read(&place.table, spec.classes.as_deref())?;
    let labelled = Labelled {
        title: place.title(),
        class_names: table.class_names,
        targets: table.targets,
        portions: table.portions,
    };
    let line = |sample: usize| format!("line {}", table.lines[sample]);
    labelled.divide(spec, seed, &place.table, &line, shape, |members| {
        let wanted = members.iter().map(|&sample| Wanted {
            file: &table.files[sample],
            line: table.lines[sample],
        });
        let wanted: Vec<Wanted<'_>> = wanted.collect();
        photos::read(&place.folder, &place.table, &wanted, shape)
    })
}

/// Reads images without a table, each `[height, width, channels]` of `shape`, in parallel.
///
/// # Errors
/// [`Error::Format`] for a file that is no PNG or JPEG image, [`Error::Io`] for one that cannot be
/// read; of several the first.
///
/// ```
/// use tagwise_data::{ImageShape, own};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("grey.png");
/// let mut encoder = png::Encoder::new(std::fs::File::create(&path)?, 5, 4);
/// encoder.set_color(png::ColorType::Grayscale);
/// encoder.write_header()?.write_image_data(&[70; 20])?;
/// let images = own::read_images(&[path], ImageShape::new(2, 3, 1))?;
/// assert_eq!(images, [vec![70; 6]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_images(paths: &[PathBuf], shape: ImageShape) -> Result<Vec<Vec<u8>>> {
    check_shape(shape)?;
    photos::read_all(paths, shape)
}

/// What is known about own images before one of them is looked at.
struct Labelled {
    title: String,
    class_names: Vec<String>,
    targets: Targets,
    portions: Option<Vec<Portion>>,
}

impl Labelled {
    /// Divides the images and takes their `pixels`, part by part; errors name `origin` and the
    /// `place` of a sample in it.
    fn divide(
        self,
        spec: &OwnSpec,
        seed: u64,
        origin: &Path,
        place: division::Place<'_>,
        shape: ImageShape,
        pixels: impl Fn(&[usize]) -> Result<Vec<u8>>,
    ) -> Result<OwnImages> {
        let wrong = |message| Error::format(origin, message);
        expect_learnable(&self.targets, &self.class_names, place).map_err(wrong)?;
        let [train, validation, test] = divide(&self.targets, self.portions, spec, seed)?;
        expect_learned(&self.targets, &train, &self.class_names).map_err(wrong)?;
        let train_pixels = pixels(&train)?;
        let normalisation = Normalisation::of(&train_pixels, shape.channels);
        let images = |members: Vec<usize>, pixels: Vec<u8>| {
            let targets = self.targets.select(members);
            StoredImages::new(shape, pixels, targets, normalisation.clone())
        };
        let (validation_pixels, test_pixels) = (pixels(&validation)?, pixels(&test)?);
        Ok(OwnImages {
            title: self.title,
            train: images(train, train_pixels)?,
            validation: images(validation, validation_pixels)?,
            test: images(test, test_pixels)?,
            class_names: self.class_names,
        })
    }
}

fn check_shape(shape: ImageShape) -> Result<()> {
    let ImageShape {
        height,
        width,
        channels,
    } = shape;
    let sides = [
        ("the height of own images", height),
        ("the width of own images", width),
    ];
    for (name, side) in sides {
        if !(1..=MAX_SIDE).contains(&side) {
            return Err(Error::OutOfRange {
                name,
                requirement: format!("from 1 to {MAX_SIDE} pixels"),
                found: side.to_string(),
            });
        }
    }
    match channels {
        1 | 3 => Ok(()),
        found => Err(Error::OutOfRange {
            name: "the channels of own images",
            requirement: "to be 1 (grey) or 3 (colour)".into(),
            found: found.to_string(),
        }),
    }
}

/// Folder and table, whichever of them is named.
struct Place {
    folder: PathBuf,
    table: PathBuf,
}

impl Place {
    fn of(spec: &OwnSpec) -> Result<Self> {
        let (folder, table) = match (&spec.folder, &spec.labels) {
            (Some(folder), Some(table)) => (folder.clone(), table.clone()),
            (Some(folder), None) => (folder.clone(), folder.join("labels.csv")),
            (None, Some(table)) => {
                let folder = table
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty());
                (
                    folder.unwrap_or(Path::new(".")).to_path_buf(),
                    table.clone(),
                )
            }
            (None, None) => {
                return Err(Error::OutOfRange {
                    name: "own images",
                    requirement: "in a folder, or with a table of labels".into(),
                    found: "neither".into(),
                });
            }
        };
        if !folder.is_dir() {
            return Err(Error::format(
                &folder,
                "expected a folder of images, found none".into(),
            ));
        }
        if !table.is_file() {
            return Err(Error::format(
                &table,
                "expected a table of labels with the columns file and labels, found no file".into(),
            ));
        }
        Ok(Self { folder, table })
    }

    /// The last part of the folder's name.
    fn title(&self) -> String {
        let full = self
            .folder
            .canonicalize()
            .unwrap_or_else(|_| self.folder.clone());
        let name = full.file_name().and_then(|name| name.to_str());
        name.unwrap_or("own images").to_string()
    }
}

#[cfg(test)]
mod tests;
