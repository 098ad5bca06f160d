//! Naming: class scores of a video, and proposals with classes.

use ocelli_metrics::segment::{ScoredSegment, Segment};

use super::ensemble::{EnsembleError, weighted_mean};

/// Class scores of a video from the logits of its clips, `[clips][classes]` for each classifier: softmax of each clip, mean
/// over clips, weighted mean over classifiers.
///
/// # Errors
/// [`EnsembleError`]; a classifier without clips counts as one of another size.
pub fn video_scores(classifiers: &[Vec<Vec<f64>>], weights: &[f64]) -> Result<Vec<f64>, EnsembleError> {
    let means: Vec<Vec<f64>> = classifiers.iter().map(|clips| mean_softmax(clips)).collect();
    weighted_mean(&means.iter().map(Vec::as_slice).collect::<Vec<_>>(), weights)
}

/// Mean over clips of the softmax of their logits; of clips of different sizes the common classes.
fn mean_softmax(clips: &[Vec<f64>]) -> Vec<f64> {
    let classes = clips.iter().map(Vec::len).min().unwrap_or(0);
    let mut mean = vec![0.0; classes];
    for clip in clips {
        let largest = clip.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = clip.iter().map(|logit| (logit - largest).exp()).collect();
        let sum: f64 = powers.iter().sum::<f64>() * clips.len() as f64;
        mean.iter_mut().zip(powers).for_each(|(mean, power)| *mean += power / sum);
    }
    mean
}

/// A proposal with a class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Named {
    /// When, in seconds, and how sure.
    pub scored: ScoredSegment,
    /// Which class.
    pub class: usize,
}

/// How proposals are named.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Labelling {
    /// Classes that each proposal is copied for, the best of the video.
    pub top_k: usize,
    /// Most detections of a video.
    pub keep: usize,
    /// What the scores of proposals and of classes are raised to before they are multiplied.
    pub powers: [f64; 2],
}

impl Default for Labelling {
    fn default() -> Self {
        Self { top_k: 2, keep: 100, powers: [1.0; 2] }
    }
}

impl Labelling {
    /// Proposals, as fractions of a video of `duration` seconds, in seconds, cut to it and named as by [`Labelling::name`].
    pub fn run(&self, proposals: &[ScoredSegment], classes: &[f64], duration: f64) -> Vec<Named> {
        let seconds = |fraction: f64| (fraction * duration).clamp(0.0, duration);
        let placed = proposals.iter().map(|p| {
            let segment = Segment::new(seconds(p.segment.start), seconds(p.segment.end));
            ScoredSegment { segment, ..*p }
        });
        self.name(placed, classes)
    }

    /// Proposals copied for the best classes of their video: score times class score, best first. Equal scores are in the
    /// order of the proposals, and for one proposal by falling class score; equal class scores in the order of the classes.
    pub fn name(&self, proposals: impl IntoIterator<Item = ScoredSegment>, classes: &[f64]) -> Vec<Named> {
        let mut order: Vec<usize> = (0..classes.len()).collect();
        order.sort_by(|&a, &b| (classes[b] + 0.0).total_cmp(&(classes[a] + 0.0)));
        order.truncate(self.top_k);
        let [own, of_class] = self.powers;
        let mut named = Vec::new();
        for ScoredSegment { segment, score } in proposals {
            let copy = |&class: &usize| {
                let score = score.powf(own) * classes[class].powf(of_class);
                Named { scored: ScoredSegment { segment, score }, class }
            };
            named.extend(order.iter().map(copy));
        }
        named.sort_by(|a, b| (b.scored.score + 0.0).total_cmp(&(a.scored.score + 0.0)));
        named.truncate(self.keep);
        named
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that cannot be named with.
    pub fn validate(&self) -> Result<(), String> {
        if self.top_k == 0 || self.keep == 0 {
            return Err("top_k, keep: must be at least 1".to_owned());
        }
        match self.powers.iter().find(|p| !(p.is_finite() && **p >= 0.0)) {
            Some(power) => Err(format!("powers: {power} is not from 0 on")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_vote_by_probability() {
        let half = vec![vec![0.0, 0.0], vec![0.0, 0.0]];
        let sure = vec![vec![1000.0, 0.0]];
        assert_eq!(video_scores(&[half, sure], &[1.0, 1.0]).unwrap(), [0.75, 0.25]);
        assert!(video_scores(&[vec![vec![0.0]], vec![]], &[1.0, 1.0]).is_err());
    }

    #[test]
    fn proposals_are_copied_for_the_best_classes() {
        let scored =
            |start: f64, end: f64, score: f64| ScoredSegment { segment: Segment::new(start, end), score };
        let proposals = [scored(0.1, 0.2, 0.5), scored(0.5, 1.5, 1.0)];
        let labelling = Labelling { keep: 3, ..Labelling::default() };
        let named = labelling.run(&proposals, &[0.2, 0.1, 0.4], 10.0);
        let classes: Vec<usize> = named.iter().map(|n| n.class).collect();
        // 0.4, then 0.2 twice: the first proposal's best class comes before the second's second.
        assert_eq!(classes, [2, 2, 0]);
        assert_eq!(named[1].scored, scored(1.0, 2.0, 0.2));
        assert_eq!(named[2].scored, scored(5.0, 10.0, 0.2));
        assert!(labelling.run(&proposals, &[], 10.0).is_empty());
        let roots = Labelling { powers: [0.5, 2.0], top_k: 1, ..labelling }.run(&proposals, &[0.5], 10.0);
        assert_eq!(roots[1].scored.score, 0.5_f64.sqrt() * 0.25);
        assert!(Labelling { top_k: 0, ..labelling }.validate().is_err());
        assert!(Labelling { powers: [1.0, f64::NAN], ..labelling }.validate().unwrap_err().contains("NaN"));
    }
}
