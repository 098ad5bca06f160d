//! Picture quality: from the names that cases use to the evaluators' functions and back.

use crate::case::Case;
use crate::recognition::{Answer, Component, outputs};
use ocelli_metrics::enhance::{Picture, SsimOptions, SsimVariant, evaluate, psnr, ssim};

/// Method, component, and how it is computed.
pub(crate) const COMPONENTS: &[Component] = &[("fan", "metric.image", batches), ("cwan", "metric", bytes)];

/// Batches of pictures, channels first.
fn batches(case: &Case) -> Answer {
    let [batch, channels, height, width] = case.dims("a");
    let options = SsimOptions {
        variant: SsimVariant::Valid,
        window: case.count("window"),
        sigma: case.number("sigma"),
        range: case.number("range"),
    };
    let (mut decibels, mut similarities) = (Vec::new(), Vec::new());
    let size = channels * height * width;
    for i in 0..batch {
        let picture = |name| {
            Picture::planar(name, &case.input(name)[i * size..(i + 1) * size], [channels, height, width])
        };
        let found = evaluate(&picture("a")?, &picture("b")?, &options)?;
        decibels.push(found.psnr);
        similarities.push(found.ssim);
    }
    outputs([("psnr", decibels), ("ssim", similarities)])
}

/// One picture, channels last.
fn bytes(case: &Case) -> Answer {
    let range = case.number("peak");
    let picture = |name| Picture::interleaved(name, case.input(name), case.dims(name));
    let (a, b) = (picture("a")?, picture("b")?);
    let by =
        |variant| ssim(&a, &b, &SsimOptions { variant, range, ..SsimOptions::default() }).map(|v| vec![v]);
    outputs([
        ("psnr", vec![psnr(&a, &b, range)?]),
        ("ssim_channels", by(SsimVariant::Replicate)?),
        ("ssim_gray", by(SsimVariant::Gray)?),
        ("ssim_volume", by(SsimVariant::Volume)?),
    ])
}
