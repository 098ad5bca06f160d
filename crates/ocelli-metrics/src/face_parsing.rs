//! Face parsing: F1 of each part of the face and of groups of parts, from pixel counts pooled over the set.
//!
//! For a part, A its labelled and B its predicted pixels, F1 = 2 |A ∩ B| / (|A| + |B|). A *group*, such as both eyes, is
//! one part made of its members' pixels; the published groups are [`GROUPS`]. Names come from the data set's list; an
//! entry that is asked for is a part if the list has that name, and a group otherwise.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | FACE-1 | pixels are pooled over the set; F1 is no mean over pictures | strict | `pixels_are_pooled` |
//! | FACE-2 | confusing the members of a group with one another is right for the group | strict | `confusion_inside_a_group_is_right` |
//! | FACE-3 | denominators are at least 1: a part in neither map has F1, accuracy and IoU 0 and is counted in the means | strict | `a_part_in_neither_map_is_zero` |
//! | FACE-4 | the accuracies and the IoU are percentages, F1 is a fraction | strict | `a_part_in_neither_map_is_zero` |
//! | FACE-5 | the entry `mean` that the training script looks for is never computed | corrected: [`FaceParsingReport::mean_f1`], over all parts but the first, which is background | `the_mean_leaves_the_background_out` |

use crate::segmentation::Confusion;
use crate::{MetricError, Result, check};
use serde::Serialize;

/// Groups by name with the names that their members have in Helen and LaPa, then those they have in CelebAMask-HQ.
pub const GROUPS: &[(&str, &[&str])] = &[
    ("eyes", &["le", "re", "l_eye", "r_eye"]),
    ("brows", &["lb", "rb", "l_brow", "r_brow"]),
    ("mouth", &["ulip", "imouth", "llip", "u_lip", "l_lip", "mouth"]),
    (
        "overall",
        &[
            "le", "re", "l_eye", "r_eye", "lb", "rb", "l_brow", "r_brow", "nose", "ulip", "imouth", "llip",
            "u_lip", "l_lip", "mouth",
        ],
    ),
];

/// F1 of parts and groups, and the accuracies beside it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaceParsingReport {
    /// Name and F1 of each entry asked for, as a fraction.
    pub f1: Vec<(String, f64)>,
    /// Mean F1 of all parts but the first (the background), as a fraction.
    pub mean_f1: f64,
    /// Share of all pixels predicted rightly, in percent.
    pub pixel_accuracy: f64,
    /// Mean over parts of the share of their pixels that was found, in percent.
    pub mean_accuracy: f64,
    /// Mean IoU over parts, in percent.
    pub mean_iou: f64,
}

/// The members of part or group `entry`, as indices into `names`; a part's own name comes before a group's.
///
/// Fails when it is neither, or when no member of the group is in the list.
pub fn members(names: &[String], entry: &str) -> Result<Vec<usize>> {
    let of = |wanted: &[&str]| -> Vec<usize> {
        (0..names.len()).filter(|&i| wanted.contains(&names[i].as_str())).collect()
    };
    let part = of(&[entry]);
    let group = GROUPS.iter().find(|(name, _)| *name == entry).map(|(_, members)| of(members));
    let found = if part.is_empty() { group.unwrap_or_default() } else { part };
    if found.is_empty() {
        let groups = GROUPS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let known = format!("{}, {groups}", names.join(", "));
        return Err(MetricError::UnknownName { kind: "part of the face", name: entry.to_owned(), known });
    }
    Ok(found)
}

/// F1 of each of `entries` and the accuracies. `names` are those of the matrix's classes, in order.
pub fn report(confusion: &Confusion, names: &[String], entries: &[String]) -> Result<FaceParsingReport> {
    check::same_length("names", names.len(), "the classes", confusion.classes())?;
    let parts: Vec<Vec<usize>> = entries.iter().map(|e| members(names, e)).collect::<Result<_>>()?;
    let (hits, labels) = (confusion.hits(), confusion.label_totals());
    let predictions = confusion.prediction_totals();
    let f1_of = |part: &[usize]| {
        let both: u64 = part
            .iter()
            .flat_map(|&a| part.iter().map(move |&b| (a, b)))
            .map(|(a, b)| confusion.count(a, b))
            .sum();
        let either: u64 = part.iter().map(|&k| labels[k] + predictions[k]).sum();
        2.0 * share(both, either)
    };
    let classes = names.len();
    let percent = |sum: f64| 100.0 * sum / classes as f64;
    let foreground: Vec<f64> = (1..classes).map(|k| f1_of(&[k])).collect();
    Ok(FaceParsingReport {
        f1: entries.iter().zip(&parts).map(|(name, part)| (name.clone(), f1_of(part))).collect(),
        mean_f1: foreground.iter().sum::<f64>() / foreground.len() as f64,
        pixel_accuracy: 100.0 * share(hits.iter().sum(), labels.iter().sum()),
        mean_accuracy: percent((0..classes).map(|k| share(hits[k], labels[k])).sum()),
        mean_iou: percent((0..classes).map(|k| share(hits[k], labels[k] + predictions[k] - hits[k])).sum()),
    })
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|n| (*n).to_owned()).collect()
    }

    fn counted(classes: usize, labels: &[i64], predictions: &[i64]) -> Confusion {
        let mut confusion = Confusion::new(classes).unwrap();
        confusion.add(labels, predictions, None).unwrap();
        confusion
    }

    fn f1(confusion: &Confusion, list: &[&str], entry: &str) -> f64 {
        report(confusion, &names(list), &names(&[entry])).unwrap().f1[0].1
    }

    #[test]
    fn pixels_are_pooled() {
        // First picture: 1 of 1 found. Second: 0 of 3. Pooled F1 is 2 * 1 / (4 + 1), the mean over pictures would be 0.5.
        let mut pooled = counted(2, &[1, 0], &[1, 0]);
        pooled.merge(&counted(2, &[1, 1, 1], &[0, 0, 0])).unwrap();
        assert_eq!(f1(&pooled, &["bg", "nose"], "nose"), 0.4);
    }

    #[test]
    fn confusion_inside_a_group_is_right() {
        let swapped = counted(3, &[0, 1, 2, 2], &[0, 2, 1, 2]);
        let list = ["bg", "le", "re"];
        assert_eq!(f1(&swapped, &list, "le"), 0.0);
        assert_eq!(f1(&swapped, &list, "eyes"), 1.0);
        assert_eq!(f1(&swapped, &list, "overall"), 1.0);
    }

    #[test]
    fn a_part_in_neither_map_is_zero() {
        let confusion = counted(2, &[0, 0], &[0, 0]);
        let found = report(&confusion, &names(&["bg", "nose"]), &names(&["bg", "nose"])).unwrap();
        assert_eq!(found.f1, [("bg".to_owned(), 1.0), ("nose".to_owned(), 0.0)]);
        assert_eq!((found.pixel_accuracy, found.mean_accuracy, found.mean_iou), (100.0, 50.0, 50.0));
    }

    #[test]
    fn the_mean_leaves_the_background_out() {
        let confusion = counted(3, &[0, 1, 2, 2], &[0, 1, 2, 0]);
        let found = report(&confusion, &names(&["bg", "skin", "hair"]), &[]).unwrap();
        assert_eq!(found.mean_f1, (1.0 + 2.0 / 3.0) / 2.0);
    }

    #[test]
    fn a_part_comes_before_a_group_of_its_name() {
        let list = names(&["bg", "mouth", "u_lip", "l_lip"]);
        assert_eq!(members(&list, "mouth").unwrap(), [1]);
        assert_eq!(members(&list, "overall").unwrap(), [1, 2, 3]);
        let error = members(&list, "eyes").unwrap_err().to_string();
        assert!(error.contains("unknown part of the face `eyes`"), "{error}");
        assert!(report(&counted(2, &[0], &[0]), &list, &[]).is_err());
    }
}
