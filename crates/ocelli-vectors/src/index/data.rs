//! Buffers of an index, and sets of rows.

use std::ops::Deref;

/// Numbers that an index owns.
#[derive(Clone, Debug)]
pub(super) struct Data<T>(Vec<T>);

impl<T> Deref for Data<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> From<Vec<T>> for Data<T> {
    fn from(values: Vec<T>) -> Self {
        Self(values)
    }
}

/// The ids of rows, in 32 bits where they fit.
#[derive(Clone, Debug)]
pub(super) enum Ids {
    Small(Data<u32>),
    Large(Data<u64>),
}

impl Ids {
    pub(super) fn new(ids: Vec<u64>) -> Self {
        let small: Result<Vec<u32>, _> = ids.iter().map(|&id| u32::try_from(id)).collect();
        small.map_or_else(|_| Self::Large(ids.into()), |small| Self::Small(small.into()))
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
}
