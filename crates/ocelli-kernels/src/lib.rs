//! Fast CPU kernels for convolutional networks, as an extension of the Burn tensor framework.
//!
//! Burn runs the same program on any device; on the CPU its layers are written for clarity of the backend, and a training
//! step of a small network spends most of its time in copies around the arithmetic. The functions here take the place of
//! a few of Burn's, with the same meaning, and their gradients:
//!
//! | here | in Burn |
//! |---|---|
//! | [`conv2d`] | `module::conv2d` |
//! | [`batch_norm`] | `module::batch_norm_train` |
//! | [`batch_norm_with`] | the same and `activation::relu`, with or without a sum before it |
//! | [`batch_norm_by`] | `module::batch_norm` |
//! | [`add_relu`] | a sum and `activation::relu` |
//! | [`prelu`] | `activation::prelu` |
//! | [`max_pool`], [`adaptive_max_pool`] | `module::max_pool1d`, `2d` |
//! | [`avg_pool`], [`adaptive_avg_pool`] | `module::avg_pool1d`, `2d`, `adaptive_avg_pool1d`, `2d`, `3d` |
//! | [`resize`] | `module::interpolate` |
//! | [`grid_sample`] | `Tensor::grid_sample_2d` |
//! | [`update`] | sums and products, parameter by parameter |
//! | [`subsample`] | `module::max_pool2d` with a kernel of one |
//! | [`attention`] | `matmul`, `activation::softmax`, `matmul` |
//! | [`sparse_product`] | a product with a dense matrix |
//!
//! They serve 32-bit tensors on the CPU backend and hand everything else to Burn. Their results do not depend on the
//! number of threads.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use ocelli_kernels::{ConvOptions, conv2d};
//!
//! let device = Device::flex().autodiff();
//! let pictures = Tensor::<4>::ones([2, 3, 8, 8], &device);
//! let filters = Tensor::<4>::ones([5, 3, 3, 3], &device).require_grad();
//! let options = ConvOptions { stride: [2, 2], padding: [1, 1], ..ConvOptions::default() };
//! let output = conv2d(pictures, filters.clone(), None, options);
//! assert_eq!(output.dims(), [2, 5, 4, 4]);
//! let gradients = output.sum().backward();
//! assert_eq!(filters.grad(&gradients).map(|gradient| gradient.dims()), Some([5, 3, 3, 3]));
//! ```
//!
//! # How a convolution runs
//!
//! `conv::plan` reduces it to unit strides: padding becomes zeros and every residue modulo the stride a plane of its own
//! in a *slab* of pixels (`conv::slab`); the input gradient becomes such correlations of the output gradient.
//! `conv::correlate` cuts the results into tiles for the threads, takes the pixels that the filters meet from the slab,
//! either where they lie or gathered side by side (`conv::gather`), and multiplies them with the filters in register
//! tiles (`tile`), the only code written for a processor. `conv::filters` sums the gradient of the filters over the same
//! slabs, `conv::depthwise` convolves channel by channel.
//!
//! # Considered but skipped
//!
//! *Winograd's algorithm* saves multiplications in 3x3 convolutions but rounds worse, and PyTorch does not use it on the
//! CPU either. *Packing the filters* in tile order would read them a little faster, but costs more than it saves where
//! few positions share them. *Half precision* has no fast path on most CPUs.

mod add_relu;
mod allocator;
mod attention;
mod backend;
mod band;
mod batch_norm;
mod columns;
mod conv;
mod grid_sample;
mod max_pool;
mod memory;
mod pieces;
mod planes;
mod pool;
mod prelu;
mod product;
mod resize;
mod separable;
mod softmax;
mod sparse;
mod subsample;
mod tile;
pub mod update;

pub use add_relu::add_relu;
pub use allocator::retain_freed_memory;
pub use attention::attention;
pub use batch_norm::{NormTail, Normalized, batch_norm, batch_norm_by, batch_norm_with};
pub use conv::{ConvError, ConvOptions, conv2d};
pub use grid_sample::{SampleMode, SampleOptions, SamplePadding, grid_sample};
pub use max_pool::{adaptive_max_pool, max_pool};
pub use pool::{PoolOptions, adaptive_avg_pool, avg_pool};
pub use prelu::prelu;
pub use resize::{ResizeMode, ResizeTo, resize};
pub use sparse::{SparseError, SparseMatrix, sparse_product};
pub use subsample::subsample;
