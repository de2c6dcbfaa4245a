//! Work cut into pieces for the thread pool: the one place that hands pieces to rayon.
//!
//! The pieces of a loop are a closure behind a pointer, so that what the pool needs for a loop is
//! compiled once and not for each of them. Which thread takes which piece never changes a bit:
//! pieces write to memory of their own.

use std::marker::PhantomData;

use rayon::prelude::*;

/// Calls `piece` with every index below `count`, in parallel.
pub(crate) fn for_each(count: usize, piece: &(dyn Fn(usize) + Sync)) {
    (0..count).into_par_iter().with_max_len(1).for_each(piece);
}

/// Calls `piece` with every `len` numbers of a slice, the last perhaps fewer, and their index.
pub(crate) fn for_each_chunk<T: Send>(
    numbers: &mut [T],
    len: usize,
    piece: impl Fn(usize, &mut [T]) + Sync,
) {
    let chunks = Chunks::new(numbers, len);
    // SAFETY: `for_each` takes every index once.
    for_each(chunks.count(), &|i| piece(i, unsafe { chunks.take(i) }));
}

/// Calls `piece` with every so many numbers of two slices that have equally many chunks.
pub(crate) fn for_each_two_chunks<T: Send, U: Send>(
    (first, first_len): (&mut [T], usize),
    (second, second_len): (&mut [U], usize),
    piece: impl Fn(usize, &mut [T], &mut [U]) + Sync,
) {
    let (first, second) = (
        Chunks::new(first, first_len),
        Chunks::new(second, second_len),
    );
    assert_eq!(first.count(), second.count(), "as many chunks of both");
    for_each(first.count(), &|i| {
        // SAFETY: `for_each` takes every index once.
        unsafe { piece(i, first.take(i), second.take(i)) }
    });
}

/// The chunks of a slice, each to be taken once, by any thread.
struct Chunks<'a, T> {
    numbers: *mut T,
    total: usize,
    len: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: chunks do not overlap, and who takes one has the only reference to its numbers.
unsafe impl<T: Send> Sync for Chunks<'_, T> {}

impl<'a, T> Chunks<'a, T> {
    fn new(numbers: &'a mut [T], len: usize) -> Self {
        assert!(len > 0 || numbers.is_empty(), "a chunk has a length");
        Self {
            total: numbers.len(),
            numbers: numbers.as_mut_ptr(),
            len: len.max(1),
            lifetime: PhantomData,
        }
    }

    fn count(&self) -> usize {
        self.total.div_ceil(self.len)
    }

    /// # Safety
    /// The index is below the count, and no chunk is taken twice.
    #[allow(clippy::mut_from_ref)]
    unsafe fn take(&self, index: usize) -> &mut [T] {
        let start = index * self.len;
        let len = self.len.min(self.total - start);
        // SAFETY: the range lies inside the slice, which is borrowed as long as `self` lives; the
        // caller sees to it that nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(self.numbers.add(start), len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_lies_in_one_chunk() {
        let mut numbers = vec![0; 10];
        for_each_chunk(&mut numbers, 4, |index, chunk| {
            chunk.iter_mut().for_each(|number| *number += index + 1);
        });
        assert_eq!(numbers, [1, 1, 1, 1, 2, 2, 2, 2, 3, 3]);
        let mut sums = [0.0; 3];
        for_each_two_chunks((&mut numbers, 4), (&mut sums, 1), |_, chunk, sum| {
            sum[0] = chunk.iter().sum::<usize>() as f64;
        });
        assert_eq!(sums, [4.0, 8.0, 6.0]);
        for_each_chunk(&mut [0; 0], 0, |_, _| unreachable!("no chunk"));
    }
}
