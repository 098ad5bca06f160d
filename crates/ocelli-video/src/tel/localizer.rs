//! A network in use, and how well it localizes.

use std::path::Path;

use ocelli_metrics::segment::Segment;
use ocelli_metrics::temporal_detection::{TemporalMap, TemporalVariant};
use ocelli_nn::ops::activation::sigmoid;
use ocelli_nn::tensor::values;
use ocelli_nn::{Pass, Store};
use ocelli_train::trainer::TaskError;
use serde::{Deserialize, Serialize};

use super::clips::{Clip, ClipBatch};
use super::localize::{ClipProbabilities, LocalizeConfig, Localized, localize};
use super::losses::pool;
use super::network::{Tel, TelShape};
use crate::moments::{Predicted, True, mean_average_precision};
use crate::passport::{self, Described};

/// What weights carry besides the weights: how to build the network and use it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passport {
    /// Sizes of the network.
    pub shape: TelShape,
    /// One in how many segments is pooled to score a clip.
    pub topk_r: usize,
    /// How segments are cut out.
    pub localize: LocalizeConfig,
    /// Names of the classes.
    pub classes: Vec<String>,
}

/// The metadata entry of a weights file that holds the [`Passport`].
const PASSPORT: &str = "ocelli.emotion-localization";

impl Passport {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that nothing could be localized with.
    pub fn validate(&self) -> Result<(), String> {
        self.shape.validate()?;
        self.localize.validate()?;
        if self.topk_r == 0 {
            return Err("topk_r: must be at least 1".to_owned());
        }
        match (self.classes.len(), self.shape.classes) {
            (names, classes) if names == classes => Ok(()),
            (names, classes) => Err(format!("classes: {names} names of {classes} classes")),
        }
    }
}

/// A network with all that is needed to localize emotions.
#[derive(Debug)]
pub struct Localizer {
    store: Store,
    network: Tel,
    passport: Passport,
}

/// Clips that go through the network at once.
const BATCH: usize = 32;

impl Localizer {
    /// A network in `store`, which must be empty; training drops the share `dropout` of its features.
    ///
    /// # Errors
    /// When the passport is of no network, or the share is no share.
    pub fn new(store: Store, passport: Passport, dropout: f64) -> Result<Self, String> {
        passport.validate()?;
        if !(0.0..1.0).contains(&dropout) {
            return Err(format!("dropout: {dropout} is outside 0 to 1"));
        }
        let network = Tel::new(&store.root(), &passport.shape).dropout(dropout);
        Ok(Self { store, network, passport })
    }

    /// Opens weights that [`Localizer::save`] wrote, or those in a run's folder.
    ///
    /// # Errors
    /// When the file cannot be read, does not say which network it is of, or is of another one.
    pub fn open(path: &Path, device: &str) -> Result<Self, TaskError> {
        let described = Described::<Passport>::open(path, PASSPORT)?;
        let store = Store::new(&ocelli_nn::device(device)?, 0);
        let localizer = Self::new(store, described.passport.clone(), 0.0);
        let localizer = localizer.map_err(|reason| described.unusable(&reason))?;
        described.load(&localizer.store)?;
        Ok(localizer)
    }

    /// Writes the weights with their passport, whole or not at all.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn save(&self, path: &Path) -> Result<(), TaskError> {
        passport::save(path, &self.store, PASSPORT, &self.passport)
    }

    /// What the weights carry.
    pub fn passport(&self) -> &Passport {
        &self.passport
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
        &self.passport.shape
    }

    /// Localizes the emotions of clips, a list for each.
    ///
    /// # Errors
    /// Names the first clip that [`Clip::check`] refuses.
    pub fn localize(&self, clips: &[Clip]) -> Result<Vec<Vec<Localized>>, String> {
        let mut found = Vec::with_capacity(clips.len());
        for clips in clips.chunks(BATCH) {
            for clip in clips {
                clip.check(&self.passport.shape).map_err(|reason| format!("clip {}: {reason}", clip.name))?;
            }
            let clips: Vec<&Clip> = clips.iter().collect();
            let batch = ClipBatch::new(&clips, &self.passport.shape, self.store.device());
            let output = self.network.forward(batch.video, batch.text, &batch.mask, &Pass::eval());
            // Both modalities have the same say.
            let fused = (sigmoid(output.video.cas) + sigmoid(output.text.cas)).div_scalar(2.0);
            let pooled = doubles(values(pool(fused.clone(), &batch.mask, self.passport.topk_r)));
            let [_, longest, classes] = fused.dims();
            let fused = doubles(values(fused));
            let rows = fused.chunks_exact(longest * classes).zip(pooled.chunks_exact(classes));
            for (clip, (segments, whole)) in clips.iter().zip(rows) {
                let segments = &segments[..clip.times.len() * classes];
                let probabilities = ClipProbabilities { segments, clip: whole };
                let localized = localize(probabilities, &clip.times, &self.passport.localize);
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

    fn passport(shape: TelShape) -> Passport {
        let localize = LocalizeConfig { cls_thresh: 0.0, ..LocalizeConfig::default() };
        let classes = (0..shape.classes).map(|c| c.to_string()).collect();
        Passport { shape, topk_r: 4, localize, classes }
    }

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
        let localizer = Localizer::new(store, passport(shape), 0.0).unwrap();
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
        let localizer = Localizer::new(store, passport(shape), 0.0).unwrap();
        let message = localizer.localize(&clips(1)).unwrap_err();
        assert!(message.starts_with("clip clip-000000: 16 segments of d_video = 7"), "{message}");
    }
}
