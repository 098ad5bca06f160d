//! Plain loops that the compiler vectorises, compiled for the processor they run on.
//!
//! | what | for |
//! |---|---|
//! | [`vectorized!`] | a safe function, compiled for AVX-512, AVX2 and the base instruction set; picked at run time |
//! | [`MulAdd`] | products and sums in one rounding where the processor has that |
//! | [`level`] | what this processor offers, for kernels written by hand |
//! | [`math`] | elementary functions without branches |
//! | [`lanes`] | sums, scaled additions and transposition over neighbouring numbers |

pub mod lanes;
pub mod math;
mod vector;

pub use vector::{BaseMulAdd, Fused, Level, MulAdd, Separate, level};
