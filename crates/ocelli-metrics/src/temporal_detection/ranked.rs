//! Detections of all videos, sorted, and the mean average precision of any multiset of videos.

use super::judge::JudgedVideo;
use super::{TemporalOptions, TemporalVariant};
use crate::average_precision::{ApRule, average_precision};
use crate::{MetricError, Result};
use rayon::prelude::*;
use serde::Serialize;

/// The detections of a test set, class by class, by falling score.
#[derive(Clone, Debug)]
pub struct RankedDetections {
    variant: TemporalVariant,
    thresholds: usize,
    videos: usize,
    classes: Vec<RankedClass>,
}

#[derive(Clone, Debug, Default)]
struct RankedClass {
    detections: Vec<Ranked>,
    /// Video and number of its segments.
    positives: Vec<(u32, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Ranked {
    score: f64,
    hits: u64,
    video: u32,
    excused: bool,
}

/// Mean average precision at several thresholds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TemporalMap {
    /// Average precision at each threshold for each class; 0 for classes without truth.
    pub average_precision: Vec<Vec<f64>>,
    /// Number of segments of the truth of each class.
    pub positives: Vec<usize>,
    /// At each threshold the mean over classes that have truth.
    pub map: Vec<f64>,
    /// The mean over thresholds.
    pub average_map: f64,
}

impl RankedDetections {
    pub(super) fn new(options: &TemporalOptions, videos: &[JudgedVideo]) -> Self {
        let mut classes = vec![RankedClass::default(); options.classes];
        for (video, judged) in (0u32..).zip(videos) {
            for &(class, count) in &judged.positives {
                classes[class as usize].positives.push((video, count));
            }
            for d in &judged.detections {
                let ranked = Ranked { score: d.score, hits: d.hits, video, excused: d.excused };
                classes[d.class as usize].detections.push(ranked);
            }
        }
        // Within a video detections are sorted already, so a stable sort keeps the order of equal ones.
        classes.par_iter_mut().for_each(|class| class.detections.sort_by(|a, b| b.score.total_cmp(&a.score)));
        Self { variant: options.variant, thresholds: options.thresholds.len(), videos: videos.len(), classes }
    }

    /// The metrics over all videos.
    ///
    /// # Errors
    /// [`MetricError::MissingClass`] when there is no segment of the truth.
    pub fn summary(&self) -> Result<TemporalMap> {
        self.summary_of(&vec![1; self.videos])
    }

    /// The metrics when video `i` occurs `copies[i]` times.
    ///
    /// # Errors
    /// [`MetricError::MissingClass`] when there is no segment of the truth; [`MetricError::Length`] when there is not a
    /// number for each video.
    pub fn summary_of(&self, copies: &[u32]) -> Result<TemporalMap> {
        crate::check::same_length("copies", copies.len(), "the videos", self.videos)?;
        let columns: Vec<(usize, Vec<f64>)> =
            self.classes.par_iter().map(|class| self.class(class, copies)).collect::<Result<_>>()?;
        let positives: Vec<usize> = columns.iter().map(|(positives, _)| *positives).collect();
        let counted = positives.iter().filter(|n| **n > 0).count();
        if counted == 0 {
            let within = "the videos".to_owned();
            return Err(MetricError::MissingClass { class: "segments of the truth", within });
        }
        let row = |t: usize| columns.iter().map(|(_, ap)| ap[t]).collect::<Vec<f64>>();
        let average_precision: Vec<Vec<f64>> = (0..self.thresholds).map(row).collect();
        let map: Vec<f64> =
            average_precision.iter().map(|row| row.iter().sum::<f64>() / counted as f64).collect();
        let average_map = map.iter().sum::<f64>() / map.len() as f64;
        Ok(TemporalMap { average_precision, positives, map, average_map })
    }

    /// Precision over recall of one class at one threshold, over all videos, as points (recall, precision) at its hits.
    ///
    /// # Panics
    /// When there is no such class or threshold.
    pub fn precision_recall(&self, class: usize, threshold: usize) -> Vec<(f64, f64)> {
        let class = &self.classes[class];
        let copies = vec![1; self.videos];
        let positives = class.positives(&copies) as f64;
        let ranks = &self.hit_ranks(class, &copies)[threshold];
        let point = |(hit, &rank): (usize, &usize)| (hit as f64 / positives, hit as f64 / rank as f64);
        (1..).zip(ranks).map(point).collect()
    }

    /// Number of segments and average precision at each threshold.
    fn class(&self, class: &RankedClass, copies: &[u32]) -> Result<(usize, Vec<f64>)> {
        let positives = class.positives(copies);
        if positives == 0 {
            return Ok((0, vec![0.0; self.thresholds]));
        }
        let area = |ranks: &Vec<usize>| match self.variant {
            TemporalVariant::ActivityNet => average_precision(ranks, positives, ApRule::Envelope),
            TemporalVariant::Thumos => average_precision(ranks, positives, ApRule::Plain),
            TemporalVariant::ThumosKit => Ok(eleven_points(ranks, positives)),
        };
        let areas: Result<Vec<f64>> = self.hit_ranks(class, copies).iter().map(area).collect();
        Ok((positives, areas?))
    }

    /// At each threshold the ranks of the hits, from 1.
    fn hit_ranks(&self, class: &RankedClass, copies: &[u32]) -> Vec<Vec<usize>> {
        let mut ranks = vec![Vec::new(); self.thresholds];
        // False detections before here: those that are false everywhere, and the others by threshold.
        let (mut everywhere, mut here) = (0, vec![0; self.thresholds]);
        let kit = self.variant == TemporalVariant::ThumosKit;
        for group in class.detections.chunk_by(|a, b| kit && a.score == b.score) {
            for d in group.iter().filter(|d| d.hits != 0) {
                for t in (0..self.thresholds).filter(|t| d.hits >> t & 1 == 1) {
                    let first = everywhere + here[t] + ranks[t].len() + 1;
                    ranks[t].extend(first..first + copies[d.video as usize] as usize);
                }
            }
            for d in group.iter().filter(|d| !d.excused) {
                let count = copies[d.video as usize] as usize;
                if d.hits == 0 {
                    everywhere += count;
                } else {
                    (0..self.thresholds).filter(|t| d.hits >> t & 1 == 0).for_each(|t| here[t] += count);
                }
            }
        }
        ranks
    }
}

impl RankedClass {
    fn positives(&self, copies: &[u32]) -> usize {
        self.positives.iter().map(|&(video, count)| copies[video as usize] as usize * count as usize).sum()
    }
}

/// Mean over eleven recalls of the best precision at that recall or a larger one.
pub(super) fn eleven_points(hit_ranks: &[usize], positives: usize) -> f64 {
    let hits: Vec<(f64, f64)> = (1..)
        .zip(hit_ranks)
        .map(|(hit, &rank)| (f64::from(hit) / positives as f64, f64::from(hit) / rank as f64))
        .collect();
    // MATLAB counts the first half of a range up from its start and the second half down from its end.
    let recall = |i: i32| if i <= 5 { f64::from(i) * 0.1 } else { 1.0 - f64::from(10 - i) * 0.1 };
    let best = |r: f64| hits.iter().filter(|h| h.0 >= r).map(|h| h.1).fold(0.0, f64::max);
    (0..=10).map(|i| best(recall(i)) / 11.0).sum()
}
