//! Proposals for a folder of features, in the form of the official submissions.

use ocelli_data::annotations::activitynet::{Predicted, Results};
use ocelli_metrics::proposals::RecallCurve;
use ocelli_train::report::Report;
use ocelli_train::trainer::TaskError;

use super::files::Files;
use super::page;
use super::proposer::{Passport, Proposer};
use super::recipe::EvaluateConfig;
use super::run::remarks;
use super::task::{ProposedVideo, measure, propose_all};
use super::videos::{Source, Video, Videos};

/// Proposals for the videos of a folder.
#[derive(Debug)]
pub struct Predictions {
    videos: Vec<ProposedVideo>,
    curve: Option<RecallCurve>,
    /// What was wrong with videos.
    pub remarks: Vec<String>,
    /// How many videos were left out.
    pub skipped: usize,
}

/// Proposes segments of all videos that are asked for. Annotations tell durations, and what the page shows beside the
/// proposals; where nothing tells durations, times are fractions of the video.
///
/// # Errors
/// When files as a whole cannot be read, or no video can be used; what is wrong with single videos is told in the result.
pub fn predict(proposer: &Proposer, files: Files<'_>) -> Result<Predictions, TaskError> {
    let Passport { method, rescale } = proposer.passport();
    let found = Videos::read(&Source { files, rescale: *rescale, size: method.size() })?;
    // Some unusable videos are put up with, all are not.
    found.check(1.0)?;
    let remarks = remarks(&found);
    let all: Vec<&Video> = found.videos.iter().collect();
    let videos = propose_all(proposer.generator(), &all)?;
    let known = videos.iter().any(|video| !video.found.truth.is_empty());
    let curve = known.then(|| measure(&videos, &EvaluateConfig::default())).transpose()?;
    Ok(Predictions { videos, curve, remarks, skipped: found.bad.len() })
}

impl Predictions {
    /// Number of videos.
    pub fn videos(&self) -> usize {
        self.videos.len()
    }

    /// Recall where actions are known.
    pub fn curve(&self) -> Option<&RecallCurve> {
        self.curve.as_ref()
    }

    /// The official submission: proposals by video, its name without `v_`, in seconds.
    pub fn results(&self) -> Results {
        let mut results = Results::default();
        for video in &self.videos {
            let predicted = video.found.proposals.iter().map(|p| Predicted {
                segment: [p.segment.start, p.segment.end],
                score: p.score,
                label: None,
            });
            results.push(&video.name, predicted);
        }
        results
    }

    /// A page with a timeline for each video.
    pub fn page(&self, title: &str) -> Report {
        page::predictions(title, &self.videos, self.curve.as_ref(), &self.remarks)
    }
}
