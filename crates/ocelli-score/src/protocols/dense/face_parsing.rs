//! `face-parsing`: the parts of a face.

use ocelli_metrics::face_parsing::{GROUPS, members, report};

use super::label_folders::{FORMS, IGNORE, LabelFolders, STRIP, copy_truth};
use crate::{Choice, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, Setting, Worst};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "face-parsing",
    summary: "face parsing: F1 of parts and groups of parts, pooled over the set; accuracies and IoU in percent",
    pred: FORMS,
    truth: FORMS,
    variants: &[
        Choice {
            name: "helen",
            summary: "11 labels of Helen and LaPa: bg, skin, brows, eyes, nose, lips, mouth, hair",
        },
        Choice { name: "celebamask", summary: "19 labels of CelebAMask-HQ" },
    ],
    settings: &[
        IGNORE,
        STRIP,
        Setting {
            name: "names",
            default: "",
            summary: "names of the labels in order, in place of the variant's",
        },
    ],
    open,
    perfect: Perfect { write: copy_truth, expect: &[("pixel_accuracy", 100.0)] },
};

const HELEN: &[&str] = &["bg", "skin", "lb", "rb", "le", "re", "nose", "ulip", "imouth", "llip", "hair"];
const CELEBAMASK: &[&str] = &[
    "background",
    "skin",
    "nose",
    "eyeglass",
    "l_eye",
    "r_eye",
    "l_brow",
    "r_brow",
    "l_ear",
    "r_ear",
    "mouth",
    "u_lip",
    "l_lip",
    "hair",
    "hat",
    "earring",
    "necklace",
    "neck",
    "cloth",
];

#[derive(Debug)]
struct Parsing {
    names: Vec<String>,
    /// The parts, then those groups that are no part and have members.
    entries: Vec<String>,
    maps: LabelFolders,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let mut names: Vec<String> = inputs.list("names")?;
    if names.is_empty() {
        let list = if inputs.variant() == "helen" { HELEN } else { CELEBAMASK };
        names = list.iter().map(|n| (*n).to_owned()).collect();
    }
    let groups = GROUPS.iter().map(|(name, _)| (*name).to_owned());
    let groups = groups.filter(|name| !names.contains(name) && members(&names, name).is_ok());
    let entries = names.iter().cloned().chain(groups).collect();
    let maps = LabelFolders::open(inputs, names.len())?;
    Ok(Box::new(Parsing { names, entries, maps }))
}

impl Parsing {
    fn f1_name(name: &str) -> String {
        format!("f1_{name}")
    }
}

impl Evaluation for Parsing {
    fn unit(&self) -> &'static str {
        "image"
    }

    fn units(&self) -> &[String] {
        &self.maps.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let found = report(&self.maps.confusion(sample)?, &self.names, &self.entries)?;
        let mut metrics = Metrics::new();
        if let Some((_, overall)) = found.f1.iter().find(|(name, _)| name == "overall") {
            metrics.set("f1_overall", *overall);
        }
        metrics.set("f1_mean", found.mean_f1);
        for (name, f1) in found.f1.iter().filter(|(name, _)| name != "overall") {
            metrics.set(Self::f1_name(name), *f1);
        }
        Ok(metrics
            .with("pixel_accuracy", found.pixel_accuracy)
            .with("mean_accuracy", found.mean_accuracy)
            .with("mean_iou", found.mean_iou))
    }

    fn notes(&self) -> Vec<String> {
        self.maps.notes()
    }

    fn detail(&self) -> Result<Detail> {
        let found = report(&self.maps.confusion(&self.maps.all())?, &self.names, &self.entries)?;
        let rows = found.f1.into_iter().map(|(name, f1)| (name, vec![f1])).collect();
        let mut worst = Vec::new();
        for (i, name) in self.maps.names.iter().enumerate() {
            worst.push((report(&self.maps.confusion(&[i])?, &self.names, &[])?.pixel_accuracy, name));
        }
        worst.retain(|(accuracy, _)| *accuracy < 100.0);
        worst.sort_by(|a, b| a.0.total_cmp(&b.0));
        let worst = worst.into_iter().take(20);
        let worst =
            worst.map(|(a, name)| Worst { unit: name.clone(), what: format!("pixel accuracy {a:.2} %") });
        let groups = vec![Group { title: "Parts".to_owned(), columns: vec!["F1".to_owned()], rows }];
        Ok(Detail { groups, worst: worst.collect(), ..Detail::default() })
    }
}
