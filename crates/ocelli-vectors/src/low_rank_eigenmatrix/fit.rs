//! The method for users: samples in, principal eigenmatrices out.

use ocelli_method::random::stream;
use serde::{Deserialize, Serialize};

use super::operator::{Covariance, Deflated, Symmetric};
use super::power::{Power, Stop, truncated_power, warm_power};
use super::synthetic::random_unit;
use super::truncate::LowRank;
use super::{EigenError, check};
use crate::linear::{Svd, add_scaled, dot};

/// Where the power method starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// The leading eigenvector without a bound on the rank, truncated.
    #[default]
    Pca,
    /// A random direction.
    Random,
    /// The unit vector of the coordinate with the largest variance.
    Coordinate,
    /// From the PCA start through the falling ranks min(p, q), 2k, k.
    Warm,
}

/// How a component is taken off before the next is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deflation {
    /// `(I - x x^T) A (I - x x^T)`.
    #[default]
    Projection,
    /// `A - Q x x^T` with Q = x^T A x.
    Hotelling,
}

/// How a vector is read as a matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Element i q + j stands at (i, j).
    #[default]
    RowMajor,
    /// Element j p + i stands at (i, j).
    ColumnMajor,
}

/// Settings of a fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Rows of an eigenmatrix.
    pub p: usize,
    /// Columns of an eigenmatrix.
    pub q: usize,
    /// Rank of an eigenmatrix, at most.
    pub rank: usize,
    /// Number of components.
    pub components: usize,
    /// Where the power method starts.
    pub start: Start,
    /// Random starts that are tried, the largest objective kept; plays no part for other starts.
    pub restarts: usize,
    /// How components are taken off.
    pub deflation: Deflation,
    /// Whether the mean is taken off.
    pub center: bool,
    /// How vectors are read.
    pub order: Order,
    /// Iterations at most.
    pub iterations: usize,
    /// A step shorter than this ends the iterations.
    pub tolerance: f64,
    /// Fixes random starts.
    pub seed: u64,
}

impl Settings {
    /// One component of `p x q` elements and this rank; the other settings as the paper's sparse relative has them.
    pub fn new(p: usize, q: usize, rank: usize) -> Self {
        let Stop { iterations, tolerance } = Stop::default();
        Self {
            p,
            q,
            rank,
            components: 1,
            start: Start::default(),
            restarts: 8,
            deflation: Deflation::default(),
            center: true,
            order: Order::default(),
            iterations,
            tolerance,
            seed: 0,
        }
    }

    /// The sides of the matrix that a vector is in row-major order.
    fn sides(&self) -> [usize; 2] {
        match self.order {
            Order::RowMajor => [self.p, self.q],
            Order::ColumnMajor => [self.q, self.p],
        }
    }

    fn stop(&self) -> Stop {
        Stop { iterations: self.iterations, tolerance: self.tolerance }
    }
}

/// A principal component and its eigenmatrix `sum_r s_r u_r v_r^T` `[p, q]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// The unit vector `[p q]`.
    pub x: Vec<f64>,
    /// Left factors, `rank` vectors `[p]`.
    pub u: Vec<Vec<f64>>,
    /// Singular values, falling.
    pub s: Vec<f64>,
    /// Right factors, `rank` vectors `[q]`.
    pub v: Vec<Vec<f64>>,
    /// `x^T A x` on the covariance before deflation.
    pub variance: f64,
    /// The objective of the start and of each iteration, on the deflated covariance.
    pub objective: Vec<f64>,
}

/// Fitted components.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The components, in the order they were found.
    pub components: Vec<Component>,
    /// What is taken off the data, `[p q]`.
    pub mean: Vec<f64>,
    /// Trace of the covariance.
    pub total_variance: f64,
}

/// The PCA start is only a start, but a poor one costs iterations of every component.
const PCA: Stop = Stop { iterations: 1000, tolerance: 1e-10 };

impl Fit {
    /// Fits row-major samples `[n, p q]`.
    ///
    /// # Errors
    /// [`EigenError`] naming input or setting.
    pub fn new(samples: &[f64], settings: &Settings) -> Result<Self, EigenError> {
        let covariance = Covariance::new(samples, dim(settings)?, settings.center)?;
        let mean = covariance.mean().to_vec();
        Self::of(&covariance, mean, settings)
    }

    /// Fits a covariance that is given itself.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_covariance(covariance: &dyn Symmetric, settings: &Settings) -> Result<Self, EigenError> {
        let wanted = dim(settings)?;
        if covariance.dim() != wanted {
            let wanted = format!("p q = {wanted} a side");
            return Err(EigenError::Length { name: "the covariance", found: covariance.dim(), wanted });
        }
        Self::of(covariance, vec![0.0; wanted], settings)
    }

    fn of(covariance: &dyn Symmetric, mean: Vec<f64>, settings: &Settings) -> Result<Self, EigenError> {
        let most = covariance.dim();
        if settings.components == 0 || settings.components > most {
            return Err(EigenError::setting("components", settings.components, format!("from 1 to {most}")));
        }
        let mut deflated = Deflated::new(covariance, settings.deflation);
        let mut components = Vec::with_capacity(settings.components);
        for number in 0..settings.components {
            let found = lead(&deflated, settings, number)?;
            deflated.take(&found.x);
            components.push(component(found, covariance, settings)?);
        }
        let total_variance = covariance.diagonal().iter().sum();
        Ok(Self { components, mean, total_variance })
    }

    /// Scores of row-major samples `[n, p q]` on the components, `[n, m]`.
    ///
    /// # Errors
    /// [`EigenError::Length`] or [`EigenError::NotFinite`].
    pub fn transform(&self, samples: &[f64]) -> Result<Vec<f64>, EigenError> {
        let d = self.mean.len();
        check("the samples", samples, samples.len() / d * d)?;
        let score = |row: &[f64], x: &[f64]| dot(row, x) - dot(&self.mean, x);
        let rows = samples.chunks_exact(d);
        Ok(rows.flat_map(|row| self.components.iter().map(move |c| score(row, &c.x))).collect())
    }

    /// Samples `[n, p q]` from scores `[n, m]`: the mean and the components, which are orthogonal for projection
    /// deflation only nearly.
    ///
    /// # Errors
    /// [`EigenError::Length`] or [`EigenError::NotFinite`].
    pub fn reconstruct(&self, scores: &[f64]) -> Result<Vec<f64>, EigenError> {
        let m = self.components.len();
        check("the scores", scores, scores.len() / m * m)?;
        let row = |scores: &[f64]| {
            let mut row = self.mean.clone();
            scores.iter().zip(&self.components).for_each(|(s, c)| add_scaled(&mut row, *s, &c.x));
            row
        };
        Ok(scores.chunks_exact(m).flat_map(row).collect())
    }
}

fn dim(settings: &Settings) -> Result<usize, EigenError> {
    Ok(LowRank::new(settings.p, settings.q, settings.rank)?.dim())
}

/// The leading direction of low rank, from the start that the settings name.
fn lead(a: &Deflated<'_>, settings: &Settings, number: usize) -> Result<Power, EigenError> {
    let [p, q] = settings.sides();
    let rule = LowRank::new(p, q, settings.rank)?;
    let mut generator = stream(settings.seed, "eigenmatrix start", number as u64);
    let mut random = || random_unit(a.dim(), &mut generator);
    match settings.start {
        Start::Pca => truncated_power(a, &pca(a, &random(), [p, q])?, &rule, settings.stop()),
        Start::Warm => {
            let full = p.min(q);
            let schedule = [full, (2 * settings.rank).min(full), settings.rank];
            warm_power(a, &pca(a, &random(), [p, q])?, [p, q], &schedule, settings.stop())
        }
        Start::Coordinate => {
            let diagonal = a.diagonal();
            let largest =
                (0..diagonal.len()).max_by(|&i, &j| diagonal[i].total_cmp(&diagonal[j]).then(j.cmp(&i)));
            let mut start = vec![0.0; a.dim()];
            largest.into_iter().for_each(|i| start[i] = 1.0);
            truncated_power(a, &start, &rule, settings.stop())
        }
        Start::Random => {
            let mut best: Option<Power> = None;
            for _ in 0..settings.restarts.max(1) {
                let found = truncated_power(a, &random(), &rule, settings.stop())?;
                let last = |p: &Power| p.objective.last().copied().unwrap_or(f64::NEG_INFINITY);
                if best.as_ref().is_none_or(|b| last(&found) > last(b)) {
                    best = Some(found);
                }
            }
            best.ok_or(EigenError::Zero("the start"))
        }
    }
}

/// The leading eigenvector without a bound on the rank.
fn pca(a: &dyn Symmetric, start: &[f64], [p, q]: [usize; 2]) -> Result<Vec<f64>, EigenError> {
    Ok(truncated_power(a, start, &LowRank::new(p, q, p.min(q))?, PCA)?.x)
}

fn component(found: Power, a: &dyn Symmetric, settings: &Settings) -> Result<Component, EigenError> {
    let Power { x, objective } = found;
    let [rows, columns] = settings.sides();
    let Svd { mut u, mut s, mut v } = Svd::new(&x, rows, columns);
    u.truncate(settings.rank);
    s.truncate(settings.rank);
    v.truncate(settings.rank);
    if settings.order == Order::ColumnMajor {
        std::mem::swap(&mut u, &mut v);
    }
    Ok(Component { variance: a.quadratic(&x), u, s, v, objective, x })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::low_rank_eigenmatrix::spiked;
    use ocelli_metrics::direction::compare;

    fn cosine(settings: &Settings, samples: &[f64], truth: &[f64]) -> f64 {
        compare(&Fit::new(samples, settings).unwrap().components[0].x, truth).unwrap().cosine
    }

    #[test]
    fn every_start_finds_a_strong_spike() {
        let spike = spiked(8, 10, 1, 6.0, 150, 2);
        for start in [Start::Pca, Start::Random, Start::Coordinate, Start::Warm] {
            let settings = Settings { start, ..Settings::new(8, 10, 1) };
            assert!(cosine(&settings, &spike.samples, &spike.truth) > 0.95, "{start:?}");
        }
    }

    #[test]
    fn column_major_is_the_transposed_problem() {
        let spike = spiked(5, 7, 2, 5.0, 120, 4);
        let turn = |x: &[f64]| -> Vec<f64> { (0..35).map(|at| x[(at % 5) * 7 + at / 5]).collect() };
        let turned: Vec<f64> = spike.samples.chunks_exact(35).flat_map(turn).collect();
        let row = Fit::new(&spike.samples, &Settings::new(5, 7, 2)).unwrap();
        let settings = Settings { order: Order::ColumnMajor, ..Settings::new(5, 7, 2) };
        let column = Fit::new(&turned, &settings).unwrap();
        assert!(compare(&turn(&row.components[0].x), &column.components[0].x).unwrap().sin < 1e-4);
        assert_eq!((column.components[0].u[0].len(), column.components[0].v[0].len()), (5, 7));
    }

    #[test]
    fn components_explain_and_restore() {
        let spike = spiked(4, 3, 1, 9.0, 60, 5);
        let settings = Settings { components: 12, rank: 3, ..Settings::new(4, 3, 3) };
        let fit = Fit::new(&spike.samples, &settings).unwrap();
        let explained: f64 = fit.components.iter().map(|c| c.variance).sum();
        assert!((explained / fit.total_variance - 1.0).abs() < 1e-3);
        let scores = fit.transform(&spike.samples).unwrap();
        let back = fit.reconstruct(&scores).unwrap();
        for (a, b) in back.iter().zip(&spike.samples) {
            assert!((a - b).abs() < 0.05);
        }
    }

    #[test]
    fn impossible_settings_are_named() {
        let samples = [1.0; 24];
        let refused = |settings: Settings| Fit::new(&samples, &settings).unwrap_err().to_string();
        assert!(refused(Settings::new(4, 3, 4)).contains("rank = 4"));
        assert!(refused(Settings { components: 13, ..Settings::new(4, 3, 1) }).contains("components = 13"));
        assert!(refused(Settings::new(5, 3, 1)).contains("whole rows of 15"));
        // All samples alike: no variance, no direction.
        assert!(refused(Settings::new(4, 3, 1)).contains("is zero"));
    }
}
