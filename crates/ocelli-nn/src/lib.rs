//! Layers, backbones and weights with PyTorch semantics and state-dict names.
//!
//! Networks are plain structs whose layers hold handles into a [`Store`]; the store knows every parameter by its
//! state-dict name. A [`Pass`] says how a network is run. [`weights`] reads and writes what trained networks are
//! kept in.

pub mod backbones;
mod device;
mod init;
pub mod layers;
pub mod ops;
mod pass;
pub mod replay;
mod store;
pub mod tensor;
pub mod weights;

pub use device::{DeviceError, device};
pub use init::{Init, normal};
pub use ocelli_kernels::{retain_freed_memory, update};
pub use pass::Pass;
pub use store::{Entry, Gradients, Param, Path, Role, Store, StoreError};
