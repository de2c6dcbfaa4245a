//! What a convolution writes: whole images, each worked on as soon as it is complete.

use rayon::prelude::*;

use super::Precision;
use crate::bf16::Element;
use crate::buffer::ViewMut;

/// Whether a kernel replaces its output or adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Replace,
    Add,
}

/// The images that a convolution writes, `[B, h, w, pitch]`.
pub(crate) struct Output<'a> {
    numbers: ViewMut<'a>,
    pub write: Write,
    epilogue: Option<Epilogue<'a>>,
}

/// Work on every image right after it was written, while it is in a cache: it may change the image
/// and leaves sums over it.
pub(crate) struct Epilogue<'a> {
    /// `[B, sums_len]`
    pub sums: &'a mut [f64],
    pub sums_len: usize,
    pub finish: &'a Finish<'a>,
}

/// Takes the index of an image in the batch, the image and its sums.
pub(crate) type Finish<'a> = dyn Fn(usize, ViewMut<'_>, &mut [f64]) + Sync + 'a;

impl<'a> Output<'a> {
    pub(crate) fn new(numbers: ViewMut<'a>, write: Write) -> Self {
        Self {
            numbers,
            write,
            epilogue: None,
        }
    }

    /// The same output with work to follow on every image.
    pub(crate) fn followed_by(self, epilogue: Epilogue<'a>) -> Self {
        Self {
            epilogue: Some(epilogue),
            ..self
        }
    }

    pub(crate) fn precision(&self) -> Precision {
        self.numbers.precision()
    }

    /// Calls `write` in parallel with every `images` images of the batch and the index of the
    /// first, each call followed by the epilogue.
    pub(crate) fn for_each_group(
        self,
        batch: usize,
        image_len: usize,
        images: usize,
        write: impl Fn(usize, ViewMut<'_>) + Sync,
    ) {
        let groups = Groups {
            batch,
            image_len,
            images,
        };
        match self.numbers {
            ViewMut::F32(numbers) => groups.write(numbers, self.epilogue, write),
            ViewMut::Bf16(numbers) => groups.write(numbers, self.epilogue, write),
        }
    }
}

/// How the images of a batch are shared out.
struct Groups {
    batch: usize,
    image_len: usize,
    /// Images of a group.
    images: usize,
}

impl Groups {
    fn write<E: Element>(
        &self,
        numbers: &mut [E],
        epilogue: Option<Epilogue<'_>>,
        write: impl Fn(usize, ViewMut<'_>) + Sync,
    ) {
        let (image_len, images) = (self.image_len, self.images);
        let groups = numbers[..self.batch * image_len]
            .par_chunks_mut(images * image_len)
            .enumerate();
        let Some(epilogue) = epilogue else {
            groups
                .with_max_len(1)
                .for_each(|(index, group)| write(index * images, E::view_mut(group)));
            return;
        };
        let Epilogue {
            sums,
            sums_len,
            finish,
        } = epilogue;
        groups
            .zip(sums[..self.batch * sums_len].par_chunks_mut(images * sums_len))
            .with_max_len(1)
            .for_each(|((index, group), sums)| {
                write(index * images, E::view_mut(group));
                let sums = sums.chunks_exact_mut(sums_len);
                for (i, (image, sums)) in group.chunks_exact_mut(image_len).zip(sums).enumerate() {
                    finish(index * images + i, E::view_mut(image), sums);
                }
            });
    }
}
