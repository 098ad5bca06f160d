//! Between plain arrays and tensors.

use burn::tensor::{Device, Int, Tensor, TensorData};
use ocelli_method::{Array, ArrayError};

/// A tensor of the array's values in single precision.
///
/// # Errors
/// [`ArrayError::Shape`] when the array has another number of dimensions.
pub fn from_array<const D: usize>(array: &Array, device: &Device) -> Result<Tensor<D>, ArrayError> {
    Ok(from_values(array.to_f32(), array.dims::<D>()?, device))
}

/// A tensor of `values`, row-major.
///
/// # Panics
/// When their number does not follow from the shape.
pub fn from_values<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// An integer vector `[n]`.
pub fn integers(values: &[i64], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// The elements of a tensor, row-major.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().expect("converted to single precision just before")
}

/// The array of a tensor's values.
pub fn to_array<const D: usize>(tensor: Tensor<D>) -> Array {
    let shape = tensor.dims();
    Array::f32(shape, values(tensor)).expect("a tensor has as many values as its shape")
}

/// The single element of a tensor.
///
/// # Panics
/// When it has none.
pub fn scalar<const D: usize>(tensor: Tensor<D>) -> f32 {
    values(tensor)[0]
}
