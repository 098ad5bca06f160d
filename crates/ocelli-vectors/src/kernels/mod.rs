//! Loops on the processor's vector registers. Unsafe code stands here and nowhere else in this crate.

pub(crate) mod hamming;
