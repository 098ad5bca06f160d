//! Untrimmed clips from nothing: when what happens in them is known to the segment.
//!
//! [`emotion`] writes scripts of clips that show emotions in what is seen and in what is said, and plays them as feature
//! sequences; [`render`] plays such scripts as small films with subtitles.

pub mod emotion;
