//! Equalization loss (Tan et al., CVPR 2020, arXiv 2003.05176): a classifier's loss for long-tailed object recognition.
//!
//! A positive of one class is a negative of every other, so rare classes are discouraged far more often than they are
//! encouraged; the loss drops these negatives for rare classes on proposals that show an object. Results are measured by
//! the LVIS evaluator, of box and mask average precision by the frequency of the categories.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "eql",
        title: "Equalization Loss for Long-Tailed Object Recognition",
        task: "long-tailed object detection",
        basis: Basis::Official,
        authors: "Tan, Wang, Li, Li, Ouyang, Yin, Yan",
        venue: "CVPR 2020",
        arxiv: "2003.05176",
        summary: "Sigmoid loss that spares rare classes the discouraging gradients of frequent ones.",
        notes: &[
            "Only its evaluator is here so far.",
            "Masks are compared as run lengths; polygons are rasterised by COCO's boundary walk.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};
