//! Which detections of one video are hits, at which thresholds.

use std::collections::BTreeMap;

use super::{TemporalOptions, TemporalVariant};
use crate::segment::{ScoredSegment, Segment, check_finite, falling};
use crate::{Result, check};
use serde::Serialize;

/// A segment of the truth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Instance {
    /// Its class, from 0; `None` for an ambiguous one, which no detection should be blamed for.
    pub class: Option<u32>,
    /// When it happens.
    pub segment: Segment,
}

/// A predicted segment with its class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Detection {
    /// Its class, from 0.
    pub class: u32,
    /// When it is said to happen, and how surely.
    pub scored: ScoredSegment,
}

/// The judgement of one video.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JudgedVideo {
    /// Number of segments of each class that has any, by class.
    pub(super) positives: Vec<(u32, u32)>,
    /// Its detections, class by class, by falling score.
    pub(super) detections: Vec<Judged>,
}

/// The judgement of one detection.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Judged {
    pub(super) class: u32,
    pub(super) score: f64,
    /// Bit `i` is set when it is a hit at threshold `i`.
    pub(super) hits: u64,
    /// Not to be counted where it is no hit.
    pub(super) excused: bool,
}

impl JudgedVideo {
    /// Judges one video's detections, in any order, by its truth, in the order of its file.
    ///
    /// # Errors
    /// A score or bound that is not finite; a class out of range; options out of range.
    pub fn new(truth: &[Instance], detections: &[Detection], options: &TemporalOptions) -> Result<Self> {
        options.check()?;
        check_finite("truth", truth.iter().map(|t| t.segment))?;
        check_finite("detections", detections.iter().map(|d| d.scored.segment))?;
        check::finite("scores", &detections.iter().map(|d| d.scored.score).collect::<Vec<_>>())?;
        let classes = truth.iter().filter_map(|t| t.class).chain(detections.iter().map(|d| d.class));
        if let Some(class) = classes.into_iter().find(|&c| c as usize >= options.classes) {
            return Err(check::setting("class", class, &format!("one below {}", options.classes)));
        }
        let ambiguous: Vec<Segment> = truth.iter().filter(|t| t.class.is_none()).map(|t| t.segment).collect();
        let mut by_class: BTreeMap<u32, OfClass> = BTreeMap::new();
        for instance in truth {
            if let Some(class) = instance.class {
                by_class.entry(class).or_default().truth.push(instance.segment);
            }
        }
        for detection in detections {
            by_class.entry(detection.class).or_default().detections.push(detection.scored);
        }
        let mut video = Self::default();
        for (class, mut own) in by_class {
            own.sort();
            let hits = own.hits(options);
            let judged = own.detections.iter().zip(hits).map(|(detection, hits)| Judged {
                class,
                score: detection.score + 0.0,
                hits,
                excused: options.variant != TemporalVariant::ActivityNet
                    && ambiguous.iter().any(|a| a.tiou(detection.segment) > 0.0),
            });
            video.detections.extend(judged);
            if !own.truth.is_empty() {
                video.positives.push((class, own.truth.len() as u32));
            }
        }
        Ok(video)
    }

    /// Number of segments of the truth.
    pub fn truths(&self) -> usize {
        self.positives.iter().map(|(_, n)| *n as usize).sum()
    }

    /// Number of hits at the threshold with this index.
    pub fn hits(&self, threshold: usize) -> usize {
        self.detections.iter().filter(|d| d.hits >> threshold & 1 == 1).count()
    }

    /// Number of detections.
    pub fn len(&self) -> usize {
        self.detections.len()
    }

    /// Whether it has no detection.
    pub fn is_empty(&self) -> bool {
        self.detections.is_empty()
    }
}

/// Truth and detections of one class in one video.
#[derive(Default)]
struct OfClass {
    truth: Vec<Segment>,
    detections: Vec<ScoredSegment>,
}

impl OfClass {
    fn sort(&mut self) {
        let order = falling(self.detections.iter().map(|d| d.score));
        self.detections = order.into_iter().map(|i| self.detections[i]).collect();
    }

    /// For each detection the thresholds at which it is a hit, as bits.
    fn hits(&self, options: &TemporalOptions) -> Vec<u64> {
        match options.variant {
            _ if self.truth.is_empty() => vec![0; self.detections.len()],
            TemporalVariant::ActivityNet | TemporalVariant::Thumos => {
                self.chosen_by_detections(&options.thresholds)
            }
            TemporalVariant::ThumosKit => self.chosen_by_truth(&options.thresholds),
        }
    }

    /// Each detection in turn takes the free segment that it overlaps most, if that is enough.
    fn chosen_by_detections(&self, thresholds: &[f64]) -> Vec<u64> {
        // For each segment the thresholds at which it is taken.
        let mut taken = vec![0u64; self.truth.len()];
        let mut nearest: Vec<(f64, usize)> = Vec::with_capacity(self.truth.len());
        let lowest = thresholds.iter().copied().fold(f64::INFINITY, f64::min);
        let judge = |detection: &ScoredSegment| {
            let overlaps = self.truth.iter().map(|t| t.tiou(detection.segment)).zip(0..);
            nearest.clear();
            nearest.extend(overlaps.filter(|(tiou, _)| *tiou >= lowest));
            // The toolkit sorts rising and reverses: of equal overlaps the later one comes first.
            nearest.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
            let mut hits = 0;
            for (bit, &threshold) in thresholds.iter().enumerate().map(|(i, t)| (1u64 << i, t)) {
                let enough = nearest.iter().take_while(|(tiou, _)| *tiou >= threshold);
                let free = enough.map(|(_, t)| *t).find(|&t| taken[t] & bit == 0);
                if let Some(t) = free {
                    taken[t] |= bit;
                    hits |= bit;
                }
            }
            hits
        };
        self.detections.iter().map(judge).collect()
    }

    /// Each segment in turn takes the free detection that overlaps it most, if that is more than enough.
    fn chosen_by_truth(&self, thresholds: &[f64]) -> Vec<u64> {
        let mut hits = vec![0u64; self.detections.len()];
        for segment in &self.truth {
            let overlaps: Vec<f64> = self.detections.iter().map(|d| segment.tiou(d.segment)).collect();
            for (bit, &threshold) in thresholds.iter().enumerate().map(|(i, t)| (1u64 << i, t)) {
                let free = overlaps.iter().zip(&mut hits).filter(|(_, hits)| **hits & bit == 0);
                // The first of equal ones; `max_by` would give the last.
                let best = free.reduce(|best, next| if next.0 > best.0 { next } else { best });
                if let Some((_, hits)) = best.filter(|(tiou, _)| **tiou > threshold) {
                    *hits |= bit;
                }
            }
        }
        hits
    }
}
