//! What the network is to say of a video (section 3.3 of the paper), and which videos are trained on.

use ocelli_metrics::segment::Segment;
use serde::{Deserialize, Serialize};

use crate::temporal::targets::{around, coverage, iou_map, normalized};

/// Targets of one video.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    /// Share of each cell that lies in an action, `[T]`.
    pub action: Vec<f32>,
    /// Share of each cell that lies near a start, `[T]`.
    pub start: Vec<f32>,
    /// Share of each cell that lies near an end, `[T]`.
    pub end: Vec<f32>,
    /// tIoU of each proposal with the action it fits best, `[T, T]` row-major, 0 below the diagonal.
    pub iou: Vec<f32>,
}

/// Width of the regions around starts and ends, in cells.
pub const BOUNDARY_CELLS: f64 = 2.0;

impl Labels {
    /// Targets of a video of `cells` cells with these actions (fractions of the video, in [0, 1]); regions around starts
    /// and ends are `width` cells wide, [`BOUNDARY_CELLS`] in the paper.
    pub fn new(cells: usize, actions: &[Segment], width: f64) -> Self {
        let width = width / cells as f64;
        let near = |point: fn(&Segment) -> f64| -> Vec<Segment> {
            actions.iter().map(|a| around(point(a), width)).collect()
        };
        Self {
            action: coverage(cells, 0.0, actions),
            start: coverage(cells, 0.0, &near(|a| a.start)),
            end: coverage(cells, 0.0, &near(|a| a.end)),
            iou: iou_map(cells, actions),
        }
    }
}

/// The mean length of a video's actions as fractions of it; 2 for a video without actions, as in the released code.
pub fn mean_length(actions: &[Segment]) -> f64 {
    match actions.len() {
        0 => 2.0,
        n => actions.iter().map(|a| a.length()).sum::<f64>() / n as f64,
    }
}

/// Which videos are trained on, and how often; the released values by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// Videos whose actions are this long on average, or longer, are left out: they teach no boundary.
    pub gt_len_thres: f64,
    /// Videos whose actions are shorter than this on average count twice.
    pub short_thres: f64,
}

impl Default for Selection {
    fn default() -> Self {
        Self { gt_len_thres: 0.98, short_thres: 0.2 }
    }
}

impl Selection {
    /// How often a training video with these actions (fractions of the video) is trained on in an epoch: 0, 1 or 2
    /// times.
    pub fn times(self, actions: &[Segment]) -> usize {
        let mean = mean_length(actions);
        match actions.is_empty() {
            true => 1,
            false if mean >= self.gt_len_thres => 0,
            false => 1 + usize::from(mean < self.short_thres),
        }
    }
}

/// Annotations in seconds as fractions of a video of `duration` seconds, cut to it.
pub fn actions(segments: &[Segment], duration: f64) -> Vec<Segment> {
    normalized(segments, duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_two_cells_wide() {
        let labels = Labels::new(10, &[Segment::new(0.3, 0.62)], BOUNDARY_CELLS);
        assert_eq!(
            labels.action[2..8].iter().map(|v| (v * 10.0).round()).collect::<Vec<_>>(),
            [0.0, 10.0, 10.0, 10.0, 2.0, 0.0]
        );
        assert_eq!(labels.start[1..5].iter().map(|v| v.round()).collect::<Vec<_>>(), [0.0, 1.0, 1.0, 0.0]);
        assert!((labels.end[5] - 0.8).abs() < 1e-6 && (labels.end[7] - 0.2).abs() < 1e-6);
        assert!((labels.iou[3 * 10 + 5] - 0.3 / 0.32).abs() < 1e-6 && labels.iou[5 * 10 + 3] == 0.0);
    }

    #[test]
    fn long_videos_are_left_out_and_short_actions_count_twice() {
        let times = |list: &[[f64; 2]]| {
            let actions: Vec<Segment> = list.iter().map(|&s| s.into()).collect();
            Selection::default().times(&actions)
        };
        assert_eq!(times(&[[0.0, 0.99]]), 0);
        assert_eq!(times(&[[0.0, 0.99], [0.0, 0.1]]), 1);
        assert_eq!(times(&[[0.0, 0.1], [0.3, 0.5]]), 2);
        assert_eq!(times(&[]), 1, "a video without actions is never left out");
    }
}
