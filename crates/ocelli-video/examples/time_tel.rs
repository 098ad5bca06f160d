//! Seconds and peak memory of TEL at full size: `cargo run --release -p ocelli-video --example time_tel -- step 32`.
//!
//! Arguments: `step` or `infer`, and the clips of a batch, each of 16 segments. Takes turns as `timing` says; `infer`
//! localizes the emotions of the whole batch.
#![allow(clippy::print_stdout)]

mod timing;

use ocelli_metrics::segment::Segment;
use ocelli_nn::{Pass, Store, retain_freed_memory};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use ocelli_video::tel::data::class_names;
use ocelli_video::tel::{Clip, ClipBatch, LocalizeConfig, Localizer, LossConfig, Passport, TelShape, step};

const SEGMENTS: usize = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    retain_freed_memory();
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_else(|| "step".to_owned());
    let batch = arguments.next().map_or(Ok(32), |text| text.parse::<usize>())?;

    let store = Store::new(&ocelli_nn::device("cpu")?, 0);
    let shape = TelShape::default();
    let losses = LossConfig::default();
    let (topk_r, classes) = (losses.topk_r, class_names(shape.classes));
    let passport = Passport { shape, topk_r, localize: LocalizeConfig::default(), classes };
    let localizer = Localizer::new(store, passport, 0.3)?;
    let wave = |n: usize, k: usize| (0..n).map(|i| (((i + k) * 7919) % 2003) as f32 / 1001.5 - 1.0).collect();
    let clip = |k: usize| Clip {
        name: format!("clip{k}"),
        video: wave(SEGMENTS * shape.d_video, k),
        text: wave(SEGMENTS * shape.d_text, k),
        times: (0..SEGMENTS).map(|t| Segment::new(t as f64, t as f64 + 1.0)).collect(),
        labels: vec![k % shape.classes, (k + 5) % shape.classes, (k + 11) % shape.classes],
        truth: Vec::new(),
    };
    let clips: Vec<Clip> = (0..batch).map(clip).collect();
    let rows: Vec<&Clip> = clips.iter().collect();
    let adam = OptimizerConfig::Adam { lr: 1e-4, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 1e-4 };
    let mut optimizer = Optimizer::new(adam, decay_all);
    let (mut runs, mut fault) = (0, None);
    timing::serve(|| {
        runs += 1;
        if what == "step" {
            let pass = Pass::train(ocelli_method::random::stream(0, "dropout", runs));
            let batch = ClipBatch::new(&rows, &shape, localizer.store().device());
            optimizer.step(&step(&localizer, batch, &losses, &pass).gradients, 1e-4);
        } else {
            fault = fault.take().or(localizer.localize(&clips).err());
        }
    })?;
    fault.map_or(Ok(()), |error| Err(error.into()))
}
