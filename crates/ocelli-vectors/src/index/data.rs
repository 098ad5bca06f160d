//! The ids of rows, and sets of rows.

use std::sync::Arc;

use crate::container::{Column, Container, ContainerWriter};

type Result<T> = std::result::Result<T, crate::container::ContainerError>;

/// The ids of rows, in 32 bits where they fit.
#[derive(Clone, Debug)]
pub(super) enum Ids {
    Small(Column<u32>),
    Large(Column<u64>),
}

impl Ids {
    pub(super) fn new(ids: Vec<u64>) -> Self {
        let small: std::result::Result<Vec<u32>, _> = ids.iter().map(|&id| u32::try_from(id)).collect();
        small.map_or_else(|_| Self::Large(ids.into()), |small| Self::Small(small.into()))
    }

    pub(super) fn open(container: &Arc<Container>, name: &str) -> Result<Self> {
        match Column::open(container, name) {
            Ok(small) => Ok(Self::Small(small)),
            Err(_) => Column::open(container, name).map(Self::Large),
        }
    }

    pub(super) fn save(&self, writer: &mut ContainerWriter, name: &str) -> Result<()> {
        match self {
            Self::Small(ids) => writer.section(name, &[ids.len()], ids),
            Self::Large(ids) => writer.section(name, &[ids.len()], ids),
        }
    }

    pub(super) fn get(&self, row: usize) -> u64 {
        match self {
            Self::Small(ids) => u64::from(ids[row]),
            Self::Large(ids) => ids[row],
        }
    }

    pub(super) fn count(&self) -> usize {
        match self {
            Self::Small(ids) => ids.len(),
            Self::Large(ids) => ids.len(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Small(ids) => 4 * ids.len(),
            Self::Large(ids) => 8 * ids.len(),
        }
    }
}

/// A set of row numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RowSet {
    words: Vec<u64>,
    count: usize,
}

impl RowSet {
    pub(super) fn contains(&self, row: u32) -> bool {
        self.words.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Whether the row is new.
    pub(super) fn insert(&mut self, row: u32) -> bool {
        let at = row as usize / 64;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        let new = !self.contains(row);
        self.words[at] |= 1 << (row % 64);
        self.count += usize::from(new);
        new
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The rows, rising.
    pub(super) fn rows(&self) -> impl Iterator<Item = u32> {
        let word = |(at, &word): (usize, &u64)| {
            (0..64u32).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at as u32 * 64 + bit)
        };
        self.words.iter().enumerate().flat_map(word)
    }
}

impl FromIterator<u32> for RowSet {
    fn from_iter<I: IntoIterator<Item = u32>>(rows: I) -> Self {
        let mut set = Self::default();
        rows.into_iter().for_each(|row| {
            set.insert(row);
        });
        set
    }
}
