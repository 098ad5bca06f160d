//! Where tensors live: devices by the names that users type.

use burn::tensor::Device;
use thiserror::Error;

/// Why a device cannot be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DeviceError {
    /// No such name.
    #[error("no device `{0}`; known are cpu, cuda, cuda:N, gpu (wgpu)")]
    Unknown(String),
    /// The program was built without it.
    #[error("this program was built without `{feature}`; build it with `--features {feature}`")]
    NotBuilt {
        /// The cargo feature that brings the device.
        feature: &'static str,
    },
}

/// The device called `name`: `cpu` (also the empty name), `cuda`, `cuda:N` or `gpu`.
///
/// # Errors
/// [`DeviceError`] for an unknown name, or a device this program was built without.
pub fn device(name: &str) -> Result<Device, DeviceError> {
    let unknown = || DeviceError::Unknown(name.to_owned());
    match name.split_once(':').unwrap_or((name, "")) {
        ("" | "cpu", "") => Ok(Device::flex()),
        ("cuda", index) => {
            let index = if index.is_empty() { 0 } else { index.parse().map_err(|_| unknown())? };
            cuda(index)
        }
        ("gpu" | "wgpu", "") => wgpu(),
        _ => Err(unknown()),
    }
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device, DeviceError> {
    Ok(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { feature: "cuda" })
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Device, DeviceError> {
    Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { feature: "wgpu" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(device("cpu").is_ok());
        assert_eq!(device("tpu"), Err(DeviceError::Unknown("tpu".into())));
        assert!(device("cuda:x").is_err());
    }
}
