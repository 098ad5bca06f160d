//! Opening, viewing and verifying.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use rayon::prelude::*;
use serde::de::DeserializeOwned;

use super::element::{Element, ElementType};
use super::error::{ContainerError, Fault};
use super::format::{ALIGNMENT, HEADER, Header, Section, parse_table};
use super::{METADATA, Result};
use crate::kernels::map::map;

/// Bytes that one thread checks in one go.
const PIECE: usize = 1 << 24;
/// Bytes of JSON that are believed; it describes the sections and holds none of their content.
const LONGEST_METADATA: usize = 1 << 24;

/// A container that can be looked into. Cheap to share between threads behind an [`Arc`](std::sync::Arc).
#[derive(Debug)]
pub struct Container {
    path: PathBuf,
    header: Header,
    sections: Vec<Section>,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Owned(Aligned),
}

/// Bytes that start at a multiple of [`ALIGNMENT`].
#[derive(Debug)]
struct Aligned {
    buffer: Vec<u8>,
    range: Range<usize>,
}

impl Aligned {
    /// Zeros; `None` without memory.
    fn zeros(length: u64) -> Option<Self> {
        let length = usize::try_from(length).ok()?;
        let room = length.checked_add(ALIGNMENT as usize)?;
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(room).ok()?;
        buffer.resize(room, 0);
        // The heap block of a vector stays where it is when the vector moves.
        let start = buffer.as_ptr().align_offset(ALIGNMENT as usize);
        Some(Self { buffer, range: start..start.checked_add(length)? }).filter(|a| a.range.end <= room)
    }

    fn get_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.range.clone()]
    }
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(aligned) => &aligned.buffer[aligned.range.clone()],
        }
    }
}

impl Container {
    /// Opens a file by mapping it: only header, table and the seams between sections are read, whatever the size; the
    /// rest comes from disk when it is looked at. Content is not checked against its checksums: that is
    /// [`verify`](Self::verify).
    ///
    /// While the container lives nobody may shorten or overwrite the file in place. Cut short, the system ends this
    /// program at the next look behind the end; overwritten, results change under the search. Removing it or renaming
    /// another file to its place, as [`ContainerWriter`](super::ContainerWriter) does, is safe: the container keeps the
    /// old content. Where others write in place, or on a network drive that goes away, use [`read`](Self::read).
    ///
    /// # Errors
    /// [`ContainerError`] naming the file and what is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let open = || {
            let (mut file, length) = regular(path)?;
            // Nothing is mapped that is not a container, and nothing that is empty.
            read_header(&mut file, length)?;
            let map = map(&file).map_err(Fault::Read)?;
            Ok(Bytes::Mapped(map))
        };
        open().and_then(|bytes| Self::parse(path, bytes)).map_err(|fault: Fault| fault.at(path))
    }

    /// Reads a whole file into memory, after which the file does not matter any more. Checksums are checked.
    ///
    /// # Errors
    /// [`ContainerError`] naming the file and what is wrong with it.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let read = || {
            let (mut file, length) = regular(path)?;
            let header = read_header(&mut file, length)?;
            let mut bytes = Aligned::zeros(length).ok_or(Fault::Memory(length))?;
            let (first, rest) = bytes.get_mut().split_at_mut(HEADER);
            first.copy_from_slice(&header);
            file.read_exact(rest).map_err(Fault::Read)?;
            Ok(Bytes::Owned(bytes))
        };
        let container =
            read().and_then(|bytes| Self::parse(path, bytes)).map_err(|fault: Fault| fault.at(path))?;
        container.verify()?;
        Ok(container)
    }

    /// A copy of a container's bytes; `name` stands for the file in errors. Checksums are not checked.
    ///
    /// # Errors
    /// [`ContainerError`] with what is wrong with them.
    pub fn from_bytes(name: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        let name = name.as_ref();
        let length = bytes.len() as u64;
        let copy = || {
            Header::parse(bytes, length)?;
            let mut copy = Aligned::zeros(length).ok_or(Fault::Memory(length))?;
            copy.get_mut().copy_from_slice(bytes);
            Self::parse(name, Bytes::Owned(copy))
        };
        copy().map_err(|fault| fault.at(name))
    }

    fn parse(path: &Path, bytes: Bytes) -> Result<Self, Fault> {
        let header = Header::parse(bytes.get(), bytes.get().len() as u64)?;
        let sections = parse_table(bytes.get(), &header)?;
        Ok(Self { path: path.to_owned(), header, sections, bytes })
    }

    /// The file, or the name given for it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What kind of content the file says it has.
    pub fn kind(&self) -> &str {
        &self.header.kind
    }

    /// Bytes of the whole file.
    pub fn len(&self) -> u64 {
        self.header.length
    }

    /// Whether there is no section.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// All sections, in the order of the file.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Fails unless the content is of this kind.
    ///
    /// # Errors
    /// [`Fault::Kind`].
    pub fn expect_kind(&self, wanted: &str) -> Result<()> {
        match self.kind() == wanted {
            true => Ok(()),
            false => {
                let fault = Fault::Kind { found: self.kind().to_owned(), wanted: wanted.to_owned() };
                Err(fault.at(&self.path))
            }
        }
    }

    /// A section by name, if there is one.
    pub fn find(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// A section by name.
    ///
    /// # Errors
    /// [`Fault::Missing`].
    pub fn section(&self, name: &str) -> Result<&Section> {
        self.find(name).ok_or_else(|| Fault::Missing(name.to_owned()).at(&self.path))
    }

    /// The elements of a section, without a copy, in row-major order.
    ///
    /// # Errors
    /// [`Fault::Missing`]; [`Fault::Unexpected`] when it is of another type.
    pub fn view<T: Element>(&self, name: &str) -> Result<&[T]> {
        let section = self.section(name)?;
        let elements = if section.element == T::TYPE { T::view(self.content(section)) } else { None };
        elements.ok_or_else(|| self.unexpected(section, T::TYPE.to_string()))
    }

    /// The shape and elements of a section of `R` dimensions, without a copy.
    ///
    /// # Errors
    /// [`Fault::Missing`]; [`Fault::Unexpected`] when it is of another type or has other dimensions.
    pub fn array<T: Element, const R: usize>(&self, name: &str) -> Result<([usize; R], &[T])> {
        let elements = self.view(name)?;
        let section = self.section(name)?;
        match <[usize; R]>::try_from(section.shape.as_slice()) {
            Ok(shape) => Ok((shape, elements)),
            Err(_) => Err(self.unexpected(section, format!("{} of {R} dimensions", T::TYPE))),
        }
    }

    /// The metadata. Its checksum is checked.
    ///
    /// # Errors
    /// [`Fault::Missing`] without metadata; [`Fault::Metadata`] when it does not say what `T` needs.
    pub fn metadata<T: DeserializeOwned>(&self) -> Result<T> {
        let section = self.section(METADATA)?;
        let text: &[u8] = self.view(METADATA)?;
        if text.len() > LONGEST_METADATA {
            return Err(self.unexpected(section, format!("{} [up to {LONGEST_METADATA}]", ElementType::U8)));
        }
        if checksum(text) != section.checksum {
            return Err(Fault::Damaged(vec![METADATA.to_owned()]).at(&self.path));
        }
        serde_json::from_slice(text).map_err(|error| Fault::Metadata(error.to_string()).at(&self.path))
    }

    /// Reads everything and compares it with the checksums, in all threads.
    ///
    /// # Errors
    /// [`Fault::Damaged`] naming every damaged section; [`Fault::Header`] and [`Fault::Table`] if these have changed
    /// since the container was opened.
    pub fn verify(&self) -> Result<()> {
        let bytes = self.bytes.get();
        let again = Header::parse(bytes, bytes.len() as u64)
            .and_then(|header| parse_table(bytes, &header))
            .map_err(|fault| fault.at(&self.path))?;
        if again != self.sections {
            return Err(Fault::Table("it has changed since it was opened".to_owned()).at(&self.path));
        }
        let damaged = |section: &&Section| checksum(self.content(section)) != section.checksum;
        let names: Vec<String> =
            self.sections.par_iter().filter(damaged).map(|section| section.name.clone()).collect();
        if names.is_empty() { Ok(()) } else { Err(Fault::Damaged(names).at(&self.path)) }
    }

    /// The bytes of one of the sections: checked to be inside when the table was read.
    pub(super) fn content(&self, section: &Section) -> &[u8] {
        let start = section.offset as usize;
        &self.bytes.get()[start..start + section.length as usize]
    }

    pub(super) fn unexpected(&self, section: &Section, wanted: String) -> ContainerError {
        let (name, found) = (section.name.clone(), section.describe());
        Fault::Unexpected { section: name, found, wanted }.at(&self.path)
    }
}

/// Opens a file and gives its length. A folder or device is refused before it is opened: opening a pipe would wait.
fn regular(path: &Path) -> Result<(File, u64), Fault> {
    if !std::fs::metadata(path).map_err(Fault::Read)?.is_file() {
        return Err(Fault::NoFile);
    }
    let file = File::open(path).map_err(Fault::Read)?;
    let length = file.metadata().map_err(Fault::Read)?.len();
    Ok((file, length))
}

/// Reads and checks the header, so that nothing is reserved or mapped for a file that is no container.
fn read_header(file: &mut File, length: u64) -> Result<[u8; HEADER], Fault> {
    let mut bytes = [0; HEADER];
    let known = length.min(HEADER as u64) as usize;
    file.read_exact(&mut bytes[..known]).map_err(Fault::Read)?;
    Header::parse(&bytes[..known], length)?;
    Ok(bytes)
}

/// The CRC-32 of bytes, in all threads.
fn checksum(bytes: &[u8]) -> u32 {
    let hash = |piece: &[u8]| {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(piece);
        hasher
    };
    let pieces: Vec<crc32fast::Hasher> = bytes.par_chunks(PIECE).map(hash).collect();
    let mut whole = crc32fast::Hasher::new();
    pieces.iter().for_each(|piece| whole.combine(piece));
    whole.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_pieces_is_that_of_the_whole() {
        let bytes: Vec<u8> = (0..2 * PIECE as u32 + 5).map(|i| (i.wrapping_mul(i) >> 3) as u8).collect();
        for length in [0, 1, PIECE, PIECE + 1, bytes.len()] {
            assert_eq!(checksum(&bytes[..length]), crc32fast::hash(&bytes[..length]));
        }
    }

    #[test]
    fn memory_is_aligned_or_refused() {
        for length in [0, 1, 64, 1000] {
            let mut aligned = Aligned::zeros(length).unwrap();
            assert_eq!(aligned.get_mut().len() as u64, length);
            assert_eq!(aligned.get_mut().as_ptr().align_offset(ALIGNMENT as usize), 0);
        }
        assert!(Aligned::zeros(u64::MAX).is_none() && Aligned::zeros(1 << 62).is_none());
    }
}
