//! The vision transformer (Dosovitskiy et al. 2021) as CLIP's image tower (Radford et al. 2021) has it, under the names
//! of OpenAI's code.

use burn::tensor::Tensor;

use crate::init::Init;
use crate::layers::{
    BlockActivation, Conv2d, Conv2dConfig, ConvBlock, LayerNorm, Linear, MultiHeadAttention, RowBlock,
};
use crate::pass::Pass;
use crate::store::{Param, Path, Role};

/// Channels of an attention head in all published towers.
const HEAD: usize = 64;

/// How a tower is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VitConfig {
    /// Side of the square pictures in pixels.
    pub input_size: usize,
    /// Side of a patch in pixels; it divides the picture's.
    pub patch: usize,
    /// Length of a token, a multiple of 64.
    pub width: usize,
    /// Residual blocks.
    pub layers: usize,
    /// Length of the embedding.
    pub embedding: usize,
}

impl VitConfig {
    /// CLIP ViT-B/32.
    pub const B32: Self = Self { input_size: 224, patch: 32, width: 768, layers: 12, embedding: 512 };
    /// CLIP ViT-B/16.
    pub const B16: Self = Self { patch: 16, ..Self::B32 };
    /// CLIP ViT-L/14.
    pub const L14: Self = Self { input_size: 224, patch: 14, width: 1024, layers: 24, embedding: 768 };
    /// CLIP ViT-L/14 for pictures of 336 pixels.
    pub const L14_336: Self = Self { input_size: 336, ..Self::L14 };

    /// Tokens of a picture: one a patch, and that of the class.
    pub fn tokens(&self) -> usize {
        (self.input_size / self.patch).pow(2) + 1
    }

    /// Builds the tower at `path`, in CLIP's state dict called `visual`.
    ///
    /// # Panics
    /// When the width is no multiple of 64.
    pub fn build(&self, path: &Path) -> Vit {
        let width = self.width;
        let token = Init::Normal { std: (width as f64).sqrt().recip() };
        let class_embedding = path.param("class_embedding", &[width], token, Role::Other);
        let positions = path.param("positional_embedding", &[self.tokens(), width], token, Role::Other);
        let projection = path.param("proj", &[width, self.embedding], token, Role::Kernel);
        let patches = Conv2dConfig::new(3, width, self.patch).stride(self.patch).init(Init::FanInUniform);
        let blocks = path.at("transformer").at("resblocks");
        Vit {
            class_embedding,
            positions,
            projection,
            patches: patches.build(&path.at("conv1")),
            norm_before: LayerNorm::new(&path.at("ln_pre"), width),
            blocks: (0..self.layers).map(|block| Block::new(&blocks.at(block), width)).collect(),
            norm_after: LayerNorm::new(&path.at("ln_post"), width),
        }
    }
}

/// Attention and two linear layers, each on normalised tokens and added to what came in.
#[derive(Clone, Debug)]
struct Block {
    attention: MultiHeadAttention,
    norm_attention: LayerNorm,
    expand: Linear,
    contract: Linear,
    norm_linear: LayerNorm,
}

impl Block {
    fn new(path: &Path, width: usize) -> Self {
        let (mlp, init) = (path.at("mlp"), Init::FanInUniform);
        Self {
            attention: MultiHeadAttention::new(&path.at("attn"), width, width / HEAD),
            norm_attention: LayerNorm::new(&path.at("ln_1"), width),
            expand: Linear::new(&mlp.at("c_fc"), width, 4 * width, true, init),
            contract: Linear::new(&mlp.at("c_proj"), 4 * width, width, true, init),
            norm_linear: LayerNorm::new(&path.at("ln_2"), width),
        }
    }

    fn forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let x = self.attention.residual(self.norm_attention.forward(x.clone()), x, pass);
        let expand = RowBlock::new(&self.expand).activation(BlockActivation::QuickGelu);
        let expanded = expand.forward(self.norm_linear.forward(x.clone()), pass);
        RowBlock::new(&self.contract).shortcut(x).forward(expanded, pass)
    }
}

/// A tower.
#[derive(Clone, Debug)]
pub struct Vit {
    class_embedding: Param,
    positions: Param,
    projection: Param,
    patches: Conv2d,
    norm_before: LayerNorm,
    blocks: Vec<Block>,
    norm_after: LayerNorm,
}

impl Vit {
    /// Pictures `[B, 3, S, S]`, each channel normalised by CLIP's mean and deviation, to the tokens of the last block,
    /// that of the class first: `[B, 1 + (S / patch)², width]`, not normalised.
    ///
    /// # Panics
    /// When the pictures are not of the configuration's size.
    pub fn tokens(&self, x: Tensor<4>, pass: &Pass) -> Tensor<3> {
        let patches = ConvBlock::new(&self.patches).forward(x, pass).flatten::<3>(2, 3).swap_dims(1, 2);
        let [batch, _, width] = patches.dims();
        let class = self.class_embedding.value::<1>().reshape([1, 1, width]).expand([batch, 1, width]);
        let x = Tensor::cat(vec![class, patches], 1) + self.positions.value::<2>().unsqueeze::<3>();
        self.blocks.iter().fold(self.norm_before.forward(x), |x, block| block.forward(x, pass))
    }

    /// Pictures as for [`Vit::tokens`] to embeddings `[B, D]`, not normalised.
    ///
    /// # Panics
    /// As [`Vit::tokens`].
    pub fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<2> {
        let tokens = self.tokens(x, pass);
        let [batch, _, width] = tokens.dims();
        let class = tokens.narrow(1, 0, 1).reshape([batch, width]);
        self.norm_after.forward(class).matmul(self.projection.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::device;
    use crate::store::Store;

    #[test]
    fn names_are_those_of_clip() {
        let store = Store::new(&device("cpu").unwrap(), 0);
        VitConfig { layers: 2, ..VitConfig::B32 }.build(&store.root().at("visual"));
        let block = [
            "attn.in_proj_weight",
            "attn.in_proj_bias",
            "attn.out_proj.weight",
            "attn.out_proj.bias",
            "ln_1.weight",
            "ln_1.bias",
            "mlp.c_fc.weight",
            "mlp.c_fc.bias",
            "mlp.c_proj.weight",
            "mlp.c_proj.bias",
            "ln_2.weight",
            "ln_2.bias",
        ];
        let mut want =
            vec!["class_embedding".to_owned(), "positional_embedding".to_owned(), "proj".to_owned()];
        want.extend(["conv1.weight", "ln_pre.weight", "ln_pre.bias"].map(str::to_owned));
        for number in 0..2 {
            want.extend(block.map(|name| format!("transformer.resblocks.{number}.{name}")));
        }
        want.extend(["ln_post.weight", "ln_post.bias"].map(str::to_owned));
        let names = store.names();
        assert_eq!(names, want.iter().map(|name| format!("visual.{name}")).collect::<Vec<_>>());
        assert_eq!(store.find("visual.positional_embedding").unwrap().shape(), [50, 768]);
    }
}
