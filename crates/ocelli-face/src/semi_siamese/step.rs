//! The four passes of a step.

use burn::tensor::Tensor;
use ocelli_nn::Pass;

use super::head::PairFeatures;

/// A network that turns inputs into embeddings `[B, D]`.
pub type Encoder<'a, Input> = &'a dyn Fn(Input, &Pass) -> Tensor<2>;

/// Features of the pairs (a, b) by both networks. Both normalise by the statistics of the batch; only the probe network
/// has dropout, as `pass` says.
///
/// The order a → probe, b → gallery, b → probe, a → gallery is that of the releases: it shows in the running statistics.
pub fn pair_features<Input: Clone>(
    (a, b): (Input, Input),
    probe: Encoder<'_, Input>,
    gallery: Encoder<'_, Input>,
    pass: &Pass,
) -> PairFeatures {
    let still = Pass::without_dropout();
    let p1 = probe(a.clone(), pass);
    let g2 = gallery(b.clone(), &still);
    let p2 = probe(b, pass);
    let g1 = gallery(a, &still);
    PairFeatures { p1, g2, p2, g1 }
}
