//! Memory of the CPU device: zero-initialised `f32` storage that starts on a cache line.

use std::sync::{Mutex, PoisonError};

/// Bytes of a cache line and of the widest vector register.
const ALIGNMENT: usize = 64;
const ALIGNMENT_F32: usize = ALIGNMENT / size_of::<f32>();

/// A fixed-length array of `f32` whose first element starts a cache line.
///
/// The storage is never reallocated after `zeros`, so the offset stays right.
#[derive(Debug)]
pub(crate) struct Buffer {
    storage: Vec<f32>,
    offset: usize,
    len: usize,
}

impl Buffer {
    pub(crate) fn zeros(len: usize) -> Self {
        let storage = vec![0.0f32; len + ALIGNMENT_F32];
        let offset = storage.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT_F32);
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

    pub(crate) fn as_slice(&self) -> &[f32] {
        &self.storage[self.offset..self.offset + self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.storage[self.offset..self.offset + self.len]
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
        self.0
            .resize_with(rayon::current_num_threads().max(self.0.len()), || {
                Mutex::new(Buffer::empty())
            });
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
