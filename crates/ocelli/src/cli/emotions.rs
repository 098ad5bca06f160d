//! Emotion localization in `ocelli predict`.

use std::path::Path;

use anyhow::anyhow;
use ocelli_data::annotations::movie_emotions::{Windows, write_predictions};
use ocelli_video::tel::Localizer;
use ocelli_video::tel::data::Clips;
use ocelli_video::tel::task::{predictions, say};
use ocelli_video::temporal::files::Files;
use serde_json::json;

use super::output;

/// Whether the method localizes emotions.
pub(super) fn localizes(method: &str) -> bool {
    method == ocelli_video::tel::METHOD.card.slug
}

/// Localizes emotions in the clips of a folder of features, and writes them to `out` by clip. Times are those of the
/// subtitles: of the split `truth`, or of files beside the features.
pub(super) fn predict(
    &Files { features, truth, .. }: &Files<'_>,
    (weights, out): (&Path, &Path),
    device: &str,
) -> anyhow::Result<()> {
    let localizer = Localizer::open(weights, device).map_err(|e| anyhow!(e))?;
    let clips = match truth {
        Some(split) => Clips::test(split, features, Windows::default(), localizer.shape()),
        None => Clips::beside_subtitles(features, localizer.shape()),
    };
    let clips = clips.map_err(|e| anyhow!(e))?;
    say(&clips, &|text| output::note(text));
    let found = predictions(&localizer, &clips.clips).map_err(|e| anyhow!(e))?;
    write_predictions(out, &found)?;
    output::line(serde_json::to_string(&json!({
        "clips": found.videos.len(),
        "skipped": clips.left_out.len(),
        "emotions": found.predictions.len(),
        "results": out,
    }))?)?;
    Ok(())
}
