//! Vectors and features in files: rows of single precision, perhaps with ids and further columns.
//!
//! [`read`] and [`write()`] are the front door; the file's ending says the format.
//!
//! | ending | what | ids | metadata |
//! |---|---|---|---|
//! | `.fvecs` `.ivecs` `.bvecs` | [TEXMEX](crate::annotations::vecs) | – | – |
//! | `.npy` | [NumPy](crate::annotations::npy), `[N, D]` | – | – |
//! | `.npz` | [a zip of `.npy` files](npz) | yes | – |
//! | `.csv` `.tsv` `.txt` | [a vector a line](delimited) | yes | yes |
//! | `.h5` `.hdf5` | [HDF5](hdf5) | yes | – |
//! | `.parquet` | [Parquet](parquet) | yes | yes |
//!
//! Whatever the format, what comes out of [`read`] has been checked: at least one row, rows of one length, no value that
//! is NaN or infinite, an id for each row. Memory is bounded by the file's size: what a header promises is held against
//! the bytes that are there before any room is made for it.
//!
//! ```
//! use ocelli_data::vectors::{self, Ids, ReadOptions};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("words.csv");
//! std::fs::write(&path, "id,x,y\ncat,0.5,1\ndog,-2,0.25\n")?;
//! let set = vectors::read(&path, &ReadOptions::default())?;
//! assert_eq!((set.len(), set.row(1)), (2, &[-2.0, 0.25][..]));
//! assert_eq!(set.ids, Some(Ids::Names(vec!["cat".into(), "dog".into()])));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod ann_benchmark;
pub mod delimited;
mod front;
pub mod hdf5;
mod ids;
pub mod npz;
pub mod parquet;
mod pieces;
mod set;
mod table;

pub use front::{ColumnRef, ReadOptions, read, write};
pub use ids::{Ids, read_ids};
pub use pieces::Pieces;
pub use set::{Column, Values, VectorSet};
pub use table::{Table, read_table};
