//! What a convolution writes: whole images, each worked on as soon as it is complete.

use crate::Precision;
use crate::cpu::activations::{Element, View, ViewMut};
use crate::cpu::bf16::Bf16;
use crate::cpu::buffer::ThreadBuffers;
use crate::cpu::parallel;

/// Whether a kernel replaces its output or adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Replace,
    Add,
}

/// The images that a convolution writes, `[B, h, w, pitch]`.
pub(crate) struct Output<'a> {
    target: Target<'a>,
    pub write: Write,
}

enum Target<'a> {
    Kept(ViewMut<'a>, Option<Epilogue<'a>>),
    Passing(Passage<'a>),
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

/// What becomes of images that nobody keeps: each is turned into another as soon as it is
/// complete, and its memory serves the next.
pub(crate) struct Passage<'a> {
    /// For every thread the images that it writes at a time.
    pub threads: &'a ThreadBuffers,
    /// The images that are kept, in the precision of those that pass, of `kept_len` numbers
    /// each.
    pub kept: ViewMut<'a>,
    pub kept_len: usize,
    /// Takes the index of an image in the batch, the image and the one to keep.
    pub turn: &'a (dyn Fn(usize, View<'_>, ViewMut<'_>) + Sync + 'a),
}

impl<'a> Output<'a> {
    pub(crate) fn new(numbers: ViewMut<'a>, write: Write) -> Self {
        Self {
            target: Target::Kept(numbers, None),
            write,
        }
    }

    /// The same output, which is kept, with work to follow on every image.
    pub(crate) fn followed_by(self, epilogue: Epilogue<'a>) -> Self {
        let Target::Kept(numbers, _) = self.target else {
            unreachable!("images that are not kept are turned into others instead");
        };
        Self {
            target: Target::Kept(numbers, Some(epilogue)),
            ..self
        }
    }

    /// Images that are not kept.
    pub(crate) fn passing(passage: Passage<'a>) -> Self {
        Self {
            target: Target::Passing(passage),
            write: Write::Replace,
        }
    }

    pub(crate) fn precision(&self) -> Precision {
        match &self.target {
            Target::Kept(numbers, _) => numbers.precision(),
            Target::Passing(passage) => passage.kept.precision(),
        }
    }

    /// Calls `write` in parallel with every `images` images of the batch and the index of the
    /// first, each call followed by the work on them.
    pub(crate) fn for_each_group(
        self,
        batch: usize,
        image_len: usize,
        images: usize,
        write: &(dyn Fn(usize, ViewMut<'_>) + Sync),
    ) {
        let groups = Groups {
            batch,
            image_len,
            images,
        };
        match self.target {
            Target::Kept(ViewMut::F32(numbers), epilogue) => groups.write(numbers, epilogue, write),
            Target::Kept(ViewMut::Bf16(numbers), epilogue) => {
                groups.write(numbers, epilogue, write);
            }
            Target::Passing(Passage {
                threads,
                kept,
                kept_len,
                turn,
            }) => match kept {
                ViewMut::F32(kept) => groups.pass::<f32>(threads, (kept, kept_len), turn, write),
                ViewMut::Bf16(kept) => groups.pass::<Bf16>(threads, (kept, kept_len), turn, write),
            },
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
        write: &(dyn Fn(usize, ViewMut<'_>) + Sync),
    ) {
        let (image_len, images) = (self.image_len, self.images);
        let groups = (&mut numbers[..self.batch * image_len], images * image_len);
        let Some(epilogue) = epilogue else {
            parallel::for_each_chunk(groups.0, groups.1, |index, group| {
                write(index * images, E::view_mut(group));
            });
            return;
        };
        let Epilogue {
            sums,
            sums_len,
            finish,
        } = epilogue;
        let sums = (&mut sums[..self.batch * sums_len], images * sums_len);
        parallel::for_each_two_chunks(groups, sums, |index, group, sums| {
            write(index * images, E::view_mut(group));
            let sums = sums.chunks_exact_mut(sums_len);
            for (i, (image, sums)) in group.chunks_exact_mut(image_len).zip(sums).enumerate() {
                finish(index * images + i, E::view_mut(image), sums);
            }
        });
    }

    /// Writes groups into the threads' memory and turns their images into kept ones.
    fn pass<E: Element>(
        &self,
        threads: &ThreadBuffers,
        (kept, kept_len): (&mut [E], usize),
        turn: &(dyn Fn(usize, View<'_>, ViewMut<'_>) + Sync),
        write: &(dyn Fn(usize, ViewMut<'_>) + Sync),
    ) {
        let (image_len, images) = (self.image_len, self.images);
        let kept = &mut kept[..self.batch * kept_len];
        parallel::for_each_chunk(kept, images * kept_len, |index, kept| {
            let len = kept.len() / kept_len * image_len;
            threads.with(E::lanes(len), |lanes| {
                let group = &mut E::in_lanes(lanes)[..len];
                write(index * images, E::view_mut(group));
                let kept = kept.chunks_exact_mut(kept_len);
                for (i, (image, kept)) in group.chunks_exact(image_len).zip(kept).enumerate() {
                    turn(index * images + i, E::view(image), E::view_mut(kept));
                }
            });
        });
    }
}
