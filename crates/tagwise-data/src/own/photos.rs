//! Files of images, decoded in parallel and resized as they are read.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

use rayon::prelude::*;

use crate::read::picture::{Encoded, MAX_PIXELS, read_file};
use crate::{Error, ImageShape, Result};

/// Pixels that are decoded at the same time, by all threads together: with the largest images one
/// thread works and the others wait.
const PIXELS_IN_FLIGHT: usize = MAX_PIXELS + MAX_PIXELS / 4;

/// An image to read, and what a person calls its place in the table.
pub(super) struct Wanted<'a> {
    pub(super) file: &'a str,
    pub(super) line: usize,
}

/// Reads images of `folder` that `table` lists.
///
/// # Shapes
/// Returns `[N, height, width, channels]` of `shape`.
///
/// # Errors
/// [`Error::Format`] for the first image that is missing or broken, with its file and line;
/// [`Error::OutOfRange`] when all images together do not fit into memory.
pub(super) fn read(
    folder: &Path,
    table: &Path,
    wanted: &[Wanted<'_>],
    shape: ImageShape,
) -> Result<Vec<u8>> {
    let mut pixels = room(wanted.len(), shape)?;
    let budget = PixelBudget::default();
    let first_error = pixels
        .par_chunks_exact_mut(shape.num_elements())
        .zip(wanted)
        .map(|(pixels, wanted)| {
            let path = folder.join(wanted.file);
            let image = read_one(&path, shape, &budget)
                .map_err(|error| named(error, &path, table, wanted.line))?;
            pixels.copy_from_slice(&image);
            Ok(())
        })
        .find_map_first(Result::err);
    match first_error {
        None => Ok(pixels),
        Some(error) => Err(error),
    }
}

/// Reads images that no table lists.
pub(super) fn read_all(paths: &[PathBuf], shape: ImageShape) -> Result<Vec<Vec<u8>>> {
    let budget = PixelBudget::default();
    let read = |path: &PathBuf| read_one(path, shape, &budget);
    let images: Vec<Result<Vec<u8>>> = paths.par_iter().map(read).collect();
    images.into_iter().collect()
}

/// Zeros for so many images.
pub(super) fn room(num_images: usize, shape: ImageShape) -> Result<Vec<u8>> {
    let mut pixels = Vec::new();
    let size = num_images.checked_mul(shape.num_elements());
    match size.map(|size| pixels.try_reserve_exact(size).map(|()| size)) {
        Some(Ok(size)) => {
            pixels.resize(size, 0);
            Ok(pixels)
        }
        _ => Err(Error::OutOfRange {
            name: "own images",
            requirement: "that fit into memory in the size they are resized to".into(),
            found: format!(
                "{num_images} of {} x {} x {}",
                shape.height, shape.width, shape.channels
            ),
        }),
    }
}

fn read_one(path: &Path, shape: ImageShape, budget: &PixelBudget) -> Result<Vec<u8>> {
    let bytes = read_file(path)?;
    let wrong = |message| Error::format(path, message);
    let encoded = Encoded::open(&bytes).map_err(wrong)?;
    let _taken = budget.take(encoded.num_pixels());
    Ok(encoded.decode().map_err(wrong)?.into_image(shape))
}

/// The same error with the place in the table that asks for the image.
fn named(error: Error, path: &Path, table: &Path, line: usize) -> Error {
    let message = match error {
        Error::Format { message, .. } => message,
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            "expected an image, found no such file".into()
        }
        Error::Io { source, .. } => source.to_string(),
        other => return other,
    };
    Error::format(
        path,
        format!("{message} ({}, line {line})", table.display()),
    )
}

/// How many pixels are being decoded.
#[derive(Default)]
struct PixelBudget {
    in_flight: Mutex<usize>,
    given_back: Condvar,
}

struct Taken<'a> {
    budget: &'a PixelBudget,
    num_pixels: usize,
}

impl PixelBudget {
    /// Waits until these pixels can be decoded beside the others.
    fn take(&self, num_pixels: usize) -> Taken<'_> {
        let in_flight = self
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_full = |in_flight: &mut usize| *in_flight + num_pixels > PIXELS_IN_FLIGHT;
        let mut in_flight = self
            .given_back
            .wait_while(in_flight, is_full)
            .unwrap_or_else(PoisonError::into_inner);
        *in_flight += num_pixels;
        Taken {
            budget: self,
            num_pixels,
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let in_flight = &self.budget.in_flight;
        *in_flight.lock().unwrap_or_else(PoisonError::into_inner) -= self.num_pixels;
        self.budget.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_in_flight_stay_within_the_budget() {
        let budget = PixelBudget::default();
        let most = Mutex::new(0);
        (0..64).into_par_iter().for_each(|i| {
            let _taken = budget.take(MAX_PIXELS / (1 + i % 3));
            let now = *budget.in_flight.lock().unwrap();
            let mut most = most.lock().unwrap();
            *most = now.max(*most);
        });
        assert!(*most.lock().unwrap() <= PIXELS_IN_FLIGHT);
        assert_eq!(*budget.in_flight.lock().unwrap(), 0);
    }

    #[test]
    fn more_images_than_memory_are_refused() {
        let error = room(usize::MAX / 2, ImageShape::new(64, 64, 3)).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("expected own images that fit into memory")
        );
    }
}
