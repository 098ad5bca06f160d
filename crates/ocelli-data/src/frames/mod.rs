//! Frames of moving pictures: from folders of numbered pictures, from animated GIFs, and, through an `ffmpeg` executable
//! where there is one, from any video.
//!
//! A [`FrameSource`] knows how many frames there are and reads those that a sampler ([`sample`]) asks for.
//!
//! ```no_run
//! use ocelli_data::frames::{FrameOptions, FrameSource, sample};
//!
//! let source = FrameSource::open("rawframes/v_ApplyEyeMakeup", &FrameOptions::default())?;
//! let eight = source.read(&sample::middles(source.len(), 8))?;
//! assert_eq!(eight.len(), 8);
//! # Ok::<(), ocelli_data::DataError>(())
//! ```

mod animation;
mod folder;
pub mod sample;
mod video;

use std::io::Read;
use std::path::{Path, PathBuf};

use ::image::RgbImage;

use crate::error::DataError;
use crate::image::DecodeLimits;

pub use animation::Animation;
pub use folder::FrameFolder;
pub use video::{Ffmpeg, Video};

/// How frames are found, and what they may cost.
#[derive(Clone, Debug)]
pub struct FrameOptions {
    /// What a single frame may cost; an animation and the frames of one call together may take as much memory.
    pub limits: DecodeLimits,
    /// Beginning of the names in a folder, such as `img_`; found out where a folder has only one kind of names.
    pub prefix: Option<String>,
    /// Folder with the executables `ffmpeg` and `ffprobe`; those in `PATH` if none is given.
    pub ffmpeg: Option<PathBuf>,
}

impl Default for FrameOptions {
    fn default() -> Self {
        let limits = DecodeLimits { max_memory_bytes: 4 << 30, ..DecodeLimits::default() };
        Self { limits, prefix: None, ffmpeg: None }
    }
}

/// Where frames come from.
#[derive(Clone, Debug)]
pub enum FrameSource {
    /// Numbered pictures.
    Folder(FrameFolder),
    /// An animated GIF, which is kept in memory.
    Animation(Animation),
    /// A video that `ffmpeg` decodes.
    Video(Video),
}

impl FrameSource {
    /// Opens a folder, a GIF or a video; what a file is its content tells.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Content`] naming the folder or video and what is wrong with it, also where a video
    /// would take an `ffmpeg` that is not there; [`DataError::Decode`] and [`DataError::TooLarge`] for an animation.
    pub fn open(path: impl AsRef<Path>, options: &FrameOptions) -> Result<Self, DataError> {
        let path = path.as_ref();
        let read = |source| DataError::read(path, source);
        if std::fs::metadata(path).map_err(read)?.is_dir() {
            return Ok(Self::Folder(FrameFolder::open(path, options)?));
        }
        let mut magic = Vec::new();
        std::fs::File::open(path).and_then(|f| f.take(4).read_to_end(&mut magic)).map_err(read)?;
        match magic.as_slice() {
            [] => Err(DataError::content(path, "the file is empty")),
            b"GIF8" => Ok(Self::Animation(Animation::open(path, &options.limits)?)),
            _ => Ok(Self::Video(Video::open(path, options)?)),
        }
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        match self {
            Self::Folder(folder) => folder.len(),
            Self::Animation(animation) => animation.frames().len(),
            Self::Video(video) => video.len(),
        }
    }

    /// Whether there is no frame. An opened source has one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frames a second, on average; a folder does not say.
    pub fn rate(&self) -> Option<f64> {
        match self {
            Self::Folder(_) => None,
            Self::Animation(animation) => animation.rate(),
            Self::Video(video) => video.rate(),
        }
    }

    /// Reads frames by number, from 0, in the order of the numbers; one that is asked for twice comes twice.
    ///
    /// # Errors
    /// [`DataError::Setting`] for a number that there is no frame of; whatever is wrong with the file of a frame.
    pub fn read(&self, numbers: &[usize]) -> Result<Vec<RgbImage>, DataError> {
        let all = self.len();
        if let Some(number) = numbers.iter().find(|n| **n >= all) {
            return Err(DataError::setting("frame", format!("{number} is none of {all}, counted from 0")));
        }
        match self {
            Self::Folder(folder) => folder.read(numbers),
            Self::Animation(animation) => {
                Ok(numbers.iter().map(|&n| animation.frames()[n].clone()).collect())
            }
            Self::Video(video) => video.read(numbers),
        }
    }
}

/// Frames of one size; the first that is of another is named by its number in the clip.
fn check_sizes(path: &Path, numbers: &[usize], frames: &[RgbImage]) -> Result<(), DataError> {
    let Some(first) = frames.first() else { return Ok(()) };
    match numbers.iter().zip(frames).find(|(_, f)| f.dimensions() != first.dimensions()) {
        None => Ok(()),
        Some((number, frame)) => {
            let ((w, h), (other_w, other_h)) = (first.dimensions(), frame.dimensions());
            let reason =
                format!("frame {number} is {other_w} x {other_h}, frame {} is {w} x {h}", numbers[0]);
            Err(DataError::content(path, reason))
        }
    }
}

/// Frames of this size take so much memory; more than the limit is refused before any is read.
fn check_memory(
    path: &Path,
    frames: usize,
    size: (u32, u32),
    limits: &DecodeLimits,
) -> Result<(), DataError> {
    let found = (frames as u64).saturating_mul(3 * u64::from(size.0) * u64::from(size.1));
    if found <= limits.max_memory_bytes {
        return Ok(());
    }
    let (name, limit) = (path.display().to_string(), limits.max_memory_bytes);
    Err(DataError::TooLarge { name, what: "bytes of frames", found, limit })
}

#[cfg(test)]
mod tests;
