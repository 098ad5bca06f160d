//! `ocelli proposals label`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ocelli_data::annotations::activitynet::{Results, VideoClasses};
use ocelli_video::anet2020_tal::label::Labelling;
use ocelli_video::anet2020_tal::submission::label;

use super::{Ends, read_all, weights};
use crate::cli::Ended;

/// Make detections of proposals: each is copied for the best classes of its video, its score times the class's.
///
/// `ocelli predict anet2020-tal` makes class scores from features. Where --truth or --info tells durations, segments are cut
/// to their video.
#[derive(Debug, Args)]
pub(crate) struct Label {
    /// Proposals in the official form, `results: {video: [{score, segment}]}`.
    proposals: PathBuf,
    /// Class scores of videos, `{class: [label], results: {video: [score]}}` or `{results: {video: [{label, score}]}}`; several
    /// are averaged.
    #[arg(long, required = true, value_name = "FILE", num_args = 1..)]
    classes: Vec<PathBuf>,
    /// A weight for each of these files, such as 1,0.5; all the same by default.
    #[arg(long, value_name = "W,…", value_delimiter = ',')]
    weights: Vec<f64>,
    /// Classes that a proposal is copied for.
    #[arg(long, default_value_t = 2, value_name = "K")]
    top: usize,
    /// What the scores of proposals are raised to.
    #[arg(long, default_value_t = 1.0, value_name = "P")]
    proposal_power: f64,
    /// What the scores of classes are raised to.
    #[arg(long, default_value_t = 1.0, value_name = "P")]
    class_power: f64,
    /// Most detections of a video.
    #[arg(long, default_value_t = 100, value_name = "N")]
    keep: usize,
    #[command(flatten)]
    ends: Ends,
}

impl Label {
    pub(crate) fn run(self) -> Ended {
        let powers = [self.proposal_power, self.class_power];
        let labelling = Labelling { top_k: self.top, keep: self.keep, powers };
        let durations = self.ends.durations()?;
        let proposals = Results::read(&self.proposals)?;
        let classes = read_all(&self.classes, |file| VideoClasses::read(file))?;
        let weights = weights(&self.weights, &self.classes);
        let made = label(&proposals, &classes, &weights, &labelling, durations.as_ref())?;
        self.ends.publish(&made)?;
        Ok(ExitCode::SUCCESS)
    }
}
