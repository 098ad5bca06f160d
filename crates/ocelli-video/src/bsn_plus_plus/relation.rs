//! The proposal relation block: attention between proposals by position and by channel.

use burn::tensor::Tensor;
use ocelli_kernels::attention;
use ocelli_nn::layers::{Conv2d, max_pool2d};
use ocelli_nn::ops::activation::sigmoid;
use ocelli_nn::ops::softmax;
use ocelli_nn::{Pass, Path};
use serde::{Deserialize, Serialize};

use super::units::{MapUnit, map_conv};

/// How the result of channel attention lies in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// As the paper means it, `[C, H, W]`.
    #[default]
    Paper,
    /// Written as `[H W, C]` and read as `[C, H, W]`, as the public re-implementation does; its checkpoints need it.
    Transposed,
}

/// The settings of a relation block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelationConfig {
    /// Channels of the map.
    pub channels: usize,
    /// Channels within attention.
    pub inner: usize,
    /// Whether positions attend to the maxima of 2x2 positions.
    pub sub_sample: bool,
    /// Memory layout in channel attention.
    pub layout: Layout,
}

/// The projections of a non-local block, under its usual names.
#[derive(Clone, Debug)]
struct Projections {
    g: MapUnit,
    theta: MapUnit,
    phi: MapUnit,
    out: MapUnit,
}

impl Projections {
    /// With `sub_sample` the names of `g` and `phi` are one level deeper, where a pooling follows them.
    fn new(path: &Path, [channels, inner]: [usize; 2], sub_sample: bool) -> Self {
        let inwards = |name: &str, pooled: bool| {
            let path = if pooled { path.at(name).at(0) } else { path.at(name) };
            MapUnit::new(&path, [channels, inner], 1)
        };
        Self {
            g: inwards("g", sub_sample),
            theta: inwards("theta", false),
            phi: inwards("phi", sub_sample),
            out: MapUnit::new(&path.at("W"), [inner, channels], 1),
        }
    }
}

/// Attention between positions (PAM).
#[derive(Clone, Debug)]
pub struct PositionAttention {
    projections: Projections,
    sub_sample: bool,
}

impl PositionAttention {
    /// Over maps of `channels` channels, with `inner` ones within, at `path`.
    pub fn new(path: &Path, [channels, inner]: [usize; 2], sub_sample: bool) -> Self {
        Self { projections: Projections::new(path, [channels, inner], sub_sample), sub_sample }
    }

    /// `[B, C, H, W]` to the same shape; with sub-sampling H and W are at least 2, and an odd last row or column is not
    /// attended to.
    pub fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let [b, _, h, w] = x.dims();
        let Projections { g, theta, phi, out } = &self.projections;
        let pooled = |x: Tensor<4>| if self.sub_sample { max_pool2d(x, 2, 2, 0) } else { x };
        let value = rows(pooled(g.forward(x.clone(), pass)));
        let query = rows(theta.forward(x.clone(), pass));
        let key = rows(pooled(phi.forward(x.clone(), pass)));
        let inner = value.dims()[1];
        x + out.linear(attention(query, key, value).reshape([b, inner, h, w]), pass)
    }
}

/// Attention between channels (CAM).
#[derive(Clone, Debug)]
pub struct ChannelAttention {
    projections: Projections,
    layout: Layout,
}

impl ChannelAttention {
    /// Over maps of `channels` channels, with `inner` ones within, at `path`.
    pub fn new(path: &Path, [channels, inner]: [usize; 2], layout: Layout) -> Self {
        Self { projections: Projections::new(path, [channels, inner], false), layout }
    }

    /// `[B, C, H, W]` to the same shape.
    pub fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let [b, _, h, w] = x.dims();
        let Projections { g, theta, phi, out } = &self.projections;
        let value = rows(g.forward(x.clone(), pass));
        let query = rows(theta.forward(x.clone(), pass));
        let key = rows(phi.forward(x.clone(), pass));
        let inner = value.dims()[1];
        let weights = softmax(query.matmul(key.swap_dims(1, 2)), 2);
        let y = weights.matmul(value);
        let y = match self.layout {
            Layout::Paper => y,
            Layout::Transposed => y.swap_dims(1, 2).reshape([b, inner, h * w]),
        };
        x + out.linear(y.reshape([b, inner, h, w]), pass)
    }
}

/// `[B, C, H, W]` to `[B, C, H W]`.
fn rows(x: Tensor<4>) -> Tensor<3> {
    x.flatten(2, 3)
}

/// The three supervised outputs of the block, each `[B, 2, T, T]` in (0, 1): channel 0 regresses the overlap, channel 1
/// classifies it.
#[derive(Clone, Debug)]
pub struct Maps {
    /// From attention by position.
    pub position: Tensor<4>,
    /// From attention by channel.
    pub channel: Tensor<4>,
    /// From their sum.
    pub both: Tensor<4>,
}

impl Maps {
    /// The three in the order of their losses.
    pub fn each(&self) -> [&Tensor<4>; 3] {
        [&self.position, &self.channel, &self.both]
    }

    /// Their mean, which proposals are scored by.
    pub fn mean(self) -> Tensor<4> {
        (self.position + self.channel + self.both).div_scalar(3.0)
    }
}

/// The block: both attentions between convolutions, and a head on each of them and on their sum (PRB).
#[derive(Clone, Debug)]
pub struct RelationBlock {
    p_net: PositionAttention,
    c_net: ChannelAttention,
    conv0_0: MapUnit,
    conv0_1: MapUnit,
    conv1: MapUnit,
    conv2: Conv2d,
    conv4: MapUnit,
    conv5: Conv2d,
    conv3: Conv2d,
}

impl RelationBlock {
    /// At `path`.
    pub fn new(path: &Path, config: RelationConfig) -> Self {
        let RelationConfig { channels, inner, sub_sample, layout } = config;
        let p_net = PositionAttention::new(&path.at("p_net"), [channels, inner], sub_sample);
        let c_net = ChannelAttention::new(&path.at("c_net"), [channels, inner], layout);
        let unit = |name: &str| MapUnit::new(&path.at(name), [channels; 2], 3);
        let head = |name: &str| map_conv(&path.at(name).at(0), [channels, 2], 3);
        Self {
            p_net,
            c_net,
            conv0_0: unit("conv0_0"),
            conv0_1: unit("conv0_1"),
            conv1: unit("conv1"),
            conv2: head("conv2"),
            conv4: unit("conv4"),
            conv5: head("conv5"),
            conv3: head("conv3"),
        }
    }

    /// `[B, C, T, T]`.
    pub fn forward(&self, x: Tensor<4>, pass: &Pass) -> Maps {
        let position = self.branch(Branch::Position, x.clone(), pass);
        self.heads([position, self.branch(Branch::Channel, x, pass)])
    }

    /// One of both ways through the block, to the same shape.
    pub(super) fn branch(&self, branch: Branch, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        match branch {
            Branch::Position => {
                let attended = self.p_net.forward(self.conv0_0.forward(x, pass), pass);
                self.conv1.forward(attended, pass)
            }
            Branch::Channel => {
                let attended = self.c_net.forward(self.conv0_1.forward(x, pass), pass);
                self.conv4.forward(attended, pass)
            }
        }
    }

    /// What both ways say, in the order of [`Branch::ALL`].
    pub(super) fn heads(&self, [position, channel]: [Tensor<4>; 2]) -> Maps {
        let head = |conv: &Conv2d, x: Tensor<4>| sigmoid(conv.forward(x));
        Maps {
            position: head(&self.conv2, position.clone()),
            channel: head(&self.conv5, channel.clone()),
            both: head(&self.conv3, position + channel),
        }
    }
}

/// The ways through the block.
#[derive(Clone, Copy, Debug)]
pub(super) enum Branch {
    /// By attention between positions.
    Position,
    /// By attention between channels.
    Channel,
}

impl Branch {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Position, Self::Channel];
}
