//! What the backend extensions have in common.

use burn::backend::{DispatchTensor, DispatchTensorKind};
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

/// The numbers of a tensor that [`is_served`], in row-major order.
pub(crate) struct Numbers(FlexTensor);

impl Numbers {
    /// Copies the tensor only if it is not in row-major order.
    pub(crate) fn of(tensor: FlexTensor) -> Self {
        Self(if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() })
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
