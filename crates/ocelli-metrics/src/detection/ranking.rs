//! Detections of each category in the order of their scores, and what any sample of the pictures makes of them.

use rayon::prelude::*;
use serde::Serialize;

use super::{MAX_AREAS, MAX_THRESHOLDS, Outcome, Records, recall_points};
use crate::{MetricError, Result};

/// Records of a set with the detections of each category in order.
#[derive(Clone, Debug)]
pub struct Ranking {
    images: Vec<i64>,
    categories: Vec<Ranked>,
    thresholds: usize,
    areas: usize,
    /// Recall at these numbers of detections a picture and category, rising.
    limits: Vec<u32>,
    recalls: Vec<f64>,
}

/// A category's detections, surest first, and where its objects are.
#[derive(Clone, Debug, Default)]
struct Ranked {
    outcomes: Vec<Placed>,
    positives: Vec<(u32, [u32; MAX_AREAS])>,
}

#[derive(Clone, Copy, Debug)]
struct Placed {
    score: f64,
    image: u32,
    rank: u32,
    hits: [u16; MAX_AREAS],
    misses: [u16; MAX_AREAS],
}

/// Average precision and recall of each category.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// By category.
    pub categories: Vec<CategoryMeasure>,
}

/// Average precision and recall of a category.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CategoryMeasure {
    /// Average precision for each range of areas and threshold; `None` where the range has no object.
    pub precision: Vec<Option<Vec<f64>>>,
    /// The same of the recall, for each limit on the number of detections.
    pub recall: Vec<Vec<Option<Vec<f64>>>>,
}

impl Ranking {
    /// Of `categories` categories, at so many `thresholds` and ranges of `areas`; recall is also asked for with at most
    /// these numbers of detections (`limits`) a picture and category, rising.
    ///
    /// # Errors
    /// [`MetricError::Repeated`] for a picture that is there twice, [`MetricError::Setting`] for a category that is not
    /// below their number.
    pub fn new(
        records: Records,
        categories: usize,
        [thresholds, areas]: [usize; 2],
        limits: Vec<u32>,
    ) -> Result<Self> {
        let records = records.into_sorted()?;
        let mut ranked = vec![Ranked::default(); categories];
        let unknown = |category: u32| MetricError::Setting {
            name: "category",
            value: category.to_string(),
            wanted: format!("one of the {categories} categories"),
        };
        for (image, record) in (0u32..).zip(&records) {
            for outcome in &record.outcomes {
                let Outcome { category, rank, score, hits, misses } = *outcome;
                let place = ranked.get_mut(category as usize).ok_or_else(|| unknown(category))?;
                place.outcomes.push(Placed { score, image, rank, hits, misses });
            }
            for positives in &record.positives {
                let place = ranked.get_mut(positives.category as usize);
                let place = place.ok_or_else(|| unknown(positives.category))?;
                place.positives.push((image, positives.counts));
            }
        }
        ranked.par_iter_mut().for_each(|category| {
            // Stable, so that equal scores stay in the order of the pictures; zero has two signs, all are finite.
            category
                .outcomes
                .sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(std::cmp::Ordering::Equal));
        });
        let images = records.iter().map(|record| record.image).collect();
        Ok(Self { images, categories: ranked, thresholds, areas, limits, recalls: recall_points() })
    }

    /// The pictures' numbers, rising; a sample names pictures by their place here.
    pub fn images(&self) -> &[i64] {
        &self.images
    }

    /// How often each picture is named.
    fn weights(&self, sample: &[usize]) -> Vec<u32> {
        let mut weights = vec![0; self.images.len()];
        sample.iter().for_each(|&image| weights[image] += 1);
        weights
    }

    /// The measures over these pictures, each counted as often as it is named, as if it were there several times.
    ///
    /// # Panics
    /// When a picture is named that is not there.
    pub fn measure(&self, sample: &[usize]) -> Measure {
        let weights = self.weights(sample);
        let categories = self.categories.par_iter().map(|ranked| self.category(ranked, &weights)).collect();
        Measure { categories }
    }

    /// The precision at recall 0, 0.01 … 1 of a category at the threshold and range of areas of these numbers, over all
    /// pictures, together with the recalls; `None` without objects.
    pub fn curve(&self, category: usize, threshold: usize, area: usize) -> Option<Vec<(f64, f64)>> {
        let ranked = self.categories.get(category)?;
        let weights = vec![1; self.images.len()];
        let positives = ranked.positives(&weights)[area];
        let scan = Scan::of(ranked, &weights, self, area);
        let precision = scan.precision_at(threshold, positives, &self.recalls);
        (positives > 0).then(|| self.recalls.iter().copied().zip(precision).collect())
    }

    /// Objects missed, and false alarms, of each picture at the threshold and range of areas of these numbers.
    pub fn mistakes(&self, threshold: usize, area: usize) -> Vec<[u32; 2]> {
        let mut mistakes = vec![[0; 2]; self.images.len()];
        for ranked in &self.categories {
            for (image, counts) in &ranked.positives {
                mistakes[*image as usize][0] += counts[area];
            }
            for placed in &ranked.outcomes {
                let of_image = &mut mistakes[placed.image as usize];
                of_image[0] -= u32::from(placed.hits[area] >> threshold & 1);
                of_image[1] += u32::from(placed.misses[area] >> threshold & 1);
            }
        }
        mistakes
    }

    fn category(&self, ranked: &Ranked, weights: &[u32]) -> CategoryMeasure {
        let positives = ranked.positives(weights);
        let mut measure =
            CategoryMeasure { precision: Vec::new(), recall: vec![Vec::new(); self.limits.len()] };
        for (area, &count) in positives.iter().enumerate().take(self.areas) {
            if count == 0 {
                measure.precision.push(None);
                measure.recall.iter_mut().for_each(|by_area| by_area.push(None));
                continue;
            }
            let scan = Scan::of(ranked, weights, self, area);
            let each = 0..self.thresholds;
            let mean = |t| {
                let precision = scan.precision_at(t, count, &self.recalls);
                precision.iter().sum::<f64>() / precision.len() as f64
            };
            measure.precision.push(Some(each.clone().map(mean).collect()));
            for (by_area, hits) in measure.recall.iter_mut().zip(&scan.hits_within) {
                by_area.push(Some(each.clone().map(|t| f64::from(hits[t]) / f64::from(count)).collect()));
            }
        }
        measure
    }
}

impl Ranked {
    /// Objects in each range of areas.
    fn positives(&self, weights: &[u32]) -> [u32; MAX_AREAS] {
        let mut total = [0; MAX_AREAS];
        for (image, counts) in &self.positives {
            let weight = weights[*image as usize];
            total.iter_mut().zip(counts).for_each(|(total, count)| *total += weight * count);
        }
        total
    }
}

/// A walk down a category's list for one range of areas.
struct Scan {
    /// For each threshold the precision at each hit.
    at_hits: Vec<Vec<f64>>,
    /// For each limit on the number of detections, and threshold, the number of hits.
    hits_within: Vec<[u32; MAX_THRESHOLDS]>,
}

impl Scan {
    fn of(ranked: &Ranked, weights: &[u32], ranking: &Ranking, area: usize) -> Self {
        let mut scan = Self {
            at_hits: vec![Vec::new(); ranking.thresholds],
            hits_within: vec![[0; MAX_THRESHOLDS]; ranking.limits.len()],
        };
        let mut false_alarms = [0u32; MAX_THRESHOLDS];
        let outcomes = &ranked.outcomes[..];
        let mut next = 0;
        while let Some(first) = outcomes.get(next) {
            let start = next;
            next += 1;
            let weight = weights[first.image as usize];
            if weight > 1 {
                // A picture that is there twice has its equal scores one picture after the other.
                let same = |o: &Placed| o.image == first.image && o.score == first.score;
                next += outcomes[next..].iter().take_while(|o| same(o)).count();
            }
            for _ in 0..weight {
                for outcome in &outcomes[start..next] {
                    scan.step(outcome, area, &mut false_alarms, &ranking.limits);
                }
            }
        }
        scan
    }

    #[inline]
    fn step(
        &mut self,
        outcome: &Placed,
        area: usize,
        false_alarms: &mut [u32; MAX_THRESHOLDS],
        limits: &[u32],
    ) {
        let (misses, mut hits) = (u32::from(outcome.misses[area]), outcome.hits[area]);
        if misses != 0 {
            for (t, count) in false_alarms.iter_mut().enumerate() {
                *count += misses >> t & 1;
            }
        }
        while hits != 0 {
            let t = hits.trailing_zeros() as usize;
            hits &= hits - 1;
            let found = (self.at_hits[t].len() + 1) as f64;
            self.at_hits[t].push(found / (f64::from(false_alarms[t]) + found + f64::EPSILON));
            for (within, limit) in self.hits_within.iter_mut().zip(limits) {
                within[t] += u32::from(outcome.rank < *limit);
            }
        }
    }

    /// At each of the `recalls` the best precision there or further down, 0 beyond the last hit.
    fn precision_at(&self, threshold: usize, positives: u32, recalls: &[f64]) -> Vec<f64> {
        let mut best = self.at_hits[threshold].clone();
        for i in (1..best.len()).rev() {
            best[i - 1] = best[i - 1].max(best[i]);
        }
        let mut hit = 0;
        let at = recalls.iter().map(|&recall| {
            while hit < best.len() && (((hit + 1) as f64) / f64::from(positives)) < recall {
                hit += 1;
            }
            best.get(hit).copied().unwrap_or(0.0)
        });
        at.collect()
    }
}
