//! Reference-case components, in the order of the dossier.

use ocelli_method::{Array, Component, Data, Outputs, Replay, ReplayError};
use ocelli_metrics::segment::{ScoredSegment, Segment};
use ocelli_metrics::temporal_detection::TemporalVariant;
use ocelli_nn::replay::{Bench, replay};
use ocelli_nn::tensor::values;
use serde::Deserialize;

use super::coarse::CoarseStream;
use super::fine::FineStream;
use super::localize::{ClipProbabilities, LocalizeConfig, localize};
use super::losses::{self, LossConfig};
use super::mask::Mask;
use super::network::{Tel, TelShape};
use crate::moments::{Predicted, True, mean_average_precision, rows, table};

/// The components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "coarse", run: coarse },
    Component { name: "fine", run: fine },
    Component { name: "loss.mil", run: mil },
    Component { name: "loss.consensus", run: consensus },
    Component { name: "network", run: network },
    Component { name: "localize", run: localized },
    Component { name: "metric.map", run: map },
];

/// A configuration that no network or loss could be built from is refused before a layer would panic.
fn valid(checked: Result<(), String>) -> Result<(), ReplayError> {
    checked.map_err(ReplayError::Refused)
}

/// The mask, which must be that of `clips` clips of `segments` segments.
fn mask(bench: &mut Bench<'_>, [clips, segments]: [usize; 2]) -> Result<Mask, ReplayError> {
    let mask = Mask::new(bench.input("mask")?);
    match mask.dims() == [clips, segments] {
        true => Ok(mask),
        false => {
            let reason = format!("mask has shape {:?}; {clips} clips have {segments} segments", mask.dims());
            Err(ReplayError::refused(reason))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CoarseConfig {
    dim: usize,
    levels: usize,
}

fn coarse(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let CoarseConfig { dim, levels } = case.config()?;
    valid(TelShape { dim, levels, heads: 1, ..TelShape::default() }.validate())?;
    replay(case, |bench| {
        let stream = CoarseStream::new(&bench.root(), dim, levels);
        bench.load_parameters()?;
        let x = bench.input::<3>("x")?;
        let [clips, segments, _] = x.dims();
        let mask = mask(bench, [clips, segments])?;
        bench.output("contexts", stream.forward(x, &mask));
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FineConfig {
    dim: usize,
    levels: usize,
    heads: usize,
}

fn fine(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let FineConfig { dim, levels, heads } = case.config()?;
    valid(TelShape { dim, levels, heads, ..TelShape::default() }.validate())?;
    replay(case, |bench| {
        let stream = FineStream::new(&bench.root(), dim, heads);
        bench.load_parameters()?;
        let (x, contexts) = (bench.input::<3>("x")?, bench.input::<4>("contexts")?);
        let [clips, segments, _] = x.dims();
        let mask = mask(bench, [clips, segments])?;
        if contexts.dims() != [clips, segments, levels, dim] {
            return Err(ReplayError::refused(format!("contexts have shape {:?}", contexts.dims())));
        }
        let (feat, alpha) = stream.forward(x, contexts, &mask);
        bench.output("feat", feat);
        bench.output("alpha", alpha);
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MilConfig {
    topk_r: usize,
}

fn mil(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let MilConfig { topk_r } = case.config()?;
    valid(LossConfig { topk_r, ..LossConfig::default() }.validate())?;
    replay(case, |bench| {
        let cas = bench.input::<3>("cas")?;
        let [clips, segments, _] = cas.dims();
        let mask = mask(bench, [clips, segments])?;
        let (pooled, loss) = losses::mil(cas, &mask, bench.input("labels")?, topk_r);
        bench.output("pooled", pooled);
        bench.output("loss", loss);
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsensusConfig {
    hi: f64,
    lo: f64,
}

fn consensus(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let ConsensusConfig { hi, lo } = case.config()?;
    replay(case, |bench| {
        let (cas_v, cas_s) = (bench.input::<3>("cas_v")?, bench.input::<3>("cas_s")?);
        let [clips, segments, _] = cas_v.dims();
        let (mask, labels) = (mask(bench, [clips, segments])?, bench.input::<2>("labels")?);
        let agreed = losses::agreement(&cas_v, &cas_s, &mask, &labels, [hi, lo]);
        bench.output("targets", agreed.targets.clone());
        bench.output("consensus", agreed.loss(cas_v.clone(), cas_s.clone()));
        bench.output("mutual", losses::mutual(cas_v, cas_s, &mask, labels));
        Ok(())
    })
}

/// Sizes and losses in one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkConfig {
    d_video: usize,
    d_text: usize,
    dim: usize,
    levels: usize,
    heads: usize,
    classes: usize,
    topk_r: usize,
    hi: f64,
    lo: f64,
    w_consensus: f64,
    w_mutual: f64,
}

impl NetworkConfig {
    fn parts(&self) -> (TelShape, LossConfig) {
        let Self { d_video, d_text, dim, levels, heads, classes, topk_r, hi, lo, w_consensus, w_mutual } =
            *self;
        let shape = TelShape { d_video, d_text, dim, levels, heads, classes };
        (shape, LossConfig { topk_r, hi, lo, w_consensus, w_mutual, ..LossConfig::default() })
    }
}

/// Prefix of the outputs that are norms of gradients of the total.
const NORM: &str = "gradnorm.";

fn network(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let (shape, config) = case.config::<NetworkConfig>()?.parts();
    valid(shape.validate())?;
    valid(config.validate())?;
    replay(case, |bench| {
        let network = Tel::new(&bench.root(), &shape);
        bench.load_parameters()?;
        let wanted = bench.case().case.expected.keys();
        let wanted: Vec<String> =
            wanted.filter_map(|key| key.strip_prefix(NORM).map(str::to_owned)).collect();
        bench.store().track_where(|entry| wanted.iter().any(|name| name == entry.name()));
        let (video, text) = (bench.input::<3>("video")?, bench.input::<3>("text")?);
        let [clips, segments, _] = video.dims();
        let mask = mask(bench, [clips, segments])?;
        let labels = bench.input::<2>("labels")?;
        if labels.dims() != [clips, shape.classes] || text.dims()[..2] != [clips, segments] {
            return Err(ReplayError::refused("video, text and labels do not fit together"));
        }
        let output = network.forward(video, text, &mask, &bench.pass());
        let losses = config.losses(&output, &mask, &labels);
        if !wanted.is_empty() {
            for (entry, gradient) in bench.store().backward(&losses.total).iter() {
                let squares = values(gradient.clone()).into_iter().map(|g| f64::from(g).powi(2));
                bench.array(format!("{NORM}{}", entry.name()), squares.sum::<f64>().sqrt());
            }
        }
        bench.output("alpha_v", output.video.alpha);
        bench.output("cas_v", output.video.cas);
        bench.output("cas_s", output.text.cas);
        bench.output("cas_coarse_v", output.video.cas_coarse);
        bench.output("cas_coarse_s", output.text.cas_coarse);
        bench.output("mil_v", losses.mil_v);
        bench.output("mil_s", losses.mil_s);
        bench.output("mil_f", losses.mil_f);
        bench.output("consensus", losses.consensus);
        bench.output("mutual", losses.mutual);
        bench.output("total", losses.total);
        Ok(())
    })
}

fn localized(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        cls_thresh: f64,
        fractions: Vec<f64>,
        nms_iou: f64,
    }
    let Config { cls_thresh, fractions, nms_iou } = case.config()?;
    let config = LocalizeConfig { cls_thresh, fractions, nms_iou };
    valid(config.validate())?;
    let (starts, ends) = (case.doubles("starts")?, case.doubles("ends")?);
    if starts.len() != ends.len() {
        return Err(ReplayError::refused(format!("{} starts and {} ends", starts.len(), ends.len())));
    }
    let times: Vec<Segment> = starts.into_iter().zip(ends).map(|(s, e)| Segment::new(s, e)).collect();
    let (segments, clip) = (case.doubles("prob")?, case.doubles("clip_prob")?);
    let found = localize(ClipProbabilities { segments: &segments, clip: &clip }, &times, &config);
    let found = found.map_err(ReplayError::refused)?;
    let rows = found.iter().flat_map(|f| {
        let segment = f.scored.segment;
        [f.class as f64, segment.start, segment.end, f.scored.score]
    });
    let rows = Array::new([found.len(), 4], Data::F64(rows.collect())).map_err(ReplayError::refused)?;
    Ok(Outputs::new().with("rows", rows))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    thresholds: Vec<f64>,
}
fn map(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: Config = case.config()?;
    let truth = rows::<4>(case, "gt")?.into_iter();
    let truth: Vec<True> = truth
        .map(|[class, video, start, end]| True {
            video: video as i64,
            class: class as i64,
            segment: Segment::new(start, end),
        })
        .collect();
    let predicted = rows::<5>(case, "det")?.into_iter().map(|[class, video, start, end, score]| {
        let scored = ScoredSegment { segment: Segment::new(start, end), score };
        Predicted { video: video as i64, class: class as i64, scored }
    });
    let predicted: Vec<Predicted> = predicted.collect();
    // A column for each class of the truth, rising.
    let mut classes: Vec<i64> = truth.iter().map(|t| t.class).collect();
    classes.sort_unstable();
    classes.dedup();
    let summary = mean_average_precision(
        &truth,
        &predicted,
        &classes,
        &config.thresholds,
        TemporalVariant::ActivityNet,
    )?;
    Ok(Outputs::new()
        .with("ap", table(&summary.average_precision)?)
        .with("map", Array::vector_f64(summary.map))
        .with("average", summary.average_map))
}
