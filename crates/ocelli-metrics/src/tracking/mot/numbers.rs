//! Numbers from 0 for ids.

/// The ranks of ids by size.
#[derive(Debug)]
pub(super) enum Numbers {
    /// Ids that lie close: the rank of each from the lowest id on.
    Table { lowest: i64, ranks: Vec<u32>, len: usize },
    /// Others: all of them, rising.
    Sorted(Vec<i64>),
}

/// A table has up to this many places for each id given, repetitions included.
const ROOM: usize = 16;

impl Numbers {
    pub(super) fn new(ids: impl Iterator<Item = i64> + Clone) -> Self {
        let (mut count, mut lowest, mut highest) = (0, i64::MAX, i64::MIN);
        for id in ids.clone() {
            (count, lowest, highest) = (count + 1, lowest.min(id), highest.max(id));
        }
        let span = highest.checked_sub(lowest).and_then(|span| usize::try_from(span).ok());
        match span.filter(|span| *span < ROOM * count && count < u32::MAX as usize) {
            Some(span) => Self::table(ids, lowest, span + 1),
            None => {
                let mut sorted: Vec<i64> = ids.collect();
                sorted.sort_unstable();
                sorted.dedup();
                Self::Sorted(sorted)
            }
        }
    }

    fn table(ids: impl Iterator<Item = i64>, lowest: i64, places: usize) -> Self {
        let mut ranks = vec![0u32; places];
        ids.for_each(|id| ranks[(id - lowest) as usize] = 1);
        let mut len = 0;
        for rank in &mut ranks {
            let is_one = *rank;
            *rank = len;
            len += is_one;
        }
        Self::Table { lowest, ranks, len: len as usize }
    }

    /// How many different ids there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Table { len, .. } => *len,
            Self::Sorted(ids) => ids.len(),
        }
    }

    /// The rank of one of the ids.
    pub(super) fn of(&self, id: i64) -> usize {
        match self {
            Self::Table { lowest, ranks, .. } => ranks[(id - lowest) as usize] as usize,
            Self::Sorted(ids) => ids.partition_point(|known| *known < id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_are_numbered_by_size(near in prop::collection::vec(-40i64..40, 0..30),
                                    far in prop::collection::vec(any::<i64>(), 0..4)) {
            for ids in [near.clone(), [near, far].concat()] {
                let mut sorted = ids.clone();
                sorted.sort_unstable();
                sorted.dedup();
                let numbers = Numbers::new(ids.iter().copied());
                prop_assert_eq!(numbers.len(), sorted.len());
                for (rank, id) in sorted.into_iter().enumerate() {
                    prop_assert_eq!(numbers.of(id), rank);
                }
            }
        }
    }

    #[test]
    fn both_ways_are_taken() {
        assert!(matches!(Numbers::new([5, 7, 5].into_iter()), Numbers::Table { len: 2, .. }));
        assert!(matches!(Numbers::new([i64::MIN, i64::MAX].into_iter()), Numbers::Sorted(_)));
        assert_eq!(Numbers::new([].into_iter()).len(), 0);
    }
}
