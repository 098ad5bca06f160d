//! What the backend extensions have in common.

use burn::backend::{BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind};
use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;

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
        Self(tensor.to_contiguous())
    }
}

impl std::ops::Deref for Numbers {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.0.storage()
    }
}
