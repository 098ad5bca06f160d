//! What a section is made of.

use std::fmt;

use half::f16;
use half::slice::HalfBitsSliceExt;

/// The type of a section's elements. The numbers are those in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum ElementType {
    /// `u8`, also text.
    U8 = 1,
    /// `i8`.
    I8 = 2,
    /// `u16`.
    U16 = 3,
    /// `u32`.
    U32 = 4,
    /// `i32`.
    I32 = 5,
    /// `u64`.
    U64 = 6,
    /// `i64`.
    I64 = 7,
    /// [`half::f16`].
    F16 = 8,
    /// `f32`.
    F32 = 9,
    /// `f64`.
    F64 = 10,
}

impl ElementType {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::U8,
        Self::I8,
        Self::U16,
        Self::U32,
        Self::I32,
        Self::U64,
        Self::I64,
        Self::F16,
        Self::F32,
        Self::F64,
    ];

    /// Bytes an element.
    pub const fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    pub(super) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|element| *element as u32 == number)
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        })
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A number that sections can be made of: any bytes of the right length are a value.
pub trait Element: sealed::Sealed + Copy + Send + Sync + 'static {
    /// Its name in the file.
    const TYPE: ElementType;

    /// Bytes as elements, without a copy; `None` where length or alignment do not allow it.
    fn view(bytes: &[u8]) -> Option<&[Self]>;

    /// Elements as bytes, without a copy.
    fn bytes(values: &[Self]) -> &[u8];
}

macro_rules! elements {
    ($($number:ty => $element:ident),* $(,)?) => {$(
        impl sealed::Sealed for $number {}
        impl Element for $number {
            const TYPE: ElementType = ElementType::$element;

            fn view(bytes: &[u8]) -> Option<&[Self]> {
                bytemuck::try_cast_slice(bytes).ok()
            }

            fn bytes(values: &[Self]) -> &[u8] {
                bytemuck::cast_slice(values)
            }
        }
    )*};
}

elements!(u8 => U8, i8 => I8, u16 => U16, u32 => U32, i32 => I32, u64 => U64, i64 => I64, f32 => F32, f64 => F64);

impl sealed::Sealed for f16 {}
impl Element for f16 {
    const TYPE: ElementType = ElementType::F16;

    fn view(bytes: &[u8]) -> Option<&[Self]> {
        u16::view(bytes).map(|bits| bits.reinterpret_cast())
    }

    fn bytes(values: &[Self]) -> &[u8] {
        use half::slice::HalfFloatSliceExt;
        u16::bytes(values.reinterpret_cast())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_one_type_each() {
        for element in ElementType::ALL {
            assert_eq!(ElementType::from_number(*element as u32), Some(*element));
        }
        assert!(ElementType::from_number(0).is_none() && ElementType::from_number(11).is_none());
    }

    #[test]
    fn values_and_bytes_are_the_same_memory() {
        fn both<T: Element + PartialEq + std::fmt::Debug>(values: &[T]) {
            let bytes = T::bytes(values);
            assert_eq!(bytes.len(), std::mem::size_of_val(values));
            assert_eq!(T::TYPE.size(), size_of::<T>());
            assert_eq!(T::view(bytes).unwrap(), values);
            assert_eq!(T::view(bytes).unwrap().as_ptr(), values.as_ptr());
            let cut = &bytes[..bytes.len() - 1];
            assert!(T::view(cut).is_none() || T::TYPE.size() == 1);
        }
        both(&[0u8, 255]);
        both(&[i8::MIN, 1]);
        both(&[u16::MAX, 1]);
        both(&[u32::MAX, 1]);
        both(&[i32::MIN, 1]);
        both(&[u64::MAX, 1]);
        both(&[i64::MIN, 1]);
        both(&[f16::MAX, f16::NEG_INFINITY]);
        both(&[f32::MAX, -0.0]);
        both(&[f64::MAX, -0.0]);
    }
}
