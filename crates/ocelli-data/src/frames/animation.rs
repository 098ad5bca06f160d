//! Animated GIFs.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ::image::codecs::gif::GifDecoder;
use ::image::{AnimationDecoder, DynamicImage, ImageDecoder, Limits, RgbImage};

use super::check_memory;
use crate::error::{DataError, panic_message};
use crate::image::{DecodeLimits, read_file};

/// The frames of an animation, each as it is seen: laid over those before it as the file says.
#[derive(Clone, Debug)]
pub struct Animation {
    frames: Vec<RgbImage>,
    rate: Option<f64>,
}

impl Animation {
    /// Reads a GIF.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::TooLarge`] when file, frame or all frames together exceed `limits`;
    /// [`DataError::Decode`] when it is no GIF, damaged, or cut short.
    pub fn open(path: impl AsRef<Path>, limits: &DecodeLimits) -> Result<Self, DataError> {
        let path = path.as_ref();
        let bytes = read_file(path, limits.max_file_bytes)?;
        let fail = |reason: String| DataError::Decode { name: path.display().to_string(), reason };
        let decoded = catch_unwind(AssertUnwindSafe(|| decode(&bytes, path, limits)));
        decoded.unwrap_or_else(|panic| {
            Err(fail(format!("the GIF decoder panicked: {}", panic_message(&*panic))))
        })
    }

    /// All frames.
    pub fn frames(&self) -> &[RgbImage] {
        &self.frames
    }

    /// Frames a second, on average; nothing where frames have no duration.
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }
}

fn decode(bytes: &[u8], path: &Path, limits: &DecodeLimits) -> Result<Animation, DataError> {
    let fail = |reason: String| DataError::Decode { name: path.display().to_string(), reason };
    let wrong = |e: ::image::ImageError| fail(format!("as GIF: {e}"));
    let mut decoder = GifDecoder::new(Cursor::new(bytes)).map_err(wrong)?;
    let size = decoder.dimensions();
    let pixels = u64::from(size.0) * u64::from(size.1);
    if pixels > limits.max_pixels {
        let (name, limit) = (path.display().to_string(), limits.max_pixels);
        return Err(DataError::TooLarge { name, what: "pixels", found: pixels, limit });
    }
    let mut own = Limits::default();
    own.max_alloc = Some(limits.max_memory_bytes);
    decoder.set_limits(own).map_err(wrong)?;
    let (mut frames, mut seconds) = (Vec::new(), 0.0);
    for frame in decoder.into_frames() {
        let frame = frame.map_err(wrong)?;
        let (thousandths, parts) = frame.delay().numer_denom_ms();
        seconds += f64::from(thousandths) / f64::from(parts.max(1)) / 1000.0;
        check_memory(path, frames.len() + 1, size, limits)?;
        frames.push(DynamicImage::from(frame.into_buffer()).into_rgb8());
    }
    if frames.is_empty() {
        return Err(fail("as GIF: it has no frame".to_owned()));
    }
    // The decoder takes the end of the file for the end of the animation.
    if bytes.last() != Some(&TRAILER) {
        return Err(fail("as GIF: it is truncated".to_owned()));
    }
    let rate = (seconds > 0.0).then(|| frames.len() as f64 / seconds);
    Ok(Animation { frames, rate })
}

/// The byte that a GIF ends with.
const TRAILER: u8 = 0x3B;
