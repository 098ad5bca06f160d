//! [`Vector`] on AVX-512 and AVX2.
#![allow(unsafe_code)]
// loads and stores through pointers, and calls that need the processor's features
// SAFETY of all blocks: the processor has the features and the pointers reach far enough, by the trait's contract.
#![allow(clippy::undocumented_unsafe_blocks)]

use std::arch::x86_64::{
    __m256, __m512, _CMP_GT_OQ, _mm256_add_ps, _mm256_and_ps, _mm256_blendv_ps, _mm256_castps_si256,
    _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps,
    _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_slli_epi32, _mm256_storeu_ps,
    _mm512_add_ps, _mm512_and_epi32, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_mov_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_slli_epi32, _mm512_storeu_ps,
};

use super::vector::{UNIT, Vector};

/// The half of a pair that is in the upper bits.
const UPPER: i32 = 0xFFFF_0000_u32 as i32;

/// AVX-512F.
#[derive(Clone, Copy)]
pub(super) struct Avx512(pub(super) __m512);

/// The lanes below `count`.
#[inline(always)]
fn mask(count: usize) -> u16 {
    if count >= UNIT { u16::MAX } else { (1 << count) - 1 }
}

impl Vector for Avx512 {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> Self {
        Self(unsafe { _mm512_maskz_loadu_ps(mask(count), from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self.0) };
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, count: usize) {
        unsafe { _mm512_mask_storeu_ps(to, mask(count), self.0) };
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        Self(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
    }

    #[inline(always)]
    unsafe fn add_pairs(self, a: Self, b: Self) -> Self {
        unsafe {
            let [first, second] = [a, b].map(|word| _mm512_castps_si512(word.0));
            let upper = _mm512_set1_epi32(UPPER);
            let high = |bits| _mm512_castsi512_ps(_mm512_and_epi32(bits, upper));
            let low = |bits| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits));
            let sum = _mm512_fmadd_ps(high(first), high(second), self.0);
            Self(_mm512_fmadd_ps(low(first), low(second), sum))
        }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        Self(unsafe { _mm512_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn positive_or(self, other: Self) -> Self {
        unsafe {
            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, _mm512_setzero_ps());
            Self(_mm512_mask_mov_ps(other.0, positive, self.0))
        }
    }
}

/// AVX2 and FMA: two registers.
#[derive(Clone, Copy)]
pub(super) struct Avx2([__m256; 2]);

/// Lanes of a register.
const HALF: usize = UNIT / 2;

impl Avx2 {
    #[inline(always)]
    unsafe fn through_memory(self) -> [f32; UNIT] {
        let mut lanes = [0.0; UNIT];
        unsafe { self.store(lanes.as_mut_ptr()) };
        lanes
    }
}

impl Vector for Avx2 {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self(unsafe { [_mm256_set1_ps(value); 2] })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(HALF))] })
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0; UNIT];
        unsafe {
            lanes.as_mut_ptr().copy_from_nonoverlapping(from, count.min(UNIT));
            Self::load(lanes.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe {
            _mm256_storeu_ps(to, self.0[0]);
            _mm256_storeu_ps(to.add(HALF), self.0[1]);
        }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, count: usize) {
        unsafe { to.copy_from_nonoverlapping(self.through_memory().as_ptr(), count.min(UNIT)) };
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        Self(unsafe { [_mm256_add_ps(a, c), _mm256_add_ps(b, d)] })
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        Self(unsafe { [_mm256_mul_ps(a, c), _mm256_mul_ps(b, d)] })
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        let ([a, b], [c, d]) = (a.0, b.0);
        Self(unsafe { [_mm256_fmadd_ps(a, c, self.0[0]), _mm256_fmadd_ps(b, d, self.0[1])] })
    }

    #[inline(always)]
    unsafe fn add_pairs(self, a: Self, b: Self) -> Self {
        unsafe {
            let upper = _mm256_castsi256_ps(_mm256_set1_epi32(UPPER));
            let [a, b] = [a.0, b.0].map(|halves| {
                let low = |half| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(half)));
                let high = halves.map(|half| _mm256_and_ps(half, upper));
                (Self(high), Self([low(halves[0]), low(halves[1])]))
            });
            self.add_product(a.0, b.0).add_product(a.1, b.1)
        }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        Self(unsafe { [_mm256_max_ps(a, c), _mm256_max_ps(b, d)] })
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        Self(unsafe { [_mm256_min_ps(a, c), _mm256_min_ps(b, d)] })
    }

    #[inline(always)]
    unsafe fn positive_or(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        unsafe {
            let zero = _mm256_setzero_ps();
            let above = [_mm256_cmp_ps::<_CMP_GT_OQ>(a, zero), _mm256_cmp_ps::<_CMP_GT_OQ>(b, zero)];
            Self([_mm256_blendv_ps(c, a, above[0]), _mm256_blendv_ps(d, b, above[1])])
        }
    }
}
