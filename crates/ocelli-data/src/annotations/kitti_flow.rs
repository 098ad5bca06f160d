//! KITTI's optical flow: pictures of 16 bits a channel, red u, green v, blue valid.
//!
//! `u = (red - 32768) / 64`, the same for v; motion that comes out as 0 is stored as 1e-10 by the tools, which keep 0 for
//! pixels without a measurement.

use std::path::Path;

use image::{ImageBuffer, ImageFormat, ImageReader, Rgb};
use ocelli_method::files::write_atomically;

use super::flo::Flow;
use crate::error::DataError;

/// The motion `[u, v]` of a pixel's `[red, green, blue]`, as the tools decode it.
pub fn decode([red, green, blue]: [u16; 3]) -> [f32; 2] {
    if blue == 0 {
        return [0.0; 2];
    }
    [red, green].map(|word| {
        let motion = (f32::from(word) - 32768.0) / 64.0;
        if motion.abs() < 1e-10 { 1e-10 } else { motion }
    })
}

/// A pixel's `[red, green, blue]` for a motion; it is rounded to 1/64 pixel and held within ±512.
pub fn encode([u, v]: [f32; 2], valid: bool) -> [u16; 3] {
    if !valid {
        return [0; 3];
    }
    let word = |motion: f32| (motion * 64.0 + 32768.0).round().clamp(0.0, 65535.0) as u16;
    [word(u), word(v), 1]
}

/// Reads a picture.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Decode`] for a file that is no such picture.
pub fn read(path: impl AsRef<Path>) -> Result<Flow, DataError> {
    let path = path.as_ref();
    let damaged = |reason: String| DataError::Decode { name: path.display().to_string(), reason };
    let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    let reader = ImageReader::with_format(std::io::Cursor::new(bytes), ImageFormat::Png);
    let picture = reader.decode().map_err(|e| damaged(e.to_string()))?;
    let Some(picture) = picture.as_rgb16() else {
        return Err(damaged("flow is stored as a PNG of three channels of 16 bits".to_owned()));
    };
    let pixels = picture.pixels();
    Ok(Flow {
        uv: pixels.clone().flat_map(|p| decode(p.0)).collect(),
        valid: pixels.map(|p| p.0[2] != 0).collect(),
        height: picture.height() as usize,
        width: picture.width() as usize,
    })
}

/// Writes a picture.
///
/// # Errors
/// [`DataError::Encode`] when the size is no picture's; [`DataError::Write`].
pub fn write(path: impl AsRef<Path>, flow: &Flow) -> Result<(), DataError> {
    let path = path.as_ref();
    let refused = |reason: String| DataError::Encode { format: "PNG", reason };
    let words: Vec<u16> = flow
        .uv
        .as_chunks::<2>()
        .0
        .iter()
        .zip(&flow.valid)
        .flat_map(|(uv, valid)| encode(*uv, *valid))
        .collect();
    let side = |n: usize| u32::try_from(n).map_err(|_| refused(format!("{n} pixels a side")));
    let picture = ImageBuffer::<Rgb<u16>, _>::from_raw(side(flow.width)?, side(flow.height)?, words);
    let picture = picture.ok_or_else(|| refused("the values do not fill it".to_owned()))?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).map_err(|e| refused(e.to_string()))?;
    write_atomically(path, |out| out.write_all(bytes.get_ref()))
        .map_err(|source| DataError::write(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flow_survives_a_round_trip_to_a_sixty_fourth() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let mut flow = Flow::new(vec![1.5, -2.25, 0.0, 0.0, -511.0, 4.0 / 64.0], 3, 1).unwrap();
        flow.valid[1] = false;
        write(&path, &flow).unwrap();
        assert_eq!(read(&path).unwrap(), flow);
        assert_eq!(decode([32768, 32832, 1]), [1e-10, 1.0]);
        assert_eq!(encode([600.0, -600.0], true), [65535, 0, 1]);
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        image::RgbImage::new(2, 2).save(&path).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("16 bits"));
        std::fs::write(&path, b"no picture").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("a.png"));
        assert!(read(folder.path().join("none.png")).is_err());
    }
}
