//! Value noise: random but repeatable texture as a function of position.

/// Hash of a lattice point, uniform in `[0, 1)`.
#[inline]
pub fn hash(x: i32, y: i32, seed: u32) -> f32 {
    let mut h = (x as u32).wrapping_mul(0x85EB_CA6B)
        ^ (y as u32).wrapping_mul(0xC2B2_AE35)
        ^ seed.wrapping_mul(0x27D4_EB2F);
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    ((h ^ (h >> 15)) >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Largest whole number not above `v`; without a call into the mathematics library.
#[inline]
fn floor(v: f32) -> i32 {
    let whole = v as i32;
    whole.wrapping_sub(i32::from(whole as f32 > v))
}

/// Smooth noise in `[-1, 1]` with features one unit wide.
#[inline]
pub fn value(x: f32, y: f32, seed: u32) -> f32 {
    let (ix, iy) = (floor(x), floor(y));
    let (tx, ty) = (x - ix as f32, y - iy as f32);
    let (sx, sy) = (tx * tx * (3.0 - 2.0 * tx), ty * ty * (3.0 - 2.0 * ty));
    let (jx, jy) = (ix.wrapping_add(1), iy.wrapping_add(1));
    let top = hash(ix, iy, seed) * (1.0 - sx) + hash(jx, iy, seed) * sx;
    let bottom = hash(ix, jy, seed) * (1.0 - sx) + hash(jx, jy, seed) * sx;
    2.0 * (top * (1.0 - sy) + bottom * sy) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_bounded_centred_and_repeatable() {
        let samples: Vec<f32> =
            (0..4000).map(|i| value(0.37 * (i % 61) as f32, 0.53 * (i / 61) as f32, 7)).collect();
        assert!(samples.iter().all(|v| (-1.0..=1.0).contains(v)));
        let mean = samples.iter().sum::<f32>() / samples.len() as f32;
        assert!(mean.abs() < 0.05, "mean {mean}");
        assert_eq!(value(1.2, -3.4, 5), value(1.2, -3.4, 5));
        assert_ne!(value(1.2, -3.4, 5), value(1.2, -3.4, 6));
    }
}
