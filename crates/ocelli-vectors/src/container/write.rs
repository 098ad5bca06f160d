//! Writing, section by section.

use std::io::{Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use ocelli_method::files::AtomicFile;
use serde::Serialize;

use super::element::{Element, ElementType};
use super::error::Fault;
use super::format::{
    ALIGNMENT, ENTRY, HEADER, Header, LONGEST_KIND, LONGEST_NAME, MOST_DIMENSIONS, MOST_SECTIONS, Section,
    align, count, is_name,
};
use super::{METADATA, Result};

/// Bytes that are handed on in one go.
const PIECE: usize = 1 << 20;

/// Writes a container from front to back; no section is held in memory.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("rows.ocelli");
/// use ocelli_vectors::container::{Container, ContainerWriter};
///
/// let mut writer = ContainerWriter::create(&path, "example")?;
/// writer.section("ids", &[2], &[7u64, 8])?;
/// let mut rows = writer.rows::<f32>("rows", &[3])?;
/// rows.push(&[1.0, 2.0, 3.0])?;
/// rows.push(&[4.0, 5.0, 6.0])?;
/// rows.finish()?;
/// writer.finish()?;
///
/// let container = Container::open(&path)?;
/// let (shape, rows) = container.array::<f32, 2>("rows")?;
/// assert_eq!((shape, rows[4]), ([2, 3], 5.0));
/// # Ok::<(), ocelli_vectors::container::ContainerError>(())
/// ```
#[derive(Debug)]
pub struct ContainerWriter<W = AtomicFile> {
    /// For errors.
    path: PathBuf,
    kind: String,
    writer: W,
    sections: Vec<Section>,
    /// Bytes written so far.
    at: u64,
    /// The section that was begun and, if it is still here at the end, not written wholly.
    begun: Option<String>,
}

impl ContainerWriter {
    /// Begins a file of a kind (up to 16 lower-case letters, digits, `.`, `_`, `-`). It is written beside its place and
    /// put there by [`finish`](Self::finish); until then, and if anything fails, what was there stays.
    ///
    /// # Errors
    /// [`Fault::Write`]; [`Fault::Section`] when the kind is no name.
    pub fn create(path: impl AsRef<Path>, kind: &str) -> Result<Self> {
        let path = path.as_ref();
        let file = AtomicFile::create(path).map_err(|error| Fault::Write(error).at(path))?;
        Self::new(path, file, kind)
    }

    /// Completes the file and puts it into its place, synced to disk.
    ///
    /// # Errors
    /// [`Fault::Write`]; [`Fault::Section`] when a section was begun and not finished. What was there then stays.
    pub fn finish(self) -> Result<()> {
        let path = self.path.clone();
        self.close()?.commit().map_err(|error| Fault::Write(error).at(&path))
    }
}

impl<W: Write + Seek> ContainerWriter<W> {
    /// Begins a container in an empty writer; `name` stands for the file in errors.
    ///
    /// # Errors
    /// As [`create`](ContainerWriter::create).
    pub fn new(name: impl AsRef<Path>, writer: W, kind: &str) -> Result<Self> {
        let path = name.as_ref().to_owned();
        if cfg!(target_endian = "big") {
            return Err(Fault::Machine.at(&path));
        }
        if !is_name(kind, LONGEST_KIND) {
            let reason = format!("the kind is 1 to {LONGEST_KIND} of a-z, 0-9, `.`, `_`, `-`");
            return Err(Fault::section(kind, reason).at(&path));
        }
        let mut new = Self { path, kind: kind.to_owned(), writer, sections: Vec::new(), at: 0, begun: None };
        // The header's place; what stands there follows when it is known.
        new.put(&[0; HEADER])?;
        Ok(new)
    }

    /// Writes a section of this shape, row-major.
    ///
    /// # Errors
    /// [`Fault::Write`]; [`Fault::Section`] when the name is taken or none, or the shape is not that of the values.
    pub fn section<T: Element>(&mut self, name: &str, shape: &[usize], values: &[T]) -> Result<()> {
        let dims: Vec<u64> = shape.iter().map(|dim| *dim as u64).collect();
        if count(&dims) != Some(values.len() as u64) {
            let reason = format!("{} values do not have the shape {shape:?}", values.len());
            return Err(Fault::section(name, reason).at(&self.path));
        }
        let mut section = self.begin(name, T::TYPE, shape.to_vec())?;
        self.append(&mut section, T::bytes(values))?;
        self.end(section);
        Ok(())
    }

    /// Writes the metadata, which any other program can read as JSON.
    ///
    /// # Errors
    /// As [`section`](Self::section); [`Fault::Metadata`] when it cannot be JSON.
    pub fn metadata(&mut self, metadata: &impl Serialize) -> Result<()> {
        let text = serde_json::to_vec(metadata)
            .map_err(|error| Fault::Metadata(error.to_string()).at(&self.path))?;
        self.section(METADATA, &[text.len()], &text)
    }

    /// Begins a section that is written piece by piece: its first dimension is the number of rows of shape `row` that
    /// will have been pushed when it is finished.
    ///
    /// # Errors
    /// As [`section`](Self::section).
    pub fn rows<T: Element>(&mut self, name: &str, row: &[usize]) -> Result<RowWriter<'_, T, W>> {
        let shape: Vec<usize> = std::iter::once(0).chain(row.iter().copied()).collect();
        let dims: Vec<u64> = row.iter().map(|dim| *dim as u64).collect();
        let row = count(&dims).filter(|row| *row > 0).ok_or_else(|| {
            Fault::section(name, format!("rows of shape {row:?} have no elements, or too many"))
                .at(&self.path)
        })?;
        let section = self.begin(name, T::TYPE, shape)?;
        Ok(RowWriter { writer: self, section, row, elements: PhantomData })
    }

    /// Completes the container and gives the writer back.
    ///
    /// # Errors
    /// As [`finish`](ContainerWriter::finish).
    pub fn close(mut self) -> Result<W> {
        if let Some(name) = self.begun {
            return Err(Fault::section(&name, "it was begun and not finished").at(&self.path));
        }
        self.pad()?;
        let table: Vec<u8> = self.sections.iter().flat_map(Section::to_bytes).collect();
        debug_assert_eq!(table.len(), self.sections.len() * ENTRY);
        let header = Header {
            kind: self.kind.clone(),
            sections: self.sections.len() as u32,
            table: self.at,
            length: self.at + table.len() as u64,
            table_checksum: crc32fast::hash(&table),
        };
        self.put(&table)?;
        let complete = |writer: &mut W| {
            writer.seek(SeekFrom::Start(0))?;
            writer.write_all(&header.to_bytes())?;
            writer.flush()
        };
        match complete(&mut self.writer) {
            Ok(()) => Ok(self.writer),
            Err(error) => Err(Fault::Write(error).at(&self.path)),
        }
    }

    fn begin(&mut self, name: &str, element: ElementType, shape: Vec<usize>) -> Result<Section> {
        let refuse = |reason: String| Err(Fault::section(name, reason).at(&self.path));
        if let Some(begun) = &self.begun {
            return refuse(format!("section `{begun}` was begun and not finished"));
        }
        if !is_name(name, LONGEST_NAME) {
            return refuse(format!("a name is 1 to {LONGEST_NAME} of a-z, 0-9, `.`, `_`, `-`"));
        }
        if self.sections.iter().any(|section| section.name == name) {
            return refuse("there already is one".to_owned());
        }
        if shape.len() > MOST_DIMENSIONS {
            return refuse(format!("{} dimensions; up to {MOST_DIMENSIONS} are possible", shape.len()));
        }
        if self.sections.len() == MOST_SECTIONS {
            return Err(Fault::TooMany.at(&self.path));
        }
        self.begun = Some(name.to_owned());
        self.pad()?;
        Ok(Section { name: name.to_owned(), element, shape, offset: self.at, length: 0, checksum: 0 })
    }

    /// Adds bytes to the section that was begun. Each piece is summed while it is near.
    fn append(&mut self, section: &mut Section, bytes: &[u8]) -> Result<()> {
        let mut hasher = crc32fast::Hasher::new_with_initial(section.checksum);
        for piece in bytes.chunks(PIECE) {
            hasher.update(piece);
            self.put(piece)?;
        }
        section.length += bytes.len() as u64;
        section.checksum = hasher.finalize();
        Ok(())
    }

    fn end(&mut self, section: Section) {
        self.sections.push(section);
        self.begun = None;
    }

    /// Zeros up to where something may start.
    fn pad(&mut self) -> Result<()> {
        let zeros = align(self.at).map_or(0, |start| start - self.at) as usize;
        self.put(&[0; ALIGNMENT as usize][..zeros])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(|error| Fault::Write(error).at(&self.path))?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// A section that is being written piece by piece. One that is dropped before [`finish`](Self::finish) leaves the
/// container unfinished, and it cannot be completed.
#[derive(Debug)]
#[must_use = "the section is not there before `finish`"]
pub struct RowWriter<'a, T, W = AtomicFile> {
    writer: &'a mut ContainerWriter<W>,
    section: Section,
    /// Elements a row.
    row: u64,
    elements: PhantomData<T>,
}

impl<T: Element, W: Write + Seek> RowWriter<'_, T, W> {
    /// Adds elements: rows or parts of rows, any number of them.
    ///
    /// # Errors
    /// [`Fault::Write`].
    pub fn push(&mut self, values: &[T]) -> Result<()> {
        self.writer.append(&mut self.section, T::bytes(values))
    }

    /// Ends the section; gives the number of rows.
    ///
    /// # Errors
    /// [`Fault::Section`] when the last row is not full.
    pub fn finish(mut self) -> Result<usize> {
        let elements = self.section.length / T::TYPE.size() as u64;
        if !elements.is_multiple_of(self.row) {
            let reason = format!("{elements} elements are no whole rows of {}", self.row);
            return Err(Fault::section(&self.section.name, reason).at(&self.writer.path));
        }
        let rows = (elements / self.row) as usize;
        self.section.shape[0] = rows;
        self.writer.end(self.section);
        Ok(rows)
    }
}
