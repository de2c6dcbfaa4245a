//! Images composed of several single-label images: M-lab digits, M-lab MNIST, M-lab CIFAR-10.
//!
//! A composed image is a black canvas on which one source image per label is placed; where they
//! overlap the brighter pixel wins. Which images, where and how far shifted is planned once from
//! a seed (8 bytes per placed image), so any image can be composed at any time, by any thread,
//! with the same bytes.

mod plan;
mod spec;

use std::sync::Arc;

use rayon::prelude::*;
use tagwise_base::Targets;

use crate::{ImageShape, LabelledImages, Result, Sources};
use plan::Piece;

pub use spec::{ComposeSpec, LabelSetCount, MAX_LABELS, Placement};

/// A multi-label data set whose images are composed when they are asked for.
///
/// Samples are ordered by label set, in the order of [`Targets::distinct`]. Within one label set
/// no source image is used twice for the same label before all were used once.
///
/// ```
/// use tagwise_data::{ComposeSpec, ComposedImages, Sources, digits};
///
/// let digits = Sources::all(digits::load());
/// let spec = ComposeSpec { per_multiplicity: vec![20, 4, 1], ..ComposeSpec::default() };
/// let images = ComposedImages::new(&digits, &spec, 0)?;
/// assert_eq!(images.len(), 10 * 20 + 45 * 4 + 120);
///
/// let mut batch = vec![0.0; 2 * images.shape().num_elements()]; // [2, 16, 16, 1]
/// images.compose_batch_into(&[5, 399], &mut batch);
/// assert!(batch.iter().all(|v| (0.0..=1.0).contains(v)));
/// # Ok::<(), tagwise_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ComposedImages {
    images: Arc<LabelledImages>,
    shape: ImageShape,
    targets: Targets,
    pieces: Vec<Piece>,
    first_piece: Vec<u32>,
}

impl ComposedImages {
    /// Plans the data set that `spec` describes from these sources.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a specification that cannot be placed,
    /// [`Error::NoSourceImage`](crate::Error::NoSourceImage) when a class that is asked for has no source image.
    pub fn new(sources: &Sources, spec: &ComposeSpec, seed: u64) -> Result<Self> {
        let counts = spec.counts(sources.images().num_classes())?;
        let layout = spec.layout(sources.images().shape(), &counts)?;
        let plan = plan::draw(sources, &counts, &layout, seed)?;
        Ok(Self {
            images: Arc::clone(sources.images()),
            shape: layout.canvas(),
            targets: plan.targets,
            pieces: plan.pieces,
            first_piece: plan.first_piece,
        })
    }

    /// Number of samples N.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The shape of a composed image.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// The label set of each sample.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Composes one image with values from 0 to 1, without allocating.
    ///
    /// # Shapes
    /// `canvas` is `[height, width, channels]`.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len) or `canvas` is not one image long.
    pub fn compose_into(&self, index: usize, canvas: &mut [f32]) {
        let white = f32::from(self.images.white());
        canvas.fill(0.0);
        self.place_pieces(index, canvas, |value, pixel| {
            *value = value.max(f32::from(pixel) / white);
        });
    }

    /// Composes one image with the pixel values of its sources, without allocating.
    ///
    /// # Shapes
    /// `canvas` is `[height, width, channels]`; [`white`](Self::white) stands for 1.0.
    ///
    /// # Panics
    /// As [`compose_into`](Self::compose_into).
    pub fn compose_bytes_into(&self, index: usize, canvas: &mut [u8]) {
        canvas.fill(0);
        self.place_pieces(index, canvas, |value, pixel| *value = pixel.max(*value));
    }

    /// Bytes that the plan and the source images take in memory.
    pub fn num_bytes(&self) -> usize {
        let images = &self.images;
        std::mem::size_of_val(self.pieces.as_slice())
            + std::mem::size_of_val(self.first_piece.as_slice())
            + std::mem::size_of_val(self.targets.set_ids())
            + images.len() * images.shape().num_elements()
    }

    /// The pixel value that stands for 1.0.
    pub fn white(&self) -> u8 {
        self.images.white()
    }

    /// Composes a batch, in parallel.
    ///
    /// # Shapes
    /// `batch` is `[B, height, width, channels]` for B indices.
    ///
    /// # Panics
    /// When an index is not below [`len`](Self::len) or `batch` is not B images long.
    pub fn compose_batch_into(&self, indices: &[usize], batch: &mut [f32]) {
        assert_eq!(
            batch.len(),
            indices.len() * self.shape.num_elements(),
            "a batch of images"
        );
        batch
            .par_chunks_exact_mut(self.shape.num_elements())
            .zip(indices)
            .for_each(|(canvas, &index)| self.compose_into(index, canvas));
    }

    /// The source images of one sample with the label of each: positions in
    /// [`Sources::images`], in the order of the labels.
    pub fn sources_of(&self, index: usize) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.pieces_of(index)
            .iter()
            .map(|piece| piece.source as usize)
    }

    fn pieces_of(&self, index: usize) -> &[Piece] {
        &self.pieces[self.first_piece[index] as usize..self.first_piece[index + 1] as usize]
    }

    /// Puts the source images on the canvas by pixelwise maximum, which `brighten` takes; what
    /// leaves the canvas on the right or below enters again on the other side.
    fn place_pieces<T>(&self, index: usize, canvas: &mut [T], brighten: impl Fn(&mut T, u8)) {
        assert_eq!(
            canvas.len(),
            self.shape.num_elements(),
            "one image of {:?}",
            self.shape
        );
        let source = self.images.shape();
        let row_len = source.width * source.channels;
        let canvas_row_len = self.shape.width * self.shape.channels;
        let brighten_row = |values: &mut [T], pixels: &[u8]| {
            for (value, &pixel) in values.iter_mut().zip(pixels) {
                brighten(value, pixel);
            }
        };
        for piece in self.pieces_of(index) {
            let first = usize::from(piece.column) * source.channels;
            let before_edge = row_len.min(canvas_row_len - first);
            let pixels = self.images.pixels(piece.source as usize);
            for (r, pixels) in pixels.chunks_exact(row_len).enumerate() {
                let row = (usize::from(piece.row) + r) % self.shape.height;
                let canvas = &mut canvas[row * canvas_row_len..][..canvas_row_len];
                brighten_row(&mut canvas[first..], &pixels[..before_edge]);
                brighten_row(canvas, &pixels[before_edge..]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
