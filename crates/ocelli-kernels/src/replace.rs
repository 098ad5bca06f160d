//! One number of every row replaced.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Int, Tensor};
use burn_flex::FlexTensor;

use crate::backend::{Numbers, is_served};
use crate::memory::tensor;
use crate::rows::{Lines, Rows, rewrite};

/// `x` `[B, C]` with the number of each row that `columns` `[B]` names replaced by that of `values` `[B, 1]`: as a margin
/// replaces the logits of the true classes. Gradients flow to `x`, but for the replaced numbers, and to `values`.
///
/// On the CPU, 32-bit tensors take this crate's kernel, which writes into `x` if nobody else holds it; every other device
/// or number type takes Burn's own operations.
///
/// # Panics
/// If the rows do not fit together, or a column is not there.
pub fn replace_in_rows(x: Tensor<2>, columns: Tensor<1, Int>, values: Tensor<2>) -> Tensor<2> {
    let ([rows, width], [named], found) = (x.dims(), columns.dims(), values.dims());
    assert!(
        named == rows && found == [rows, 1],
        "replace_in_rows: {named} columns and values {found:?} for {rows} rows"
    );
    if !is_served(&x) || !is_served(&values) {
        let device = x.device().without_autodiff();
        let all =
            Tensor::<1, Int>::arange(0..width as i64, &device).unsqueeze_dim::<2>(0).expand([rows, width]);
        let mask = all.equal(columns.unsqueeze_dim::<2>(1).expand([rows, width]));
        return x.mask_where(mask, values.expand([rows, width]));
    }
    let place = |(row, column): (usize, i64)| {
        let column = usize::try_from(column).ok().filter(|&column| column < width);
        assert!(column.is_some(), "replace_in_rows: row {row} names none of {width} columns");
        row * width + column.unwrap_or_default()
    };
    let places = columns.into_data().iter::<i64>().enumerate().map(place).collect();
    Tensor::from_dispatch(Dispatch::put(x.into_dispatch(), values.into_dispatch(), Arc::new(places)))
}

/// A backend with [`replace_in_rows`].
#[backend_extension(Autodiff, Flex)]
pub(crate) trait ReplaceBackend: Backend {
    /// `places` are those of the row-major numbers, one a row.
    fn put(x: FloatTensor<Self>, values: FloatTensor<Self>, places: Arc<Vec<usize>>) -> FloatTensor<Self>;
}

/// [`ReplaceBackend`] with its gradients, on a backend that does not record.
pub(crate) trait ReplaceKernels: ReplaceBackend {
    /// Gradients of `x` and the values.
    fn gradients(output_gradient: FloatTensor<Self>, places: Arc<Vec<usize>>) -> [FloatTensor<Self>; 2];
}

/// Puts one number into each row.
fn put(x: FlexTensor, places: &[usize], value: impl Fn(usize) -> f32 + Sync + Send) -> FlexTensor {
    let [count, width] = x.shape().dims();
    let work = |_: &mut (), rows: Rows<'_, 0>| {
        for (offset, row) in rows.values.copied().chunks_exact_mut(width.max(1)).enumerate() {
            let number = rows.first + offset;
            row[places[number] - number * width] = value(number);
        }
    };
    rewrite(x, [], Lines::rows(count, width), || (), work).0
}

impl ReplaceBackend for Flex {
    fn put(x: FloatTensor<Self>, values: FloatTensor<Self>, places: Arc<Vec<usize>>) -> FloatTensor<Self> {
        let values = Numbers::of(values);
        put(x, &places, |row| values[row])
    }
}

impl ReplaceKernels for Flex {
    fn gradients(output_gradient: FloatTensor<Self>, places: Arc<Vec<usize>>) -> [FloatTensor<Self>; 2] {
        let picked = {
            let gradient = Numbers::of(output_gradient.clone());
            tensor(places.iter().map(|&place| gradient[place]).collect(), [places.len(), 1])
        };
        [put(output_gradient, &places, |_| 0.0), picked]
    }
}

impl<B: ReplaceKernels, C: CheckpointStrategy> ReplaceBackend for Autodiff<B, C> {
    fn put(x: FloatTensor<Self>, values: FloatTensor<Self>, places: Arc<Vec<usize>>) -> FloatTensor<Self> {
        let prepared = ReplaceStep.prepare::<C>([x.node(), values.node()]);
        let output = B::put(x.into_primitive(), values.into_primitive(), places.clone());
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(places, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// The backward step; its parents are the numbers and the values.
#[derive(Debug)]
struct ReplaceStep;

impl<B: ReplaceKernels> Backward<B, 2> for ReplaceStep {
    type State = Arc<Vec<usize>>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let output_gradient = grads.consume::<B>(&ops.node);
        let gradients = B::gradients(output_gradient, ops.state);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}
