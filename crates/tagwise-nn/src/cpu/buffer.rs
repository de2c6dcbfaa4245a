//! Zero-initialised memory that starts on a cache line, of the network and of every thread.

use std::sync::{Mutex, PoisonError};

/// Bytes of a cache line, which are those of the widest vector register too.
pub(crate) const LINE: usize = 64;

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

impl<T: Copy + Default> Buffer<T> {
    pub(crate) fn zeros(len: usize) -> Self {
        let line = LINE / size_of::<T>();
        let mut storage = Vec::with_capacity(len + line);
        prefer_huge_pages(&mut storage);
        storage.resize(len + line, T::default());
        let offset = storage.as_ptr().align_offset(LINE).min(line);
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
