//! Sixteen lanes, by instruction set: what the tiles of fused convolutions are written in.
#![allow(unsafe_code)] // loads and stores through pointers, and calls that need the processor's features

/// Lanes of a vector.
pub(super) const UNIT: usize = 16;

/// Sixteen numbers in registers.
///
/// # Safety
/// All methods: the processor has the features of the implementing type, and pointers reach as many numbers as the method
/// moves. They are `inline(always)` so that they become part of the function that enables those features.
pub(super) trait Vector: Copy {
    /// All lanes `value`.
    unsafe fn splat(value: f32) -> Self;
    /// Sixteen neighbours.
    unsafe fn load(from: *const f32) -> Self;
    /// The first `count` of sixteen neighbours; the other lanes are zero.
    unsafe fn load_part(from: *const f32, count: usize) -> Self;
    /// Writes all lanes.
    unsafe fn store(self, to: *mut f32);
    /// Writes the first `count` lanes.
    unsafe fn store_part(self, to: *mut f32, count: usize);
    /// Sum of lanes.
    unsafe fn add(self, other: Self) -> Self;
    /// Product of lanes.
    unsafe fn mul(self, other: Self) -> Self;
    /// `self + a * b`.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// `self + a * b` of lanes that each hold two numbers in bfloat16, both of whose products are added.
    unsafe fn add_pairs(self, a: Self, b: Self) -> Self;
    /// The larger of each lane; NaN of `other` stays.
    unsafe fn max(self, other: Self) -> Self;
    /// The smaller of each lane; NaN of `other` stays.
    unsafe fn min(self, other: Self) -> Self;
    /// Lanes of `self` where they are above zero, else those of `other`.
    unsafe fn positive_or(self, other: Self) -> Self;
}

/// Plain Rust; every other vector is tested against it.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; UNIT]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, of: impl Fn(f32, f32) -> f32) -> Self {
        let mut lanes = self.0;
        lanes.iter_mut().zip(other.0).for_each(|(lane, other)| *lane = of(*lane, other));
        Self(lanes)
    }
}

/// The two numbers of a pair in bfloat16, the first in the low half.
#[inline(always)]
fn pair(word: f32) -> [f32; 2] {
    let bits = word.to_bits();
    [f32::from_bits(bits << 16), f32::from_bits(bits & 0xFFFF_0000)]
}

impl Vector for Portable {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; UNIT])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: by contract.
        Self(unsafe { from.cast::<[f32; UNIT]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0; UNIT];
        // SAFETY: `count` numbers can be read by contract, and are at most `UNIT`.
        unsafe { lanes.as_mut_ptr().copy_from_nonoverlapping(from, count.min(UNIT)) };
        Self(lanes)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: by contract.
        unsafe { to.cast::<[f32; UNIT]>().write_unaligned(self.0) };
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, count: usize) {
        // SAFETY: `count` numbers can be written by contract, and are at most `UNIT`.
        unsafe { to.copy_from_nonoverlapping(self.0.as_ptr(), count.min(UNIT)) };
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        self.zip(a.zip(b, |a, b| a * b), |sum, product| sum + product)
    }

    #[inline(always)]
    unsafe fn add_pairs(self, a: Self, b: Self) -> Self {
        let both = |a: f32, b: f32| {
            let ([a, c], [b, d]) = (pair(a), pair(b));
            c * d + a * b
        };
        self.zip(a.zip(b, both), |sum, product| sum + product)
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    unsafe fn positive_or(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > 0.0 { a } else { b })
    }
}
