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
