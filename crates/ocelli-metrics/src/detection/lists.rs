//! Ranked lists of judged detections: what evaluators share that judge each detection once.
//!
//! Matching says for every detection how much it counts as found and how much as a false alarm ([`Judged`]); what is left
//! of a picture is a [`JudgedImage`], and of a set [`JudgedImages`], which shards join by [`JudgedImages::merge`].
//! [`Lists`] puts the detections of each category in order once, and [`Lists::curve`] walks down a list for any multiset
//! of pictures.

use rayon::prelude::*;
use serde::Serialize;

use crate::{MetricError, Result};

/// A detection after matching.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// Its category.
    pub category: u32,
    /// Its score.
    pub score: f64,
    /// Its place among detections of equal score, smaller first. Shards number their detections through.
    pub place: u64,
    /// How much it counts as found: 1, 0, or the weight of a group.
    pub hit: f64,
    /// How much it counts as a false alarm. Where both are 0 it does not count.
    pub miss: f64,
}

/// What matching leaves of a picture.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JudgedImage {
    /// The picture's number.
    pub image: i64,
    /// Its detections.
    pub found: Vec<Judged>,
    /// Category and number (or weight) of the objects to be found.
    pub positives: Vec<(u32, f64)>,
    /// Whether it shows no object of any category.
    pub bare: bool,
}

/// Judged pictures of a set, or of a part of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JudgedImages(Vec<JudgedImage>);

impl JudgedImages {
    /// Adds the pictures of another part of the set. The order in which parts are added does not matter.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl FromIterator<JudgedImage> for JudgedImages {
    fn from_iter<I: IntoIterator<Item = JudgedImage>>(records: I) -> Self {
        Self(records.into_iter().collect())
    }
}

/// Judged pictures with the detections of each category in order.
#[derive(Clone, Debug)]
pub struct Lists {
    images: Vec<i64>,
    bare: Vec<bool>,
    categories: Vec<List>,
}

/// A category's detections, surest first, and where its objects are.
#[derive(Clone, Debug, Default)]
struct List {
    found: Vec<Placed>,
    positives: Vec<(u32, f64)>,
}

#[derive(Clone, Copy, Debug)]
struct Placed {
    score: f64,
    place: u64,
    image: u32,
    hit: f64,
    miss: f64,
}

/// Hits and false alarms of a category, summed down its list.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Curve {
    /// Objects to be found.
    pub positives: f64,
    /// Weight of the hits up to each detection.
    pub hits: Vec<f64>,
    /// Weight of the false alarms up to each detection.
    pub misses: Vec<f64>,
}

impl Lists {
    /// Of `categories` categories.
    ///
    /// # Errors
    /// [`MetricError::Repeated`] for a picture that is there twice, [`MetricError::Setting`] for a category that is not
    /// below their number, [`MetricError::NotFinite`] for a score that is no number.
    pub fn new(records: JudgedImages, categories: usize) -> Result<Self> {
        let mut records = records.0;
        records.sort_by_key(|record| record.image);
        if let Some(pair) = records.windows(2).find(|pair| pair[0].image == pair[1].image) {
            return Err(MetricError::Repeated { what: "image", id: pair[0].image });
        }
        let mut lists = vec![List::default(); categories];
        let unknown = |category: u32| MetricError::Setting {
            name: "category",
            value: category.to_string(),
            wanted: format!("one of the {categories} categories"),
        };
        for (image, record) in (0u32..).zip(&records) {
            for (index, judged) in record.found.iter().enumerate() {
                let Judged { category, score, place, hit, miss } = *judged;
                if !score.is_finite() {
                    return Err(MetricError::NotFinite { name: "scores", index, value: score });
                }
                let list = lists.get_mut(category as usize).ok_or_else(|| unknown(category))?;
                list.found.push(Placed { score, place, image, hit, miss });
            }
            for &(category, count) in &record.positives {
                let list = lists.get_mut(category as usize).ok_or_else(|| unknown(category))?;
                list.positives.push((image, count));
            }
        }
        lists.par_iter_mut().for_each(|list| list.found.sort_by(before));
        let bare = records.iter().map(|record| record.bare).collect();
        let images = records.iter().map(|record| record.image).collect();
        Ok(Self { images, bare, categories: lists })
    }

    /// The pictures' numbers, rising; a sample names pictures by their place here.
    pub fn images(&self) -> &[i64] {
        &self.images
    }

    /// The number of categories.
    pub fn categories(&self) -> usize {
        self.categories.len()
    }

    /// How often a sample names each picture.
    ///
    /// # Panics
    /// When a picture is named that is not there.
    pub fn times(&self, sample: &[usize]) -> Vec<u32> {
        let mut times = vec![0; self.images.len()];
        sample.iter().for_each(|&image| times[image] += 1);
        times
    }

    /// The walk down the list of a category, each picture counted as often as `times` says; false alarms on bare pictures
    /// count `bare_weight`, which is 1 for most protocols.
    pub fn curve(&self, category: usize, times: &[u32], bare_weight: f64) -> Curve {
        let Some(list) = self.categories.get(category) else { return Curve::default() };
        let positives = list.positives.iter().map(|&(image, n)| f64::from(times[image as usize]) * n).sum();
        let mut curve = Curve { positives, hits: Vec::new(), misses: Vec::new() };
        let (mut hits, mut misses) = (0.0, 0.0);
        let mut next = 0;
        while let Some(first) = list.found.get(next) {
            let start = next;
            next += 1;
            let repeats = times[first.image as usize];
            if repeats > 1 {
                // A picture that is there twice has its equal scores one picture after the other.
                let same = |p: &Placed| p.image == first.image && p.score == first.score;
                next += list.found[next..].iter().take_while(|p| same(p)).count();
            }
            let weight = if self.bare[first.image as usize] { bare_weight } else { 1.0 };
            for _ in 0..repeats {
                for placed in &list.found[start..next] {
                    hits += placed.hit;
                    misses += placed.miss * weight;
                    curve.hits.push(hits);
                    curve.misses.push(misses);
                }
            }
        }
        curve
    }

    /// Weight of the objects missed and of the false alarms of each picture.
    pub fn mistakes(&self) -> Vec<[f64; 2]> {
        let mut mistakes = vec![[0.0; 2]; self.images.len()];
        for list in &self.categories {
            for &(image, count) in &list.positives {
                mistakes[image as usize][0] += count;
            }
            for placed in &list.found {
                let of_image = &mut mistakes[placed.image as usize];
                of_image[0] -= placed.hit;
                of_image[1] += placed.miss;
            }
        }
        mistakes
    }
}

/// Surest first; zero has two signs, all are finite.
fn before(a: &Placed, b: &Placed) -> std::cmp::Ordering {
    b.score.partial_cmp(&a.score).unwrap_or(std::cmp::Ordering::Equal).then(a.place.cmp(&b.place))
}

impl Curve {
    /// The recall after each detection, as a share of `positives`.
    pub fn recall(&self, positives: f64) -> Vec<f64> {
        self.hits.iter().map(|hits| hits / positives).collect()
    }

    /// The precision after each detection; 0 as long as nothing counted.
    pub fn precision(&self) -> Vec<f64> {
        let pairs = self.hits.iter().zip(&self.misses);
        pairs.map(|(hits, misses)| hits / (hits + misses).max(f64::EPSILON)).collect()
    }

    /// Recall and precision for a chart, at most `points` of them.
    pub fn thinned(&self, points: usize) -> Vec<(f64, f64)> {
        let step = self.hits.len().div_ceil(points.max(1)).max(1);
        let both = self.recall(self.positives).into_iter().zip(self.precision());
        let last = self.hits.len().saturating_sub(1);
        both.enumerate().filter(|(i, _)| i % step == 0 || *i == last).map(|(_, point)| point).collect()
    }
}

/// The area under the precision made non-increasing from the right, over every step of recall, from recall 0 to 1 (VOC
/// since 2010).
pub fn area(recall: &[f64], precision: &[f64]) -> f64 {
    let mut best: Vec<f64> = precision.to_vec();
    for i in (1..best.len()).rev() {
        best[i - 1] = best[i - 1].max(best[i]);
    }
    let before = std::iter::once(0.0).chain(recall.iter().copied());
    // Beyond the last detection precision is 0.
    before.zip(recall).zip(best).map(|((before, now), best)| (now - before) * best).sum()
}

/// The mean of the best precision at recall 0, 0.1 … 1 or beyond (VOC until 2009).
pub fn eleven_points(recall: &[f64], precision: &[f64]) -> f64 {
    let at = |point: u32| {
        // As the tools count: tenths by multiplication.
        let least = f64::from(point) * 0.1;
        let reached = recall.iter().zip(precision).filter(|(recall, _)| **recall >= least);
        reached.map(|(_, precision)| *precision).fold(0.0, f64::max) / 11.0
    };
    (0..11).map(at).sum()
}

/// The mean of what is there; NaN without any.
pub(super) fn mean(values: impl IntoIterator<Item = Option<f64>>) -> f64 {
    let (sum, count) = values.into_iter().flatten().fold((0.0, 0u32), |(sum, n), v| (sum + v, n + 1));
    sum / f64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(score: f64, place: u64, hit: bool) -> Judged {
        Judged { category: 0, score, place, hit: f64::from(u8::from(hit)), miss: f64::from(u8::from(!hit)) }
    }

    fn image(image: i64, found: Vec<Judged>, positives: f64) -> JudgedImage {
        JudgedImage { image, found, positives: vec![(0, positives)], bare: false }
    }

    fn three() -> Vec<JudgedImage> {
        vec![
            image(4, vec![judged(0.9, 0, true), judged(0.5, 3, false)], 2.0),
            image(2, vec![judged(0.5, 1, true)], 1.0),
            image(7, vec![judged(0.7, 2, false), judged(0.5, 4, true)], 1.0),
        ]
    }

    #[test]
    fn shards_joined_in_any_order_give_the_single_pass() {
        let curve = |records: JudgedImages| Lists::new(records, 1).unwrap().curve(0, &[1, 1, 1], 1.0);
        let whole = curve(three().into_iter().collect());
        let part = |i: usize| -> JudgedImages { three().drain(i..=i).collect() };
        assert_eq!(curve(part(2).merge(part(0)).merge(part(1))), whole);
        assert_eq!(curve(part(0).merge(part(1).merge(part(2)))), whole);
        assert_eq!(whole.hits, [1.0, 1.0, 2.0, 2.0, 3.0]);
        assert_eq!(whole.misses, [0.0, 1.0, 1.0, 2.0, 2.0]);
        assert_eq!(whole.positives, 4.0);
    }

    #[test]
    fn a_sample_counts_pictures_as_often_as_it_names_them() {
        let lists = Lists::new(three().into_iter().collect(), 1).unwrap();
        assert_eq!(lists.images(), [2, 4, 7]);
        let curve = lists.curve(0, &lists.times(&[1, 1]), 1.0);
        assert_eq!((curve.positives, &curve.hits[..]), (4.0, &[1.0, 2.0, 2.0, 2.0][..]));
        assert_eq!(lists.mistakes(), [[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]);
    }

    #[test]
    fn areas_follow_the_envelope() {
        // Right, wrong, right of four objects.
        let (recall, precision) = ([0.25, 0.25, 0.5], [1.0, 0.5, 2.0 / 3.0]);
        assert!((area(&recall, &precision) - (0.25 + 0.25 * 2.0 / 3.0)).abs() < 1e-15);
        // Recalls 0, .1 and .2 at precision 1, .3 to .5 at 2/3.
        assert!((eleven_points(&recall, &precision) - (3.0 + 3.0 * 2.0 / 3.0) / 11.0).abs() < 1e-15);
        assert_eq!((area(&[], &[]), eleven_points(&[], &[])), (0.0, 0.0));
    }

    #[test]
    fn what_cannot_be_listed_is_refused() {
        let twice: JudgedImages = three().into_iter().chain(three()).collect();
        assert!(Lists::new(twice, 1).is_err());
        assert!(Lists::new(three().into_iter().collect(), 0).is_err());
        let mut bad = three();
        bad[0].found[0].score = f64::NAN;
        assert!(Lists::new(bad.into_iter().collect(), 1).unwrap_err().to_string().contains("NaN"));
    }
}
