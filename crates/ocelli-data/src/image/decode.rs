//! Picture files to pixels: JPEG, PNG, PNM (PGM, PPM, PBM), GIF, BMP, WebP.
//!
//! A file is hostile until decoded: its format is read from its content and never from its name, its size and the
//! memory it asks for are checked from the header before a pixel is decoded, and a decoder that panics yields an
//! error. A file that ends too early is an error in every format, also where the decoder would fill the rest in grey.

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ::image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use serde::{Deserialize, Serialize};

use super::jpeg;
use crate::error::{DataError, panic_message};

/// What a picture file may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecodeLimits {
    /// Largest file, in bytes.
    pub max_file_bytes: u64,
    /// Largest picture, in pixels.
    pub max_pixels: u64,
    /// Most memory for the decoded pixels, in bytes; decoders keep their own buffers to it where they can.
    pub max_memory_bytes: u64,
}

impl Default for DecodeLimits {
    /// Files of 256 MiB, pictures of 64 megapixels, 512 MiB of memory.
    fn default() -> Self {
        Self { max_file_bytes: 256 << 20, max_pixels: 64_000_000, max_memory_bytes: 512 << 20 }
    }
}

/// Reads a picture file. See [`decode`] for how pixels become RGB.
///
/// # Errors
/// [`DataError::Read`] when the file cannot be read, [`DataError::TooLarge`] when it exceeds `limits`,
/// [`DataError::Decode`] when its content is no complete picture. All of them name the file.
pub fn open(path: impl AsRef<Path>, limits: &DecodeLimits) -> Result<RgbImage, DataError> {
    let path = path.as_ref();
    decode(&read_file(path, limits.max_file_bytes)?, &path.display().to_string(), limits)
}

/// Decodes a picture held in memory; `name` stands for it in error messages.
///
/// Grey is repeated over the three channels, an alpha channel is dropped (as Pillow's `convert("RGB")` does), 16 bits
/// are rounded to 8, of an animation the first frame is taken, and a JPEG is turned upright as its EXIF orientation
/// says.
///
/// # Errors
/// [`DataError::TooLarge`] when the picture exceeds `limits`, [`DataError::Decode`] when the bytes are of no supported
/// format, damaged, or end too early.
pub fn decode(bytes: &[u8], name: &str, limits: &DecodeLimits) -> Result<RgbImage, DataError> {
    let fail = |reason: String| DataError::Decode { name: name.to_owned(), reason };
    if bytes.is_empty() {
        return Err(fail("it is empty".into()));
    }
    too_large(name, "bytes", bytes.len() as u64, limits.max_file_bytes)?;
    let format = supported_format(bytes).map_err(fail)?;
    // Decoders are many and young; whatever they do on damaged bytes must not take the process down.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_as(format, bytes, name, limits)));
    decoded.unwrap_or_else(|panic| {
        Err(fail(format!("the {} decoder panicked: {}", label(format), panic_message(&*panic))))
    })
}

fn too_large(name: &str, what: &'static str, found: u64, limit: u64) -> Result<(), DataError> {
    if found > limit {
        return Err(DataError::TooLarge { name: name.to_owned(), what, found, limit });
    }
    Ok(())
}

pub(crate) fn read_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>, DataError> {
    let read = |source| DataError::read(path, source);
    let file = File::open(path).map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    if !metadata.is_file() {
        return Err(DataError::content(path, "not a regular file"));
    }
    too_large(&path.display().to_string(), "bytes", metadata.len(), max_bytes)?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // The file may grow while it is read.
    file.take(max_bytes).read_to_end(&mut bytes).map_err(read)?;
    Ok(bytes)
}

fn supported_format(bytes: &[u8]) -> Result<ImageFormat, String> {
    const KNOWN: &str = "supported are JPEG, PNG, PNM, GIF, BMP and WebP";
    let format =
        ::image::guess_format(bytes).map_err(|_| format!("its content is of no picture format ({KNOWN})"))?;
    match format {
        ImageFormat::Jpeg
        | ImageFormat::Png
        | ImageFormat::Pnm
        | ImageFormat::Gif
        | ImageFormat::Bmp
        | ImageFormat::WebP => Ok(format),
        other => Err(format!("{} is not supported ({KNOWN})", label(other))),
    }
}

fn label(format: ImageFormat) -> String {
    format!("{format:?}").to_uppercase().replace("WEBP", "WebP")
}

fn decode_as(
    format: ImageFormat,
    bytes: &[u8],
    name: &str,
    limits: &DecodeLimits,
) -> Result<RgbImage, DataError> {
    let fail = |reason: String| DataError::Decode {
        name: name.to_owned(),
        reason: format!("as {}: {reason}", label(format)),
    };
    check_complete(format, bytes).map_err(fail)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut decoder_limits = Limits::default();
    decoder_limits.max_alloc = Some(limits.max_memory_bytes);
    reader.limits(decoder_limits);
    let mut decoder = reader.into_decoder().map_err(|e| fail(e.to_string()))?;

    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(fail(format!("it has no pixels ({width} x {height})")));
    }
    let pixels = u64::from(width) * u64::from(height);
    too_large(name, "pixels", pixels, limits.max_pixels)?;
    // The decoder's own pixels plus, where they differ, the RGB ones they are turned into.
    too_large(name, "bytes of pixels", decoder.total_bytes().max(3 * pixels), limits.max_memory_bytes)?;

    let orientation = match format {
        ImageFormat::Jpeg => Some(decoder.orientation().map_err(|e| fail(e.to_string()))?),
        _ => None,
    };
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| fail(e.to_string()))?;
    if let Some(orientation) = orientation {
        picture.apply_orientation(orientation);
    }
    Ok(picture.into_rgb8())
}

/// Refuses files that end too early where the decoder itself is lenient about it.
fn check_complete(format: ImageFormat, bytes: &[u8]) -> Result<(), String> {
    match format {
        ImageFormat::Jpeg => jpeg::check_complete(bytes),
        ImageFormat::WebP => {
            let claimed = bytes
                .get(4..8)
                .and_then(|b| b.try_into().ok())
                .map_or(u64::MAX, |b| u64::from(u32::from_le_bytes(b)) + 8);
            let found = bytes.len() as u64;
            if found < claimed {
                return Err(format!("it is truncated: {found} of {claimed} bytes"));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::codecs::{bmp::BmpEncoder, png::PngEncoder, pnm::PnmEncoder, webp::WebPEncoder};
    use ::image::{ExtendedColorType, ImageEncoder, Rgb, RgbaImage};

    fn ramp(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7) as u8, (y * 5) as u8, (x ^ y) as u8]))
    }

    fn encoded(pixels: &[u8], size: (u32, u32), colour: ExtendedColorType, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        let (width, height) = size;
        match format {
            ImageFormat::Png => PngEncoder::new(&mut bytes).write_image(pixels, width, height, colour),
            ImageFormat::Pnm => PnmEncoder::new(&mut bytes).write_image(pixels, width, height, colour),
            ImageFormat::Bmp => BmpEncoder::new(&mut bytes).write_image(pixels, width, height, colour),
            _ => WebPEncoder::new_lossless(&mut bytes).write_image(pixels, width, height, colour),
        }
        .unwrap();
        bytes
    }

    fn encoded_rgb(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
        encoded(picture.as_raw(), picture.dimensions(), ExtendedColorType::Rgb8, format)
    }

    fn decode_ok(bytes: &[u8]) -> RgbImage {
        decode(bytes, "memory", &DecodeLimits::default()).unwrap()
    }

    #[test]
    fn lossless_formats_come_back_exactly() {
        let picture = ramp(13, 9);
        for format in [ImageFormat::Png, ImageFormat::Pnm, ImageFormat::Bmp, ImageFormat::WebP] {
            let bytes = encoded_rgb(&picture, format);
            assert_eq!(decode_ok(&bytes), picture, "{format:?}");
        }
    }

    #[test]
    fn grey_is_repeated_alpha_is_dropped_and_16_bits_are_rounded() {
        let bytes = encoded(&[77; 4], (2, 2), ExtendedColorType::L8, ImageFormat::Png);
        assert_eq!(decode_ok(&bytes).get_pixel(1, 1).0, [77, 77, 77]);

        let bytes = encoded(&[10, 20, 30, 0], (1, 1), ExtendedColorType::Rgba8, ImageFormat::Png);
        assert_eq!(decode_ok(&bytes).get_pixel(0, 0).0, [10, 20, 30]);

        let deep = 0x80FFu16.to_ne_bytes();
        let bytes = encoded(&deep, (1, 1), ExtendedColorType::L16, ImageFormat::Png);
        // 33023 / 257 = 128.49
        assert_eq!(decode_ok(&bytes).get_pixel(0, 0).0, [128, 128, 128]);
    }

    #[test]
    fn exif_orientation_turns_a_jpeg_upright() {
        let mut picture = RgbImage::from_pixel(32, 16, Rgb([0, 0, 0]));
        for (x, _, p) in picture.enumerate_pixels_mut() {
            if x < 16 {
                *p = Rgb([255, 255, 255]);
            }
        }
        let mut bytes = Vec::new();
        let mut encoder = ::image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95);
        // TIFF, little-endian, one entry: tag 0x0112 (orientation), SHORT, 6 = turn by 90 degrees clockwise.
        let exif = [
            b"II*\0".as_slice(),
            &8u32.to_le_bytes(),
            &1u16.to_le_bytes(),
            &0x0112u16.to_le_bytes(),
            &3u16.to_le_bytes(),
            &1u32.to_le_bytes(),
            &6u32.to_le_bytes(),
            &0u32.to_le_bytes(),
        ]
        .concat();
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(picture.as_raw(), 32, 16, ::image::ExtendedColorType::Rgb8).unwrap();
        let upright = decode_ok(&bytes);
        assert_eq!(upright.dimensions(), (16, 32));
        assert!(upright.get_pixel(8, 2).0[0] > 250, "the white left half is now on top");
        assert!(upright.get_pixel(8, 29).0[0] < 5);
    }

    #[test]
    fn the_first_frame_of_an_animation_is_taken() {
        let frames = [[255, 0, 0, 255], [0, 0, 255, 255]]
            .map(|colour| ::image::Frame::new(RgbaImage::from_pixel(4, 3, ::image::Rgba(colour))));
        let mut bytes = Vec::new();
        ::image::codecs::gif::GifEncoder::new(&mut bytes).encode_frames(frames).unwrap();
        let picture = decode_ok(&bytes);
        assert_eq!((picture.dimensions(), picture.get_pixel(0, 0).0), ((4, 3), [255, 0, 0]));
    }

    #[test]
    fn limits_are_checked_from_the_header() {
        // A header that promises 60000 x 60000 pixels and holds none.
        let error = decode(b"P5\n60000 60000\n255\n", "bomb.pgm", &DecodeLimits::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "bomb.pgm has 3600000000 pixels, more than the limit of 64000000; \
             raise the limit if the file is trusted"
        );
        let limits = DecodeLimits { max_memory_bytes: 1000, ..DecodeLimits::default() };
        let bytes = encoded_rgb(&ramp(20, 20), ImageFormat::Bmp);
        assert!(decode(&bytes, "x.bmp", &limits).is_err());
        let limits = DecodeLimits { max_file_bytes: 100, ..DecodeLimits::default() };
        assert!(matches!(decode(&bytes, "x.bmp", &limits), Err(DataError::TooLarge { what: "bytes", .. })));
    }

    #[test]
    fn errors_name_the_file_and_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let limits = DecodeLimits::default();
        let text = folder.path().join("notes.jpg");
        std::fs::write(&text, "not a picture").unwrap();
        let message = open(&text, &limits).unwrap_err().to_string();
        assert!(message.contains("notes.jpg") && message.contains("of no picture format"), "{message}");
        let message = open(folder.path().join("absent.png"), &limits).unwrap_err().to_string();
        assert!(message.contains("absent.png"), "{message}");
        assert!(open(folder.path(), &limits).is_err());
        std::fs::write(&text, "").unwrap();
        assert!(open(&text, &limits).unwrap_err().to_string().contains("empty"));
    }

    #[test]
    fn the_name_does_not_decide_the_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("really-a-png.jpg");
        std::fs::write(&path, encoded_rgb(&ramp(5, 5), ImageFormat::Png)).unwrap();
        assert_eq!(open(&path, &DecodeLimits::default()).unwrap(), ramp(5, 5));
    }
}
