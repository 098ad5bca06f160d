//! A recognition training small enough for unit tests of objectives.

use std::path::Path;

use ocelli_train::recipe::Recipe;

use super::data;
use super::recipe::FaceRecipe;
use super::task::RecognitionTask;

const RECIPE: &str = r#"
task = "face-recognition"
data.world = { people = 8, pictures = 4 }
backbone = { input_size = 16, embedding = 8, widths = [4, 4, 4, 4] }
train.batch_size = 8
evaluate.folds = 2
"#;

/// The training of a tiny recipe with some keys set.
pub(crate) fn recognition_task(overrides: &[&str]) -> Result<RecognitionTask, String> {
    let mut recipe = Recipe::parse(RECIPE, Path::new("tiny.toml")).unwrap();
    overrides.iter().for_each(|text| recipe.set(text).unwrap());
    let recipe = FaceRecipe::new(&recipe).map_err(|e| e.to_string())?;
    let preparation = recipe.passport().preparation();
    let data = data::load(&recipe.data, &recipe.evaluate, &preparation, recipe.seed).unwrap();
    RecognitionTask::new(&recipe, data, "cpu").map_err(|e| e.to_string())
}
