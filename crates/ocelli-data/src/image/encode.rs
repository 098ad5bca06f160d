//! Pixels to picture files, which are there wholly or not at all.

use std::path::Path;

use ::image::codecs::jpeg::JpegEncoder;
use ::image::codecs::png::PngEncoder;
use ::image::{ExtendedColorType, ImageEncoder, RgbImage};
use ocelli_method::files;

use crate::error::DataError;

/// The picture as a PNG file.
///
/// # Errors
/// [`DataError::Encode`] when the picture has no pixels.
pub fn png_bytes(picture: &RgbImage) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    encode_with(PngEncoder::new(&mut bytes), picture, "PNG")?;
    Ok(bytes)
}

/// The picture as a baseline JPEG file of `quality` 1 to 100.
///
/// # Errors
/// [`DataError::Encode`] when the picture has no pixels or a side of more than 65535.
pub fn jpeg_bytes(picture: &RgbImage, quality: u8) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    encode_with(JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100)), picture, "JPEG")?;
    Ok(bytes)
}

fn encode_with(
    encoder: impl ImageEncoder,
    picture: &RgbImage,
    format: &'static str,
) -> Result<(), DataError> {
    let (width, height) = picture.dimensions();
    if width == 0 || height == 0 {
        return Err(DataError::Encode { format, reason: "it has no pixels".into() });
    }
    encoder
        .write_image(picture.as_raw(), width, height, ExtendedColorType::Rgb8)
        .map_err(|e| DataError::Encode { format, reason: e.to_string() })
}

/// Writes a picture file: PNG or, of quality 92, JPEG, as the path's ending says.
///
/// # Errors
/// [`DataError::Content`] for every other ending, [`DataError::Encode`], [`DataError::Write`].
pub fn save(path: impl AsRef<Path>, picture: &RgbImage) -> Result<(), DataError> {
    let path = path.as_ref();
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let bytes = match ending.as_str() {
        "png" => png_bytes(picture)?,
        "jpg" | "jpeg" => jpeg_bytes(picture, 92)?,
        _ => return Err(DataError::content(path, "pictures are written as .png, .jpg or .jpeg")),
    };
    write_atomically(path, &bytes)
}

/// Writes a file under a temporary name beside it, flushes it to the disk and renames it: after a crash there is the
/// old file or the new one, never a part.
///
/// # Errors
/// [`DataError::Write`]; the temporary file is removed.
pub fn write_atomically(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), DataError> {
    let path = path.as_ref();
    files::write_atomically(path, |w| w.write_all(bytes)).map_err(|source| DataError::write(path, source))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::image::{DecodeLimits, open};
    use ::image::Rgb;

    #[test]
    fn saved_pictures_come_back_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let picture = RgbImage::from_fn(40, 30, |x, y| Rgb([(3 * x) as u8, (4 * y) as u8, 90]));
        for name in ["a.png", "a.jpg", "a.PNG"] {
            let path = folder.path().join(name);
            fs::write(&path, "old content").unwrap();
            save(&path, &picture).unwrap();
            let back = open(&path, &DecodeLimits::default()).unwrap();
            let worst = back.iter().zip(picture.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= if name.ends_with("jpg") { 12 } else { 0 }, "{name}: {worst}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let picture = RgbImage::new(2, 2);
        assert!(save(folder.path().join("a.tiff"), &picture).unwrap_err().to_string().contains("a.tiff"));
        assert!(save(folder.path().join("absent/a.png"), &picture).is_err());
        assert!(save(folder.path().join("a.png"), &RgbImage::new(0, 2)).is_err());
        // A folder in the way: the rename fails, the temporary file goes.
        fs::create_dir(folder.path().join("b.png")).unwrap();
        fs::write(folder.path().join("b.png/in the way"), "").unwrap();
        assert!(save(folder.path().join("b.png"), &picture).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn many_writers_of_one_file_leave_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shared.txt");
        std::thread::scope(|scope| {
            for writer in 0..8u8 {
                let path = &path;
                scope.spawn(move || write_atomically(path, &[writer; 10_000]).unwrap());
            }
        });
        let content = fs::read(&path).unwrap();
        assert!(content.len() == 10_000 && content.iter().all(|b| *b == content[0]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
