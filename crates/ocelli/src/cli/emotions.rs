//! Emotion localization in `ocelli predict`.

use std::io::Write;
use std::path::Path;

use anyhow::anyhow;
use ocelli_data::annotations::movie_emotions::Windows;
use ocelli_nn::weights::write_atomically;
use ocelli_video::tel::Localizer;
use ocelli_video::tel::data::Clips;
use ocelli_video::tel::task::{predictions, say};
use serde_json::json;

use super::output;

/// Whether the method localizes emotions.
pub(super) fn localizes(method: &str) -> bool {
    method == ocelli_video::tel::METHOD.card.slug
}

/// Localizes emotions in the clips of a folder of features, and writes them to `out` by clip. Times are those of the
/// subtitles: of the split `truth`, or of files beside the features.
pub(super) fn predict(
    features: &Path,
    truth: Option<&Path>,
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
    write_atomically(out, |w: &mut dyn Write| Ok(serde_json::to_writer_pretty(w, &found)?))?;
    let emotions: usize = found.values().map(Vec::len).sum();
    output::line(serde_json::to_string(&json!({
        "clips": found.len(),
        "skipped": clips.left_out.len(),
        "emotions": emotions,
        "results": out,
    }))?)?;
    Ok(())
}
