//! Rendering faces seen from afar as if from near, with the network of a finished training.

use std::path::Path;

use image::{Rgb, RgbImage};
use ocelli_data::image::Preparation;
use ocelli_nn::tensor::values;
use ocelli_nn::{Pass, Store};
use ocelli_train::checkpoint::Checkpoint;
use ocelli_train::folder::RunFolder;
use ocelli_train::recipe::Recipe;
use ocelli_train::trainer::TaskError;

use super::objective::Parts;
use crate::recognition::loss::LossConfig;
use crate::recognition::recipe::FaceRecipe;
use crate::recognition::recognizer::Recognizer;

/// Pictures that go through the network at once.
const BATCH: usize = 16;

/// The encoders of low resolution and the decoder of a training.
#[derive(Debug)]
pub struct Normalizer {
    recognizer: Recognizer,
    parts: Parts,
}

impl Normalizer {
    /// Opens the folder of a run that trained `fan`. The decoder is in its checkpoint, not in its weights.
    ///
    /// # Errors
    /// When the folder holds no such run, or no checkpoint of it.
    pub fn open(run: &Path, device: &str) -> Result<Self, TaskError> {
        let folder = RunFolder::open(run);
        let mut recipe = FaceRecipe::new(&Recipe::read(&folder.recipe())?)?;
        let LossConfig::Fan(_) = recipe.loss else {
            let name = recipe.loss.name();
            return Err(
                format!("{}: was trained with {name}, and only fan renders faces", run.display()).into()
            );
        };
        // All weights come from the checkpoint.
        recipe.backbone.weights = None;
        let store = Store::labelled(&ocelli_nn::device(device)?, recipe.seed, "backbone");
        let recognizer = Recognizer::new(recipe.passport(), store)?;
        let parts = Parts::new(&recognizer, &recipe.backbone, recipe.seed)?;
        let Some((path, checkpoint)) = Checkpoint::newest(&folder.checkpoint())? else {
            return Err(format!("{}: holds no checkpoint, which has the decoder", run.display()).into());
        };
        let stores =
            [recognizer.store().clone(), parts.high.clone(), parts.non.clone(), parts.decoder.clone()];
        checkpoint.restore(&stores).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self { recognizer, parts })
    }

    /// How a picture file is prepared for the network.
    pub fn preparation(&self) -> Preparation {
        self.recognizer.preparation()
    }

    /// What prepared faces of any resolution would look like from near, in the network's size.
    ///
    /// # Errors
    /// When pictures differ in size from the network's, or the network gives no numbers.
    pub fn normalize(&self, faces: &[RgbImage]) -> Result<Vec<RgbImage>, TaskError> {
        let mut rendered = Vec::with_capacity(faces.len());
        for chunk in faces.chunks(BATCH) {
            let pictures = self.parts.fan.normalize(self.recognizer.batch(chunk)?, &Pass::sealed());
            let [_, _, height, width] = pictures.dims();
            let values = values(pictures);
            if values.iter().any(|v| !v.is_finite()) {
                return Err("the network gives values that are no numbers".into());
            }
            rendered.extend(
                values.chunks_exact(3 * height * width).map(|planes| to_picture(planes, height, width)),
            );
        }
        Ok(rendered)
    }
}

/// From planes `[3, H, W]` in [-1, 1].
fn to_picture(planes: &[f32], height: usize, width: usize) -> RgbImage {
    let byte = |v: f32| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let at = y as usize * width + x as usize;
        Rgb([0, 1, 2].map(|c| byte(planes[c * height * width + at])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_become_pixels() {
        let picture = to_picture(&[-1.0, 1.0, 0.0, -1.0, 5.0, -5.0], 1, 2);
        assert_eq!(picture.get_pixel(0, 0).0, [0, 128, 255]);
        assert_eq!(picture.get_pixel(1, 0).0, [255, 0, 0]);
    }
}
