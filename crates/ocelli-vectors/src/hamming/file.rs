//! Binary codes with their ids as a file.
//!
//! | section | shape | what |
//! |---|---|---|
//! | `codes` | `[N, ceil(bits / 8)]` u8 | packed codes, the lowest bit first |
//! | `ids` | `[N]` u64 | their ids |

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Codes, HammingError, MultiIndex, Neighbours, Parts};
use crate::container::{Container, ContainerError, ContainerWriter};

/// The kind of container that holds binary codes.
pub const KIND: &str = "hamming-index";

/// Binary codes that are searched by Hamming distance and found by id.
#[derive(Clone, Debug)]
pub struct HammingIndex {
    index: MultiIndex,
    ids: Vec<u64>,
}

/// Why binary codes cannot be indexed or opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HammingFileError {
    /// The file is no readable container, or a section is missing or of another type.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The codes are none.
    #[error(transparent)]
    Hamming(#[from] HammingError),
    /// Another number of ids than of codes.
    #[error("{ids} ids for {codes} codes")]
    Ids {
        /// Number of ids.
        ids: usize,
        /// Number of codes.
        codes: usize,
    },
    /// An id that belongs to two codes.
    #[error("id {id} is given twice: for codes {first} and {second}")]
    DuplicateId {
        /// The id.
        id: u64,
        /// The code that has it first, from 0.
        first: usize,
        /// The code that has it again.
        second: usize,
    },
    /// An id that no code has.
    #[error("id {0} is not in the index")]
    UnknownId(u64),
}

#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    bits: usize,
    count: usize,
    substrings: usize,
}

type Result<T, E = HammingFileError> = std::result::Result<T, E>;

impl HammingIndex {
    /// Codes with an id each.
    ///
    /// # Errors
    /// [`HammingFileError::Ids`], [`HammingFileError::DuplicateId`].
    pub fn new(codes: Codes, ids: Vec<u64>) -> Result<Self> {
        check(&ids, codes.len())?;
        Ok(Self { index: MultiIndex::new(codes)?, ids })
    }

    /// The codes.
    pub fn codes(&self) -> &Codes {
        self.index.codes()
    }

    /// The id of each code.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// The number of substrings that tables are kept of.
    pub fn substrings(&self) -> usize {
        self.index.substrings()
    }

    /// Bytes in memory: codes, tables, ids.
    pub fn bytes(&self) -> [usize; 3] {
        let codes = self.codes();
        [codes.len() * codes.bits().div_ceil(64) * 8, self.index.table_bytes(), 8 * self.ids.len()]
    }

    /// For each query the `k` nearest codes; a neighbour's number belongs to [`ids`](Self::ids).
    ///
    /// # Errors
    /// [`HammingError`] for queries of another length.
    pub fn nearest(&self, queries: &Codes, k: usize) -> Result<Neighbours, HammingError> {
        self.index.nearest(queries, k)
    }

    /// For each query all codes that differ in at most `radius` bits.
    ///
    /// # Errors
    /// As [`nearest`](Self::nearest).
    pub fn within(&self, queries: &Codes, radius: u32) -> Result<Neighbours, HammingError> {
        self.index.within(queries, radius)
    }

    /// The same with more codes.
    ///
    /// # Errors
    /// [`HammingFileError::DuplicateId`]; [`HammingError`] for codes of another length.
    pub fn with(self, codes: &Codes, ids: &[u64]) -> Result<Self> {
        let mut all = self.index.into_codes();
        all.append(codes)?;
        Self::new(all, [self.ids.as_slice(), ids].concat())
    }

    /// The same without some codes.
    ///
    /// # Errors
    /// [`HammingFileError::UnknownId`].
    pub fn without(self, ids: &[u64]) -> Result<Self> {
        let known: HashSet<u64> = self.ids.iter().copied().collect();
        if let Some(id) = ids.iter().find(|id| !known.contains(id)) {
            return Err(HammingFileError::UnknownId(*id));
        }
        let gone: HashSet<u64> = ids.iter().copied().collect();
        self.retained(&|id| !gone.contains(&id))
    }

    /// The same with only the codes whose ids are to be kept.
    ///
    /// # Errors
    /// [`HammingFileError::Hamming`] when no code is left.
    pub fn retained(self, keep: &dyn Fn(u64) -> bool) -> Result<Self> {
        let kept: Vec<bool> = self.ids.iter().map(|id| keep(*id)).collect();
        let (bits, bytes) = (self.codes().bits(), self.codes().to_bytes());
        let rows = bytes.chunks_exact(bits.div_ceil(8)).zip(&kept).filter(|(_, kept)| **kept);
        let bytes: Vec<u8> = rows.flat_map(|(row, _)| row.iter().copied()).collect();
        let ids = self.ids.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(id, _)| *id).collect();
        Self::new(Codes::from_bytes(&bytes, bits)?, ids)
    }

    /// Writes the codes and ids beside their place and puts them there when all is written; tables are made anew when
    /// they are opened.
    ///
    /// # Errors
    /// [`ContainerError`]; what was there before then stays.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), ContainerError> {
        let Parts { bits, count, substrings, codes } = self.index.to_parts();
        let mut writer = ContainerWriter::create(path, KIND)?;
        writer.metadata(&Metadata { bits, count, substrings })?;
        writer.section("codes", &[count, bits.div_ceil(8)], &codes)?;
        writer.section("ids", &[count], &self.ids)?;
        writer.finish()
    }

    /// Takes the codes out of an opened container, checked as any input is.
    ///
    /// # Errors
    /// [`HammingFileError`].
    pub fn from_container(container: &Container) -> Result<Self> {
        container.expect_kind(KIND)?;
        let Metadata { bits, count, substrings } = container.metadata()?;
        let ([_, _], codes) = container.array::<u8, 2>("codes")?;
        let ids = container.view::<u64>("ids")?.to_vec();
        check(&ids, count)?;
        let index = MultiIndex::from_parts(&Parts { bits, count, substrings, codes: codes.to_vec() })?;
        Ok(Self { index, ids })
    }
}

fn check(ids: &[u64], codes: usize) -> Result<()> {
    if ids.len() != codes {
        return Err(HammingFileError::Ids { ids: ids.len(), codes });
    }
    let mut firsts = HashMap::with_capacity(ids.len());
    for (second, &id) in ids.iter().enumerate() {
        if let Some(first) = firsts.insert(id, second) {
            return Err(HammingFileError::DuplicateId { id, first, second });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(count: usize, bits: usize) -> Codes {
        let value = |i: usize| if (i * 7919 + i / 3) % 5 < 2 { 1.0 } else { -1.0 };
        Codes::from_signs(&(0..count * bits).map(value).collect::<Vec<f32>>(), bits).unwrap()
    }

    #[test]
    fn a_file_gives_the_same_neighbours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("codes");
        let index = HammingIndex::new(codes(300, 70), (0..300).map(|i| 1000 - i).collect()).unwrap();
        index.save(&path).unwrap();
        let container = Container::open(&path).unwrap();
        container.verify().unwrap();
        let opened = HammingIndex::from_container(&container).unwrap();
        let queries = codes(5, 70);
        assert_eq!(opened.nearest(&queries, 7).unwrap(), index.nearest(&queries, 7).unwrap());
        assert_eq!(opened.ids(), index.ids());
    }

    #[test]
    fn codes_are_added_and_taken_away_by_id() {
        let whole = codes(20, 16);
        let bytes = whole.to_bytes();
        let part =
            |range: std::ops::Range<usize>| Codes::from_bytes(&bytes[2 * range.start..2 * range.end], 16);
        let index = HammingIndex::new(part(0..12).unwrap(), (0..12).collect()).unwrap();
        let more: Vec<u64> = (12..20).collect();
        let index = index.with(&part(12..20).unwrap(), &more).unwrap();
        assert_eq!((index.codes(), index.ids().len()), (&whole, 20));
        let left = index.clone().without(&[0, 19]).unwrap();
        assert_eq!((left.codes(), left.ids()[0]), (&part(1..19).unwrap(), 1));
        assert!(index.clone().without(&[20]).unwrap_err().to_string().contains("id 20 is not"));
        assert!(
            index.with(&part(0..1).unwrap(), &[3]).unwrap_err().to_string().contains("id 3 is given twice")
        );
        assert!(HammingIndex::new(whole, vec![1]).unwrap_err().to_string().contains("1 ids for 20 codes"));
    }
}
