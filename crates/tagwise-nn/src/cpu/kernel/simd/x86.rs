//! The registers of x86-64.

use std::arch::x86_64::*;

use super::{Simd, TileWork, Work};
use crate::cpu::bf16::Bf16;
use crate::cpu::kernel::tiles::amx::Amx;

/// # Safety
/// AVX2 and FMA are present, and the work's own promises hold.
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
pub(super) unsafe fn avx2(work: impl Work) {
    // SAFETY: the features are enabled here.
    unsafe { work.run::<Avx2>() }
}

/// # Safety
/// AVX-512F is present, and the work's own promises hold.
#[target_feature(enable = "avx512f,avx2,fma")]
#[inline(never)]
pub(super) unsafe fn avx512(work: impl Work) {
    // SAFETY: the features are enabled here.
    unsafe { work.run::<Avx512>() }
}

/// # Safety
/// AVX-512F, BW and BF16 are present, and the work's own promises hold.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
#[inline(never)]
pub(super) unsafe fn avx512_bf16(work: impl Work) {
    // SAFETY: the features are enabled here.
    unsafe { work.run::<Avx512Bf16>() }
}

/// # Safety
/// AVX-512F, BW and BF16 and AMX for bf16 are present, and the work's own promises hold.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
#[inline(never)]
pub(super) unsafe fn amx(work: impl TileWork) {
    // SAFETY: the features are enabled here; AMX is used in assembly alone.
    unsafe { work.run::<Amx>() }
}

/// AVX2 with FMA: eight lanes, sixteen registers.
#[derive(Clone, Copy)]
pub(super) struct Avx2;

impl Avx2 {
    /// The bits of every lane rounded to bf16 in the high half; the low half is zero.
    #[inline(always)]
    unsafe fn rounded(value: __m256) -> __m256i {
        // SAFETY: the trait's contract: AVX2 is present.
        unsafe {
            let bits = _mm256_castps_si256(value);
            let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
            let rounded = _mm256_add_epi32(bits, bias);
            let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x40_0000));
            let is_nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(value, value);
            let kept = _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(is_nan));
            _mm256_and_si256(kept, _mm256_set1_epi32(0xFFFF_0000_u32 as i32))
        }
    }
}

impl Simd for Avx2 {
    type Vector = __m256;
    const LANES: usize = 8;
    const PAIR_STEPS: usize = 2;

    #[inline(always)]
    unsafe fn zero() -> __m256 {
        // SAFETY: the trait's contract: AVX2 and FMA are present.
        unsafe { _mm256_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        // SAFETY: as above, and the caller vouches for eight readable numbers.
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, value: __m256) {
        // SAFETY: as above, and the caller vouches for eight writable numbers.
        unsafe { _mm256_storeu_ps(to, value) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the trait's contract: the features are present.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn subtract(a: __m256, b: __m256) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn multiply(a: __m256, b: __m256) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn multiply_add(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: the trait's contract: FMA is present.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn relu(value: __m256) -> __m256 {
        // SAFETY: as above. Of NaN and zero the instruction returns its second operand.
        unsafe { _mm256_max_ps(_mm256_setzero_ps(), value) }
    }
    #[inline(always)]
    unsafe fn keep_positive(value: __m256, sign: __m256) -> __m256 {
        // SAFETY: as above.
        unsafe {
            let positive = _mm256_cmp_ps::<_CMP_GT_OQ>(sign, _mm256_setzero_ps());
            _mm256_and_ps(positive, value)
        }
    }
    #[inline(always)]
    unsafe fn factor_of_pairs(pairs: __m256, step: usize) -> __m256 {
        // SAFETY: as above.
        unsafe {
            let bits = _mm256_castps_si256(pairs);
            _mm256_castsi256_ps(match step {
                0 => _mm256_slli_epi32::<16>(bits),
                _ => _mm256_and_si256(bits, _mm256_set1_epi32(0xFFFF_0000_u32 as i32)),
            })
        }
    }
    #[inline(always)]
    unsafe fn multiply_add_pairs(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: as above.
        unsafe { Self::multiply_add(a, b, c) }
    }
    #[inline(always)]
    unsafe fn load_bf16(from: *const Bf16) -> __m256 {
        // SAFETY: as above, and the caller vouches for eight readable numbers.
        unsafe {
            let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
        }
    }
    #[inline(always)]
    unsafe fn store_bf16(to: *mut Bf16, value: __m256) {
        // SAFETY: as above, and the caller vouches for eight writable numbers.
        unsafe {
            let bits = _mm256_srli_epi32::<16>(Self::rounded(value));
            let packed = _mm256_packus_epi32(bits, bits);
            let joined = _mm256_permute4x64_epi64::<0b1000>(packed);
            _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(joined));
        }
    }
    #[inline(always)]
    unsafe fn pair(first: __m256, second: __m256) -> __m256 {
        // SAFETY: as above.
        unsafe {
            let low = _mm256_srli_epi32::<16>(_mm256_castps_si256(first));
            _mm256_or_ps(_mm256_castsi256_ps(low), second)
        }
    }
    #[inline(always)]
    unsafe fn store_pairs(to: *mut f32, first: __m256, second: __m256) {
        // SAFETY: as above, and the caller vouches for eight writable pairs.
        unsafe {
            let low = _mm256_srli_epi32::<16>(Self::rounded(first));
            let pairs = _mm256_or_si256(low, Self::rounded(second));
            _mm256_storeu_ps(to, _mm256_castsi256_ps(pairs));
        }
    }
}

/// The arithmetic in f32 that both kinds of 512-bit registers have.
macro_rules! avx512_single_precision {
    () => {
        type Vector = __m512;
        const LANES: usize = 16;

        #[inline(always)]
        unsafe fn zero() -> __m512 {
            // SAFETY: the trait's contract: AVX-512F is present.
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512 {
            // SAFETY: as above, and the caller vouches for sixteen readable numbers.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, value: __m512) {
            // SAFETY: as above, and the caller vouches for sixteen writable numbers.
            unsafe { _mm512_storeu_ps(to, value) }
        }
        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            // SAFETY: the trait's contract: the features are present.
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn subtract(a: __m512, b: __m512) -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn multiply(a: __m512, b: __m512) -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn multiply_add(a: __m512, b: __m512, c: __m512) -> __m512 {
            // SAFETY: the trait's contract: AVX-512F is present.
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn relu(value: __m512) -> __m512 {
            // SAFETY: as above. Of NaN and zero the instruction returns its second operand.
            unsafe { _mm512_max_ps(_mm512_setzero_ps(), value) }
        }
        #[inline(always)]
        unsafe fn keep_positive(value: __m512, sign: __m512) -> __m512 {
            // SAFETY: as above.
            unsafe {
                let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(sign, _mm512_setzero_ps());
                _mm512_maskz_mov_ps(positive, value)
            }
        }
        #[inline(always)]
        unsafe fn load_bf16(from: *const Bf16) -> __m512 {
            // SAFETY: as above, and the caller vouches for sixteen readable numbers.
            unsafe {
                let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
            }
        }
        #[inline(always)]
        unsafe fn pair(first: __m512, second: __m512) -> __m512 {
            // SAFETY: as above.
            unsafe {
                let low = _mm512_srli_epi32::<16>(_mm512_castps_si512(first));
                let pairs = _mm512_or_si512(low, _mm512_castps_si512(second));
                _mm512_castsi512_ps(pairs)
            }
        }
    };
}

/// AVX-512F: sixteen lanes, thirty-two registers; pairs are widened.
#[derive(Clone, Copy)]
pub(super) struct Avx512;

impl Avx512 {
    /// The bits of every lane rounded to bf16 in the high half; the low half is zero.
    #[inline(always)]
    unsafe fn rounded(value: __m512) -> __m512i {
        // SAFETY: the trait's contract: AVX-512F is present.
        unsafe {
            let bits = _mm512_castps_si512(value);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let bias = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF));
            let rounded = _mm512_add_epi32(bits, bias);
            let quiet = _mm512_set1_epi32(0x40_0000);
            let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(value, value);
            let kept = _mm512_mask_or_epi32(rounded, is_nan, bits, quiet);
            _mm512_and_si512(kept, _mm512_set1_epi32(0xFFFF_0000_u32 as i32))
        }
    }
}

impl Simd for Avx512 {
    avx512_single_precision!();
    const PAIR_STEPS: usize = 2;

    #[inline(always)]
    unsafe fn factor_of_pairs(pairs: __m512, step: usize) -> __m512 {
        // SAFETY: the trait's contract: AVX-512F is present.
        unsafe {
            let bits = _mm512_castps_si512(pairs);
            _mm512_castsi512_ps(match step {
                0 => _mm512_slli_epi32::<16>(bits),
                _ => _mm512_and_si512(bits, _mm512_set1_epi32(0xFFFF_0000_u32 as i32)),
            })
        }
    }
    #[inline(always)]
    unsafe fn multiply_add_pairs(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { Self::multiply_add(a, b, c) }
    }
    #[inline(always)]
    unsafe fn store_bf16(to: *mut Bf16, value: __m512) {
        // SAFETY: as above, and the caller vouches for sixteen writable numbers.
        unsafe {
            let bits = _mm512_srli_epi32::<16>(Self::rounded(value));
            _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(bits));
        }
    }
    #[inline(always)]
    unsafe fn store_pairs(to: *mut f32, first: __m512, second: __m512) {
        // SAFETY: as above, and the caller vouches for sixteen writable pairs.
        unsafe {
            let low = _mm512_srli_epi32::<16>(Self::rounded(first));
            let pairs = _mm512_or_si512(low, Self::rounded(second));
            _mm512_storeu_ps(to, _mm512_castsi512_ps(pairs));
        }
    }
}

/// AVX-512F with BF16: products of pairs are one instruction (which takes denormals as zero).
#[derive(Clone, Copy)]
pub(super) struct Avx512Bf16;

impl Simd for Avx512Bf16 {
    avx512_single_precision!();
    const PAIR_STEPS: usize = 1;

    #[inline(always)]
    unsafe fn factor_of_pairs(pairs: __m512, _step: usize) -> __m512 {
        pairs
    }
    #[inline(always)]
    unsafe fn multiply_add_pairs(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the trait's contract: AVX-512BF16 is present; a register of pairs has the
        // bits of 32 bf16 numbers.
        unsafe {
            let a = std::mem::transmute::<__m512, __m512bh>(a);
            let b = std::mem::transmute::<__m512, __m512bh>(b);
            _mm512_dpbf16_ps(c, a, b)
        }
    }
    #[inline(always)]
    unsafe fn store_bf16(to: *mut Bf16, value: __m512) {
        // SAFETY: as above, and the caller vouches for sixteen writable numbers.
        unsafe {
            let narrow: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(value));
            _mm256_storeu_si256(to.cast(), narrow);
        }
    }
    #[inline(always)]
    unsafe fn store_pairs(to: *mut f32, first: __m512, second: __m512) {
        /// Lane i of the first half, then lane i of the second, for every i.
        const INTERLEAVED: [u16; 32] = {
            let mut order = [0; 32];
            let mut lane = 0;
            while lane < 16 {
                order[2 * lane] = lane as u16;
                order[2 * lane + 1] = 16 + lane as u16;
                lane += 1;
            }
            order
        };
        // SAFETY: as above with AVX-512BW, and the caller vouches for sixteen writable pairs.
        unsafe {
            let halves: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(second, first));
            let order = _mm512_loadu_si512(INTERLEAVED.as_ptr().cast());
            let pairs = _mm512_permutexvar_epi16(order, halves);
            _mm512_storeu_ps(to, _mm512_castsi512_ps(pairs));
        }
    }
}
