//! What temporal localizers share: from features of an untrimmed video to scored segments.
//!
//! A *proposal* (i, j), `0 <= i <= j < T`, covers the cells i to j of a video that is cut into T cells of equal length:
//! the segment `[i / T, (j + 1) / T]` as fractions of the video. Maps over proposals are `[T, T]`, start by end; below the
//! diagonal no proposal lies.
//!
//! | file | what |
//! |---|---|
//! | `features.rs` | sequences of any length brought to T rows |
//! | `sampler.rs` | features of proposals, sampled from those of cells |
//! | `targets.rs` | what a network is to say of each cell and each proposal |
//! | `balanced.rs` | losses for targets of which few are positive |
//! | `suppress.rs` | which of many overlapping proposals are kept |

pub mod balanced;
pub mod features;
pub mod sampler;
pub mod suppress;
pub mod targets;
