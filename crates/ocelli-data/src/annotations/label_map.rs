//! Label maps: PNG files whose pixels are class numbers, as segmentation data sets ship them.
//!
//! Read are grey PNGs of 1 to 16 bits and those with a palette, of which the *index* counts and not the colour (PASCAL
//! VOC). A picture in colours is refused: which class a colour stands for is not in the file.

use std::io::Cursor;
use std::path::Path;

use png::{BitDepth, ColorType, Decoder, Encoder, Transformations};

use crate::error::DataError;
use crate::image::{DecodeLimits, write_atomically};

/// The class number of every pixel, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMap {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height, width]`.
    pub labels: Vec<u16>,
}

impl LabelMap {
    /// Reads a PNG file.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::TooLarge`]; [`DataError::Decode`] when it is damaged or no label map.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
        Self::parse(&bytes, &path.display().to_string())
    }

    /// Reads a PNG file held in memory; `name` stands for it in messages.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, DataError> {
        let fail = |reason: String| DataError::Decode { name: name.to_owned(), reason };
        let limits = DecodeLimits::default();
        let mut decoder = Decoder::new_with_limits(
            Cursor::new(bytes),
            png::Limits { bytes: usize::try_from(limits.max_memory_bytes).unwrap_or(usize::MAX) },
        );
        decoder.set_transformations(Transformations::IDENTITY);
        let mut reader = decoder.read_info().map_err(|e| fail(e.to_string()))?;
        let info = reader.info();
        let (width, height, depth) = (info.width as usize, info.height as usize, info.bit_depth);
        let found = info.width as u64 * info.height as u64;
        if found > limits.max_pixels {
            let (name, limit) = (name.to_owned(), limits.max_pixels);
            return Err(DataError::TooLarge { name, what: "pixels", found, limit });
        }
        if !matches!(info.color_type, ColorType::Grayscale | ColorType::Indexed) {
            let reason = format!(
                "a label map of one channel is expected, found {:?}; turn its colours into class numbers first",
                info.color_type
            );
            return Err(fail(reason));
        }
        let size = reader.output_buffer_size().ok_or_else(|| fail("its size overflows".to_owned()))?;
        let mut pixels = vec![0; size];
        let frame = reader.next_frame(&mut pixels).map_err(|e| fail(e.to_string()))?;
        let rows = pixels.chunks_exact(frame.line_size.max(1)).take(height);
        let labels = rows.flat_map(|row| unpacked(row, depth).take(width)).collect();
        Ok(Self { width, height, labels })
    }

    /// Writes it as a grey PNG, of 8 bits where they suffice and else of 16.
    ///
    /// # Errors
    /// [`DataError::Shape`] when the labels do not fill the map; [`DataError::Encode`] when it has no pixels;
    /// [`DataError::Write`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        let fail = |reason: String| DataError::Encode { format: "PNG", reason };
        if self.width.checked_mul(self.height) != Some(self.labels.len()) {
            let wanted = format!("{} x {}", self.width, self.height);
            let found = format!("{} pixels", self.labels.len());
            return Err(DataError::Shape { what: "label map", wanted, found });
        }
        let side = |pixels: usize| u32::try_from(pixels).map_err(|e| fail(e.to_string()));
        let narrow = self.labels.iter().all(|l| *l < 256);
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, side(self.width)?, side(self.height)?);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(if narrow { BitDepth::Eight } else { BitDepth::Sixteen });
        let pixels: Vec<u8> = match narrow {
            true => self.labels.iter().map(|l| *l as u8).collect(),
            false => self.labels.iter().flat_map(|l| l.to_be_bytes()).collect(),
        };
        let mut writer = encoder.write_header().map_err(|e| fail(e.to_string()))?;
        writer.write_image_data(&pixels).map_err(|e| fail(e.to_string()))?;
        writer.finish().map_err(|e| fail(e.to_string()))?;
        write_atomically(path, &bytes)
    }
}

/// The samples of a row, the first in the highest bits of its byte.
fn unpacked(row: &[u8], depth: BitDepth) -> Box<dyn Iterator<Item = u16> + '_> {
    let bits = match depth {
        BitDepth::Sixteen => return Box::new(row.chunks_exact(2).map(|b| u16::from_be_bytes([b[0], b[1]]))),
        BitDepth::Eight => return Box::new(row.iter().map(|b| u16::from(*b))),
        BitDepth::Four => 4,
        BitDepth::Two => 2,
        BitDepth::One => 1,
    };
    let samples = move |byte: &u8| {
        let byte = *byte;
        (1..=8 / bits).map(move |i| u16::from(byte >> (8 - bits * i)) & ((1 << bits) - 1))
    };
    Box::new(row.iter().flat_map(samples))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(size: (u32, u32), colour: ColorType, depth: BitDepth, pixels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, size.0, size.1);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if colour == ColorType::Indexed {
            encoder.set_palette([9, 8, 7].repeat(16));
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(pixels).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn maps_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        for largest in [255, 60_000] {
            let labels = (0..15).map(|i| i * (largest / 14)).collect();
            let map = LabelMap { width: 5, height: 3, labels };
            map.write(&path).unwrap();
            assert_eq!(LabelMap::read(&path).unwrap(), map);
        }
    }

    #[test]
    fn a_palette_gives_indices_and_few_bits_are_unpacked() {
        let indexed = encoded((3, 2), ColorType::Indexed, BitDepth::Four, &[0x1F, 0x20, 0x34, 0x50]);
        assert_eq!(LabelMap::parse(&indexed, "a").unwrap().labels, [1, 15, 2, 3, 4, 5]);
        let bits = encoded((9, 1), ColorType::Grayscale, BitDepth::One, &[0b1010_0001, 0x80]);
        assert_eq!(LabelMap::parse(&bits, "a").unwrap().labels, [1, 0, 1, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn what_is_no_label_map_is_refused() {
        let rgb = encoded((1, 1), ColorType::Rgb, BitDepth::Eight, &[1, 2, 3]);
        let message = LabelMap::parse(&rgb, "x.png").unwrap_err().to_string();
        assert!(message.contains("x.png") && message.contains("one channel"), "{message}");
        let grey = encoded((40, 40), ColorType::Grayscale, BitDepth::Eight, &[7; 1600]);
        for end in 0..grey.len() - 12 {
            assert!(LabelMap::parse(&grey[..end], "x").is_err(), "cut at {end} of {}", grey.len());
        }
        assert!(LabelMap { width: 2, height: 2, labels: vec![0; 3] }.write("x.png").is_err());
        assert!(LabelMap { width: 0, height: 0, labels: vec![] }.write("x.png").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(at in 0..200usize, value: u8) {
            let mut bytes = encoded((6, 5), ColorType::Indexed, BitDepth::Eight, &[3; 30]);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            let _ = LabelMap::parse(&bytes, "x");
        }
    }
}
