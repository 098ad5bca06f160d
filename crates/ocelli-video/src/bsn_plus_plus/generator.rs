//! A proposal generator: BSN++ or BMN, trained and run alike.

use burn::tensor::{Device, Tensor};
use ocelli_metrics::segment::Segment;
use ocelli_nn::tensor::{from_values, values};
use ocelli_nn::{Pass, Path, Store};
use serde::{Deserialize, Serialize};

use super::bmn::Bmn;
use super::inference::{Evidence, fuse};
use super::loss::{BOUNDARY, EPSILON, LossConfig, ProposalLoss, boundary_loss};
use super::network::{BsnPlusPlus, Sizes};
use super::targets::Targets;
use super::training::Draws;

/// Which network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Local boundary heads, plain maps.
    Bmn,
    /// Both directions of time, attention between proposals.
    #[default]
    BsnPlusPlus,
}

/// A video as generators see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Video {
    /// Features, `[channels, T]`.
    pub features: Vec<f32>,
    /// Its instances as fractions of it.
    pub instances: Vec<Segment>,
    /// What is to be said of it.
    pub targets: Targets,
}

impl Video {
    /// Of features `[channels, T]` and instances as fractions.
    pub fn new(features: Vec<f32>, instances: Vec<Segment>, cells: usize) -> Self {
        let targets = Targets::new(cells, &instances);
        Self { features, instances, targets }
    }
}

/// Either network in its store.
#[derive(Debug)]
pub struct Generator {
    network: Network,
    sizes: Sizes,
    store: Store,
}

#[derive(Debug)]
enum Network {
    Bmn(Bmn),
    BsnPlusPlus(Box<BsnPlusPlus>),
}

impl Generator {
    /// A network with the initial values of `seed`.
    ///
    /// # Panics
    /// For sizes that [`Sizes::validate`] refuses.
    pub fn new(kind: Kind, sizes: &Sizes, device: &Device, seed: u64) -> Self {
        let store = Store::new(device, seed);
        let root: Path = store.root();
        let network = match kind {
            Kind::Bmn => Network::Bmn(Bmn::new(&root, sizes)),
            Kind::BsnPlusPlus => Network::BsnPlusPlus(Box::new(BsnPlusPlus::new(&root, sizes))),
        };
        Self { network, sizes: sizes.clone(), store }
    }

    /// Where its parameters are.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Its sizes.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// The features of videos as a batch, `[B, channels, T]`.
    ///
    /// # Panics
    /// When they are of other sizes.
    pub fn batch<'a>(&self, videos: impl IntoIterator<Item = &'a Video>) -> Tensor<3> {
        let (mut count, mut features) = (0, Vec::new());
        for video in videos {
            features.extend(&video.features);
            count += 1;
        }
        from_values(features, [count, self.sizes.feat_dim, self.sizes.length], self.store.device())
    }

    /// The loss of a batch; BMN has one direction of time and one map, and takes the first draws.
    pub fn loss(
        &self,
        x: Tensor<3>,
        targets: &Targets,
        draws: &Draws,
        config: &LossConfig,
        pass: &Pass,
    ) -> Tensor<1> {
        let draws = draws.each_ref().map(|draws| draws.each_ref().map(Vec::as_slice));
        match &self.network {
            Network::BsnPlusPlus(network) => {
                let (forward, backward) = network.both_ways(x, pass);
                let passes = [forward.boundaries, backward];
                config.terms(passes, &forward.maps.each(), targets, &draws).total
            }
            Network::Bmn(network) => {
                let output = network.forward(x);
                let boundaries = boundary_loss(output.start, &targets.start, BOUNDARY, EPSILON)
                    + boundary_loss(output.end, &targets.end, BOUNDARY, EPSILON);
                let loss = ProposalLoss { scale: false, ..config.proposals.clone() };
                let proposals = loss.terms(&targets.iou, &[&output.map], &draws[..1]);
                boundaries + proposals.total.mul_scalar(config.beta)
            }
        }
    }

    /// What it says of each sequence of a batch.
    pub fn evidence(&self, x: Tensor<3>) -> Vec<Evidence> {
        let [b, _, cells] = x.dims();
        let (boundaries, map) = match &self.network {
            Network::BsnPlusPlus(network) => {
                let (forward, backward) = network.both_ways(x, &Pass::eval());
                let [s_f, e_f] = [forward.boundaries.start, forward.boundaries.end].map(values);
                let [s_b, e_b] = [backward.start, backward.end].map(values);
                let part = |v: &[f32], k: usize| v[k * cells..][..cells].to_vec();
                let fused = |k: usize| {
                    let [s_f, e_f, s_b, e_b] = [&s_f, &e_f, &s_b, &e_b].map(|v| part(v, k));
                    fuse([&s_f, &e_f], [&s_b, &e_b])
                };
                ((0..b).map(fused).collect::<Vec<_>>(), forward.maps.mean())
            }
            Network::Bmn(network) => {
                let output = network.forward(x);
                let [start, end] = [output.start, output.end].map(values);
                let part =
                    |v: &[f32], k: usize| v[k * cells..][..cells].iter().map(|&v| f64::from(v)).collect();
                ((0..b).map(|k| [part(&start, k), part(&end, k)]).collect(), output.map)
            }
        };
        let maps = values(map);
        let of = |(k, [start, end]): (usize, [Vec<f64>; 2])| {
            let map = |channel: usize| maps[(2 * k + channel) * cells * cells..][..cells * cells].to_vec();
            Evidence { start, end, reg: map(0), cls: map(1) }
        };
        boundaries.into_iter().enumerate().map(of).collect()
    }
}
