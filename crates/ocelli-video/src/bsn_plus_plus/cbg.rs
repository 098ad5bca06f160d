//! The complementary boundary generator: a nested encoder-decoder of depth two over the whole sequence.

use burn::tensor::Tensor;
use ocelli_nn::layers::{Conv1d, Conv1dConfig};
use ocelli_nn::ops::activation::sigmoid;
use ocelli_nn::{Pass, Path};

use super::units::SequenceUnit;

/// Start and end scores of every snippet, and the features they rest on.
#[derive(Clone, Debug)]
pub struct Boundaries {
    /// In (0, 1), `[B, outputs, T]`; channel 0 is start, 1 is end.
    pub probability: Tensor<3>,
    /// `[B, 3 width, T]`.
    pub feature: Tensor<3>,
}

/// UNet++ with all nodes of full resolution fused (section 3.2 of the paper): node `r_c` stands `r` halvings deep, in
/// column `c`, and reads its row's earlier nodes and the node below, doubled.
#[derive(Clone, Debug)]
pub struct BoundaryGenerator {
    conv0_0: SequenceUnit,
    conv1_0: SequenceUnit,
    conv2_0: SequenceUnit,
    conv0_1: SequenceUnit,
    conv1_1: SequenceUnit,
    conv0_2: SequenceUnit,
    last: Conv1d,
}

impl BoundaryGenerator {
    /// From `input` channels over nodes of `width` channels to `outputs` scores, at `path`.
    pub fn new(path: &Path, input: usize, width: usize, outputs: usize) -> Self {
        let unit = |name: &str, input: usize| {
            let path = path.at(name).at("conv");
            SequenceUnit::new([&path.at(0), &path.at(1)], [input, width], 1)
        };
        Self {
            conv0_0: unit("conv0_0", input),
            conv1_0: unit("conv1_0", width),
            conv2_0: unit("conv2_0", width),
            conv0_1: unit("conv0_1", 2 * width),
            conv1_1: unit("conv1_1", 2 * width),
            conv0_2: unit("conv0_2", 3 * width),
            last: Conv1dConfig::new(3 * width, outputs, 1).build(&path.at("final")),
        }
    }

    /// `[B, C, T]` with T divisible by 4.
    pub fn forward(&self, x: Tensor<3>, pass: &Pass) -> Boundaries {
        let x00 = self.conv0_0.forward(x, pass);
        let x10 = self.conv1_0.forward(halved(x00.clone()), pass);
        let x20 = self.conv2_0.forward(halved(x10.clone()), pass);
        let x01 = self.conv0_1.forward(Tensor::cat(vec![x00.clone(), doubled(x10.clone())], 1), pass);
        let x11 = self.conv1_1.forward(Tensor::cat(vec![x10, doubled(x20)], 1), pass);
        let joined = Tensor::cat(vec![x00.clone(), x01.clone(), doubled(x11)], 1);
        let x02 = self.conv0_2.forward(joined, pass);
        let feature = Tensor::cat(vec![x00, x01, x02], 1);
        Boundaries { probability: sigmoid(self.last.forward(feature.clone())), feature }
    }
}

/// The larger of every two neighbours: `[B, C, T]` to `[B, C, T / 2]`.
fn halved(x: Tensor<3>) -> Tensor<3> {
    let [b, c, t] = x.dims();
    x.reshape([b, c, t / 2, 2]).max_dim(3).reshape([b, c, t / 2])
}

/// Every position twice: `[B, C, T]` to `[B, C, 2 T]`.
fn doubled(x: Tensor<3>) -> Tensor<3> {
    let [b, c, t] = x.dims();
    x.reshape([b, c, t, 1]).expand([b, c, t, 2]).reshape([b, c, 2 * t])
}
