//! Vectors of the TEXMEX corpora: `.fvecs` (floats), `.ivecs` (integers), `.bvecs` (bytes).
//!
//! Each vector is its length as a little-endian 32-bit integer, then its elements. All vectors of a file have one length.

use std::path::Path;

use ocelli_method::{Array, Data};

use crate::error::DataError;
use crate::image::write_atomically;

/// Reads a file as an array `[N, D]`: single precision, 64-bit integers or bytes by the path's ending.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Content`] for another ending, a truncated file, and vectors of several lengths.
pub fn read(path: impl AsRef<Path>) -> Result<Array, DataError> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    parse(&bytes, &ending).map_err(|reason| DataError::content(path, reason))
}

fn parse(bytes: &[u8], ending: &str) -> Result<Array, String> {
    let size = match ending {
        "fvecs" | "ivecs" => 4,
        "bvecs" => 1,
        _ => return Err("vectors are read from .fvecs, .ivecs and .bvecs".to_owned()),
    };
    let length = |bytes: &[u8]| bytes.first_chunk().map(|b| u32::from_le_bytes(*b) as usize);
    let width = length(bytes).filter(|w| *w > 0).ok_or("no vectors in the file, or one of length 0")?;
    let record = width.checked_mul(size).and_then(|n| n.checked_add(4)).ok_or("the length overflows")?;
    if !bytes.len().is_multiple_of(record) {
        return Err(format!(
            "{} bytes are no whole number of vectors of {width}; it is cut short",
            bytes.len()
        ));
    }
    let records = bytes.chunks_exact(record);
    if let Some(odd) = records.clone().position(|r| length(r) != Some(width)) {
        return Err(format!("vector {odd} has another length than the first one's {width}"));
    }
    let rows = records.len();
    let elements = || records.clone().flat_map(|r| r[4..].chunks_exact(size));
    let word = |b: &[u8]| [b[0], b[1], b[2], b[3]];
    let data = match ending {
        "fvecs" => Data::F32(elements().map(|b| f32::from_le_bytes(word(b))).collect()),
        "ivecs" => Data::I64(elements().map(|b| i64::from(i32::from_le_bytes(word(b)))).collect()),
        _ => Data::U8(records.flat_map(|r| &r[4..]).copied().collect()),
    };
    Array::new([rows, width], data).map_err(|e| e.to_string())
}

/// Writes an array `[N, D]` in the form of the path's ending.
///
/// # Errors
/// [`DataError::Content`] for another ending, another element type than the ending's, another shape, or integers beyond
/// 32 bits; [`DataError::Write`].
pub fn write(path: impl AsRef<Path>, array: &Array) -> Result<(), DataError> {
    let path = path.as_ref();
    let fail = |reason: String| DataError::content(path, reason);
    let [_, width] = array.dims::<2>().map_err(|e| fail(e.to_string()))?;
    let length = u32::try_from(width).ok().filter(|w| *w > 0);
    let length = length.ok_or_else(|| fail(format!("vectors of length {width} cannot be written")))?;
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let elements: Vec<Vec<u8>> = match (ending.as_str(), array.data()) {
        ("fvecs", Data::F32(v)) => v.iter().map(|x| x.to_le_bytes().to_vec()).collect(),
        ("ivecs", Data::I64(v)) => {
            let narrow = |x: &i64| i32::try_from(*x).map(|x| x.to_le_bytes().to_vec());
            v.iter().map(narrow).collect::<Result<_, _>>().map_err(|e| fail(e.to_string()))?
        }
        ("bvecs", Data::U8(v)) => v.iter().map(|x| vec![*x]).collect(),
        (_, data) => return Err(fail(format!("{} elements do not go into `.{ending}`", data.kind()))),
    };
    let rows = elements.chunks_exact(width);
    let bytes: Vec<u8> = rows.flat_map(|row| length.to_le_bytes().into_iter().chain(row.concat())).collect();
    write_atomically(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_come_back() {
        let folder = tempfile::tempdir().unwrap();
        for (name, data) in [
            ("a.fvecs", Data::F32(vec![1.0, -2.5, 3.0, 0.0, 1e-9, 7.0])),
            ("a.ivecs", Data::I64(vec![1, -2, 3, 4, 5, 60_000])),
            ("a.bvecs", Data::U8(vec![1, 2, 255, 4, 5, 6])),
        ] {
            let path = folder.path().join(name);
            let array = Array::new([2, 3], data).unwrap();
            write(&path, &array).unwrap();
            assert_eq!(read(&path).unwrap(), array);
        }
        let floats = Array::f32([1, 1], vec![1.0]).unwrap();
        assert!(write(folder.path().join("a.ivecs"), &floats).is_err());
        assert!(write(folder.path().join("a.fvecs"), &Array::vector([1.0])).is_err());
    }

    #[test]
    fn damaged_files_are_named() {
        let bytes = [2u32.to_le_bytes(), [0; 4], [0; 4]].concat();
        assert!(parse(&bytes, "fvecs").is_ok());
        assert!(parse(&bytes[..11], "fvecs").unwrap_err().contains("cut short"));
        let odd = [bytes.clone(), [1u32.to_le_bytes(), [0; 4], [0; 4]].concat()].concat();
        assert!(parse(&odd, "ivecs").unwrap_err().contains("vector 1 has another length"));
        assert!(parse(&[0; 4], "ivecs").is_err() && parse(&[], "ivecs").is_err());
        assert!(parse(&bytes, "txt").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (parse(&bytes, "fvecs"), parse(&bytes, "bvecs"));
        }
    }
}
