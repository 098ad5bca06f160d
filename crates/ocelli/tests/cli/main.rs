//! The command from end to end, as a user runs it: trainings of a few steps on tiny pictures, killed and resumed, and
//! every kind of wrong input.

#![allow(clippy::unwrap_used)] // What is unwrapped here was made here.

mod bench;
mod commands;
mod detections;
mod emotions;
mod fan;
mod index;
mod losses;
mod proposals;
mod refusals;
mod resume;
mod run;
mod score;
mod search;
mod verify;
