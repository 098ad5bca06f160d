//! SphereFace networks (Liu et al. 2017, table 2): residual units without normalisation, a linear embedding.

use burn::tensor::Tensor;

use ocelli_kernels::Joint;

use super::Embedded;
use crate::init::Init;
use crate::layers::{BlockActivation, Conv2d, Conv2dConfig, ConvBlock, Linear, LinearBlock, Prelu};
use crate::pass::Pass;
use crate::store::Path;

/// Channels of the four stages.
const WIDTHS: [usize; 4] = [64, 128, 256, 512];

/// A 3x3 convolution with bias, and PReLU.
#[derive(Clone, Debug)]
struct Layer {
    conv: Conv2d,
    prelu: Prelu,
}

impl Layer {
    /// `conv{stage}_{index}` and `relu{stage}_{index}`, as the common PyTorch port calls them.
    fn new(path: &Path, [stage, index]: [usize; 2], input: usize, stride: usize) -> Self {
        let width = WIDTHS[stage - 1];
        // As in the released training files: small normal weights inside of residual units.
        let init = if stride == 1 { Init::Normal { std: 0.01 } } else { Init::XavierUniform };
        let conv = Conv2dConfig::new(input, width, 3).stride(stride).padding(1).bias().init(init);
        Self {
            conv: conv.build(&path.at(format_args!("conv{stage}_{index}"))),
            prelu: Prelu::new(&path.at(format_args!("relu{stage}_{index}")), width),
        }
    }

    fn block(&self) -> ConvBlock<'_> {
        ConvBlock::new(&self.conv).activation(BlockActivation::Prelu(&self.prelu))
    }
}

/// A stage: halving, then residual units of two layers each.
#[derive(Clone, Debug)]
struct Stage {
    reduce: Layer,
    units: Vec<[Layer; 2]>,
}

impl Stage {
    fn new(path: &Path, stage: usize, input: usize, units: usize) -> Self {
        let reduce = Layer::new(path, [stage, 1], input, 2);
        let layer = |index| Layer::new(path, [stage, index], WIDTHS[stage - 1], 1);
        let units = (0..units).map(|k| [layer(2 * k + 2), layer(2 * k + 3)]).collect();
        Self { reduce, units }
    }

    fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let x = self.reduce.block().forward(x, pass);
        self.units.iter().fold(x, |x, [first, second]| {
            let y = first.block().forward(x.clone(), pass);
            second.block().shortcut(x, Joint::AfterActivation).forward(y, pass)
        })
    }
}

/// The network. It has no normalisation layers, so training and inference are the same to it.
#[derive(Clone, Debug)]
pub struct SphereFace {
    stages: Vec<Stage>,
    embed: Linear,
}

impl SphereFace {
    /// SphereFace-20 at `path`, for pictures of `[height, width]` pixels (112 x 96 as published) and embeddings of
    /// `embedding` values (512).
    pub fn sphere20(path: &Path, [height, width]: [usize; 2], embedding: usize) -> Self {
        let inputs = [3, WIDTHS[0], WIDTHS[1], WIDTHS[2]];
        let stages = inputs.into_iter().zip([1, 2, 4, 1]).enumerate();
        let stages = stages.map(|(k, (input, units))| Stage::new(path, k + 1, input, units)).collect();
        let features = WIDTHS[3] * height.div_ceil(16) * width.div_ceil(16);
        let embed = Linear::new(&path.at("fc5"), features, embedding, true, Init::XavierUniform);
        Self { stages, embed }
    }

    /// Pictures `[B, 3, H, W]` in [-1, 1] to embeddings `[B, D]`; the features are the last map, channel by channel.
    pub fn forward(&self, x: Tensor<4>, pass: &Pass) -> Embedded {
        let map = self.stages.iter().fold(x, |x, stage| stage.forward(x, pass));
        let features = map.clone().flatten::<2>(1, 3);
        Embedded { embedding: LinearBlock::new(&self.embed).forward(map, pass), features }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::device;
    use crate::store::Store;

    #[test]
    fn odd_sizes_fit_the_embedding() {
        let store = Store::new(&device("cpu").unwrap(), 0);
        let network = SphereFace::sphere20(&store.root(), [35, 17], 8);
        let x = Tensor::<4>::zeros([2, 3, 35, 17], store.device());
        let Embedded { embedding, features } = network.forward(x, &Pass::eval());
        assert_eq!(embedding.dims(), [2, 8]);
        assert_eq!(features.dims(), [2, 512 * 3 * 2]);
        assert_eq!(store.names()[..3], ["conv1_1.weight", "conv1_1.bias", "relu1_1.weight"]);
    }
}
