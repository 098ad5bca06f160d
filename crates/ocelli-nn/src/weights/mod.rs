//! Weights as files: what a network learned, by PyTorch's names, read from and written to disk.
//!
//! A [`StateDict`] maps names such as `layer1.0.conv1.weight` to plain arrays, in the order of the file. It comes from
//!
//! * **safetensors** ([`safetensors::read`], [`safetensors::write`]), Ocelli's own format;
//! * **official checkpoints** ([`import`], [`Checkpoint`]): `.pth`, `.pt`, `.pkl` as written by `torch.save` of every
//!   age, or by Python's `pickle` of NumPy arrays. A pickle is a program; here it is read by a machine that knows only
//!   tensors, numbers, strings and containers, and refuses by name whatever else a file asks for. Nothing is executed.
//!
//! A checkpoint often holds more than weights (an optimizer, an epoch, arguments) or names them otherwise than the
//! network does. [`Checkpoint::find`] finds the state dict inside, [`Renames`] maps official names to ours, and
//! [`match_keys`] says which weights matched, which are missing and which nobody asked for.
//!
//! ```
//! use ocelli_method::Array;
//! use ocelli_nn::weights::{StateDict, match_keys, safetensors};
//!
//! let mut state = StateDict::new();
//! state.insert("fc.weight", Array::f32([2, 3], vec![0.5; 6])?)?;
//! state.insert("fc.bias", Array::f32([2], vec![0.0, 1.0])?)?;
//!
//! let folder = tempfile::tempdir()?;
//! let file = folder.path().join("weights.safetensors");
//! safetensors::write(&file, &state, &Default::default())?;
//! let read = safetensors::read(&file)?;
//! assert_eq!(read.state, state);
//!
//! let expected = [("fc.weight".to_owned(), vec![2, 3]), ("fc.bias".to_owned(), vec![2])];
//! match_keys(&expected, &read.state, |_| false).check(false)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Element types: floats arrive in single precision (double stays double), integers as 64 bits, bytes and truth values
//! as bytes. Every reader holds to [`Limits`]: a damaged or hostile file ends in one clear line, not in a panic and not
//! in a machine without memory.

mod atomic;
mod checkpoint;
mod dtype;
mod error;
mod keys;
mod legacy;
mod limits;
mod pickle;
mod pth;
mod rename;
pub mod safetensors;
mod state_dict;
mod value;

pub use atomic::write_atomically;
pub use checkpoint::{Found, Imported, find_state_dict, import, import_with};
pub use dtype::Dtype;
pub use error::{Problem, WeightsError};
pub use keys::{KeyReport, KeysError, Misshapen, Missing, match_keys};
pub use limits::Limits;
pub use pth::{Checkpoint, Format};
pub use rename::{RenameError, Renames};
pub use state_dict::{DuplicateName, NonFinite, StateDict};
pub use value::{StoredTensor, Value};
