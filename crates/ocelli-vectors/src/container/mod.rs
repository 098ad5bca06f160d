//! A file of named arrays that is opened in no time: what an index is kept in.
//!
//! A container holds *sections*: a name, an element type, a shape, and the elements, row-major, where a search can use
//! them as they lie. [`ContainerWriter`] writes them one after the other, [`Container::open`] maps the file and gives
//! typed views into it without a copy, [`Container::read`] does the same from memory, and [`Container::verify`] finds
//! damage. [`Column`] is a list that is either in memory or in a file.
//!
//! # The file
//!
//! All numbers are little-endian. Header, sections in the order of the table, and table lie one after the other, each at
//! the next multiple of 64 bytes; the bytes between are zero. The table ends the file. So there is one file for given
//! sections, and no byte of it that does not count.
//!
//! | header | bytes |
//! |---|---|
//! | mark: `89 4f 43 45 4c 4c 0d 0a` | 0 to 8 |
//! | byte order: `0x0a0b0c0d` as `u32` | 8 to 12 |
//! | format version: 1 as `u32` | 12 to 16 |
//! | kind of content, filled up with zeros | 16 to 32 |
//! | number of sections, `u32`, up to 4096 | 32 to 36 |
//! | bytes of an entry of the table: 128 as `u32` | 36 to 40 |
//! | where the table starts, `u64` | 40 to 48 |
//! | bytes of the file, `u64` | 48 to 56 |
//! | CRC-32 of the table | 56 to 60 |
//! | CRC-32 of bytes 0 to 60 | 60 to 64 |
//!
//! | entry of the table | bytes |
//! |---|---|
//! | name: 1 to 48 of `a-z 0-9 . _ -`, filled up with zeros; each once | 0 to 48 |
//! | element type, `u32`: the number in [`ElementType`] | 48 to 52 |
//! | number of dimensions, `u32`, up to 6 | 52 to 56 |
//! | dimensions, `u64` each, filled up with zeros | 56 to 104 |
//! | where the content starts, `u64` | 104 to 112 |
//! | bytes of the content, `u64`: dimensions multiplied, times the element's size | 112 to 120 |
//! | CRC-32 of the content | 120 to 124 |
//! | zero | 124 to 128 |
//!
//! The section `metadata`, when there is one, is JSON.

mod column;
mod element;
mod error;
mod format;
mod read;
mod write;

pub use column::Column;
pub use element::{Element, ElementType};
pub use error::{ContainerError, Fault};
pub use format::Section;
pub use read::Container;
pub use write::{ContainerWriter, RowWriter};

/// The name of the section with the metadata.
pub const METADATA: &str = "metadata";

/// Shorthand for results of containers.
pub type Result<T, E = ContainerError> = std::result::Result<T, E>;
