//! The losses (section 3.4 of the paper).
//!
//! The weight of every cell follows from the targets alone, so [`BatchWeights`] holds them for a batch, and the loss of its
//! videos may be computed one after the other: the parts add up to the loss of the batch, and memory is that of a part.

use std::ops::Range;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::labels::Labels;
use super::network::DbgOutput;
use crate::temporal::balanced::{Balance, Bands, CellWeights, Label, weighted_smooth_l1};
use crate::temporal::sampler::Place;

/// Settings of the losses; the published ones by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Weight of the mean loss of the three actionness outputs.
    pub action: f64,
    /// Weight of the completeness loss.
    pub iou: f64,
    /// Weight of the start loss.
    pub start: f64,
    /// Weight of the end loss.
    pub end: f64,
    /// Cells and boundaries are positive above this.
    pub threshold: f64,
    /// Keeps logarithms finite.
    pub eps: f64,
    /// How cells are sampled for the completeness loss.
    pub bands: Bands,
}

/// The bands of the completeness loss: overlap above 0.6, up to 0.2, and between; of the low one twice as many cells.
pub const BANDS: Bands = Bands { high: 0.6, low: 0.2, ratio_mid: 1.0, ratio_low: 2.0 };

impl Default for LossConfig {
    fn default() -> Self {
        Self { action: 2.0, iou: 10.0, start: 1.0, end: 1.0, threshold: 0.5, eps: 1e-6, bands: BANDS }
    }
}

impl LossConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        let weights = [("action", self.action), ("iou", self.iou), ("start", self.start), ("end", self.end)];
        if let Some((key, value)) = weights.into_iter().find(|(_, v)| !v.is_finite() || *v < 0.0) {
            return Err(format!("{key}: {value} is below 0"));
        }
        match self.eps > 0.0 && self.eps < 1.0 {
            true => Ok(()),
            false => Err(format!("eps: {} is outside 0 to 1", self.eps)),
        }
    }
}

/// The weight of cells of one map in the completeness loss: 1 for those sampled, divided by their number.
///
/// `overlap`, `u_mid` and `u_low` are `[T, T]` row-major; cells below the diagonal are in no low band.
pub fn completeness_weights(bands: &Bands, overlap: &[f32], draws: [&[f32]; 2]) -> Vec<f32> {
    let cells = overlap.len().isqrt();
    let valid = |at: usize| at / cells <= at % cells;
    let mut weights = bands.sample(overlap, valid, draws, false).weights();
    let total = weights.iter().sum::<f32>().max(1.0);
    weights.iter_mut().for_each(|w| *w /= total);
    weights
}

/// What every cell and every place of a batch counts in the loss.
#[derive(Clone, Debug)]
pub struct BatchWeights {
    action: CellWeights,
    start: CellWeights,
    end: CellWeights,
    overlap: Vec<f32>,
    completeness: Vec<f32>,
    /// Cells of a video, and places.
    sizes: [usize; 2],
}

impl BatchWeights {
    /// The weights for these videos, their maps being laid out as `places`. The draws, uniform in (0, 1), choose the cells
    /// of the middle and low bands, each `[B, T, T]`.
    ///
    /// # Panics
    /// When labels and draws are of different sizes.
    pub fn new(videos: &[&Labels], places: &[Place], draws: [&[f32]; 2], config: &LossConfig) -> Self {
        let cells = videos.first().map_or(0, |v| v.action.len());
        let label = |target: &f32| Label::of(*target, config.threshold);
        let weights = |labels: Vec<Label>| CellWeights::new(&labels, Balance::Ratio);
        let boundary = |of: &dyn Fn(&Labels, usize, usize) -> f32| {
            let at = |video: &&Labels| -> Vec<Label> {
                let label = |place: &Place| {
                    place.map_or(Label::Ignored, |(i, j)| Label::of(of(video, i, j), config.threshold))
                };
                places.iter().map(label).collect()
            };
            weights(videos.iter().flat_map(at).collect())
        };
        // A whole map keeps all its cells, compact places those of proposals.
        let whole = places.len() == cells * cells;
        let on_places = |map: &[f32]| -> Vec<f32> {
            let cell = |(at, place): (usize, &Place)| match place {
                _ if whole => map[at],
                Some((i, j)) => map[i * cells + j],
                None => 0.0,
            };
            places.iter().enumerate().map(cell).collect()
        };
        let area = cells * cells;
        let share = (videos.len().max(1) as f32).recip();
        let mut completeness = Vec::new();
        for (b, video) in videos.iter().enumerate() {
            let draws = draws.map(|u| &u[b * area..(b + 1) * area]);
            let weights = completeness_weights(&config.bands, &video.iou, draws);
            completeness.extend(on_places(&weights).into_iter().map(|w| w * share));
        }
        Self {
            action: weights(videos.iter().flat_map(|v| v.action.iter().map(label)).collect()),
            start: boundary(&|video, i, _| video.start[i]),
            end: boundary(&|video, _, j| video.end[j]),
            overlap: videos.iter().flat_map(|v| on_places(&v.iou)).collect(),
            completeness,
            sizes: [cells, places.len()],
        }
    }

    /// The weights of some of the videos.
    #[must_use]
    pub fn part(&self, videos: Range<usize>) -> Self {
        let [cells, places] = self.sizes.map(|n| videos.start * n..videos.end * n);
        Self {
            action: self.action.part(cells),
            start: self.start.part(places.clone()),
            end: self.end.part(places.clone()),
            overlap: self.overlap[places.clone()].to_vec(),
            completeness: self.completeness[places].to_vec(),
            sizes: self.sizes,
        }
    }

    /// The terms of the loss of what the network says of these videos.
    pub fn terms(&self, output: &DbgOutput, config: &LossConfig) -> Terms {
        let flat = |t: &Tensor<2>| {
            let n = t.shape().num_elements();
            t.clone().reshape([n])
        };
        let action = |x: &Tensor<3>| {
            let n = x.shape().num_elements();
            self.action.loss(x.clone().reshape([n]), config.eps)
        };
        let [a, b, c] = output.actionness.each_ref().map(action);
        let iou = weighted_smooth_l1(flat(&output.iou), &self.overlap, &self.completeness);
        Terms {
            action: (a + b + c).div_scalar(3.0),
            iou: iou.mul_scalar(config.iou),
            start: self.start.loss(flat(&output.start), config.eps),
            end: self.end.loss(flat(&output.end), config.eps),
        }
    }
}

/// The terms of the loss, each `[1]`.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Mean of the losses of the three actionness outputs, not weighted yet.
    pub action: Tensor<1>,
    /// The completeness loss, weighted.
    pub iou: Tensor<1>,
    /// The start loss, not weighted yet.
    pub start: Tensor<1>,
    /// The end loss, not weighted yet.
    pub end: Tensor<1>,
}

impl Terms {
    /// The loss `[1]`.
    pub fn total(&self, config: &LossConfig) -> Tensor<1> {
        let weighted = |term: &Tensor<1>, weight: f64| term.clone().mul_scalar(weight);
        weighted(&self.action, config.action)
            + self.iou.clone()
            + weighted(&self.start, config.start)
            + weighted(&self.end, config.end)
    }
}
