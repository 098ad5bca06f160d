//! MATLAB's MAT-files of version 5 (as `save -v6` and `save -v7` write them): numbers, texts and cells of them.
//!
//! After a header of 128 bytes come elements of a tag (type, number of bytes) and data: a matrix, or a zlib stream that
//! holds one. A matrix consists of elements itself: flags with its class, dimensions, name, and its content; the content
//! of a cell array is matrices. Structures, objects and sparse matrices are passed over. Version 7.3 is HDF5 and not read.

use std::io::Read;
use std::path::Path;

use crate::error::DataError;

/// The value of a variable or of a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Numbers of any type, column by column.
    Numbers(Vec<f64>),
    /// One line of text.
    Text(String),
    /// A cell array, column by column.
    Cells(Vec<Value>),
    /// Something else, by MATLAB's number of its class.
    Other(u8),
}

/// The variables of a file in its order.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Content`] with the place, in bytes, of what is wrong.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<(String, Value)>, DataError> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    parse(&bytes).map_err(|reason| DataError::content(path, reason))
}

/// Length of the header; its last four bytes are version and order of bytes.
const HEADER: usize = 128;
/// To how many bytes the zlib streams of a file may grow together.
const LARGEST: u64 = 1 << 26;
/// How deep cells may lie in cells.
const DEEPEST: usize = 16;

/// Types of elements.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const UTF8: u32 = 16;

fn parse(bytes: &[u8]) -> Result<Vec<(String, Value)>, String> {
    let (text, big) = match bytes.get(..HEADER) {
        Some([text @ .., 0, 1, b'I', b'M']) => (text, false),
        Some([text @ .., 1, 0, b'M', b'I']) => (text, true),
        _ if bytes.starts_with(b"MATLAB 7.3") => {
            return Err("a MAT-file of version 7.3; `save -v7` writes one that can be read".to_owned());
        }
        _ => return Err("no MAT-file of version 5".to_owned()),
    };
    let mut file = Reader { bytes, at: text.len() + 4, from: 0, big };
    let (mut variables, mut room) = (Vec::new(), LARGEST);
    while file.at < bytes.len() {
        let start = file.at;
        let element = file.element()?;
        match element.kind {
            MATRIX => variables.extend(element.inside(&file).matrix(0)?),
            COMPRESSED => {
                let mut inflated = Vec::new();
                let read = flate2::read::ZlibDecoder::new(element.data).take(room).read_to_end(&mut inflated);
                read.map_err(|e| format!("byte {start}: a compressed variable is damaged: {e}"))?;
                room -= inflated.len() as u64;
                if room == 0 {
                    return Err(format!("byte {start}: variables of more than {LARGEST} bytes"));
                }
                let mut inner = Reader { bytes: &inflated, at: 0, from: start, big };
                let element = inner.element()?;
                if element.kind != MATRIX {
                    return Err(format!("byte {start}: a compressed variable is no matrix"));
                }
                variables.extend(element.inside(&inner).matrix(0)?);
            }
            other => {
                return Err(format!("byte {start}: a variable expected, found an element of type {other}"));
            }
        }
    }
    Ok(variables)
}

/// Elements, one after another.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where in the file the bytes begin, or the stream that they are from.
    from: usize,
    big: bool,
}

struct Element<'a> {
    kind: u32,
    data: &'a [u8],
    /// Where the data begin.
    at: usize,
}

impl<'a> Element<'a> {
    /// The elements that this one consists of.
    fn inside(&self, outer: &Reader<'_>) -> Reader<'a> {
        Reader { bytes: self.data, at: 0, from: outer.from + self.at, big: outer.big }
    }
}

impl<'a> Reader<'a> {
    fn fault(&self, what: &str) -> String {
        format!("byte {}: {what}", self.from + self.at)
    }

    fn word(&mut self) -> Result<u32, String> {
        let word = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<4>());
        let word = word.ok_or_else(|| self.fault("the file ends within an element"))?;
        self.at += 4;
        Ok(if self.big { u32::from_be_bytes(*word) } else { u32::from_le_bytes(*word) })
    }

    fn element(&mut self) -> Result<Element<'a>, String> {
        let tag = self.word()?;
        // Up to four bytes may lie in the tag itself, whose first half is then their number.
        let (kind, length, room) = match (tag & 0xffff, tag >> 16) {
            (kind, 0) => {
                let length = self.word()? as usize;
                // A stream is not filled up to eight bytes.
                (kind, length, if kind == COMPRESSED { length } else { length.next_multiple_of(8) })
            }
            (kind, length) if length <= 4 => (kind, length as usize, 4),
            _ => return Err(self.fault("a damaged element")),
        };
        let (at, rest) = (self.at, self.bytes.get(self.at..).unwrap_or_default());
        let data = rest
            .get(..length)
            .ok_or_else(|| self.fault(&format!("the file ends within an element of {length} bytes")))?;
        self.at += room.min(rest.len());
        Ok(Element { kind, data, at })
    }

    /// A matrix that consists of the elements here, with its name; none for the bare tag that an empty cell may be.
    fn matrix(&mut self, depth: usize) -> Result<Option<(String, Value)>, String> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        if depth > DEEPEST {
            return Err(self.fault("cells lie too deep in cells"));
        }
        let flags = self.element()?.inside(self).word()?;
        let dimensions = self.element()?;
        let sizes = self.numbers(&dimensions)?;
        let name = self.element()?;
        let name = self.text(&Element { kind: UTF8, ..name })?;
        let class = (flags & 0xff) as u8;
        let value = match class {
            1 => {
                let count: f64 = sizes.iter().product();
                let mut cells = Vec::new();
                // A cell takes a tag at least: a wrong number ends with the bytes.
                while (cells.len() as f64) < count {
                    let element = self.element()?;
                    if element.kind != MATRIX {
                        return Err(self.fault("a cell is no matrix"));
                    }
                    let cell = element.inside(self).matrix(depth + 1)?;
                    cells.push(cell.map_or_else(|| Value::Numbers(Vec::new()), |(_, value)| value));
                }
                Value::Cells(cells)
            }
            // Texts of several lines lie column by column.
            4 if sizes.first().is_none_or(|lines| *lines <= 1.0) => {
                let element = self.element()?;
                Value::Text(self.text(&element)?)
            }
            6..=15 => {
                let element = self.element()?;
                Value::Numbers(self.numbers(&element)?)
            }
            other => Value::Other(other),
        };
        Ok(Some((name, value)))
    }

    /// Numbers of whatever type they are stored in, which may be smaller than the matrix'.
    fn numbers(&self, element: &Element<'_>) -> Result<Vec<f64>, String> {
        macro_rules! numbers {
            ($type:ty) => {{
                let (numbers, rest) = element.data.as_chunks::<{ size_of::<$type>() }>();
                if !rest.is_empty() {
                    return Err(self.fault("an element ends within a number"));
                }
                let read = if self.big { <$type>::from_be_bytes } else { <$type>::from_le_bytes };
                Ok(numbers.iter().map(|bytes| read(*bytes) as f64).collect())
            }};
        }
        match element.kind {
            1 => numbers!(i8),
            2 => numbers!(u8),
            3 => numbers!(i16),
            4 => numbers!(u16),
            5 => numbers!(i32),
            6 => numbers!(u32),
            7 => numbers!(f32),
            9 => numbers!(f64),
            12 => numbers!(i64),
            13 => numbers!(u64),
            other => Err(self.fault(&format!("numbers expected, found an element of type {other}"))),
        }
    }

    fn text(&self, element: &Element<'_>) -> Result<String, String> {
        let wrong = || self.fault("a text that is none");
        match element.kind {
            UTF8 => String::from_utf8(element.data.to_vec()).map_err(|_| wrong()),
            17 => {
                let units = self.numbers(&Element { kind: 4, ..*element })?;
                let units: Vec<u16> = units.into_iter().map(|unit| unit as u16).collect();
                String::from_utf16(&units).map_err(|_| wrong())
            }
            // Numbers of characters.
            1 | 2 | 4 => {
                let units = self.numbers(element)?;
                units.into_iter().map(|unit| char::from_u32(unit as u32).ok_or_else(wrong)).collect()
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    /// Writes what [`parse`] reads.
    struct Writer {
        big: bool,
        small: bool,
        compressed: bool,
    }

    impl Writer {
        fn word(&self, word: u32) -> [u8; 4] {
            if self.big { word.to_be_bytes() } else { word.to_le_bytes() }
        }

        fn element(&self, kind: u32, data: &[u8]) -> Vec<u8> {
            let mut all = if self.small && (1..=4).contains(&data.len()) {
                [&self.word((data.len() as u32) << 16 | kind)[..], data].concat()
            } else {
                [&self.word(kind)[..], &self.word(data.len() as u32), data].concat()
            };
            all.resize(all.len().next_multiple_of(8), 0);
            all
        }

        fn matrix(&self, name: &str, value: &Value) -> Vec<u8> {
            let (class, count, content) = match value {
                Value::Numbers(numbers) => {
                    let bytes =
                        numbers.iter().flat_map(|n| if self.big { n.to_be_bytes() } else { n.to_le_bytes() });
                    (6, numbers.len(), self.element(9, &bytes.collect::<Vec<_>>()))
                }
                Value::Text(text) if self.small => (4, text.len(), self.element(16, text.as_bytes())),
                Value::Text(text) => {
                    let unit = |unit: u16| if self.big { unit.to_be_bytes() } else { unit.to_le_bytes() };
                    (4, text.len(), self.element(17, &text.encode_utf16().flat_map(unit).collect::<Vec<_>>()))
                }
                Value::Cells(cells) => {
                    (1, cells.len(), cells.iter().flat_map(|cell| self.matrix("", cell)).collect())
                }
                Value::Other(class) => (u32::from(*class), 1, self.element(9, &[0; 8])),
            };
            let flags = [self.word(class), self.word(0)].concat();
            let sizes = [self.word(1), self.word(count as u32)].concat();
            let parts =
                [self.element(6, &flags), self.element(5, &sizes), self.element(1, name.as_bytes()), content];
            self.element(MATRIX, &parts.concat())
        }

        fn file(&self, variables: &[(String, Value)]) -> Vec<u8> {
            let mut file = vec![b' '; HEADER - 4];
            file.extend(if self.big { [1, 0, b'M', b'I'] } else { [0, 1, b'I', b'M'] });
            for (name, value) in variables {
                let matrix = self.matrix(name, value);
                if !self.compressed {
                    file.extend(matrix);
                    continue;
                }
                let mut stream = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                stream.write_all(&matrix).unwrap();
                let stream = stream.finish().unwrap();
                file.extend([&self.word(COMPRESSED)[..], &self.word(stream.len() as u32), &stream].concat());
            }
            file
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            prop::collection::vec(-1e9..1e9f64, 0..6).prop_map(Value::Numbers),
            "[a-zé–]{0,9}".prop_map(Value::Text),
            Just(Value::Other(2)),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::Cells))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(variables in prop::collection::vec(("[a-z_]{1,9}", values()), 0..4),
                                   big in any::<bool>(), small in any::<bool>(), compressed in any::<bool>(),
                                   at in 0usize..4000, flip in any::<u8>()) {
            let mut file = Writer { big, small, compressed }.file(&variables);
            prop_assert_eq!(parse(&file).unwrap(), variables);
            let at = at % file.len();
            let _ = parse(&file[..at]);
            file[at] ^= flip;
            let _ = parse(&file);
        }

        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(0u8..20, 0..200)) {
            let mut file = Writer { big: false, small: false, compressed: false }.file(&[]);
            file.extend(bytes);
            let _ = parse(&file);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let writer = Writer { big: false, small: false, compressed: true };
        let file = writer.file(&[("x".to_owned(), Value::Numbers(vec![1.0; 40]))]);
        let mut damaged = file.clone();
        damaged[HEADER + 12] ^= 0xff;
        let mut deep = Value::Numbers(Vec::new());
        (0..DEEPEST + 1).for_each(|_| deep = Value::Cells(vec![deep.clone()]));
        for (bytes, wanted) in [
            (&b"MATLAB 7.3 MAT-file"[..], "`save -v7`"),
            (b"x", "no MAT-file of version 5"),
            (&file[..HEADER + 2], "byte 128: the file ends within an element"),
            (&file[..HEADER + 30], "byte 136: the file ends within an element of"),
            (&damaged, "byte 128: a compressed variable is damaged"),
            (&writer.file(&[("x".to_owned(), deep)]), "too deep"),
        ] {
            let message = parse(bytes).unwrap_err();
            assert!(message.contains(wanted), "{message}");
        }
    }

    #[test]
    fn a_file_of_matlabs_is_read() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/msr-action3d/action_names.mat");
        if !path.exists() {
            eprintln!("skipped: no file {}", path.display());
            return;
        }
        let variables = read(&path).unwrap();
        let of = |name: &str| &variables.iter().find(|(own, _)| own == name).unwrap().1;
        let Value::Cells(names) = of("action_names") else { panic!("{variables:?}") };
        assert!(
            names.len() == 20 && names.iter().all(|name| matches!(name, Value::Text(t) if !t.is_empty()))
        );
        assert!(matches!(of("avg_confusion_matrix"), Value::Numbers(n) if n.len() == 400));
    }
}
