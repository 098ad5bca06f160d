//! Borrowed row-major matrices: embeddings (a row a picture) and score tables (a row a probe).

use crate::{MetricError, Result};

/// A borrowed row-major matrix of finite numbers that knows its name, so that errors can say which input is at fault.
///
/// ```
/// use ocelli_metrics::Matrix;
///
/// let gallery = Matrix::new("gallery", &[1.0, 0.0, 0.0, 1.0], [2, 2])?;
/// assert_eq!(gallery.row(1), [0.0, 1.0]);
/// assert!(Matrix::new("gallery", &[1.0, f64::NAN], [1, 2]).is_err());
/// # Ok::<(), ocelli_metrics::MetricError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    name: &'static str,
    values: &'a [f64],
    columns: usize,
}

impl<'a> Matrix<'a> {
    /// `values` as a matrix of `[rows, columns]`. Fails when they do not fill it, when it has no row or no column, or
    /// when a value is not finite.
    pub fn new(name: &'static str, values: &'a [f64], [rows, columns]: [usize; 2]) -> Result<Self> {
        let found = values.len();
        if rows.checked_mul(columns) != Some(found) {
            return Err(MetricError::Shape { name, found, rows, columns });
        }
        crate::check::at_least(name, found, 1)?;
        crate::check::finite(name, values)?;
        Ok(Self { name, values, columns })
    }

    /// The name it was given.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Number of rows, at least 1.
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// Number of columns, at least 1.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Row number `index`.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, index: usize) -> &'a [f64] {
        &self.values[index * self.columns..(index + 1) * self.columns]
    }

    /// All rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [f64]> + Clone + use<'a> {
        self.values.chunks_exact(self.columns)
    }

    /// All values, row by row.
    pub fn values(&self) -> &'a [f64] {
        self.values
    }

    /// That `other` has rows of the same width.
    pub(crate) fn same_width(&self, other: &Matrix<'_>) -> Result<()> {
        if self.columns == other.columns {
            return Ok(());
        }
        let wanted = format!("{}, as {} has", other.columns, other.name);
        Err(MetricError::Columns { name: self.name, found: self.columns, wanted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_matrix() {
        let shape = |values: &[f64], shape| Matrix::new("x", values, shape).map(|m| m.rows());
        assert_eq!(shape(&[1.0; 6], [2, 3]), Ok(2));
        assert!(matches!(shape(&[1.0; 6], [2, 4]), Err(MetricError::Shape { found: 6, .. })));
        assert!(matches!(shape(&[1.0; 6], [usize::MAX, 3]), Err(MetricError::Shape { .. })));
        assert!(matches!(shape(&[], [0, 3]), Err(MetricError::Empty { .. })));
        assert!(matches!(shape(&[], [3, 0]), Err(MetricError::Empty { .. })));
        let not_finite = shape(&[1.0, f64::INFINITY], [1, 2]);
        assert_eq!(not_finite.unwrap_err().to_string(), "x[1] is inf; only finite numbers can be ranked");
    }
}
