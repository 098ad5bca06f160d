//! Dropout, whose mask is kept as bits.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, TensorData};
use ocelli_simd::vectorized;

use crate::backend::is_served;
use crate::rows::{Lines, Rows, rewrite};

/// Numbers whose bits are worked on together.
const ROW: usize = 64;

/// Which numbers of a tensor are kept, a bit each. Cloning shares them.
#[derive(Clone, Debug)]
pub struct KeptBits {
    words: Arc<Vec<u64>>,
    len: usize,
}

impl KeptBits {
    /// For `len` numbers, each of which is kept if `is_kept` says so, asked in their order.
    pub fn draw(len: usize, mut is_kept: impl FnMut() -> bool) -> Self {
        let word = |first: usize| {
            (first..len.min(first + ROW)).fold(0, |word, at| word | u64::from(is_kept()) << (at - first))
        };
        Self { words: Arc::new((0..len).step_by(ROW).map(word).collect()), len }
    }

    /// Whether the number at a place is kept.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn is_kept(&self, at: usize) -> bool {
        self.words[at / ROW] >> (at % ROW) & 1 == 1
    }
}

/// The kept numbers of `x` times `scale`, and 0 for the others: any shape to the same (Srivastava et al., *Dropout*, 2014,
/// section 4, with the scale of section 10).
///
/// On the CPU, 32-bit tensors take this crate's kernel; every other device or number type takes a product with a mask.
///
/// # Panics
/// If there is not one bit a number.
pub fn dropout<const D: usize>(x: Tensor<D>, kept: &KeptBits, scale: f64) -> Tensor<D> {
    let (dims, len) = (x.dims(), x.shape().num_elements());
    assert!(kept.len == len, "dropout: {} bits for {len} numbers", kept.len);
    if is_served(&x) {
        return Tensor::from_dispatch(Dispatch::keep_some(x.into_dispatch(), kept.clone(), scale as f32));
    }
    let mask = (0..len).map(|at| if kept.is_kept(at) { scale as f32 } else { 0.0 }).collect();
    let device = x.device().without_autodiff();
    let mask = Tensor::from_data(TensorData::new::<f32, _>(mask, dims), (&device, x.dtype()));
    x * mask
}

/// A backend with [`dropout`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait DropoutBackend: Backend {
    fn keep_some(x: FloatTensor<Self>, kept: KeptBits, scale: f32) -> FloatTensor<Self>;
}

impl DropoutBackend for Flex {
    fn keep_some(x: FloatTensor<Self>, kept: KeptBits, scale: f32) -> FloatTensor<Self> {
        // As rows of as many numbers as a word has bits; if the last is not whole, all in one.
        let is_whole = kept.len.is_multiple_of(ROW);
        let lines = if is_whole { Lines::rows(kept.words.len(), ROW) } else { Lines::rows(1, kept.len) };
        rewrite(x, [], lines, || (), |_: &mut (), rows| mask_rows(rows, &kept.words, scale)).0
    }
}

impl<B: DropoutBackend, C: CheckpointStrategy> DropoutBackend for Autodiff<B, C> {
    fn keep_some(x: FloatTensor<Self>, kept: KeptBits, scale: f32) -> FloatTensor<Self> {
        let prepared = DropoutStep.prepare::<C>([x.node()]);
        let output = B::keep_some(x.into_primitive(), kept.clone(), scale);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((kept, scale), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step: the gradient takes the same way.
#[derive(Debug)]
struct DropoutStep;

impl<B: DropoutBackend> Backward<B, 1> for DropoutStep {
    type State = (KeptBits, f32);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let (kept, scale) = ops.state;
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::keep_some(output_gradient, kept, scale));
        }
    }
}

vectorized! {
    fn mask_rows(rows: Rows<'_, 0>, words: &[u64], scale: f32) {
        for (row, word) in rows.values.copied().chunks_mut(ROW).zip(&words[rows.first..]) {
            for (bit, value) in row.iter_mut().enumerate() {
                *value = if word >> bit & 1 == 1 { *value * scale } else { 0.0 };
            }
        }
    }
}
