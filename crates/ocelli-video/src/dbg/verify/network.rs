//! Components: the network and its parts.

use burn::tensor::Tensor;
use ocelli_method::{Outputs, Replay, ReplayError};
use ocelli_nn::replay::{Bench, replay};
use serde::Deserialize;

use crate::dbg::network::{Dbg, DbgConfig, DualStreamBase, ProposalHead};
use crate::dbg::sampling::Regions;
use crate::temporal::sampler::map_places;

/// The published sizes, with what a case says.
fn config(feature_dim: usize, tscale: usize) -> Result<DbgConfig, ReplayError> {
    let config = DbgConfig { feature_dim, tscale, ..DbgConfig::default() };
    config.validate().map_err(ReplayError::Unsupported)?;
    Ok(config)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BaseConfig {
    feature_dim: usize,
}

pub(super) fn dual_stream_base(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let BaseConfig { feature_dim } = case.config()?;
    let config = config(feature_dim, 1)?;
    replay(case, |bench| {
        let base = DualStreamBase::new(&bench.root(), config.feature_dim, config.base_dims);
        bench.load_parameters()?;
        let output = base.forward(channels(bench, "x", feature_dim)?);
        let weight = bench.input::<3>("weight")?;
        let loss = (output.score.clone() * weight).sum() + output.features.clone().square().mean();
        for (name, x) in ["x1", "x2", "x3"].into_iter().zip(output.actionness) {
            bench.output(name, x);
        }
        bench.output("score", output.score);
        bench.output("xc_feat", output.features);
        bench.output("loss", loss);
        Ok(())
    })
}

/// An input `[B, C, T]` of this many channels.
fn channels(bench: &mut Bench<'_>, name: &str, wanted: usize) -> Result<Tensor<3>, ReplayError> {
    let [_, found, _] = bench.case().dims(name)?;
    if found != wanted {
        return Err(ReplayError::refused(format!("`{name}` has {found} channels, the network {wanted}")));
    }
    bench.input(name)
}

pub(super) fn proposal_features(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let regions: Regions = case.config()?;
    let [b, c, t] = case.dims("x")?;
    replay(case, |bench| {
        let sampler = regions.sampler(t, map_places(t));
        let samples = sampler.sample(bench.input::<3>("x")?.swap_dims(1, 2));
        let y = samples.permute([0, 3, 2, 1]).reshape([b, c, regions.samples(), t, t]);
        let loss = (y.clone() * bench.input::<5>("weight")?).sum();
        bench.output("y", y);
        bench.output("loss", loss);
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadConfig {
    in_channels: usize,
}

/// A head with `outputs` scores on the maps of input `x`: each as a map `[B, 1, H, W]`.
fn head(bench: &mut Bench<'_>, outputs: usize) -> Result<Vec<Tensor<4>>, ReplayError> {
    let HeadConfig { in_channels } = bench.case().config()?;
    let [b, c, h, w] = bench.case().dims("x")?;
    if c != in_channels {
        return Err(ReplayError::refused(format!("`x` has {c} channels, the head {in_channels}")));
    }
    let config = DbgConfig::default();
    let head = ProposalHead::new(&bench.root(), [in_channels, config.head_dim, outputs], config.dropout);
    bench.load_parameters()?;
    let rows = bench.input::<4>("x")?.reshape([b, c, h * w]).swap_dims(1, 2);
    // The cases give their heads in evaluation: nothing is dropped.
    let scores = head.forward(rows, &bench.pass());
    Ok((0..outputs).map(|k| scores.clone().narrow(2, k, 1).reshape([b, 1, h, w])).collect())
}

pub(super) fn completeness(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    replay(case, |bench| {
        for iou in head(bench, 1)? {
            bench.output("loss", iou.clone().square().sum());
            bench.output("iou", iou);
        }
        Ok(())
    })
}

pub(super) fn boundaries(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    replay(case, |bench| {
        for (name, map) in ["start", "end"].into_iter().zip(head(bench, 2)?) {
            bench.output(name, map);
        }
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkConfig {
    feature_dim: usize,
    tscale: usize,
}

pub(super) fn whole(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let NetworkConfig { feature_dim, tscale } = case.config()?;
    let config = config(feature_dim, tscale)?;
    let [b, _, found] = case.dims("feature")?;
    if found != tscale {
        return Err(ReplayError::refused(format!("`feature` has {found} cells, the network {tscale}")));
    }
    replay(case, |bench| {
        let network = Dbg::new(&bench.root(), config.clone());
        bench.load_parameters()?;
        let output = network.forward(channels(bench, "feature", feature_dim)?, &bench.pass());
        for (name, x) in ["x1", "x2", "x3"].into_iter().zip(output.actionness) {
            bench.output(name, x);
        }
        for (name, rows) in [("iou", output.iou), ("prop_start", output.start), ("prop_end", output.end)] {
            let places = network.sampler().places().len();
            bench.output(name, network.sampler().to_maps(rows.reshape([b, places, 1])));
        }
        Ok(())
    })
}
