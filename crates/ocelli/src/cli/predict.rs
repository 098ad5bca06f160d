//! `ocelli predict`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;
use ocelli::registry;
use ocelli_data::image;
use ocelli_face::fan::Normalizer;
use ocelli_face::recognition::predict::{Comparison, Gallery, Identification, compare, draw, expand, read};
use ocelli_face::recognition::recognizer::Recognizer;
use ocelli_nn::weights::write_atomically;
use serde::Serialize;

use super::Ended;
use super::classes;
use super::emotions;
use super::output;
use super::proposals::{self, Videos};

/// Use a trained network on your own pictures or videos; prints a JSON line an input.
///
/// Faces: two photographs are compared; with --gallery each photograph is looked for among the people of a folder.
/// Photographs are expected cropped to the face as in training; a wider one is cropped to its middle.
///
/// Videos: with --features, segments are proposed for each video; --out gets the official submission, and a page with a
/// timeline a video lies beside it. anet2020-tal scores the classes of each video, for `ocelli proposals label`.
///
/// Clips (tel): with --features, a folder of .npz files with `video` and `text`, emotions are localized; times are those of
/// the split --truth, or of subtitles (.srt, .vtt, .json) beside the features.
#[derive(Debug, Args)]
pub(super) struct Predict {
    /// Name of the method.
    method: String,
    /// Photographs, and with --gallery also folders of them.
    #[arg(required_unless_present = "features", conflicts_with = "features")]
    inputs: Vec<PathBuf>,
    /// Weights, or the folder of a run.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Look for each photograph among these people: a folder with one folder a person.
    #[arg(long, value_name = "DIR")]
    gallery: Option<PathBuf>,
    /// Render the faces as if seen from near, as pictures in this folder (fan; --weights is the folder of a run).
    #[arg(long, value_name = "DIR", conflicts_with_all = ["gallery", "out"])]
    normalize: Option<PathBuf>,
    /// How many people to name for each photograph.
    #[arg(long, default_value_t = 3, value_name = "K")]
    top: usize,
    /// Cosine from which on two pictures count as one person; the one measured in training by default.
    #[arg(long, allow_hyphen_values = true)]
    threshold: Option<f64>,
    /// Also write the lines and drawn pictures into this folder; of videos, the file for the proposals.
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    #[command(flatten)]
    videos: Videos,
    /// Where to compute: cpu, cuda, cuda:N, gpu.
    #[arg(long, default_value = "cpu")]
    device: String,
}

impl Predict {
    pub(super) fn run(self) -> Ended {
        let method = registry::method(&self.method)?;
        ensure!(method.card.predicts, "{} has nothing to predict with", self.method);
        if proposals::proposes(&self.method) {
            self.videos.predict(&self.weights, self.out.as_deref(), &self.device)?;
            return Ok(ExitCode::SUCCESS);
        }
        if classes::classifies(&self.method) {
            let (files, out) = self.videos.files_and_out("class scores", self.out.as_deref())?;
            classes::predict(&files, (&self.weights, out), &self.device)?;
            return Ok(ExitCode::SUCCESS);
        }
        if emotions::localizes(&self.method) {
            let (files, out) = self.videos.files_and_out("emotions", self.out.as_deref())?;
            emotions::predict(&files, (&self.weights, out), &self.device)?;
            return Ok(ExitCode::SUCCESS);
        }
        ensure!(self.videos.features.is_none(), "--features: {} works on pictures, not videos", self.method);
        if let Some(folder) = &self.normalize {
            self.normalize(folder)?;
            return Ok(ExitCode::SUCCESS);
        }
        let recognizer = Recognizer::open(&self.weights, &self.device)?.sealed();
        let threshold = match (self.threshold, recognizer.passport().threshold) {
            (Some(given), _) if (-1.0..=1.0).contains(&given) => given,
            (Some(given), _) => bail!("--threshold {given}: a cosine lies from -1 to 1"),
            (None, Some(measured)) => measured,
            (None, None) => bail!("these weights carry no threshold; give one with --threshold"),
        };
        match &self.gallery {
            Some(folder) => self.identify(&recognizer, folder, threshold)?,
            None => self.compare(&recognizer, threshold)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Renders each photograph, and prints a line with the file it became.
    fn normalize(&self, folder: &Path) -> anyhow::Result<()> {
        let normalizer = Normalizer::open(&self.weights, &self.device).map_err(|e| anyhow::anyhow!(e))?;
        let (photos, preparation) = (expand(&self.inputs)?, normalizer.preparation());
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for (i, path) in photos.iter().enumerate() {
            let face = preparation.open(path)?;
            let rendered = normalizer.normalize(&[face]).map_err(|e| anyhow::anyhow!(e))?;
            let normalized = folder.join(format!("{i:05}.png"));
            for picture in &rendered {
                image::save(&normalized, picture)?;
            }
            output::line(serde_json::to_string(
                &serde_json::json!({ "path": path, "normalized": normalized }),
            )?)?;
        }
        Ok(())
    }

    fn compare(&self, recognizer: &Recognizer, threshold: f64) -> anyhow::Result<()> {
        let [left, right] = self.inputs.as_slice() else {
            bail!(
                "two photographs are compared, found {}; give --gallery to look people up",
                self.inputs.len()
            )
        };
        let comparison = compare(recognizer, left, right, threshold)?;
        self.publish(recognizer, std::slice::from_ref(&comparison), |c: &Comparison| {
            let word = if c.same { "same person" } else { "different people" };
            Some((c.left.clone(), c.right.clone(), c.same, format!("{word}, {:.3}", c.cosine)))
        })
    }

    fn identify(&self, recognizer: &Recognizer, folder: &Path, threshold: f64) -> anyhow::Result<()> {
        let gallery = Gallery::open(recognizer, folder)?;
        let photos = expand(&self.inputs)?;
        let found = gallery.identify(recognizer, &photos, threshold, self.top)?;
        self.publish(recognizer, &found, |i: &Identification| {
            let best = i.candidates.first()?;
            let text = format!("{}, {:.3}", best.identity, best.cosine);
            Some((i.path.clone(), best.picture.clone(), i.identity.is_some(), text))
        })
    }

    /// Prints a line an answer, and writes lines and drawings where a folder is given.
    fn publish<T: Serialize>(
        &self,
        recognizer: &Recognizer,
        answers: &[T],
        drawing: impl Fn(&T) -> Option<(PathBuf, PathBuf, bool, String)>,
    ) -> anyhow::Result<()> {
        let lines = answers.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
        for line in &lines {
            output::line(line)?;
        }
        let Some(folder) = &self.out else { return Ok(()) };
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let write = |w: &mut dyn Write| lines.iter().try_for_each(|line| writeln!(w, "{line}"));
        write_atomically(&folder.join("predictions.jsonl"), write)?;
        for (i, answer) in answers.iter().enumerate() {
            let Some((left, right, same, text)) = drawing(answer) else { continue };
            let pictures = read(recognizer, &[left, right])?;
            image::save(folder.join(format!("{i:05}.png")), &draw(&pictures[0], &pictures[1], same, &text))?;
        }
        output::note(format!("lines and {} pictures in {}", answers.len(), folder.display()));
        Ok(())
    }
}
