//! Vector registers of each kernel set behind one trait, so that an inner loop is written once.
//!
//! Every method is `#[inline(always)]`: the loops that use them are monomorphised inside functions
//! with `#[target_feature]` (those of [`launch`]), and only there do the intrinsics become
//! instructions.

#[cfg(target_arch = "x86_64")]
mod x86;

use super::tiles::Tiles;
use super::{KernelSet, Kernels};
use crate::Precision;
use crate::cpu::activations::Element;
use crate::cpu::bf16::Bf16;

/// One kind of vector register.
///
/// A *pair* is a 32-bit lane with two bf16 numbers, the first in the low half.
///
/// # Safety
/// The methods of an implementation may be called only where its CPU features are present, and
/// pointers must be valid for `LANES` numbers (no alignment needed).
pub(crate) trait Simd: Copy {
    type Vector: Copy;
    /// Numbers in one register.
    const LANES: usize;
    /// In how many steps the product of two lanes is added: one for each number of a pair that no
    /// instruction multiplies.
    const STEPS: usize = 1;
    /// The same for lanes that hold pairs.
    const PAIR_STEPS: usize;

    unsafe fn zero() -> Self::Vector;
    unsafe fn splat(value: f32) -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    unsafe fn store(to: *mut f32, value: Self::Vector);
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn subtract(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn multiply(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a·b + c
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The larger of zero and each lane; NaN stays NaN, so that a diverged run is seen in its loss.
    unsafe fn relu(value: Self::Vector) -> Self::Vector;
    /// Each lane where that of `sign` is positive, zero elsewhere.
    unsafe fn keep_positive(value: Self::Vector, sign: Self::Vector) -> Self::Vector;
    /// What [`Simd::multiply_add`] takes of these lanes in a step.
    #[inline(always)]
    unsafe fn factor(lanes: Self::Vector, _step: usize) -> Self::Vector {
        lanes
    }
    /// What [`Simd::multiply_add_pairs`] takes of these pairs in a step: the pairs, or one number of
    /// each, widened.
    unsafe fn factor_of_pairs(pairs: Self::Vector, step: usize) -> Self::Vector;
    /// Lane by lane, the sum of c and what a step adds of the products of the pairs a and b.
    unsafe fn multiply_add_pairs(a: Self::Vector, b: Self::Vector, c: Self::Vector)
    -> Self::Vector;
    unsafe fn load_bf16(from: *const Bf16) -> Self::Vector;
    unsafe fn store_bf16(to: *mut Bf16, value: Self::Vector);
    /// The pairs (first, second) of numbers that [`Simd::load_bf16`] loaded.
    unsafe fn pair(first: Self::Vector, second: Self::Vector) -> Self::Vector;
    /// Stores the pairs (first, second) of every lane, rounded.
    unsafe fn store_pairs(to: *mut f32, first: Self::Vector, second: Self::Vector);
}

/// Numbers in memory that registers of f32 are loaded from and stored to.
pub(crate) trait Number: Element {
    /// # Safety
    /// A register of numbers lies at `from`; `S` is available.
    unsafe fn load<S: Simd>(from: *const Self) -> S::Vector;

    /// Rounds to the nearest number.
    ///
    /// # Safety
    /// There is room for a register of numbers at `to`; `S` is available.
    unsafe fn store<S: Simd>(to: *mut Self, value: S::Vector);

    /// Does a piece of work on such numbers.
    ///
    /// # Safety
    /// The work's own promises hold.
    unsafe fn launch(kernels: Kernels, work: impl Work);
}

impl Number for f32 {
    unsafe fn launch(kernels: Kernels, work: impl Work) {
        // SAFETY: passed on from the caller.
        unsafe { launch(kernels, work) }
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const Self) -> S::Vector {
        // SAFETY: passed on from the caller.
        unsafe { S::load(from) }
    }
    #[inline(always)]
    unsafe fn store<S: Simd>(to: *mut Self, value: S::Vector) {
        // SAFETY: passed on from the caller.
        unsafe { S::store(to, value) }
    }
}

impl Number for Bf16 {
    unsafe fn launch(kernels: Kernels, work: impl Work) {
        // SAFETY: passed on from the caller.
        unsafe { launch_bf16(kernels, work) }
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const Self) -> S::Vector {
        // SAFETY: passed on from the caller.
        unsafe { S::load_bf16(from) }
    }
    #[inline(always)]
    unsafe fn store<S: Simd>(to: *mut Self, value: S::Vector) {
        // SAFETY: passed on from the caller.
        unsafe { S::store_bf16(to, value) }
    }
}

/// Asks for the cache line of an address, which need not be one of memory.
#[inline(always)]
pub(crate) fn prefetch<T>(from: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction is in every x86-64 and has no effect but on caches.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(from.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = from;
}

/// The registers of `S` holding pairs of bf16 numbers: a multiply-add takes both products.
#[derive(Clone, Copy)]
pub(crate) struct Pairs<S>(S);

impl<S: Simd> Simd for Pairs<S> {
    type Vector = S::Vector;
    const LANES: usize = S::LANES;
    const STEPS: usize = S::PAIR_STEPS;
    const PAIR_STEPS: usize = S::PAIR_STEPS;

    #[inline(always)]
    unsafe fn zero() -> S::Vector {
        // SAFETY: the trait's contract, here and below.
        unsafe { S::zero() }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> S::Vector {
        // SAFETY: as above.
        unsafe { S::splat(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> S::Vector {
        // SAFETY: as above.
        unsafe { S::load(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, value: S::Vector) {
        // SAFETY: as above.
        unsafe { S::store(to, value) }
    }
    #[inline(always)]
    unsafe fn add(a: S::Vector, b: S::Vector) -> S::Vector {
        // SAFETY: as above.
        unsafe { S::add(a, b) }
    }
    #[inline(always)]
    unsafe fn subtract(a: S::Vector, b: S::Vector) -> S::Vector {
        // SAFETY: as above.
        unsafe { S::subtract(a, b) }
    }
    #[inline(always)]
    unsafe fn multiply(a: S::Vector, b: S::Vector) -> S::Vector {
        // SAFETY: as above.
        unsafe { S::multiply(a, b) }
    }
    #[inline(always)]
    unsafe fn multiply_add(a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector {
        // SAFETY: as above.
        unsafe { S::multiply_add_pairs(a, b, c) }
    }
    #[inline(always)]
    unsafe fn relu(value: S::Vector) -> S::Vector {
        // SAFETY: as above.
        unsafe { S::relu(value) }
    }
    #[inline(always)]
    unsafe fn keep_positive(value: S::Vector, sign: S::Vector) -> S::Vector {
        // SAFETY: as above.
        unsafe { S::keep_positive(value, sign) }
    }
    #[inline(always)]
    unsafe fn factor(lanes: S::Vector, step: usize) -> S::Vector {
        // SAFETY: as above.
        unsafe { S::factor_of_pairs(lanes, step) }
    }
    #[inline(always)]
    unsafe fn factor_of_pairs(pairs: S::Vector, step: usize) -> S::Vector {
        // SAFETY: as above.
        unsafe { S::factor_of_pairs(pairs, step) }
    }
    #[inline(always)]
    unsafe fn multiply_add_pairs(a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector {
        // SAFETY: as above.
        unsafe { S::multiply_add_pairs(a, b, c) }
    }
    #[inline(always)]
    unsafe fn load_bf16(from: *const Bf16) -> S::Vector {
        // SAFETY: as above.
        unsafe { S::load_bf16(from) }
    }
    #[inline(always)]
    unsafe fn store_bf16(to: *mut Bf16, value: S::Vector) {
        // SAFETY: as above.
        unsafe { S::store_bf16(to, value) }
    }
    #[inline(always)]
    unsafe fn pair(first: S::Vector, second: S::Vector) -> S::Vector {
        // SAFETY: as above.
        unsafe { S::pair(first, second) }
    }
    #[inline(always)]
    unsafe fn store_pairs(to: *mut f32, first: S::Vector, second: S::Vector) {
        // SAFETY: as above.
        unsafe { S::store_pairs(to, first, second) }
    }
}

/// A piece of work that is compiled for every kernel set.
pub(crate) trait Work {
    /// Does the work; must be `#[inline(always)]`.
    ///
    /// # Safety
    /// `S` is available, and the work's own promises hold.
    unsafe fn run<S: Simd>(self);
}

/// A piece of work whose registers hold pairs of bf16 numbers.
struct InPairs<W>(W);

impl<W: Work> Work for InPairs<W> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: passed on from the caller.
        unsafe { self.0.run::<Pairs<S>>() }
    }
}

/// A piece of work that is compiled for every kernel set with tiles.
pub(crate) trait TileWork {
    /// Does the work; must be `#[inline(always)]`.
    ///
    /// # Safety
    /// `T` is available, the thread holds no tiles, and the work's own promises hold.
    unsafe fn run<T: Tiles>(self);
}

/// Does a piece of work in f32 with the registers of a kernel set. What some sets have for bf16
/// makes no difference to it, so it is compiled once for all that have the same registers.
///
/// # Safety
/// The work's own promises hold. (`Kernels` is made only for features that were detected.)
pub(crate) unsafe fn launch(kernels: Kernels, work: impl Work) {
    // SAFETY: passed on from the caller; each function's features were detected.
    unsafe {
        match kernels.set() {
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx2 => x86::avx2(work),
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx512 | KernelSet::Avx512Bf16 | KernelSet::Amx => x86::avx512(work),
            #[cfg(test)]
            KernelSet::EmulatedAmx => work.run::<super::tiles::emulated::Wide>(),
            _ => portable(work),
        }
    }
}

/// Does a piece of work that rounds to bf16 or multiplies pairs.
///
/// # Safety
/// As [`launch`].
pub(crate) unsafe fn launch_bf16(kernels: Kernels, work: impl Work) {
    // SAFETY: as in `launch`.
    unsafe {
        match kernels.set() {
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx512Bf16 | KernelSet::Amx => x86::avx512_bf16(work),
            _ => launch(kernels, work),
        }
    }
}

/// Sums products of lanes that hold one f32 or a pair of bf16 numbers.
///
/// # Safety
/// As [`launch`].
pub(crate) unsafe fn launch_product(kernels: Kernels, lanes: Precision, work: impl Work) {
    // SAFETY: passed on from the caller.
    unsafe {
        match lanes {
            Precision::F32 => launch(kernels, work),
            Precision::Bf16 => launch_bf16(kernels, InPairs(work)),
        }
    }
}

/// Does a piece of work with the tiles of a kernel set that has them.
///
/// # Safety
/// As [`launch`].
pub(crate) unsafe fn launch_tiles(kernels: Kernels, work: impl TileWork) {
    // SAFETY: as in `launch`.
    unsafe {
        match kernels.set() {
            #[cfg(target_arch = "x86_64")]
            KernelSet::Amx => x86::amx(work),
            #[cfg(test)]
            KernelSet::EmulatedAmx => work.run::<super::tiles::emulated::Emulated>(),
            _ => unreachable!("only kernels that have tiles plan for them"),
        }
    }
}

/// # Safety
/// The work's own promises hold.
#[inline(never)]
unsafe fn portable(work: impl Work) {
    // SAFETY: passed on from the caller.
    unsafe { work.run::<Portable>() }
}

/// Plain Rust, four lanes: what every target has.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Simd for Portable {
    type Vector = [f32; 4];
    const LANES: usize = 4;
    const PAIR_STEPS: usize = 2;

    #[inline(always)]
    unsafe fn zero() -> [f32; 4] {
        [0.0; 4]
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> [f32; 4] {
        [value; 4]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; 4] {
        // SAFETY: the caller vouches for four readable numbers; an array needs no more alignment.
        unsafe { from.cast::<[f32; 4]>().read() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, value: [f32; 4]) {
        // SAFETY: the caller vouches for four writable numbers.
        unsafe { to.cast::<[f32; 4]>().write(value) }
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
    }
    #[inline(always)]
    unsafe fn subtract(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]]
    }
    #[inline(always)]
    unsafe fn multiply(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]]
    }
    #[inline(always)]
    unsafe fn multiply_add(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        [
            a[0] * b[0] + c[0],
            a[1] * b[1] + c[1],
            a[2] * b[2] + c[2],
            a[3] * b[3] + c[3],
        ]
    }
    #[inline(always)]
    unsafe fn relu(value: [f32; 4]) -> [f32; 4] {
        value.map(|x| if x < 0.0 { 0.0 } else { x })
    }
    #[inline(always)]
    unsafe fn keep_positive(value: [f32; 4], sign: [f32; 4]) -> [f32; 4] {
        let mut kept = [0.0; 4];
        for lane in 0..4 {
            kept[lane] = if sign[lane] > 0.0 { value[lane] } else { 0.0 };
        }
        kept
    }
    #[inline(always)]
    unsafe fn factor_of_pairs(pairs: [f32; 4], step: usize) -> [f32; 4] {
        pairs.map(|pair| Bf16::pair_of(pair)[step].widen())
    }
    #[inline(always)]
    unsafe fn multiply_add_pairs(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        // SAFETY: as above.
        unsafe { Self::multiply_add(a, b, c) }
    }
    #[inline(always)]
    unsafe fn load_bf16(from: *const Bf16) -> [f32; 4] {
        // SAFETY: the caller vouches for four readable numbers.
        let numbers = unsafe { from.cast::<[Bf16; 4]>().read() };
        [
            numbers[0].widen(),
            numbers[1].widen(),
            numbers[2].widen(),
            numbers[3].widen(),
        ]
    }
    #[inline(always)]
    unsafe fn store_bf16(to: *mut Bf16, value: [f32; 4]) {
        let numbers = [
            Bf16::round(value[0]),
            Bf16::round(value[1]),
            Bf16::round(value[2]),
            Bf16::round(value[3]),
        ];
        // SAFETY: the caller vouches for four writable numbers.
        unsafe { to.cast::<[Bf16; 4]>().write(numbers) }
    }
    #[inline(always)]
    unsafe fn pair(first: [f32; 4], second: [f32; 4]) -> [f32; 4] {
        let mut pairs = [0.0; 4];
        for lane in 0..4 {
            pairs[lane] = f32::from_bits(first[lane].to_bits() >> 16 | second[lane].to_bits());
        }
        pairs
    }
    #[inline(always)]
    unsafe fn store_pairs(to: *mut f32, first: [f32; 4], second: [f32; 4]) {
        let mut pairs = [0.0; 4];
        for lane in 0..4 {
            pairs[lane] = Bf16::pair([Bf16::round(first[lane]), Bf16::round(second[lane])]);
        }
        // SAFETY: the caller vouches for four writable pairs.
        unsafe { to.cast::<[f32; 4]>().write(pairs) }
    }
}
