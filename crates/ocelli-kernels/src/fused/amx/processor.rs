//! The processor's own tiles.
#![allow(unsafe_code)] // instructions that the compiler does not know, and a call of the system

use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::arch::{asm, naked_asm};
use std::mem::offset_of;
use std::sync::OnceLock;

use super::registers::Emulated;
use super::{Config, Product, SIDE, Step, Tiles, WORD};

/// The two components of the tiles' state in the processor's register of states that the system keeps (XCR0).
const STATES: u64 = 0b11 << 17;
/// The larger of them, which a process has to ask for.
const TILE_DATA: usize = 18;

/// Whether the processor has tiles that multiply bfloat16, and the system lets this process use them. Asked once.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| !cfg!(miri) && is_there() && is_kept() && is_permitted() && is_right())
}

/// Whether the processor has such tiles, of the size that is used here.
pub(super) fn is_there() -> bool {
    const BF16: u32 = 1 << 22;
    const TILE: u32 = 1 << 24;
    let most = __cpuid(0).eax;
    if most < 0x1D || __cpuid_count(7, 0).edx & (BF16 | TILE) != BF16 | TILE || __cpuid_count(0x1D, 0).eax < 1
    {
        return false;
    }
    // Bytes of a row, registers, rows.
    let palette = __cpuid_count(0x1D, 1);
    (palette.ebx & 0xFFFF, palette.ebx >> 16, palette.ecx & 0xFFFF) == (64, 8, 16)
}

/// Whether the system keeps the state of tiles when it switches between threads.
pub(super) fn is_kept() -> bool {
    #[target_feature(enable = "xsave")]
    fn states() -> u64 {
        // SAFETY: the processor has the instruction, and the register exists wherever it may be executed.
        unsafe { _xgetbv(0) }
    }
    const OSXSAVE: u32 = 1 << 27;
    // SAFETY: the system says that it uses the instruction.
    __cpuid(1).ecx & OSXSAVE != 0 && unsafe { states() } & STATES == STATES
}

/// Asks Linux to make room for tiles in what it keeps of every thread of this process.
pub(super) fn is_permitted() -> bool {
    const ARCH_PRCTL: usize = 158;
    const REQUEST_PERMISSION: usize = 0x1023;
    let answer: isize;
    // SAFETY: the call reads and writes no memory; a kernel that does not know it answers with an error.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => answer,
            in("rdi") REQUEST_PERMISSION,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    answer == 0
}

/// Whether a product comes out as it should: whole numbers, which no order of sums changes.
fn is_right() -> bool {
    // SAFETY: the processor has tiles, and this process may use them.
    known_product(&mut unsafe { Processor::new() }) == known_product(&mut Emulated::new())
}

/// Two tiles of pixels times two of filters, in two steps: every register takes part, none is full.
pub(super) fn known_product(tiles: &mut impl Tiles) -> Vec<f32> {
    const WORDS: usize = 7;
    let rows = [11, 5];
    let whole = |index: usize| ((index * 7 + index / 5) % 23) as f32 - 11.0;
    let words = |count: usize, first: usize| -> Vec<f32> {
        (first..first + count).map(|at| super::super::pack::pair([whole(2 * at), whole(3 * at)])).collect()
    };
    let (pixels, filters) = (words(2 * WORDS * SIDE, 0), words(2 * WORDS * 2 * SIDE, 1000));
    let bias: Vec<f32> = (0..2 * SIDE).map(whole).collect();
    let mut sums = vec![0.0_f32; 2 * SIDE * SIDE];
    let step = |index: usize| Step { pixel: index * WORDS * WORD, filter: index * WORDS * 2 * SIDE * WORD };
    let steps = [step(0), step(1)];
    let second = rows[0] * 2 * SIDE;
    let product = Product {
        pixels: [0, rows[0] * 2 * WORDS].map(|at| pixels.as_ptr().wrapping_add(at)),
        pixel_pitch: [2 * WORDS * WORD; 2],
        filters: filters.as_ptr(),
        filter_pitch: 2 * SIDE * WORD,
        steps: steps.as_ptr_range().start,
        steps_end: steps.as_ptr_range().end,
        begin: [bias.as_ptr(); 2],
        begin_pitch: 0,
        sums: [0, second].map(|at| sums.as_mut_ptr().wrapping_add(at)),
        sums_pitch: 2 * SIDE * WORD,
    };
    tiles.configure(&Config::new(rows, WORDS));
    // SAFETY: sixteen rows of fourteen words of pixels, fourteen rows of two tiles of filters, and sixteen rows of two tiles of
    // sums are all there.
    unsafe { tiles.multiply(2, 2, &product) };
    sums
}

/// Tiles in use by this thread, until they are dropped.
pub(super) struct Processor {
    loaded: Option<Config>,
}

impl Processor {
    /// # Safety
    /// The processor has tiles of bfloat16, and this process may use them. Only one may be alive on a thread, and it must stay
    /// there, as its pointer-free state does not show.
    pub(super) unsafe fn new() -> Self {
        Self { loaded: None }
    }
}

impl Drop for Processor {
    /// Gives the tiles back: a thread that uses none is cheaper to switch to, and its core may run faster.
    fn drop(&mut self) {
        if self.loaded.is_some() {
            // SAFETY: the processor has tiles by the contract of `new`; nothing is left in them.
            unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) };
        }
    }
}

impl Tiles for Processor {
    fn configure(&mut self, config: &Config) {
        if self.loaded.as_ref() == Some(config) {
            return;
        }
        // SAFETY: the processor has tiles by the contract of `new`, and `Config` allows only extents that they have.
        unsafe {
            asm!("ldtilecfg [{config}]", config = in(reg) config, options(readonly, nostack, preserves_flags));
        }
        self.loaded = Some(*config);
    }

    unsafe fn multiply(&mut self, down: usize, across: usize, product: &Product) {
        let multiply = match (down, across) {
            (1, 1) => multiply::<1, 1>,
            (1, _) => multiply::<1, 2>,
            (_, 1) => multiply::<2, 1>,
            (_, _) => multiply::<2, 2>,
        };
        // SAFETY: by contract.
        unsafe { multiply(product) };
    }
}

/// The whole product, from the first load to the last store: between the instructions of a function without a frame there is
/// nothing of the compiler's, and by the convention of calls no caller expects to find anything in tiles.
///
/// # Safety
/// As [`Tiles::multiply`], on a processor with tiles.
#[unsafe(naked)]
unsafe extern "sysv64" fn multiply<const DOWN: usize, const ACROSS: usize>(product: &Product) {
    naked_asm!(
        // The sums begin.
        "mov rax, [rdi + {begin}]",
        "mov rcx, [rdi + {begin_pitch}]",
        "tileloadd tmm0, [rax + rcx]",
        ".if {across} - 1",
        "tileloadd tmm1, [rax + rcx + 64]",
        ".endif",
        ".if {down} - 1",
        "mov rax, [rdi + {begin} + 8]",
        "tileloadd tmm2, [rax + rcx]",
        ".if {across} - 1",
        "tileloadd tmm3, [rax + rcx + 64]",
        ".endif",
        ".endif",
        // Pitches stay in r8 to r10, the step in rsi.
        "mov r8, [rdi + {pixel_pitch}]",
        "mov r9, [rdi + {pixel_pitch} + 8]",
        "mov r10, [rdi + {filter_pitch}]",
        "mov rsi, [rdi + {steps}]",
        "cmp rsi, [rdi + {steps_end}]",
        "je 3f",
        ".p2align 4",
        "2:",
        "mov rcx, [rsi + {filter}]",
        "add rcx, [rdi + {filters}]",
        "mov rax, [rsi + {pixel}]",
        "mov rdx, rax",
        "add rax, [rdi + {pixels}]",
        "tileloadd tmm6, [rcx + r10]",
        "tileloadd tmm4, [rax + r8]",
        "tdpbf16ps tmm0, tmm4, tmm6",
        ".if {across} - 1",
        "tileloadd tmm7, [rcx + r10 + 64]",
        "tdpbf16ps tmm1, tmm4, tmm7",
        ".endif",
        ".if {down} - 1",
        "add rdx, [rdi + {pixels} + 8]",
        "tileloadd tmm5, [rdx + r9]",
        "tdpbf16ps tmm2, tmm5, tmm6",
        ".if {across} - 1",
        "tdpbf16ps tmm3, tmm5, tmm7",
        ".endif",
        ".endif",
        "add rsi, {step}",
        "cmp rsi, [rdi + {steps_end}]",
        "jne 2b",
        "3:",
        // Where the sums go.
        "mov rax, [rdi + {sums}]",
        "mov rcx, [rdi + {sums_pitch}]",
        "tilestored [rax + rcx], tmm0",
        ".if {across} - 1",
        "tilestored [rax + rcx + 64], tmm1",
        ".endif",
        ".if {down} - 1",
        "mov rax, [rdi + {sums} + 8]",
        "tilestored [rax + rcx], tmm2",
        ".if {across} - 1",
        "tilestored [rax + rcx + 64], tmm3",
        ".endif",
        ".endif",
        "ret",
        down = const DOWN,
        across = const ACROSS,
        begin = const offset_of!(Product, begin),
        begin_pitch = const offset_of!(Product, begin_pitch),
        pixels = const offset_of!(Product, pixels),
        pixel_pitch = const offset_of!(Product, pixel_pitch),
        filters = const offset_of!(Product, filters),
        filter_pitch = const offset_of!(Product, filter_pitch),
        steps = const offset_of!(Product, steps),
        steps_end = const offset_of!(Product, steps_end),
        sums = const offset_of!(Product, sums),
        sums_pitch = const offset_of!(Product, sums_pitch),
        pixel = const offset_of!(Step, pixel),
        filter = const offset_of!(Step, filter),
        step = const size_of::<Step>(),
    )
}
