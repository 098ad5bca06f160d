//! Adding, deleting, bringing segments together.

use std::collections::HashMap;

use super::build::{check_ids, normalized};
use super::data::{Ids, RowSet};
use super::error::IndexError;
use super::rows::{Rows, Stored};
use super::segment::{Segment, Shared};
use super::{Index, Similarity};
use crate::container::Column;
use crate::kernels::lut::UNIT;

impl Index {
    /// Adds vectors with their ids; centres and codewords stay as they were trained. Each call adds a segment that
    /// searches go through besides the others, until [`Index::compact`].
    ///
    /// # Errors
    /// [`IndexError`] for vectors of another length, ids given twice or known already. Nothing is then added.
    pub fn add(&mut self, rows: Rows<'_>, ids: &[u64]) -> Result<(), IndexError> {
        if rows.dim() != self.dim() {
            let (what, found, wanted) = ("the vectors to add", rows.dim(), self.dim());
            return Err(IndexError::Dimension { what, found, wanted });
        }
        if rows.count() == 0 {
            return Err(IndexError::Empty("the vectors to add"));
        }
        check_ids(ids, rows.count())?;
        let known = self.places();
        if let Some(id) = ids.iter().find(|id| known.contains_key(id)) {
            return Err(IndexError::KnownId(*id));
        }
        let base: usize = self.segments.iter().map(Segment::positions).sum();
        if base + 2 * rows.count() > u32::MAX as usize {
            return Err(IndexError::TooMany(self.count() + rows.count()));
        }
        let unit;
        let rows = if self.shared.similarity == Similarity::Cosine {
            unit = normalized(rows);
            Rows::new("the vectors to add", &unit, rows.dim())?
        } else {
            rows.of_moderate_length("the vectors to add")?
        };
        let segment = self.shared.segment(rows, ids, base as u32)?;
        self.segments.push(segment);
        Ok(())
    }

    /// Deletes vectors: searches no longer find them; their room is freed by [`Index::compact`].
    ///
    /// # Errors
    /// [`IndexError::UnknownId`]; nothing is then deleted.
    pub fn delete(&mut self, ids: &[u64]) -> Result<(), IndexError> {
        let places = self.places();
        let found = ids.iter().map(|id| places.get(id).copied().ok_or(IndexError::UnknownId(*id)));
        for (segment, row) in found.collect::<Result<Vec<_>, _>>()? {
            self.segments[segment].deleted.insert(row);
        }
        self.forget(ids)
    }

    /// Segment and row of each vector that is not deleted, by id.
    pub(super) fn places(&self) -> HashMap<u64, (usize, u32)> {
        let mut places = HashMap::with_capacity(self.count());
        for (number, segment) in self.segments.iter().enumerate() {
            let alive = (0..segment.ids.count() as u32).filter(|row| !segment.deleted.contains(*row));
            places.extend(alive.map(|row| (segment.ids.get(row as usize), (number, row))));
        }
        places
    }

    /// Number of segments, and of deleted vectors that still take room.
    pub fn fragments(&self) -> (usize, usize) {
        (self.segments.len(), self.segments.iter().map(|segment| segment.deleted.count()).sum())
    }

    /// Brings all segments together and drops what is deleted; results stay the same.
    pub fn compact(&mut self) {
        self.segments = vec![merged(&self.shared, &self.segments)];
    }
}

/// One segment of all that is alive: codes are moved, not made again.
fn merged(shared: &Shared, segments: &[Segment]) -> Segment {
    let layout = shared.books.layout();
    let mut numbers: HashMap<(u32, u32), u32> = HashMap::new();
    let mut order: Vec<(u32, u32)> = Vec::new();
    let (mut members, mut bias) = (Vec::new(), Vec::new());
    let (mut packed, mut firsts, mut units) = (Vec::new(), vec![0u32], vec![0u32]);
    let mut codes = vec![0u8; shared.books.blocks()];
    for partition in 0..shared.centers.count() {
        let start = members.len();
        let begun = packed.len();
        for (number, segment) in segments.iter().enumerate() {
            let points = segment.points(shared, partition);
            for point in 0..points.count {
                let row = segment.row_at(points.first - segment.base + point as u32);
                if segment.deleted.contains(row) {
                    continue;
                }
                let new = *numbers.entry((number as u32, row)).or_insert_with(|| {
                    order.push((number as u32, row));
                    order.len() as u32 - 1
                });
                let place = members.len() - start;
                if place.is_multiple_of(UNIT) {
                    packed.resize(packed.len() + layout.unit_bytes(), 0);
                }
                layout.get(points.codes, point, &mut codes);
                layout.put(&mut packed[begun..], place, &codes);
                members.push(new);
                bias.extend(points.bias.map(|bias| bias[point]));
            }
        }
        firsts.push(members.len() as u32);
        units.push((packed.len() / layout.unit_bytes()) as u32);
    }
    let stored: Vec<&Stored> = segments.iter().map(|segment| &segment.rows).collect();
    let halves: Option<Vec<f32>> = order
        .iter()
        .map(|&(number, row)| segments[number as usize].halves.as_ref().map(|halves| halves[row as usize]))
        .collect();
    let halves = halves.filter(|_| segments.iter().all(|segment| segment.halves.is_some()));
    let ids = order.iter().map(|&(number, row)| segments[number as usize].ids.get(row as usize)).collect();
    let spilled = segments.iter().any(|segment| segment.members.is_some());
    let own_bias = segments.iter().any(|segment| segment.bias.is_some());
    Segment {
        codes: packed.into(),
        firsts: firsts.into(),
        units: units.into(),
        rows: Stored::gathered(&stored, shared.centers.dim, &order),
        bias: (own_bias && bias.len() == members.len()).then(|| Column::from(bias)),
        halves: halves.map(Column::from),
        members: spilled.then(|| Column::from(members)),
        ids: Ids::new(ids),
        deleted: RowSet::default(),
        base: 0,
    }
}
