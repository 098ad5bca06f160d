//! Runs and bit-packed groups of small numbers: levels, indices into a dictionary, booleans.
//!
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/#run-length-encoding--bit-packing-hybrid-rle--3>

/// What the numbers come from at the moment.
enum Run {
    Repeated {
        value: u32,
        left: u64,
    },
    /// `bit` is where the next number begins in the bytes.
    Packed {
        bit: usize,
        left: u64,
    },
}

/// A reader of numbers of `width` bits.
pub(super) struct Hybrid<'a> {
    bytes: &'a [u8],
    width: u8,
    run: Run,
}

impl<'a> Hybrid<'a> {
    pub(super) fn new(bytes: &'a [u8], width: u8) -> Result<Self, String> {
        if width > 32 {
            return Err(format!("its numbers are to have {width} bits"));
        }
        Ok(Self {
            bytes,
            width,
            run: Run::Repeated { value: 0, left: if width == 0 { u64::MAX } else { 0 } },
        })
    }

    /// Fills `out` with the next numbers.
    pub(super) fn fill(&mut self, mut out: &mut [u32]) -> Result<(), String> {
        while !out.is_empty() {
            let left = match self.run {
                Run::Repeated { left, .. } | Run::Packed { left, .. } => left,
            };
            if left == 0 {
                self.next_run()?;
                continue;
            }
            let now = usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
            let (front, rest) = std::mem::take(&mut out).split_at_mut(now);
            out = rest;
            match &mut self.run {
                Run::Repeated { value, left } => {
                    front.fill(*value);
                    *left -= now as u64;
                }
                Run::Packed { bit, left } => {
                    unpack(self.bytes, *bit, self.width, front)?;
                    *bit += now * usize::from(self.width);
                    *left -= now as u64;
                    if *left == 0 {
                        self.bytes = self.bytes.get(bit.div_ceil(8)..).unwrap_or_default();
                    }
                }
            }
        }
        Ok(())
    }

    fn next_run(&mut self) -> Result<(), String> {
        const CUT: &str = "it has fewer numbers than it promises";
        let mut head = 0u64;
        let mut shift = 0;
        loop {
            let (byte, rest) = self.bytes.split_first().ok_or(CUT)?;
            self.bytes = rest;
            head |= u64::from(byte & 0x7F) << shift;
            shift += 7;
            if *byte < 0x80 {
                break;
            }
            // Runs are counted in 32 bits.
            if shift > 28 {
                return Err("the length of a run does not end".into());
            }
        }
        self.run = if head & 1 == 1 {
            Run::Packed { bit: 0, left: (head >> 1) * 8 }
        } else {
            let (value, rest) =
                self.bytes.split_at_checked(usize::from(self.width).div_ceil(8)).ok_or(CUT)?;
            self.bytes = rest;
            Run::Repeated { value: small(value), left: head >> 1 }
        };
        Ok(())
    }
}

/// A number of up to four bytes, the least significant first.
fn small(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

/// Numbers that lie bit to bit, from bit `start` on.
fn unpack(bytes: &[u8], start: usize, width: u8, out: &mut [u32]) -> Result<(), String> {
    let width = usize::from(width);
    let mask = (1u64 << width) - 1;
    if (start + out.len() * width).div_ceil(8) > bytes.len() {
        return Err("it has fewer numbers than it promises".into());
    }
    for (i, number) in out.iter_mut().enumerate() {
        let bit = start + i * width;
        let bytes = &bytes[bit / 8..];
        let word = match bytes.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => {
                let mut word = [0; 8];
                word[..bytes.len()].copy_from_slice(bytes);
                u64::from_le_bytes(word)
            }
        };
        *number = (word >> (bit % 8) & mask) as u32;
    }
    Ok(())
}

/// A run of one number.
pub(super) fn put_run(out: &mut Vec<u8>, value: u8, length: usize) {
    put_head(out, length << 1);
    out.push(value);
}

/// Booleans bit to bit.
pub(super) fn put_bits(out: &mut Vec<u8>, bits: impl ExactSizeIterator<Item = bool>) {
    put_head(out, bits.len().div_ceil(8) << 1 | 1);
    let start = out.len();
    for (i, bit) in bits.enumerate() {
        if i % 8 == 0 {
            out.push(0);
        }
        out[start + i / 8] |= u8::from(bit) << (i % 8);
    }
}

fn put_head(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8], width: u8, steps: &[usize]) -> Result<Vec<u32>, String> {
        let mut hybrid = Hybrid::new(bytes, width)?;
        let mut all = Vec::new();
        for step in steps {
            let start = all.len();
            all.resize(start + step, 9);
            hybrid.fill(&mut all[start..])?;
        }
        Ok(all)
    }

    #[test]
    fn the_specifications_example_is_read() {
        // The numbers 0 to 7 with three bits, then 300 fives.
        let bytes = [0x03, 0b1000_1000, 0b1100_0110, 0b1111_1010, 0xD8, 0x04, 5];
        let wanted: Vec<u32> = (0..8).chain(std::iter::repeat_n(5, 300)).collect();
        for steps in [&[308][..], &[3, 4, 1, 299, 1], &[9, 299]] {
            assert_eq!(read(&bytes, 3, steps).unwrap(), wanted);
        }
        assert!(read(&bytes, 3, &[309]).unwrap_err().contains("fewer numbers"));
        assert!(read(&bytes[..3], 3, &[8]).unwrap_err().contains("fewer numbers"));
        assert!(read(&[0xFF; 9], 3, &[8]).unwrap_err().contains("does not end"));
        assert_eq!(read(&[], 0, &[3]).unwrap(), [0; 3]);
        assert!(Hybrid::new(&[], 33).is_err());
        // The widest numbers, at an odd place.
        assert_eq!(read(&[&[0x03][..], &[0xFF; 32]].concat(), 32, &[3, 5]).unwrap(), [u32::MAX; 8]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bits in prop::collection::vec(any::<bool>(), 1..60), length in 1usize..1000) {
            let mut bytes = Vec::new();
            put_run(&mut bytes, 1, length);
            put_bits(&mut bytes, bits.iter().copied());
            let found = read(&bytes, 1, &[length, bits.len()]).unwrap();
            prop_assert!(found[..length].iter().all(|v| *v == 1));
            prop_assert!(found[length..].iter().zip(&bits).all(|(v, b)| *v == u32::from(*b)));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), width in 0u8..34) {
            let _ = read(&bytes, width, &[1, 7, 90]);
        }
    }
}
