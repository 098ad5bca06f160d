//! Products of matrices in batches, with gradients.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use crate::backend::is_served;
use crate::gemm::View;
use crate::gemm::batch::Products;
use crate::memory::tensor;

/// The product of matrices, `[..., M, K]` by `[..., K, N]` to `[..., M, N]`; dimensions before the last two are equal, or 1
/// in one of the factors, which then takes part in every product.
///
/// On the CPU, 32-bit tensors take this crate's kernel, which reads transposed, sliced and expanded factors where they
/// lie; every other device or number type takes Burn's own operation. Gradients flow to both factors. The result is the
/// same for any number of threads.
///
/// # Panics
/// If the shapes do not fit together, or there are fewer than two dimensions.
pub fn matmul<const D: usize>(left: Tensor<D>, right: Tensor<D>) -> Tensor<D> {
    let (a, b) = (left.dims(), right.dims());
    let fits = D >= 2
        && a[D - 1] == b[D - 2]
        && a.iter().zip(&b).take(D - 2).all(|(&a, &b)| a == b || a == 1 || b == 1);
    assert!(fits, "matmul: a product of {a:?} and {b:?}");
    if !is_served(&left) || !is_served(&right) {
        return left.matmul(right);
    }
    Tensor::from_dispatch(Dispatch::product(left.into_dispatch(), right.into_dispatch()))
}

/// A backend with a [`matmul`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait MatmulBackend: Backend {
    fn product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// [`MatmulBackend`] with its gradients, on a backend that does not record.
pub(crate) trait MatmulKernels: MatmulBackend {
    /// Gradient of the left factor, of which only the shape is used.
    fn left_gradient(
        left: FloatTensor<Self>,
        right: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Gradient of the right factor, of which only the shape is used.
    fn right_gradient(
        left: FloatTensor<Self>,
        right: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl MatmulBackend for Flex {
    fn product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        let (left, right) = (Stack::of(left), Stack::of(right));
        let batch: Vec<usize> =
            left.batch().iter().zip(right.batch()).map(|(&a, &b)| if a == 1 { b } else { a }).collect();
        product_into(&left, &right, &batch)
    }
}

impl MatmulKernels for Flex {
    fn left_gradient(
        left: FloatTensor<Self>,
        right: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let batch = left.shape();
        let right = Stack::of(right).transposed();
        product_into(&Stack::of(output_gradient), &right, &batch[..batch.num_dims() - 2])
    }

    fn right_gradient(
        left: FloatTensor<Self>,
        right: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let batch = right.shape();
        let left = Stack::of(left).transposed();
        product_into(&left, &Stack::of(output_gradient), &batch[..batch.num_dims() - 2])
    }
}

/// A tensor as matrices in a batch, where they lie.
pub(crate) struct Stack {
    tensor: FlexTensor,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Stack {
    /// Copies the tensor only if it runs backwards along a dimension.
    pub(crate) fn of(tensor: FlexTensor) -> Self {
        let forwards = tensor.layout().strides().iter().all(|&stride| stride >= 0);
        let tensor = if forwards { tensor } else { tensor.to_contiguous() };
        let shape = tensor.layout().shape().to_vec();
        let strides = tensor.layout().strides().iter().map(|stride| stride.unsigned_abs()).collect();
        Self { tensor, shape, strides }
    }

    pub(crate) fn transposed(mut self) -> Self {
        let last = self.shape.len() - 1;
        self.shape.swap(last - 1, last);
        self.strides.swap(last - 1, last);
        self
    }

    fn batch(&self) -> &[usize] {
        &self.shape[..self.shape.len() - 2]
    }

    /// Rows and columns of a matrix.
    fn size(&self) -> [usize; 2] {
        let last = self.shape.len() - 1;
        [self.shape[last - 1], self.shape[last]]
    }

    /// The first matrix. A stride over a single element means nothing, and is made that of rows without gaps.
    fn view(&self) -> View<'_> {
        let last = self.shape.len() - 1;
        let values: &[f32] = self.tensor.storage();
        let [rows, columns] = self.size();
        let [row, column] = [self.strides[last - 1], self.strides[last]];
        let column = if columns == 1 && row != 1 { 1 } else { column };
        let row = if rows == 1 { columns.max(1) } else { row };
        View { values: values.get(self.tensor.layout().start_offset()..).unwrap_or_default(), row, column }
    }

    /// Where the matrix of a batch index begins.
    fn offset(&self, index: &[usize]) -> usize {
        let dims = self.batch().iter().zip(&self.strides).zip(index);
        dims.map(|((&extent, &stride), &at)| if extent == 1 { 0 } else { stride * at }).sum()
    }
}

/// The products of a batch, added up where the result's `batch` has an extent of 1 and a factor has not.
fn product_into(left: &Stack, right: &Stack, batch: &[usize]) -> FlexTensor {
    let ([m, k], [_, n]) = (left.size(), right.size());
    let full: Vec<usize> =
        left.batch().iter().zip(right.batch()).map(|(&a, &b)| if a == 1 { b } else { a }).collect();
    let products: usize = batch.iter().product();
    let shape: Vec<usize> = batch.iter().copied().chain([m, n]).collect();
    let pairs: usize = full.iter().product();
    if pairs == 0 || products == 0 {
        return tensor(vec![0.0; products * m * n], shape);
    }
    // Sorted by the product they belong to, and in the order of the batch within it.
    let mut offsets = vec![Vec::with_capacity(pairs / products); products];
    let mut index = vec![0; full.len()];
    for _ in 0..pairs {
        let product =
            index.iter().zip(batch).fold(0, |sum, (&at, &extent)| sum * extent + at.min(extent - 1));
        offsets[product].push([left.offset(&index), right.offset(&index)]);
        for (at, extent) in index.iter_mut().zip(&full).rev() {
            *at += 1;
            if *at < *extent {
                break;
            }
            *at = 0;
        }
    }
    let products = Products {
        left: left.view(),
        right: right.view(),
        offsets: offsets.concat(),
        terms: pairs / products,
        shape: [m, n, k],
        bias: None,
    };
    tensor(products.run(None), shape)
}

impl<B: MatmulKernels, C: CheckpointStrategy> MatmulBackend for Autodiff<B, C> {
    fn product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = MatmulStep.prepare::<C>([left.node(), right.node()]);
        let output = B::product(left.primitive().clone(), right.primitive().clone());
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = [prep.checkpoint(&left), prep.checkpoint(&right)];
                prep.finish(saved, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step; its parents are the factors.
#[derive(Debug)]
struct MatmulStep;

impl<B: MatmulKernels> Backward<B, 2> for MatmulStep {
    /// Nodes of the factors.
    type State = [NodeId; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [left, right] = ops.state.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let [left_node, right_node] = ops.parents;
        if let Some(node) = left_node {
            let gradient = B::left_gradient(left.clone(), right.clone(), gradient.clone());
            grads.register::<B>(node.id, gradient);
        }
        if let Some(node) = right_node {
            grads.register::<B>(node.id, B::right_gradient(left, right, gradient));
        }
    }
}
