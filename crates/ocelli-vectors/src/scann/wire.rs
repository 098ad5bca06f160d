//! Protocol buffers as they lie in a file: numbered fields, no schema. What is read is a single pass over a slice, and
//! nothing descends but who asks for a message's field by its number, so no file can make it deep or costly.

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// An integer, a boolean, the number of an enumerated value.
    Varint(u64),
    /// Eight bytes.
    Fixed64([u8; 8]),
    /// Four bytes.
    Fixed32([u8; 4]),
    /// A message, a text, or packed numbers.
    Bytes(&'a [u8]),
}

pub(super) type Result<T> = std::result::Result<T, String>;

/// Calls `visit` with the number and value of each field, in the order of the message.
pub(super) fn each<'a>(message: &'a [u8], mut visit: impl FnMut(u32, Value<'a>) -> Result<()>) -> Result<()> {
    let mut rest = message;
    while !rest.is_empty() {
        let at = message.len() - rest.len();
        let (number, value) = field(&mut rest).ok_or_else(|| format!("no field can be read at byte {at}"))?;
        visit(number, value)?;
    }
    Ok(())
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let key = varint(rest)?;
    let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number))?;
    let value = match key & 7 {
        0 => Value::Varint(varint(rest)?),
        1 => Value::Fixed64(fixed(rest)?),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            let (bytes, after) = rest.split_at_checked(length)?;
            *rest = after;
            Value::Bytes(bytes)
        }
        5 => Value::Fixed32(fixed(rest)?),
        // 3 and 4 are groups, which no file of this kind has; 6 and 7 are nothing.
        _ => return None,
    };
    Some((number, value))
}

fn fixed<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*bytes)
}

/// Seven bits a byte, the lowest first; up to ten bytes, which hold 64 bits and no more.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (i, byte) in rest.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if i == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * i);
        if byte & 0x80 == 0 {
            *rest = &rest[i + 1..];
            return Some(value);
        }
    }
    None
}

impl<'a> Value<'a> {
    /// A message, text or packed numbers.
    pub(super) fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            other => Err(format!("{other:?} stands where a message should")),
        }
    }

    pub(super) fn text(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a name is no text".to_owned())
    }

    /// An `int32`; negative ones are written as 64 bits.
    pub(super) fn integer(self) -> Result<i64> {
        match self {
            Self::Varint(bits) => Ok(bits.cast_signed()),
            other => Err(format!("{other:?} stands where an integer should")),
        }
    }

    /// An integer that counts something.
    pub(super) fn count(self) -> Result<usize> {
        let value = self.integer()?;
        usize::try_from(value).map_err(|_| format!("{value} stands where a count should"))
    }

    pub(super) fn flag(self) -> Result<bool> {
        match self.integer()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("{other} stands where yes or no should")),
        }
    }

    /// A number of single or double precision.
    pub(super) fn float(self) -> Result<f64> {
        match self {
            Self::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes).into()),
            Self::Fixed64(bytes) => Ok(f64::from_le_bytes(bytes)),
            other => Err(format!("{other:?} stands where a number should")),
        }
    }

    /// Adds one or packed numbers of single precision.
    pub(super) fn floats_into(self, values: &mut Vec<f32>) -> Result<()> {
        let numbers = match &self {
            Self::Fixed32(one) => std::slice::from_ref(one),
            other => packed(*other)?,
        };
        values.extend(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        Ok(())
    }

    /// Adds one or packed numbers of double precision.
    pub(super) fn doubles_into(self, values: &mut Vec<f64>) -> Result<()> {
        let numbers = match &self {
            Self::Fixed64(one) => std::slice::from_ref(one),
            other => packed(*other)?,
        };
        values.extend(numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)));
        Ok(())
    }
}

/// Numbers of `N` bytes, one after the other.
fn packed<const N: usize>(value: Value<'_>) -> Result<&[[u8; N]]> {
    let bytes = value.bytes()?;
    match bytes.as_chunks() {
        (numbers, []) => Ok(numbers),
        _ => Err(format!("{} bytes are no numbers of {N} bytes", bytes.len())),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A message of these fields: what the reader must understand.
    pub(in crate::scann) fn message(fields: &[(u32, Value<'_>)]) -> Vec<u8> {
        let mut message = Vec::new();
        fields.iter().for_each(|(number, value)| put(&mut message, *number, *value));
        message
    }

    fn put(message: &mut Vec<u8>, number: u32, value: Value<'_>) {
        let varint = |mut value: u64, message: &mut Vec<u8>| {
            while value >= 0x80 {
                message.push(value as u8 | 0x80);
                value >>= 7;
            }
            message.push(value as u8);
        };
        let kind = match value {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Bytes(_) => 2,
            Value::Fixed32(_) => 5,
        };
        varint(u64::from(number) << 3 | kind, message);
        match value {
            Value::Varint(value) => varint(value, message),
            Value::Fixed64(bytes) => message.extend(bytes),
            Value::Fixed32(bytes) => message.extend(bytes),
            Value::Bytes(bytes) => {
                varint(bytes.len() as u64, message);
                message.extend(bytes);
            }
        }
    }

    fn read(message: &[u8]) -> Result<Vec<(u32, Value<'_>)>> {
        let mut fields = Vec::new();
        each(message, |number, value| {
            fields.push((number, value));
            Ok(())
        })?;
        Ok(fields)
    }

    /// The examples of the format's own description.
    #[test]
    fn published_examples_are_read() {
        assert_eq!(read(&[0x08, 0x96, 0x01]).unwrap(), [(1, Value::Varint(150))]);
        let text = [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67];
        assert_eq!(read(&text).unwrap()[0].1.text().unwrap(), "testing");
        let minus_two = [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(read(&minus_two).unwrap()[0].1.integer().unwrap(), -2);
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for (bytes, at) in [
            (&[0x08][..], 0),                  // no value
            (&[0x80; 11], 0),                  // a number that does not end
            (&[0x08, 0x01, 0x0b, 0x0c], 2),    // a group
            (&[0x0e, 0x00], 0),                // a kind that does not exist
            (&[0x00, 0x00], 0),                // field 0
            (&[0x12, 0x05, 0x00], 0),          // longer than the message
            (&[0x09, 0, 0, 0, 0, 0, 0, 0], 0), // seven of eight bytes
            (&[0x0d, 0, 0, 0], 0),             // three of four
            (&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], 0),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], 0), // 65 bits
        ] {
            assert_eq!(read(bytes).unwrap_err(), format!("no field can be read at byte {at}"));
        }
        assert!(Value::Varint(2).flag().is_err() && Value::Varint(1).bytes().is_err());
        assert!(Value::Varint(u64::MAX).count().is_err() && Value::Varint(1).float().is_err());
        assert!(Value::Bytes(&[0xff]).text().is_err());
        assert!(Value::Bytes(&[0; 6]).floats_into(&mut Vec::new()).is_err());
        assert!(Value::Fixed32([0; 4]).doubles_into(&mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn fields_come_back(
            fields in prop::collection::vec((1u32..1 << 29, 0usize..4, any::<u64>(), prop::collection::vec(any::<u8>(), 0..200)), 0..10)
        ) {
            let value = |kind: usize, number: u64, bytes| match kind {
                0 => Value::Varint(number),
                1 => Value::Fixed64(number.to_le_bytes()),
                2 => Value::Fixed32((number as u32).to_le_bytes()),
                _ => Value::Bytes(bytes),
            };
            let wanted: Vec<(u32, Value<'_>)> =
                fields.iter().map(|(field, kind, number, bytes)| (*field, value(*kind, *number, bytes))).collect();
            let message = message(&wanted);
            prop_assert_eq!(read(&message).unwrap(), wanted);
        }

        #[test]
        fn numbers_come_back_packed_or_not(values in prop::collection::vec(any::<f32>().prop_filter("no NaN", |v| !v.is_nan()), 0..20)) {
            let mut found = Vec::new();
            for value in &values {
                Value::Fixed32(value.to_le_bytes()).floats_into(&mut found).unwrap();
            }
            let packed: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            Value::Bytes(&packed).floats_into(&mut found).unwrap();
            prop_assert_eq!(found, values.repeat(2));
        }

        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(fields) = read(&bytes) {
                prop_assert!(fields.len() <= bytes.len());
            }
        }
    }
}
