//! COCO's compressed text of run lengths: five bits a letter, from `0` on.

use super::{Rle, refused};
use crate::Result;

/// Letters that a run may take: 64 bits in fives.
const LONGEST: u32 = 13;

impl Rle {
    /// Reads the compressed text.
    ///
    /// # Errors
    /// [`crate::MetricError::Setting`] for a letter outside of `0` to `o`, a run that is cut off, negative or too long, and
    /// runs beyond the last pixel.
    pub fn from_text(size: [u32; 2], text: &str) -> Result<Self> {
        let mut counts: Vec<u32> = Vec::with_capacity(text.len() / 2 + 1);
        let mut letters = text.bytes().enumerate();
        while let Some((at, first)) = letters.next() {
            let (mut value, mut shift, mut letter) = (0i64, 0, first);
            loop {
                if !(b'0'..b'0' + 64).contains(&letter) {
                    return Err(refused(
                        format!("byte {letter} in compressed runs"),
                        "letters from `0` to `o`",
                    ));
                }
                let bits = i64::from(letter - b'0');
                value |= (bits & 0x1f) << (5 * shift);
                shift += 1;
                if bits & 0x20 == 0 {
                    if bits & 0x10 != 0 {
                        value |= -1 << (5 * shift);
                    }
                    break;
                }
                letter = match letters.next() {
                    Some((_, letter)) if shift < LONGEST - 1 => letter,
                    _ => {
                        return Err(refused(
                            format!("compressed runs that break off in the one at byte {at}"),
                            "whole runs",
                        ));
                    }
                };
            }
            if counts.len() > 2 {
                value = value.saturating_add(i64::from(counts[counts.len() - 2]));
            }
            let run = u32::try_from(value).map_err(|_| {
                refused(format!("run {} of {value} pixels", counts.len()), "runs of 0 or more")
            })?;
            counts.push(run);
        }
        Self::from_counts(size, counts)
    }

    /// Writes the compressed text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (i, &count) in self.counts.iter().enumerate() {
            let before = if i > 2 { self.counts[i - 2] } else { 0 };
            let mut value = i64::from(count) - i64::from(before);
            loop {
                let bits = (value & 0x1f) as u8;
                value >>= 5;
                let done = if bits & 0x10 != 0 { value == -1 } else { value == 0 };
                text.push(char::from(b'0' + bits + if done { 0 } else { 0x20 }));
                if done {
                    break;
                }
            }
        }
        text
    }
}
