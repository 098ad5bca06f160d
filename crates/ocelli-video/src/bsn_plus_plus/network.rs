//! The whole network: base, boundary generator, boundary matching, relation block.

use burn::tensor::Tensor;
use ocelli_nn::layers::{BatchNorm, BatchNormConfig};
use ocelli_nn::ops::activation::relu;
use ocelli_nn::tensor::scalar;
use ocelli_nn::{Gradients, Pass, Path, Store};
use serde::{Deserialize, Serialize};

use super::cbg::BoundaryGenerator;
use super::loss::PassOutput;
use super::matching::{BoundaryMatching, Matching};
use super::relation::{Branch, Layout, Maps, RelationBlock, RelationConfig};
use super::units::{MapUnit, SequenceUnit};

/// The sizes of a network; the defaults are those of the public re-implementation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sizes {
    /// Snippets of a sequence.
    #[serde(rename = "T")]
    pub length: usize,
    /// Numbers that describe a snippet.
    pub feat_dim: usize,
    /// Channels of the base.
    pub d1: usize,
    /// Channels of the proposal maps.
    pub d2: usize,
    /// Channels after boundary matching.
    pub d3: usize,
    /// Channels of the boundary generator's nodes.
    pub unet: usize,
    /// Bins along a proposal.
    pub n_bins: usize,
    /// Points whose mean a bin is.
    pub per_bin: usize,
    /// Whether positions attend to the maxima of 2x2 positions.
    pub sub_sample: bool,
    /// Memory layout in channel attention.
    pub layout: Layout,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            length: 100,
            feat_dim: 400,
            d1: 256,
            d2: 128,
            d3: 512,
            unet: 512,
            n_bins: 32,
            per_bin: 3,
            sub_sample: true,
            layout: Layout::Paper,
        }
    }
}

/// Groups of the base's convolutions.
pub(super) const GROUPS: usize = 4;

impl Sizes {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first size that no network can be built with.
    pub fn validate(&self) -> Result<(), String> {
        let sizes = [("T", self.length), ("feat_dim", self.feat_dim), ("d1", self.d1), ("d2", self.d2)];
        let more = [("d3", self.d3), ("unet", self.unet), ("n_bins", self.n_bins), ("per_bin", self.per_bin)];
        if let Some((key, _)) = sizes.into_iter().chain(more).find(|(_, size)| *size == 0) {
            return Err(format!("{key}: 0 is not above 0"));
        }
        // The boundary generator halves the sequence twice; the base has groups.
        match [("T", self.length), ("feat_dim", self.feat_dim), ("d1", self.d1)]
            .iter()
            .find(|(_, n)| n % 4 != 0)
        {
            Some((key, size)) => Err(format!("{key}: {size} is not divisible by {GROUPS}")),
            None => Ok(()),
        }
    }

    /// How proposals are sampled.
    pub fn matching(&self) -> Matching {
        Matching { n_bins: self.n_bins, per_bin: self.per_bin, ..Matching::default() }
    }

    /// The relation block.
    fn relation(&self) -> RelationConfig {
        let Self { d2, sub_sample, layout, .. } = *self;
        RelationConfig { channels: d2, inner: d2, sub_sample, layout }
    }
}

/// What the network says of sequences.
#[derive(Clone, Debug)]
pub struct Output {
    /// Boundaries, and the features they rest on.
    pub boundaries: PassOutput,
    /// The proposals.
    pub maps: Maps,
}

/// BSN++ (section 3 of the paper).
#[derive(Clone, Debug)]
pub struct BsnPlusPlus {
    sizes: Sizes,
    store: Store,
    base: [SequenceUnit; 2],
    boundaries: BoundaryGenerator,
    proposal: SequenceUnit,
    matching: BoundaryMatching,
    matching_norm: BatchNorm,
    narrow: MapUnit,
    relation: RelationBlock,
}

impl BsnPlusPlus {
    /// At `path`, under the names of the public re-implementation.
    ///
    /// # Panics
    /// For sizes that [`Sizes::validate`] refuses.
    pub fn new(path: &Path, sizes: &Sizes) -> Self {
        if let Err(error) = sizes.validate() {
            panic!("BSN++: {error}");
        }
        let Sizes { feat_dim, d1, d2, d3, unet, .. } = *sizes;
        let place = |name: &str, index: usize| path.at(name).at(index);
        let unit = |name: &str, first: usize, channels: [usize; 2], groups: usize| {
            SequenceUnit::new([&place(name, first), &place(name, first + 1)], channels, groups)
        };
        let base = [unit("x_1d_b", 0, [feat_dim, d1], GROUPS), unit("x_1d_b", 3, [d1; 2], GROUPS)];
        let boundaries = BoundaryGenerator::new(&path.at("x_1d_cbg"), d1, unet, 2);
        let proposal = unit("x_1d_p", 0, [d1; 2], 1);
        let matching = BoundaryMatching::new(&place("x_3d_p", 0), [d1, d3], sizes.length, sizes.matching());
        let matching_norm = BatchNormConfig::new(d3).build(&place("x_3d_p", 1));
        let narrow = MapUnit::new(&path.at("x_2d_p"), [d3, d2], 1);
        let relation = RelationBlock::new(&path.at("proposal_block"), sizes.relation());
        let (sizes, store) = (sizes.clone(), path.store().clone());
        Self { sizes, store, base, boundaries, proposal, matching, matching_norm, narrow, relation }
    }

    /// The sizes.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// Sequences `[B, feat_dim, T]`.
    pub fn forward(&self, x: Tensor<3>, pass: &Pass) -> Output {
        let base = self.base(x, pass);
        let boundaries = self.boundary_scores(base.clone(), pass);
        Output { boundaries, maps: self.maps(base, pass) }
    }

    /// The whole network on the sequences and on their reversal in time, whose boundaries are given as the network gives
    /// them. In training both passes move the running statistics, the maps of the second as well, although nothing is
    /// learned from them.
    pub fn both_ways(&self, x: Tensor<3>, pass: &Pass) -> (Output, PassOutput) {
        let forward = self.forward(x.clone(), pass);
        let base = self.base(x.flip([2]), pass);
        let backward = self.boundary_scores(base.clone(), pass);
        if pass.uses_batch_statistics() {
            // Only the statistics are wanted of them.
            let base = base.without_autodiff();
            self.store.unrecorded(|| self.maps(base, pass));
        }
        (forward, backward)
    }

    fn base(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        self.base.iter().fold(x, |x, unit| unit.forward(x, pass))
    }

    fn boundary_scores(&self, base: Tensor<3>, pass: &Pass) -> PassOutput {
        let [b, _, t] = base.dims();
        let boundaries = self.boundaries.forward(base, pass);
        let channel = |c: usize| boundaries.probability.clone().narrow(1, c, 1).reshape([b, t]);
        PassOutput { start: channel(0), end: channel(1), feature: boundaries.feature }
    }

    fn maps(&self, base: Tensor<3>, pass: &Pass) -> Maps {
        self.relation.forward(self.proposals(base, pass), pass)
    }

    /// Features of all proposals, `[B, d2, T, T]`.
    fn proposals(&self, base: Tensor<3>, pass: &Pass) -> Tensor<4> {
        let proposals = self.matching.forward(self.proposal.forward(base, pass));
        self.narrow.forward(relu(self.matching_norm.forward(proposals, pass)), pass)
    }

    /// Loss and gradients of sequences in training, computed part by part: what a part needs for its gradients is there only
    /// while they are formed, and is computed again for that. The statistics are those of the whole batch, so that nothing but
    /// rounding differs from walking back through [`BsnPlusPlus::both_ways`]; it takes less than half the memory and, since
    /// the maps of the sequences are computed twice, more time.
    ///
    /// `map_loss` is of the maps, `boundary_loss` of both directions of time. Both losses are given, the first one first.
    pub fn gradients(
        &self,
        x: Tensor<3>,
        map_loss: impl FnOnce(&Maps) -> Tensor<1>,
        boundary_loss: impl FnOnce([PassOutput; 2]) -> Tensor<1>,
    ) -> ([f64; 2], Gradients) {
        let (first, again) = (Pass::without_dropout(), Pass::again());
        let (proposals, attended) = self.store.unrecorded(|| {
            let proposals = self.proposals(self.base(x.clone(), &first), &first);
            let branch = |branch| self.relation.branch(branch, proposals.clone(), &first);
            (proposals.clone(), Branch::ALL.map(branch))
        });
        // The heads, down to what both branches gave.
        let leaves = attended.map(leaf);
        self.store.track();
        let loss = map_loss(&self.relation.heads(leaves.clone()));
        let (of_maps, mut tape) = (f64::from(scalar(loss.clone())), loss.backward());
        let of_attended = leaves.map(|leaf| taken(&leaf, &mut tape));
        let mut gradients = self.store.collect(&mut tape);
        // The branches, down to the features of proposals.
        let mut of_proposals = proposals.zeros_like();
        for (branch, gradient) in Branch::ALL.into_iter().zip(of_attended) {
            let leaf = leaf(proposals.clone());
            self.store.track();
            let attended = self.relation.branch(branch, leaf.clone(), &again);
            let mut tape = (attended * gradient).sum().backward();
            of_proposals = of_proposals + taken(&leaf, &mut tape);
            gradients.extend(self.store.collect(&mut tape));
        }
        drop(proposals);
        // All below, which both losses reach.
        self.store.track();
        let base = self.base(x.clone(), &again);
        let reached = (self.proposals(base.clone(), &again) * of_proposals).sum();
        let forward = self.boundary_scores(base, &first);
        let reversed = self.base(x.flip([2]), &first);
        let backward = self.boundary_scores(reversed.clone(), &first);
        let loss = boundary_loss([forward, backward]);
        let of_boundaries = f64::from(scalar(loss.clone()));
        let mut tape = (loss + reached).backward();
        gradients.extend(self.store.collect(&mut tape));
        drop(tape);
        // As in `both_ways`: the maps of the reversal move the running statistics.
        self.store.unrecorded(|| self.maps(reversed.without_autodiff(), &first));
        ([of_maps, of_boundaries], gradients)
    }
}

/// A leaf with this value.
fn leaf(value: Tensor<4>) -> Tensor<4> {
    value.without_autodiff().autodiff().require_grad()
}

/// The gradient of a leaf.
fn taken(leaf: &Tensor<4>, tape: &mut burn::tensor::Gradients) -> Tensor<4> {
    leaf.grad_remove(tape).unwrap_or_else(|| leaf.clone().without_autodiff().zeros_like())
}
