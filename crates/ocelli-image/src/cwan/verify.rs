//! Reference-case components: the method's evaluators, from the names that cases use and back.

use ocelli_method::{Component, Outputs, Replay, ReplayError};
use ocelli_metrics::MetricError;
use ocelli_metrics::enhance::{Picture, SsimOptions, SsimVariant, psnr, ssim};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] = &[Component { name: "metric", run: metric }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricConfig {
    peak: f64,
}

fn metric(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let MetricConfig { peak } = case.config()?;
    let refused = |e: MetricError| ReplayError::refused(e);
    let picture = |name: &'static str| -> Result<Picture, ReplayError> {
        Picture::interleaved(name, &case.doubles(name)?, case.dims(name)?).map_err(refused)
    };
    let (a, b) = (picture("a")?, picture("b")?);
    let mut outputs = Outputs::new().with("psnr", psnr(&a, &b, peak).map_err(refused)?);
    for (name, variant) in [
        ("ssim_channels", SsimVariant::Replicate),
        ("ssim_gray", SsimVariant::Gray),
        ("ssim_volume", SsimVariant::Volume),
    ] {
        let options = SsimOptions { variant, range: peak, ..SsimOptions::default() };
        outputs.set(name, ssim(&a, &b, &options).map_err(refused)?);
    }
    Ok(outputs)
}
