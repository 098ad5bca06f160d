//! Multi-label classification by the YouTube-8M evaluator: GAP, mAP, Hit@1, PERR.
//!
//! | metric | definition |
//! |---|---|
//! | GAP@k | the k best classes of every video, pooled and ranked by score; sum of the precision at each hit / all labels |
//! | mAP | for each class the same over its pooled pairs / its labels; mean over the classes with labels |
//! | Hit@1 | share of videos whose best class is a label |
//! | PERR | share of a video's n labels among its n best classes, mean over videos |
//!
//! Videos of all parts are given together; merging parts is listing their videos.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | GAP-1 | labels outside the k best count in the divisor | strict | `labels_out_of_reach_count` |
//! | GAP-2 | a class without labels is left out of the mAP; a class with labels that never reaches a list counts 0 | strict | `classes_without_labels_are_left_out` |
//! | GAP-3 | a video without labels counts 0 in PERR and in Hit@1 | strict | `videos_without_labels_count` |
//! | GAP-4 | a class of score 0 is never a hit in PERR, but may be one in GAP | strict | `a_score_of_zero_is_no_hit_in_perr` |
//! | GAP-5 | ties are ordered by a seeded shuffle | corrected: by video, then by the order of the list, so that the result is one | `ties_keep_the_order` |

use crate::{MetricError, Result, check};
use rayon::prelude::*;
use serde::Serialize;

/// Predictions and labels of one video.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Video {
    /// Classes with their scores, in any order, each class once.
    pub scores: Vec<(usize, f64)>,
    /// Its classes, each once.
    pub labels: Vec<usize>,
}

/// The four metrics, as fractions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MultiLabelReport {
    /// Global average precision.
    pub gap: f64,
    /// Mean average precision over classes; NaN without labels.
    pub map: f64,
    /// Share of videos whose best class is a label.
    pub hit_at_1: f64,
    /// Precision at equal recall.
    pub perr: f64,
    /// Class and average precision of each class that has labels, by class.
    pub ap_per_class: Vec<(usize, f64)>,
}

/// Videos with their pairs pooled and ranked, for the metrics of any multiset of them.
#[derive(Clone, Debug)]
pub struct MultiLabel {
    /// All pairs of the k best of each video, falling.
    pairs: Vec<Pair>,
    videos: Vec<Judged>,
    classes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    video: u32,
    class: u32,
    score: f64,
    hit: bool,
}

/// What the metrics of single videos need.
#[derive(Clone, Debug)]
struct Judged {
    labels: Vec<usize>,
    hit_at_1: bool,
    /// Share of its labels found among as many best classes.
    perr: f64,
}

impl MultiLabel {
    /// Ranks the classes of each video and pools the `top_k` best.
    ///
    /// Fails on scores that are not finite and on a class that a video names twice.
    pub fn new(videos: &[Video], top_k: usize) -> Result<Self> {
        check::at_least("videos", videos.len(), 1)?;
        if top_k == 0 {
            return Err(check::setting("top_k", 0, "at least 1"));
        }
        let ranked: Vec<(Vec<(usize, f64)>, Judged)> =
            videos.par_iter().enumerate().map(|(i, v)| judge(i, v)).collect::<Result<_>>()?;
        let mut pairs = Vec::new();
        for (i, ((scores, judged), video)) in ranked.iter().zip(videos).enumerate() {
            debug_assert_eq!(judged.labels.len(), video.labels.len());
            let pair = |&(class, score): &(usize, f64)| {
                let hit = judged.labels.binary_search(&class).is_ok();
                Pair { video: i as u32, class: class as u32, score, hit }
            };
            pairs.extend(scores.iter().take(top_k).map(pair));
        }
        // Stable, so that equal scores keep the order of videos and of their lists.
        pairs.par_sort_by(|a, b| (b.score + 0.0).total_cmp(&(a.score + 0.0)));
        let largest =
            videos.iter().flat_map(|v| v.scores.iter().map(|s| s.0).chain(v.labels.iter().copied())).max();
        let classes = largest.map_or(0, |c| c + 1);
        Ok(Self { pairs, videos: ranked.into_iter().map(|r| r.1).collect(), classes })
    }

    /// Number of videos.
    pub fn len(&self) -> usize {
        self.videos.len()
    }

    /// Never: there is at least one video.
    pub fn is_empty(&self) -> bool {
        self.videos.is_empty()
    }

    /// Hit@1 and PERR of one video.
    ///
    /// # Panics
    /// When there is no such video.
    pub fn of_video(&self, index: usize) -> (bool, f64) {
        (self.videos[index].hit_at_1, self.videos[index].perr)
    }

    /// The metrics over all videos.
    pub fn overall(&self) -> MultiLabelReport {
        self.weighted(&vec![1; self.videos.len()])
    }

    /// The metrics when each video is there as often as `times` says; the copies of a pair stand side by side.
    ///
    /// # Panics
    /// When `times` is shorter than the videos.
    pub fn weighted(&self, times: &[usize]) -> MultiLabelReport {
        let total: usize = times.iter().sum();
        let mut positives = vec![0usize; self.classes];
        let (mut hits, mut perr) = (0usize, 0.0);
        for (video, &n) in self.videos.iter().zip(times) {
            video.labels.iter().for_each(|&class| positives[class] += n);
            hits += n * usize::from(video.hit_at_1);
            perr += n as f64 * video.perr;
        }
        let mut pooled = Ranked::default();
        let mut by_class = vec![Ranked::default(); self.classes];
        for pair in &self.pairs {
            for _ in 0..times[pair.video as usize] {
                pooled.next(pair.hit);
                by_class[pair.class as usize].next(pair.hit);
            }
        }
        let labelled = (0..self.classes).filter(|&class| positives[class] > 0);
        let ap_per_class: Vec<(usize, f64)> =
            labelled.map(|class| (class, by_class[class].sum / positives[class] as f64)).collect();
        let all: usize = positives.iter().sum();
        MultiLabelReport {
            gap: if all == 0 { 0.0 } else { pooled.sum / all as f64 },
            map: ap_per_class.iter().map(|(_, ap)| ap).sum::<f64>() / ap_per_class.len() as f64,
            hit_at_1: hits as f64 / total as f64,
            perr: perr / total as f64,
            ap_per_class,
        }
    }
}

/// A ranked list, walked from the top.
#[derive(Clone, Copy, Debug, Default)]
struct Ranked {
    length: usize,
    hits: usize,
    /// Sum of the precision at each hit.
    sum: f64,
}

impl Ranked {
    fn next(&mut self, hit: bool) {
        self.length += 1;
        if hit {
            self.hits += 1;
            self.sum += self.hits as f64 / self.length as f64;
        }
    }
}

/// The video's classes, best first (of equal scores the earlier in its list), and what is asked of it alone.
fn judge(index: usize, video: &Video) -> Result<(Vec<(usize, f64)>, Judged)> {
    if let Some((_, value)) = video.scores.iter().find(|(_, s)| !s.is_finite()) {
        return Err(MetricError::NotFinite { name: "videos", index, value: *value });
    }
    let mut labels = video.labels.clone();
    labels.sort_unstable();
    let mut classes: Vec<usize> = video.scores.iter().map(|s| s.0).collect();
    classes.sort_unstable();
    for (list, what) in [(&labels, "labels"), (&classes, "classes")] {
        if let Some(pair) = list.windows(2).find(|w| w[0] == w[1]) {
            let value = format!("class {} twice", pair[0]);
            return Err(check::setting(what, value, &format!("each class once in video {index}")));
        }
        if let Some(&class) = list.last().filter(|c| **c >= MOST_CLASSES) {
            let class = class as i64;
            return Err(MetricError::Class { name: what, index, class, classes: MOST_CLASSES });
        }
    }
    let mut scores = video.scores.clone();
    scores.sort_by(|a, b| (b.1 + 0.0).total_cmp(&(a.1 + 0.0)));
    let is_label = |class: usize| labels.binary_search(&class).is_ok();
    let found =
        scores.iter().take(labels.len()).filter(|(class, score)| *score > 0.0 && is_label(*class)).count();
    let perr = if labels.is_empty() { 0.0 } else { found as f64 / labels.len() as f64 };
    let hit_at_1 = scores.first().is_some_and(|(class, _)| is_label(*class));
    Ok((scores, Judged { labels, hit_at_1, perr }))
}

/// Class numbers beyond this are taken for a mistake: tables as long as the largest are made.
pub const MOST_CLASSES: usize = 1 << 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn video(scores: &[(usize, f64)], labels: &[usize]) -> Video {
        Video { scores: scores.to_vec(), labels: labels.to_vec() }
    }

    fn overall(videos: &[Video], top_k: usize) -> MultiLabelReport {
        MultiLabel::new(videos, top_k).unwrap().overall()
    }

    #[test]
    fn labels_out_of_reach_count() {
        let found = overall(&[video(&[(0, 0.9), (1, 0.1)], &[0, 1])], 1);
        assert_eq!((found.gap, found.perr), (0.5, 1.0));
        let found = overall(&[video(&[(0, 0.9)], &[0, 7])], 20);
        assert_eq!((found.gap, found.perr), (0.5, 0.5));
    }

    #[test]
    fn classes_without_labels_are_left_out() {
        let found = overall(&[video(&[(0, 0.9), (1, 0.8)], &[0, 2])], 20);
        assert_eq!(found.ap_per_class, [(0, 1.0), (2, 0.0)]);
        assert_eq!(found.map, 0.5);
        assert!(overall(&[video(&[(0, 0.9)], &[])], 20).map.is_nan());
    }

    #[test]
    fn videos_without_labels_count() {
        let found = overall(&[video(&[(0, 0.9)], &[0]), video(&[(0, 0.8)], &[])], 20);
        assert_eq!((found.hit_at_1, found.perr, found.gap), (0.5, 0.5, 1.0));
    }

    #[test]
    fn a_score_of_zero_is_no_hit_in_perr() {
        let found = overall(&[video(&[(0, 0.0)], &[0])], 20);
        assert_eq!((found.perr, found.gap, found.hit_at_1), (0.0, 1.0, 1.0));
    }

    #[test]
    fn ties_keep_the_order() {
        let first = overall(&[video(&[(0, 0.5)], &[0]), video(&[(1, 0.5)], &[])], 20).gap;
        let last = overall(&[video(&[(1, 0.5)], &[]), video(&[(0, 0.5)], &[0])], 20).gap;
        assert_eq!((first, last), (1.0, 0.5));
    }

    #[test]
    fn weights_are_copies() {
        let videos: Vec<Video> = (0..12)
            .map(|i| {
                video(
                    &[(i % 5, (i * 7 % 13) as f64), (5, (i * 5 % 11) as f64 + 0.5)],
                    &[i % 3, 5][..1 + i % 2],
                )
            })
            .collect();
        let whole = MultiLabel::new(&videos, 2).unwrap();
        let times = [2, 0, 1, 1, 3, 0, 0, 1, 1, 1, 0, 2];
        let copies: Vec<Video> =
            videos.iter().zip(times).flat_map(|(v, n)| std::iter::repeat_n(v.clone(), n)).collect();
        let (a, b) = (whole.weighted(&times), overall(&copies, 2));
        assert_eq!((a.gap, a.map, a.hit_at_1), (b.gap, b.map, b.hit_at_1));
        assert!((a.perr - b.perr).abs() < 1e-15);
        // Listing the videos of two shards is the single pass.
        let (left, right) = videos.split_at(5);
        assert_eq!(overall(&[left, right].concat(), 2), whole.overall());
    }

    #[test]
    fn refuses_bad_input() {
        assert!(MultiLabel::new(&[], 20).is_err());
        assert!(MultiLabel::new(&[video(&[], &[])], 0).is_err());
        let error = MultiLabel::new(&[video(&[(3, 0.1), (3, 0.2)], &[])], 1).unwrap_err().to_string();
        assert_eq!(error, "classes = class 3 twice is not allowed; wanted each class once in video 0");
        assert!(MultiLabel::new(&[video(&[], &[1, 1])], 1).is_err());
        assert!(MultiLabel::new(&[video(&[(0, f64::NAN)], &[])], 1).is_err());
        assert!(MultiLabel::new(&[video(&[(usize::MAX, 1.0)], &[])], 1).is_err());
    }
}
