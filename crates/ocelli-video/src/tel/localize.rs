//! From probabilities of segments to emotions with a start and an end.

use ocelli_metrics::segment::{ScoredSegment, Segment};
use serde::{Deserialize, Serialize};

/// How emotions are localized; a recipe's section `localize`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LocalizeConfig {
    /// From which probability a clip is taken to show a class.
    pub cls_thresh: f64,
    /// Runs of segments are cut out at these shares of a class's largest probability.
    pub fractions: Vec<f64>,
    /// Of two overlapping predictions of a class the weaker one goes above this tIoU.
    pub nms_iou: f64,
}

impl Default for LocalizeConfig {
    fn default() -> Self {
        Self { cls_thresh: 0.2, fractions: vec![0.3, 0.5, 0.7, 0.9], nms_iou: 0.5 }
    }
}

impl LocalizeConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that nothing could be localized with.
    pub fn validate(&self) -> Result<(), String> {
        if self.fractions.is_empty() {
            return Err("fractions: at least one is needed".to_owned());
        }
        let shares = self.fractions.iter().map(|f| ("fractions", *f));
        for (key, share) in shares.chain([("cls_thresh", self.cls_thresh), ("nms_iou", self.nms_iou)]) {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{key}: {share} is outside 0 to 1"));
            }
        }
        Ok(())
    }
}

/// A localized emotion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Localized {
    /// Number of the class.
    pub class: usize,
    /// When, and how sure.
    pub scored: ScoredSegment,
}

/// Probabilities of a clip.
#[derive(Clone, Copy, Debug)]
pub struct ClipProbabilities<'a> {
    /// A row for each segment, `[T, C]`.
    pub segments: &'a [f64],
    /// Of the whole clip, `[C]`.
    pub clip: &'a [f64],
}

/// Localizes the emotions of a clip whose segments lie at `times`: predictions by class, within it by falling score,
/// equal ones by start, then end.
///
/// # Errors
/// When numbers of segments and classes do not fit together, or a probability or time is no number.
pub fn localize(
    probabilities: ClipProbabilities<'_>,
    times: &[Segment],
    config: &LocalizeConfig,
) -> Result<Vec<Localized>, String> {
    let classes = probabilities.clip.len();
    let wanted = times.len() * classes;
    let ClipProbabilities { segments, clip } = probabilities;
    if segments.len() != wanted {
        let (times, found) = (times.len(), segments.len());
        return Err(format!(
            "{times} segments of {classes} classes want {wanted} probabilities, found {found}"
        ));
    }
    let no_number = |values: &[f64]| values.iter().any(|v| !v.is_finite());
    if no_number(segments) || no_number(clip) || times.iter().any(|s| no_number(&[s.start, s.end])) {
        return Err("a probability or time of a segment is no number".to_owned());
    }
    let mut found = Vec::new();
    for class in (0..classes).filter(|&c| clip[c] >= config.cls_thresh) {
        let curve: Vec<f64> = segments.iter().skip(class).step_by(classes).copied().collect();
        let candidates = candidates(&curve, clip[class], times, &config.fractions);
        found
            .extend(suppress(candidates, config.nms_iou).into_iter().map(|s| Localized { class, scored: s }));
    }
    Ok(found)
}

/// The runs of all fractions with their scores, each run once.
fn candidates(curve: &[f64], clip: f64, times: &[Segment], fractions: &[f64]) -> Vec<ScoredSegment> {
    let peak = curve.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut runs: Vec<[usize; 2]> = fractions.iter().flat_map(|f| self::runs(curve, f * peak)).collect();
    runs.sort_unstable();
    runs.dedup();
    let scored = runs.into_iter().map(|[first, last]| {
        let score = contrast(curve, first, last) + clip;
        ScoredSegment { segment: Segment::new(times[first].start, times[last].end), score }
    });
    scored.collect()
}

/// Maximal runs of segments at or above a level: first and last of each.
fn runs(curve: &[f64], level: f64) -> Vec<[usize; 2]> {
    let mut runs: Vec<[usize; 2]> = Vec::new();
    for (t, _) in curve.iter().enumerate().filter(|(_, p)| **p >= level) {
        match runs.last_mut() {
            Some([_, last]) if *last + 1 == t => *last = t,
            _ => runs.push([t, t]),
        }
    }
    runs
}

/// Outer-inner contrast (Shou et al. 2018): the mean within a run less the mean of a quarter of its length, at least one
/// segment, on both sides together. Sides are cut off at the clip's ends; a run over the whole clip has none, and its
/// outside counts as 0.
fn contrast(curve: &[f64], first: usize, last: usize) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let inside = &curve[first..=last];
    let margin = (inside.len() / 4).max(1);
    let before = &curve[first.saturating_sub(margin)..first];
    let after = &curve[last + 1..(last + 1 + margin).min(curve.len())];
    mean(inside) - mean(&[before, after].concat())
}

/// Greedy suppression by falling score.
fn suppress(mut candidates: Vec<ScoredSegment>, nms_iou: f64) -> Vec<ScoredSegment> {
    candidates.sort_by(|a, b| {
        let (s, t) = (a.segment, b.segment);
        let by_time = s.start.total_cmp(&t.start).then(s.end.total_cmp(&t.end));
        b.score.total_cmp(&a.score).then(by_time)
    });
    let mut kept: Vec<ScoredSegment> = Vec::new();
    for candidate in candidates {
        if kept.iter().all(|k| k.segment.tiou(candidate.segment) <= nms_iou) {
            kept.push(candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: usize) -> Vec<Segment> {
        (0..n).map(|t| Segment::new(t as f64, t as f64 + 1.0)).collect()
    }

    #[test]
    fn settings_out_of_range_are_named() {
        assert_eq!(LocalizeConfig::default().validate(), Ok(()));
        let none = LocalizeConfig { fractions: vec![], ..LocalizeConfig::default() };
        assert!(none.validate().unwrap_err().starts_with("fractions:"));
        let wide = LocalizeConfig { nms_iou: 1.5, ..LocalizeConfig::default() };
        assert_eq!(wide.validate().unwrap_err(), "nms_iou: 1.5 is outside 0 to 1");
    }

    #[test]
    fn a_bump_is_found_where_it_stands_out() {
        let curve = [0.1, 0.1, 0.8, 0.9, 0.8, 0.1];
        let probabilities = ClipProbabilities { segments: &curve, clip: &[0.9] };
        let found = localize(probabilities, &seconds(6), &LocalizeConfig::default()).unwrap();
        assert_eq!(found[0].scored.segment, Segment::new(2.0, 5.0));
        assert!((found[0].scored.score - (2.5 / 3.0 - 0.1 + 0.9)).abs() < 1e-12);
        assert!(found.iter().skip(1).all(|f| f.scored.segment.tiou(found[0].scored.segment) <= 0.5));
    }

    #[test]
    fn a_clip_that_does_not_show_a_class_has_none_of_it() {
        let segments = [0.9, 0.1, 0.9, 0.1];
        let probabilities = ClipProbabilities { segments: &segments, clip: &[0.9, 0.1] };
        let found = localize(probabilities, &seconds(2), &LocalizeConfig::default()).unwrap();
        assert_eq!(found.len(), 1);
        // Nothing is outside of a run over the whole clip.
        assert_eq!((found[0].class, found[0].scored.score), (0, 0.9 + 0.9));
    }

    #[test]
    fn sides_are_a_quarter_of_the_run() {
        let mut curve = vec![1.0; 8];
        curve.extend([0.5, 0.3, 0.0]);
        assert_eq!(contrast(&curve, 0, 7), 1.0 - 0.4);
        assert_eq!(contrast(&curve, 8, 8), 0.5 - 0.65);
        assert_eq!(contrast(&curve, 0, 10), curve.iter().sum::<f64>() / 11.0);
    }

    #[test]
    fn bad_input_is_refused() {
        let config = LocalizeConfig::default();
        let short = ClipProbabilities { segments: &[0.5], clip: &[0.5, 0.5] };
        assert!(localize(short, &seconds(1), &config).unwrap_err().contains("want 2"));
        let nan = ClipProbabilities { segments: &[f64::NAN], clip: &[0.5] };
        assert!(localize(nan, &seconds(1), &config).is_err());
        let nothing = ClipProbabilities { segments: &[], clip: &[0.5] };
        assert_eq!(localize(nothing, &[], &config), Ok(vec![]));
    }
}
