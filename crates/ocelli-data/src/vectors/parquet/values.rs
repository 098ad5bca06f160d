//! Values as they lie in a page, and what becomes of them.

use super::footer::{Logical, Physical};
use super::schema::Leaf;

const CUT: &str = "a page has fewer values than it promises";

/// The values of a page, one after the other.
pub(super) struct Plain<'a> {
    bytes: &'a [u8],
    /// Of the first byte, the bits that have been read; only booleans use it.
    bit: usize,
}

impl<'a> Plain<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, bit: 0 }
    }

    /// The next `count` values of `N` bytes.
    fn words<const N: usize>(&mut self, count: usize) -> Result<&'a [[u8; N]], String> {
        let (words, rest) = count.checked_mul(N).and_then(|n| self.bytes.split_at_checked(n)).ok_or(CUT)?;
        self.bytes = rest;
        Ok(words.as_chunks().0)
    }

    /// The next byte string, before which its length stands.
    fn text(&mut self) -> Result<&'a [u8], String> {
        let [length] = self.words(1)? else { return Err(CUT.into()) };
        let (text, rest) = self.bytes.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(CUT)?;
        self.bytes = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        let byte = self.bytes.first().ok_or(CUT)?;
        let value = byte >> self.bit & 1 == 1;
        self.bit += 1;
        if self.bit == 8 {
            (self.bytes, self.bit) = (&self.bytes[1..], 0);
        }
        Ok(value)
    }
}

/// What values can be read as.
pub(super) trait Item: Clone {
    /// Appends the next `count` values.
    ///
    /// # Errors
    /// When there are fewer, or they are of no type that can be read as this one.
    fn plain(leaf: Leaf, from: &mut Plain<'_>, count: usize, out: &mut Vec<Self>) -> Result<(), String>;

    /// Bytes of memory that it takes.
    fn cost(&self) -> usize {
        size_of::<Self>()
    }

    /// False and true, for booleans alone.
    fn bits(leaf: Leaf) -> Vec<Self> {
        let mut bits = Vec::new();
        if leaf.physical == Physical::Boolean
            && Self::plain(leaf, &mut Plain::new(&[0b10]), 2, &mut bits).is_err()
        {
            bits.clear();
        }
        bits
    }
}

impl Item for f32 {
    fn plain(leaf: Leaf, from: &mut Plain<'_>, count: usize, out: &mut Vec<Self>) -> Result<(), String> {
        match leaf.physical {
            Physical::Float => out.extend(from.words(count)?.iter().map(|b| Self::from_le_bytes(*b))),
            Physical::Double => out.extend(from.words(count)?.iter().map(|b| f64::from_le_bytes(*b) as Self)),
            Physical::Fixed(2) => {
                out.extend(from.words(count)?.iter().map(|b| half::f16::from_le_bytes(*b).to_f32()));
            }
            _ => return Err("floats expected".into()),
        }
        Ok(())
    }
}

impl Item for f64 {
    fn plain(leaf: Leaf, from: &mut Plain<'_>, count: usize, out: &mut Vec<Self>) -> Result<(), String> {
        if leaf.physical == Physical::Double {
            out.extend(from.words(count)?.iter().map(|b| Self::from_le_bytes(*b)));
            return Ok(());
        }
        let mut narrow: Vec<f32> = Vec::new();
        f32::plain(leaf, from, count, &mut narrow)?;
        out.extend(narrow.into_iter().map(Self::from));
        Ok(())
    }
}

/// Whole numbers; unsigned ones of 64 bits as the signed ones of the same bits.
impl Item for i64 {
    fn plain(leaf: Leaf, from: &mut Plain<'_>, count: usize, out: &mut Vec<Self>) -> Result<(), String> {
        let unsigned = leaf.logical == Logical::Unsigned;
        match leaf.physical {
            Physical::Boolean => {
                for _ in 0..count {
                    out.push(from.boolean()?.into());
                }
            }
            Physical::Int32 if unsigned => {
                out.extend(from.words(count)?.iter().map(|b| Self::from(u32::from_le_bytes(*b))));
            }
            Physical::Int32 => {
                out.extend(from.words(count)?.iter().map(|b| Self::from(i32::from_le_bytes(*b))))
            }
            Physical::Int64 => out.extend(from.words(count)?.iter().map(|b| Self::from_le_bytes(*b))),
            _ => return Err("whole numbers expected".into()),
        }
        Ok(())
    }
}

impl Item for String {
    fn plain(leaf: Leaf, from: &mut Plain<'_>, count: usize, out: &mut Vec<Self>) -> Result<(), String> {
        if leaf.physical != Physical::Bytes {
            return Err("text expected".into());
        }
        for _ in 0..count {
            let text = std::str::from_utf8(from.text()?).map_err(|_| "a text is not UTF-8")?;
            out.push(text.to_owned());
        }
        Ok(())
    }

    fn cost(&self) -> usize {
        size_of::<Self>() + self.len()
    }
}
