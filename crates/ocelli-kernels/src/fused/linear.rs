//! Packed convolutions by single pixels as linear layers: rows through filters that are read once a call.
//!
//! The tiles are those of convolutions. What differs is the walk: a network's rows fit the caches and its weights do not, so
//! a block of filters meets all rows before the next one is read.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::dense::{self, Call};
use super::pack::{Dense, Kernels, Packed};
use super::plan::Plan;
use super::slab::Treatment;
use super::{Input, Joint, PackedConv, slab};
use crate::arrange::arranged;
use crate::backend::Numbers;
use crate::conv::Geometry;
use crate::jobs;
use crate::memory::{SharedOutput, filled_aligned, tensor, zeroed};

/// Rows that a block of filters meets before the next one is read: their sums wait in the cache beside it.
const BAND: usize = 512;
/// Numbers that make rounding a job worth a thread's while.
const ROUNDED: usize = 64 * 1024;

impl PackedConv {
    /// `x` `[..., I]` to `[..., O]`, a convolution `[O, I, 1, 1]` taken as a linear layer, with `shortcut` `[..., O]` where
    /// it joins and the activation.
    ///
    /// The result does not depend on the number of threads.
    ///
    /// # Panics
    /// If the kernel is larger than one pixel, has a stride, padding or groups; if shapes do not fit, or
    /// [`PackedConv::serves`] is false for a tensor.
    pub fn forward_rows<const D: usize>(
        &self,
        x: Tensor<D>,
        shortcut: Option<(Tensor<D>, Joint)>,
    ) -> Tensor<D> {
        assert!(self.0.is_linear(), "packed linear layer: the convolution is not by single pixels");
        assert!(Self::serves(&x), "packed linear layer: only 32-bit tensors on the CPU, without gradients");
        let [output, input, ..] = self.0.shape();
        let mut shape = x.dims();
        assert!(
            D >= 1 && shape[D - 1] == input,
            "packed linear layer: x {shape:?} for a weight [{output}, {input}]"
        );
        let rows: usize = shape[..D - 1].iter().product();
        shape[D - 1] = output;
        Self::check_shortcut("packed linear layer", &shortcut, shape);
        let x = x.reshape([rows, input]).into_dispatch();
        let y = match shortcut {
            Some((shortcut, joint)) => {
                let shortcut = shortcut.reshape([rows, output]).into_dispatch();
                Dispatch::map_rows_joined(x, shortcut, self.clone(), joint)
            }
            None => Dispatch::map_rows(x, self.clone()),
        };
        Tensor::<2>::from_dispatch(y).reshape(shape)
    }
}

/// A backend that runs packed linear layers over rows `[R, I]`.
#[backend_extension(Flex)]
pub(crate) trait RowsBackend: Backend {
    /// Without a shortcut.
    fn map_rows(x: FloatTensor<Self>, conv: PackedConv) -> FloatTensor<Self>;

    /// With one, `[R, O]`.
    fn map_rows_joined(
        x: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        conv: PackedConv,
        joint: Joint,
    ) -> FloatTensor<Self>;
}

impl RowsBackend for Flex {
    fn map_rows(x: FloatTensor<Self>, conv: PackedConv) -> FloatTensor<Self> {
        run(&conv.0, x, None)
    }

    fn map_rows_joined(
        x: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        conv: PackedConv,
        joint: Joint,
    ) -> FloatTensor<Self> {
        let shortcut = Numbers::of(shortcut);
        run(&conv.0, x, Some((&shortcut, joint)))
    }
}

/// `[R, I]` to `[R, O]`: to the walk the rows are a picture one pixel wide.
fn run(packed: &Packed, x: FlexTensor, shortcut: Option<(&[f32], Joint)>) -> FlexTensor {
    let [rows, inputs]: [usize; 2] = x.layout().shape().dims();
    if rows == 0 {
        return tensor(Vec::new(), [0, packed.shape()[0]]);
    }
    let Kernels::Dense(dense) = &packed.kernels else { unreachable!("one group is never depthwise") };
    let geometry = packed.geometry([1, inputs, rows, 1]);
    let geometry = geometry.unwrap_or_else(|error| panic!("packed linear layer: {error}"));
    let words = if dense.pairs { rounded(&Numbers::of(x), inputs, dense.words) } else { arranged(x) };
    let input = Input::rows(words, dense.words);
    let plan = Plan::of_rows(&geometry, dense);
    let [_, outputs, ..] = geometry.out_shape();
    // Numbers are rounded already, and nothing is applied before.
    let treatment = Treatment { map: None, pairs: dense.pairs };
    let output = dense::walk(&Call { packed, dense, plan, input: &input, slab: &[], treatment, shortcut });
    output.reshape([rows, outputs].into())
}

/// Rows of `inputs` numbers as rows of `words` pairs.
#[allow(unsafe_code)] // the output is not zeroed first
fn rounded(x: &[f32], inputs: usize, words: usize) -> FlexTensor {
    let rows = x.len() / inputs.max(1);
    let each = (ROUNDED / inputs.max(1)).max(1);
    let work = |output: SharedOutput<'_>| {
        jobs::run(rows.div_ceil(each), |job| {
            let part = job * each..((job + 1) * each).min(rows);
            // SAFETY: every row belongs to one job, which writes all of it.
            let target = unsafe { output.strided(part.start * words, part.len() * words, 1) }.memory();
            let target = zeroed(target);
            slab::round(&x[part.start * inputs..part.end * inputs], inputs, target);
        });
    };
    // SAFETY: the jobs are all rows.
    unsafe { filled_aligned([rows, words], work) }
}

impl Plan<'_> {
    /// A walk in which a block of filters meets as many rows as its sums have room for.
    fn of_rows<'a>(geometry: &'a Geometry<2>, dense: &Dense) -> Plan<'a> {
        let mut plan = Plan::new(geometry, dense, true);
        let rows = geometry.out_size[0];
        plan.bands = rows.div_ceil(BAND).max(1);
        // Threads share the rows where they are, and take the next block when they are through with one.
        plan.splits = if rayon::current_num_threads() == 1 { 1 } else { dense.blocks.len().max(1) };
        plan
    }
}

impl Input {
    /// Rows of `words` words without gaps.
    fn rows(tensor: FlexTensor, words: usize) -> Self {
        let first = tensor.layout().start_offset();
        Self { strides: [tensor.layout().num_elements(), 1, words, words], tensor, first }
    }
}
