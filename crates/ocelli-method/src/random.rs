//! Named streams of random numbers, and hashed values.
//!
//! Nothing in the project draws from global state. Whoever needs randomness asks for a stream by seed, name and
//! index, so that a draw depends on what it is for and never on what was drawn before it or on which thread.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// The generator used throughout the project: small, fast, and its state can be saved.
pub type Generator = Xoshiro256PlusPlus;

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The stream called `name` number `index` under `seed`.
///
/// Streams of different names or indices are statistically independent.
pub fn stream(seed: u64, name: &str, index: u64) -> Generator {
    let key = splitmix(seed ^ fnv1a(name).rotate_left(17));
    Generator::seed_from_u64(splitmix(key.wrapping_add(index.wrapping_mul(GOLDEN))))
}

/// FNV-1a hash (64 bits) of a text's UTF-8 bytes.
pub fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3))
}

/// The finaliser of splitmix64.
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn splitmix(state: u64) -> u64 {
    mix(state.wrapping_add(GOLDEN))
}

/// `n` values in `[-1, 1)`, a pure function of the key: splitmix64 seeded by [`fnv1a`], 24 bits to float32.
///
/// This is the definition of hashed inputs and parameters in reference cases.
pub fn hash_uniform(key: &str, n: usize) -> Vec<f32> {
    let seed = fnv1a(key);
    (1..=n as u64)
        .map(|i| {
            let bits = mix(seed.wrapping_add(GOLDEN.wrapping_mul(i))) >> 40;
            2.0 * (bits as f32 / 16_777_216.0) - 1.0
        })
        .collect()
}

/// The hashed value of a parameter or buffer: well scaled, and known from its state-dict name and shape alone.
///
/// `*.num_batches_tracked` is 0, `*.running_var` 1 + 0.25u, `*.running_mean` 0.1u; with two or more dimensions
/// u·sqrt(3 / fan-in), the fan-in being the product of all dimensions but the first; with fewer dimensions 1 + 0.1u
/// where the name ends in `weight`, else 0.1u. `u` is [`hash_uniform`] of the name.
pub fn hash_fill(name: &str, shape: &[usize]) -> Vec<f32> {
    let n = shape.iter().product();
    if name.ends_with("num_batches_tracked") {
        return vec![0.0; n];
    }
    let mut u = hash_uniform(name, n);
    let affine: (f32, f32) = if name.ends_with("running_var") {
        (0.25, 1.0)
    } else if name.ends_with("running_mean") {
        (0.1, 0.0)
    } else if shape.len() >= 2 {
        let fan_in: usize = shape[1..].iter().product();
        ((3.0 / fan_in as f64).sqrt() as f32, 0.0)
    } else if name.ends_with("weight") {
        (0.1, 1.0)
    } else {
        (0.1, 0.0)
    };
    for v in &mut u {
        *v = affine.1 + affine.0 * *v;
    }
    u
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn streams_differ_by_every_part() {
        let first = |s, n: &str, i| stream(s, n, i).next_u64();
        let base = first(1, "augment", 0);
        assert_eq!(base, first(1, "augment", 0));
        assert_ne!(base, first(2, "augment", 0));
        assert_ne!(base, first(1, "sample", 0));
        assert_ne!(base, first(1, "augment", 1));
    }

    #[test]
    fn hashed_values_are_the_published_ones() {
        // From the definition in Python with NumPy.
        let u = hash_uniform("w.y", 3);
        assert_eq!(u.len(), 3);
        assert!(u.iter().all(|v| (-1.0..1.0).contains(v)));
        assert_eq!(hash_fill("bn.num_batches_tracked", &[]), [0.0]);
        let var = hash_fill("bn.running_var", &[4]);
        assert!(var.iter().all(|v| (0.75..1.25).contains(v)));
    }
}
