//! Indexes of the published package `scann`, read without it.
//!
//! [`ScannIndex::read`] takes the folder that the package's `serialize` writes: which parts there are is read from its
//! settings, and every part is checked against the others before it is given out. Searching the parts by the
//! [definition](crate::score_aware_quantization::search) gives the package's own results.
//!
//! | file | what it holds |
//! |---|---|
//! | `scann_config.pb` | how the index was built and is searched |
//! | `ah_codebook.pb` | codewords |
//! | `hashed_dataset.npy` | codes `[N, B]` |
//! | `serialized_partitioner.pb` | centres of partitions |
//! | `datapoint_to_token.npy` | the partition of each vector; two for each where vectors spill into a second one |
//! | `hashed_dataset_soar.npy` | codes in the second partition |
//! | `dataset.npy`, or `int8_dataset.npy` with `int8_multipliers.npy`, or `bfloat16_dataset.npy` | the vectors |
//! | `dp_norms.npy` | beside vectors in eight bits, for distances: their squared lengths |
//!
//! Names of vectors (`scann_docids.pkl`) are not read: they are a Python object. Results are numbers of rows.

mod parts;
mod settings;
mod wire;

use std::path::{Path, PathBuf};

use ocelli_method::Data;
use ocelli_method::npy::Raw;
use thiserror::Error;

pub use settings::{CodeSettings, Distance, Settings, Stored, TreeSettings};

/// What is wrong with an index.
#[derive(Debug, Error)]
pub enum ScannError {
    /// A file cannot be read.
    #[error("{}: cannot read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is damaged, does not belong to the others, or holds what is not supported.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

type Result<T, E = ScannError> = std::result::Result<T, E>;

/// An index of the package. N vectors of `dim` dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct ScannIndex {
    /// How it was built and is searched.
    pub settings: Settings,
    /// N.
    pub count: usize,
    /// Length of a vector.
    pub dim: usize,
    /// The codes; none when every vector is compared exactly.
    pub product: Option<Product>,
    /// The partitions, if there are.
    pub partitions: Option<Tree>,
    /// The vectors `[N, dim]`, if they are kept. Those in eight or sixteen bits are given as what they stand for.
    pub rows: Option<Vec<f32>>,
    /// For distances between vectors kept in eight bits: the squared length of each before it was rounded, `[N]`, with
    /// which the package computes them.
    pub squares: Option<Vec<f32>>,
    /// Whether vectors have names that are not numbers, in a file that is not read.
    pub named: bool,
}

/// Product codes.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// Length and codewords `[K, length]` of each of B blocks.
    pub books: Vec<(usize, Vec<f32>)>,
    /// `[N, B]`.
    pub codes: Vec<u8>,
}

/// Partitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Their number K.
    pub count: usize,
    /// `[K, dim]`.
    pub centres: Vec<f64>,
    /// The partition of each vector, `[N]`.
    pub tokens: Vec<u32>,
    /// Second partitions, where vectors have them.
    pub second: Option<Second>,
}

/// Where vectors are found a second time.
#[derive(Clone, Debug, PartialEq)]
pub struct Second {
    /// The second partition of each vector, `[N]`; some have none.
    pub tokens: Vec<Option<u32>>,
    /// Codes in the second partition, `[N, B]`; without meaning where there is none.
    pub codes: Vec<u8>,
}

impl ScannIndex {
    /// Reads the folder of an index. Every file is held in memory while it is read.
    ///
    /// # Errors
    /// [`ScannError`] naming the file and what is wrong with it.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = Folder(folder.as_ref());
        let settings = folder.message("scann_config.pb", Settings::parse)?;
        let mut size = Size::default();
        let product = match settings.codes {
            Some(codes) => Some(folder.product(codes, &mut size)?),
            None => None,
        };
        let rows = match settings.stored {
            Some(stored) => Some(folder.rows(stored, &mut size)?),
            None => None,
        };
        let squares = match (settings.stored, settings.distance) {
            (Some(Stored::Int8), Distance::SquaredL2) => folder.squares(&mut size)?,
            _ => None,
        };
        let (count, dim) = (size.count.unwrap_or(0), size.dim.unwrap_or(0));
        let partitions = match settings.tree {
            Some(tree) => Some(folder.tree(tree, product.as_ref(), &mut size)?),
            None => None,
        };
        let named = folder.0.join("scann_docids.pkl").exists();
        Ok(Self { settings, count, dim, product, partitions, rows, squares, named })
    }

    /// The centres `[K, dim]` as a search compares them with queries: where that is done in eight bits, what these stand
    /// for, each element a multiple of a 127th of the largest of its dimension. Empty without partitions.
    pub fn searched_centres(&self) -> Vec<f64> {
        let Some(tree) = &self.partitions else { return Vec::new() };
        let mut centres = tree.centres.clone();
        let bytes = self.settings.tree.is_some_and(|tree| tree.integer_centres);
        if !bytes || self.settings.distance != Distance::DotProduct {
            return centres;
        }
        for d in 0..self.dim {
            let largest = tree
                .centres
                .iter()
                .skip(d)
                .step_by(self.dim)
                .fold(0.0f64, |most, value| most.max(value.abs()));
            if largest > 0.0 {
                let step = largest / 127.0;
                centres
                    .iter_mut()
                    .skip(d)
                    .step_by(self.dim)
                    .for_each(|value| *value = (*value / step).round() * step);
            }
        }
        centres
    }
}

/// What the files must agree on, set by the first that says it.
#[derive(Default)]
struct Size {
    count: Option<usize>,
    dim: Option<usize>,
}

impl Size {
    /// Fails unless a file has one row for each vector.
    fn rows(&mut self, found: usize) -> Result<(), String> {
        match self.count.replace(found) {
            _ if found == 0 => Err("there are no vectors".to_owned()),
            Some(wanted) if wanted != found => {
                Err(format!("{found} vectors, but {wanted} in the files before"))
            }
            _ => Ok(()),
        }
    }

    /// Fails unless the vectors of a file have the length of all.
    fn columns(&mut self, found: usize) -> Result<(), String> {
        match self.dim.replace(found) {
            _ if found == 0 => Err("the vectors have no dimensions".to_owned()),
            Some(wanted) if wanted != found => {
                Err(format!("vectors of {found} dimensions, but {wanted} in the files before"))
            }
            _ => Ok(()),
        }
    }
}

/// The folder of an index.
struct Folder<'a>(&'a Path);

impl Folder<'_> {
    /// Reads a file and what it says; names it in errors.
    fn message<T>(&self, name: &str, parse: impl FnOnce(&[u8]) -> Result<T, String>) -> Result<T> {
        let path = self.0.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => parse(&bytes).map_err(|reason| ScannError::Content { path, reason }),
            Err(source) => Err(ScannError::Read { path, source }),
        }
    }

    /// Reads the array in a file and what it says.
    fn array<T>(&self, name: &str, parse: impl FnOnce(Raw<'_>) -> Result<T, String>) -> Result<T> {
        self.message(name, |bytes| parse(Raw::parse(bytes)?))
    }

    fn product(&self, settings: CodeSettings, size: &mut Size) -> Result<Product> {
        let books = self.message("ah_codebook.pb", |bytes| {
            let books = parts::codebook(bytes)?;
            size.columns(books.iter().map(|(length, _)| length).sum())?;
            match books.iter().find(|(length, words)| words.len() / length > settings.words) {
                Some((length, words)) => Err(format!(
                    "a block has {} codewords, the settings say {}",
                    words.len() / length,
                    settings.words
                )),
                None => Ok(books),
            }
        })?;
        let codes = self.codes("hashed_dataset.npy", &books, size)?;
        Ok(Product { books, codes })
    }

    /// Codes `[N, B]`, each of a codeword that exists.
    fn codes(&self, name: &str, books: &[(usize, Vec<f32>)], size: &mut Size) -> Result<Vec<u8>> {
        self.array(name, |raw| {
            let (rows, columns, codes) = grid(&raw, 'u', 1)?;
            size.rows(rows)?;
            if columns != books.len() {
                return Err(format!("{columns} codes a vector for {} blocks of codewords", books.len()));
            }
            let words: Vec<usize> = books.iter().map(|(length, words)| words.len() / length).collect();
            for (row, codes) in codes.chunks_exact(columns).enumerate() {
                if let Some((code, words)) =
                    codes.iter().zip(&words).find(|(code, words)| usize::from(**code) >= **words)
                {
                    return Err(format!("vector {row} has code {code} in a block of {words} codewords"));
                }
            }
            Ok(codes.to_vec())
        })
    }

    fn tree(&self, settings: TreeSettings, product: Option<&Product>, size: &mut Size) -> Result<Tree> {
        let dim = size.dim.unwrap_or(0);
        let (count, centres) =
            self.message("serialized_partitioner.pb", |bytes| parts::centres(bytes, dim))?;
        let width = if settings.soar.is_some() { 2 } else { 1 };
        let tokens = self.array("datapoint_to_token.npy", |raw| {
            let tokens = integers(raw)?;
            let vectors = tokens.len() / width;
            match tokens.len().is_multiple_of(width) {
                true => size.rows(vectors)?,
                false => return Err(format!("{} partitions, which is odd", tokens.len())),
            }
            let known = |token: i64| u32::try_from(token).ok().filter(|t| (*t as usize) < count);
            let one = |(row, tokens): (usize, &[i64])| {
                let first = known(tokens[0]);
                let second =
                    tokens.get(1).map(|token| (*token == -1).then_some(None).or(known(*token).map(Some)));
                match (first, second) {
                    (Some(first), None) => Ok((first, None)),
                    (Some(first), Some(Some(second))) => Ok((first, second)),
                    _ => Err(format!("vector {row} is in {tokens:?} of {count} partitions")),
                }
            };
            tokens.chunks_exact(width).enumerate().map(one).collect::<Result<Vec<_>, String>>()
        })?;
        let (tokens, seconds): (Vec<u32>, Vec<Option<u32>>) = tokens.into_iter().unzip();
        let second = match (settings.soar, product) {
            (Some(_), Some(product)) => {
                let codes = self.codes("hashed_dataset_soar.npy", &product.books, size)?;
                Some(Second { tokens: seconds, codes })
            }
            _ => None,
        };
        Ok(Tree { count, centres, tokens, second })
    }

    fn rows(&self, stored: Stored, size: &mut Size) -> Result<Vec<f32>> {
        let (name, kind, bytes) = match stored {
            Stored::Float32 => ("dataset.npy", 'f', 4),
            Stored::Int8 => ("int8_dataset.npy", 'i', 1),
            Stored::Bfloat16 => ("bfloat16_dataset.npy", 'i', 2),
        };
        let mut values = self.array(name, |raw| {
            let (rows, columns, elements) = grid(&raw, kind, bytes)?;
            size.rows(rows)?;
            size.columns(columns)?;
            let values: Vec<f32> = match stored {
                Stored::Float32 => elements.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
                Stored::Int8 => elements.iter().map(|b| f32::from(b.cast_signed())).collect(),
                Stored::Bfloat16 => {
                    let widened = |b: &[u8; 2]| f32::from_le_bytes([0, 0, b[0], b[1]]);
                    elements.as_chunks().0.iter().map(widened).collect()
                }
            };
            match values.iter().position(|v| !v.is_finite()) {
                Some(at) => Err(format!("vector {} holds {}", at / columns, values[at])),
                None => Ok(values),
            }
        })?;
        if stored == Stored::Int8 {
            let multipliers = self.array("int8_multipliers.npy", |raw| {
                let multipliers = raw.decode()?;
                match multipliers.data() {
                    Data::F32(m)
                        if Some(m.len()) == size.dim
                            && m.iter().all(|m| m.is_finite() && (128.0 / m).is_finite()) =>
                    {
                        Ok(m.clone())
                    }
                    _ => Err("a number for each dimension is wanted, neither infinite nor 0 or close to it"
                        .to_owned()),
                }
            })?;
            for row in values.chunks_exact_mut(multipliers.len()) {
                row.iter_mut().zip(&multipliers).for_each(|(value, multiplier)| *value /= multiplier);
            }
        }
        Ok(values)
    }
}

impl Folder<'_> {
    /// Squared lengths, where there are.
    fn squares(&self, size: &mut Size) -> Result<Option<Vec<f32>>> {
        let name = "dp_norms.npy";
        if !self.0.join(name).exists() {
            return Ok(None);
        }
        self.array(name, |raw| match raw.decode()?.data() {
            Data::F32(squares) if squares.is_empty() => Ok(None),
            Data::F32(squares) if squares.iter().all(|square| square.is_finite()) => {
                size.rows(squares.len())?;
                Ok(Some(squares.clone()))
            }
            _ => Err("a finite number for each vector is wanted".to_owned()),
        })
    }
}

/// Rows, columns, and elements in row-major order.
fn grid<'a>(raw: &Raw<'a>, kind: char, size: usize) -> Result<(usize, usize, &'a [u8]), String> {
    match (raw.shape(), raw.little_endian(kind, size)) {
        (&[rows, columns], Some(elements)) => Ok((rows, columns, elements)),
        (shape, _) => {
            Err(format!("rows of `<{kind}{size}` are wanted, found another type or order, or {shape:?}"))
        }
    }
}

/// The integers of an array of one dimension.
fn integers(raw: Raw<'_>) -> Result<Vec<i64>, String> {
    let shape = raw.shape().to_vec();
    match (shape.len(), raw.decode()?.data()) {
        (1, Data::I64(values)) => Ok(values.clone()),
        (_, other) => Err(format!("a list of integers is wanted, found {} of {shape:?}", other.kind())),
    }
}
