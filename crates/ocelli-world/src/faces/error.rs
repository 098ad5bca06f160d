//! What can be wrong with a request for faces.

use thiserror::Error;

/// A setting outside its range.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SpaceError {
    /// A number outside its range, or not a number.
    #[error("{key} is {value}, but must lie between {low} and {high}")]
    OutOfRange {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: f32,
        /// Smallest permitted value.
        low: f32,
        /// Largest permitted value.
        high: f32,
    },
    /// A range whose ends are the wrong way round.
    #[error("{key}: {first} must not exceed {second}")]
    Disordered {
        /// The setting.
        key: &'static str,
        /// The value that should be the smaller.
        first: f32,
        /// The value that should be the larger.
        second: f32,
    },
    /// A picture too small or too large.
    #[error("the picture size is {size} pixels, but must lie between {min} and {max}")]
    Size {
        /// The size asked for.
        size: u32,
        /// Smallest size.
        min: u32,
        /// Largest size.
        max: u32,
    },
}

pub(super) fn check_range(key: &'static str, value: f32, low: f32, high: f32) -> Result<(), SpaceError> {
    if value >= low && value <= high { Ok(()) } else { Err(SpaceError::OutOfRange { key, value, low, high }) }
}
