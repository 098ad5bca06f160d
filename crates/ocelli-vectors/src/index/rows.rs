//! Vectors as they come in, and as they are kept for exact reordering.

use std::sync::Arc;

use half::f16;

use super::error::IndexError;
use super::file::{OpenError, column};
use crate::container::{Column, Container, ContainerError, ContainerWriter};
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

    /// The same, unless scores of these vectors with each other would leave the range of single precision.
    pub(super) fn of_moderate_length(self, what: &'static str) -> Result<Self, IndexError> {
        match self.data.chunks_exact(self.dim).position(|row| !row_f32(row, row).is_finite()) {
            Some(row) => Err(IndexError::TooLong { what, row }),
            None => Ok(self),
        }
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
    F32(Column<f32>),
    F16(Column<f16>),
    Int8 { values: Column<i8>, scales: Column<f32> },
    None,
}

impl Stored {
    /// Stores vectors, given with their numbers in errors.
    pub(super) fn new<'a>(
        storage: Storage,
        dim: usize,
        rows: impl ExactSizeIterator<Item = (usize, &'a [f32])>,
    ) -> Result<Self, IndexError> {
        let elements = rows.len() * dim;
        Ok(match storage {
            Storage::F32 => {
                let mut values = Vec::with_capacity(elements);
                rows.for_each(|(_, x)| values.extend_from_slice(x));
                Self::F32(values.into())
            }
            Storage::F16 => {
                let mut values = Vec::with_capacity(elements);
                for (row, x) in rows {
                    let start = values.len();
                    values.extend(x.iter().map(|value| f16::from_f32(*value)));
                    let large = values[start..].iter().position(|value| !value.is_finite());
                    if let Some(element) = large {
                        return Err(IndexError::TooLargeForHalf { row, element, value: x[element] });
                    }
                }
                Self::F16(values.into())
            }
            Storage::Int8 => {
                let (mut values, mut scales) = (Vec::with_capacity(elements), Vec::with_capacity(rows.len()));
                for (_, x) in rows {
                    let largest = x.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
                    values.extend(x.iter().map(|value| (value * inverse).round() as i8));
                    scales.push(largest / 127.0);
                }
                Self::Int8 { values: values.into(), scales: scales.into() }
            }
            Storage::None => Self::None,
        })
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

    /// Bytes that the vectors take.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::F32(values) => 4 * values.len(),
            Self::F16(values) => 2 * values.len(),
            Self::Int8 { values, scales } => values.len() + 4 * scales.len(),
            Self::None => 0,
        }
    }

    /// The vector `row` as it is kept; false when it is not.
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

    /// Rows of several of these, all in one storage, as they are kept: each by its part and its row there.
    pub(super) fn gathered(parts: &[&Self], dim: usize, rows: &[(u32, u32)]) -> Self {
        fn gather<'a, T: Copy + 'a>(
            rows: &[(u32, u32)],
            width: usize,
            part: impl Fn(usize) -> &'a [T],
        ) -> Vec<T> {
            let slice = |&(number, row): &(u32, u32)| {
                part(number as usize)[row as usize * width..(row as usize + 1) * width].iter().copied()
            };
            rows.iter().flat_map(slice).collect()
        }
        match parts.first() {
            Some(Self::F32(_)) => Self::F32(gather(rows, dim, |i| parts[i].f32()).into()),
            Some(Self::F16(_)) => Self::F16(gather(rows, dim, |i| parts[i].f16()).into()),
            Some(Self::Int8 { .. }) => Self::Int8 {
                values: gather(rows, dim, |i| parts[i].int8().0).into(),
                scales: gather(rows, 1, |i| parts[i].int8().1).into(),
            },
            Some(Self::None) | None => Self::None,
        }
    }

    fn f32(&self) -> &[f32] {
        if let Self::F32(values) = self { values } else { &[] }
    }

    fn f16(&self) -> &[f16] {
        if let Self::F16(values) = self { values } else { &[] }
    }

    fn int8(&self) -> (&[i8], &[f32]) {
        if let Self::Int8 { values, scales } = self { (values, scales) } else { (&[], &[]) }
    }

    /// Writes sections that begin with `name`.
    pub(super) fn save(
        &self,
        writer: &mut ContainerWriter,
        name: &str,
        dim: usize,
    ) -> Result<(), ContainerError> {
        match self {
            Self::F32(values) => writer.section(name, &[values.len() / dim, dim], values),
            Self::F16(values) => writer.section(name, &[values.len() / dim, dim], values),
            Self::Int8 { values, scales } => {
                writer.section(name, &[scales.len(), dim], values)?;
                writer.section(&format!("{name}.scales"), &[scales.len()], scales)
            }
            Self::None => Ok(()),
        }
    }

    /// What [`Self::save`] wrote for `count` vectors.
    pub(super) fn open(
        container: &Arc<Container>,
        name: &str,
        storage: Storage,
        shape: [usize; 2],
    ) -> Result<Self, OpenError> {
        Ok(match storage {
            Storage::F32 => Self::F32(column(container, name, &shape)?),
            Storage::F16 => Self::F16(column(container, name, &shape)?),
            Storage::Int8 => Self::Int8 {
                values: column(container, name, &shape)?,
                scales: column(container, &format!("{name}.scales"), &shape[..1])?,
            },
            Storage::None => Self::None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BuildConfig, Index, Similarity};
    use super::*;

    #[test]
    fn vectors_too_long_for_their_scores_are_named() {
        let mut data: Vec<f32> = (0..200).map(|i| (i * 37 % 11) as f32 - 5.0).collect();
        let config = |similarity| BuildConfig { similarity, ..BuildConfig::default() };
        let mut index =
            Index::build(Rows::new("rows", &data, 4).unwrap(), None, &config(Similarity::SquaredL2)).unwrap();
        data[9] = 2e19;
        let rows = Rows::new("rows", &data, 4).unwrap();
        for similarity in [Similarity::SquaredL2, Similarity::InnerProduct] {
            let said = Index::build(rows, None, &config(similarity)).unwrap_err().to_string();
            assert!(said.contains("the vectors: row 2 is longer than"), "{said}");
        }
        let ids: Vec<u64> = (100..150).collect();
        let said = index.add(rows, &ids).unwrap_err().to_string();
        assert!(said.contains("the vectors to add: row 2"), "{said}");
        // Of directions alone, length does not matter.
        assert!(Index::build(rows, None, &config(Similarity::Cosine)).is_ok());
    }
}
