//! `ijb`: do two templates of several pictures show the same person?

use std::path::{Path, PathBuf};

use ocelli_data::annotations::columns::{read_numbers, write_numbers};
use ocelli_data::annotations::ijb::{TemplateMedia, TemplatePairs, read_template_media, read_template_pairs};
use ocelli_metrics::ijb::{TemplateFeatures, TemplateOptions, TemplatePictures};
use ocelli_metrics::roc::FarRule;

use super::roc::RankedPairs;
use crate::protocols::arrays::{self, Table};
use crate::protocols::labels::same_count;
use crate::{Choice, Evaluation, Inputs, Perfect, Protocol, Result, ScoreError, Setting};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "ijb",
    summary: "face verification between templates (IJB-B, IJB-C 1:1): TAR at given FARs",
    pred: "features .npy [N, 2F] (picture, then mirrored), and with detector=true a text of a detector score a picture",
    truth: "ijbX_face_tid_mid.txt and ijbX_template_pair_label.txt",
    variants: &[
        Choice { name: "nearest", summary: "thresholds at the nearest corner of the ROC; InsightFace" },
        Choice { name: "rank-round", summary: "thresholds by rank, as in `roc`" },
        Choice { name: "next-strict", summary: "at most floor(f n) impostors pass, as in `roc`" },
    ],
    settings: &[
        Setting { name: "fars", default: "1e-6,1e-5,1e-4,1e-3,1e-2,1e-1", summary: "shares between 0 and 1" },
        Setting {
            name: "flip",
            default: "true",
            summary: "true to add the mirrored picture's features, or false",
        },
        Setting {
            name: "norm",
            default: "false",
            summary: "true to keep the norm of a picture's features, or false",
        },
        Setting {
            name: "detector",
            default: "false",
            summary: "true to weigh pictures by detector scores, or false",
        },
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("tar@1e-2", 1.0), ("eer", 0.0)] },
};

fn truth(inputs: &Inputs) -> Result<(TemplateMedia, TemplatePairs)> {
    let [media, pairs] = arrays::pair(&inputs.truth, "--truth", "the templates' pictures and the pairs")?;
    Ok((read_template_media(media)?, read_template_pairs(pairs)?))
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let (media, pairs) = truth(inputs)?;
    let options = TemplateOptions {
        flip: inputs.setting("flip")?,
        keep_norms: inputs.setting("norm")?,
        detector_score: inputs.setting("detector")?,
    };
    let (features, detector) = match (&inputs.pred[..], options.detector_score) {
        ([features], false) => (features, None),
        ([features, scores], true) => (features, Some(scores)),
        (files, _) => {
            let reason =
                "`ijb` takes the features, and with detector=true also a text of detector scores; found";
            return Err(ScoreError::Files(format!("{reason} {} --pred files", files.len())));
        }
    };
    let features = Table::read(features)?;
    same_count(&features.path, features.rows(), media.names.len(), "pictures")?;
    let detector_scores = match detector {
        Some(path) => {
            let scores = read_numbers(path)?;
            same_count(path, scores.len(), media.names.len(), "pictures")?;
            scores
        }
        None => vec![1.0; media.names.len()],
    };
    let pictures = TemplatePictures {
        features: features.matrix("features")?,
        detector_scores: &detector_scores,
        templates: &media.templates,
        media: &media.media,
    };
    let templates = TemplateFeatures::pool(pictures, options)?;
    let scores = templates.scores(&pairs.left, &pairs.right)?;
    // Pairs of one template are no independent sample, and there are millions: the unit is the first template.
    let mut first = pairs.left.clone();
    first.sort_unstable();
    first.dedup();
    let unit = |template: &i64| first.partition_point(|t| t < template) as u32;
    let scored = scores.iter().zip(&pairs.same).zip(&pairs.left);
    let scored = scored.map(|((score, same), template)| (*score, *same, unit(template))).collect();
    let names = first.iter().map(|template| format!("template {template}")).collect();
    let rule: FarRule = inputs.variant().parse()?;
    Ok(Box::new(RankedPairs::new(inputs, rule, ("template", names), scored)?))
}

/// Templates that the truth joins get one feature; each other group one at right angles to it.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let (media, pairs) = truth(inputs)?;
    let mut group: std::collections::BTreeMap<i64, i64> = media.templates.iter().map(|t| (*t, *t)).collect();
    for ((a, b), same) in pairs.left.iter().zip(&pairs.right).zip(&pairs.same) {
        if let (true, Some(&from), Some(&to)) = (*same, group.get(a), group.get(b)) {
            group.values_mut().filter(|g| **g == from).for_each(|g| *g = to);
        }
    }
    let mut groups: Vec<i64> = group.values().copied().collect();
    groups.sort_unstable();
    groups.dedup();
    let width = groups.len();
    let mut values = vec![0.0; media.templates.len() * 2 * width];
    for (row, template) in values.chunks_exact_mut(2 * width).zip(&media.templates) {
        let at = groups.partition_point(|g| *g < group[template]);
        (row[at], row[width + at]) = (1.0, 1.0);
    }
    let features = folder.join("features.npy");
    arrays::write(&features, &[media.templates.len(), 2 * width], values)?;
    if !inputs.setting::<bool>("detector")? {
        return Ok(vec![features]);
    }
    let scores = folder.join("detector.txt");
    write_numbers(&scores, &vec![1.0; media.templates.len()])?;
    Ok(vec![features, scores])
}
