//! Recipe, training loop, schedules, checkpoints and reports.
//!
//! A [`recipe::Recipe`] says all there is to say about a training; a [`trainer::Task`] knows its networks, data, loss
//! and evaluation; [`trainer::train`] runs it in a [`folder::RunFolder`] so that it can be killed at any moment and
//! goes on with the same result as an unbroken run.

pub mod average;
pub mod checkpoint;
pub mod folder;
pub mod optim;
mod progress;
pub mod recipe;
pub mod schedule;
pub mod trainer;

pub use ocelli_report as report;
pub use progress::Bar;
