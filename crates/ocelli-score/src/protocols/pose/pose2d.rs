//! `pose2d`: where the joints are in the picture.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::mpii::{self, JointedPerson};
use ocelli_metrics::pose2d::{
    EXCLUDED, JointErrors, MPII_FINE_THRESHOLD, MPII_GROUPS, MPII_JOINTS, Pose2dVariant, SC_BIAS, area,
    curve, pck,
};

use crate::protocols::arrays::Table;
use crate::protocols::labels::same_count;
use crate::{
    Choice, Curve, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError,
    Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "pose2d",
    summary: "2D pose of single people: PCKh (MPII) or PCK (LSP), by joint and group, and the area under its curve",
    pred: "JSON list of {image, joints} in the order of the truth, or joints .npy [N, J, 2]",
    truth: "JSON list of {image, joints, joints_vis, head_box or torso_box [x1, y1, x2, y2]}",
    variants: &[
        Choice { name: "mpii", summary: "PCKh: 0.6 of the head box's diagonal, labelled joints only" },
        Choice { name: "lsp", summary: "PCK: the torso box's diagonal, all joints" },
    ],
    settings: &[
        Setting {
            name: "threshold",
            default: "",
            summary: "a share of the size; 0.5 for mpii and 0.2 for lsp when empty",
        },
        Setting {
            name: "sc-bias",
            default: "0.6",
            summary: "the share of the head box's diagonal that is the size",
        },
        Setting { name: "excluded", default: "6,7", summary: "joints left out of the mean, from 0" },
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("pck", 100.0)] },
};

#[derive(Debug)]
struct People {
    variant: Pose2dVariant,
    threshold: f64,
    excluded: Vec<usize>,
    names: Vec<String>,
    errors: Vec<JointErrors>,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let variant: Pose2dVariant = inputs.variant().parse()?;
    let truth_path = inputs.one_truth()?;
    let truth = mpii::read(truth_path)?;
    let predicted = predictions(inputs.one_pred()?, &truth)?;
    let sc_bias: f64 = inputs.setting("sc-bias")?;
    let error = |(i, (person, joints)): (usize, (&JointedPerson, Vec<[f64; 2]>))| {
        let (corners, key) = match variant {
            Pose2dVariant::Mpii => (person.head_box, "head_box"),
            Pose2dVariant::Lsp => (person.torso_box, "torso_box"),
        };
        let fail = |reason: String| ScoreError::content(truth_path, format!("person {i}: {reason}"));
        let [x1, y1, x2, y2] =
            corners.ok_or_else(|| fail(format!("no `{key}`, which tells the size of the person")))?;
        let size = variant.size([[x1, y1], [x2, y2]], sc_bias).map_err(|e| fail(e.to_string()))?;
        let counts = match variant.counts_unlabelled() {
            true => vec![true; person.joints.len()],
            false => person.visible(),
        };
        JointErrors::new(&joints, &person.joints, &counts, size).map_err(|e| fail(e.to_string()))
    };
    let errors = truth.iter().zip(predicted).enumerate().map(error).collect::<Result<_>>()?;
    let threshold = match (inputs.setting::<String>("threshold")?.as_str(), variant) {
        ("", Pose2dVariant::Mpii) => 0.5,
        ("", Pose2dVariant::Lsp) => 0.2,
        _ => inputs.setting("threshold")?,
    };
    let names = truth.iter().enumerate().map(|(i, p)| format!("person {i} {}", p.image).trim().to_owned());
    let names = names.collect();
    Ok(Box::new(People { variant, threshold, excluded: inputs.list("excluded")?, names, errors }))
}

fn predictions(path: &Path, truth: &[JointedPerson]) -> Result<Vec<Vec<[f64; 2]>>> {
    let joints = truth.first().map_or(0, |p| p.joints.len());
    if path.extension().is_some_and(|e| e == "npy") {
        let table = Table::read(path)?;
        let [count, found, two] = table.dims("joints [N, J, 2]")?;
        same_count(path, count, truth.len(), "people")?;
        if (found, two) != (joints, 2) {
            return Err(ScoreError::content(
                path,
                format!("joints [N, {joints}, 2] expected, found {:?}", table.shape),
            ));
        }
        let of_person = |values: &[f64]| values.chunks_exact(2).map(|p| [p[0], p[1]]).collect();
        return Ok(table.values.chunks_exact(2 * joints).map(of_person).collect());
    }
    let people = mpii::read(path)?;
    same_count(path, people.len(), truth.len(), "people")?;
    for (i, (found, wanted)) in people.iter().zip(truth).enumerate() {
        if !found.image.is_empty() && found.image != wanted.image {
            let reason = format!("person {i} is in `{}`, in the truth in `{}`", found.image, wanted.image);
            return Err(ScoreError::content(path, reason));
        }
        if found.joints.len() != joints {
            let reason = format!("person {i} has {} joints, in the truth {joints}", found.joints.len());
            return Err(ScoreError::content(path, reason));
        }
    }
    Ok(people.into_iter().map(|p| p.joints).collect())
}

impl People {
    fn of<'a>(&'a self, sample: &'a [usize]) -> impl Iterator<Item = &'a JointErrors> {
        sample.iter().map(|&i| &self.errors[i])
    }

    fn has_mpii_joints(&self) -> bool {
        self.errors.first().is_some_and(|e| e.0.len() == MPII_JOINTS.len())
    }
}

impl Evaluation for People {
    fn unit(&self) -> &'static str {
        "person"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let report = pck(self.of(sample), self.threshold, &self.excluded)?;
        let mut metrics = Metrics::new().with("pck", report.mean);
        if self.variant == Pose2dVariant::Mpii {
            metrics.set("pck@0.1", pck(self.of(sample), MPII_FINE_THRESHOLD, &self.excluded)?.mean);
        }
        if self.has_mpii_joints() {
            for (name, joints) in MPII_GROUPS {
                metrics.set(*name, report.group(joints));
            }
        }
        let people: Vec<&JointErrors> = self.of(sample).collect();
        Ok(metrics.with("auc", area(&curve(&people, &self.excluded)?)))
    }

    fn notes(&self) -> Vec<String> {
        let fixed = self.excluded == EXCLUDED && !self.has_mpii_joints();
        let note = "joints 6 and 7 are left out of the mean, which is meant for MPII's 16 joints; see --set excluded=";
        fixed.then(|| note.to_owned()).into_iter().collect()
    }

    fn detail(&self) -> Result<Detail> {
        let report = pck(&self.errors, self.threshold, &self.excluded)?;
        let name = |j: usize| match self.has_mpii_joints() {
            true => MPII_JOINTS[j].to_owned(),
            false => format!("joint {j}"),
        };
        let rows = report.per_joint.iter().zip(&report.counts).enumerate();
        let rows = rows.map(|(j, (pck, count))| (name(j), vec![*pck, *count as f64])).collect();
        let people: Vec<&JointErrors> = self.errors.iter().collect();
        let lines = vec![("all joints of the mean".to_owned(), curve(&people, &self.excluded)?)];
        let miss = |errors: &JointErrors| errors.0.iter().flatten().filter(|e| **e > self.threshold).count();
        let mut worst: Vec<(usize, usize)> =
            self.errors.iter().map(miss).zip(0..).filter(|w| w.0 > 0).collect();
        worst.sort_by_key(|&(missed, i)| (std::cmp::Reverse(missed), i));
        let worst = worst.into_iter().take(20);
        let worst =
            worst.map(|(n, i)| Worst { unit: self.names[i].clone(), what: format!("{n} joints missed") });
        let columns = ["PCK", "counted"].map(str::to_owned).to_vec();
        Ok(Detail {
            groups: vec![Group { title: "Joints".to_owned(), columns, rows }],
            curves: vec![Curve {
                title: "Correct keypoints over the threshold".to_owned(),
                x: "threshold".to_owned(),
                y: "%".to_owned(),
                lines,
            }],
            worst: worst.collect(),
        })
    }
}

fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let file = folder.join("pred.json");
    mpii::write(&file, &mpii::read(inputs.one_truth()?)?)?;
    Ok(vec![file])
}

/// The published share of the head box; the setting's default says the same in words.
const _: () = assert!(SC_BIAS == 0.6);
