//! FADA (Wang et al., ECCV 2020, arXiv 2007.09222): domain adaptation of segmentation networks class by class.
//!
//! A discriminator told only "source or target?" aligns the domains as a whole and may align the wrong classes. Here it
//! is asked "source class k or target class k?", with the classifier's own soft predictions as the knowledge of classes.

mod verify;

use ocelli_method::{Basis, Card, Method};

/// The method as the registry knows it.
pub const METHOD: Method = Method {
    card: Card {
        slug: "fada",
        title: "Classes Matter: A Fine-grained Adversarial Approach to Cross-domain Semantic Segmentation",
        task: "semantic segmentation",
        basis: Basis::Official,
        authors: "Wang, Shen, Zhang, Duan, Mei",
        venue: "ECCV 2020",
        arxiv: "2007.09222",
        summary: "Adversarial domain adaptation for segmentation whose discriminator tells 2K classes, K of each domain, so that classes are aligned and not only domains.",
        notes: &[
            "Only its evaluator is here so far.",
            "A class that occurs in neither map has IoU 0 and counts in the mean, as in the released evaluator.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: None,
};
