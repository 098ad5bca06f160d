//! Folders of numbered pictures, such as `img_00001.jpg` in the layout of TSN.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::image::RgbImage;

use super::{FrameOptions, check_memory, check_sizes};
use crate::error::DataError;
use crate::image::{DecodeLimits, open};

/// The pictures of a folder whose names end in consecutive numbers.
#[derive(Clone, Debug)]
pub struct FrameFolder {
    path: PathBuf,
    frames: Vec<PathBuf>,
    first: u64,
    limits: DecodeLimits,
}

const ENDINGS: [&str; 7] = ["jpg", "jpeg", "png", "bmp", "webp", "ppm", "pgm"];
/// The usual names of RGB frames, beside which flow may lie.
const USUAL: &str = "img_";

impl FrameFolder {
    /// Finds the pictures of a folder. Names are a beginning, a number and the ending of a picture format; the beginning is
    /// `options.prefix`, else the only one there is, else `img_`. Other files are passed over.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Content`] when there are no such pictures, several kinds of them, one that is
    /// missing in between, or two of one number.
    pub fn open(path: impl AsRef<Path>, options: &FrameOptions) -> Result<Self, DataError> {
        let path = path.as_ref();
        let wrong = |reason: String| DataError::content(path, reason);
        let mut kinds: BTreeMap<String, BTreeMap<u64, PathBuf>> = BTreeMap::new();
        let read = |source| DataError::read(path, source);
        let mut files: Vec<PathBuf> = std::fs::read_dir(path)
            .map_err(read)?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<Result<_, _>>()
            .map_err(read)?;
        files.sort_unstable();
        for file in files {
            let Some((prefix, number)) = numbered(&file) else { continue };
            if let Some(other) = kinds.entry(prefix).or_default().insert(number, file.clone()) {
                let name = |path: &Path| path.file_name().unwrap_or_default().display().to_string();
                let (one, two) = (name(&other), name(&file));
                return Err(wrong(format!("`{one}` and `{two}` are of one number; keep one of them")));
            }
        }
        let names: Vec<String> = kinds.keys().map(|prefix| format!("`{prefix}`")).collect();
        let prefix = match (&options.prefix, names.len()) {
            (Some(prefix), _) => prefix.clone(),
            (None, 1) => kinds.keys().next().cloned().unwrap_or_default(),
            (None, 0) => String::new(),
            (None, _) if kinds.contains_key(USUAL) => USUAL.to_owned(),
            (None, _) => {
                let found = names.join(", ");
                return Err(wrong(format!("names begin with {found}; say which are the frames")));
            }
        };
        let frames = kinds.remove(&prefix).ok_or_else(|| match names.is_empty() {
            true => wrong("there are no numbered pictures, such as img_00001.jpg".to_owned()),
            false => {
                wrong(format!("no picture's name is `{prefix}` and a number; there are {}", names.join(", ")))
            }
        })?;
        let numbers: Vec<u64> = frames.keys().copied().collect();
        if let Some(gap) = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1) {
            return Err(wrong(format!("between frames {} and {} some are missing", gap[0], gap[1])));
        }
        let first = numbers.first().copied().unwrap_or_default();
        let frames = frames.into_values().collect();
        Ok(Self { path: path.to_owned(), frames, first, limits: options.limits })
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is no frame. An opened folder has one.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The files, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.frames
    }

    /// The number in the first frame's name, 0 or 1 mostly.
    pub fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn read(&self, numbers: &[usize]) -> Result<Vec<RgbImage>, DataError> {
        let mut frames: Vec<RgbImage> = Vec::with_capacity(numbers.len());
        for &number in numbers {
            let frame = open(&self.frames[number], &self.limits)?;
            check_memory(&self.path, numbers.len(), frame.dimensions(), &self.limits)?;
            frames.push(frame);
        }
        check_sizes(&self.path, numbers, &frames)?;
        Ok(frames)
    }
}

/// Beginning and number of a picture's name.
fn numbered(path: &Path) -> Option<(String, u64)> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    let name = path.file_stem()?.to_str()?;
    let prefix = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name[prefix.len()..].parse().ok()?;
    ENDINGS.contains(&ending.as_str()).then(|| (prefix.to_owned(), number))
}
