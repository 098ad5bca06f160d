//! Fast CPU kernels for convolutional networks, as an extension of the Burn tensor framework.
//!
//! Burn runs the same program on any device; on the CPU its layers are written for clarity of the backend, and a training
//! step of a small network spends most of its time in copies around the arithmetic. The functions here take the place of
//! a few of Burn's, with the same meaning, and their gradients:
//!
//! | here | in Burn |
//! |---|---|
//! | [`conv1d`], [`conv2d`], [`conv3d`] | `module::conv2d` and its kin |
//! | [`conv_transpose1d`], [`conv_transpose2d`], [`conv_transpose3d`] | `module::conv_transpose2d` and its kin |
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
//! | [`softmax`], [`log_softmax`] | `activation::softmax`, `activation::log_softmax` |
//! | [`cross_entropy`] | `log_softmax`, `gather`, `mean` |
//! | [`layer_norm`], [`rms_norm`] | `module::layer_norm` |
//! | [`group_norm`], [`instance_norm`] | a quotient of differences from the mean |
//! | [`replace_in_rows`] | `mask_where` with a mask of one number a row |
//! | [`dropout`] | a product with a mask |
//! | [`l2_normalize`] | a quotient by a norm |
//! | [`Chain`] | elementwise operations, one after the other |
//! | [`activation`] | `activation::*` |
//! | [`PackedConv`] | `module::conv2d` and what stands around it, for inference |
//! | [`matmul`] | `Tensor::matmul` |
//! | [`linear`] | `module::linear`, with PyTorch's layout of weights |
//! | [`scaled_attention`], [`self_attention`], [`attention`] | `matmul`, `activation::softmax`, `matmul` |
//! | [`lstm`], [`gru`] | `matmul`, `activation::sigmoid`, … for every step |
//! | [`sparse_product`] | a product with a dense matrix |
//! | [`row_major`] | the copy that a reshape of a swapped tensor makes |
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
//! Sequences and pictures are volumes of one row or plane; a transposed convolution is the gradient of another's input.
//! `conv::plan` reduces all to correlations with unit strides: every residue modulo the stride becomes a plane of its own.
//! There are two ways to correlate, of which `conv::direct::pays` picks one by counting cycles. Both cut the results into
//! tiles for the threads and multiply in register tiles (`tile`), the code written for a processor.
//!
//! * `conv::direct` has filters in the lanes, packed by `conv::pack`. Pixels are read where they lie, and the taps that
//!   meet padding (`conv::border`) are left out: best where there are many positions for a filter, or small pictures.
//! * `conv::correlate` has pixels in the lanes: of a pointwise convolution where they lie, of others from a *slab* with
//!   padding as zeros (`conv::slab`), gathered side by side if that pays (`conv::gather`).
//!
//! `conv::filters` sums the gradient of the filters. `conv::depthwise` convolves channel by channel: in `conv::stencil`
//! row by row under masks, elsewhere a whole slab at once.
//!
//! # Considered but skipped
//!
//! *Winograd's algorithm* saves multiplications in 3x3 convolutions but rounds worse, and PyTorch does not use it on the
//! CPU either. *Half precision* in training has no fast path on most CPUs.
//!
//! # How inference runs
//!
//! Filters that do not change can be packed once. A [`PackedConv`] holds them in the order in which its register tiles
//! (`fused::tile`) read them, with the affine maps of normalisations folded in. Its vectors lie along the output channels,
//! and so does its output in memory (`fused`): then a pixel is one number for all lanes, no lane is wasted on the edges of a
//! map, depthwise filters are vectors too (`fused::depthwise`), and activation and shortcut are applied to the sums in
//! registers (`fused::finish`). Convolutions without padding read their input where it lies; others copy a band of it to a
//! slab first (`fused::slab`), where a map before the convolution is applied and numbers are rounded to bfloat16; a small
//! map is copied once for all threads. Pairs of such numbers are multiplied by AVX-512 BF16, or on the tiles of AMX
//! (`fused::amx`), 32 pixels by 32 channels at a time, where Linux lets the process use them. What is read and written next
//! is asked for ahead of time (`prefetch`), and threads stay awake from one convolution of a network to the next
//! (`jobs`). [`by_pixel`] has what stands between such convolutions.

pub mod activation;
mod add_relu;
mod allocator;
mod arrange;
mod attention;
mod backend;
mod band;
mod batch_norm;
mod columns;
mod conv;
mod curves;
mod dropout;
mod elementwise;
mod fused;
mod gemm;
mod grid_sample;
mod jobs;
mod linear;
mod matmul;
mod max_pool;
mod memory;
mod pieces;
mod planes;
mod pool;
mod prefetch;
mod prelu;
mod recurrent;
mod replace;
mod resize;
mod rows;
mod separable;
mod sparse;
mod subsample;
mod tile;
pub mod update;

pub use add_relu::add_relu;
pub use allocator::retain_freed_memory;
pub use arrange::row_major;
pub use attention::{AttentionOptions, attention, scaled_attention, self_attention};
pub use batch_norm::{NormTail, Normalized, batch_norm, batch_norm_by, batch_norm_with};
pub use conv::{
    ConvError, ConvOptions, TransposeOptions, conv_transpose1d, conv_transpose2d, conv_transpose3d, conv1d,
    conv2d, conv3d,
};
pub use dropout::{KeptBits, dropout};
pub use elementwise::Chain;
pub use fused::{Activation, Affine, ConvParts, Joint, PackedConv, Precision, by_pixel};
pub use grid_sample::{SampleMode, SampleOptions, SamplePadding, grid_sample};
pub use linear::linear;
pub use matmul::matmul;
pub use max_pool::{adaptive_max_pool, max_pool};
pub use pool::{PoolOptions, adaptive_avg_pool, avg_pool};
pub use prelu::prelu;
pub use recurrent::{Recurrence, gru, lstm};
pub use replace::replace_in_rows;
pub use resize::{ResizeMode, ResizeTo, resize};
pub use rows::{
    CrossEntropy, Reduction, cross_entropy, group_norm, instance_norm, l2_normalize, layer_norm, log_softmax,
    rms_norm, softmax,
};
pub use sparse::{SparseError, SparseMatrix, sparse_product};
pub use subsample::subsample;
