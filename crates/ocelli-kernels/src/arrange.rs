//! Tensors in row-major order, as kernels and reshapes want them.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;

use crate::backend::is_served;
use crate::jobs;
use crate::memory::{filled, tensor};

/// The same tensor in row-major order. A reshape that cannot look at a swapped or sliced tensor where it lies copies it,
/// number by number; this copies its rows whole.
///
/// On the CPU, 32-bit tensors take this crate's kernel; every other device or number type is left as it is.
pub fn row_major<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if is_served(&x) { Tensor::from_dispatch(Dispatch::arrange(x.into_dispatch())) } else { x }
}

/// A backend with [`row_major`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait ArrangeBackend: Backend {
    fn arrange(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl ArrangeBackend for Flex {
    fn arrange(x: FloatTensor<Self>) -> FloatTensor<Self> {
        arranged(x)
    }
}

impl<B: ArrangeBackend, C: CheckpointStrategy> ArrangeBackend for Autodiff<B, C> {
    fn arrange(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = ArrangeStep.prepare::<C>([x.node()]);
        let output = B::arrange(x.into_primitive());
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step: a gradient may lie as it likes.
#[derive(Debug)]
struct ArrangeStep;

impl<B: ArrangeBackend> Backward<B, 1> for ArrangeStep {
    type State = ();

    fn backward(self, ops: Ops<(), 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, gradient);
        }
    }
}

/// The tensor in row-major order, its memory having nothing else. A copy, where one is needed, is held by nobody else.
pub(crate) fn arranged(tensor: FlexTensor) -> FlexTensor {
    let numbers = tensor.layout().num_elements();
    let whole = tensor.is_contiguous()
        && tensor.layout().start_offset() == 0
        && tensor.bytes().len() == numbers * tensor.dtype().size();
    if whole {
        return tensor;
    }
    let lines = (tensor.dtype() == DType::F32).then(|| Lines::of(&tensor)).flatten();
    lines.map_or_else(|| tensor.to_contiguous(), |lines| lines.copy(&tensor))
}

/// Runs of neighbouring numbers, as which a tensor lies in memory.
struct Lines {
    /// Numbers of a run.
    len: usize,
    /// Extents and strides of the dimensions over which the runs go, the innermost first.
    outer: Vec<(usize, isize)>,
}

impl Lines {
    /// Numbers of a run that is worth a copy of its own.
    const SHORTEST: usize = 16;
    /// Numbers that make a job worth a thread's while.
    const JOB: usize = 32 * 1024;

    /// Of a tensor with numbers, whose innermost dimension lies without gaps.
    fn of(tensor: &FlexTensor) -> Option<Self> {
        let layout = tensor.layout();
        let dims = layout.shape().iter().copied().zip(layout.strides().iter().copied()).rev();
        let mut dims = dims.filter(|&(extent, _)| extent != 1);
        let (mut len, stride) = dims.next()?;
        let mut outer: Vec<(usize, isize)> = Vec::new();
        for (extent, stride) in dims {
            if outer.is_empty() && stride == len as isize {
                len *= extent;
            } else {
                outer.push((extent, stride));
            }
        }
        (stride == 1 && len >= Self::SHORTEST && layout.num_elements() > 0).then_some(Self { len, outer })
    }

    /// The first number of a run, counted from that of the tensor.
    fn start(&self, run: usize) -> isize {
        let step = |(rest, at): (usize, isize), &(extent, stride): &(usize, isize)| {
            (rest / extent, at + (rest % extent) as isize * stride)
        };
        self.outer.iter().fold((run, 0), step).1
    }

    #[allow(unsafe_code)] // the output is not zeroed first
    fn copy(&self, source: &FlexTensor) -> FlexTensor {
        let count = source.layout().num_elements() / self.len;
        let (numbers, first) = (source.storage::<f32>(), source.layout().start_offset() as isize);
        let each = (Self::JOB / self.len).max(1);
        let copy = |run: usize| {
            let from = (first + self.start(run)) as usize;
            &numbers[from..from + self.len]
        };
        // SAFETY: every run is written, by one job.
        let values = unsafe {
            filled(count * self.len, |output| {
                jobs::run(count.div_ceil(each), |job| {
                    for run in job * each..count.min((job + 1) * each) {
                        output.strided(run * self.len, self.len, 1).memory().write_copy_of_slice(copy(run));
                    }
                });
            })
        };
        tensor(values, source.layout().shape().clone())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    use super::*;
    use crate::backend::{from_flex, into_flex};

    proptest! {
        #[test]
        fn any_layout_is_put_in_order(
            shape in [0..5_usize, 1..4, 1..5, 1..40],
            order in Just([0_usize, 1, 2, 3]).prop_shuffle(),
            flipped in 0..5_usize,
            cut in 0..2_usize,
        ) {
            let device = Device::flex();
            let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| i as f32).collect();
            let mut x = Tensor::<4>::from_data(TensorData::new(values, shape), &device);
            x = x.permute(order.map(|axis| axis as isize));
            if flipped < 4 {
                x = x.flip([flipped as isize]);
            }
            if x.dims()[2] > cut {
                let len = x.dims()[2] - cut;
                x = x.narrow(2, cut, len);
            }
            let given = into_flex(x.clone()).expect("a tensor of the CPU");
            let ours = arranged(given.clone());
            prop_assert!(ours.is_contiguous());
            let ours: Tensor<4> = from_flex(ours);
            let theirs: Tensor<4> = from_flex(given.to_contiguous());
            ours.into_data().assert_eq(&theirs.into_data(), true);
        }
    }

    #[test]
    fn gradients_pass() {
        let x = Tensor::<3>::ones([3, 4, 20], &Device::flex().autodiff()).require_grad();
        let weights = Tensor::<3>::from_data(
            TensorData::new((0..240).map(|i| i as f32).collect(), [4, 3, 20]),
            &Device::flex(),
        );
        let gradients =
            (row_major(x.clone().swap_dims(0, 1)) * Tensor::from_inner(weights.clone())).backward();
        let gradient = x.grad(&gradients).expect("a gradient");
        gradient.into_data().assert_eq(&weights.swap_dims(0, 1).into_data(), true);
    }
}
