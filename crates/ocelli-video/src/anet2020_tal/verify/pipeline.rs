//! The steps from features to detections.

use ocelli_method::{Array, Outputs, Replay, ReplayError};
use ocelli_metrics::segment::{ScoredSegment, Segment};
use ocelli_metrics::temporal_detection::TemporalVariant;
use serde::Deserialize;

use crate::anet2020_tal::ensemble::{union, weighted_mean};
use crate::anet2020_tal::label::{Labelling, Named, video_scores};
use crate::bsn_plus_plus::inference::{Candidates, Evidence, Fusion, Suppression};
use crate::bsn_plus_plus::verify::scored_rows;
use crate::moments::{Predicted, True, mean_average_precision, rows, table};
use crate::temporal::features::{Sequence, Snippets};
use crate::temporal::suppress::{Decay, Nms, SoftNms, hard_nms};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FeatureConfig {
    #[serde(rename = "T")]
    length: usize,
    duration_frame: f64,
    duration_second: f64,
    stride: f64,
    samples: usize,
}

pub(super) fn features(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: FeatureConfig = case.config()?;
    if config.length == 0 {
        return Err(ReplayError::refused("`T` is 0"));
    }
    let x = Sequence::new(case.input("x")?.to_f32(), case.dims("x")?).map_err(ReplayError::refused)?;
    let FeatureConfig { duration_frame: frames, duration_second: seconds, stride, .. } = config;
    let pooled = x.pooled(config.length, config.samples, Snippets { frames, seconds, stride });
    let array = |s: &Sequence| {
        Array::f32([s.rows(), s.channels()], s.values().to_vec()).map_err(ReplayError::refused)
    };
    let resized = array(&x.resized(config.length))?;
    Ok(Outputs::new().with("resized", resized).with("pooled", array(&pooled.map_err(ReplayError::refused)?)?))
}

/// Soft-NMS with all of its settings.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Soft {
    #[serde(default = "gaussian")]
    kind: Decay,
    sigma: f64,
    low: f64,
    high: f64,
    keep: usize,
    #[serde(default)]
    min_score: f64,
    #[serde(default)]
    drop_last: bool,
}

fn gaussian() -> Decay {
    Decay::Gaussian
}

impl TryFrom<Soft> for SoftNms {
    type Error = ReplayError;

    fn try_from(s: Soft) -> Result<Self, ReplayError> {
        let soft = SoftNms {
            decay: s.kind,
            sigma: s.sigma,
            threshold: s.low,
            slope: s.high - s.low,
            keep: s.keep,
            min_score: s.min_score,
            drop_last: s.drop_last,
        };
        soft.validate().map_err(ReplayError::refused)?;
        Ok(soft)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NmsConfig {
    hard_thr: f64,
    soft: Soft,
}

/// An input of scored segments, `[n, 3]`.
fn proposals(case: &Replay<'_>, name: &str) -> Result<Vec<ScoredSegment>, ReplayError> {
    let scored = |[start, end, score]: [f64; 3]| ScoredSegment { segment: Segment::new(start, end), score };
    Ok(rows::<3>(case, name)?.into_iter().map(scored).collect())
}

pub(super) fn nms(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let NmsConfig { hard_thr, soft } = case.config()?;
    let soft = SoftNms::try_from(soft)?;
    let candidates = proposals(case, "proposals")?;
    let hard = hard_nms(&candidates, hard_thr).into_iter().map(|i| candidates[i]);
    Ok(Outputs::new()
        .with("hard", scored_rows(hard)?)
        .with("soft", scored_rows(soft.run(&candidates).into_iter().map(|taken| taken.scored))?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnsembleConfig {
    n: usize,
    weights: Vec<f64>,
    soft_nms: Soft,
    top_k: usize,
    duration: f64,
    keep: usize,
}

/// Detections as rows of start, end, score, class.
fn detection_rows(named: &[Named], classes: &[i64]) -> Result<Array, ReplayError> {
    let row = |n: &Named| {
        let ScoredSegment { segment, score } = n.scored;
        [segment.start, segment.end, score, classes[n.class] as f64]
    };
    Array::f64([named.len(), 4], named.iter().flat_map(row).collect()).map_err(ReplayError::refused)
}

pub(super) fn ensemble(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: EnsembleConfig = case.config()?;
    let EnsembleConfig { n, weights, top_k, duration, keep, .. } = &config;
    let mean = |name: &str| {
        let models: Vec<Vec<f64>> =
            (0..*n).map(|i| case.doubles(&format!("{name}{i}"))).collect::<Result<_, _>>()?;
        let models: Vec<&[f64]> = models.iter().map(Vec::as_slice).collect();
        weighted_mean(&models, weights).map_err(ReplayError::refused)
    };
    let (map, start) = (mean("map")?, mean("start")?);
    let map_shape = case.input("map0")?.shape().to_vec();
    let lists: Vec<Vec<ScoredSegment>> =
        (0..*n).map(|i| proposals(case, &format!("set{i}"))).collect::<Result<_, _>>()?;
    let soft = SoftNms::try_from(config.soft_nms)?;
    let union = union(&lists, weights, &Nms::Soft(soft)).map_err(ReplayError::refused)?;
    let logits: Vec<Vec<Vec<f64>>> =
        (0..*n).map(|i| clips(case, &format!("logits{i}"))).collect::<Result<_, _>>()?;
    let classes = video_scores(&logits, weights).map_err(ReplayError::refused)?;
    let named =
        Labelling { top_k: *top_k, keep: *keep, ..Labelling::default() }.run(&union, &classes, *duration);
    let names: Vec<i64> = (0..classes.len() as i64).collect();
    Ok(Outputs::new()
        .with("detections", detection_rows(&named, &names)?)
        .with("map", Array::f64(map_shape, map).map_err(ReplayError::refused)?)
        .with("start", Array::vector_f64(start))
        .with("union", scored_rows(union.into_iter())?)
        .with("classes", Array::vector_f64(classes)))
}

/// The logits of clips, `[clips, classes]`.
fn clips(case: &Replay<'_>, name: &str) -> Result<Vec<Vec<f64>>, ReplayError> {
    let [_, classes] = case.dims(name)?;
    Ok(case.doubles(name)?.chunks(classes.max(1)).map(<[f64]>::to_vec).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PipelineConfig {
    videos: usize,
    #[serde(rename = "T")]
    length: usize,
    durations: Vec<f64>,
    top_k: usize,
    fusion: Fusion,
    soft_nms: Suppression,
    keep: usize,
    tiou_thresholds: Vec<f64>,
    classes: Vec<i64>,
}

impl PipelineConfig {
    /// The detections of a video; classes are places in its list of class scores.
    fn detections(&self, case: &Replay<'_>, video: usize) -> Result<Vec<Named>, ReplayError> {
        let name = |what: &str| format!("{what}{video}");
        let cells = self.length;
        let sized = |what: &str, expected: usize| {
            let values = case.doubles(&name(what))?;
            match values.len() == expected {
                true => Ok(values),
                false => {
                    let text = format!("`{}` has {} elements, expected {expected}", name(what), values.len());
                    Err(ReplayError::refused(text))
                }
            }
        };
        let single = |what: &str| {
            Ok::<_, ReplayError>(sized(what, cells * cells)?.iter().map(|&v| v as f32).collect())
        };
        let (start, end) = (sized("start", cells)?, sized("end", cells)?);
        let evidence = Evidence { start, end, reg: single("reg")?, cls: single("cls")? };
        let candidates = evidence.proposals(Candidates::All, self.fusion);
        let kept: Vec<ScoredSegment> =
            SoftNms::from(self.soft_nms).run(&candidates).into_iter().map(|taken| taken.scored).collect();
        let classes = case.doubles(&name("classes"))?;
        Ok(Labelling { top_k: self.top_k, keep: self.keep, ..Labelling::default() }.run(
            &kept,
            &classes,
            self.durations[video],
        ))
    }
}

pub(super) fn pipeline(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: PipelineConfig = case.config()?;
    if config.durations.len() != config.videos || config.videos == 0 {
        let text = format!("{} durations for {} videos", config.durations.len(), config.videos);
        return Err(ReplayError::refused(text));
    }
    SoftNms::from(config.soft_nms).validate().map_err(ReplayError::refused)?;
    let videos: Vec<Vec<Named>> =
        (0..config.videos).map(|video| config.detections(case, video)).collect::<Result<_, _>>()?;
    let numbers: Vec<i64> = (0..).take(case.input("classes0")?.len()).collect();
    let predicted: Vec<Predicted> = (0..)
        .zip(&videos)
        .flat_map(|(video, named)| {
            named.iter().map(move |n| Predicted { video, class: n.class as i64, scored: n.scored })
        })
        .collect();
    let truth: Vec<True> = rows::<4>(case, "gt")?
        .into_iter()
        .map(|[video, start, end, class]| True {
            video: video as i64,
            class: class as i64,
            segment: Segment::new(start, end),
        })
        .collect();
    let PipelineConfig { classes, tiou_thresholds, .. } = &config;
    let map =
        mean_average_precision(&truth, &predicted, classes, tiou_thresholds, TemporalVariant::ActivityNet)?;
    Ok(Outputs::new()
        .with("detections_video0", detection_rows(&videos[0], &numbers)?)
        .with("ap", table(&map.average_precision)?)
        .with("average_map", map.average_map))
}
