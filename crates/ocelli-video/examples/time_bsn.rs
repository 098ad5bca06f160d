//! Seconds and peak memory of BSN++ at the published size: `cargo run --release -p ocelli-video --example time_bsn -- step 4`.
//!
//! Arguments: `step`, `recompute` (a step that computes its maps again) or `infer`, and the videos of a batch. Takes turns
//! as `timing` says; `infer` makes proposals of the videos one by one.
#![allow(clippy::print_stdout)]

mod timing;

use ocelli_metrics::segment::Segment;
use ocelli_nn::{Pass, Store, retain_freed_memory};
use ocelli_train::optim::{Optimizer, OptimizerConfig, decay_all};
use ocelli_video::bsn_plus_plus::generator::{BsnGenerator, BsnRecipe};
use ocelli_video::temporal::generator::{Draws, Generator};
use ocelli_video::temporal::videos::Video;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    retain_freed_memory();
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_else(|| "step".to_owned());
    let batch = arguments.next().map_or(Ok(4), |text| text.parse::<usize>())?;

    let store = Store::new(&ocelli_nn::device("cpu")?, 0);
    let recipe = BsnRecipe { recompute: what == "recompute", ..BsnRecipe::default() };
    let size = recipe.network.feat_dim * recipe.network.length;
    let generator = BsnGenerator::new(&store.root(), recipe);
    let actions = vec![Segment::new(0.1, 0.3), Segment::new(0.42, 0.47), Segment::new(0.6, 0.95)];
    let video = |k: usize| {
        let features = (0..size).map(|i| (((i + k) * 7919) % 2003) as f32 / 1001.5 - 1.0).collect();
        Video::whole(format!("video{k}"), 1.0, features, actions.clone())
    };
    let videos: Vec<Video> = (0..batch).map(video).collect();
    let videos: Vec<&Video> = videos.iter().collect();
    let adam = OptimizerConfig::Adam { lr: 1e-3, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 1e-4 };
    let mut optimizer = Optimizer::new(adam, decay_all);
    let mut step = 0;
    let mut fault = None;
    timing::serve(|| {
        let result = if what != "infer" {
            step += 1;
            let draws = Draws { seed: 0, step };
            let step = generator.step(&videos, draws, &Pass::without_dropout());
            step.map(|step| optimizer.step(&step.gradients, 1e-3))
        } else {
            videos.iter().try_for_each(|video| generator.propose(&[video]).map(|_| ()))
        };
        fault = fault.take().or(result.err());
    })?;
    fault.map_or(Ok(()), |error| Err(error.to_string().into()))
}
