//! Components: targets, losses and training steps.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use ocelli_method::{Array, Outputs, Replay, ReplayError};
use ocelli_metrics::segment::Segment;
use ocelli_nn::Entry;
use ocelli_nn::replay::{Bench, replay};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use serde::Deserialize;

use crate::dbg::labels::{Labels, Selection, actions, mean_length};
use crate::dbg::loss::{BatchWeights, LossConfig, completeness_weights};
use crate::dbg::network::{Dbg, DbgConfig, DbgOutput};
use crate::dbg::step::{TermValues, gradients};
use crate::moments::rows;
use crate::temporal::balanced::{Balance, Bands, Label, balanced_log_loss, weighted_smooth_l1};
use crate::temporal::sampler::map_places;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssignConfig {
    tscale: usize,
    gt_len_ratio: f64,
}

/// A single number.
fn number(case: &Replay<'_>, name: &str) -> Result<f64, ReplayError> {
    match case.doubles(name)?.as_slice() {
        [value] => Ok(*value),
        values => Err(ReplayError::refused(format!("`{name}` has {} values, one is expected", values.len()))),
    }
}

fn segments(rows: &[[f64; 2]]) -> Vec<Segment> {
    rows.iter().map(|&row| row.into()).collect()
}

pub(super) fn assign(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let AssignConfig { tscale, gt_len_ratio } = case.config()?;
    let actions = actions(&segments(&rows::<2>(case, "segments")?), number(case, "duration")?);
    let labels = Labels::new(tscale, &actions, gt_len_ratio);
    let map = Array::f32([tscale, tscale], labels.iou).map_err(ReplayError::refused)?;
    Ok(Outputs::new()
        .with("action", Array::vector(labels.action))
        .with("start", Array::vector(labels.start))
        .with("end", Array::vector(labels.end))
        .with("iou", map)
        .with("mean_len", mean_length(&actions)))
}

pub(super) fn filter(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let selection: Selection = case.config()?;
    let [videos, most, two] = case.dims("segments")?;
    let (counts, trains) = (case.integers("count")?, case.integers("is_training")?);
    let (durations, all) = (case.doubles("duration")?, case.doubles("segments")?);
    if two != 2 || [counts.len(), trains.len(), durations.len()] != [videos; 3] {
        return Err(ReplayError::refused("the lists of videos differ in length"));
    }
    let (mut dropped, mut means) = (Vec::new(), Vec::new());
    for video in 0..videos {
        let count = usize::try_from(counts[video]).ok().filter(|count| *count <= most);
        let count =
            count.ok_or_else(|| ReplayError::refused(format!("a count of {} segments", counts[video])))?;
        let own = &all[video * most * 2..][..count * 2];
        let actions = actions(&segments(own.as_chunks().0), durations[video]);
        dropped.push(i64::from(trains[video] != 0 && selection.times(&actions) == 0));
        means.push(mean_length(&actions));
    }
    Ok(Outputs::new().with("dropped", Array::integers(dropped)).with("mean_len", Array::vector_f64(means)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogLossConfig {
    eps: f64,
    thr: f64,
}

pub(super) fn log_loss(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let LogLossConfig { eps, thr } = case.config()?;
    let labels: Vec<Label> = case.floats("gt")?.iter().map(|&g| Label::of(g, thr)).collect();
    replay(case, |bench| {
        let pred = bench.input::<1>("pred")?;
        same_length(labels.len(), pred.dims()[0])?;
        bench.output("loss", balanced_log_loss(pred, &labels, Balance::Ratio, eps));
        Ok(())
    })
}

fn same_length(a: usize, b: usize) -> Result<(), ReplayError> {
    match a == b {
        true => Ok(()),
        false => Err(ReplayError::refused(format!("lists of {a} and {b} values belong together"))),
    }
}

pub(super) fn completeness_loss(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let bands: Bands = case.config()?;
    let overlap = case.floats("gt")?;
    let [rows, columns] = case.dims("gt")?;
    same_length(rows, columns)?;
    let draws = [case.floats("u_mid")?, case.floats("u_low")?];
    draws.iter().try_for_each(|u| same_length(overlap.len(), u.len()))?;
    let weights = completeness_weights(&bands, overlap, draws);
    replay(case, |bench| {
        let pred = bench.input::<2>("pred")?;
        same_length(pred.shape().num_elements(), overlap.len())?;
        bench.output("loss", weighted_smooth_l1(pred.reshape([overlap.len()]), overlap, &weights));
        Ok(())
    })
}

/// The targets of a batch, from the inputs of these names with `suffix`.
fn labels(case: &Replay<'_>, suffix: &str) -> Result<Vec<Labels>, ReplayError> {
    let name = |kind: &str| format!("gt_{kind}{suffix}");
    let [videos, _, cells] = case.dims(&name("action"))?;
    let field = |kind: &str, each: usize| {
        let values = case.floats(&name(kind))?;
        same_length(values.len(), videos * each)?;
        Ok::<_, ReplayError>(values)
    };
    let [action, start, end] = ["action", "start", "end"].map(|kind| field(kind, cells));
    let (action, start, end, iou) = (action?, start?, end?, field("iou", cells * cells)?);
    let of = |values: &[f32], each: usize, b: usize| values[b * each..(b + 1) * each].to_vec();
    let video = |b: usize| Labels {
        action: of(action, cells, b),
        start: of(start, cells, b),
        end: of(end, cells, b),
        iou: of(iou, cells * cells, b),
    };
    Ok((0..videos).map(video).collect())
}

/// The draws of a batch, from the inputs of these names with `suffix`.
fn draws<'a>(case: &'a Replay<'_>, suffix: &str, labels: &[Labels]) -> Result<[&'a [f32]; 2], ReplayError> {
    let wanted = labels.iter().map(|l| l.iou.len()).sum();
    let draw = |kind: &str| {
        let draws = case.floats(&format!("u_{kind}{suffix}"))?;
        same_length(draws.len(), wanted).map(|()| draws)
    };
    Ok([draw("mid")?, draw("low")?])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TotalConfig {
    w_action: f64,
    w_iou: f64,
    w_start: f64,
    w_end: f64,
}

pub(super) fn total_loss(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let TotalConfig { w_action, w_iou, w_start, w_end } = case.config()?;
    let config =
        LossConfig { action: w_action, iou: w_iou, start: w_start, end: w_end, ..LossConfig::default() };
    let labels = labels(case, "")?;
    let draws = draws(case, "", &labels)?;
    let cells = labels.first().map_or(0, |l| l.action.len());
    let videos: Vec<&Labels> = labels.iter().collect();
    let weights = BatchWeights::new(&videos, &map_places(cells), draws, &config);
    let b = labels.len();
    replay(case, |bench| {
        let mut actionness = |name: &str| {
            let x = bench.input::<3>(name)?;
            same_length(x.shape().num_elements(), b * cells).map(|()| x)
        };
        let actionness = [actionness("x1")?, actionness("x2")?, actionness("x3")?];
        let mut map = |name: &str| {
            let map = bench.input::<4>(name)?;
            same_length(map.shape().num_elements(), b * cells * cells)?;
            Ok::<_, ReplayError>(map.reshape([b, cells * cells]))
        };
        let output =
            DbgOutput { actionness, iou: map("iou")?, start: map("prop_start")?, end: map("prop_end")? };
        let terms = weights.terms(&output, &config);
        bench.output("total", terms.total(&config));
        bench.output("action", terms.action);
        bench.output("iou", terms.iou);
        bench.output("start", terms.start);
        bench.output("end", terms.end);
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainConfig {
    feature_dim: usize,
    tscale: usize,
    lr: f64,
    /// Decay by the first part of the name, and of biases.
    weight_decay: BTreeMap<String, f64>,
    dropout: f64,
}

impl TrainConfig {
    fn decay(&self, entry: &Entry) -> f64 {
        let mut parts = entry.name().split('.');
        let (first, last) = (parts.next(), parts.next_back());
        let key = if last == Some("bias") { last } else { first };
        key.and_then(|key| self.weight_decay.get(key)).copied().unwrap_or(0.0)
    }
}

pub(super) fn train_steps(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: TrainConfig = case.config()?;
    if config.dropout != 0.0 {
        return Err(ReplayError::Unsupported("steps with dropout, whose draws no case gives".to_owned()));
    }
    let TrainConfig { feature_dim, tscale, lr, dropout, .. } = config;
    let sizes = DbgConfig { feature_dim, tscale, dropout, ..DbgConfig::default() };
    sizes.validate().map_err(ReplayError::Unsupported)?;
    replay(case, |bench| {
        let network = Dbg::new(&bench.root(), sizes.clone());
        bench.load_parameters()?;
        let initial: Vec<Tensor<1>> = bench.store().entries().iter().map(|e| e.plain()).collect();
        let adam = OptimizerConfig::Adam { lr, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0 };
        let mut optimizer = Optimizer::new(adam, decay_all);
        let steps = (0..).take_while(|s| case.input(&format!("feature.{s}")).is_ok());
        for s in steps {
            let values = step(bench, &network, &mut optimizer, &config, s)?;
            let TermValues { action, iou, start, end, total } = values;
            for (name, value) in
                [("action", action), ("iou", iou), ("start", start), ("end", end), ("total", total)]
            {
                bench.array(format!("{name}.{s}"), value);
            }
            for (entry, initial) in bench.store().entries().iter().zip(&initial) {
                let moved = (entry.plain() - initial.clone()).div_scalar(lr);
                let moved = ocelli_nn::tensor::to_array(moved).reshaped(entry.shape());
                bench.array(format!("moved.{}.{s}", entry.name()), moved.map_err(ReplayError::refused)?);
            }
        }
        Ok(())
    })
}

/// Step `s` of a training.
fn step(
    bench: &mut Bench<'_>,
    network: &Dbg,
    optimizer: &mut Optimizer,
    config: &TrainConfig,
    s: usize,
) -> Result<TermValues, ReplayError> {
    let case = bench.case();
    let suffix = format!(".{s}");
    let features = bench.input::<3>(&format!("feature{suffix}"))?;
    let labels = labels(case, &suffix)?;
    if features.dims() != [labels.len(), config.feature_dim, config.tscale] {
        return Err(ReplayError::refused(format!(
            "features {:?} for {} videos",
            features.dims(),
            labels.len()
        )));
    }
    let videos: Vec<&Labels> = labels.iter().collect();
    let losses = LossConfig::default();
    let draws = draws(case, &suffix, &labels)?;
    let weights = BatchWeights::new(&videos, network.sampler().places(), draws, &losses);
    let (values, gradients) =
        gradients(network, bench.store(), &features, &weights, (&losses, 1), &bench.pass());
    optimizer.step_decayed(&gradients, config.lr, |entry| config.decay(entry));
    Ok(values)
}
