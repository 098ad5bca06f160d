//! The networks that turn an aligned face into an embedding, by the names that recipes use.

use std::path::PathBuf;

use burn::tensor::Tensor;
use ocelli_nn::backbones::{
    Ir, IrConfig, IrDepth, IrDialect, MobileFaceNet, MobileFaceNetTail, ResNetDepth, ResNetFace, SphereFace,
};
use ocelli_nn::{Pass, Path};
use serde::{Deserialize, Serialize};

/// A recipe's section `backbone`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackboneConfig {
    /// Which network; see [`BackboneName`].
    pub name: BackboneName,
    /// Side of the square input pictures in pixels. MobileFaceNet takes 112 only, but for FaceX-Zoo's.
    pub input_size: usize,
    /// Length of the embedding; the published networks give 512, FaceX-Zoo's MobileFaceNet what is asked for.
    pub embedding: usize,
    /// For `ir-tiny`: channels of the four stages.
    pub widths: [usize; 4],
    /// For `ir-tiny`: residual units of the four stages.
    pub units: [usize; 4],
    /// Weights to start from, instead of random ones: a safetensors file that `train` or `import` wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
}

impl Default for BackboneConfig {
    fn default() -> Self {
        Self {
            name: BackboneName::IrTiny,
            input_size: 64,
            embedding: 128,
            widths: [16, 32, 64, 128],
            units: [1, 1, 1, 1],
            weights: None,
        }
    }
}

/// The networks by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackboneName {
    /// A narrow IR network whose widths, units and input size are free: two CPU cores train it in minutes.
    IrTiny,
    /// IR with 3, 4, 14, 3 units.
    #[serde(rename = "ir-50")]
    Ir50,
    /// IR with 3, 13, 30, 3 units.
    #[serde(rename = "ir-101")]
    Ir101,
    /// IR with 3, 8, 36, 3 units.
    #[serde(rename = "ir-152")]
    Ir152,
    /// IR-50 with squeeze-and-excitation.
    #[serde(rename = "ir-se-50")]
    IrSe50,
    /// IR-101 with squeeze-and-excitation.
    #[serde(rename = "ir-se-101")]
    IrSe101,
    /// IR-152 with squeeze-and-excitation.
    #[serde(rename = "ir-se-152")]
    IrSe152,
    /// TFace's IR-18.
    #[serde(rename = "tface-ir-18")]
    TfaceIr18,
    /// TFace's IR-34.
    #[serde(rename = "tface-ir-34")]
    TfaceIr34,
    /// TFace's IR-50.
    #[serde(rename = "tface-ir-50")]
    TfaceIr50,
    /// TFace's IR-101.
    #[serde(rename = "tface-ir-101")]
    TfaceIr101,
    /// TFace's IR-152, of bottleneck units.
    #[serde(rename = "tface-ir-152")]
    TfaceIr152,
    /// TFace's IR-200, of bottleneck units.
    #[serde(rename = "tface-ir-200")]
    TfaceIr200,
    /// TFace's IR-50 with squeeze-and-excitation.
    #[serde(rename = "tface-ir-se-50")]
    TfaceIrSe50,
    /// MobileFaceNet with global depthwise convolution.
    #[serde(rename = "mobilefacenet-gdc")]
    MobileFaceNetGdc,
    /// MobileFaceNet with global norm-aware pooling.
    #[serde(rename = "mobilefacenet-gnap")]
    MobileFaceNetGnap,
    /// MobileFaceNet of FaceX-Zoo: input size, in sixteens of pixels, and embedding are free.
    #[serde(rename = "mobilefacenet-facex")]
    MobileFaceNetFaceX,
    /// ResNet-50 with the face head.
    #[serde(rename = "resnet-50")]
    ResNet50,
    /// ResNet-101 with the face head.
    #[serde(rename = "resnet-101")]
    ResNet101,
    /// ResNet-152 with the face head.
    #[serde(rename = "resnet-152")]
    ResNet152,
    /// SphereFace-20, free of normalisation layers: input size and embedding are free.
    #[serde(rename = "sphereface-20")]
    SphereFace20,
}

impl BackboneName {
    /// All networks.
    pub const ALL: [Self; 21] = [
        Self::IrTiny,
        Self::Ir50,
        Self::Ir101,
        Self::Ir152,
        Self::IrSe50,
        Self::IrSe101,
        Self::IrSe152,
        Self::TfaceIr18,
        Self::TfaceIr34,
        Self::TfaceIr50,
        Self::TfaceIr101,
        Self::TfaceIr152,
        Self::TfaceIr200,
        Self::TfaceIrSe50,
        Self::MobileFaceNetGdc,
        Self::MobileFaceNetGnap,
        Self::MobileFaceNetFaceX,
        Self::ResNet50,
        Self::ResNet101,
        Self::ResNet152,
        Self::SphereFace20,
    ];

    /// The network's configuration for 112-pixel pictures, if it is a published one of the IR family.
    pub(super) fn ir(self) -> Option<IrConfig> {
        use IrDepth::{D18, D34, D50, D100, D152, D200};
        use IrDialect::{CurricularFace, TFace};
        let (dialect, depth, squeeze) = match self {
            Self::Ir50 => (CurricularFace, D50, false),
            Self::Ir101 => (CurricularFace, D100, false),
            Self::Ir152 => (CurricularFace, D152, false),
            Self::IrSe50 => (CurricularFace, D50, true),
            Self::IrSe101 => (CurricularFace, D100, true),
            Self::IrSe152 => (CurricularFace, D152, true),
            Self::TfaceIr18 => (TFace, D18, false),
            Self::TfaceIr34 => (TFace, D34, false),
            Self::TfaceIr50 => (TFace, D50, false),
            Self::TfaceIr101 => (TFace, D100, false),
            Self::TfaceIr152 => (TFace, D152, false),
            Self::TfaceIr200 => (TFace, D200, false),
            Self::TfaceIrSe50 => (TFace, D50, true),
            _ => return None,
        };
        Some(IrConfig::published(dialect, depth, squeeze))
    }
}

impl std::fmt::Display for BackboneName {
    /// The name as recipes have it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// A recognition network.
#[derive(Clone, Debug)]
pub enum Backbone {
    /// Of the IR family.
    Ir(Box<Ir>),
    /// MobileFaceNet.
    Mobile(Box<MobileFaceNet>),
    /// ResNet with the face head.
    ResNet(Box<ResNetFace>),
    /// SphereFace.
    Sphere(Box<SphereFace>),
}

/// Length of the embedding of all published networks.
const PUBLISHED_EMBEDDING: usize = 512;

/// Pixels of the picture for one of MobileFaceNet's last map.
const MOBILE_STRIDE: usize = 16;

impl BackboneConfig {
    /// A published network on 112-pixel pictures.
    pub fn published(name: BackboneName) -> Self {
        Self { name, input_size: 112, embedding: PUBLISHED_EMBEDDING, ..Self::default() }
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no network could be built with.
    pub fn validate(&self) -> Result<(), String> {
        use BackboneName::{IrTiny, MobileFaceNetFaceX, MobileFaceNetGdc, MobileFaceNetGnap, SphereFace20};
        if !(16..=512).contains(&self.input_size) {
            return Err(format!("backbone.input_size: {} is outside 16 to 512", self.input_size));
        }
        if matches!(self.name, MobileFaceNetGdc | MobileFaceNetGnap) && self.input_size != 112 {
            return Err(format!("backbone.input_size: MobileFaceNet takes 112, not {}", self.input_size));
        }
        if self.name == MobileFaceNetFaceX && !self.input_size.is_multiple_of(MOBILE_STRIDE) {
            let size = self.input_size;
            return Err(format!(
                "backbone.input_size: {} takes multiples of {MOBILE_STRIDE}, not {size}",
                self.name
            ));
        }
        let free = [IrTiny, MobileFaceNetFaceX, SphereFace20].contains(&self.name);
        if !free && self.embedding != PUBLISHED_EMBEDDING {
            return Err(format!(
                "backbone.embedding: published networks give {PUBLISHED_EMBEDDING}, not {}",
                self.embedding
            ));
        }
        if self.embedding == 0 || self.widths.contains(&0) || self.units.contains(&0) {
            return Err("backbone: embedding, widths and units must be at least 1".to_owned());
        }
        Ok(())
    }

    /// Channels and units of the four stages of a network of the IR family.
    pub fn stages(&self) -> ([usize; 4], [usize; 4]) {
        self.name.ir().map_or((self.widths, self.units), |published| (published.widths, published.units))
    }

    /// Builds the network at `path`.
    pub fn build(&self, path: &Path) -> Backbone {
        use BackboneName as N;
        let input_size = self.input_size;
        match self.name {
            N::MobileFaceNetGdc => mobile(path, MobileFaceNetTail::Gdc),
            N::MobileFaceNetGnap => mobile(path, MobileFaceNetTail::Gnap),
            N::MobileFaceNetFaceX => {
                let map = [input_size / MOBILE_STRIDE; 2];
                mobile(path, MobileFaceNetTail::FaceX { embedding: self.embedding, map })
            }
            N::ResNet50 => Backbone::ResNet(Box::new(ResNetFace::new(path, ResNetDepth::D50, input_size))),
            N::ResNet101 => Backbone::ResNet(Box::new(ResNetFace::new(path, ResNetDepth::D101, input_size))),
            N::ResNet152 => Backbone::ResNet(Box::new(ResNetFace::new(path, ResNetDepth::D152, input_size))),
            N::SphereFace20 => {
                Backbone::Sphere(Box::new(SphereFace::sphere20(path, [input_size; 2], self.embedding)))
            }
            name => {
                let config = match name.ir() {
                    Some(published) => IrConfig { input_size, ..published },
                    None => IrConfig {
                        widths: self.widths,
                        units: self.units,
                        ..IrConfig::tiny(input_size, self.embedding)
                    },
                };
                Backbone::Ir(Box::new(config.build(path)))
            }
        }
    }
}

fn mobile(path: &Path, tail: MobileFaceNetTail) -> Backbone {
    Backbone::Mobile(Box::new(MobileFaceNet::new(path, tail)))
}

impl Backbone {
    /// Pictures `[B, 3, S, S]` in [-1, 1] to embeddings `[B, D]`, not normalised.
    pub fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<2> {
        match self {
            Self::Ir(network) => network.forward(x, pass).embedding,
            Self::Mobile(network) => network.forward(x, pass).embedding,
            Self::ResNet(network) => network.forward(x, pass).embedding,
            Self::Sphere(network) => network.forward(x, pass).embedding,
        }
    }
}
