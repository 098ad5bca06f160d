//! Pictures as data URIs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::imageops;
use image::{ImageError, ImageResult, RgbImage};

/// The longest side a picture keeps, in pixels: twice the widest place it is shown in, for dense screens.
const LONGEST_SIDE: u32 = 1024;
/// Up to this size in bytes a PNG is kept as it is: every pixel is right.
const SMALL_PNG: usize = 32 * 1024;
/// At this quality compression is not visible at the size shown.
const JPEG_QUALITY: u8 = 90;

/// A picture ready to stand in a page.
#[derive(Debug, Clone)]
pub(super) struct Embedded {
    pub(super) uri: String,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Embedded {
    /// Encodes `picture`, after shrinking it to at most [`LONGEST_SIDE`]: PNG while that is small, else the smaller of
    /// PNG (drawings) and JPEG (photographs).
    ///
    /// # Errors
    /// A sentence to show in the picture's place, where it has no pixels or an encoder refuses it.
    pub(super) fn new(picture: &RgbImage) -> Result<Self, String> {
        let (width, height) = picture.dimensions();
        if width == 0 || height == 0 {
            return Err(format!("an empty picture ({width} × {height} pixels)"));
        }
        let longest = width.max(height);
        if longest <= LONGEST_SIDE {
            return Self::encode(picture).map_err(|error| refusal(&error));
        }
        let shrunk = |side: u32| {
            let side = u64::from(side) * u64::from(LONGEST_SIDE) / u64::from(longest);
            u32::try_from(side).map_or(LONGEST_SIDE, |side| side.max(1))
        };
        let small = imageops::resize(picture, shrunk(width), shrunk(height), imageops::FilterType::Triangle);
        Self::encode(&small).map_err(|error| refusal(&error))
    }

    fn encode(picture: &RgbImage) -> ImageResult<Self> {
        let (width, height) = picture.dimensions();
        let mut png = Vec::new();
        picture.write_with_encoder(PngEncoder::new_with_quality(
            &mut png,
            CompressionType::Default,
            FilterType::Adaptive,
        ))?;
        let (mut kind, mut bytes) = ("png", png);
        if bytes.len() > SMALL_PNG {
            let mut jpeg = Vec::new();
            picture.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY))?;
            if jpeg.len() < bytes.len() {
                (kind, bytes) = ("jpeg", jpeg);
            }
        }
        Ok(Self { uri: format!("data:image/{kind};base64,{}", STANDARD.encode(bytes)), width, height })
    }
}

fn refusal(error: &ImageError) -> String {
    format!("a picture that cannot be encoded: {error}")
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn decode(embedded: &Embedded) -> RgbImage {
        let (_, data) = embedded.uri.split_once("base64,").unwrap();
        image::load_from_memory(&STANDARD.decode(data).unwrap()).unwrap().into_rgb8()
    }

    /// A picture no lossless code can make small.
    fn noise(width: u32, height: u32) -> RgbImage {
        let mut state = 1_u32;
        RgbImage::from_fn(width, height, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
        })
    }

    #[test]
    fn a_small_picture_keeps_every_pixel() {
        let picture = noise(40, 30);
        let embedded = Embedded::new(&picture).unwrap();
        assert!(embedded.uri.starts_with("data:image/png;base64,"));
        assert_eq!(decode(&embedded), picture);
    }

    #[test]
    fn a_photograph_becomes_a_jpeg_and_a_drawing_stays_a_png() {
        assert!(Embedded::new(&noise(300, 300)).unwrap().uri.starts_with("data:image/jpeg;"));
        assert!(Embedded::new(&RgbImage::new(900, 900)).unwrap().uri.starts_with("data:image/png;"));
    }

    #[test]
    fn a_large_picture_is_shrunk_in_proportion() {
        let embedded = Embedded::new(&RgbImage::new(4096, 1024)).unwrap();
        assert_eq!((embedded.width, embedded.height), (1024, 256));
        assert_eq!(decode(&embedded).dimensions(), (1024, 256));
        let thin = Embedded::new(&RgbImage::new(1, 5000)).unwrap();
        assert_eq!((thin.width, thin.height), (1, 1024));
    }

    #[test]
    fn an_empty_picture_is_said_to_be_empty() {
        assert_eq!(Embedded::new(&RgbImage::new(0, 7)).unwrap_err(), "an empty picture (0 × 7 pixels)");
    }
}
