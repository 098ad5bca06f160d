//! Proposals for a folder of features, in the form of the official submissions.

use std::path::Path;

use ocelli_data::annotations::activitynet::{Predicted, Results};
use ocelli_metrics::proposals::RecallCurve;
use ocelli_metrics::segment::ScoredSegment;
use ocelli_train::report::Report;
use ocelli_train::trainer::TaskError;

use super::page;
use super::proposer::{Passport, Proposer};
use super::recipe::EvaluateConfig;
use super::run::remarks;
use super::task::{measure, propose_all};
use super::videos::{Source, Video, Videos};

/// What proposals are wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// A folder with a feature file a video.
    pub features: &'a Path,
    /// Annotations, for durations and for what the page shows beside the proposals; without them, times are fractions of
    /// the video.
    pub truth: Option<&'a Path>,
    /// `video_info.csv`, where it tells durations, or frames for pooling.
    pub info: Option<&'a Path>,
    /// Only the videos of this subset.
    pub subset: Option<&'a str>,
}

/// Proposals for the videos of a folder.
#[derive(Debug)]
pub struct Predictions {
    videos: Vec<Video>,
    proposals: Vec<Vec<ScoredSegment>>,
    curve: Option<RecallCurve>,
    /// What was wrong with videos.
    pub remarks: Vec<String>,
    /// How many videos were left out.
    pub skipped: usize,
}

/// Proposes segments of all videos that are asked for.
///
/// # Errors
/// When files as a whole cannot be read, or no video can be used; what is wrong with single videos is told in the result.
pub fn predict(proposer: &Proposer, request: &Request<'_>) -> Result<Predictions, TaskError> {
    let Passport { method, rescale } = proposer.passport();
    let found = Videos::read(&Source {
        features: request.features,
        truth: request.truth,
        info: request.info,
        subset: request.subset,
        rescale: *rescale,
        size: method.size(),
    })?;
    // Some unusable videos are put up with, all are not.
    found.check(1.0)?;
    let remarks = remarks(&found);
    let (videos, skipped) = (found.videos, found.bad.len());
    let all: Vec<&Video> = videos.iter().collect();
    let proposals = propose_all(proposer.generator(), &all)?;
    let known = videos.iter().any(|video| !video.truth.is_empty());
    let curve = known.then(|| measure(&all, &proposals, &EvaluateConfig::default())).transpose()?;
    Ok(Predictions { videos, proposals, curve, remarks, skipped })
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
        for (video, proposals) in self.videos.iter().zip(&self.proposals) {
            let predicted = proposals.iter().map(|p| Predicted {
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
        let videos: Vec<&Video> = self.videos.iter().collect();
        page::predictions(title, &videos, &self.proposals, self.curve.as_ref(), &self.remarks)
    }
}
