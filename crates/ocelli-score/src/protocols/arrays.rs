//! Arrays in files, as several protocols take them: features, scores, ids.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::columns::read_numbers;
use ocelli_data::annotations::{npy, vecs};
use ocelli_method::{Array, Data};
use ocelli_metrics::Matrix;

use crate::{Result, ScoreError};

/// An array of any kind, in double precision, that knows its file.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) path: PathBuf,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f64>,
}

impl Table {
    /// Reads an `.npy` file, `.fvecs`, `.ivecs` or `.bvecs`, or a text file of a number a line.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let array = read_array(path)?;
        Ok(Self { path: path.to_owned(), shape: array.shape().to_vec(), values: array.to_f64() })
    }

    /// Reads the parts of one table, which must agree in all dimensions but the first, and joins them.
    pub(crate) fn read_shards(paths: &[PathBuf]) -> Result<Self> {
        let (first, rest) =
            paths.split_first().ok_or_else(|| ScoreError::Files("no file was given".to_owned()))?;
        let mut whole = Self::read(first)?;
        for path in rest {
            let part = Self::read(path)?;
            if part.shape.get(1..) != whole.shape.get(1..) || part.shape.is_empty() {
                let reason =
                    format!("shape {:?} does not continue {:?} of the first file", part.shape, whole.shape);
                return Err(ScoreError::content(path, reason));
            }
            whole.shape[0] += part.shape[0];
            whole.values.extend(part.values);
        }
        Ok(whole)
    }

    /// Length of the first dimension.
    pub(crate) fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The shape, when it has `D` dimensions.
    pub(crate) fn dims<const D: usize>(&self, wanted: &str) -> Result<[usize; D]> {
        let dims = <[usize; D]>::try_from(self.shape.as_slice());
        dims.map_err(|_| {
            ScoreError::content(&self.path, format!("{wanted} is expected, found shape {:?}", self.shape))
        })
    }

    /// The table as a matrix of two dimensions.
    pub(crate) fn matrix(&self, name: &'static str) -> Result<Matrix<'_>> {
        let shape = self.dims::<2>("an array of rows and columns")?;
        Matrix::new(name, &self.values, shape).map_err(|e| ScoreError::content(&self.path, e.to_string()))
    }

    /// The elements as integers.
    pub(crate) fn integers(&self) -> Result<Vec<i64>> {
        // Doubles hold integers exactly up to 2^53; ids and labels are far below.
        let whole = |(i, v): (usize, &f64)| match v.fract() == 0.0 && v.abs() < 9e15 {
            true => Ok(*v as i64),
            false => {
                Err(ScoreError::content(&self.path, format!("element {i} is {v}; an integer is expected")))
            }
        };
        self.values.iter().enumerate().map(whole).collect()
    }
}

/// The array of a file, whose form its ending tells.
pub(crate) fn read_array(path: &Path) -> Result<Array> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    Ok(match ending.as_str() {
        "npy" => npy::read(path)?,
        "fvecs" | "ivecs" | "bvecs" => vecs::read(path)?,
        _ => Array::vector_f64(read_numbers(path)?),
    })
}

/// Writes a table of double precision, for self-tests.
pub(crate) fn write(path: &Path, shape: &[usize], values: Vec<f64>) -> Result<()> {
    let array = Array::new(shape, Data::F64(values)).map_err(|e| ScoreError::content(path, e.to_string()))?;
    Ok(npy::write(path, &array)?)
}

/// Exactly two files, such as those of queries and gallery.
pub(crate) fn pair<'a>(files: &'a [PathBuf], option: &str, what: &str) -> Result<[&'a Path; 2]> {
    match files {
        [first, second] => Ok([first, second]),
        _ => Err(ScoreError::Files(format!("{option} takes two files, {what}; found {}", files.len()))),
    }
}
