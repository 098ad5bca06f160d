//! Parquet files out.

use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ocelli_method::files::AtomicFile;

use super::super::ids::Ids;
use super::super::set::{Values, VectorSet};
use super::footer::{Logical, MAGIC, Physical, Repetition};
use super::hybrid;
use super::thrift::{Kind, Writer};
use crate::error::DataError;

/// Bytes of vectors in a row group, and rows in it, at most.
const GROUP: usize = 64 << 20;
const GROUP_ROWS: usize = 1 << 20;
/// Bytes of values in a page, at most, if it has more than one row.
const PAGE: usize = 1 << 20;
/// The columns beside the metadata.
const NAMES: [&str; 3] = ["id", "vector", "codes"];

/// Writes a set: columns `id` (if it has ids), `vector` (`list<float>`, nothing of it nullable), and the metadata.
///
/// The file is there wholly or not at all.
///
/// # Errors
/// As [`ParquetWriter`].
pub fn write(path: impl AsRef<Path>, set: &VectorSet) -> Result<(), DataError> {
    let mut writer = ParquetWriter::create(path)?;
    writer.push(set, None)?;
    writer.finish()
}

/// A file that is written set by set; it is there after [`finish`](Self::finish), and not before.
///
/// Vectors and codes are not compressed, for they do not shrink; the rest is compressed with Snappy.
///
/// ```
/// use ocelli_data::vectors::{Ids, VectorSet, parquet::ParquetWriter};
///
/// let folder = tempfile::tempdir()?;
/// let mut writer = ParquetWriter::create(folder.path().join("words.parquet"))?;
/// for part in 0..3 {
///     let ids = Some(Ids::Numbers(vec![2 * part, 2 * part + 1]));
///     let set = VectorSet { ids, ..VectorSet::new(2, vec![0.5, 1.0, -2.0, 0.25]) };
///     // A code of one byte for each of the two rows.
///     writer.push(&set, Some(&[0b11, 0b01]))?;
/// }
/// writer.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ParquetWriter {
    path: PathBuf,
    file: AtomicFile,
    /// Bytes written.
    at: u64,
    /// That of the first set, which all others must have.
    layout: Option<Layout>,
    /// Whether there is an id beyond 63 bits.
    wide: bool,
    groups: Vec<Group>,
}

/// What all row groups have in common.
#[derive(Clone, Debug, PartialEq)]
struct Layout {
    dim: usize,
    columns: Vec<Shape>,
}

/// A column's place in the schema.
#[derive(Clone, Debug, PartialEq)]
struct Shape {
    name: String,
    physical: Physical,
    logical: Logical,
    repetition: Repetition,
}

#[derive(Debug)]
struct Group {
    rows: usize,
    chunks: Vec<Chunk>,
}

#[derive(Debug, Default)]
struct Chunk {
    values: usize,
    unpacked: usize,
    packed: usize,
    start: u64,
}

/// A column's values.
enum Cells<'a> {
    Numbers(&'a [u64]),
    Names(&'a [String]),
    /// Rows of as many elements.
    Vectors(&'a [f32], usize),
    /// Rows of as many bytes.
    Codes(&'a [u8], usize),
    Metadata(&'a Values),
}

impl ParquetWriter {
    /// Begins a file.
    ///
    /// # Errors
    /// [`DataError::Write`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref().to_owned();
        let mut file = AtomicFile::create(&path).map_err(|source| DataError::write(&path, source))?;
        file.write_all(MAGIC).map_err(|source| DataError::write(&path, source))?;
        Ok(Self { path, file, at: MAGIC.len() as u64, layout: None, wide: false, groups: Vec::new() })
    }

    /// Appends rows as one row group, or several if they are many: some ten thousand rows at a time are best.
    ///
    /// `codes`, `[N, B]`, are bytes for each row, which become the column `codes`; `B` is what their length says.
    ///
    /// # Errors
    /// [`DataError::Content`] for what [`VectorSet::check`] refuses, for columns other than in the sets before, and for
    /// metadata whose name is taken; [`DataError::Write`].
    pub fn push(&mut self, set: &VectorSet, codes: Option<&[u8]>) -> Result<(), DataError> {
        let columns = columns(set, codes).map_err(|reason| DataError::content(&self.path, reason))?;
        let layout =
            Layout { dim: set.dim, columns: columns.iter().map(|(shape, _)| shape.clone()).collect() };
        let first = self.layout.get_or_insert_with(|| layout.clone());
        if *first != layout {
            let reason = format!(
                "rows are of the form {}, those before them of {}",
                layout.in_words(),
                first.in_words()
            );
            return Err(DataError::content(&self.path, reason));
        }
        if let Some(Ids::Numbers(ids)) = &set.ids {
            self.wide |= ids.iter().any(|id| i64::try_from(*id).is_err());
        }
        let step = (GROUP / 4 / set.dim).clamp(1, GROUP_ROWS);
        for start in (0..set.len()).step_by(step) {
            self.group(&columns, start..set.len().min(start + step))
                .map_err(|source| DataError::write(&self.path, source))?;
        }
        Ok(())
    }

    fn group(&mut self, columns: &[(Shape, Cells<'_>)], rows: Range<usize>) -> io::Result<()> {
        let mut group = Group { rows: rows.len(), chunks: Vec::with_capacity(columns.len()) };
        for (shape, cells) in columns {
            let mut chunk = Chunk { start: self.at, ..Chunk::default() };
            let mut start = rows.start;
            while start < rows.end {
                let end = cells.page_end(start..rows.end);
                self.page(&mut chunk, shape, cells, start..end)?;
                start = end;
            }
            group.chunks.push(chunk);
        }
        self.groups.push(group);
        Ok(())
    }

    fn page(
        &mut self,
        chunk: &mut Chunk,
        shape: &Shape,
        cells: &Cells<'_>,
        rows: Range<usize>,
    ) -> io::Result<()> {
        let values = rows.len() * cells.width();
        let plain = cells.page(rows);
        let size = plain.len();
        let packed = match shape.snappy() {
            true => snap::raw::Encoder::new().compress_vec(&plain).map_err(io::Error::other)?,
            false => plain,
        };
        let count = |n: usize| i32::try_from(n).map_err(|_| io::Error::other("a row is longer than 2 GiB"));
        let (size32, packed32, values32) = (count(size)?, count(packed.len())?, count(values)?);
        let mut checksum = flate2::Crc::new();
        checksum.update(&packed);
        let header = Writer::to_bytes(|w| {
            w.i32(1, 0);
            w.i32(2, size32);
            w.i32(3, packed32);
            w.i32(4, checksum.sum() as i32);
            w.fields(5, |w| {
                w.i32(1, values32);
                // Values are plain, levels are runs.
                w.i32(2, 0);
                w.i32(3, 3);
                w.i32(4, 3);
            });
        });
        self.file.write_all(&header)?;
        self.file.write_all(&packed)?;
        chunk.values += values;
        chunk.unpacked += header.len() + size;
        chunk.packed += header.len() + packed.len();
        self.at += (header.len() + packed.len()) as u64;
        Ok(())
    }

    /// Writes the footer and puts the file in its place.
    ///
    /// # Errors
    /// [`DataError::Content`] when there was no row; [`DataError::Write`].
    pub fn finish(mut self) -> Result<(), DataError> {
        let Some(layout) = self.layout.take() else {
            return Err(DataError::content(&self.path, "there is no vector"));
        };
        let footer = Writer::to_bytes(|w| self.footer(w, &layout));
        let Self { path, mut file, .. } = self;
        let write = |file: &mut AtomicFile| {
            let length = u32::try_from(footer.len()).map_err(io::Error::other)?;
            file.write_all(&footer)?;
            file.write_all(&length.to_le_bytes())?;
            file.write_all(MAGIC)
        };
        write(&mut file).and_then(|()| file.commit()).map_err(|source| DataError::write(path, source))
    }

    fn footer(&self, w: &mut Writer, layout: &Layout) {
        w.i32(1, 1);
        let inner = layout.columns.iter().map(|shape| if shape.logical == Logical::List { 3 } else { 1 });
        w.list(2, Kind::STRUCT, 1 + inner.sum::<usize>());
        w.element(|w| {
            w.text(4, "schema");
            w.i32(5, layout.columns.len() as i32);
        });
        for shape in &layout.columns {
            shape.write(w, self.wide);
        }
        w.i64(3, self.groups.iter().map(|group| group.rows as i64).sum());
        w.list(4, Kind::STRUCT, self.groups.len());
        for group in &self.groups {
            w.element(|w| group.write(w, &layout.columns));
        }
        w.text(6, concat!("ocelli version ", env!("CARGO_PKG_VERSION")));
    }
}

/// The columns of a set and of codes.
fn columns<'a>(set: &'a VectorSet, codes: Option<&'a [u8]>) -> Result<Vec<(Shape, Cells<'a>)>, String> {
    set.check()?;
    let shape = |name: &str, physical, logical, repetition| Shape {
        name: name.into(),
        physical,
        logical,
        repetition,
    };
    let [id, vector, code] = NAMES;
    let mut columns = Vec::new();
    match &set.ids {
        Some(Ids::Numbers(ids)) => {
            let shape = shape(id, Physical::Int64, Logical::Plain, Repetition::Required);
            columns.push((shape, Cells::Numbers(ids)));
        }
        Some(Ids::Names(names)) => {
            let shape = shape(id, Physical::Bytes, Logical::Text, Repetition::Required);
            columns.push((shape, Cells::Names(names)));
        }
        None => {}
    }
    let lists = shape(vector, Physical::Float, Logical::List, Repetition::Required);
    columns.push((lists, Cells::Vectors(&set.rows, set.dim)));
    if let Some(bytes) = codes {
        if bytes.is_empty() || !bytes.len().is_multiple_of(set.len()) {
            return Err(format!("{} bytes of codes for {} rows", bytes.len(), set.len()));
        }
        let shape = shape(code, Physical::Bytes, Logical::Plain, Repetition::Required);
        columns.push((shape, Cells::Codes(bytes, bytes.len() / set.len())));
    }
    for (at, column) in set.metadata.iter().enumerate() {
        let taken = set.metadata[..at].iter().any(|c| c.name == column.name);
        if taken || NAMES.contains(&column.name.as_str()) {
            return Err(format!("metadata cannot be called `{}` here: the name is taken", column.name));
        }
        let (physical, logical) = match column.values {
            Values::Integers(_) => (Physical::Int64, Logical::Plain),
            Values::Numbers(_) => (Physical::Double, Logical::Plain),
            Values::Texts(_) => (Physical::Bytes, Logical::Text),
        };
        let shape = shape(&column.name, physical, logical, Repetition::Optional);
        columns.push((shape, Cells::Metadata(&column.values)));
    }
    Ok(columns)
}

impl Layout {
    fn in_words(&self) -> String {
        let columns: Vec<String> =
            self.columns.iter().map(|c| format!("{} {:?}", c.name, c.physical).to_lowercase()).collect();
        format!("[{} elements; {}]", self.dim, columns.join(", "))
    }
}

impl Shape {
    /// Whether its pages are compressed: vectors and codes do not shrink.
    fn snappy(&self) -> bool {
        self.logical != Logical::List && self.name != NAMES[2]
    }

    /// The path from the top down to the values.
    fn path(&self) -> Vec<&str> {
        match self.logical {
            Logical::List => vec![&self.name, "list", "element"],
            _ => vec![&self.name],
        }
    }

    /// Writes the column into the schema; `wide` where ids take all 64 bits.
    fn write(&self, w: &mut Writer, wide: bool) {
        let Self { name, physical, logical, repetition } = self;
        if *logical == Logical::List {
            w.element(|w| {
                w.i32(3, 0);
                w.text(4, name);
                w.i32(5, 1);
                w.i32(6, 3);
                w.fields(10, |w| w.fields(3, |_| ()));
            });
            w.element(|w| {
                w.i32(3, 2);
                w.text(4, "list");
                w.i32(5, 1);
            });
            w.element(|w| {
                w.i32(1, physical.number());
                w.i32(3, 0);
                w.text(4, "element");
            });
            return;
        }
        w.element(|w| {
            w.i32(1, physical.number());
            w.i32(3, if *repetition == Repetition::Optional { 1 } else { 0 });
            w.text(4, name);
            if *logical == Logical::Text {
                w.i32(6, 0);
                w.fields(10, |w| w.fields(1, |_| ()));
            } else if wide && name == NAMES[0] {
                w.i32(6, 14);
                w.fields(10, |w| {
                    w.fields(10, |w| {
                        w.i8(1, 64);
                        w.boolean(2, false);
                    });
                });
            }
        });
    }
}

impl Group {
    fn write(&self, w: &mut Writer, columns: &[Shape]) {
        let sum = |of: fn(&Chunk) -> usize| self.chunks.iter().map(of).sum::<usize>() as i64;
        w.list(1, Kind::STRUCT, self.chunks.len());
        for (chunk, shape) in self.chunks.iter().zip(columns) {
            w.element(|w| {
                w.i64(2, 0);
                w.fields(3, |w| chunk.write(w, shape));
            });
        }
        w.i64(2, sum(|chunk| chunk.unpacked));
        w.i64(3, self.rows as i64);
        w.i64(5, self.chunks.first().map_or(0, |chunk| chunk.start as i64));
        w.i64(6, sum(|chunk| chunk.packed));
    }
}

impl Chunk {
    fn write(&self, w: &mut Writer, shape: &Shape) {
        w.i32(1, shape.physical.number());
        // Plain, and runs for levels.
        w.list(2, Kind::I32, 2);
        w.i32_element(0);
        w.i32_element(3);
        let path = shape.path();
        w.list(3, Kind::BINARY, path.len());
        path.iter().for_each(|name| w.text_element(name));
        w.i32(4, shape.snappy().into());
        w.i64(5, self.values as i64);
        w.i64(6, self.unpacked as i64);
        w.i64(7, self.packed as i64);
        w.i64(9, self.start as i64);
    }
}

impl Cells<'_> {
    /// Values in a row.
    fn width(&self) -> usize {
        match self {
            Self::Vectors(_, dim) => *dim,
            _ => 1,
        }
    }

    /// Bytes of a row's values.
    fn size(&self, row: usize) -> usize {
        match self {
            Self::Vectors(_, dim) => 4 * dim,
            Self::Codes(_, width) => 4 + width,
            Self::Names(names) => 4 + names[row].len(),
            Self::Metadata(Values::Texts(texts)) => texts[row].as_ref().map_or(0, |text| 4 + text.len()),
            Self::Numbers(_) | Self::Metadata(_) => 8,
        }
    }

    /// Where the page that begins with these rows ends: after one row, or as many as fit.
    fn page_end(&self, rows: Range<usize>) -> usize {
        let (mut end, mut bytes) = (rows.start + 1, self.size(rows.start));
        // Nulls have no bytes, but a bit.
        while end < rows.end && end - rows.start < PAGE && bytes + self.size(end) <= PAGE {
            bytes += self.size(end);
            end += 1;
        }
        end
    }

    /// Levels and values of a page.
    fn page(&self, rows: Range<usize>) -> Vec<u8> {
        let mut page = Vec::new();
        match self {
            Self::Numbers(ids) => page.extend(ids[rows].iter().flat_map(|id| id.to_le_bytes())),
            Self::Names(names) => names[rows].iter().for_each(|name| put_bytes(&mut page, name.as_bytes())),
            Self::Codes(codes, width) => {
                let codes = &codes[rows.start * width..rows.end * width];
                codes.chunks_exact(*width).for_each(|code| put_bytes(&mut page, code));
            }
            Self::Vectors(all, dim) => {
                let elements = &all[rows.start * dim..rows.end * dim];
                put_levels(&mut page, |levels| {
                    for _ in rows {
                        hybrid::put_run(levels, 0, 1);
                        if *dim > 1 {
                            hybrid::put_run(levels, 1, dim - 1);
                        }
                    }
                });
                put_levels(&mut page, |levels| hybrid::put_run(levels, 1, elements.len()));
                page.extend(elements.iter().flat_map(|x| x.to_le_bytes()));
            }
            Self::Metadata(Values::Integers(all)) => {
                put_optional(&mut page, &all[rows], |page, x| page.extend(x.to_le_bytes()));
            }
            Self::Metadata(Values::Numbers(all)) => {
                put_optional(&mut page, &all[rows], |page, x| page.extend(x.to_le_bytes()));
            }
            Self::Metadata(Values::Texts(all)) => {
                put_optional(&mut page, &all[rows], |page, x| put_bytes(page, x.as_bytes()));
            }
        }
        page
    }
}

/// A byte string behind its length. One beyond 4 GiB makes a page that is refused.
fn put_bytes(page: &mut Vec<u8>, bytes: &[u8]) {
    page.extend((bytes.len() as u32).to_le_bytes());
    page.extend(bytes);
}

/// Levels behind their length.
fn put_levels(page: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let start = page.len();
    page.extend([0; 4]);
    put(page);
    let length = (page.len() - start - 4) as u32;
    page[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn put_optional<T>(page: &mut Vec<u8>, values: &[Option<T>], put: impl Fn(&mut Vec<u8>, &T)) {
    put_levels(page, |levels| match values.iter().all(Option::is_some) {
        true => hybrid::put_run(levels, 1, values.len()),
        false => hybrid::put_bits(levels, values.iter().map(Option::is_some)),
    });
    values.iter().flatten().for_each(|value| put(page, value));
}
