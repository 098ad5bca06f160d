//! The tile registers emulated: what each instruction does by its definition in Intel's manual (Software Developer's Manual,
//! volume 2, `TDPBF16PS` and its kin).
#![allow(unsafe_code)] // tiles are loaded and stored through pointers

use ocelli_simd::vectorized;

use super::{Config, Product, SIDE, Tiles, WORD};

/// Bits of words, row by row.
type Words = [[u32; SIDE]; SIDE];

/// A register. Beyond its extents it is zero.
#[derive(Clone, Copy, Debug)]
struct Register {
    rows: usize,
    /// Words of a row.
    words: usize,
    bits: Words,
}

/// All registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers([Register; 8]);

impl Registers {
    /// Registers that were not configured.
    pub(super) const fn new() -> Self {
        Self([Register { rows: 0, words: 0, bits: [[0; SIDE]; SIDE] }; 8])
    }

    /// `LDTILECFG`: all registers get extents and are zero.
    ///
    /// # Panics
    /// Where the processor would refuse: another palette than 1, reserved bytes in use, or extents that no register has.
    pub(super) fn configure(&mut self, bytes: &[u8; 64]) {
        assert!(bytes[0] == 1, "palette");
        let reserved = bytes[1..16].iter().chain(&bytes[32..48]).chain(&bytes[56..]);
        assert!(reserved.copied().all(|byte| byte == 0), "reserved bytes");
        for (index, register) in self.0.iter_mut().enumerate() {
            let row = usize::from(u16::from_le_bytes([bytes[16 + 2 * index], bytes[17 + 2 * index]]));
            let rows = usize::from(bytes[48 + index]);
            let fits = rows <= SIDE && row <= SIDE * WORD && row.is_multiple_of(WORD);
            assert!(fits && (rows == 0) == (row == 0), "{rows} rows of {row} bytes");
            *register = Register { rows, words: row / WORD, bits: [[0; SIDE]; SIDE] };
        }
    }

    /// `TILERELEASE`.
    #[cfg(test)]
    pub(super) fn release(&mut self) {
        *self = Self::new();
    }

    /// Whether no register has extents.
    #[cfg(test)]
    pub(super) fn are_released(&self) -> bool {
        self.0.iter().all(|register| register.rows == 0)
    }

    /// `TILEZERO`.
    #[cfg(test)]
    pub(super) fn zero(&mut self, register: usize) {
        self.register(register).bits = [[0; SIDE]; SIDE];
    }

    /// `TILELOADD`: rows `pitch` bytes apart.
    ///
    /// # Safety
    /// The rows can be read.
    pub(super) unsafe fn load(&mut self, register: usize, from: *const f32, pitch: usize) {
        let register = self.register(register);
        register.bits = [[0; SIDE]; SIDE];
        for (row, bits) in register.bits.iter_mut().enumerate().take(register.rows) {
            let from = from.wrapping_byte_add(row * pitch).cast::<u32>();
            for (word, bits) in bits.iter_mut().enumerate().take(register.words) {
                // SAFETY: by contract.
                *bits = unsafe { from.wrapping_add(word).read_unaligned() };
            }
        }
    }

    /// `TILESTORED`: rows `pitch` bytes apart.
    ///
    /// # Safety
    /// The rows can be written.
    pub(super) unsafe fn store(&mut self, register: usize, to: *mut f32, pitch: usize) {
        let register = self.register(register);
        for (row, bits) in register.bits.iter().enumerate().take(register.rows) {
            let to = to.wrapping_byte_add(row * pitch).cast::<u32>();
            for (word, &bits) in bits.iter().enumerate().take(register.words) {
                // SAFETY: by contract.
                unsafe { to.wrapping_add(word).write_unaligned(bits) };
            }
        }
    }

    /// `TDPBF16PS`: to the sums the products of the pixels' rows with the filters' columns.
    ///
    /// # Panics
    /// Where the processor would refuse: a register twice, or extents that do not fit.
    pub(super) fn multiply(&mut self, [sums, pixels, filters]: [usize; 3]) {
        assert!(sums != pixels && sums != filters && pixels != filters, "a register twice");
        let (left, right) = (*self.register(pixels), *self.register(filters));
        let sums = self.register(sums);
        let fits = sums.rows == left.rows && left.words == right.rows && sums.words == right.words;
        assert!(fits, "{}x{} = {}x{} * ...", sums.rows, sums.words, left.rows, left.words);
        add_products(&mut sums.bits, &left.bits, &right.bits, sums.rows, left.words);
        // What lies beyond the extents was zero times zero.
    }

    fn register(&mut self, index: usize) -> &mut Register {
        let register = &mut self.0[index];
        assert!(register.rows > 0, "register {index} was not configured");
        register
    }
}

/// Zero for a number too small to be normal, as the tiles have it in what goes in and out. (A sum that only rounding lifts
/// to the least normal number stays here, and may be flushed there.)
#[inline(always)]
fn flushed(value: f32) -> f32 {
    if value.abs() < f32::MIN_POSITIVE { 0.0_f32.copysign(value) } else { value }
}

/// The two numbers of a word, the first in the low half.
#[inline(always)]
fn halves(word: u32) -> [f32; 2] {
    [word << 16, word & 0xFFFF_0000].map(|bits| flushed(f32::from_bits(bits)))
}

vectorized! {
    /// Even and odd numbers are summed apart, each product fused with its sum, and then together with what was there.
    fn add_products(sums: &mut Words, left: &Words, right: &Words, rows: usize, depth: usize) {
        for (sums, left) in sums.iter_mut().zip(left).take(rows) {
            let (mut even, mut odd) = ([0.0_f32; SIDE], [0.0_f32; SIDE]);
            for (&word, right) in left.iter().zip(right).take(depth) {
                let [first, second] = halves(word);
                for ((even, odd), &word) in even.iter_mut().zip(&mut odd).zip(right) {
                    let [third, fourth] = halves(word);
                    *even = flushed(first.mul_add(third, *even));
                    *odd = flushed(second.mul_add(fourth, *odd));
                }
            }
            for ((sum, even), odd) in sums.iter_mut().zip(even).zip(odd) {
                *sum = flushed(flushed(f32::from_bits(*sum)) + flushed(even + odd)).to_bits();
            }
        }
    }
}

/// [`Tiles`] in emulated registers.
pub(super) struct Emulated(Registers);

impl Emulated {
    pub(super) const fn new() -> Self {
        Self(Registers::new())
    }
}

impl Tiles for Emulated {
    fn configure(&mut self, config: &Config) {
        self.0.configure(&config.0);
    }

    unsafe fn multiply(&mut self, down: usize, across: usize, product: &Product) {
        let tile = SIDE * WORD;
        let tiles = || (0..down).flat_map(|row| (0..across).map(move |column| (row, column)));
        // SAFETY: by contract.
        unsafe {
            for (row, column) in tiles() {
                let begin = product.begin[row].wrapping_byte_add(column * tile);
                self.0.load(2 * row + column, begin, product.begin_pitch);
            }
            let count = product.steps_end.offset_from_unsigned(product.steps);
            for step in std::slice::from_raw_parts(product.steps, count) {
                for row in 0..down {
                    let pixels = product.pixels[row].wrapping_byte_add(step.pixel);
                    self.0.load(4 + row, pixels, product.pixel_pitch[row]);
                }
                for column in 0..across {
                    let filters = product.filters.wrapping_byte_add(step.filter + column * tile);
                    self.0.load(6 + column, filters, product.filter_pitch);
                }
                for (row, column) in tiles() {
                    self.0.multiply([2 * row + column, 4 + row, 6 + column]);
                }
            }
            for (row, column) in tiles() {
                let sums = product.sums[row].wrapping_byte_add(column * tile);
                self.0.store(2 * row + column, sums, product.sums_pitch);
            }
        }
    }
}
