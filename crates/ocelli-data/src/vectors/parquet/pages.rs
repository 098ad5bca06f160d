//! The pages of a column: headers, compression, levels, dictionary.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};

use super::super::npz::MOST_INFLATION;
use super::footer::Chunk;
use super::hybrid::Hybrid;
use super::schema::Leaf;
use super::thrift::{Kind, Reader};
use super::values::{Item, Plain};

/// Values that are read at a time.
const BATCH: usize = 1024;
/// A page's header holds statistics of two values; what is longer is none.
const MOST_HEADER: u64 = 16 << 20;
/// Snappy makes at most 64 bytes of three.
const MOST_SNAPPY: u64 = 22;

/// Bytes that may yet be made of a file's.
///
/// A few bytes can stand for any number of values: a run, an entry of a dictionary. So that a small file cannot fill the
/// memory, what is unpacked is counted.
pub(super) struct Budget(u64);

impl Budget {
    /// That of a file: as much as the densest compression allows, and enough for small files that repeat themselves.
    pub(super) fn of(bytes: u64) -> Self {
        Self(bytes.saturating_mul(MOST_INFLATION).saturating_add(64 << 20))
    }

    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.0.checked_sub(bytes as u64);
        self.0 = left.ok_or_else(|| {
            format!("it unpacks to more than {MOST_INFLATION} times the file's size and 64 MiB")
        })?;
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    None,
    Snappy,
    Gzip,
}

impl Codec {
    /// By its number in the specification.
    fn from_number(number: i64) -> Result<Self, String> {
        let name = match number {
            0 => return Ok(Self::None),
            1 => return Ok(Self::Snappy),
            2 => return Ok(Self::Gzip),
            3 => "LZO",
            4 => "BROTLI",
            5 => "LZ4",
            6 => "ZSTD",
            7 => "LZ4_RAW",
            _ => "of an unknown kind",
        };
        Err(format!(
            "compression {name} is not supported (none, snappy and gzip are); write the file anew with one"
        ))
    }

    /// The `size` bytes that were packed.
    fn unpack(self, packed: Vec<u8>, size: usize) -> Result<Vec<u8>, String> {
        let most = match self {
            Self::None => 1,
            Self::Snappy => MOST_SNAPPY,
            Self::Gzip => MOST_INFLATION,
        };
        if size as u64 > (packed.len() as u64).saturating_mul(most) {
            return Err(format!("a page promises {size} bytes in {} compressed ones", packed.len()));
        }
        let bytes = match self {
            Self::None => packed,
            // Some writers leave empty pages as they are.
            _ if size == 0 => Vec::new(),
            Self::Snappy => {
                if snap::raw::decompress_len(&packed) != Ok(size) {
                    return Err(format!("a page of {size} bytes unpacks to another number of them"));
                }
                let mut bytes = vec![0; size];
                snap::raw::Decoder::new()
                    .decompress(&packed, &mut bytes)
                    .map_err(|e| format!("a page is damaged: {e}"))?;
                bytes
            }
            Self::Gzip => {
                let mut bytes = Vec::new();
                flate2::read::MultiGzDecoder::new(&packed[..])
                    .take((size as u64).saturating_add(1))
                    .read_to_end(&mut bytes)
                    .map_err(|e| format!("a page is damaged: {e}"))?;
                bytes
            }
        };
        if bytes.len() == size {
            Ok(bytes)
        } else {
            Err(format!("a page of {size} bytes unpacks to {}", bytes.len()))
        }
    }
}

/// What a page holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Content {
    #[default]
    Unknown,
    Index,
    Dictionary,
    Data,
    /// Levels that are never compressed, of these lengths, before values that may be.
    Data2 {
        repetitions: u64,
        definitions: u64,
        compressed: bool,
    },
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Header {
    content: Content,
    size: Option<u64>,
    packed: Option<u64>,
    checksum: Option<u32>,
    /// Values and nulls.
    values: u64,
    encoding: i64,
    /// The encodings of the definition and repetition levels.
    levels: [i64; 2],
}

const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const RLE: i64 = 3;
const RLE_DICTIONARY: i64 = 8;

fn encoding(number: i64) -> String {
    let name = match number {
        PLAIN => "PLAIN",
        PLAIN_DICTIONARY => "PLAIN_DICTIONARY",
        RLE => "RLE",
        4 => "BIT_PACKED",
        5 => "DELTA_BINARY_PACKED",
        6 => "DELTA_LENGTH_BYTE_ARRAY",
        7 => "DELTA_BYTE_ARRAY",
        RLE_DICTIONARY => "RLE_DICTIONARY",
        9 => "BYTE_STREAM_SPLIT",
        _ => return format!("encoding {number}"),
    };
    format!("encoding {name}")
}

impl Header {
    fn read<R: Read>(input: &mut Reader<R>) -> Result<Self, String> {
        let (mut header, mut kind) = (Self { levels: [RLE; 2], ..Self::default() }, None);
        let mut data2 = Content::Unknown;
        input.fields(|input, id, field| {
            match (id, field) {
                (1, Kind::I32) => kind = Some(input.integer()?),
                (2, Kind::I32) => header.size = Some(input.count()?),
                (3, Kind::I32) => header.packed = Some(input.count()?),
                (4, Kind::I32) => header.checksum = Some(input.integer()? as u32),
                (5, Kind::STRUCT) => header.data(input)?,
                (7, Kind::STRUCT) => header.dictionary(input)?,
                (8, Kind::STRUCT) => data2 = header.data2(input)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        header.content = match kind {
            Some(0) => Content::Data,
            Some(1) => Content::Index,
            Some(2) => Content::Dictionary,
            Some(3) => data2,
            _ => Content::Unknown,
        };
        Ok(header)
    }

    fn data<R: Read>(&mut self, input: &mut Reader<R>) -> Result<(), String> {
        input.fields(|input, id, kind| {
            match (id, kind) {
                (1, Kind::I32) => self.values = input.count()?,
                (2, Kind::I32) => self.encoding = input.integer()?,
                (3 | 4, Kind::I32) => self.levels[usize::from(id == 4)] = input.integer()?,
                _ => return Ok(false),
            }
            Ok(true)
        })
    }

    fn dictionary<R: Read>(&mut self, input: &mut Reader<R>) -> Result<(), String> {
        input.fields(|input, id, kind| {
            match (id, kind) {
                (1, Kind::I32) => self.values = input.count()?,
                (2, Kind::I32) => self.encoding = input.integer()?,
                _ => return Ok(false),
            }
            Ok(true)
        })
    }

    fn data2<R: Read>(&mut self, input: &mut Reader<R>) -> Result<Content, String> {
        let (mut lengths, mut compressed) = ([0; 2], true);
        input.fields(|input, id, kind| {
            match (id, kind) {
                (1, Kind::I32) => self.values = input.count()?,
                (4, Kind::I32) => self.encoding = input.integer()?,
                (5 | 6, Kind::I32) => lengths[usize::from(id == 5)] = input.count()?,
                (7, kind) => {
                    compressed = kind != Kind::FALSE;
                    return Ok(false);
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let [repetitions, definitions] = lengths;
        Ok(Content::Data2 { repetitions, definitions, compressed })
    }
}

/// A page of values, unpacked.
struct Page {
    /// Levels, one after the other, and values.
    bytes: Vec<u8>,
    /// Where the definition levels begin and where they end; before them are the repetition levels.
    definitions: (usize, usize),
    /// Whether each level's length stands before it.
    lengths: bool,
    values: u64,
    encoding: i64,
}

/// A column's pages in a row group.
struct Pages<'a> {
    input: BufReader<Take<&'a File>>,
    /// Bytes that are left.
    left: u64,
    codec: Codec,
}

impl<'a> Pages<'a> {
    fn open(mut file: &'a File, chunk: &Chunk, leaf: Leaf, end: u64) -> Result<Self, String> {
        if chunk.physical != i64::from(leaf.physical.number()) {
            return Err("the row group says another type than the schema".into());
        }
        let codec = Codec::from_number(chunk.codec)?;
        if chunk.start < 4 || chunk.start.checked_add(chunk.bytes).is_none_or(|at| at > end) {
            return Err("its pages lie outside of the file".into());
        }
        file.seek(SeekFrom::Start(chunk.start)).map_err(|e| e.to_string())?;
        let input = BufReader::with_capacity(1 << 16, file.take(chunk.bytes));
        Ok(Self { input, left: chunk.bytes, codec })
    }

    /// The next page's header and bytes, still packed.
    fn next(&mut self) -> Result<(Header, Vec<u8>), String> {
        if self.left == 0 {
            return Err("it has fewer values than are promised".into());
        }
        let mut reader = Reader::new((&mut self.input).take(MOST_HEADER));
        let header = Header::read(&mut reader).map_err(|e| format!("a page's header is damaged: {e}"))?;
        self.left -= reader.bytes;
        let packed = header.packed.ok_or("a page's header lacks its size")?;
        let mut bytes = Vec::new();
        // Grows with what is really there.
        let read = (&mut self.input).take(packed).read_to_end(&mut bytes);
        if read.map_err(|e: io::Error| e.to_string())? as u64 != packed {
            return Err(format!("a page promises {packed} bytes, more than there are"));
        }
        self.left -= packed;
        if let Some(wanted) = header.checksum {
            let mut checksum = flate2::Crc::new();
            checksum.update(&bytes);
            if checksum.sum() != wanted {
                return Err("a page's checksum does not match: the file is damaged".into());
            }
        }
        Ok((header, bytes))
    }

    fn unpack(&self, header: &Header, packed: Vec<u8>, budget: &mut Budget) -> Result<Page, String> {
        let size =
            header.size.and_then(|n| usize::try_from(n).ok()).ok_or("a page's header lacks its size")?;
        budget.spend(size)?;
        let (bytes, definitions) = match header.content {
            Content::Data2 { repetitions, definitions, compressed } => {
                let levels = repetitions.checked_add(definitions).and_then(|n| usize::try_from(n).ok());
                let levels = levels.filter(|n| *n <= packed.len() && *n <= size);
                let levels = levels.ok_or("a page's levels are longer than the page")?;
                let codec = if compressed { self.codec } else { Codec::None };
                let mut bytes = packed;
                let values = codec.unpack(bytes.split_off(levels), size - levels)?;
                bytes.extend(values);
                (bytes, (levels - definitions as usize, levels))
            }
            _ => (self.codec.unpack(packed, size)?, (0, 0)),
        };
        let lengths = matches!(header.content, Content::Data);
        Ok(Page { bytes, definitions, lengths, values: header.values, encoding: header.encoding })
    }
}

/// A page's parts.
struct Parts<'a> {
    repetitions: Hybrid<'a>,
    definitions: Hybrid<'a>,
    values: &'a [u8],
}

impl Page {
    fn parts(&self, leaf: Leaf) -> Result<Parts<'_>, String> {
        const CUT: &str = "a page's levels are longer than the page";
        let width = |most: u32| (u32::BITS - most.leading_zeros()) as u8;
        let (start, end) = self.definitions;
        let (mut repetitions, mut definitions, mut values) =
            (&self.bytes[..start], &self.bytes[start..end], &self.bytes[end..]);
        if self.lengths {
            for (levels, most) in [(&mut repetitions, leaf.repetition), (&mut definitions, leaf.definition)] {
                // Where there is but one level nothing is written.
                if most > 0 {
                    let (length, rest) = values.split_first_chunk().ok_or(CUT)?;
                    (*levels, values) =
                        rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(CUT)?;
                }
            }
        }
        Ok(Parts {
            repetitions: Hybrid::new(repetitions, width(leaf.repetition))?,
            definitions: Hybrid::new(definitions, width(leaf.definition))?,
            values,
        })
    }
}

/// Where a page's values come from.
enum Source<'a, T> {
    Plain(Plain<'a>),
    Entries(Hybrid<'a>, &'a [T]),
}

impl<'a, T: Item> Source<'a, T> {
    /// `bits` are false and true, should the page need them.
    fn new(
        number: i64,
        values: &'a [u8],
        dictionary: Option<&'a [T]>,
        bits: &'a [T],
    ) -> Result<Self, String> {
        match (number, dictionary) {
            (PLAIN, _) => Ok(Self::Plain(Plain::new(values))),
            (PLAIN_DICTIONARY | RLE_DICTIONARY, Some(entries)) => {
                let (width, indices) = values.split_first().unwrap_or((&0, &[]));
                Ok(Self::Entries(Hybrid::new(indices, *width)?, entries))
            }
            (PLAIN_DICTIONARY | RLE_DICTIONARY, None) => Err("a page's dictionary is missing".into()),
            (RLE, _) if !bits.is_empty() => {
                let (length, rest) = values.split_first_chunk().ok_or("a page is cut short")?;
                let runs = rest.get(..u32::from_le_bytes(*length) as usize).ok_or("a page is cut short")?;
                Ok(Self::Entries(Hybrid::new(runs, 1)?, bits))
            }
            _ => Err(format!("{} is not supported (PLAIN and dictionaries are)", encoding(number))),
        }
    }

    /// Appends the next `count` values.
    fn take(
        &mut self,
        leaf: Leaf,
        count: usize,
        out: &mut Vec<T>,
        budget: &mut Budget,
    ) -> Result<(), String> {
        match self {
            Self::Plain(plain) => {
                let start = out.len();
                T::plain(leaf, plain, count, out)?;
                out[start..].iter().try_for_each(|item| budget.spend(item.cost()))
            }
            Self::Entries(indices, entries) => {
                let mut batch = [0; BATCH];
                indices.fill(&mut batch[..count])?;
                for index in &batch[..count] {
                    let item =
                        entries.get(*index as usize).ok_or("a page asks for what its dictionary lacks")?;
                    // Before the copy: an entry may be long.
                    budget.spend(item.cost())?;
                    out.push(item.clone());
                }
                Ok(())
            }
        }
    }
}

/// A few values of a column, in order.
pub(super) struct Batch<'a, T> {
    /// 0 where a row begins; as long as `definitions`.
    pub(super) repetitions: &'a [u32],
    /// How much of the column there is; a value follows where it is [`Leaf::definition`].
    pub(super) definitions: &'a [u32],
    /// The values that are there.
    pub(super) values: std::vec::Drain<'a, T>,
}

/// Reads the pages of a column in a row group, whose pages end before byte `end` of the file, giving its values to `take`.
///
/// # Errors
/// In words, what is wrong with the pages, and what `take` refuses.
pub(super) fn each<T: Item>(
    file: &File,
    chunk: &Chunk,
    leaf: Leaf,
    end: u64,
    budget: &mut Budget,
    mut take: impl FnMut(Batch<'_, T>, &mut Budget) -> Result<(), String>,
) -> Result<(), String> {
    let mut pages = Pages::open(file, chunk, leaf, end)?;
    let bits = T::bits(leaf);
    let mut dictionary: Option<Vec<T>> = None;
    let mut left = chunk.values;
    while left > 0 {
        let (header, packed) = pages.next()?;
        match header.content {
            Content::Index => continue,
            Content::Unknown => return Err("a page of an unknown kind".into()),
            Content::Dictionary if dictionary.is_some() => return Err("it has two dictionaries".into()),
            Content::Dictionary => {
                if !matches!(header.encoding, PLAIN | PLAIN_DICTIONARY) {
                    return Err(format!("{} of a dictionary is not supported", encoding(header.encoding)));
                }
                let page = pages.unpack(&header, packed, budget)?;
                dictionary = Some(entries(&page, leaf, budget)?);
            }
            Content::Data | Content::Data2 { .. } => {
                // Of levels that are not there some writers say another encoding.
                let most = [leaf.definition, leaf.repetition];
                let mut levels =
                    header.levels.iter().zip(most).filter(|(number, most)| **number != RLE && *most > 0);
                if let Some((number, _)) = levels.next() {
                    return Err(format!("{} of levels is not supported (RLE is)", encoding(*number)));
                }
                if header.values == 0 {
                    continue;
                }
                left = left.checked_sub(header.values).ok_or("it has more values than are promised")?;
                let page = pages.unpack(&header, packed, budget)?;
                let parts = page.parts(leaf)?;
                let source = Source::new(page.encoding, parts.values, dictionary.as_deref(), &bits)?;
                read_page(
                    page.values,
                    parts.repetitions,
                    parts.definitions,
                    source,
                    leaf,
                    budget,
                    &mut take,
                )?;
            }
        }
    }
    Ok(())
}

fn entries<T: Item>(page: &Page, leaf: Leaf, budget: &mut Budget) -> Result<Vec<T>, String> {
    let (mut plain, mut entries) = (Plain::new(&page.bytes), Vec::new());
    let mut left = page.values;
    while left > 0 {
        let now = left.min(BATCH as u64);
        let start = entries.len();
        T::plain(leaf, &mut plain, now as usize, &mut entries)?;
        entries[start..].iter().try_for_each(|item| budget.spend(item.cost()))?;
        left -= now;
    }
    Ok(entries)
}

fn read_page<T: Item>(
    values: u64,
    mut repetitions: Hybrid<'_>,
    mut definitions: Hybrid<'_>,
    mut source: Source<'_, T>,
    leaf: Leaf,
    budget: &mut Budget,
    take: &mut impl FnMut(Batch<'_, T>, &mut Budget) -> Result<(), String>,
) -> Result<(), String> {
    let (mut r, mut d) = ([0; BATCH], [0; BATCH]);
    let mut items = Vec::new();
    let mut left = values;
    while left > 0 {
        let now = left.min(BATCH as u64) as usize;
        repetitions.fill(&mut r[..now])?;
        definitions.fill(&mut d[..now])?;
        let most = (leaf.repetition, leaf.definition);
        if r[..now].iter().any(|level| *level > most.0) || d[..now].iter().any(|level| *level > most.1) {
            return Err("a level is higher than the schema allows".into());
        }
        let present = d[..now].iter().filter(|level| **level == leaf.definition).count();
        source.take(leaf, present, &mut items, budget)?;
        let batch = Batch { repetitions: &r[..now], definitions: &d[..now], values: items.drain(..) };
        take(batch, budget)?;
        left -= now as u64;
    }
    Ok(())
}
