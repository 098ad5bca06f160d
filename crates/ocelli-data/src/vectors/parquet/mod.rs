//! Parquet files of vectors, as embeddings are handed around.
//!
//! The vectors are a column of lists of floats (`list<float>`, `list<double>`, of half precision, of fixed size or not),
//! or all top-level columns of floats together, one a dimension. Ids are whole numbers or text. Every other column of
//! plain values is kept as metadata: whole numbers (booleans as 0 and 1, dates and times as the file counts them),
//! numbers, text. Columns of other kinds (lists of lists, structs, maps, decimals, bytes) are left out, unless they are
//! named, when they are refused; bytes that are named are read as text.
//!
//! | | read | refused by name |
//! |---|---|---|
//! | pages | V1, V2, dictionaries; checksums are held against the bytes | encrypted ones |
//! | encodings | `PLAIN`, `PLAIN_DICTIONARY`, `RLE_DICTIONARY`, `RLE` | `DELTA_…`, `BYTE_STREAM_SPLIT`, `BIT_PACKED` |
//! | compression | none, Snappy, gzip | zstd, LZ4, Brotli, LZO |
//!
//! Files are read and written a row group at a time: [`read`](super::read) and [`write()`] do it for a set in memory,
//! [`ParquetReader`] and [`ParquetWriter`] for what is larger.
//!
//! The reader is the project's own, because damaged files must end in an error and in bounded memory. What a file unpacks
//! to may be 1032 times its size, which is what deflate can do, and 64 MiB.
//!
//! The format: <https://parquet.apache.org/docs/file-format/>.

mod footer;
mod hybrid;
mod pages;
mod read;
mod schema;
mod thrift;
mod values;
mod write;

pub use read::ParquetReader;
pub(super) use read::{read_set, read_table};
pub use write::{ParquetWriter, write};
