//! NumPy's `.npy` files as bytes.
//!
//! Read are booleans, integers and floats of 2, 4 and 8 bytes, either byte order, either memory order, format versions
//! 1 to 3. Pickled objects, structured and complex types are refused: nothing in a file is ever executed.

use crate::array::{Array, Data};

const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy itself knows no more.
const MOST_DIMENSIONS: usize = 64;

/// The `.npy` file of an array.
pub fn to_bytes(array: &Array) -> Vec<u8> {
    let descr = match array.data() {
        Data::F32(_) => "<f4",
        Data::F64(_) => "<f8",
        Data::I64(_) => "<i8",
        Data::U8(_) => "|u1",
    };
    let mut bytes = header(descr, array.shape());
    match array.data() {
        Data::F32(v) => bytes.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Data::F64(v) => bytes.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Data::I64(v) => bytes.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Data::U8(v) => bytes.extend(v),
    }
    bytes
}

/// The `.npy` file of a list of booleans, an array of one dimension.
pub fn bools_to_bytes(values: &[bool]) -> Vec<u8> {
    let mut bytes = header("|b1", &[values.len()]);
    bytes.extend(values.iter().map(|&v| u8::from(v)));
    bytes
}

fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let dims: String = shape.iter().map(|d| format!("{d}, ")).collect();
    let tuple = if shape.len() == 1 { dims.trim_end() } else { dims.trim_end_matches(", ") };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({tuple}), }}");
    // Magic, version and length take ten bytes; the elements start at a multiple of 64.
    let padding = 63 - (10 + text.len()) % 64;
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// Reads an array from the bytes of a `.npy` file. `bool` and `uint8` come as bytes, other integers as `int64`,
/// half precision as single.
///
/// # Errors
/// In words, what is wrong.
pub fn parse(bytes: &[u8]) -> Result<Array, String> {
    Raw::parse(bytes)?.decode()
}

/// What a `.npy` file says before its elements come: enough to read some of them from their place.
#[derive(Debug)]
pub struct Head {
    header: Header,
    start: usize,
}

impl Head {
    /// Reads the header from the first bytes of a file.
    ///
    /// # Errors
    /// In words, what is wrong; that it is truncated where more bytes of the file are needed.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let rest = bytes.strip_prefix(MAGIC).ok_or("no .npy file: the magic bytes are missing")?;
        const CUT: &str = "the .npy header is truncated";
        let (&[major, _minor], rest) = rest.split_first_chunk().ok_or(CUT)?;
        let (length, rest) = match major {
            1 => rest
                .split_first_chunk()
                .map(|(l, rest)| (u32::from(u16::from_le_bytes(*l)), rest))
                .ok_or(CUT)?,
            2 | 3 => rest.split_first_chunk().map(|(l, rest)| (u32::from_le_bytes(*l), rest)).ok_or(CUT)?,
            _ => return Err(format!(".npy version {major} is not supported (1 to 3 are)")),
        };
        let (text, elements) = rest.split_at_checked(length as usize).ok_or(CUT)?;
        let header = Header::parse(std::str::from_utf8(text).map_err(|_| "the .npy header is no text")?)?;
        Ok(Self { header, start: bytes.len() - elements.len() })
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// Where in the file the elements start.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Bytes an element.
    pub fn element_size(&self) -> usize {
        self.header.element.size
    }

    /// Whether the last index counts fastest.
    pub fn is_row_major(&self) -> bool {
        !self.header.fortran_order || self.header.shape.len() < 2
    }

    /// Elements from their bytes, in the order of the file.
    ///
    /// # Errors
    /// In words, what is wrong with an element.
    pub fn decode(&self, bytes: &[u8]) -> Result<Data, String> {
        self.header.element.decode(bytes)
    }
}

/// A `.npy` file whose elements are still as they lie in it.
#[derive(Debug)]
pub struct Raw<'a> {
    header: Header,
    elements: &'a [u8],
}

impl<'a> Raw<'a> {
    /// Reads the header and checks that the elements are there.
    ///
    /// # Errors
    /// In words, what is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let Head { header, start } = Head::parse(bytes)?;
        let elements = &bytes[start..];
        let count =
            header.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or("the shape overflows")?;
        let wanted = count.checked_mul(header.element.size).ok_or("the shape overflows")?;
        if elements.len() != wanted {
            return Err(format!(
                "{count} elements of {} bytes are promised by shape {:?}, found {} bytes",
                header.element.size,
                header.shape,
                elements.len()
            ));
        }
        Ok(Self { header, elements })
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// The elements as little-endian bytes in row-major order, if they are of this kind (`b`, `u`, `i`, `f`), have this
    /// size in bytes, and lie like that: for types that [`decode`](Self::decode) would widen.
    pub fn little_endian(&self, kind: char, size: usize) -> Option<&'a [u8]> {
        let Header { element, fortran_order, shape } = &self.header;
        let row_major = !fortran_order || shape.len() < 2;
        let plain = element.kind == kind && element.size == size && !(element.big_endian && size > 1);
        (plain && row_major).then_some(self.elements)
    }

    /// The array.
    ///
    /// # Errors
    /// In words, what is wrong with an element.
    pub fn decode(self) -> Result<Array, String> {
        let Self { header, elements } = self;
        let data = header.element.decode(elements)?;
        let data = if header.fortran_order { to_row_major(data, &header.shape) } else { data };
        Array::new(header.shape, data).map_err(|e| e.to_string())
    }
}

#[derive(Clone, Copy, Debug)]
struct Element {
    kind: char,
    size: usize,
    big_endian: bool,
}

impl Element {
    fn parse(descr: &str) -> Result<Self, String> {
        let unsupported =
            || format!("element type `{descr}` is not supported (b1, u1 to u8, i1 to i8, f2, f4, f8 are)");
        let mut letters = descr.chars();
        let order = letters.next().ok_or_else(unsupported)?;
        let kind = letters.next().ok_or_else(unsupported)?;
        let size = letters.as_str().parse().map_err(|_| unsupported())?;
        let known = matches!((kind, size), ('b', 1) | ('u' | 'i', 1 | 2 | 4 | 8) | ('f', 2 | 4 | 8));
        let ordered = matches!(order, '<' | '>' | '=') || (order == '|' && size == 1);
        if !known || !ordered {
            return Err(unsupported());
        }
        Ok(Self { kind, size, big_endian: order == '>' })
    }

    fn decode(self, bytes: &[u8]) -> Result<Data, String> {
        let words = bytes.chunks_exact(self.size).map(|chunk| {
            let mut word = [0; 8];
            word[..self.size].copy_from_slice(chunk);
            if self.big_endian {
                word[..self.size].reverse();
            }
            u64::from_le_bytes(word)
        });
        Ok(match (self.kind, self.size) {
            ('f', 2) => Data::F32(words.map(|w| half::f16::from_bits(w as u16).to_f32()).collect()),
            ('f', 4) => Data::F32(words.map(|w| f32::from_bits(w as u32)).collect()),
            ('f', _) => Data::F64(words.map(f64::from_bits).collect()),
            ('i', size) => {
                // Shifting up and down again extends the sign.
                let unused = 64 - 8 * size as u32;
                Data::I64(words.map(|w| (w << unused) as i64 >> unused).collect())
            }
            ('b', _) if bytes.iter().any(|b| *b > 1) => return Err("a boolean is neither 0 nor 1".into()),
            ('b' | 'u', 1) => Data::U8(bytes.to_owned()),
            _ => {
                let narrow: Option<_> = words.map(|w| i64::try_from(w).ok()).collect();
                Data::I64(narrow.ok_or("an integer is beyond 63 bits")?)
            }
        })
    }
}

/// Row-major elements of a column-major array.
fn to_row_major(data: Data, shape: &[usize]) -> Data {
    fn reorder<T: Copy>(values: Vec<T>, shape: &[usize]) -> Vec<T> {
        let mut strides = Vec::with_capacity(shape.len());
        let mut stride = 1;
        for dim in shape {
            strides.push(stride);
            stride *= dim;
        }
        let mut index = vec![0; shape.len()];
        let mut out = Vec::with_capacity(values.len());
        for _ in 0..values.len() {
            out.push(values[index.iter().zip(&strides).map(|(i, s)| i * s).sum::<usize>()]);
            // Count up, the last index fastest.
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                if index[axis] < shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        out
    }
    match data {
        Data::F32(v) => Data::F32(reorder(v, shape)),
        Data::F64(v) => Data::F64(reorder(v, shape)),
        Data::I64(v) => Data::I64(reorder(v, shape)),
        Data::U8(v) => Data::U8(reorder(v, shape)),
    }
}

#[derive(Debug)]
struct Header {
    element: Element,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Reads the dictionary `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
    fn parse(text: &str) -> Result<Self, String> {
        let damaged = || {
            format!("the .npy header is damaged: {}", text.chars().take(120).collect::<String>().trim_end())
        };
        let body = text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(damaged)?;
        let (mut element, mut fortran_order, mut shape) = (None, None, None);
        let mut rest = body.trim();
        while !rest.is_empty() {
            let (key, after) = quoted(rest).ok_or_else(damaged)?;
            let value = after.trim_start().strip_prefix(':').ok_or_else(damaged)?.trim_start();
            rest = match key {
                "descr" => {
                    let (descr, after) =
                        quoted(value).ok_or("structured element types are not supported".to_owned())?;
                    element = Some(Element::parse(descr)?);
                    after
                }
                "fortran_order" => {
                    fortran_order = Some(value.starts_with("True"));
                    value.strip_prefix("True").or(value.strip_prefix("False")).ok_or_else(damaged)?
                }
                "shape" => {
                    let (tuple, after) =
                        value.strip_prefix('(').and_then(|v| v.split_once(')')).ok_or_else(damaged)?;
                    shape = Some(dimensions(tuple).ok_or_else(damaged)?);
                    after
                }
                _ => return Err(damaged()),
            };
            rest = rest.trim_start();
            if !rest.is_empty() {
                rest = rest.strip_prefix(',').ok_or_else(damaged)?.trim_start();
            }
        }
        match (element, fortran_order, shape) {
            (Some(element), Some(fortran_order), Some(shape)) => Ok(Self { element, fortran_order, shape }),
            _ => Err(damaged()),
        }
    }
}

/// Splits a text in quotes off.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

fn dimensions(tuple: &str) -> Option<Vec<usize>> {
    let parts: Vec<&str> = tuple.split(',').map(str::trim).collect();
    let (last, front) = parts.split_last()?;
    // `()` and `(3,)` end in nothing; Python 2 wrote `3L`.
    let filled = front.iter().chain(Some(last).filter(|l| !l.is_empty()));
    let dims: Option<Vec<usize>> = filled.map(|d| d.trim_end_matches('L').parse().ok()).collect();
    dims.filter(|d| d.len() <= MOST_DIMENSIONS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(dictionary: &str, elements: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((dictionary.len() as u16).to_le_bytes());
        bytes.extend(dictionary.as_bytes());
        bytes.extend(elements);
        bytes
    }

    #[test]
    fn arrays_come_back() {
        let arrays = [
            Array::f32([2, 3], vec![1.0, -2.5, f32::MAX, 0.0, f32::NEG_INFINITY, 1e-40]).unwrap(),
            Array::vector_f64([std::f64::consts::PI]),
            Array::integers([i64::MIN, 0, i64::MAX]),
            Array::new([1, 2, 2], Data::U8(vec![0, 255, 3, 4])).unwrap(),
            Array::f32([0, 5], vec![]).unwrap(),
            Array::f32(Vec::new(), vec![7.0]).unwrap(),
        ];
        for array in arrays {
            let bytes = to_bytes(&array);
            assert_eq!(parse(&bytes).unwrap(), array);
            let header_length = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            assert_eq!((header_length % 64, bytes[header_length - 1]), (0, b'\n'), "as NumPy aligns it");
        }
    }

    #[test]
    fn other_orders_and_widths_are_read() {
        let fortran = file(
            "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }",
            &[1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 255, 255],
        );
        assert_eq!(parse(&fortran).unwrap(), Array::new([2, 3], Data::I64(vec![1, 2, 3, 4, 5, -1])).unwrap());
        let big = file("{\"shape\": (1L,), 'fortran_order': False, 'descr': '>f4'}", &1.5f32.to_be_bytes());
        assert_eq!(parse(&big).unwrap(), Array::vector([1.5]));
        let unsigned = file("{'descr': '>u4', 'fortran_order': False, 'shape': ()}", &[255, 0, 0, 1]);
        assert_eq!(parse(&unsigned).unwrap().as_i64().unwrap(), [0xFF00_0001]);
        let half = file("{'descr': '<f2', 'fortran_order': False, 'shape': (2,)}", &[0, 0x3E, 0, 0xC1]);
        assert_eq!(parse(&half).unwrap(), Array::vector([1.5, -2.5]));
        let wide = |bytes| file("{'descr': '<u8', 'fortran_order': False, 'shape': (1,)}", bytes);
        assert_eq!(parse(&wide(&[9, 0, 0, 0, 0, 0, 0, 0])).unwrap(), Array::integers([9]));
        assert!(parse(&wide(&[255; 8])).unwrap_err().contains("beyond 63 bits"));
        let mut second = b"\x93NUMPY\x02\x00".to_vec();
        let dictionary = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}";
        second.extend((dictionary.len() as u32).to_le_bytes());
        second.extend(dictionary.as_bytes());
        second.push(9);
        assert_eq!(parse(&second).unwrap().as_u8().unwrap(), [9]);
    }

    #[test]
    fn damage_is_described() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
        for (bytes, wanted) in [
            (b"PK\x03\x04".to_vec(), "magic"),
            (file(good, &[0; 3]), "1 elements of 4 bytes are promised by shape [1], found 3 bytes"),
            (file(good, &[0; 5]), "found 5 bytes"),
            (
                file("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", &[0; 8]),
                "`|O` is not supported",
            ),
            (file("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,)}", &[0; 4]), "structured"),
            (
                file("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999)}", &[]),
                "overflow",
            ),
            (file("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}", &[0; 4]), "damaged"),
            (file("{'descr': '<f4', 'shape': (1,)}", &[0; 4]), "damaged"),
            (file("{'descr': '|b1', 'fortran_order': False, 'shape': (1,)}", &[7]), "neither 0 nor 1"),
            (b"\x93NUMPY\x09\x00\x00\x00".to_vec(), "version 9"),
            (b"\x93NUMPY\x01\x00\xff\xff{".to_vec(), "truncated"),
        ] {
            let message = parse(&bytes).unwrap_err();
            assert!(message.contains(wanted), "{message}");
        }
    }

    #[test]
    fn elements_are_given_as_they_lie() {
        let bytes = to_bytes(&Array::integers([1, -1]));
        let raw = Raw::parse(&bytes).unwrap();
        assert_eq!(raw.shape(), [2]);
        assert_eq!(raw.little_endian('i', 8).unwrap(), [[1, 0, 0, 0, 0, 0, 0, 0], [255; 8]].concat());
        assert!(raw.little_endian('i', 4).is_none() && raw.little_endian('f', 8).is_none());
        for dictionary in [
            "{'descr': '>i2', 'fortran_order': False, 'shape': (2, 2)}",
            "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 2)}",
        ] {
            assert!(Raw::parse(&file(dictionary, &[0; 8])).unwrap().little_endian('i', 2).is_none());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..120, flip in any::<u8>()) {
            let _ = parse(&bytes);
            let mut file = to_bytes(&Array::integers([1, 2, 3]));
            file[at] ^= flip;
            let _ = parse(&file);
            let _ = parse(&file[..at]);
        }
    }
}
