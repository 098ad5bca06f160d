//! Face recognition: what the methods of this task share.

pub mod margin;
