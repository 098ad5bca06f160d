//! Tables in eight bits.

use ocelli_simd::vectorized;

use super::WORDS;

/// Rounds half away from zero: the largest number below a half, so that no number just below a half is carried over.
pub(crate) const HALF: f32 = 0.499_999_97;

/// Cuts, but what single precision left just below a whole number, such as the largest entry of all, counts as it: two
/// steps of the numbers next to 127.
pub(crate) const NOTHING: f32 = 1.6e-5;

vectorized! {
    /// Entries `multiplier * score` as whole numbers; products lie within 127.5 of zero. Added before what follows the
    /// point is cut off is `carry`, away from zero: [`HALF`] rounds, [`NOTHING`] cuts.
    #[allow(unsafe_code)] // a conversion without the checks for numbers that do not fit, which cost more than it does
    pub(crate) fn quantize(scores: &[[f32; WORDS]], multiplier: f32, carry: f32, entries: &mut [i8]) {
        for (scores, entries) in scores.iter().zip(entries.as_chunks_mut::<WORDS>().0) {
            for (entry, score) in entries.iter_mut().zip(scores) {
                let value = (multiplier * score).clamp(-127.0, 127.0);
                let carried = value + carry.copysign(value);
                // SAFETY: the clamp leaves a number within 127.5 of zero; scores are sums of products of finite numbers,
                // and where these overflow to no number, the line below makes it zero first.
                *entry = unsafe { if carried.is_nan() { 0.0 } else { carried }.to_int_unchecked::<i32>() } as i8;
            }
        }
    }
}
