//! Tables in eight bits.

use ocelli_simd::vectorized;

use super::WORDS;

vectorized! {
    /// Entries `round(multiplier * score)`, half away from zero; products lie within 127.5 of zero.
    #[allow(unsafe_code)] // a conversion without the checks for numbers that do not fit, which cost more than it does
    pub(crate) fn quantize(scores: &[[f32; WORDS]], multiplier: f32, entries: &mut [i8]) {
        for (scores, entries) in scores.iter().zip(entries.as_chunks_mut::<WORDS>().0) {
            for (entry, score) in entries.iter_mut().zip(scores) {
                let value = (multiplier * score).clamp(-127.0, 127.0);
                // Half away from zero: the largest number below a half is added before the cut, so that no number just
                // below a half is carried over.
                let carried = value + 0.499_999_97_f32.copysign(value);
                // SAFETY: the clamp leaves a number within 127.5 of zero; scores are sums of products of finite numbers,
                // and where these overflow to no number, the line below makes it zero first.
                *entry = unsafe { if carried.is_nan() { 0.0 } else { carried }.to_int_unchecked::<i32>() } as i8;
            }
        }
    }
}
