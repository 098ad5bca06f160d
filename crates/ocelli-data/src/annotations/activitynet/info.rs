//! The table of videos, and plain lists of their names.

use std::path::Path;

use ocelli_method::files::write_atomically;
use serde::{Deserialize, Serialize};

use crate::annotations::json::{Place, fault, read_bytes};
use crate::error::DataError;

/// A row of `video_info_new.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VideoInfo {
    /// Name, with the prefix `v_`.
    pub video: String,
    /// Number of frames.
    #[serde(rename = "numFrame")]
    pub frames: u64,
    /// Duration.
    pub seconds: f64,
    /// Frames a second, as the container says.
    pub fps: f64,
    /// Frames a second, as counted.
    pub rfps: f64,
    /// `training`, `validation` or `testing`.
    pub subset: String,
    /// Number of frames that features cover.
    #[serde(rename = "featureFrame")]
    pub feature_frames: u64,
}

/// Reads the table of videos.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`] for the first row that is not so; [`DataError::Content`] when there is none.
pub fn read_video_info(path: impl AsRef<Path>) -> Result<Vec<VideoInfo>, DataError> {
    let path = path.as_ref();
    let bytes = read_bytes(path)?;
    let mut table = csv::Reader::from_reader(bytes.as_slice());
    let fault = |e: csv::Error| {
        let line = e.position().map_or(1, csv::Position::line) as usize;
        DataError::line(path, line, e.to_string())
    };
    let rows: Vec<VideoInfo> = table.deserialize().collect::<Result<_, _>>().map_err(fault)?;
    if rows.is_empty() {
        return Err(DataError::content(path, "the table of videos is empty"));
    }
    Ok(rows)
}

/// Writes the table of videos.
///
/// # Errors
/// [`DataError::Write`].
pub fn write_video_info(path: impl AsRef<Path>, rows: &[VideoInfo]) -> Result<(), DataError> {
    let path = path.as_ref();
    let write = |out: &mut dyn std::io::Write| {
        let mut table = csv::Writer::from_writer(out);
        rows.iter().try_for_each(|row| table.serialize(row))?;
        table.flush()
    };
    write_atomically(path, write).map_err(|source| DataError::write(path, source))
}

/// Reads a JSON list of names, such as the videos that the challenge's server has blocked.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Line`].
pub fn read_names(path: impl AsRef<Path>) -> Result<Vec<String>, DataError> {
    let path = path.as_ref();
    serde_json::from_slice(&read_bytes(path)?).map_err(|e| fault(path, &e, &Place::default()))
}
