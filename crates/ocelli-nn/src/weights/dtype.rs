//! Element types of weight files, memory layouts, and the decoding of raw bytes to arrays.

use ocelli_method::{Array, Data};

use super::error::Problem;
use super::limits::{Limits, MAX_DIMS};

/// Element type of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dtype {
    /// IEEE half precision.
    F16,
    /// Brain floating point: the upper half of a single-precision number.
    BF16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// Signed byte.
    I8,
    /// Signed 16-bit integer.
    I16,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer.
    I64,
    /// Byte.
    U8,
    /// Unsigned 16-bit integer.
    U16,
    /// Unsigned 32-bit integer.
    U32,
    /// Unsigned 64-bit integer.
    U64,
    /// A truth value in one byte.
    Bool,
}

/// One row a type: the type, its name, its storage class in PyTorch before the untyped storages, its NumPy code.
const TYPES: [(Dtype, &str, &str, &str); 13] = [
    (Dtype::F16, "float16", "HalfStorage", "f2"),
    (Dtype::BF16, "bfloat16", "BFloat16Storage", ""),
    (Dtype::F32, "float32", "FloatStorage", "f4"),
    (Dtype::F64, "float64", "DoubleStorage", "f8"),
    (Dtype::I8, "int8", "CharStorage", "i1"),
    (Dtype::I16, "int16", "ShortStorage", "i2"),
    (Dtype::I32, "int32", "IntStorage", "i4"),
    (Dtype::I64, "int64", "LongStorage", "i8"),
    (Dtype::U8, "uint8", "ByteStorage", "u1"),
    (Dtype::U16, "uint16", "", "u2"),
    (Dtype::U32, "uint32", "", "u4"),
    (Dtype::U64, "uint64", "", "u8"),
    (Dtype::Bool, "bool", "BoolStorage", "b1"),
];

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
            Dtype::F16 | Dtype::BF16 | Dtype::I16 | Dtype::U16 => 2,
            Dtype::F32 | Dtype::I32 | Dtype::U32 => 4,
            Dtype::F64 | Dtype::I64 | Dtype::U64 => 8,
        }
    }

    /// Bytes of one element after decoding (see [`Dtype::decode`]).
    pub(super) fn decoded_size(self) -> usize {
        match self {
            Dtype::U8 | Dtype::Bool => 1,
            Dtype::F16 | Dtype::BF16 | Dtype::F32 => 4,
            _ => 8,
        }
    }

    /// The name in PyTorch and NumPy, such as `float32`.
    pub fn name(self) -> &'static str {
        TYPES.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// The type of that name in PyTorch.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        TYPES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// The element type of a PyTorch storage class such as `FloatStorage`.
    pub(super) fn from_storage_class(class: &str) -> Option<Self> {
        TYPES.iter().find(|row| !row.2.is_empty() && row.2 == class).map(|row| row.0)
    }

    /// The type of a NumPy code without its byte order, such as `f4`.
    pub(super) fn from_numpy(code: &str) -> Option<Self> {
        TYPES.iter().find(|row| !row.3.is_empty() && row.3 == code).map(|row| row.0)
    }

    /// Decodes the elements that `layout` picks from `bytes`, row-major: floats to single precision (double stays
    /// double), integers to 64 bits, bytes and truth values to bytes.
    ///
    /// # Errors
    /// [`Problem::Corrupt`] when the layout leaves the buffer or an unsigned 64-bit integer passes the signed range.
    pub(super) fn decode(self, bytes: &[u8], layout: &Layout, order: ByteOrder) -> Result<Array, Problem> {
        let pick = Pick { bytes, layout, order };
        let data = match self {
            Dtype::F16 => pick.map(|b| f16_to_f32(u16::from_le_bytes(b))).map(Data::F32),
            Dtype::BF16 => {
                pick.map(|b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)).map(Data::F32)
            }
            Dtype::F32 => pick.map(f32::from_le_bytes).map(Data::F32),
            Dtype::F64 => pick.map(f64::from_le_bytes).map(Data::F64),
            Dtype::I8 => pick.map(|b| i64::from(i8::from_le_bytes(b))).map(Data::I64),
            Dtype::I16 => pick.map(|b| i64::from(i16::from_le_bytes(b))).map(Data::I64),
            Dtype::I32 => pick.map(|b| i64::from(i32::from_le_bytes(b))).map(Data::I64),
            Dtype::I64 => pick.map(i64::from_le_bytes).map(Data::I64),
            Dtype::U8 => pick.map(|[b]: [u8; 1]| b).map(Data::U8),
            Dtype::Bool => pick.map(|[b]: [u8; 1]| u8::from(b != 0)).map(Data::U8),
            Dtype::U16 => pick.map(|b| i64::from(u16::from_le_bytes(b))).map(Data::I64),
            Dtype::U32 => pick.map(|b| i64::from(u32::from_le_bytes(b))).map(Data::I64),
            Dtype::U64 => {
                let wide = pick.map(u64::from_le_bytes)?;
                let narrow: Result<Vec<i64>, _> = wide.into_iter().map(i64::try_from).collect();
                narrow
                    .map(Data::I64)
                    .map_err(|_| Problem::corrupt("an unsigned integer passes the signed 64-bit range"))
            }
        }?;
        Ok(Array::new(layout.shape.clone(), data)?)
    }
}

/// Byte order of stored numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    /// Least significant byte first: every file of PyTorch, and NumPy's default.
    Little,
    /// Most significant byte first: NumPy types such as `>f4`.
    Big,
}

/// Where the elements of a tensor lie in its storage, in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

/// Row-major strides of a shape.
fn row_major(shape: &[usize]) -> Option<Vec<usize>> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].checked_mul(shape[axis])?;
    }
    Some(strides)
}

impl Layout {
    /// A layout that stays within a storage of `len` elements.
    ///
    /// # Errors
    /// [`Problem::Corrupt`] when it would leave the storage or its arithmetic overflows, [`Problem::TooLarge`] past
    /// the limits.
    pub(super) fn new(
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
        len: usize,
        limits: &Limits,
    ) -> Result<Self, Problem> {
        if shape.len() != strides.len() {
            return Err(Problem::corrupt(format!(
                "a tensor of {} dimensions has {} strides",
                shape.len(),
                strides.len()
            )));
        }
        check_size(&shape, limits)?;
        let layout = Self { offset, shape, strides };
        if layout.end().is_some_and(|end| end <= len) {
            Ok(layout)
        } else {
            let Self { shape, strides, .. } = layout;
            Err(Problem::corrupt(format!(
                "a tensor of shape {shape:?}, strides {strides:?} and offset {offset} leaves its storage of {len} elements"
            )))
        }
    }

    /// The row-major layout of a shape, from the start of its storage.
    ///
    /// # Errors
    /// [`Problem::TooLarge`] past the limits.
    pub(super) fn contiguous(shape: Vec<usize>, limits: &Limits) -> Result<Self, Problem> {
        check_size(&shape, limits)?;
        let strides =
            row_major(&shape).ok_or_else(|| Problem::corrupt("the strides of a tensor overflow"))?;
        Ok(Self { offset: 0, shape, strides })
    }

    /// The row-major layout of a shape, its dimensions then put in another order: dimension `i` of the result is
    /// dimension `axes[i]` of `shape`. `None` where `axes` is no permutation.
    ///
    /// # Errors
    /// [`Problem::TooLarge`] past the limits.
    pub(super) fn permuted(
        shape: Vec<usize>,
        axes: &[usize],
        limits: &Limits,
    ) -> Result<Option<Self>, Problem> {
        let Self { shape, strides, .. } = Self::contiguous(shape, limits)?;
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..shape.len()) {
            return Ok(None);
        }
        let pick = |values: &[usize]| axes.iter().map(|&axis| values[axis]).collect();
        Ok(Some(Self { offset: 0, shape: pick(&shape), strides: pick(&strides) }))
    }

    /// The shape.
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements; the constructors made sure that it does not overflow.
    pub(super) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// One past the last element of the storage that the tensor touches; `None` on overflow.
    fn end(&self) -> Option<usize> {
        // Nothing is touched; a slice past the end still carries its offset.
        if self.shape.contains(&0) {
            return Some(0);
        }
        let last = self.shape.iter().zip(&self.strides).try_fold(self.offset, |last, (&size, &stride)| {
            last.checked_add((size - 1).checked_mul(stride)?)
        })?;
        last.checked_add(1)
    }

    /// Whether the elements lie one after the other in row-major order.
    fn is_contiguous(&self) -> bool {
        let Some(strides) = row_major(&self.shape) else { return false };
        self.shape
            .iter()
            .zip(self.strides.iter().zip(&strides))
            .all(|(&size, (have, want))| size == 1 || have == want)
    }
}

/// Checks the number of dimensions and of elements.
fn check_size(shape: &[usize], limits: &Limits) -> Result<(), Problem> {
    if shape.len() > MAX_DIMS {
        return Err(Problem::TooLarge {
            what: "the number of dimensions of a tensor",
            limit: MAX_DIMS as u64,
        });
    }
    // Zero dimensions count as one: the product of the others must be sane too.
    let elements = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size.max(1)));
    match elements {
        Some(n) if n as u64 <= limits.tensor_elements => Ok(()),
        _ => Err(Problem::TooLarge {
            what: "the number of elements of a tensor",
            limit: limits.tensor_elements,
        }),
    }
}

/// The elements of a buffer that a layout picks.
struct Pick<'a> {
    bytes: &'a [u8],
    layout: &'a Layout,
    order: ByteOrder,
}

impl Pick<'_> {
    /// Converts every picked element of `N` bytes, given least significant byte first.
    fn map<const N: usize, T>(&self, convert: impl Fn([u8; N]) -> T) -> Result<Vec<T>, Problem> {
        let (elements, _) = self.bytes.as_chunks::<N>();
        let convert = |&element: &[u8; N]| {
            let mut element = element;
            if self.order == ByteOrder::Big {
                element.reverse();
            }
            convert(element)
        };
        let outside = || Problem::corrupt("a tensor leaves its storage");
        let Layout { offset, shape, strides } = self.layout;
        if self.layout.end().is_none_or(|end| end > elements.len()) {
            return Err(outside());
        }
        let count = self.layout.elements();
        if self.layout.is_contiguous() {
            let start = if count == 0 { 0 } else { *offset };
            let run = elements.get(start..start + count).ok_or_else(outside)?;
            return Ok(run.iter().map(convert).collect());
        }
        let mut values = Vec::with_capacity(count);
        let mut index = vec![0usize; shape.len()];
        let mut at = *offset;
        for _ in 0..count {
            values.push(convert(elements.get(at).ok_or_else(outside)?));
            // The odometer: step the last dimension, carry into the ones before.
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                at -= strides[axis] * shape[axis];
                index[axis] = 0;
            }
        }
        Ok(values)
    }
}

/// The value of an IEEE half-precision number; exact.
fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let exponent = u32::from(half >> 10) & 0x1f;
    let fraction = u32::from(half) & 0x3ff;
    match exponent {
        // Zero and subnormal numbers: fraction * 2^-24, which single precision holds exactly.
        0 => {
            let magnitude = fraction as f32 / 16_777_216.0;
            f32::from_bits(magnitude.to_bits() | sign)
        }
        0x1f => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        // The exponent's bias is 15 there and 127 here.
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_exact() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(f16_to_f32(bits).to_bits(), f32::to_bits(value), "{bits:#06x}");
        }
        assert!(f16_to_f32(0x7e00).is_nan());
        assert_eq!(f16_to_f32(0x8000).to_bits(), (-0.0f32).to_bits());
    }

    #[test]
    fn strided_layouts_pick_elements() {
        let limits = Limits::default();
        let bytes: Vec<u8> = (0..12).collect();
        let picked = |offset, shape: &[usize], strides: &[usize]| {
            let layout = Layout::new(offset, shape.to_vec(), strides.to_vec(), 12, &limits)?;
            Dtype::U8.decode(&bytes, &layout, ByteOrder::Little).map(|a| a.as_u8().unwrap().to_vec())
        };
        assert_eq!(picked(0, &[2, 3], &[3, 1]).unwrap(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(picked(0, &[3, 2], &[1, 3]).unwrap(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(picked(5, &[2, 2], &[4, 2]).unwrap(), [5, 7, 9, 11]);
        assert_eq!(picked(3, &[4], &[0]).unwrap(), [3, 3, 3, 3]);
        assert_eq!(picked(11, &[], &[]).unwrap(), [11]);
        assert_eq!(picked(12, &[0, 3], &[3, 1]).unwrap(), Vec::<u8>::new());
        assert_eq!(picked(16, &[2, 0], &[4, 1]).unwrap(), Vec::<u8>::new());
        assert!(picked(6, &[2, 2], &[4, 2]).is_err());
        assert!(picked(12, &[], &[]).is_err());
        assert!(picked(0, &[2], &[usize::MAX]).is_err());
        assert!(picked(usize::MAX, &[2], &[1]).is_err());
        assert!(picked(0, &[0, usize::MAX, 2], &[1, 1, 1]).is_err());
    }

    #[test]
    fn permuted_axes_and_big_endian_numbers() {
        let layout = Layout::permuted(vec![3, 2], &[1, 0], &Limits::default()).unwrap().unwrap();
        let bytes: Vec<u8> = (0u16..6).flat_map(u16::to_be_bytes).collect();
        let array = Dtype::U16.decode(&bytes, &layout, ByteOrder::Big).unwrap();
        assert_eq!(array.shape(), [2, 3]);
        assert_eq!(array.as_i64().unwrap(), [0, 2, 4, 1, 3, 5]);
        for axes in [&[0][..], &[0, 0], &[0, 2], &[0, 1, 2]] {
            assert_eq!(Layout::permuted(vec![3, 2], axes, &Limits::default()).unwrap(), None);
        }
    }

    #[test]
    fn too_large_unsigned_is_refused() {
        let layout = Layout::contiguous(vec![1], &Limits::default()).unwrap();
        assert!(Dtype::U64.decode(&[0xff; 8], &layout, ByteOrder::Little).is_err());
    }
}
