//! NumPy's `.npy` files: features, label arrays, the `<set>_list.npy` of face verification sets.
//!
//! Read are booleans, integers and floats of 2, 4 and 8 bytes, either byte order, either memory order, format versions
//! 1 to 3. Pickled objects, structured and complex types are refused: nothing in a file is ever executed.

use std::path::Path;

use ocelli_method::npy::bools_to_bytes;
pub use ocelli_method::npy::{parse, to_bytes};
use ocelli_method::{Array, Data};

use crate::error::DataError;
use crate::image::write_atomically;

/// Reads an array. `bool` and `uint8` come as bytes, other integers as `int64`, half precision as single.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Content`] names the file and what is wrong with it.
pub fn read(path: impl AsRef<Path>) -> Result<Array, DataError> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    parse(&bytes).map_err(|reason| DataError::content(path, reason))
}

/// Reads a list of booleans, as `<set>_list.npy` holds them: an array of one dimension, of `bool` or of 0 and 1.
///
/// # Errors
/// As [`read`].
pub fn read_bools(path: impl AsRef<Path>) -> Result<Vec<bool>, DataError> {
    let path = path.as_ref();
    let array = read(path)?;
    let found =
        format!("one dimension of booleans expected, found {} of {:?}", array.data().kind(), array.shape());
    let bools = match (array.shape(), array.data()) {
        ([_], Data::U8(values)) => values.iter().map(|&v| (v <= 1).then_some(v == 1)).collect(),
        ([_], Data::I64(values)) => values.iter().map(|&v| (0..=1).contains(&v).then_some(v == 1)).collect(),
        _ => None,
    };
    bools.ok_or_else(|| DataError::content(path, found))
}

/// Writes an array, version 1.0, in row-major order.
///
/// # Errors
/// [`DataError::Write`].
pub fn write(path: impl AsRef<Path>, array: &Array) -> Result<(), DataError> {
    write_atomically(path, &to_bytes(array))
}

/// Writes a list of booleans as an array of one dimension.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_bools(path: impl AsRef<Path>, values: &[bool]) -> Result<(), DataError> {
    write_atomically(path, &bools_to_bytes(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte for byte what `numpy.save` writes for `np.array([True, False])`.
    #[test]
    fn bools_are_written_as_numpy_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lfw_list.npy");
        write_bools(&path, &[true, false]).unwrap();
        let mut wanted =
            b"\x93NUMPY\x01\x00\x76\x00{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }".to_vec();
        wanted.resize(127, b' ');
        wanted.extend(b"\n\x01\x00");
        assert_eq!(std::fs::read(&path).unwrap(), wanted);
        assert_eq!(read_bools(&path).unwrap(), [true, false]);

        write(&path, &Array::integers([1, 0, 1])).unwrap();
        assert_eq!(read_bools(&path).unwrap(), [true, false, true]);
        write(&path, &Array::integers([1, 2])).unwrap();
        assert!(read_bools(&path).unwrap_err().to_string().contains("lfw_list.npy"));
        write(&path, &Array::vector([1.0])).unwrap();
        assert!(read_bools(&path).is_err());
    }
}
