//! All protocols, a file each, in a folder for each kind of task.

mod arrays;
mod classification;
mod dense;
mod detection;
mod labels;
mod language;
mod pose;
mod ranking;
mod recognition;
mod temporal;
mod tracking;

use crate::protocol::find;
use crate::{Protocol, Result};

/// All protocols, kind by kind.
pub fn protocols() -> Vec<&'static Protocol> {
    let kinds: [&[&Protocol]; 9] = [
        recognition::PROTOCOLS,
        detection::PROTOCOLS,
        dense::PROTOCOLS,
        pose::PROTOCOLS,
        classification::PROTOCOLS,
        ranking::PROTOCOLS,
        temporal::PROTOCOLS,
        tracking::PROTOCOLS,
        language::PROTOCOLS,
    ];
    kinds.concat()
}

/// The protocol called `name`.
///
/// # Errors
/// [`crate::ScoreError::Unknown`] with all names.
pub fn protocol(name: &str) -> Result<&'static Protocol> {
    let all = protocols();
    find("protocol", name, all.iter().map(|p| p.name))?;
    let found = all.into_iter().find(|p| p.name == name);
    Ok(found.expect("the name was found among the protocols"))
}
