//! All recognition losses side by side: one network, one budget, the same pictures, a training each.
//!
//! A comparison is a recipe whose section `losses` has a table for each arm in the place of one `loss`. Each arm's run
//! is an ordinary run folder that can be opened, evaluated and predicted with.

use std::path::Path;
use std::time::Instant;

use ocelli_train::folder::RunFolder;
use ocelli_train::recipe::{Recipe, RecipeError};
use ocelli_train::trainer::{Numbers, TaskError, Watch};

use super::recipe::FaceRecipe;
use super::run::Training;

/// The comparison that travels with the program: a few minutes of small networks on the procedural world.
const SMALL: &str = include_str!("../../../../recipes/face/compare.toml");

/// Several trainings that differ in their loss alone.
#[derive(Debug)]
pub struct Comparison {
    arms: Vec<(String, FaceRecipe)>,
}

/// What one arm came to.
#[derive(Debug)]
pub struct Compared {
    /// The arm's name: a method's slug or a baseline.
    pub name: String,
    /// The measures on unseen people, or why there are none.
    pub numbers: Result<Numbers, String>,
    /// Those of raw pixels, which are the same for all arms.
    pub raw_pixels: Numbers,
    /// Seconds of training and measuring.
    pub seconds: f64,
}

impl Comparison {
    /// The built-in comparison, with keys changed by `a.b=value` texts.
    ///
    /// # Errors
    /// [`RecipeError`] naming the override or key.
    pub fn small(overrides: &[String]) -> Result<Self, RecipeError> {
        Self::new(Recipe::parse(SMALL, Path::new("compare.toml"))?, overrides)
    }

    /// A comparison from a recipe with a section `losses`.
    ///
    /// # Errors
    /// [`RecipeError`] naming the override or key.
    pub fn new(mut recipe: Recipe, overrides: &[String]) -> Result<Self, RecipeError> {
        overrides.iter().try_for_each(|text| recipe.set(text))?;
        let losses = recipe.take_section("losses");
        let losses = losses.ok_or_else(|| recipe.key("losses: a table for each arm is wanted"))?;
        let mut arms = Vec::new();
        for (name, loss) in losses {
            let mut loss = match loss {
                toml::Value::Table(table) => table,
                _ => return Err(recipe.key(format!("losses.{name}: a table is wanted"))),
            };
            loss.entry("name").or_insert_with(|| toml::Value::String(name.clone()));
            let mut arm = recipe.clone();
            arm.put_section("loss", loss);
            arms.push((name, FaceRecipe::new(&arm)?));
        }
        Ok(Self { arms })
    }

    /// The names of the arms, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arms.iter().map(|(name, _)| name.as_str())
    }

    /// Trains arm after arm, each in a folder of its name below `out`; an arm that fails says why and does not stop the
    /// others. `watch` is made for each arm by its name.
    ///
    /// # Errors
    /// When a folder cannot be made, or holds a run already.
    pub fn run<W: Watch>(
        &self,
        out: &Path,
        device: &str,
        note: &dyn Fn(&str),
        mut watch: impl FnMut(&str) -> W,
    ) -> Result<Vec<Compared>, TaskError> {
        for (name, _) in &self.arms {
            RunFolder::vacant(&out.join(name))?;
        }
        let mut compared = Vec::new();
        for (name, recipe) in &self.arms {
            let start = Instant::now();
            let outcome = Training::prepare(recipe, device, &|_| ()).and_then(|training| {
                let folder = RunFolder::create(&out.join(name), &recipe.to_toml())?;
                training.run(&folder, &mut watch(name))
            });
            let seconds = start.elapsed().as_secs_f64();
            let (numbers, raw_pixels) = match outcome {
                Ok(outcome) => (Ok(outcome.numbers), outcome.raw_pixels),
                Err(error) => {
                    note(&format!("{name}: {error}"));
                    (Err(error.to_string()), Numbers::new())
                }
            };
            compared.push(Compared { name: name.clone(), numbers, raw_pixels, seconds });
        }
        Ok(compared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_differ_in_their_loss_alone() {
        let comparison = Comparison::small(&["schedule.epochs=1".to_owned()]).unwrap();
        assert!(comparison.names().count() > 2);
        let (_, first) = &comparison.arms[0];
        for (name, recipe) in &comparison.arms {
            assert_eq!(recipe.schedule.epochs, 1);
            let same = FaceRecipe { loss: first.loss, ..recipe.clone() };
            assert_eq!(&same, first, "{name}");
        }
    }

    #[test]
    fn a_comparison_without_losses_is_refused() {
        let recipe = |text: &str| Recipe::parse(text, Path::new("c.toml")).unwrap();
        let task = "task = \"face-recognition\"";
        let refused = |text: String| Comparison::new(recipe(&text), &[]).unwrap_err().to_string();
        assert!(refused(task.to_owned()).contains("losses"));
        assert!(refused(format!("{task}\n[losses]\narcface = 3")).contains("losses.arcface"));
        assert!(refused(format!("{task}\n[losses.arcface]\nx = 3")).contains("x"));
    }
}
