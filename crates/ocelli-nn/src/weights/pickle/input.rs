//! Reading a pickle's bytes with caps.

use std::io::{BufRead, Read};

use super::Problem;

/// A reader that counts, and that never allocates for bytes which are not there.
pub(super) struct Input<'r> {
    reader: &'r mut dyn BufRead,
    consumed: u64,
}

const WHAT: &str = "the pickle";

impl<'r> Input<'r> {
    pub(super) fn new(reader: &'r mut dyn BufRead) -> Self {
        Self { reader, consumed: 0 }
    }

    /// Bytes read so far.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|e| Problem::while_reading(WHAT, e))?;
        self.consumed += N as u64;
        Ok(bytes)
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Result<u8, Problem> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next `length` bytes, at most `limit`.
    pub(super) fn bytes(&mut self, length: u64, limit: u64) -> Result<Vec<u8>, Problem> {
        if length > limit {
            return Err(Problem::TooLarge { what: "the length of a string in the pickle", limit });
        }
        // Grows with what arrives: a false length must not reserve memory.
        let mut bytes = Vec::with_capacity(length.min(1 << 16) as usize);
        let read = (&mut self.reader).take(length).read_to_end(&mut bytes);
        read.map_err(|e| Problem::while_reading(WHAT, e))?;
        if bytes.len() as u64 != length {
            return Err(Problem::Truncated(WHAT.to_owned()));
        }
        self.consumed += length;
        Ok(bytes)
    }

    /// The bytes up to the next end of line, which is consumed and left out.
    pub(super) fn line(&mut self, limit: u64) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        let read = (&mut self.reader).take(limit).read_until(b'\n', &mut bytes);
        self.consumed += read.map_err(|e| Problem::while_reading(WHAT, e))? as u64;
        if bytes.pop() == Some(b'\n') {
            Ok(bytes)
        } else if bytes.len() as u64 + 1 >= limit {
            Err(Problem::TooLarge { what: "the length of a string in the pickle", limit })
        } else {
            Err(Problem::Truncated(WHAT.to_owned()))
        }
    }
}
