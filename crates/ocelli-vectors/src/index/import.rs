//! Indexes of the published package, searched as they are.
//!
//! Results are the package's own, number by number, where the order of scores says so. Three things decide where it does
//! not, all kept: which of equal scores comes first, and that a vector found in both of its partitions counts with the mean
//! of both scores ([`Package`]); and, for distances, what limits the search of one partition sets for the next
//! ([`super::import_choice`]), which takes tables with the package's rounding ([`super::import_table`]). For distances
//! between vectors in eight bits it keeps their lengths from before they were rounded, and so do we.
//!
//! For distances the answers are those of its search for many queries at once, which goes through partitions by number. For
//! one query, or so few that they look into fewer partitions than there are, it goes through them by distance, and takes
//! others of equal scores.

use super::books::Books;
use super::build::BuildConfig;
use super::data::{Ids, RowSet};
use super::error::IndexError;
use super::partition::Centers;
use super::rows::{Rows, Storage, Stored};
use super::segment::{Codes, Placed, Scoring, Segment, Shared, halves};
use super::{Index, SearchParams, Similarity, Spill};
use crate::container::Column;
use crate::kernels::lut::WORDS;
use crate::scann::{Distance, Product, ScannIndex, Settings};
use crate::score_aware_quantization::Eta;

/// How the published package chooses its candidates. It matters where scores are equal, as sums of small whole numbers
/// often are, and where vectors have two partitions.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Package {
    /// Candidates taken for each that is wanted, where vectors have two partitions. A vector that is among them twice
    /// then counts with the mean of its two scores, and the best of those are as many as wanted.
    overretrieve: f64,
    /// Whether equal scores go by id; else by partition, and in a partition by id.
    pub(super) by_id: bool,
}

impl Package {
    fn of(settings: &Settings) -> Self {
        // Codes of 16 codewords, of residuals, are looked through by one search over all partitions, whose numbers of
        // vectors begin with that of the partition. Otherwise each partition is searched by itself.
        let at_once =
            settings.codes.is_some_and(|codes| codes.residual && codes.integer && codes.words <= WORDS);
        let overretrieve = settings.tree.map_or(1.0, |tree| tree.overretrieve);
        Self { overretrieve, by_id: settings.tree.is_some() && !at_once }
    }

    /// Whether numbers that were read from a file can be meant.
    pub(super) fn is_sound(&self) -> bool {
        (1.0..=2.0).contains(&self.overretrieve)
    }

    /// Candidates that are taken for so many that are wanted, where vectors have two partitions.
    pub(super) fn taken(&self, wanted: usize) -> usize {
        (wanted as f64 * self.overretrieve) as usize
    }
}

impl Index {
    /// Whether candidates are chosen partition by partition, as [`super::import_choice`] says. After changes they are not.
    pub(super) fn searched_one_by_one(&self) -> bool {
        let shared = &self.shared;
        shared.package.is_some_and(|package| package.by_id)
            && shared.scoring == Scoring::Distances
            && !shared.books.words.is_empty()
            && matches!(self.segments.as_slice(), [own] if own.members.is_none() && own.deleted.count() == 0)
    }

    /// Takes over centres, codewords and codes of a read folder, so that searches give what the package's give; ids are
    /// row numbers. The setting of its searcher becomes the default one.
    ///
    /// # Errors
    /// [`IndexError::Setting`] for neither codes nor vectors.
    pub fn from_scann(scann: &ScannIndex) -> Result<Self, IndexError> {
        let settings = &scann.settings;
        let neighbors = settings.neighbors.min(scann.count.max(1));
        let similarity = match settings.distance {
            Distance::DotProduct => Similarity::InnerProduct,
            Distance::SquaredL2 => Similarity::SquaredL2,
        };
        let Some(product) = &scann.product else {
            return compared_exactly(scann, similarity, neighbors);
        };
        // Without an exact step vectors play no part, though they may be there.
        let rows = scann.rows.as_deref().filter(|_| settings.reorder.is_some());
        let rows = rows.map(|rows| Rows::new("the vectors", rows, scann.dim)).transpose()?;
        let tree = scann.partitions.as_ref();
        let second = tree.and_then(|tree| tree.second.as_ref());
        let shared = Shared {
            similarity,
            scoring: match (settings.distance, settings.codes.is_some_and(|codes| codes.residual)) {
                (Distance::SquaredL2, _) => Scoring::Distances,
                (Distance::DotProduct, true) => Scoring::Residual,
                (Distance::DotProduct, false) => Scoring::Whole,
            },
            length: None,
            centers: match tree {
                Some(_) => Centers::new(
                    scann.searched_centres().into_iter().map(|value| value as f32).collect(),
                    scann.dim,
                ),
                None => Centers::new(vec![0.0; scann.dim], scann.dim),
            },
            books: books(product, settings.cuts_tables()),
            eta: settings.codes.and_then(|codes| codes.threshold).map_or(Eta::Nearest, Eta::Limit),
            spill: second.map(|_| Spill::default()),
            storage: if rows.is_some() { Storage::F32 } else { Storage::None },
            rough: false,
            package: Some(Package::of(settings)),
        };
        let first = tree.map_or_else(|| vec![0; scann.count], |tree| tree.tokens.clone());
        let placed = Placed::new(&first, second.map(|second| second.tokens.as_slice()));
        let blocks = product.books.len();
        let codes = shared.packed(&placed, || {
            |original: usize, partition: u32, codes: &mut [u8]| {
                let of = match second {
                    Some(second) if first[original] != partition => &second.codes,
                    _ => &product.codes,
                };
                codes.copy_from_slice(&of[original * blocks..(original + 1) * blocks]);
                Ok(())
            }
        })?;
        let segment = segment(&shared, codes, placed, rows, scann.squares.as_deref())?;
        let defaults = SearchParams {
            k: neighbors,
            leaves: settings.tree.map_or(1, |tree| tree.leaves),
            reorder: settings.reorder.unwrap_or(neighbors),
        };
        Ok(Self { shared, segments: vec![segment], defaults: Some(defaults), metadata: None })
    }
}

fn segment(
    shared: &Shared,
    codes: Codes,
    placed: Placed,
    rows: Option<Rows<'_>>,
    squares: Option<&[f32]>,
) -> Result<Segment, IndexError> {
    let stored = match rows {
        Some(rows) => {
            let in_order = placed.order.iter().map(|&row| (row as usize, rows.row(row as usize)));
            Stored::new(shared.storage, rows.dim(), in_order)?
        }
        None => Stored::None,
    };
    let halves_of = |rows| match squares {
        Some(squares) => placed.order.iter().map(|&row| -0.5 * squares[row as usize]).collect(),
        None => halves(rows, &placed.order, &stored),
    };
    let halves =
        rows.filter(|_| shared.similarity == Similarity::SquaredL2).map(|rows| halves_of(rows).into());
    Ok(Segment {
        codes: codes.packed.into(),
        firsts: codes.firsts.into(),
        units: codes.units.into(),
        members: placed.members().map(Column::from),
        halves,
        bias: None,
        rows: stored,
        ids: Ids::new(placed.order.iter().map(|&row| u64::from(row)).collect()),
        deleted: RowSet::default(),
        base: 0,
    })
}

/// Without codes every vector is a candidate.
fn compared_exactly(scann: &ScannIndex, similarity: Similarity, k: usize) -> Result<Index, IndexError> {
    let Some(rows) = &scann.rows else {
        return Err(IndexError::setting("the index", "empty", "codes or vectors"));
    };
    let rows = Rows::new("the vectors", rows, scann.dim)?;
    let config = BuildConfig { similarity, partitions: Some(1), eta: Eta::Nearest, ..BuildConfig::default() };
    let mut index = Index::build(rows, None, &config)?;
    if let (Some(squares), [segment]) = (&scann.squares, index.segments.as_mut_slice()) {
        let rows = 0..segment.ids.count();
        let halves: Vec<f32> = rows.map(|row| -0.5 * squares[segment.ids.get(row) as usize]).collect();
        segment.halves = Some(halves.into());
    }
    index.set_defaults(SearchParams { k, leaves: 1, reorder: rows.count() });
    Ok(index)
}

/// Codewords element by element. Above 16 in any block, all have codes of eight bits.
fn books(product: &Product, cut: bool) -> Books {
    let number = |(length, values): &(usize, Vec<f32>)| values.len() / length;
    let mut books = Books { ends: Vec::new(), words: Vec::new(), byte_words: Vec::new(), cut, grid: None };
    let bytes = product.books.iter().any(|block| number(block) > WORDS);
    let mut end = 0;
    for block @ (length, values) in &product.books {
        let count = number(block);
        let value = |d: usize, k: usize| values[if k < count { k } else { 0 } * length + d];
        match bytes {
            true => books.byte_words.extend((0..*length).map(|d| std::array::from_fn(|k| value(d, k)))),
            false => books.words.extend((0..*length).map(|d| std::array::from_fn(|k| value(d, k)))),
        }
        end += length;
        books.ends.push(end);
    }
    books
}
