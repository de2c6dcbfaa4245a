//! The tiles of AMX. The compiler has no stable intrinsics for them, so the instructions stand in
//! blocks of assembly, each with everything that its registers live through; only the tiles'
//! configuration outlives a block, and [`Amx`] stands for it.

use std::arch::asm;
use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::sync::OnceLock;

use super::{Product, Rows, SIDE, Step, TILE, Tiles};

/// Tiles are registers of a thread: the value cannot leave it.
pub(in super::super) struct Amx(PhantomData<*mut ()>);

/// What LDTILECFG reads. Tiles 0 to 3 are sums, 4 and 5 left factors, 6 and 7 right ones.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Configuration {
    fn new(depth: usize) -> Self {
        assert!((1..=SIDE).contains(&depth), "the depth of a tile");
        let (side, lanes) = (SIDE as u8, depth as u8);
        let (all, left) = (4 * u16::from(side), 4 * u16::from(lanes));
        let mut configuration = Self {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        configuration.row_bytes[..8].copy_from_slice(&[all, all, all, all, left, left, all, all]);
        configuration.rows[..8]
            .copy_from_slice(&[side, side, side, side, side, side, lanes, lanes]);
        configuration
    }
}

impl Drop for Amx {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the value exists only where the machine has AMX; tiles hold nothing that is
        // still needed.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) }
    }
}

impl Tiles for Amx {
    #[inline(always)]
    unsafe fn configure(depth: usize) -> Self {
        let configuration = Configuration::new(depth);
        // SAFETY: the caller vouches for AMX; the configuration is one that it accepts.
        unsafe {
            asm!(
                "ldtilecfg [{}]",
                in(reg) &raw const configuration,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(readonly, nostack, preserves_flags),
            );
        }
        Self(PhantomData)
    }

    #[inline(always)]
    unsafe fn multiply<const ROWS: usize, const COLUMNS: usize>(&self, product: &Product) {
        // SAFETY: the tiles are configured as `self` says. The caller vouches for the rows, and
        // the block touches only them, the product, its steps and the registers named below.
        unsafe {
            asm!(
                // Sums from memory, or zeros.
                "cmp qword ptr [{product} + {adds}], 0",
                "je 2f",
                "mov {place}, [{product} + {sums}]",
                "mov {offset}, [{product} + {sums} + 8]",
                "tileloadd tmm0, [{place} + {offset}*4]",
                ".if {columns} > 1",
                "tileloadd tmm1, [{place} + {offset}*4 + 64]",
                ".endif",
                ".if {rows} > 1",
                "mov {place}, [{product} + {sums} + 16]",
                "mov {offset}, [{product} + {sums} + 24]",
                "tileloadd tmm2, [{place} + {offset}*4]",
                ".if {columns} > 1",
                "tileloadd tmm3, [{place} + {offset}*4 + 64]",
                ".endif",
                ".endif",
                "jmp 3f",
                "2:",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                // One step.
                "3:",
                "mov {place}, [{steps} + {step_right}]",
                "lea {place}, [{right} + {place}*4]",
                "tileloadd tmm6, [{place} + {right_step}*4]",
                ".if {columns} > 1",
                "tileloadd tmm7, [{place} + {right_step}*4 + 64]",
                ".endif",
                "mov {offset}, [{steps} + {step_left}]",
                "lea {place}, [{left} + {offset}*4]",
                "tileloadd tmm4, [{place} + {left_step}*4]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                ".if {columns} > 1",
                "tdpbf16ps tmm1, tmm4, tmm7",
                ".endif",
                ".if {rows} > 1",
                "lea {place}, [{second} + {offset}*4]",
                "tileloadd tmm5, [{place} + {second_step}*4]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                ".if {columns} > 1",
                "tdpbf16ps tmm3, tmm5, tmm7",
                ".endif",
                ".endif",
                "add {steps}, {step_size}",
                "dec {count}",
                "jne 3b",
                // Sums to memory.
                "mov {place}, [{product} + {sums}]",
                "mov {offset}, [{product} + {sums} + 8]",
                "tilestored [{place} + {offset}*4], tmm0",
                ".if {columns} > 1",
                "tilestored [{place} + {offset}*4 + 64], tmm1",
                ".endif",
                ".if {rows} > 1",
                "mov {place}, [{product} + {sums} + 16]",
                "mov {offset}, [{product} + {sums} + 24]",
                "tilestored [{place} + {offset}*4], tmm2",
                ".if {columns} > 1",
                "tilestored [{place} + {offset}*4 + 64], tmm3",
                ".endif",
                ".endif",
                product = in(reg) product,
                left = in(reg) product.left[0].first,
                left_step = in(reg) product.left[0].step,
                second = in(reg) product.left[1].first,
                second_step = in(reg) product.left[1].step,
                right = in(reg) product.right.first,
                right_step = in(reg) product.right.step,
                steps = inout(reg) product.steps => _,
                count = inout(reg) product.num_steps => _,
                place = out(reg) _,
                offset = out(reg) _,
                rows = const ROWS,
                columns = const COLUMNS,
                adds = const offset_of!(Product, adds),
                sums = const offset_of!(Product, sums),
                step_left = const offset_of!(Step, left),
                step_right = const offset_of!(Step, right),
                step_size = const size_of::<Step>(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }

    #[inline(always)]
    unsafe fn transpose(square: *mut f32) {
        // SAFETY: a machine with AMX has AVX-512F, and the caller vouches for the square.
        unsafe {
            let mut rows = [_mm512_setzero_ps(); SIDE];
            for (i, row) in rows.iter_mut().enumerate() {
                *row = _mm512_loadu_ps(square.add(i * SIDE));
            }
            for (i, row) in transposed(rows).into_iter().enumerate() {
                _mm512_storeu_ps(square.add(i * SIDE), row);
            }
        }
    }
}

/// The columns of a square as rows.
///
/// # Safety
/// The machine has AVX-512F.
#[inline(always)]
unsafe fn transposed(rows: [__m512; SIDE]) -> [__m512; SIDE] {
    // SAFETY: passed on from the caller.
    unsafe {
        // Row i of `quads[4q..]` holds, in each quarter c of the register, the numbers of column
        // 4c + i in the rows 4q to 4q + 3.
        let mut quads = rows;
        for q in (0..SIDE).step_by(4) {
            let low = _mm512_unpacklo_ps(rows[q], rows[q + 1]);
            let high = _mm512_unpackhi_ps(rows[q], rows[q + 1]);
            let next_low = _mm512_unpacklo_ps(rows[q + 2], rows[q + 3]);
            let next_high = _mm512_unpackhi_ps(rows[q + 2], rows[q + 3]);
            quads[q] = _mm512_shuffle_ps::<0x44>(low, next_low);
            quads[q + 1] = _mm512_shuffle_ps::<0xEE>(low, next_low);
            quads[q + 2] = _mm512_shuffle_ps::<0x44>(high, next_high);
            quads[q + 3] = _mm512_shuffle_ps::<0xEE>(high, next_high);
        }
        let mut columns = rows;
        for i in 0..4 {
            let even = _mm512_shuffle_f32x4::<0x88>(quads[i], quads[4 + i]);
            let odd = _mm512_shuffle_f32x4::<0xDD>(quads[i], quads[4 + i]);
            let next_even = _mm512_shuffle_f32x4::<0x88>(quads[8 + i], quads[12 + i]);
            let next_odd = _mm512_shuffle_f32x4::<0xDD>(quads[8 + i], quads[12 + i]);
            columns[i] = _mm512_shuffle_f32x4::<0x88>(even, next_even);
            columns[8 + i] = _mm512_shuffle_f32x4::<0xDD>(even, next_even);
            columns[4 + i] = _mm512_shuffle_f32x4::<0x88>(odd, next_odd);
            columns[12 + i] = _mm512_shuffle_f32x4::<0xDD>(odd, next_odd);
        }
        columns
    }
}

/// Whether the processor has AMX for bf16 and the operating system lets this process use it. Linux
/// is asked for that permission once, when this is called first.
pub(in super::super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| has_instructions() && is_permitted())
}

/// What the processor says, and whether the system saves the registers.
fn has_instructions() -> bool {
    const LEAF: u32 = 7;
    const BF16_AND_TILE: u32 = 1 << 22 | 1 << 24;
    const TILE_STATES: u64 = 1 << 17 | 1 << 18;
    if __cpuid_count(0, 0).eax < LEAF || !is_x86_feature_detected!("xsave") {
        return false;
    }
    let states = {
        // SAFETY: XGETBV is present where the system uses XSAVE, which was just detected.
        unsafe { _xgetbv(0) }
    };
    __cpuid_count(LEAF, 0).edx & BF16_AND_TILE == BF16_AND_TILE
        && states & TILE_STATES == TILE_STATES
}

/// Asks for the permission to use tiles, which Linux gives processes on demand.
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const ARCH_PRCTL: isize = 158;
    const REQUEST_PERMISSION: usize = 0x1023;
    const TILE_DATA: usize = 18;
    let result: isize;
    // SAFETY: this system call reads and writes no memory of ours; it changes rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inout("rax") ARCH_PRCTL => result,
            in("rdi") REQUEST_PERMISSION,
            in("rsi") TILE_DATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// How other systems hand out tiles is not known here.
#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}

const _: () = {
    assert!(size_of::<Configuration>() == 64);
    assert!(size_of::<Rows<*mut f32>>() == 16 && offset_of!(Rows<*mut f32>, step) == 8);
    assert!(TILE == 256);
};
