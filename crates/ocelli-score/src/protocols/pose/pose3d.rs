//! `pose3d`: where the joints are in space.

use std::path::{Path, PathBuf};

use ocelli_metrics::pose3d::{Point, Pose3dReport, PoseErrors, auc_thresholds, report};
use rayon::prelude::*;

use crate::in_order::in_order;
use crate::protocols::arrays::{self, Table};
use crate::{
    Choice, Curve, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError,
    Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "pose3d",
    summary: "3D pose: MPJPE, P-MPJPE, N-MPJPE in millimetres, PCK and AUC in percent",
    pred: "joints .npy [N, J, 3]; several files are the parts of a set",
    truth: "joints .npy [N, J, 3]",
    variants: &[Choice {
        name: "poseaug",
        summary: "root-relative; thresholds strict; VideoPose3D, PoseAug",
    }],
    settings: &[
        Setting { name: "root", default: "0", summary: "the joint that both poses are moved to, from 0" },
        Setting { name: "pck", default: "150", summary: "a distance in millimetres: the threshold of PCK" },
        Setting { name: "unit", default: "m", summary: "m or mm: the unit of the files" },
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("mpjpe", 0.0), ("n_mpjpe", 0.0), ("pck", 100.0)] },
};

#[derive(Debug)]
struct Poses {
    pck_mm: f64,
    names: Vec<String>,
    errors: Vec<PoseErrors>,
}

fn joints(table: &Table, factor: f64) -> Result<(usize, Vec<Point>)> {
    let [_, joints, three] = table.dims("joints [N, J, 3]")?;
    if three != 3 || joints == 0 {
        return Err(ScoreError::content(
            &table.path,
            format!("joints [N, J, 3] expected, found {:?}", table.shape),
        ));
    }
    Ok((joints, table.values.chunks_exact(3).map(|p| [p[0], p[1], p[2]].map(|v| v * factor)).collect()))
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let factor = match inputs.setting::<String>("unit")?.as_str() {
        "m" => 1.0,
        "mm" => 1e-3,
        other => {
            let (key, value) = ("unit".to_owned(), other.to_owned());
            return Err(ScoreError::Setting { key, value, reason: "m or mm is expected".to_owned() });
        }
    };
    let (pred, truth) = (Table::read_shards(&inputs.pred)?, Table::read(inputs.one_truth()?)?);
    if pred.shape != truth.shape {
        let reason = format!("shape {:?}, but the truth has {:?}", pred.shape, truth.shape);
        return Err(ScoreError::content(&pred.path, reason));
    }
    let root = inputs.setting("root")?;
    let ((width, truth_joints), (_, predicted)) = (joints(&truth, factor)?, joints(&pred, factor)?);
    let pairs: Vec<_> = predicted.chunks_exact(width).zip(truth_joints.chunks_exact(width)).collect();
    let error = |(i, (p, t)): (usize, &(&[Point], &[Point]))| {
        PoseErrors::new(p, t, root).map_err(|e| ScoreError::content(&pred.path, format!("pose {i}: {e}")))
    };
    let errors: Vec<PoseErrors> = in_order(pairs.par_iter().enumerate().map(error))?;
    let names = (0..errors.len()).map(|i| format!("pose {i}")).collect();
    Ok(Box::new(Poses { pck_mm: inputs.setting("pck")?, names, errors }))
}

impl Evaluation for Poses {
    fn unit(&self) -> &'static str {
        "pose"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let Pose3dReport { mpjpe, p_mpjpe, n_mpjpe, pck, auc, .. } =
            report(sample.iter().map(|&i| &self.errors[i]), self.pck_mm)?;
        let values =
            [("mpjpe", mpjpe), ("p_mpjpe", p_mpjpe), ("n_mpjpe", n_mpjpe), ("pck", pck), ("auc", auc)];
        Ok(values.into_iter().collect())
    }

    fn detail(&self) -> Result<Detail> {
        let found = report(&self.errors, self.pck_mm)?;
        let rows = found.per_joint.into_iter().enumerate();
        let rows = rows.map(|(j, error)| (format!("joint {j}"), vec![error])).collect();
        let points = auc_thresholds().into_iter().map(|t| Ok((t, report(&self.errors, t)?.pck)));
        let points = points.collect::<Result<_>>()?;
        let mut order: Vec<usize> = (0..self.errors.len()).collect();
        order.sort_by(|&a, &b| self.errors[b].mpjpe.total_cmp(&self.errors[a].mpjpe).then(a.cmp(&b)));
        let worst = order.into_iter().take(20).filter(|&i| self.errors[i].mpjpe > 0.0);
        let what = |i: usize| {
            let error = &self.errors[i];
            format!("MPJPE {:.1} mm, after alignment {:.1} mm", error.mpjpe, error.p_mpjpe)
        };
        let worst = worst.map(|i| Worst { unit: self.names[i].clone(), what: what(i) });
        Ok(Detail {
            groups: vec![Group { title: "Joints".to_owned(), columns: vec!["MPJPE, mm".to_owned()], rows }],
            curves: vec![Curve {
                title: "Correct keypoints over the threshold".to_owned(),
                x: "mm".to_owned(),
                y: "%".to_owned(),
                lines: vec![("all joints".to_owned(), points)],
            }],
            worst: worst.collect(),
        })
    }
}

fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let truth = Table::read(inputs.one_truth()?)?;
    let file = folder.join("pred.npy");
    arrays::write(&file, &truth.shape, truth.values)?;
    Ok(vec![file])
}
