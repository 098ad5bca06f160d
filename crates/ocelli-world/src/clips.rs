//! Untrimmed videos as sequences of feature vectors, with the actions in them.

pub mod progress;
