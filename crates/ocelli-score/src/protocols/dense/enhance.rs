//! `enhance`: pictures against their references.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ocelli_data::DataError;
use ocelli_data::annotations::folder::natural;
use ocelli_data::image::{DecodeLimits, RgbImage, open as decode, save};
use ocelli_metrics::enhance::{Picture, SsimOptions, mean_squared_error, psnr, ssim};
use rayon::prelude::*;

use crate::in_order::in_order;
use crate::{
    Choice, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "enhance",
    summary: "enhancement and restoration: PSNR in dB and SSIM of 8-bit pictures, means over pictures",
    pred: "a folder of pictures, or one picture",
    truth: "a folder of pictures of the same names (endings may differ), or one picture",
    variants: &[
        Choice {
            name: "valid",
            summary: "SSIM where the window lies inside, channels averaged; most Python tools, FAN",
        },
        Choice { name: "replicate", summary: "SSIM everywhere with repeated borders, channels averaged" },
        Choice { name: "gray", summary: "SSIM everywhere on the rounded grey" },
        Choice {
            name: "volume",
            summary: "SSIM with colour as a third dimension; MATLAB's `ssim` on a colour picture, CWAN",
        },
    ],
    settings: &[
        Setting { name: "window", default: "11", summary: "an odd number of pixels" },
        Setting { name: "sigma", default: "1.5", summary: "the window's standard deviation in pixels" },
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("ssim", 1.0), ("mse", 0.0)] },
};

#[derive(Debug)]
struct Pictures {
    names: Vec<String>,
    qualities: Vec<Quality>,
    unknown: usize,
}

#[derive(Clone, Copy, Debug)]
struct Quality {
    psnr: f64,
    ssim: f64,
    mse: f64,
}

/// The largest value of a pixel.
const RANGE: f64 = 255.0;

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let (pred_path, truth_path) = (inputs.one_pred()?, inputs.one_truth()?);
    let (mut pred, truth) = (pictures(pred_path)?, pictures(truth_path)?);
    if let (false, false, [only]) =
        (pred_path.is_dir(), truth_path.is_dir(), &truth.keys().collect::<Vec<_>>()[..])
    {
        // One picture against one: what they are called does not matter.
        pred = pred.into_values().map(|file| ((*only).clone(), file)).collect();
    }
    let mut names: Vec<String> = truth.keys().cloned().collect();
    names.sort_by(|a, b| natural(a, b));
    let options = SsimOptions {
        variant: inputs.variant().parse()?,
        window: inputs.setting("window")?,
        sigma: inputs.setting("sigma")?,
        range: RANGE,
    };
    let compare = |name: &String| -> Result<Quality> {
        let file =
            pred.get(name).ok_or_else(|| ScoreError::content(pred_path, format!("no picture `{name}`")))?;
        let (a, b) = (read(file, "picture")?, read(&truth[name], "reference")?);
        let quality = || -> ocelli_metrics::Result<Quality> {
            let mse = mean_squared_error(&a, &b)?;
            Ok(Quality { psnr: psnr(&a, &b, RANGE)?, ssim: ssim(&a, &b, &options)?, mse })
        };
        quality().map_err(|e| ScoreError::content(file, e.to_string()))
    };
    let qualities = in_order(names.par_iter().map(compare))?;
    let unknown = pred.keys().filter(|name| !truth.contains_key(*name)).count();
    Ok(Box::new(Pictures { names, qualities, unknown }))
}

/// Picture files by name without ending.
fn pictures(path: &Path) -> Result<BTreeMap<String, PathBuf>> {
    const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "bmp", "ppm", "pgm", "gif", "webp"];
    let name = |file: &Path| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if !path.is_dir() {
        return Ok(BTreeMap::from([(name(path), path.to_owned())]));
    }
    let fail = |source| DataError::Read { path: path.to_owned(), source };
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(path).map_err(fail)? {
        let file = entry.map_err(fail)?.path();
        let ending = file.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        if !file.is_file() || !ENDINGS.contains(&ending.as_str()) {
            continue;
        }
        if let Some(other) = found.insert(name(&file), file.clone()) {
            let reason = format!("both this file and {} are called `{}`", other.display(), name(&file));
            return Err(ScoreError::content(file, reason));
        }
    }
    match found.is_empty() {
        true => Err(ScoreError::content(path, "no picture in the folder")),
        false => Ok(found),
    }
}

fn read(path: &Path, name: &'static str) -> Result<Picture> {
    let picture: RgbImage = decode(path, &DecodeLimits::default())?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let values: Vec<f64> = picture.as_raw().iter().map(|v| f64::from(*v)).collect();
    Picture::interleaved(name, &values, [height, width, 3])
        .map_err(|e| ScoreError::content(path, e.to_string()))
}

impl Evaluation for Pictures {
    fn unit(&self) -> &'static str {
        "image"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let mean = |of: fn(&Quality) -> f64| {
            sample.iter().map(|&i| of(&self.qualities[i])).sum::<f64>() / sample.len() as f64
        };
        Ok(Metrics::new()
            .with("psnr", mean(|q| q.psnr))
            .with("ssim", mean(|q| q.ssim))
            .with("mse", mean(|q| q.mse)))
    }

    fn notes(&self) -> Vec<String> {
        let unknown = (self.unknown > 0)
            .then(|| format!("{} pictures without a reference were left out", self.unknown));
        let equal = self.qualities.iter().filter(|q| q.psnr.is_infinite()).count();
        let equal = (equal > 0)
            .then(|| format!("{equal} pictures equal their reference, so the mean PSNR is infinite"));
        unknown.into_iter().chain(equal).collect()
    }

    fn detail(&self) -> Result<Detail> {
        let row = |(name, q): (&String, &Quality)| (name.clone(), vec![q.psnr, q.ssim]);
        let rows = self.names.iter().zip(&self.qualities).take(200).map(row).collect();
        let mut order: Vec<usize> = (0..self.names.len()).filter(|&i| self.qualities[i].mse > 0.0).collect();
        order.sort_by(|&a, &b| self.qualities[a].psnr.total_cmp(&self.qualities[b].psnr).then(a.cmp(&b)));
        let what = |q: &Quality| format!("PSNR {:.3} dB, SSIM {:.4}", q.psnr, q.ssim);
        let worst = order.into_iter().take(20);
        let worst =
            worst.map(|i| Worst { unit: self.names[i].clone(), what: what(&self.qualities[i]) }).collect();
        let columns = ["PSNR, dB", "SSIM"].map(str::to_owned).to_vec();
        Ok(Detail {
            groups: vec![Group { title: "Pictures".to_owned(), columns, rows }],
            worst,
            ..Detail::default()
        })
    }
}

/// The references themselves.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let truth_path = inputs.one_truth()?;
    let mut last = folder.to_owned();
    for (name, file) in pictures(truth_path)? {
        last = folder.join(format!("{name}.png"));
        save(&last, &decode(&file, &DecodeLimits::default())?)?;
    }
    Ok(vec![if truth_path.is_dir() { folder.to_owned() } else { last }])
}
