//! Files that need not be in memory as a whole: some of their rows at a time.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ocelli_method::Data;
use ocelli_method::npy::Head;

use super::front::ending;
use crate::error::DataError;

/// Bytes within which the header of a `.npy` file is looked for.
const HEAD: u64 = 1 << 16;

/// A file of vectors whose rows can be read from any place: `.fvecs`, `.ivecs`, `.bvecs`, and `.npy` in row-major order.
#[derive(Debug)]
pub struct Pieces {
    path: PathBuf,
    file: File,
    rows: usize,
    dim: usize,
    /// Where the first row starts.
    start: u64,
    /// Bytes a row.
    stride: usize,
    form: Form,
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum Form {
    /// A row begins with its length.
    Floats,
    Integers,
    Bytes,
    Array(Head),
}

impl Form {
    /// Bytes before a row's elements, and of one element.
    fn sizes(&self) -> [usize; 2] {
        match self {
            Self::Floats | Self::Integers => [4, 4],
            Self::Bytes => [4, 1],
            Self::Array(head) => [0, head.element_size()],
        }
    }
}

impl Pieces {
    /// Opens a file; `None` for formats that are read as a whole only.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Content`] when the file is cut short, empty or no array of rows.
    pub fn open(path: impl AsRef<Path>) -> Result<Option<Self>, DataError> {
        let path = path.as_ref();
        let form = match ending(path).as_str() {
            "fvecs" => Form::Floats,
            "ivecs" => Form::Integers,
            "bvecs" => Form::Bytes,
            "npy" => match array(path)? {
                Some(head) => Form::Array(head),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        Self::of(path, form).map(Some)
    }

    fn of(path: &Path, form: Form) -> Result<Self, DataError> {
        let read = |source| DataError::read(path, source);
        let fail = |reason: String| DataError::content(path, reason);
        let mut file = File::open(path).map_err(read)?;
        let length = file.metadata().map_err(read)?.len();
        let (start, dim) = match &form {
            Form::Array(head) => (head.start() as u64, head.shape()[1]),
            _ => {
                let mut first = [0; 4];
                file.read_exact(&mut first).map_err(|_| fail("there is no vector".into()))?;
                (0, u32::from_le_bytes(first) as usize)
            }
        };
        if dim == 0 {
            return Err(fail("vectors of dimension 0 hold nothing".into()));
        }
        let [before, size] = form.sizes();
        let stride = dim.checked_mul(size).and_then(|n| n.checked_add(before));
        let stride = stride.ok_or_else(|| fail(format!("vectors of dimension {dim} overflow")))?;
        let content = length.saturating_sub(start);
        let rows = (content / stride as u64) as usize;
        let promised = if let Form::Array(head) = &form { head.shape()[0] } else { rows };
        if !content.is_multiple_of(stride as u64) || rows != promised {
            let wanted = match &form {
                Form::Array(_) => format!("{promised} rows of {stride} bytes"),
                _ => format!("whole vectors of {dim}"),
            };
            return Err(fail(format!("{content} bytes of vectors are not {wanted}; is it cut short?")));
        }
        if rows == 0 {
            return Err(fail("there is no vector".into()));
        }
        Ok(Self { path: path.to_owned(), file, rows, dim, start, stride, form, bytes: Vec::new() })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row: never, as such a file is refused.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Elements in a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Appends rows, as single precision, to `into`.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Content`] for rows that are not there, rows of another length, and values that
    /// are not finite in single precision.
    pub fn read(&mut self, rows: Range<usize>, into: &mut Vec<f32>) -> Result<(), DataError> {
        if rows.start > rows.end || rows.end > self.rows {
            let reason = format!("rows {rows:?} are not all among its {}", self.rows);
            return Err(DataError::content(&self.path, reason));
        }
        // Bytes are read a few at a time, so that they need little room beside the numbers.
        let step = ((4 << 20) / self.stride).max(1);
        into.reserve_exact(rows.len() * self.dim);
        for start in rows.clone().step_by(step) {
            self.some(start, step.min(rows.end - start), into)?;
        }
        Ok(())
    }

    fn some(&mut self, first: usize, count: usize, into: &mut Vec<f32>) -> Result<(), DataError> {
        let Self { path, file, dim, stride, .. } = self;
        let read = |source| DataError::read(&*path, source);
        let fail = |reason: String| DataError::content(&*path, reason);
        file.seek(SeekFrom::Start(self.start + (first * *stride) as u64)).map_err(read)?;
        self.bytes.resize(count * *stride, 0);
        file.read_exact(&mut self.bytes).map_err(read)?;
        let [before, size] = self.form.sizes();
        let begun = into.len();
        for (row, bytes) in self.bytes.chunks_exact(*stride).enumerate() {
            let (length, elements) = bytes.split_at(before);
            if length.first_chunk().is_some_and(|l| u32::from_le_bytes(*l) as usize != *dim) {
                let row = first + row;
                return Err(fail(format!("vector {row} has another length than the first one's {dim}")));
            }
            let words = || elements.chunks_exact(size).filter_map(|word| word.first_chunk::<4>().copied());
            match &self.form {
                Form::Floats => into.extend(words().map(f32::from_le_bytes)),
                Form::Integers => into.extend(words().map(|word| i32::from_le_bytes(word) as f32)),
                Form::Bytes => into.extend(elements.iter().map(|byte| f32::from(*byte))),
                Form::Array(head) => match head.decode(elements).map_err(fail)? {
                    Data::F32(values) => into.extend(values),
                    Data::F64(values) => into.extend(values.iter().map(|value| *value as f32)),
                    Data::I64(values) => into.extend(values.iter().map(|value| *value as f32)),
                    Data::U8(values) => into.extend(values.iter().map(|value| f32::from(*value))),
                },
            }
        }
        match into[begun..].iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => {
                let (row, column, value) = (first + at / *dim, at % *dim, into[begun + at]);
                Err(fail(format!(
                    "row {row}, column {column} (counted from 0) is {value} in single precision"
                )))
            }
        }
    }
}

/// The head of a `.npy` file of rows; `None` where it is in column-major order.
fn array(path: &Path) -> Result<Option<Head>, DataError> {
    let read = |source| DataError::read(path, source);
    let fail = |reason: String| DataError::content(path, reason);
    let mut bytes = Vec::new();
    File::open(path).map_err(read)?.take(HEAD).read_to_end(&mut bytes).map_err(read)?;
    let head = Head::parse(&bytes).map_err(fail)?;
    match head.shape() {
        [_, _] => Ok(head.is_row_major().then_some(head)),
        other => Err(fail(format!("rows and columns are expected, found an array of shape {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, ReadOptions};
    use ocelli_method::{Array, npy};
    use proptest::prelude::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn pieces_make_up_what_is_read_at_once() {
        let folder = folder();
        for (name, data) in [
            ("a.fvecs", Data::F32((0..21).map(|i| i as f32 * 0.5).collect())),
            ("a.ivecs", Data::I64((-10..11).collect())),
            ("a.bvecs", Data::U8((200..221).collect())),
            ("b.npy", Data::F32((0..21).map(|i| -(i as f32)).collect())),
            ("c.npy", Data::F64((0..21).map(f64::from).collect())),
            ("d.npy", Data::I64((0..21).collect())),
            ("e.npy", Data::U8((0..21).collect())),
        ] {
            let path = folder.path().join(name);
            let array = Array::new([7, 3], data).unwrap();
            match name.ends_with("npy") {
                true => std::fs::write(&path, npy::to_bytes(&array)).unwrap(),
                false => crate::annotations::vecs::write(&path, &array).unwrap(),
            }
            let whole = vectors::read(&path, &ReadOptions::default()).unwrap();
            let mut pieces = Pieces::open(&path).unwrap().unwrap();
            assert_eq!((pieces.len(), pieces.dim()), (7, 3));
            let mut rows = Vec::new();
            for part in [0..2, 2..2, 2..7] {
                pieces.read(part, &mut rows).unwrap();
            }
            assert_eq!(rows, whole.rows, "{name}");
            assert!(pieces.read(5..8, &mut rows).is_err());
        }
        std::fs::write(folder.path().join("x.csv"), "1,2\n").unwrap();
        assert!(Pieces::open(folder.path().join("x.csv")).unwrap().is_none());
    }

    #[test]
    fn damage_is_told_by_row() {
        let folder = folder();
        let path = folder.path().join("a.fvecs");
        let row = |length: u32, value: f32| [length.to_le_bytes(), value.to_le_bytes()].concat();
        let says = |bytes: Vec<u8>| {
            std::fs::write(&path, bytes).unwrap();
            let read = || {
                let mut pieces = Pieces::open(&path)?.unwrap();
                pieces.read(0..pieces.len(), &mut Vec::new())
            };
            read().unwrap_err().to_string()
        };
        assert!(says(Vec::new()).contains("no vector"));
        assert!(says(row(1, 2.0)[..7].to_vec()).contains("cut short"));
        assert!(says([row(1, 2.0), row(2, 2.0)].concat()).contains("vector 1 has another length"));
        assert!(says([row(1, 2.0), row(1, f32::NAN)].concat()).contains("row 1, column 0"));
        assert!(says(row(0, 0.0)).contains("dimension 0"));
        let path = folder.path().join("a.npy");
        let bytes = npy::to_bytes(&Array::f32([2, 2], vec![0.0; 4]).unwrap());
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(Pieces::open(&path).unwrap_err().to_string().contains("cut short"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), mark: bool) {
            let folder = folder();
            for name in ["a.fvecs", "a.bvecs", "a.npy"] {
                let path = folder.path().join(name);
                let head: &[u8] = if mark && name == "a.npy" { b"\x93NUMPY\x01\x00" } else { b"" };
                std::fs::write(&path, [head, &bytes].concat()).unwrap();
                if let Ok(Some(mut pieces)) = Pieces::open(&path) {
                    let _ = pieces.read(0..pieces.len(), &mut Vec::new());
                }
            }
        }
    }
}
