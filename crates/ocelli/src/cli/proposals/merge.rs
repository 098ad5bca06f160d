//! `ocelli proposals merge`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use ocelli_data::annotations::activitynet::Results;
use ocelli_video::anet2020_tal::submission::merge;
use ocelli_video::temporal::suppress::{Decay, Nms, SoftNms};

use super::{Ends, read_all, weights};
use crate::cli::Ended;

/// Merge the proposals, or the detections, of several models into one list a video.
///
/// Scores are divided by the best of their list and video, weighted, and suppressed together; with labels, each label apart.
/// The defaults are those of the ActivityNet 2020 ensemble: Soft-NMS whose threshold grows with the share of the video that a
/// segment covers, for which --truth or --info must tell durations.
#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// Files in the official form, `results: {video: [{score, segment}]}`.
    #[arg(required = true)]
    lists: Vec<PathBuf>,
    /// A weight for each file, such as 1,0.5; all the same by default.
    #[arg(long, value_name = "W,…", value_delimiter = ',')]
    weights: Vec<f64>,
    /// How scores of segments that overlap a better one fall: by a Gaussian, linearly, or to nothing.
    #[arg(long, value_enum, default_value_t = Kind::Gaussian)]
    nms: Kind,
    /// Width of the Gaussian.
    #[arg(long, default_value_t = 0.4, value_name = "X")]
    sigma: f64,
    /// tIoU above which a segment overlaps.
    #[arg(long, default_value_t = 0.5, value_name = "X")]
    threshold: f64,
    /// What the threshold grows by over the whole length of a video; 0 needs no durations.
    #[arg(long, default_value_t = 0.4, value_name = "X")]
    slope: f64,
    /// Most segments of a video.
    #[arg(long, default_value_t = 100, value_name = "N")]
    keep: usize,
    #[command(flatten)]
    ends: Ends,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Gaussian,
    Linear,
    Hard,
}

impl Merge {
    pub(crate) fn run(self) -> Ended {
        let soft = |decay| {
            let Self { sigma, threshold, slope, keep, .. } = self;
            Nms::Soft(SoftNms { decay, sigma, threshold, slope, keep, min_score: 0.0, drop_last: false })
        };
        let nms = match self.nms {
            Kind::Gaussian => soft(Decay::Gaussian),
            Kind::Linear => soft(Decay::Linear),
            Kind::Hard => Nms::Hard { threshold: self.threshold, keep: self.keep },
        };
        let durations = match nms.depends_on_lengths() {
            true => self.ends.durations()?,
            false => None,
        };
        let lists = read_all(&self.lists, |file| Results::read(file))?;
        let weights = weights(&self.weights, &self.lists);
        let made = merge(&lists, &weights, (&nms, self.keep), durations.as_ref());
        let made = made.map_err(|e| match durations.is_none() && nms.depends_on_lengths() {
            true => anyhow::anyhow!("{e}; give --truth or --info, or --slope 0"),
            false => e.into(),
        })?;
        self.ends.publish(&made)?;
        Ok(ExitCode::SUCCESS)
    }
}
