//! `--precision`, as several commands have it.

use anyhow::ensure;
use clap::ValueEnum;
use ocelli_nn::Precision;

/// What `--precision` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Numbers {
    /// 32 bits.
    F32,
    /// bfloat16.
    Bf16,
}

impl Numbers {
    /// The numbers to multiply on a device.
    ///
    /// # Errors
    /// When it would be no faster for them.
    pub(super) fn precision(self, device: &str) -> anyhow::Result<Precision> {
        match self {
            Self::F32 => Ok(Precision::Single),
            Self::Bf16 => {
                ensure!(
                    device == "cpu" && Precision::Bf16.is_native(),
                    "--precision bf16: this {} does not multiply bfloat16 numbers; use f32",
                    if device == "cpu" { "processor" } else { "device" }
                );
                Ok(Precision::Bf16)
            }
        }
    }
}

/// The cosines of vectors of `length` numbers in a lower precision to the exact ones, in words.
pub(super) fn told_cosines(exact: &[f32], other: &[f32], length: usize) -> String {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let rows = exact.chunks_exact(length.max(1)).zip(other.chunks_exact(length.max(1)));
    let cosines: Vec<f64> = rows.map(|(a, b)| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()).collect();
    let mean = cosines.iter().sum::<f64>() / cosines.len().max(1) as f64;
    let least = cosines.iter().copied().fold(1.0, f64::min);
    format!("mean {mean:.6}, least {least:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_those_of_rows() {
        let told = told_cosines(&[1.0, 0.0, 0.0, 2.0], &[3.0, 0.0, 1.0, 1.0], 2);
        assert_eq!(told, "mean 0.853553, least 0.707107");
    }
}
