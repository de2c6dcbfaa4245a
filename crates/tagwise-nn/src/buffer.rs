//! Memory of the CPU device: zero-initialised storage that starts on a cache line.

use std::sync::{Mutex, PoisonError};

use crate::bf16::{Bf16, Element};
use crate::kernel::Precision;

/// Bytes of a cache line, which are those of the widest vector register too.
const ALIGNMENT: usize = crate::kernel::simd::LINE;

/// Bytes of a huge page of x86-64 and of most other Linux systems.
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;

/// A fixed-length array of numbers whose first one starts a cache line.
///
/// The storage is never reallocated after `zeros`, so the offset stays right.
#[derive(Debug)]
pub(crate) struct Buffer<T = f32> {
    storage: Vec<T>,
    offset: usize,
    len: usize,
}

impl<T: Element> Buffer<T> {
    pub(crate) fn zeros(len: usize) -> Self {
        let line = ALIGNMENT / size_of::<T>();
        let mut storage = Vec::with_capacity(len + line);
        prefer_huge_pages(&mut storage);
        storage.resize(len + line, T::default());
        let offset = storage.as_ptr().align_offset(ALIGNMENT).min(line);
        Self {
            storage,
            offset,
            len,
        }
    }

    pub(crate) fn empty() -> Self {
        Self::zeros(0)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes room for at least `len` numbers; a buffer that grows is all zeros afterwards.
    pub(crate) fn reserve(&mut self, len: usize) {
        if self.len < len {
            *self = Self::zeros(len);
        }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        &self.storage[self.offset..self.offset + self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.storage[self.offset..self.offset + self.len]
    }
}

/// Asks Linux to back an empty vector's memory with huge pages: a pass over activations of some
/// hundred megabytes then misses the address cache a fraction as often. The system may decline.
#[cfg(target_os = "linux")]
fn prefer_huge_pages<T>(storage: &mut Vec<T>) {
    let room = storage.spare_capacity_mut();
    let start = room.as_ptr().addr().next_multiple_of(HUGE_PAGE);
    let end = (room.as_ptr().addr() + size_of_val(room)) / HUGE_PAGE * HUGE_PAGE;
    if start < end {
        let from = room.as_mut_ptr().with_addr(start);
        // SAFETY: the range lies inside the vector's allocation, and the advice changes no contents.
        unsafe { libc::madvise(from.cast(), end - start, libc::MADV_HUGEPAGE) };
    }
}

/// Other systems choose the size of pages themselves.
#[cfg(not(target_os = "linux"))]
fn prefer_huge_pages<T>(_storage: &mut Vec<T>) {}

/// What convolutions read: activations, or gradients of their outputs, in one of two precisions.
#[derive(Debug)]
pub(crate) enum Activations {
    F32(Buffer),
    Bf16(Buffer<Bf16>),
}

/// Activations to read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum View<'a> {
    F32(&'a [f32]),
    Bf16(&'a [Bf16]),
}

/// Activations to write.
#[derive(Debug)]
pub(crate) enum ViewMut<'a> {
    F32(&'a mut [f32]),
    Bf16(&'a mut [Bf16]),
}

impl Activations {
    pub(crate) fn empty(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32(Buffer::empty()),
            Precision::Bf16 => Self::Bf16(Buffer::empty()),
        }
    }

    /// These numbers in a precision.
    pub(crate) fn rounded(precision: Precision, numbers: &[f32]) -> Self {
        let mut activations = Self::empty(precision);
        activations.reserve(numbers.len());
        match activations.view_mut() {
            ViewMut::F32(to) => to.copy_from_slice(numbers),
            ViewMut::Bf16(to) => {
                for (to, value) in to.iter_mut().zip(numbers) {
                    *to = Bf16::round(*value);
                }
            }
        }
        activations
    }

    pub(crate) fn reserve(&mut self, len: usize) {
        match self {
            Self::F32(buffer) => buffer.reserve(len),
            Self::Bf16(buffer) => buffer.reserve(len),
        }
    }

    pub(crate) fn view(&self) -> View<'_> {
        match self {
            Self::F32(buffer) => View::F32(buffer.as_slice()),
            Self::Bf16(buffer) => View::Bf16(buffer.as_slice()),
        }
    }

    pub(crate) fn view_mut(&mut self) -> ViewMut<'_> {
        match self {
            Self::F32(buffer) => ViewMut::F32(buffer.as_mut_slice()),
            Self::Bf16(buffer) => ViewMut::Bf16(buffer.as_mut_slice()),
        }
    }
}

impl<'a> View<'a> {
    pub(crate) fn precision(self) -> Precision {
        match self {
            Self::F32(_) => Precision::F32,
            Self::Bf16(_) => Precision::Bf16,
        }
    }

    pub(crate) fn len(self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::Bf16(numbers) => numbers.len(),
        }
    }

    /// The numbers in lanes of 32 bits: one f32, or a pair of bf16.
    pub(crate) fn lanes(self) -> &'a [f32] {
        match self {
            Self::F32(numbers) => numbers,
            Self::Bf16(numbers) => {
                // SAFETY: every pattern of bits is an f32 and two u16 fill it; the middle part is
                // aligned, and it is all of the slice, as the assertion says.
                let (before, lanes, after) = unsafe { numbers.align_to::<f32>() };
                assert!(before.is_empty() && after.is_empty(), "whole aligned lanes");
                lanes
            }
        }
    }
}

impl ViewMut<'_> {
    pub(crate) fn precision(&self) -> Precision {
        self.as_view().precision()
    }

    pub(crate) fn len(&self) -> usize {
        self.as_view().len()
    }

    pub(crate) fn as_view(&self) -> View<'_> {
        match self {
            Self::F32(numbers) => View::F32(numbers),
            Self::Bf16(numbers) => View::Bf16(numbers),
        }
    }

    pub(crate) fn reborrow(&mut self) -> ViewMut<'_> {
        match self {
            Self::F32(numbers) => ViewMut::F32(numbers),
            Self::Bf16(numbers) => ViewMut::Bf16(numbers),
        }
    }
}

/// Scratch memory for every thread of the pool, made before the threads need it.
#[derive(Debug)]
pub(crate) struct ThreadBuffers(Vec<Mutex<Buffer>>);

impl ThreadBuffers {
    pub(crate) fn empty() -> Self {
        Self(Vec::new())
    }

    /// Makes room for `len` numbers per thread of the current pool.
    pub(crate) fn reserve(&mut self, len: usize) {
        let threads = rayon::current_num_threads().max(self.0.len());
        self.0.resize_with(threads, || Mutex::new(Buffer::empty()));
        for buffer in &mut self.0 {
            let buffer = buffer.get_mut().unwrap_or_else(PoisonError::into_inner);
            buffer.reserve(len);
        }
    }

    /// Calls `work` with the first `len` numbers of this thread's memory. `work` must not enter
    /// the thread pool: the thread could pick up a piece of work that wants the same memory.
    pub(crate) fn with(&self, len: usize, work: impl FnOnce(&mut [f32])) {
        let thread = rayon::current_thread_index().unwrap_or(0) % self.0.len();
        let mut buffer = self.0[thread]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        work(&mut buffer.as_mut_slice()[..len]);
    }
}
