//! Searches among some vectors only.

use super::Index;
use super::data::RowSet;
use super::error::IndexError;

/// Which vectors may be found.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Rows of each segment.
    pub(super) allowed: Vec<RowSet>,
}

impl Index {
    /// Only these ids may be found.
    ///
    /// # Errors
    /// [`IndexError::UnknownId`].
    pub fn only(&self, ids: &[u64]) -> Result<Filter, IndexError> {
        let places = self.places();
        let mut allowed = vec![RowSet::default(); self.segments.len()];
        for id in ids {
            let &(segment, row) = places.get(id).ok_or(IndexError::UnknownId(*id))?;
            allowed[segment].insert(row);
        }
        Ok(Filter { allowed })
    }

    /// All but these ids may be found; unknown ids change nothing.
    pub fn without(&self, ids: &[u64]) -> Filter {
        let refused: std::collections::HashSet<u64> = ids.iter().copied().collect();
        let allowed = |segment: &super::segment::Segment| {
            let rows = 0..segment.ids.count() as u32;
            rows.filter(|row| {
                !segment.deleted.contains(*row) && !refused.contains(&segment.ids.get(*row as usize))
            })
            .collect()
        };
        Filter { allowed: self.segments.iter().map(allowed).collect() }
    }
}

impl Filter {
    /// Number of vectors that may be found.
    pub fn count(&self) -> usize {
        self.allowed.iter().map(RowSet::count).sum()
    }
}
