//! SVHN "format 1", house numbers in full images, cropped as in the paper.
//!
//! The label set of an image is the set of its distinct digits. As in the paper, images with a
//! 0 are left out (so label k stands for the digit k + 1), and so are images with more than three
//! distinct digits; the first 543 images of each single digit are kept, in file order.

mod boxes;
mod crop;

use std::path::Path;

use rayon::prelude::*;
use tagwise_base::{LabelSet, Targets};

use super::Part;
use crate::{Error, ImageShape, Normalisation, Result, StoredImages};

pub use boxes::{Annotation, DigitBox, read_boxes};
pub use crop::Crop;

/// Number of classes: the digits 1 to 9.
pub const NUM_CLASSES: usize = 9;

/// What the labels 0, 1, … stand for.
pub const CLASS_NAMES: [&str; NUM_CLASSES] = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// The side of a cropped image.
const SIDE: usize = 32;

/// The largest multiplicity that the paper keeps.
const MAX_MULTIPLICITY: usize = 3;

/// Images of one single digit that the paper keeps.
pub const SINGLE_DIGIT_CAP: usize = 543;

/// Reads one half of SVHN from a folder with `boxes_train.csv` or `boxes_test.csv` and the images
/// in `train/` or `test/` beside it: 26,085 and 11,273 images of 32×32 with ImageNet's
/// normalisation.
///
/// # Errors
/// [`Error::Format`] for a malformed table, a missing or foreign image; [`Error::Io`] when a file
/// cannot be read.
pub fn read(folder: &Path, part: Part) -> Result<StoredImages> {
    let name = match part {
        Part::Train => "train",
        Part::Test => "test",
    };
    let table = folder.join(format!("boxes_{name}.csv"));
    if !table.is_file() {
        return Err(Error::format(
            folder,
            format!(
                "expected boxes_{name}.csv, the table of digit boxes, found none; make it from \
                 {name}/digitStruct.mat with scripts/svhn_boxes.py"
            ),
        ));
    }
    let annotations = read_boxes(&table)?;
    let kept = paper_selection(&annotations);
    let image_len = SIDE * SIDE * 3;
    let mut pixels = vec![0; kept.len() * image_len];
    pixels
        .par_chunks_exact_mut(image_len)
        .zip(&kept)
        .try_for_each(|(pixels, &index)| -> Result<()> {
            let annotation = &annotations[index];
            let image = crop::read_cropped(&folder.join(name).join(&annotation.name), annotation)?;
            pixels.copy_from_slice(&image);
            Ok(())
        })?;
    let sets = kept.iter().map(|&index| label_set(&annotations[index]));
    StoredImages::new(
        ImageShape::new(SIDE, SIDE, 3),
        pixels,
        Targets::new(NUM_CLASSES, sets)?,
        Normalisation::imagenet(),
    )
}

/// The rows of the table that the paper uses, in order.
pub fn paper_selection(annotations: &[Annotation]) -> Vec<usize> {
    let mut singles = [0; NUM_CLASSES];
    let mut is_kept = |annotation: &Annotation| {
        if annotation.digits.iter().any(|digit| digit.digit == 0) {
            return false;
        }
        let set = label_set(annotation);
        match *set.labels() {
            [] => false,
            [label] => {
                singles[label as usize] += 1;
                singles[label as usize] <= SINGLE_DIGIT_CAP
            }
            _ => set.multiplicity() <= MAX_MULTIPLICITY,
        }
    };
    (0..annotations.len())
        .filter(|&index| is_kept(&annotations[index]))
        .collect()
}

/// The distinct digits, digit k + 1 as label k; a 0 has no label.
fn label_set(annotation: &Annotation) -> LabelSet {
    let digits = annotation.digits.iter().map(|digit| u32::from(digit.digit));
    digits.filter_map(|digit| digit.checked_sub(1)).collect()
}

#[cfg(test)]
mod tests;
