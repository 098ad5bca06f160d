//! The boundary-matching network (Lin et al., ICCV 2019, arXiv 1907.09702), which BSN++ starts from and is compared with.

use burn::tensor::Tensor;
use ocelli_nn::Path;
use ocelli_nn::layers::{Conv1d, Conv1dConfig, Conv2d};
use ocelli_nn::ops::activation::{relu, sigmoid};

use super::matching::BoundaryMatching;
use super::network::Sizes;
use super::units::map_conv;

/// What the network says of sequences.
#[derive(Clone, Debug)]
pub struct BmnOutput {
    /// Score of each snippet as a start, `[B, T]` in (0, 1).
    pub start: Tensor<2>,
    /// As an end.
    pub end: Tensor<2>,
    /// Of each proposal, `[B, 2, T, T]` in (0, 1): overlap by regression and by classification.
    pub map: Tensor<4>,
}

/// Two local heads for boundaries, plain convolutions over the proposal map; no normalisation anywhere.
#[derive(Clone, Debug)]
pub struct Bmn {
    base: [Conv1d; 2],
    start: [Conv1d; 2],
    end: [Conv1d; 2],
    proposal: Conv1d,
    matching: BoundaryMatching,
    maps: [Conv2d; 4],
}

impl Bmn {
    /// At `path`, under the names of the public re-implementation; `unet` and what concerns relations is not used.
    ///
    /// # Panics
    /// For sizes that [`Sizes::validate`] refuses.
    pub fn new(path: &Path, sizes: &Sizes) -> Self {
        if let Err(error) = sizes.validate() {
            panic!("BMN: {error}");
        }
        let Sizes { feat_dim, d1, d2, d3, .. } = *sizes;
        let place = |name: &str, index: usize| path.at(name).at(index);
        let conv = |name: &str, index: usize, [input, output]: [usize; 2], groups: usize| {
            let config = Conv1dConfig::new(input, output, 3).padding(1).groups(groups);
            config.build(&place(name, index))
        };
        let head = |name: &str| {
            let last = || Conv1dConfig::new(d1, 1, 1).build(&place(name, 2));
            [conv(name, 0, [d1; 2], 4), last()]
        };
        let base = [conv("x_1d_b", 0, [feat_dim, d1], 4), conv("x_1d_b", 2, [d1; 2], 4)];
        let (start, end) = (head("x_1d_s"), head("x_1d_e"));
        let proposal = conv("x_1d_p", 0, [d1; 2], 1);
        let matching = BoundaryMatching::new(&place("x_3d_p", 0), [d1, d3], sizes.length, sizes.matching());
        let map = |index: usize, channels: [usize; 2], kernel: usize| {
            map_conv(&place("x_2d_p", index), channels, kernel)
        };
        let maps = [map(0, [d3, d2], 1), map(2, [d2; 2], 3), map(4, [d2; 2], 3), map(6, [d2, 2], 1)];
        Self { base, start, end, proposal, matching, maps }
    }

    /// Sequences `[B, feat_dim, T]`.
    pub fn forward(&self, x: Tensor<3>) -> BmnOutput {
        let [b, _, t] = x.dims();
        let base = self.base.iter().fold(x, |x, conv| relu(conv.forward(x)));
        let head = |[hidden, last]: &[Conv1d; 2]| {
            sigmoid(last.forward(relu(hidden.forward(base.clone())))).reshape([b, t])
        };
        let (start, end) = (head(&self.start), head(&self.end));
        let proposals = relu(self.matching.forward(relu(self.proposal.forward(base))));
        let [hidden @ .., last] = &self.maps;
        let maps = hidden.iter().fold(proposals, |x, conv| relu(conv.forward(x)));
        BmnOutput { start, end, map: sigmoid(last.forward(maps)) }
    }
}
