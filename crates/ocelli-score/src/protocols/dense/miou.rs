//! `miou`: semantic segmentation.

use ocelli_metrics::segmentation::{EPS, MiouVariant};

use super::label_folders::{FORMS, IGNORE, LabelFolders, STRIP, class_names, copy_truth};
use crate::{Choice, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, Setting, Worst};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "miou",
    summary: "semantic segmentation: mean IoU over classes, class and pixel accuracy, pooled over the set",
    pred: FORMS,
    truth: FORMS,
    variants: &[
        Choice {
            name: "absent-out",
            summary: "a class in neither map is left out of the mean; CDGCNet and most tools",
        },
        Choice { name: "eps", summary: "I / (U + 1e-10): a class in neither map is 0 and counted; FADA" },
    ],
    settings: &[
        Setting {
            name: "classes",
            default: "0",
            summary: "a number of classes, 0 for the truth's largest label and one",
        },
        IGNORE,
        STRIP,
        Setting { name: "names", default: "", summary: "a text file of the classes' names, a line each" },
    ],
    open,
    perfect: Perfect { write: copy_truth, expect: &[("pixel_accuracy", 1.0)] },
};

#[derive(Debug)]
struct Segmentation {
    variant: MiouVariant,
    class_names: Vec<String>,
    maps: LabelFolders,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let maps = LabelFolders::open(inputs, inputs.setting("classes")?)?;
    let class_names = class_names(&inputs.setting::<String>("names")?, maps.classes)?;
    Ok(Box::new(Segmentation { variant: inputs.variant().parse()?, class_names, maps }))
}

impl Evaluation for Segmentation {
    fn unit(&self) -> &'static str {
        "image"
    }

    fn units(&self) -> &[String] {
        &self.maps.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let report = self.maps.confusion(sample)?.report(self.variant, EPS);
        Ok(Metrics::new()
            .with("miou", report.miou)
            .with("mean_accuracy", report.mean_accuracy)
            .with("pixel_accuracy", report.pixel_accuracy))
    }

    fn notes(&self) -> Vec<String> {
        self.maps.notes()
    }

    fn detail(&self) -> Result<Detail> {
        let report = self.maps.confusion(&self.maps.all())?.report(self.variant, EPS);
        let defined = |v: f64| if v < 0.0 { f64::NAN } else { v };
        let rows = self.class_names.iter().enumerate();
        let rows = rows.map(|(k, name)| {
            let values =
                vec![defined(report.iou[k]), defined(report.class_accuracy[k]), report.union[k] as f64];
            (name.clone(), values)
        });
        let columns = ["IoU", "accuracy", "pixels of the union"].map(str::to_owned).to_vec();
        let mut worst = Vec::new();
        for (i, name) in self.maps.names.iter().enumerate() {
            worst.push((self.maps.confusion(&[i])?.report(MiouVariant::AbsentOut, EPS), name));
        }
        worst.retain(|(report, _)| report.miou < 1.0);
        worst.sort_by(|a, b| a.0.miou.total_cmp(&b.0.miou));
        let worst = worst.into_iter().take(20).map(|(report, name)| Worst {
            unit: name.clone(),
            what: format!("mIoU {:.4}, pixel accuracy {:.4}", report.miou, report.pixel_accuracy),
        });
        let groups = vec![Group { title: "Classes".to_owned(), columns, rows: rows.collect() }];
        Ok(Detail { groups, worst: worst.collect(), ..Detail::default() })
    }
}
