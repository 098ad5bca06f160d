//! Vectors as they come in, and as they are kept for exact reordering.

use half::f16;

use super::error::IndexError;
use crate::kernels::rows::{dots_f16, dots_f32, dots_i8, row_f32};

/// Borrowed vectors, row-major `[count, dim]`.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    data: &'a [f32],
    dim: usize,
}

impl<'a> Rows<'a> {
    /// Checks that `data` holds whole vectors of `dim` finite numbers; `what` names them in errors.
    ///
    /// # Errors
    /// [`IndexError::Ragged`], [`IndexError::NotFinite`] or [`IndexError::Setting`] for no dimensions.
    pub fn new(what: &'static str, data: &'a [f32], dim: usize) -> Result<Self, IndexError> {
        if dim == 0 {
            return Err(IndexError::setting("dim", 0, "at least 1"));
        }
        if !data.len().is_multiple_of(dim) {
            return Err(IndexError::Ragged { what, found: data.len(), dim });
        }
        // A sum is finite exactly when all its terms are, but for overflow, which the second look tells apart.
        if !data.iter().fold(0.0f32, |sum, value| sum + value * 0.0).is_finite()
            && let Some(at) = data.iter().position(|value| !value.is_finite())
        {
            return Err(IndexError::NotFinite { what, row: at / dim, element: at % dim, value: data[at] });
        }
        Ok(Self { data, dim })
    }

    /// Length of a vector.
    pub fn dim(self) -> usize {
        self.dim
    }

    /// Number of vectors.
    pub fn count(self) -> usize {
        self.data.len() / self.dim
    }

    /// The first `count` vectors, or all.
    pub fn first(self, count: usize) -> Self {
        Self { data: &self.data[..self.data.len().min(count.saturating_mul(self.dim))], dim: self.dim }
    }

    /// All numbers.
    pub fn data(self) -> &'a [f32] {
        self.data
    }

    /// A vector.
    pub fn row(self, index: usize) -> &'a [f32] {
        &self.data[index * self.dim..(index + 1) * self.dim]
    }
}

/// `x` scaled to length 1; a zero vector stays zero.
pub(super) fn normalize(x: &mut [f32]) {
    let length = row_f32(x, x).sqrt();
    if length > 0.0 && length.is_finite() {
        x.iter_mut().for_each(|value| *value /= length);
    } else if x.iter().any(|value| *value != 0.0) {
        // The square left single precision's range.
        let length = x.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
        x.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
}

/// How vectors are kept for the exact scores of the last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// Single precision, 4 bytes an element.
    F32,
    /// Half precision, 2 bytes an element.
    F16,
    /// 8 bits an element and a scale for each vector.
    Int8,
    /// Not at all: codes alone decide.
    None,
}

impl Storage {
    /// Bytes a vector.
    pub fn bytes(self, dim: usize) -> usize {
        match self {
            Self::F32 => 4 * dim,
            Self::F16 => 2 * dim,
            Self::Int8 => dim + 4,
            Self::None => 0,
        }
    }
}

/// Vectors in one of the [`Storage`]s.
#[derive(Clone, Debug)]
pub(super) enum Stored {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Int8 { values: Vec<i8>, scales: Vec<f32> },
    None,
}

impl Stored {
    pub(super) fn with_capacity(storage: Storage, count: usize, dim: usize) -> Self {
        match storage {
            Storage::F32 => Self::F32(Vec::with_capacity(count * dim)),
            Storage::F16 => Self::F16(Vec::with_capacity(count * dim)),
            Storage::Int8 => {
                Self::Int8 { values: Vec::with_capacity(count * dim), scales: Vec::with_capacity(count) }
            }
            Storage::None => Self::None,
        }
    }

    /// Appends a vector, whose number in errors is `row`.
    pub(super) fn push(&mut self, x: &[f32], row: usize) -> Result<(), IndexError> {
        match self {
            Self::F32(values) => values.extend_from_slice(x),
            Self::F16(values) => {
                let start = values.len();
                values.extend(x.iter().map(|value| f16::from_f32(*value)));
                if let Some(element) = values[start..].iter().position(|value| !value.is_finite()) {
                    return Err(IndexError::TooLargeForHalf { row, element, value: x[element] });
                }
            }
            Self::Int8 { values, scales } => {
                let largest = x.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                let scale = largest / 127.0;
                let inverse = if scale > 0.0 { 127.0 / largest } else { 0.0 };
                values.extend(x.iter().map(|value| (value * inverse).round() as i8));
                scales.push(scale);
            }
            Self::None => {}
        }
        Ok(())
    }

    /// `<query, row>` of each listed row; false when vectors are not stored.
    pub(super) fn dots(&self, query: &[f32], listed: &[u32], out: &mut [f32]) -> bool {
        match self {
            Self::F32(values) => dots_f32(query, values, listed, out),
            Self::F16(values) => dots_f16(query, values, listed, out),
            Self::Int8 { values, scales } => dots_i8(query, values, scales, listed, out),
            Self::None => return false,
        }
        true
    }

    pub(super) fn storage(&self) -> Storage {
        match self {
            Self::F32(_) => Storage::F32,
            Self::F16(_) => Storage::F16,
            Self::Int8 { .. } => Storage::Int8,
            Self::None => Storage::None,
        }
    }

    /// The vector `row` as it is kept.
    pub(super) fn row(&self, row: usize, out: &mut [f32]) -> bool {
        let range = row * out.len()..(row + 1) * out.len();
        match self {
            Self::F32(values) => out.copy_from_slice(&values[range]),
            Self::F16(values) => {
                out.iter_mut().zip(&values[range]).for_each(|(out, value)| *out = value.to_f32());
            }
            Self::Int8 { values, scales } => {
                let scale = scales[row];
                out.iter_mut().zip(&values[range]).for_each(|(out, value)| *out = f32::from(*value) * scale);
            }
            Self::None => return false,
        }
        true
    }
}
