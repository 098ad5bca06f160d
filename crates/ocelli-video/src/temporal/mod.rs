//! What temporal localizers share: from features of an untrimmed video to scored segments.
//!
//! A *proposal* (i, j), `0 <= i <= j < T`, covers the cells i to j of a video that is cut into T cells of equal length:
//! the segment `[i / T, (j + 1) / T]` as fractions of the video. Maps over proposals are `[T, T]`, start by end; below the
//! diagonal no proposal lies.
//!
//! | file | what |
//! |---|---|
//! | `files.rs` | feature files by video, with what annotations and tables tell of each |
//! | `videos.rs` | the videos of a folder with their annotations, or drawn ones |
//! | `features.rs` | sequences of any length brought to T rows |
//! | `sampler.rs` | features of proposals, sampled from those of cells |
//! | `targets.rs` | what a network is to say of each cell and each proposal |
//! | `balanced.rs` | losses for targets of which few are positive |
//! | `recall.rs` | what proposals find, over all and by length |
//! | `suppress.rs` | which of many overlapping proposals are kept |
//! | `generator.rs` | what a method offers to be trained and used |
//! | `recipe.rs`, `task.rs`, `run.rs` | its training, from the recipe to the report |
//! | `proposer.rs`, `import.rs` | trained weights, and those of released codes |
//! | `predict.rs`, `page.rs` | proposals for a folder of features, and their page |

pub mod balanced;
pub mod features;
pub mod files;
pub mod generator;
pub mod import;
pub mod page;
pub mod predict;
pub mod proposer;
pub mod recall;
pub mod recipe;
pub mod run;
pub mod sampler;
pub mod suppress;
pub mod targets;
pub mod task;
pub mod videos;
