//! Whole networks, under the state-dict names of their official code.

mod ir;
mod mobilefacenet;
mod resnet;
mod sequential_mobilefacenet;
mod sphereface;

pub use ir::{Ir, IrConfig, IrDepth, IrDialect, IrHead, IrTrunk, IrUnit, IrUnitKind};
pub use mobilefacenet::{MobileFaceNet, MobileFaceNetTail};
pub use resnet::{ResNet, ResNetConfig, ResNetDepth, ResNetFace, ResNetFaceDialect, ResNetStem};
pub use sequential_mobilefacenet::SequentialMobileFaceNet;
pub use sphereface::SphereFace;

use burn::tensor::Tensor;

/// What a recognition backbone gives.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// The embedding `[B, D]`, not normalised.
    pub embedding: Tensor<2>,
    /// The last feature map, flattened channel by channel: `[B, C·H·W]`.
    pub features: Tensor<2>,
}
