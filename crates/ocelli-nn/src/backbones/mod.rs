//! Whole networks, under the state-dict names of their official code.

mod ir;
mod mobilefacenet;
mod mobilenet_v2;
mod resnet;
mod sequential_mobilefacenet;
mod sphereface;
mod vit;

pub use ir::{Ir, IrConfig, IrDepth, IrDialect, IrHead, IrTrunk, IrUnit, IrUnitKind};
pub use mobilefacenet::{MobileFaceNet, MobileFaceNetTail};
pub use mobilenet_v2::{MobileNetV2, MobileNetV2Config};
pub use resnet::{
    ResNet, ResNetClassifier, ResNetConfig, ResNetDepth, ResNetFace, ResNetFaceDialect, ResNetStem,
};
pub use sequential_mobilefacenet::SequentialMobileFaceNet;
pub use sphereface::SphereFace;
pub use vit::{Vit, VitConfig};

use burn::tensor::Tensor;

/// What a recognition backbone gives.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// The embedding `[B, D]`, not normalised.
    pub embedding: Tensor<2>,
    /// The last feature map, flattened channel by channel: `[B, C·H·W]`.
    pub features: Tensor<2>,
}
