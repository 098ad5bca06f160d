//! Look-alike people as feature vectors: the smallest world in which recognition losses differ.
//!
//! An identity is a point near one of several family centres, so relatives are hard to tell apart. A sample is a
//! fixed random two-layer rendering of identity and nuisance together, and some samples have twice the nuisance.
//! A network of a second's training shows on it what takes a deep one days on photographs.

use ocelli_method::random::{Generator, stream};
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// A population of look-alikes; sample `(identity, shot)` is a pure function of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LookAlikes {
    /// Fixes people, nuisance and rendering.
    pub seed: u64,
    /// Family centres.
    pub families: usize,
    /// Distance of an identity from its family's centre, in standard deviations of the centres.
    pub spread: f32,
    /// Dimensions of an identity.
    pub identity_dims: usize,
    /// Dimensions of the nuisance.
    pub nuisance_dims: usize,
    /// Standard deviation of the nuisance.
    pub nuisance: f32,
    /// Share of samples with twice the nuisance.
    pub hard_share: f32,
    /// Width of the rendering's inner layer.
    pub hidden: usize,
    /// Dimensions of a sample.
    pub dims: usize,
}

impl Default for LookAlikes {
    fn default() -> Self {
        Self {
            seed: 0,
            families: 40,
            spread: 0.55,
            identity_dims: 16,
            nuisance_dims: 24,
            nuisance: 0.8,
            hard_share: 0.25,
            hidden: 96,
            dims: 96,
        }
    }
}

/// Samples row after row, with their identities.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Feature vectors, `[n, dims]`.
    pub features: Vec<f32>,
    /// The identity of each.
    pub labels: Vec<i64>,
    /// Length of a vector.
    pub dims: usize,
}

impl Samples {
    /// The samples in some rows, in this order.
    #[must_use]
    pub fn pick(&self, rows: impl IntoIterator<Item = usize>) -> Self {
        let mut picked = Self { features: Vec::new(), labels: Vec::new(), dims: self.dims };
        for row in rows {
            picked.features.extend_from_slice(&self.features[row * self.dims..(row + 1) * self.dims]);
            picked.labels.push(self.labels[row]);
        }
        picked
    }

    /// The samples as a poor camera has them: every `group` neighbouring values give way to their mean, and normal noise
    /// of standard deviation `noise` is added to all.
    #[must_use]
    pub fn coarse(&self, group: usize, noise: f32, seed: u64) -> Self {
        let mut coarse = self.clone();
        for (row, features) in coarse.features.chunks_mut(self.dims.max(1)).enumerate() {
            for values in features.chunks_mut(group.max(1)) {
                let mean = values.iter().sum::<f32>() / values.len() as f32;
                values.fill(mean);
            }
            let g = &mut stream(seed, "lookalikes.coarse", row as u64);
            features.iter_mut().zip(normals(self.dims, g)).for_each(|(v, n)| *v += noise * n);
        }
        coarse
    }
}

impl LookAlikes {
    /// `shots` samples of each of the identities in `people`, labelled from 0.
    pub fn samples(&self, people: std::ops::Range<u64>, shots: u64) -> Samples {
        let rendering = Rendering::new(self);
        let mut samples = Samples { features: Vec::new(), labels: Vec::new(), dims: self.dims };
        for (label, person) in people.enumerate() {
            let identity = self.identity(person);
            for shot in 0..shots {
                let g = &mut stream(self.seed, "lookalikes.shot", person << 20 | shot);
                let hard = g.random::<f32>() < self.hard_share;
                let scale = if hard { 2.0 * self.nuisance } else { self.nuisance };
                let nuisance = normals(self.nuisance_dims, g).map(|v| scale * v);
                let inner: Vec<f32> = identity.iter().copied().chain(nuisance).collect();
                samples.features.extend(rendering.apply(&inner));
                samples.labels.push(label as i64);
            }
        }
        samples
    }

    fn identity(&self, person: u64) -> Vec<f32> {
        let family = person % self.families.max(1) as u64;
        let centre = &mut stream(self.seed, "lookalikes.family", family);
        let own = &mut stream(self.seed, "lookalikes.identity", person);
        let centre: Vec<f32> = normals(self.identity_dims, centre).collect();
        centre.iter().zip(normals(self.identity_dims, own)).map(|(c, v)| c + self.spread * v).collect()
    }
}

/// tanh(B tanh(A x)) with fixed random matrices.
struct Rendering {
    inner: Vec<f32>,
    outer: Vec<f32>,
    input: usize,
    hidden: usize,
}

impl Rendering {
    fn new(world: &LookAlikes) -> Self {
        let input = world.identity_dims + world.nuisance_dims;
        let g = &mut stream(world.seed, "lookalikes.rendering", 0);
        let mut matrix = |rows: usize, columns: usize| -> Vec<f32> {
            let scale = (columns as f32).sqrt().recip();
            normals(rows * columns, g).map(|v| scale * v).collect()
        };
        let inner = matrix(world.hidden, input);
        Self { inner, outer: matrix(world.dims, world.hidden), input, hidden: world.hidden }
    }

    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let layer = |matrix: &[f32], columns: usize, x: &[f32]| -> Vec<f32> {
            let row = |row: &[f32]| row.iter().zip(x).map(|(w, v)| w * v).sum::<f32>().tanh();
            matrix.chunks(columns).map(row).collect()
        };
        layer(&self.outer, self.hidden, &layer(&self.inner, self.input, x))
    }
}

/// Standard normal values by the Box-Muller transform.
pub(crate) fn normals(n: usize, g: &mut Generator) -> impl Iterator<Item = f32> {
    (0..n).map(move |_| {
        let radius = (-2.0 * (1.0 - g.random::<f64>()).ln()).sqrt();
        (radius * (std::f64::consts::TAU * g.random::<f64>()).cos()) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_depend_on_person_and_shot_alone() {
        let world = LookAlikes::default();
        let few = world.samples(3..5, 2);
        let many = world.samples(0..5, 4);
        assert_eq!(few.labels, [0, 0, 1, 1]);
        assert_eq!(few.features[..96], many.features[3 * 4 * 96..][..96]);
        assert!(few.features.iter().all(|v| v.abs() < 1.0));
    }

    #[test]
    fn coarse_samples_keep_their_means() {
        let samples = LookAlikes::default().samples(0..2, 3);
        let rows = samples.pick([5, 0]);
        assert_eq!(rows.labels, [1, 0]);
        assert_eq!(rows.features[96..], samples.features[..96]);
        let coarse = rows.coarse(4, 0.0, 1);
        for (fine, coarse) in rows.features.chunks(4).zip(coarse.features.chunks(4)) {
            assert!((fine.iter().sum::<f32>() / 4.0 - coarse[0]).abs() < 1e-6);
            assert!(coarse.iter().all(|v| *v == coarse[0]));
        }
        let noisy = rows.coarse(4, 0.1, 1);
        assert_eq!(noisy, rows.coarse(4, 0.1, 1));
        let noise: Vec<f32> = noisy.features.iter().zip(&coarse.features).map(|(a, b)| a - b).collect();
        let deviation = (noise.iter().map(|n| n * n).sum::<f32>() / noise.len() as f32).sqrt();
        assert!((0.08..0.12).contains(&deviation), "{deviation}");
    }

    #[test]
    fn relatives_look_alike() {
        let world = LookAlikes::default();
        let distance = |a: u64, b: u64| -> f32 {
            let (a, b) = (world.identity(a), world.identity(b));
            a.iter().zip(&b).map(|(x, y)| (x - y).powi(2)).sum()
        };
        // 0 and 40 are of one family, 0 and 1 are not.
        let mean = |step: u64| (0..30).map(|i| distance(i, i + step)).sum::<f32>() / 30.0;
        assert!(mean(40) < 0.5 * mean(1));
    }
}
