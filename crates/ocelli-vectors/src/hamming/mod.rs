//! Search among binary codes by Hamming distance, exact: the nearest k, or all within a radius.
//!
//! ```
//! use ocelli_vectors::hamming::{Codes, MultiIndex};
//!
//! let database = Codes::from_signs(&[0.3, -1.2, 0.8, 0.1, -0.4, -0.9, 0.7, 0.2, -0.6, -0.1, -0.8, 0.5], 4)?;
//! let queries = Codes::from_signs(&[0.9, -0.2, 0.4, -0.7], 4)?;
//!
//! let found = database.nearest(&queries, 2)?;
//! let first = found.of(0)[0];
//! assert_eq!((first.number, first.distance), (0, 1));
//!
//! let index = MultiIndex::new(database)?;
//! assert_eq!(index.nearest(&queries, 2)?, found);
//! # Ok::<(), ocelli_vectors::hamming::HammingError>(())
//! ```
//!
//! [`Codes`] counts through all codes, by the widest instructions that the processor has. [`MultiIndex`] looks up parts of the
//! code in tables, and is faster where neighbours are near: multi-index hashing (Norouzi, Punjani and Fleet, CVPR 2012).
//! Both give the same answers, by rising distance and, of equal distances, by number in the database; neither depends on
//! the number of threads or on the processor.
//!
//! | file | what it holds |
//! |---|---|
//! | `codes.rs` | packed codes: from signs, from ±1 or 0 and 1, from and to bytes |
//! | `scan.rs` | the search through all codes, in tiles, for many queries at once |
//! | `select.rs` | the k nearest, by counting |
//! | `multi_index/` | multi-index hashing |
//! | `file.rs` | codes with ids, as a file |

mod codes;
mod file;
mod multi_index;
mod scan;
mod select;

use thiserror::Error;

pub use codes::{Codes, MAX_BITS, MAX_CODES};
pub use file::{HammingFileError, HammingIndex, KIND};
pub use multi_index::{MAX_SUBSTRING, MultiIndex, Parts};

/// A code of the database and its distance from a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its number in the database, from 0.
    pub number: u32,
    /// In how many bits it differs from the query.
    pub distance: u32,
}

/// For each query its neighbours, by rising distance and, of equal distances, by rising number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// Where each query's neighbours end in `list`.
    ends: Vec<usize>,
    list: Vec<Neighbour>,
}

impl Neighbours {
    /// The neighbours of a query.
    ///
    /// # Panics
    /// When there is no such query.
    pub fn of(&self, query: usize) -> &[Neighbour] {
        let start = if query == 0 { 0 } else { self.ends[query - 1] };
        &self.list[start..self.ends[query]]
    }

    /// The number of queries.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no queries.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The queries' neighbours in the order of the queries.
    pub fn iter(&self) -> impl Iterator<Item = &[Neighbour]> {
        (0..self.len()).map(|query| self.of(query))
    }

    /// Of the keys of each query, in order.
    fn from_keys(queries: &[Vec<u64>]) -> Self {
        let mut found = Self::default();
        found.list.reserve(queries.iter().map(Vec::len).sum());
        for keys in queries {
            found
                .list
                .extend(keys.iter().map(|&key| Neighbour { number: number(key), distance: distance(key) }));
            found.ends.push(found.list.len());
        }
        found
    }
}

/// The distance in a hit's key.
fn distance(key: u64) -> u32 {
    (key >> 32) as u32
}

/// The number in a hit's key: its lower half.
fn number(key: u64) -> u32 {
    key as u32
}

/// What can be wrong with the input.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum HammingError {
    /// A number of bits that no code has.
    #[error("{0} bits in a code: from 1 to {MAX_BITS} are possible")]
    Bits(usize),
    /// Codes that are not whole.
    #[error(
        "the codes have {found} {elements}, which is no multiple of the {width} in one code of {bits} bits"
    )]
    Length {
        /// What codes consist of.
        elements: &'static str,
        /// How many there are.
        found: usize,
        /// How many one code has.
        width: usize,
        /// The length of a code.
        bits: usize,
    },
    /// A NaN has no sign.
    #[error("code {code}, bit {bit} is NaN, which has no sign")]
    NotANumber {
        /// The code, from 0.
        code: usize,
        /// The bit, from 0.
        bit: usize,
    },
    /// A value that is no bit.
    #[error("code {code}, bit {bit} is {value}; bits are all 0 and 1, or all -1 and 1")]
    Value {
        /// The code, from 0.
        code: usize,
        /// The bit, from 0.
        bit: usize,
        /// The value.
        value: i8,
    },
    /// Bits behind the end of a code.
    #[error(
        "code {code} has bits set behind bit {bits}, its last; has a code more bits, or are other codes packed?"
    )]
    Padding {
        /// The code, from 0.
        code: usize,
        /// The length of a code.
        bits: usize,
    },
    /// More codes than can be numbered.
    #[error("{0} codes: there can be {MAX_CODES}; divide them into several sets")]
    TooMany(usize),
    /// Codes of two lengths.
    #[error("the {name} have {found} bits, those of the database {wanted}")]
    Lengths {
        /// The codes that differ.
        name: &'static str,
        /// How many bits they have.
        found: usize,
        /// How many the database has.
        wanted: usize,
    },
    /// A number of codes other than was told.
    #[error("{found} codes are in the bytes, {wanted} were announced; is the file cut short?")]
    Count {
        /// How many there are.
        found: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// A setting outside its range.
    #[error("{key} = {value}: {wanted}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: usize,
        /// What is allowed.
        wanted: String,
    },
}

/// Shorthand for results of this module.
pub type Result<T, E = HammingError> = std::result::Result<T, E>;
