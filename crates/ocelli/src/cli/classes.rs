//! Class scores of videos in `ocelli predict`.

use std::path::Path;

use anyhow::anyhow;
use ocelli_video::anet2020_tal::classifier::VideoClassifier;
use ocelli_video::anet2020_tal::videos::classify;
use ocelli_video::temporal::files::Files;
use ocelli_video::temporal::run::say;
use serde_json::json;

use super::output;

/// Whether the method scores classes of videos.
pub(super) fn classifies(method: &str) -> bool {
    method == ocelli_video::anet2020_tal::METHOD.card.slug
}

/// Writes the class scores of the videos of a folder of features to `out`.
pub(super) fn predict(files: &Files<'_>, (weights, out): (&Path, &Path), device: &str) -> anyhow::Result<()> {
    let classifier = VideoClassifier::open(weights, device).map_err(|e| anyhow!(e))?;
    let (classes, bad) = classify(&classifier, files).map_err(|e| anyhow!(e))?;
    let left_out: Vec<String> = bad.iter().map(|b| format!("left out {}: {}", b.name, b.reason)).collect();
    say(&left_out, &|text| output::note(text));
    classes.write(out)?;
    output::line(serde_json::to_string(&json!({
        "videos": classes.videos.len(),
        "skipped": bad.len(),
        "classes": classes.labels.len(),
        "results": out,
    }))?)?;
    Ok(())
}
