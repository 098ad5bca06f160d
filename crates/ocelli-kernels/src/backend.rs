//! What the backend extensions have in common.

use burn::backend::{BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind};
use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;

use crate::arrange::arranged;

/// Whether our kernels serve a tensor: 32-bit floats on the CPU backend, with or without gradients.
pub(crate) fn is_served<const D: usize>(tensor: &Tensor<D>) -> bool {
    let on_cpu = |tensor: &DispatchTensor| match &tensor.kind {
        DispatchTensorKind::Flex(_) => true,
        DispatchTensorKind::Autodiff(inner) => matches!(**inner, DispatchTensorKind::Flex(_)),
        #[allow(unreachable_patterns)] // there are more backends with the GPU features
        _ => false,
    };
    tensor.dtype() == DType::F32 && on_cpu(&tensor.clone().into_dispatch())
}

/// The tensor on the CPU backend, if it is one of 32-bit floats that records no gradients.
pub(crate) fn into_flex<const D: usize>(tensor: Tensor<D>) -> Option<FlexTensor> {
    if tensor.dtype() != DType::F32 {
        return None;
    }
    match tensor.into_dispatch().kind {
        DispatchTensorKind::Flex(BackendTensor::Float(tensor)) => Some(tensor),
        _ => None,
    }
}

/// A tensor of the CPU backend that records no gradients.
pub(crate) fn from_flex<const D: usize>(tensor: FlexTensor) -> Tensor<D> {
    let kind = DispatchTensorKind::Flex(BackendTensor::Float(tensor));
    Tensor::from_dispatch(DispatchTensor { kind, autodiff: DispatchAutodiffContext::Disabled })
}

/// The numbers of a tensor that [`is_served`], in row-major order.
pub(crate) struct Numbers(FlexTensor);

impl Numbers {
    /// Copies the tensor only if it is not in row-major order.
    pub(crate) fn of(tensor: FlexTensor) -> Self {
        Self(if tensor.is_contiguous() { tensor } else { arranged(tensor) })
    }
}

impl std::ops::Deref for Numbers {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // The tensor may be a part of a larger one.
        let first = self.0.layout().start_offset();
        &self.0.storage()[first..first + self.0.layout().num_elements()]
    }
}

/// The memory of a tensor in row-major order that nobody else holds.
pub(crate) fn owned_memory(tensor: &mut FlexTensor) -> Option<&mut [f32]> {
    let len = tensor.layout().num_elements();
    let is_whole = tensor.is_contiguous() && tensor.layout().start_offset() == 0;
    tensor.try_storage_mut::<f32>().filter(|memory| is_whole && memory.len() == len)
}
