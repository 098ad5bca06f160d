//! Thrift's compact protocol, in which Parquet writes its footer and the headers of its pages.
//!
//! <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>

use std::io::Read;

/// Structs in structs and lists in lists are followed so deep.
const MOST_DEPTH: usize = 16;

/// The type of a field or an element, as its number in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(u8);

impl Kind {
    pub(super) const TRUE: Self = Self(1);
    pub(super) const FALSE: Self = Self(2);
    pub(super) const I32: Self = Self(5);
    pub(super) const I64: Self = Self(6);
    pub(super) const BINARY: Self = Self(8);
    pub(super) const LIST: Self = Self(9);
    pub(super) const STRUCT: Self = Self(12);
}

/// A reader that believes no length: what it makes room for is there.
pub(super) struct Reader<R> {
    input: R,
    /// Bytes read so far.
    pub(super) bytes: u64,
    depth: usize,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, bytes: 0, depth: 0 }
    }

    fn byte(&mut self) -> Result<u8, String> {
        let mut byte = [0];
        self.input.read_exact(&mut byte).map_err(|_| "it is cut short")?;
        self.bytes += 1;
        Ok(byte[0])
    }

    /// An unsigned integer, seven bits a byte.
    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("an integer does not end".into())
    }

    /// A signed integer of any width: even ones are positive.
    pub(super) fn integer(&mut self) -> Result<i64, String> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// An integer that counts or measures something.
    pub(super) fn count(&mut self) -> Result<u64, String> {
        self.integer()?.try_into().map_err(|_| "a count is negative".into())
    }

    pub(super) fn binary(&mut self) -> Result<Vec<u8>, String> {
        let length = self.varint()?;
        let mut bytes = Vec::new();
        let read = self.input.by_ref().take(length).read_to_end(&mut bytes);
        self.bytes += bytes.len() as u64;
        match read {
            Ok(n) if n as u64 == length => Ok(bytes),
            _ => Err("it is cut short".into()),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, String> {
        Ok(String::from_utf8_lossy(&self.binary()?).into_owned())
    }

    /// Reads a struct. `take` is given each field and says whether it has read it; what it has not is skipped.
    pub(super) fn fields(
        &mut self,
        mut take: impl FnMut(&mut Self, i64, Kind) -> Result<bool, String>,
    ) -> Result<(), String> {
        self.deeper(|input| {
            let mut last = 0i64;
            loop {
                let head = input.byte()?;
                let kind = Kind(head & 0x0F);
                if kind == Kind(0) {
                    return Ok(());
                }
                last = match head >> 4 {
                    0 => input.integer()?,
                    delta => last.wrapping_add(delta.into()),
                };
                if !take(input, last, kind)? {
                    input.skip(kind)?;
                }
            }
        })
    }

    /// Reads a list, an element at a time.
    pub(super) fn list(
        &mut self,
        wanted: Kind,
        mut element: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        let (kind, length) = self.list_head()?;
        // An empty list may have any type.
        if kind != wanted && length > 0 {
            return Err("a list has elements of another type".into());
        }
        self.deeper(|input| (0..length).try_for_each(|_| element(input)))
    }

    fn list_head(&mut self) -> Result<(Kind, u64), String> {
        let head = self.byte()?;
        let length = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        Ok((Kind(head & 0x0F), length))
    }

    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        if self.depth == MOST_DEPTH {
            return Err("it is nested too deep".into());
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn skip(&mut self, kind: Kind) -> Result<(), String> {
        match kind.0 {
            // Of a boolean field the type is the value.
            1 | 2 => Ok(()),
            3 => self.byte().map(drop),
            4..=6 => self.varint().map(drop),
            7 => (0..8).try_for_each(|_| self.byte().map(drop)),
            8 => self.binary().map(drop),
            9 | 10 => {
                let (kind, length) = self.list_head()?;
                // Of a boolean element it is not; it takes a byte.
                let kind = if matches!(kind, Kind::TRUE | Kind::FALSE) { Kind(3) } else { kind };
                self.deeper(|input| (0..length).try_for_each(|_| input.skip(kind)))
            }
            12 => self.fields(|_, _, _| Ok(false)),
            // Parquet has no maps.
            _ => Err("it has a field of an unknown type".into()),
        }
    }
}

/// A writer of structs, field by field in the order of their numbers.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// The last field's number, of each struct that is open.
    last: Vec<u8>,
}

impl Writer {
    /// The bytes of the struct whose fields `write` writes.
    pub(super) fn to_bytes(write: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut writer = Self::default();
        writer.element(write);
        writer.bytes
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn zigzag(&mut self, value: i64) {
        self.varint((value << 1 ^ value >> 63) as u64);
    }

    fn head(&mut self, id: u8, kind: Kind) {
        let last = self.last.last_mut().map_or(0, |last| std::mem::replace(last, id));
        debug_assert!(id > last && id - last < 16);
        self.bytes.push((id - last) << 4 | kind.0);
    }

    pub(super) fn i32(&mut self, id: u8, value: i32) {
        self.head(id, Kind::I32);
        self.zigzag(value.into());
    }

    pub(super) fn i64(&mut self, id: u8, value: i64) {
        self.head(id, Kind::I64);
        self.zigzag(value);
    }

    pub(super) fn boolean(&mut self, id: u8, value: bool) {
        self.head(id, if value { Kind::TRUE } else { Kind::FALSE });
    }

    /// A byte, which unlike wider integers stands as it is.
    pub(super) fn i8(&mut self, id: u8, value: i8) {
        self.head(id, Kind(3));
        self.bytes.push(value as u8);
    }

    pub(super) fn text(&mut self, id: u8, text: &str) {
        self.head(id, Kind::BINARY);
        self.text_element(text);
    }

    pub(super) fn text_element(&mut self, text: &str) {
        self.varint(text.len() as u64);
        self.bytes.extend(text.as_bytes());
    }

    pub(super) fn i32_element(&mut self, value: i32) {
        self.zigzag(value.into());
    }

    /// A struct in a struct.
    pub(super) fn fields(&mut self, id: u8, write: impl FnOnce(&mut Self)) {
        self.head(id, Kind::STRUCT);
        self.element(write);
    }

    /// A struct in a list.
    pub(super) fn element(&mut self, write: impl FnOnce(&mut Self)) {
        self.last.push(0);
        write(self);
        self.last.pop();
        self.bytes.push(0);
    }

    /// The head of a list; its elements follow.
    pub(super) fn list(&mut self, id: u8, kind: Kind, length: usize) {
        self.head(id, Kind::LIST);
        if length < 15 {
            self.bytes.push((length as u8) << 4 | kind.0);
        } else {
            self.bytes.push(0xF0 | kind.0);
            self.varint(length as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn structs_come_back() {
        let bytes = Writer::to_bytes(|w| {
            w.i32(1, -5);
            w.i64(2, i64::MIN);
            w.boolean(3, true);
            w.fields(4, |w| w.text(7, "größer"));
            w.list(5, Kind::I32, 20);
            (0..20).for_each(|i| w.i32_element(i));
            w.i8(6, -1);
            w.list(9, Kind::STRUCT, 1);
            w.element(|w| w.boolean(1, false));
        });
        let mut input = Reader::new(&bytes[..]);
        let (mut seen, mut list) = (Vec::new(), 0);
        input
            .fields(|input, id, kind| {
                seen.push(id);
                match (id, kind) {
                    (1, Kind::I32) => assert_eq!(input.integer()?, -5),
                    (2, Kind::I64) => assert_eq!(input.integer()?, i64::MIN),
                    (3, kind) => assert_eq!(kind, Kind::TRUE),
                    (4, Kind::STRUCT) => input.fields(|input, id, _| {
                        assert_eq!((id, input.text()?.as_str()), (7, "größer"));
                        Ok(true)
                    })?,
                    (5, Kind::LIST) => input.list(Kind::I32, |input| {
                        list += input.integer()?;
                        Ok(())
                    })?,
                    _ => return Ok(false),
                }
                Ok(true)
            })
            .unwrap();
        assert_eq!((seen, list, input.bytes), (vec![1, 2, 3, 4, 5, 6, 9], 190, bytes.len() as u64));
        for end in 0..bytes.len() {
            let message = Reader::new(&bytes[..end]).skip(Kind::STRUCT).unwrap_err();
            assert!(message.contains("cut short"), "{message}");
        }
    }

    #[test]
    fn depth_and_lengths_are_bounded() {
        // Structs in structs, lists in lists.
        for bytes in [[0x1C; 100], [0x19; 100]] {
            assert!(Reader::new(&bytes[..]).skip(Kind::STRUCT).unwrap_err().contains("too deep"));
        }
        let endless = [0x18, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 1];
        assert!(Reader::new(&endless[..]).skip(Kind::STRUCT).unwrap_err().contains("cut short"));
        let integer = [0x15, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1];
        assert!(Reader::new(&integer[..]).skip(Kind::STRUCT).unwrap_err().contains("does not end"));
        assert!(Reader::new(&[0x1D][..]).skip(Kind::STRUCT).unwrap_err().contains("unknown type"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Reader::new(&bytes[..]).skip(Kind::STRUCT);
        }
    }
}
