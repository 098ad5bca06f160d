//! The bytes of header and table, and the rules they obey.

use super::element::ElementType;
use super::error::{Fault, describe};

/// The first bytes of a file. The first is no text, the last two are changed by whoever takes the file for text.
pub(super) const MAGIC: [u8; 8] = *b"\x89OCELL\r\n";
/// The version of the format that is written and read.
pub(super) const VERSION: u32 = 1;
/// Reads differently in the other byte order.
const BYTE_ORDER: u32 = 0x0A0B_0C0D;
/// Bytes of the header.
pub(super) const HEADER: usize = 64;
/// Bytes of an entry of the table.
pub(super) const ENTRY: usize = 128;
/// Where sections and table may start: a cache line, and the widest register.
pub(super) const ALIGNMENT: u64 = 64;
/// Sections that a file may have.
pub(super) const MOST_SECTIONS: usize = 4096;
/// Dimensions that a section may have.
pub(super) const MOST_DIMENSIONS: usize = 6;
/// Bytes of a section's name.
pub(super) const LONGEST_NAME: usize = 48;
/// Bytes of the name of a kind.
pub(super) const LONGEST_KIND: usize = 16;

/// What a file has to say about one of its sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Lower-case letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// What it is made of.
    pub element: ElementType,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) checksum: u32,
}

impl Section {
    /// Bytes of its content.
    pub fn bytes(&self) -> u64 {
        self.length
    }

    /// Type and shape in words.
    pub(super) fn describe(&self) -> String {
        describe(self.element, &self.shape)
    }
}

/// What stands in the first bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: String,
    pub(super) sections: u32,
    pub(super) table: u64,
    pub(super) length: u64,
    pub(super) table_checksum: u32,
}

/// Whether something may be called so: names are file-system and JSON safe, and have one spelling.
pub(super) fn is_name(name: &str, longest: usize) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= longest && name.bytes().all(allowed)
}

/// The next place at or after `at` where a section may start; `None` beyond 2^64.
pub(super) fn align(at: u64) -> Option<u64> {
    at.checked_next_multiple_of(ALIGNMENT)
}

/// The number of elements of a shape; `None` beyond 2^64.
pub(super) fn count(shape: &[u64]) -> Option<u64> {
    // A dimension of 0 makes any other harmless, but which others a shape may have should not depend on their order.
    shape.iter().filter(|dim| **dim != 0).try_fold(1u64, |n, dim| n.checked_mul(*dim)).map(|n| {
        match shape.contains(&0) {
            true => 0,
            false => n,
        }
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default())
}

/// A name filled up with zeros.
fn put_name(into: &mut [u8], name: &str) {
    into[..name.len()].copy_from_slice(name.as_bytes());
}

/// The name in a field that is filled up with zeros.
fn name_in(field: &[u8]) -> Option<String> {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    let (name, rest) = field.split_at(end);
    let name = std::str::from_utf8(name).ok()?;
    (rest.iter().all(|b| *b == 0) && is_name(name, field.len())).then(|| name.to_owned())
}

impl Header {
    pub(super) fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&BYTE_ORDER.to_le_bytes());
        bytes[12..16].copy_from_slice(&VERSION.to_le_bytes());
        put_name(&mut bytes[16..32], &self.kind);
        bytes[32..36].copy_from_slice(&self.sections.to_le_bytes());
        bytes[36..40].copy_from_slice(&(ENTRY as u32).to_le_bytes());
        bytes[40..48].copy_from_slice(&self.table.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.length.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.table_checksum.to_le_bytes());
        let own = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&own.to_le_bytes());
        bytes
    }

    /// Reads the header of a file of `found` bytes, and checks that the table lies where it must.
    pub(super) fn parse(bytes: &[u8], found: u64) -> Result<Self, Fault> {
        let known = MAGIC.len().min(bytes.len());
        if known == 0 || bytes[..known] != MAGIC[..known] {
            return Err(Fault::Magic);
        }
        let Some(bytes) = bytes.get(..HEADER) else {
            return Err(Fault::Length { found, wanted: HEADER as u64 });
        };
        match u32_at(bytes, 8) {
            BYTE_ORDER => (),
            other => return Err(Fault::ByteOrder { found: other }),
        }
        // Before the checksum: another version may keep it elsewhere.
        match u32_at(bytes, 12) {
            VERSION => (),
            other => return Err(Fault::Version { found: other }),
        }
        if crc32fast::hash(&bytes[..60]) != u32_at(bytes, 60) {
            return Err(Fault::Header("its checksum differs".to_owned()));
        }
        let header = Self {
            kind: name_in(&bytes[16..32]).ok_or(Fault::Header("the kind is no name".to_owned()))?,
            sections: u32_at(bytes, 32),
            table: u64_at(bytes, 40),
            length: u64_at(bytes, 48),
            table_checksum: u32_at(bytes, 56),
        };
        if header.length != found {
            return Err(Fault::Length { found, wanted: header.length });
        }
        let entry = u32_at(bytes, 36) as usize;
        let fits = header.table.checked_add(u64::from(header.sections) * ENTRY as u64) == Some(header.length);
        let placed = header.table >= HEADER as u64 && header.table.is_multiple_of(ALIGNMENT);
        match fits && placed && entry == ENTRY && header.sections as usize <= MOST_SECTIONS {
            true => Ok(header),
            false => Err(Fault::Header(format!(
                "{} sections in entries of {entry} bytes from byte {} on do not end with the file, at {}",
                header.sections, header.table, header.length
            ))),
        }
    }
}

impl Section {
    pub(super) fn to_bytes(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        put_name(&mut bytes[..LONGEST_NAME], &self.name);
        bytes[48..52].copy_from_slice(&(self.element as u32).to_le_bytes());
        bytes[52..56].copy_from_slice(&(self.shape.len() as u32).to_le_bytes());
        for (place, dim) in bytes[56..104].chunks_exact_mut(8).zip(&self.shape) {
            place.copy_from_slice(&(*dim as u64).to_le_bytes());
        }
        bytes[104..112].copy_from_slice(&self.offset.to_le_bytes());
        bytes[112..120].copy_from_slice(&self.length.to_le_bytes());
        bytes[120..124].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8], number: usize) -> Result<Self, Fault> {
        let name = name_in(&bytes[..LONGEST_NAME]);
        let name = name.ok_or_else(|| Fault::Table(format!("entry {number} has no name")))?;
        let damaged = |reason: String| Fault::Table(format!("section `{name}` {reason}"));
        let element = u32_at(bytes, 48);
        let element = ElementType::from_number(element)
            .ok_or_else(|| damaged(format!("has an element type {element}, which is unknown")))?;
        let rank = u32_at(bytes, 52) as usize;
        let dims: Vec<u64> = bytes[56..104].chunks_exact(8).map(|dim| u64_at(dim, 0)).collect();
        if rank > MOST_DIMENSIONS || dims[rank..].iter().any(|dim| *dim != 0) || u32_at(bytes, 124) != 0 {
            return Err(damaged(format!("has {rank} dimensions, of {dims:?}")));
        }
        let shape = &dims[..rank];
        let length = u64_at(bytes, 112);
        let wanted = count(shape).and_then(|n| n.checked_mul(element.size() as u64));
        let whole: Option<Vec<usize>> = shape.iter().map(|dim| usize::try_from(*dim).ok()).collect();
        match whole.filter(|_| wanted == Some(length)) {
            Some(shape) => {
                let (offset, checksum) = (u64_at(bytes, 104), u32_at(bytes, 120));
                Ok(Self { name, element, shape, offset, length, checksum })
            }
            None => Err(damaged(format!("has {length} bytes, which is not {}", describe(element, shape)))),
        }
    }
}

/// Reads the table of a file and checks that sections and table fill it without a gap or an overlap.
pub(super) fn parse_table(file: &[u8], header: &Header) -> Result<Vec<Section>, Fault> {
    let table = usize::try_from(header.table).ok().and_then(|start| file.get(start..));
    let table = table.ok_or_else(|| Fault::Table("it is not there".to_owned()))?;
    if crc32fast::hash(table) != header.table_checksum {
        return Err(Fault::Table("its checksum differs".to_owned()));
    }
    let mut sections: Vec<Section> = Vec::with_capacity(table.len() / ENTRY);
    let mut end = HEADER as u64;
    for (number, entry) in table.chunks_exact(ENTRY).enumerate() {
        let section = Section::parse(entry, number)?;
        let start = next_start(file, end, header.table).ok_or_else(|| {
            Fault::Table(format!("before section `{}` are bytes that belong to nothing", section.name))
        })?;
        let after = section.offset.checked_add(section.length).filter(|after| *after <= header.table);
        end = match after {
            Some(after) if section.offset == start => after,
            _ => {
                return Err(Fault::Table(format!(
                    "section `{}` should start at byte {start} and end before {}, but has {} bytes from {} on",
                    section.name, header.table, section.length, section.offset
                )));
            }
        };
        sections.push(section);
    }
    if next_start(file, end, header.table) != Some(header.table) {
        return Err(Fault::Table("before it are bytes that belong to nothing".to_owned()));
    }
    let mut names: Vec<&str> = sections.iter().map(|section| section.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Fault::Table(format!("there are two sections `{}`", pair[0]))),
        None => Ok(sections),
    }
}

/// Where what follows byte `end` starts; `None` unless the bytes between are zero and before the table.
fn next_start(file: &[u8], end: u64, table: u64) -> Option<u64> {
    let start = align(end).filter(|start| *start <= table)?;
    let between = file.get(usize::try_from(end).ok()?..usize::try_from(start).ok()?)?;
    between.iter().all(|byte| *byte == 0).then_some(start)
}
