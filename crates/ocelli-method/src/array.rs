//! Plain arrays: the currency between reference cases, weight files and tensors.
//!
//! An [`Array`] is a shape and a flat row-major buffer of one of four element types. It computes nothing; crates
//! above turn it into tensors of their framework, or work on its slices.

use thiserror::Error;

/// A dense row-major array of one of the element types that reference cases and weights use.
///
/// A scalar has an empty shape or shape `[1]`; an array with a zero dimension is an empty set.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    data: Data,
}

/// The elements of an [`Array`].
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
    /// Labels, indices, counters.
    I64(Vec<i64>),
    /// Booleans, bytes and UTF-8 text.
    U8(Vec<u8>),
}

/// What can be wrong with an array.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ArrayError {
    /// The number of elements does not follow from the shape.
    #[error("shape {shape:?} wants {} elements, found {found}", shape.iter().product::<usize>())]
    Length {
        /// The claimed shape.
        shape: Vec<usize>,
        /// The number of elements given.
        found: usize,
    },
    /// Another element type was wanted.
    #[error("expected {wanted} elements, found {found}")]
    Kind {
        /// Name of the wanted type.
        wanted: &'static str,
        /// Name of the type at hand.
        found: &'static str,
    },
    /// Another shape was wanted.
    #[error("expected shape {wanted}, found {found:?}")]
    Shape {
        /// The wanted shape, in words.
        wanted: String,
        /// The shape at hand.
        found: Vec<usize>,
    },
}

impl Data {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Data::F32(v) => v.len(),
            Data::F64(v) => v.len(),
            Data::I64(v) => v.len(),
            Data::U8(v) => v.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type's name, as in NumPy.
    pub fn kind(&self) -> &'static str {
        match self {
            Data::F32(_) => "float32",
            Data::F64(_) => "float64",
            Data::I64(_) => "int64",
            Data::U8(_) => "uint8",
        }
    }
}

impl Array {
    /// An array from its parts.
    ///
    /// # Errors
    /// [`ArrayError::Length`] when the product of the shape overflows or differs from the number of elements.
    pub fn new(shape: impl Into<Vec<usize>>, data: Data) -> Result<Self, ArrayError> {
        let shape = shape.into();
        let wanted = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if wanted == Some(data.len()) {
            Ok(Self { shape, data })
        } else {
            let found = data.len();
            // A shape whose product overflows cannot be printed by its product.
            let shape = if wanted.is_some() { shape } else { vec![usize::MAX] };
            Err(ArrayError::Length { shape, found })
        }
    }

    /// A single-precision array.
    ///
    /// # Errors
    /// See [`Array::new`].
    pub fn f32(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Result<Self, ArrayError> {
        Self::new(shape, Data::F32(values))
    }

    /// A single-precision vector of shape `[n]`.
    pub fn vector(values: impl IntoIterator<Item = f32>) -> Self {
        let values: Vec<f32> = values.into_iter().collect();
        Self { shape: vec![values.len()], data: Data::F32(values) }
    }

    /// A double-precision vector of shape `[n]`.
    pub fn vector_f64(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        Self { shape: vec![values.len()], data: Data::F64(values) }
    }

    /// A double-precision array.
    ///
    /// # Errors
    /// See [`Array::new`].
    pub fn f64(shape: impl Into<Vec<usize>>, values: Vec<f64>) -> Result<Self, ArrayError> {
        Self::new(shape, Data::F64(values))
    }

    /// An integer vector of shape `[n]`.
    pub fn integers(values: impl IntoIterator<Item = i64>) -> Self {
        let values: Vec<i64> = values.into_iter().collect();
        Self { shape: vec![values.len()], data: Data::I64(values) }
    }

    /// The shape; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Takes the array apart.
    pub fn into_parts(self) -> (Vec<usize>, Data) {
        (self.shape, self.data)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// [`ArrayError::Length`] when the number of elements differs.
    pub fn reshaped(self, shape: impl Into<Vec<usize>>) -> Result<Self, ArrayError> {
        Self::new(shape, self.data)
    }

    /// Single-precision elements, row-major.
    ///
    /// # Errors
    /// [`ArrayError::Kind`] for every other element type.
    pub fn as_f32(&self) -> Result<&[f32], ArrayError> {
        match &self.data {
            Data::F32(v) => Ok(v),
            other => Err(ArrayError::Kind { wanted: "float32", found: other.kind() }),
        }
    }

    /// Integer elements, row-major.
    ///
    /// # Errors
    /// [`ArrayError::Kind`] for every other element type.
    pub fn as_i64(&self) -> Result<&[i64], ArrayError> {
        match &self.data {
            Data::I64(v) => Ok(v),
            other => Err(ArrayError::Kind { wanted: "int64", found: other.kind() }),
        }
    }

    /// Bytes, row-major.
    ///
    /// # Errors
    /// [`ArrayError::Kind`] for every other element type.
    pub fn as_u8(&self) -> Result<&[u8], ArrayError> {
        match &self.data {
            Data::U8(v) => Ok(v),
            other => Err(ArrayError::Kind { wanted: "uint8", found: other.kind() }),
        }
    }

    /// All elements as double precision, whatever their type.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Data::F64(v) => v.clone(),
            Data::I64(v) => v.iter().map(|&x| x as f64).collect(),
            Data::U8(v) => v.iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// All elements as single precision, whatever their type.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(v) => v.clone(),
            Data::F64(v) => v.iter().map(|&x| x as f32).collect(),
            Data::I64(v) => v.iter().map(|&x| x as f32).collect(),
            Data::U8(v) => v.iter().map(|&x| f32::from(x)).collect(),
        }
    }

    /// The shape as an array of `D` dimensions.
    ///
    /// # Errors
    /// [`ArrayError::Shape`] when the array has another number of dimensions.
    pub fn dims<const D: usize>(&self) -> Result<[usize; D], ArrayError> {
        <[usize; D]>::try_from(self.shape.as_slice()).map_err(|_| ArrayError::Shape {
            wanted: format!("with {D} dimensions"),
            found: self.shape.clone(),
        })
    }
}

impl From<f32> for Array {
    /// A scalar as reference cases store it: shape `[1]`.
    fn from(value: f32) -> Self {
        Self::vector([value])
    }
}

impl From<f64> for Array {
    /// A scalar as reference cases store it: shape `[1]`.
    fn from(value: f64) -> Self {
        Self::vector_f64([value])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_follows_from_shape() {
        assert!(Array::f32([2, 3], vec![0.0; 6]).is_ok());
        assert_eq!(
            Array::f32([2, 3], vec![0.0; 5]).unwrap_err().to_string(),
            "shape [2, 3] wants 6 elements, found 5"
        );
        assert!(Array::f32([usize::MAX, 2], vec![]).is_err());
        assert!(Array::f32([0, 7], vec![]).unwrap().is_empty());
    }

    #[test]
    fn wrong_kind_is_named() {
        let labels = Array::integers([1, 2]);
        assert_eq!(labels.as_f32().unwrap_err().to_string(), "expected float32 elements, found int64");
        assert_eq!(labels.to_f64(), [1.0, 2.0]);
    }
}
