//! A network in use, and how well it localizes.

use burn::tensor::activation::sigmoid;
use ocelli_metrics::segment::Segment;
use ocelli_metrics::temporal_detection::{TemporalMap, TemporalVariant};
use ocelli_nn::tensor::values;
use ocelli_nn::{Pass, Store};

use super::clips::{Clip, ClipBatch};
use super::localize::{ClipProbabilities, LocalizeConfig, Localized, localize};
use super::losses::pool;
use super::network::{Tel, TelShape};
use crate::moments::{Predicted, True, mean_average_precision};

/// A network with all that is needed to localize emotions.
#[derive(Debug)]
pub struct Localizer {
    store: Store,
    network: Tel,
    shape: TelShape,
    /// One in how many segments is pooled to score a clip.
    topk_r: usize,
    /// How segments are cut out.
    pub config: LocalizeConfig,
}

/// Clips that go through the network at once.
const BATCH: usize = 32;

impl Localizer {
    /// A network in `store`, which must be empty.
    ///
    /// # Errors
    /// When shape or settings are out of range.
    pub fn new(store: Store, shape: TelShape, topk_r: usize, config: LocalizeConfig) -> Result<Self, String> {
        shape.validate()?;
        config.validate()?;
        if topk_r == 0 {
            return Err("topk_r: must be at least 1".to_owned());
        }
        let network = Tel::new(&store.root(), &shape);
        Ok(Self { store, network, shape, topk_r, config })
    }

    /// Where its parameters live.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The network.
    pub fn network(&self) -> &Tel {
        &self.network
    }

    /// Its sizes.
    pub fn shape(&self) -> &TelShape {
        &self.shape
    }

    /// Localizes the emotions of clips, a list for each.
    ///
    /// # Errors
    /// Names the first clip that [`Clip::check`] refuses.
    pub fn localize(&self, clips: &[Clip]) -> Result<Vec<Vec<Localized>>, String> {
        let mut found = Vec::with_capacity(clips.len());
        for clips in clips.chunks(BATCH) {
            for clip in clips {
                clip.check(&self.shape).map_err(|reason| format!("clip {}: {reason}", clip.name))?;
            }
            let clips: Vec<&Clip> = clips.iter().collect();
            let batch = ClipBatch::new(&clips, &self.shape, self.store.device());
            let output = self.network.forward(batch.video, batch.text, &batch.mask, &Pass::eval());
            // Both modalities have the same say.
            let fused = (sigmoid(output.video.cas) + sigmoid(output.text.cas)).div_scalar(2.0);
            let pooled = doubles(values(pool(fused.clone(), &batch.mask, self.topk_r)));
            let [_, longest, classes] = fused.dims();
            let fused = doubles(values(fused));
            let rows = fused.chunks_exact(longest * classes).zip(pooled.chunks_exact(classes));
            for (clip, (segments, whole)) in clips.iter().zip(rows) {
                let segments = &segments[..clip.times.len() * classes];
                let probabilities = ClipProbabilities { segments, clip: whole };
                let localized = localize(probabilities, &clip.times, &self.config);
                found.push(localized.map_err(|reason| format!("clip {}: {reason}", clip.name))?);
            }
        }
        Ok(found)
    }
}

fn doubles(values: Vec<f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}

/// The thresholds of the data set: 0.1 to 0.7.
pub const THRESHOLDS: [f64; 7] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7];

/// Mean average precision of what was localized in clips whose truth is known. Classes that no clip shows do not count.
///
/// # Errors
/// No truth at all, or a threshold outside [0, 1].
pub fn mean_average_precision_of(
    clips: &[Clip],
    localized: &[Vec<Localized>],
    thresholds: &[f64],
) -> Result<TemporalMap, String> {
    let each = |(video, clip): (usize, &Clip)| {
        let one = move |&(class, segment): &(usize, Segment)| True {
            video: video as i64,
            class: class as i64,
            segment,
        };
        clip.truth.iter().map(one).collect::<Vec<_>>()
    };
    let truth: Vec<True> = clips.iter().enumerate().flat_map(each).collect();
    let predicted = localized.iter().enumerate().flat_map(|(video, found)| {
        let one =
            move |l: &Localized| Predicted { video: video as i64, class: l.class as i64, scored: l.scored };
        found.iter().map(one)
    });
    let predicted: Vec<Predicted> = predicted.collect();
    let mut classes: Vec<i64> = truth.iter().map(|t| t.class).collect();
    classes.sort_unstable();
    classes.dedup();
    mean_average_precision(&truth, &predicted, &classes, thresholds, TemporalVariant::ActivityNet)
        .map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_metrics::segment::ScoredSegment;
    use ocelli_world::clips::emotion::EmotionClips;

    fn clips(n: u64) -> Vec<Clip> {
        (0..n).map(|i| Clip::of_world(&EmotionClips::default(), i)).collect()
    }

    #[test]
    fn the_truth_itself_is_perfect() {
        let clips = clips(30);
        let told = |clip: &Clip| {
            let one = |&(class, segment): &(usize, Segment)| Localized {
                class,
                scored: ScoredSegment { segment, score: 1.0 },
            };
            clip.truth.iter().map(one).collect::<Vec<_>>()
        };
        let localized: Vec<_> = clips.iter().map(told).collect();
        let map = mean_average_precision_of(&clips, &localized, &THRESHOLDS).unwrap();
        assert_eq!((map.map, map.average_map), (vec![1.0; 7], 1.0));
        assert!(mean_average_precision_of(&[], &[], &THRESHOLDS).is_err());
    }

    /// What a clip gives does not depend on which others it is padded with.
    #[test]
    fn batches_do_not_matter() {
        let shape = TelShape { d_video: 24, d_text: 24, dim: 8, levels: 3, heads: 2, classes: 6 };
        let store = Store::new(&ocelli_nn::device("cpu").unwrap(), 1);
        let config = LocalizeConfig { cls_thresh: 0.0, ..LocalizeConfig::default() };
        let localizer = Localizer::new(store, shape, 4, config).unwrap();
        let mut clips = clips(3);
        clips[0].times.truncate(5);
        clips[0].video.truncate(5 * 24);
        clips[0].text.truncate(5 * 24);
        let together = localizer.localize(&clips).unwrap();
        let alone = localizer.localize(&clips[..1]).unwrap();
        assert_eq!(together[0].len(), alone[0].len());
        for (a, b) in together[0].iter().zip(&alone[0]) {
            assert_eq!((a.class, a.scored.segment), (b.class, b.scored.segment));
            assert!((a.scored.score - b.scored.score).abs() < 1e-5);
        }
    }

    #[test]
    fn a_clip_that_cannot_be_taken_is_named() {
        let store = Store::new(&ocelli_nn::device("cpu").unwrap(), 1);
        let shape = TelShape { d_video: 7, d_text: 24, dim: 8, levels: 1, heads: 1, classes: 6 };
        let localizer = Localizer::new(store, shape, 4, LocalizeConfig::default()).unwrap();
        let message = localizer.localize(&clips(1)).unwrap_err();
        assert!(message.starts_with("clip clip-000000: 16 segments of d_video = 7"), "{message}");
    }
}
