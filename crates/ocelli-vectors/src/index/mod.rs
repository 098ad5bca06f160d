//! Search in large sets of vectors: partitions, 4-bit score-aware codes or a byte an element, exact reordering.
//!
//! A vector belongs to the partition whose centre is nearest. What is left of it after the centre is cut into blocks of a
//! few elements, each replaced by one of 16 codewords, chosen so that the inner products that are large survive
//! ([`crate::score_aware_quantization`]). A query looks into the partitions with the best centres, scores their codes by
//! table lookup, and computes the best of these exactly.

mod books;
mod build;
mod candidates;
mod change;
mod contents;
mod data;
mod error;
mod exact;
mod file;
mod filter;
mod grid;
mod import;
mod import_choice;
mod import_table;
mod joint;
mod metadata;
mod partition;
mod rows;
mod search;
mod segment;
mod tune;

use segment::{Segment, Shared};

pub use build::{BuildConfig, Codes, Spill, Trained, Training};
pub use contents::VectorCodes;
pub use error::IndexError;
pub use exact::exact;
pub use file::{KIND, OpenError};
pub use filter::Filter;
pub use metadata::{Metadata, MetadataColumn, MetadataValue, MetadataValues};
pub use rows::{Rows, Storage};
pub use search::{Hits, SearchParams};
pub use tune::{Costs, Goal, Tuned, TuningSet};

/// What is large for vectors that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Similarity {
    /// `<q, x>`.
    InnerProduct,
    /// `<q, x> / (|q| |x|)`; zero vectors have 0 with all.
    Cosine,
    /// `|q - x|^2`, the smallest first.
    SquaredL2,
}

/// A searchable set of vectors.
#[derive(Clone, Debug)]
pub struct Index {
    shared: Shared,
    segments: Vec<Segment>,
    defaults: Option<SearchParams>,
    metadata: Option<Metadata>,
}

impl Index {
    /// Length of a vector.
    pub fn dim(&self) -> usize {
        self.shared.centers.dim
    }

    /// Number of vectors, deleted ones not counted.
    pub fn count(&self) -> usize {
        self.segments.iter().map(Segment::alive).sum()
    }

    /// Number of partitions.
    pub fn partitions(&self) -> usize {
        self.shared.centers.count()
    }

    /// Bytes of codes, of the vectors kept for exact scores, and of all else.
    pub fn bytes(&self) -> [usize; 3] {
        let sum = |of: fn(&Segment) -> usize| self.segments.iter().map(of).sum::<usize>();
        // Centres lie in memory three times: for products with many queries, with one, and in eight bits.
        let shared = 9 * self.shared.centers.data.len()
            + 64 * self.shared.books.words.len()
            + 1024 * self.shared.books.byte_words.len()
            + self.shared.books.grid.as_ref().map_or(0, |grid| 12 * grid.steps.len());
        [
            sum(|segment| segment.codes.len()),
            sum(|segment| segment.rows.bytes()),
            shared + sum(Segment::other_bytes),
        ]
    }

    /// What codes are: `pq4` and `sq8` as [`Codes`] has them, `pq8` in an index taken over whose blocks have up to 256
    /// codewords.
    pub fn coding(&self) -> &'static str {
        match (&self.shared.books.grid, self.shared.books.byte_words.is_empty()) {
            (Some(_), _) => "sq8",
            (None, true) => "pq4",
            (None, false) => "pq8",
        }
    }

    /// The partition and the id of the vector at a position.
    fn place_at(&self, position: u32) -> (usize, u64) {
        let number = self.segments.partition_point(|segment| segment.base <= position);
        self.segments[..number].last().map_or((usize::MAX, u64::MAX), |segment| {
            let position = position - segment.base;
            let partition = segment.firsts.partition_point(|first| *first <= position);
            (partition, segment.ids.get(segment.row_at(position) as usize))
        })
    }

    /// How vectors are kept for exact scores.
    pub fn storage(&self) -> Storage {
        self.shared.storage
    }

    /// What scores mean.
    pub fn similarity(&self) -> Similarity {
        self.shared.similarity
    }
}
