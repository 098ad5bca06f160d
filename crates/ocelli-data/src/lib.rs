//! Files, formats and loaders: pictures and annotations in, batches out.
//!
//! A picture's way: a file is decoded ([`image`]), found through a folder or a list ([`annotations`]), prepared and kept
//! by a [`Dataset`] ([`dataset`]), put in order by a sampler ([`sample`]), fetched and changed by worker threads
//! ([`loader`], [`augment`]) and stacked into a `[B, 3, H, W]` batch ([`augment::Normalise`]). Faces are aligned by
//! [`align`].
//!
//! Two rules hold everywhere. Bad input is an error that names the file and, where there is one, the line; never a
//! panic. And what comes out depends on the files, the settings and the seed alone, never on time or threads.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ocelli_data::augment::{Augment, Normalise};
//! use ocelli_data::dataset::{Augmented, MemoryDataset};
//! use ocelli_data::image::RgbImage;
//! use ocelli_data::loader::{Loader, LoaderOptions};
//! use ocelli_data::sample::{RandomSampler, Sampler};
//!
//! let pictures = (0..10).map(|i| RgbImage::from_pixel(8, 8, [i, i, i].into())).collect();
//! let dataset = MemoryDataset::new(pictures, (0..10).map(|i| i % 2).collect())?;
//! let dataset = Augmented::new(dataset, Augment { flip: 0.5, ..Augment::default() })?;
//! let loader = Loader::new(Arc::new(dataset), LoaderOptions { batch_size: 4, seed: 1, ..LoaderOptions::default() })?;
//! let order = RandomSampler::new(10, 1).order(0);
//! for batch in loader.epoch(order, 0)? {
//!     let batch = batch?;
//!     let pixels = Normalise::UNIT.batch(batch.items.iter().map(|sample| &sample.picture))?;
//!     assert_eq!(pixels.shape[1..], [3, 8, 8]);
//! }
//! # Ok::<(), ocelli_data::DataError>(())
//! ```

pub mod align;
pub mod annotations;
pub mod augment;
pub mod dataset;
mod error;
pub mod image;
pub mod loader;
pub mod sample;
pub mod vectors;

pub use dataset::Dataset;
pub use error::DataError;
