//! Whatever bytes come, decoding ends with a picture or an error; a file cut short ends with an error.

#![allow(clippy::unwrap_used)]

use image::codecs::bmp::BmpEncoder;
use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::pnm::PnmEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageFormat, Rgb, RgbImage};
use ocelli_data::DataError;
use ocelli_data::image::{DecodeLimits, decode};
use ocelli_method::random::stream;
use proptest::prelude::*;
use rand::RngExt;

const FORMATS: [ImageFormat; 6] = [
    ImageFormat::Jpeg,
    ImageFormat::Png,
    ImageFormat::Pnm,
    ImageFormat::Gif,
    ImageFormat::Bmp,
    ImageFormat::WebP,
];

/// Small limits: damaged headers ask for much.
const LIMITS: DecodeLimits =
    DecodeLimits { max_file_bytes: 1 << 20, max_pixels: 1 << 20, max_memory_bytes: 16 << 20 };

fn sample(format: ImageFormat) -> Vec<u8> {
    let mut rng = stream(1, "damaged", 0);
    let picture = RgbImage::from_fn(24, 20, |x, y| Rgb([(10 * x) as u8, (12 * y) as u8, rng.random()]));
    let (pixels, width, height, colour) = (picture.as_raw(), 24, 20, ExtendedColorType::Rgb8);
    let mut bytes = Vec::new();
    match format {
        ImageFormat::Jpeg => JpegEncoder::new(&mut bytes).write_image(pixels, width, height, colour),
        ImageFormat::Png => PngEncoder::new(&mut bytes).write_image(pixels, width, height, colour),
        ImageFormat::Pnm => PnmEncoder::new(&mut bytes).write_image(pixels, width, height, colour),
        ImageFormat::Gif => GifEncoder::new(&mut bytes).encode(pixels, width, height, colour),
        ImageFormat::Bmp => BmpEncoder::new(&mut bytes).write_image(pixels, width, height, colour),
        _ => WebPEncoder::new_lossless(&mut bytes).write_image(pixels, width, height, colour),
    }
    .unwrap();
    bytes
}

fn try_decode(bytes: &[u8]) -> Result<RgbImage, DataError> {
    decode(bytes, "sample", &LIMITS)
}

#[test]
fn a_file_cut_short_is_an_error_in_every_format() {
    for format in FORMATS {
        let bytes = sample(format);
        assert_eq!(try_decode(&bytes).unwrap().dimensions(), (24, 20), "{format:?}");
        let accepted: Vec<usize> = (0..bytes.len()).filter(|&n| try_decode(&bytes[..n]).is_ok()).collect();
        // Behind the pixels a PNG has 12 bytes of end chunk; a GIF the end code, the end of blocks and the trailer.
        let behind = match format {
            ImageFormat::Png => 12,
            ImageFormat::Gif => 3,
            _ => 0,
        };
        assert!(
            accepted.iter().all(|n| n + behind >= bytes.len()),
            "{format:?} of {} bytes is accepted at {accepted:?}",
            bytes.len()
        );
    }
}

#[test]
fn errors_are_one_line_and_name_the_picture() {
    for format in FORMATS {
        let bytes = sample(format);
        for length in (0..bytes.len()).step_by(7) {
            if let Err(error) = try_decode(&bytes[..length]) {
                let message = error.to_string();
                assert!(message.contains("sample") && !message.contains('\n'), "{message}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), format in 0usize..6, keep in 2usize..12) {
        let _ = try_decode(&bytes);
        let head = sample(FORMATS[format]);
        let _ = try_decode(&[&head[..keep], &bytes].concat());
    }

    #[test]
    fn flipped_bits_never_panic(
        format in 0usize..6, flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..6), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = sample(FORMATS[format]);
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        if let Ok(picture) = try_decode(&bytes) {
            prop_assert!(picture.width() > 0 && picture.height() > 0);
        }
        let _ = try_decode(&bytes[..cut.index(bytes.len())]);
    }
}
