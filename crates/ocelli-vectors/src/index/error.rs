//! What can be wrong when an index is built, searched or changed.

use thiserror::Error;

/// Why an index refuses.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IndexError {
    /// NaN or an infinity.
    #[error("{what}: row {row}, element {element} is {value}; only finite numbers can be searched")]
    NotFinite {
        /// Which vectors.
        what: &'static str,
        /// Row, from 0.
        row: usize,
        /// Element of the row, from 0.
        element: usize,
        /// What stands there.
        value: f32,
    },
    /// Vectors of another length than the index's.
    #[error("{what} have {found} elements a vector, the index has {wanted}")]
    Dimension {
        /// Which vectors.
        what: &'static str,
        /// Their length.
        found: usize,
        /// The index's.
        wanted: usize,
    },
    /// A buffer that holds no whole number of vectors.
    #[error("{what}: {found} numbers are no whole number of vectors of {dim}")]
    Ragged {
        /// Which vectors.
        what: &'static str,
        /// Numbers in the buffer.
        found: usize,
        /// Length of a vector.
        dim: usize,
    },
    /// Nothing to index.
    #[error("{0}: no vectors")]
    Empty(&'static str),
    /// An id that belongs to two vectors.
    #[error("id {id} is given twice: for rows {first} and {second}")]
    DuplicateId {
        /// The id.
        id: u64,
        /// Row that has it first, from 0.
        first: usize,
        /// Row that has it again.
        second: usize,
    },
    /// An id that the index holds already.
    #[error("id {0} is in the index already; delete it first")]
    KnownId(u64),
    /// An id that the index does not hold.
    #[error("id {0} is not in the index")]
    UnknownId(u64),
    /// A setting outside its range.
    #[error("{key} = {value}: {wanted}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        wanted: String,
    },
    /// A value that 16-bit storage cannot hold.
    #[error(
        "row {row}, element {element} is {value}: half precision ends at 65504; store single precision instead"
    )]
    TooLargeForHalf {
        /// Row, from 0.
        row: usize,
        /// Element, from 0.
        element: usize,
        /// What stands there.
        value: f32,
    },
    /// A vector whose squared length single precision cannot hold.
    #[error(
        "{what}: row {row} is longer than 1.8e19, and its square more than single precision holds; scale all vectors down"
    )]
    TooLong {
        /// The input.
        what: &'static str,
        /// Row, from 0.
        row: usize,
    },
    /// More vectors than positions.
    #[error("{0} vectors do not fit one index of at most {max}; write shards", max = u32::MAX)]
    TooMany(usize),
    /// Training or weighing refused.
    #[error(transparent)]
    Quantization(#[from] crate::score_aware_quantization::QuantizationError),
}

impl IndexError {
    pub(crate) fn setting(key: &'static str, value: impl ToString, wanted: impl Into<String>) -> Self {
        Self::Setting { key, value: value.to_string(), wanted: wanted.into() }
    }
}
