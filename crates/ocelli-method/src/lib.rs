//! What it means to be a method: card, reference case, claim, and the runners that check them.
//!
//! A published method enters the house as a [`Method`]: a [`Card`] that says what it is, a table of [`Component`]s
//! that [`verify`](verify::verify) replays reference cases on, and a [`Claim`] that
//! [`reproduce`](reproduce::reproduce) re-runs. Nothing here knows a tensor framework: cases and components speak
//! in plain [`Array`]s.
//!
//! ```
//! use ocelli_method::{Array, Component, Outputs, Replay, ReplayError};
//!
//! fn double(replay: &Replay<'_>) -> Result<Outputs, ReplayError> {
//!     let x = replay.floats("x")?;
//!     Ok(Outputs::new().with("y", Array::vector(x.iter().map(|v| 2.0 * v))))
//! }
//! const DOUBLE: Component = Component { name: "double", run: double };
//! # assert_eq!(DOUBLE.name, "double");
//! ```

pub mod array;
pub mod case;
pub mod compare;
pub mod files;
pub mod harness;
pub mod method;
pub mod npy;
pub mod random;
pub mod reproduce;
#[cfg(test)]
pub(crate) mod testing;
pub mod verify;

pub use array::{Array, ArrayError, Data};
pub use case::{Case, CaseError};
pub use method::{Basis, Card, Component, Method, Outputs, Replay, ReplayError};
pub use reproduce::{Arm, Check, Claim, Direction, Experiment, ReproduceError, Role, Tally};
