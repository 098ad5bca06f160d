//! Packed binary codes.

use rayon::prelude::*;

use super::{HammingError, Result};
use crate::kernels::hamming::LANES;

/// The longest code.
pub const MAX_BITS: usize = 65_535;

/// The most codes in a set.
pub const MAX_CODES: usize = 4_294_967_288;

/// Binary codes, all of one length, packed.
///
/// Bit i of a code is its i-th value; in bytes it lies in byte i / 8 at position i mod 8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    bits: usize,
    count: usize,
    /// `[ceil(count / LANES), words, LANES]`: the first word of eight codes, their second word, and so on. The lanes behind
    /// the last code, and the bits behind a code's last, are 0.
    blocks: Vec<u64>,
}

impl Codes {
    /// No codes, of `bits` bits.
    pub fn empty(bits: usize) -> Result<Self> {
        check_bits(bits)?;
        Ok(Self { bits, count: 0, blocks: Vec::new() })
    }

    /// The signs of `rows`, `[N, bits]`: 1 where a value is at least 0, also where it is -0.
    pub fn from_signs(rows: &[f32], bits: usize) -> Result<Self> {
        let codes = Self::pack(rows, "values", bits, bits, |row, w| {
            word(row[64 * w..].iter().take(64).map(|value| *value >= 0.0))
        })?;
        match rows.par_iter().position_first(|value| value.is_nan()) {
            Some(at) => Err(HammingError::NotANumber { code: at / bits, bit: at % bits }),
            None => Ok(codes),
        }
    }

    /// Codes given value by value, `[N, bits]`: all values -1 and 1, or all 0 and 1.
    pub fn from_values(values: &[i8], bits: usize) -> Result<Self> {
        let codes = Self::pack(values, "values", bits, bits, |row, w| {
            word(row[64 * w..].iter().take(64).map(|value| *value == 1))
        })?;
        let low = values.par_iter().find_first(|value| **value != 1).copied().unwrap_or(0);
        let strange = |value: &i8| *value != 1 && (*value != low || !matches!(low, -1 | 0));
        match values.par_iter().position_first(strange) {
            Some(at) => Err(HammingError::Value { code: at / bits, bit: at % bits, value: values[at] }),
            None => Ok(codes),
        }
    }

    /// Codes packed into bytes, `[N, ceil(bits / 8)]`, the lowest bit first. The bits behind a code's last must be 0.
    pub fn from_bytes(bytes: &[u8], bits: usize) -> Result<Self> {
        let width = bits.div_ceil(8);
        let codes = Self::pack(bytes, "bytes", bits, width, |row, w| {
            let part = &row[8 * w..row.len().min(8 * w + 8)];
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            u64::from_le_bytes(word)
        })?;
        if bits.is_multiple_of(8) {
            return Ok(codes);
        }
        let padded = |row: &[u8]| row[width - 1] >> (bits % 8) != 0;
        match bytes.par_chunks_exact(width).position_first(padded) {
            Some(code) => Err(HammingError::Padding { code, bits }),
            None => Ok(codes),
        }
    }

    /// The codes packed into bytes, `[N, ceil(bits / 8)]`, the lowest bit first: what [`Codes::from_bytes`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        let width = self.bits.div_ceil(8);
        let mut bytes = vec![0; self.count * width];
        bytes.par_chunks_mut(LANES * width).zip(self.blocks.par_chunks_exact(self.block_len())).for_each(
            |(bytes, block)| {
                for (lane, row) in bytes.chunks_exact_mut(width).enumerate() {
                    for (part, lanes) in row.chunks_mut(8).zip(block.chunks_exact(LANES)) {
                        part.copy_from_slice(&lanes[lane].to_le_bytes()[..part.len()]);
                    }
                }
            },
        );
        bytes
    }

    /// Packs rows of `width` elements; `word(row, w)` is word `w` of a row's code.
    fn pack<T: Sync>(
        rows: &[T],
        elements: &'static str,
        bits: usize,
        width: usize,
        word: impl Fn(&[T], usize) -> u64 + Sync,
    ) -> Result<Self> {
        check_bits(bits)?;
        if !rows.len().is_multiple_of(width) {
            return Err(HammingError::Length { elements, found: rows.len(), width, bits });
        }
        let count = check_count(rows.len() / width)?;
        let mut codes = Self { bits, count, blocks: Vec::new() };
        codes.blocks = vec![0; count.div_ceil(LANES) * codes.block_len()];
        let block_len = codes.block_len();
        codes.blocks.par_chunks_exact_mut(block_len).zip(rows.par_chunks(LANES * width)).for_each(
            |(block, rows)| {
                for (lane, row) in rows.chunks_exact(width).enumerate() {
                    for (w, lanes) in block.chunks_exact_mut(LANES).enumerate() {
                        lanes[lane] = word(row, w);
                    }
                }
            },
        );
        Ok(codes)
    }

    /// Appends `others`, whose numbers go on from this set's last.
    pub fn append(&mut self, others: &Codes) -> Result<()> {
        self.same_bits("codes to append", others)?;
        let count = check_count(self.count + others.count)?;
        self.blocks.resize(count.div_ceil(LANES) * self.block_len(), 0);
        for number in 0..others.count {
            for (w, word) in others.words_of(number).enumerate() {
                let at = self.place(self.count + number, w);
                self.blocks[at] = word;
            }
        }
        self.count = count;
        Ok(())
    }

    /// The length of a code.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// The number of codes.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The Hamming distance of code `number` from code `other` of `others`.
    ///
    /// # Panics
    /// When there is no such code or the lengths differ.
    pub fn distance(&self, number: usize, others: &Codes, other: usize) -> u32 {
        assert_eq!(self.bits, others.bits, "codes of different lengths");
        self.words_of(number).zip(others.words_of(other)).map(|(a, b)| (a ^ b).count_ones()).sum()
    }

    /// The words of a code, the first 64 bits in the first.
    ///
    /// # Panics
    /// When there is no such code.
    pub(super) fn words_of(&self, number: usize) -> impl Iterator<Item = u64> {
        assert!(number < self.count, "code {number} of {}", self.count);
        (0..self.words()).map(move |w| self.blocks[self.place(number, w)])
    }

    /// Bits `start..start + len` of a code, `len` from 1 to 32.
    pub(super) fn substring(&self, number: usize, start: usize, len: u32) -> u32 {
        let (word, shift) = (start / 64, start % 64);
        let low = self.blocks[self.place(number, word)] >> shift;
        let reaches_on = shift + len as usize > 64;
        let high = if reaches_on { self.blocks[self.place(number, word + 1)] << (64 - shift) } else { 0 };
        ((low | high) & (u64::MAX >> (64 - len))) as u32
    }

    /// The codes one after another, `[N, words]`.
    pub(super) fn to_rows(&self) -> Vec<u64> {
        (0..self.count).flat_map(|number| self.words_of(number)).collect()
    }

    /// Words in a code.
    pub(super) fn words(&self) -> usize {
        self.bits.div_ceil(64)
    }

    /// The blocks, as the kernels want them.
    pub(super) fn blocks(&self) -> &[u64] {
        &self.blocks
    }

    /// Words in a block.
    pub(super) fn block_len(&self) -> usize {
        self.words() * LANES
    }

    /// Fails unless `others`, called `name`, have this set's length of codes.
    pub(super) fn same_bits(&self, name: &'static str, others: &Codes) -> Result<()> {
        match others.bits == self.bits {
            true => Ok(()),
            false => Err(HammingError::Lengths { name, found: others.bits, wanted: self.bits }),
        }
    }

    /// Where word `w` of code `number` lies.
    fn place(&self, number: usize, w: usize) -> usize {
        number / LANES * self.block_len() + w * LANES + number % LANES
    }
}

/// The first bit in the lowest position.
fn word(bits: impl Iterator<Item = bool>) -> u64 {
    bits.enumerate().fold(0, |word, (i, bit)| word | u64::from(bit) << i)
}

fn check_bits(bits: usize) -> Result<()> {
    if bits == 0 || bits > MAX_BITS { Err(HammingError::Bits(bits)) } else { Ok(()) }
}

fn check_count(count: usize) -> Result<usize> {
    if count > MAX_CODES { Err(HammingError::TooMany(count)) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(bits: usize, count: usize) -> Vec<f32> {
        (0..bits * count).map(|i| if (i * i / 3) % 5 < 2 { 0.5 } else { -0.25 }).collect()
    }

    #[test]
    fn bit_i_lies_in_byte_i_by_8() {
        let values: Vec<f32> = (0..70).map(|i| if i % 3 == 0 { -0.0 } else { -0.5 }).collect();
        let bytes = Codes::from_signs(&values, 70).unwrap().to_bytes();
        assert_eq!((bytes.len(), bytes[0], bytes[8]), (9, 0b0100_1001, 0b0010_0100));
    }

    #[test]
    fn three_ways_in_give_the_same_codes() {
        for (bits, count) in [(1, 9), (12, 8), (16, 3), (64, 17), (65, 1), (100, 7), (1024, 10), (64, 0)] {
            let rows = signs(bits, count);
            let codes = Codes::from_signs(&rows, bits).unwrap();
            assert_eq!((codes.bits(), codes.len(), codes.is_empty()), (bits, count, count == 0));
            let both = |low: i8| rows.iter().map(|v| if *v > 0.0 { 1 } else { low }).collect::<Vec<i8>>();
            assert_eq!(Codes::from_values(&both(-1), bits).unwrap(), codes);
            assert_eq!(Codes::from_values(&both(0), bits).unwrap(), codes);
            let bytes = codes.to_bytes();
            assert_eq!(bytes.len(), count * bits.div_ceil(8));
            assert_eq!(Codes::from_bytes(&bytes, bits).unwrap(), codes);
            let value = |n: usize, i: usize| bytes[n * bits.div_ceil(8) + i / 8] >> (i % 8) & 1 == 1;
            assert!((0..bits * count).all(|at| value(at / bits, at % bits) == (rows[at] > 0.0)));
        }
    }

    #[test]
    fn appended_codes_are_as_if_packed_at_once() {
        let (bits, rows) = (70, signs(70, 30));
        let whole = Codes::from_signs(&rows, bits).unwrap();
        for cut in [0, 1, 8, 13, 30] {
            let mut codes = Codes::empty(bits).unwrap();
            for part in [&rows[..cut * bits], &rows[cut * bits..]] {
                codes.append(&Codes::from_signs(part, bits).unwrap()).unwrap();
            }
            assert_eq!(codes, whole);
        }
        assert!(Codes::empty(71).unwrap().append(&whole).is_err());
    }

    #[test]
    fn the_distance_is_the_number_of_values_that_differ() {
        let (bits, rows) = (130, signs(130, 5));
        let codes = Codes::from_signs(&rows, bits).unwrap();
        for (a, b) in [(0, 0), (0, 1), (3, 4), (4, 2)] {
            let row = |n: usize| rows[n * bits..][..bits].iter();
            let differing = row(a).zip(row(b)).filter(|(x, y)| x != y).count();
            assert_eq!(codes.distance(a, &codes, b) as usize, differing);
        }
    }

    #[test]
    fn bad_input_is_refused_by_place() {
        let says = |error: Result<Codes>| error.unwrap_err().to_string();
        assert!(says(Codes::from_signs(&[1.0], 0)).contains("0 bits"));
        assert!(says(Codes::from_signs(&[1.0], MAX_BITS + 1)).contains("65536 bits"));
        assert!(says(Codes::from_signs(&[1.0, 2.0, 3.0], 2)).contains("3 values"));
        assert!(says(Codes::from_signs(&[1.0, 2.0, 3.0, f32::NAN], 2)).contains("code 1, bit 1 is NaN"));
        assert!(says(Codes::from_values(&[1, 0, 1, 2], 2)).contains("code 1, bit 1 is 2"));
        assert!(says(Codes::from_values(&[1, 0, -1, 0], 2)).contains("code 1, bit 0 is -1"));
        assert!(says(Codes::from_values(&[3, 3], 2)).contains("code 0, bit 0 is 3"));
        assert!(says(Codes::from_bytes(&[1, 2, 3], 9)).contains("3 bytes"));
        assert!(says(Codes::from_bytes(&[1, 1, 1, 2], 9)).contains("code 1 has bits set behind"));
    }
}
