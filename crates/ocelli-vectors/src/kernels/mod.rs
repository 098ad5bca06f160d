//! What is unsafe in this crate, and nothing else.

pub(crate) mod map;
