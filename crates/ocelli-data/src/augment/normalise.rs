//! From 8-bit pixels to the network's input.

use ::image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::error::DataError;

/// Per-channel normalisation `(v / 255 - mean) / std` of RGB values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Normalise {
    /// Means of red, green, blue on the scale [0, 1].
    pub mean: [f32; 3],
    /// Standard deviations on the same scale, positive.
    pub std: [f32; 3],
}

impl Default for Normalise {
    /// [`Normalise::UNIT`].
    fn default() -> Self {
        Self::UNIT
    }
}

/// Pictures as network input.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureBatch {
    /// The values, batch first, then channels, rows, columns.
    pub data: Vec<f32>,
    /// `[B, 3, H, W]`.
    pub shape: [usize; 4],
}

impl Normalise {
    /// Values in [0, 1].
    pub const UNIT: Self = Self { mean: [0.0; 3], std: [1.0; 3] };
    /// Values in [-1, 1]: the convention of face recognition.
    pub const HALF: Self = Self { mean: [0.5; 3], std: [0.5; 3] };
    /// Mean and standard deviation of ImageNet.
    pub const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

    /// Checks the settings.
    ///
    /// # Errors
    /// [`DataError::Setting`] when a mean is not finite or a standard deviation not positive.
    pub fn check(&self) -> Result<(), DataError> {
        let possible = |(m, s): (&f32, &f32)| m.is_finite() && s.is_finite() && *s > 0.0;
        if self.mean.iter().zip(&self.std).all(possible) {
            return Ok(());
        }
        let reason =
            format!("std must be positive and both finite, found {:?} and {:?}", self.mean, self.std);
        Err(DataError::setting("normalise", reason))
    }

    /// Writes a picture as `[3, H, W]`.
    ///
    /// # Errors
    /// [`DataError::Shape`] when `out` has not 3 H W elements.
    pub fn write(&self, picture: &RgbImage, out: &mut [f32]) -> Result<(), DataError> {
        let pixels = picture.width() as usize * picture.height() as usize;
        if out.len() != 3 * pixels {
            return Err(DataError::Shape {
                what: "normalise",
                wanted: format!("a buffer of 3 x {} x {} elements", picture.height(), picture.width()),
                found: out.len().to_string(),
            });
        }
        let table = |channel: usize| -> [f32; 256] {
            std::array::from_fn(|value| (value as f32 / 255.0 - self.mean[channel]) / self.std[channel])
        };
        let tables = [table(0), table(1), table(2)];
        let (red, rest) = out.split_at_mut(pixels);
        let (green, blue) = rest.split_at_mut(pixels);
        let planes = red.iter_mut().zip(green).zip(blue);
        for (pixel, ((red, green), blue)) in picture.as_raw().chunks_exact(3).zip(planes) {
            *red = tables[0][usize::from(pixel[0])];
            *green = tables[1][usize::from(pixel[1])];
            *blue = tables[2][usize::from(pixel[2])];
        }
        Ok(())
    }

    /// A batch `[B, 3, H, W]` of pictures of one size.
    ///
    /// # Errors
    /// [`DataError::Shape`] when there is no picture or their sizes differ.
    pub fn batch<'a>(
        &self,
        pictures: impl IntoIterator<Item = &'a RgbImage>,
    ) -> Result<PictureBatch, DataError> {
        let pictures: Vec<&RgbImage> = pictures.into_iter().collect();
        let shape = |wanted: String, found: String| DataError::Shape { what: "batch", wanted, found };
        let first = pictures.first().ok_or_else(|| shape("at least one picture".into(), "none".into()))?;
        let (width, height) = first.dimensions();
        let length = 3 * width as usize * height as usize;
        let mut data = vec![0.0; length * pictures.len()];
        for (index, picture) in pictures.iter().enumerate() {
            if picture.dimensions() != (width, height) {
                let found = format!("{} x {} (picture {index})", picture.width(), picture.height());
                return Err(shape(format!("pictures of {width} x {height} pixels"), found));
            }
            self.write(picture, &mut data[index * length..(index + 1) * length])?;
        }
        Ok(PictureBatch { data, shape: [pictures.len(), 3, height as usize, width as usize] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::Rgb;

    #[test]
    fn channels_come_first_and_are_normalised() {
        let picture = RgbImage::from_fn(2, 1, |x, _| Rgb(if x == 0 { [0, 51, 255] } else { [255, 102, 0] }));
        let batch = Normalise::HALF.batch([&picture, &picture]).unwrap();
        assert_eq!(batch.shape, [2, 3, 1, 2]);
        let wanted = [-1.0, 1.0, -0.6, -0.2, 1.0, -1.0];
        for (value, wanted) in batch.data.iter().zip(wanted.iter().cycle()) {
            assert!((value - wanted).abs() < 1e-6);
        }
        let batch = Normalise::IMAGENET.batch([&picture]).unwrap();
        assert!((batch.data[1] - (1.0 - 0.485) / 0.229).abs() < 1e-6);
    }

    #[test]
    fn sizes_must_agree() {
        let message =
            Normalise::UNIT.batch([&RgbImage::new(2, 3), &RgbImage::new(3, 2)]).unwrap_err().to_string();
        assert_eq!(message, "batch: expected pictures of 2 x 3 pixels, found 3 x 2 (picture 1)");
        assert!(Normalise::UNIT.batch([]).is_err());
        assert!(Normalise::UNIT.write(&RgbImage::new(2, 3), &mut [0.0; 17]).is_err());
        assert!(Normalise { std: [1.0, 0.0, 1.0], ..Normalise::UNIT }.check().is_err());
        assert!(Normalise::IMAGENET.check().is_ok());
    }
}
