//! Classes with very unequal numbers of samples, as feature vectors: the smallest world in which imbalance hurts.
//!
//! The means of all classes lie in a subspace; samples scatter around them in every direction. The class that comes
//! i-th has the share decay^i of the samples of the first.

use ocelli_method::random::stream;
use serde::{Deserialize, Serialize};

use crate::axes::orthonormal;
use crate::lookalikes::{Samples, normals};

/// A world of classes; sample `(class, shot)` is a pure function of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LongTail {
    /// Fixes subspace, means and samples.
    pub seed: u64,
    /// Dimensions of a sample.
    pub dims: usize,
    /// Dimensions of the subspace of the means, at most `dims`.
    pub subspace: usize,
    /// Standard deviation of a sample around its mean, in each dimension; a mean has 1 in each of the subspace.
    pub noise: f32,
    /// Samples of the first class.
    pub most: u64,
    /// Share of the samples that each class has of those of the one before.
    pub decay: f64,
    /// Samples that every class has at least.
    pub least: u64,
}

impl Default for LongTail {
    fn default() -> Self {
        Self { seed: 0, dims: 48, subspace: 20, noise: 0.4, most: 60, decay: 0.975, least: 3 }
    }
}

impl LongTail {
    /// Samples of class number `class`.
    pub fn count(&self, class: u64) -> u64 {
        let share = (self.most as f64 * self.decay.powf(class as f64)).floor() as u64;
        share.max(self.least)
    }

    /// Unequal numbers of samples of the first `classes` classes.
    pub fn imbalanced(&self, classes: u64) -> Samples {
        self.gather(0..classes, |class| 0..self.count(class))
    }

    /// `shots` samples of each of `classes`, labelled from 0; other ones than [`LongTail::imbalanced`] gives.
    pub fn balanced(&self, classes: std::ops::Range<u64>, shots: u64) -> Samples {
        let first = self.most.max(self.least);
        self.gather(classes, |_| first..first + shots)
    }

    fn gather(&self, classes: std::ops::Range<u64>, shots: impl Fn(u64) -> std::ops::Range<u64>) -> Samples {
        let basis = orthonormal(self.dims, self.subspace, &mut stream(self.seed, "longtail.basis", 0));
        let mut samples = Samples { features: Vec::new(), labels: Vec::new(), dims: self.dims };
        for (label, class) in classes.enumerate() {
            let mean = self.mean(&basis, class);
            for shot in shots(class) {
                let noise = &mut stream(self.seed, "longtail.shot", class << 20 | shot);
                let sample = mean.iter().zip(normals(self.dims, noise)).map(|(m, v)| m + self.noise * v);
                samples.features.extend(sample);
                samples.labels.push(label as i64);
            }
        }
        samples
    }

    fn mean(&self, basis: &[Vec<f32>], class: u64) -> Vec<f32> {
        let coordinates = &mut stream(self.seed, "longtail.mean", class);
        let mut mean = vec![0.0; self.dims];
        for (axis, c) in basis.iter().zip(normals(self.subspace, coordinates)) {
            mean.iter_mut().zip(axis).for_each(|(m, a)| *m += c * a);
        }
        mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_fall_to_the_least() {
        let world = LongTail::default();
        assert_eq!([0, 1, 10, 299].map(|c| world.count(c)), [60, 58, 46, 3]);
        let samples = world.imbalanced(5);
        assert_eq!(samples.labels.iter().filter(|&&l| l == 4).count() as u64, world.count(4));
        assert_eq!(samples.features.len(), samples.labels.len() * 48);
    }

    #[test]
    fn test_samples_are_others_of_the_same_classes() {
        let world = LongTail { noise: 0.0, ..LongTail::default() };
        let (train, test) = (world.imbalanced(3), world.balanced(1..3, 2));
        assert_eq!(test.labels, [0, 0, 1, 1]);
        // Without noise a sample is its mean.
        let second = train.labels.iter().position(|&l| l == 1).unwrap();
        assert_eq!(train.features[second * 48..][..48], test.features[..48]);
        let noisy = LongTail::default();
        let (train, test) = (noisy.imbalanced(1), noisy.balanced(0..1, 1));
        assert!(train.features.chunks(48).all(|sample| sample != test.features));
    }
}
