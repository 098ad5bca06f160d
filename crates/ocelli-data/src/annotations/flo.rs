//! Middlebury's `.flo`: optical flow as floats.
//!
//! The number 202021.25, width and height as 32-bit integers, then `u, v` row by row as 32-bit floats, all little-endian.
//! Magnitudes above 1e9 mark unknown motion.

use std::path::Path;

use ocelli_method::files::write_atomically;

use crate::error::DataError;

/// What each file starts with.
const MAGIC: f32 = 202_021.25;
/// Magnitudes above this mean that the motion is unknown.
const UNKNOWN: f32 = 1e9;

/// Motion vectors of a picture's pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// `[height, width, 2]`: u to the right and v downwards, in pixels.
    pub uv: Vec<f32>,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Whether the motion of each pixel is known.
    pub valid: Vec<bool>,
}

impl Flow {
    /// With all motion known.
    ///
    /// # Errors
    /// [`DataError::Shape`] when the values do not fill it.
    pub fn new(uv: Vec<f32>, height: usize, width: usize) -> Result<Self, DataError> {
        if uv.len() != 2 * height * width {
            let (wanted, found) = (format!("{} values", 2 * height * width), uv.len().to_string());
            return Err(DataError::Shape { what: "flow", wanted, found });
        }
        Ok(Self { uv, height, width, valid: vec![true; height * width] })
    }
}

/// Reads a file.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Content`] for another magic number, a size that does not fit the file, NaN.
pub fn read(path: impl AsRef<Path>) -> Result<Flow, DataError> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    parse(&bytes).map_err(|reason| DataError::content(path, reason))
}

fn parse(bytes: &[u8]) -> Result<Flow, String> {
    let (words, rest) = bytes.as_chunks::<4>();
    let (Some(&magic), Some(&width), Some(&height)) = (words.first(), words.get(1), words.get(2)) else {
        return Err(format!("{} bytes are too few for a .flo file", bytes.len()));
    };
    if f32::from_le_bytes(magic) != MAGIC {
        return Err("it does not start with 202021.25, so it is no .flo file".to_owned());
    }
    let [width, height] = [width, height].map(|w| usize::try_from(i32::from_le_bytes(w)).unwrap_or(0));
    let values = &words[3..];
    let wanted = width.checked_mul(height).and_then(|n| n.checked_mul(2));
    if width == 0 || height == 0 || wanted != Some(values.len()) || !rest.is_empty() {
        let found = bytes.len() - 12;
        return Err(format!(
            "{width} x {height} pixels do not fit {found} bytes of motion; is it cut short?"
        ));
    }
    let mut uv: Vec<f32> = values.iter().map(|w| f32::from_le_bytes(*w)).collect();
    if let Some(at) = uv.iter().position(|v| v.is_nan()) {
        return Err(format!("the motion of pixel {} is NaN", at / 2));
    }
    let valid: Vec<bool> =
        uv.as_chunks::<2>().0.iter().map(|p| p.iter().all(|v| v.abs() <= UNKNOWN)).collect();
    for (pixel, valid) in uv.as_chunks_mut::<2>().0.iter_mut().zip(&valid) {
        if !valid {
            *pixel = [0.0; 2];
        }
    }
    Ok(Flow { uv, height, width, valid })
}

/// Writes a file; unknown motion as 1e10.
///
/// # Errors
/// [`DataError::Write`].
pub fn write(path: impl AsRef<Path>, flow: &Flow) -> Result<(), DataError> {
    let path = path.as_ref();
    write_atomically(path, |out| {
        out.write_all(&MAGIC.to_le_bytes())?;
        out.write_all(&(flow.width as i32).to_le_bytes())?;
        out.write_all(&(flow.height as i32).to_le_bytes())?;
        for (pixel, valid) in flow.uv.as_chunks::<2>().0.iter().zip(&flow.valid) {
            let pixel = if *valid { *pixel } else { [1e10; 2] };
            pixel.iter().try_for_each(|v| out.write_all(&v.to_le_bytes()))?;
        }
        Ok(())
    })
    .map_err(|source| DataError::write(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn flow_survives_a_round_trip_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.flo");
        let mut flow = Flow::new(vec![1.5, -2.0, 0.0, 0.0, 3.0, 4.0], 1, 3).unwrap();
        flow.valid[1] = false;
        write(&path, &flow).unwrap();
        assert_eq!(read(&path).unwrap(), flow);
        let bytes = std::fs::read(&path).unwrap();
        for cut in 0..bytes.len() {
            assert!(parse(&bytes[..cut]).is_err(), "{cut}");
        }
        assert!(Flow::new(vec![0.0; 5], 1, 3).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..64), whole in any::<bool>()) {
            if whole && bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
            }
            let _ = parse(&bytes);
        }
    }
}
