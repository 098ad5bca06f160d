//! What can be wrong with the input of an evaluator.

use thiserror::Error;

/// What can be wrong with the input of an evaluator: what, where, and what is wanted instead.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum MetricError {
    /// Two inputs that belong together differ in length.
    #[error("{name} has {found} entries, {partner} has {wanted}; give one for each")]
    Length {
        /// The input at fault.
        name: &'static str,
        /// Its length.
        found: usize,
        /// The input it must match.
        partner: &'static str,
        /// The length of that.
        wanted: usize,
    },
    /// The values of a matrix do not fill its shape.
    #[error("{name}: {found} values do not fill {rows} rows of {columns}")]
    Shape {
        /// The matrix.
        name: &'static str,
        /// Number of values given.
        found: usize,
        /// Claimed number of rows.
        rows: usize,
        /// Claimed number of columns.
        columns: usize,
    },
    /// Two matrices of embeddings have different widths, or a width is not what the protocol needs.
    #[error("{name} has {found} columns; wanted {wanted}")]
    Columns {
        /// The matrix.
        name: &'static str,
        /// Its number of columns.
        found: usize,
        /// What is wanted, in words.
        wanted: String,
    },
    /// An infinite value or NaN.
    #[error("{name}[{index}] is {value}; only finite numbers can be ranked")]
    NotFinite {
        /// The input.
        name: &'static str,
        /// Position in the flattened input.
        index: usize,
        /// The value.
        value: f64,
    },
    /// Nothing to evaluate.
    #[error("{name} is empty; give at least {wanted}")]
    Empty {
        /// The input.
        name: &'static str,
        /// The least number of entries.
        wanted: usize,
    },
    /// A class that the protocol needs has no members.
    #[error("no {class} among {within}; the protocol needs some")]
    MissingClass {
        /// The class that is missing, in the plural.
        class: &'static str,
        /// Where it was looked for.
        within: String,
    },
    /// A vector of length zero has no direction.
    #[error("row {row} of {name} has length zero, so its cosine is undefined")]
    ZeroNorm {
        /// The matrix.
        name: &'static str,
        /// The row.
        row: usize,
    },
    /// A setting outside its range.
    #[error("{name} = {value} is not allowed; wanted {wanted}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wanted, in words.
        wanted: String,
    },
    /// A name that no variant bears.
    #[error("unknown {kind} `{name}`; known: {known}")]
    UnknownName {
        /// What was to be named.
        kind: &'static str,
        /// The name given.
        name: String,
        /// All names, separated by commas.
        known: String,
    },
    /// A pair names a template without pictures.
    #[error("pair {pair} names template {template}, which has no picture")]
    UnknownTemplate {
        /// Index of the pair.
        pair: usize,
        /// The template's id.
        template: i64,
    },
    /// A text is said to belong to an item that is not there.
    #[error("text {text} belongs to item {item}, but there are {items}, counted from 0")]
    UnknownItem {
        /// Index of the text.
        text: usize,
        /// The item it names.
        item: usize,
        /// Number of items.
        items: usize,
    },
    /// A probe has more than one mate in a protocol that allows one.
    #[error("probe {probe} has {found} mates in the gallery; this protocol allows one at most")]
    SeveralMates {
        /// Index of the probe.
        probe: usize,
        /// Number of mates.
        found: usize,
    },
    /// Something that may be there once is there twice.
    #[error("{what} {id} is there twice; each may be evaluated once")]
    Repeated {
        /// What it is.
        what: &'static str,
        /// Its number.
        id: i64,
    },
}
