//! Seconds and peak memory of DBG at the published size: `cargo run --release -p ocelli-video --example time_dbg -- step 16`.
//!
//! Arguments: `step` or `infer`, the videos of a batch, and for `step` how many of them are computed at once (1 by default).
//! Reads a line from standard input before every run and answers it with seconds of clock and of processor, so that a script
//! may let two programs take turns; ends with the input, and with the peak of resident memory in MiB.
#![allow(clippy::print_stdout)]

use std::io::BufRead;
use std::time::Instant;

use ocelli_metrics::segment::Segment;
use ocelli_nn::tensor::{from_values, values};
use ocelli_nn::{Pass, Store, retain_freed_memory};
use ocelli_train::optim::{Optimizer, OptimizerConfig};
use ocelli_video::dbg::labels::{BOUNDARY_CELLS, Labels};
use ocelli_video::dbg::loss::{BatchWeights, LossConfig};
use ocelli_video::dbg::network::{Dbg, DbgConfig};
use ocelli_video::dbg::propose::{ProposeConfig, VideoScores};
use ocelli_video::dbg::step::{decay_share, gradients};

/// Seconds that all threads of this program have computed so far, in hundredths; 0 where the system does not tell.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, which may hold blanks, ends with the last parenthesis.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    retain_freed_memory();
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_else(|| "step".to_owned());
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse::<usize>());
    let (batch, at_once) = (number(16)?, number(1)?);

    let store = Store::new(&ocelli_nn::device("cpu")?, 0);
    let network = Dbg::new(&store.root(), DbgConfig::default());
    let DbgConfig { feature_dim, tscale, .. } = *network.config();
    let wave = |n: usize| (0..n).map(|i| ((i * 7919) % 2003) as f32 / 1001.5 - 1.0).collect::<Vec<f32>>();
    let features =
        from_values::<3>(wave(batch * feature_dim * tscale), [batch, feature_dim, tscale], store.device());
    let actions = [Segment::new(0.1, 0.3), Segment::new(0.42, 0.47), Segment::new(0.6, 0.95)];
    let labels = vec![Labels::new(tscale, &actions, BOUNDARY_CELLS); batch];
    let videos: Vec<&Labels> = labels.iter().collect();
    let draws: Vec<f32> = wave(batch * tscale * tscale).iter().map(|v| (v + 1.0) / 2.0).collect();
    let losses = LossConfig::default();
    let adam = OptimizerConfig::Adam { lr: 1e-3, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 2e-3 };
    let mut optimizer = Optimizer::new(adam, decay_share);

    for (run, line) in std::io::stdin().lock().lines().enumerate() {
        line?;
        let (start, spent) = (Instant::now(), processor_seconds());
        if what == "step" {
            let places = network.sampler().places();
            let weights = BatchWeights::new(&videos, places, [&draws, &draws], &losses);
            let pass = Pass::train(ocelli_method::random::stream(0, "dropout", run as u64));
            let (_, gradients) = gradients(&network, &store, &features, &weights, (&losses, at_once), &pass);
            optimizer.step(&gradients, 1e-3);
        } else {
            for video in 0..batch {
                let output = network.forward(features.clone().narrow(0, video, 1), &Pass::eval());
                let maps = [output.iou, output.start, output.end].map(values);
                let places = maps[0].len() - 1;
                let scores = VideoScores::new(tscale, maps.each_ref().map(|map| &map[..places]));
                scores.proposals(100.0, &ProposeConfig::default());
            }
        }
        println!("{:.6} {:.2}", start.elapsed().as_secs_f64(), processor_seconds() - spent);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|text| text.split_whitespace().next()).and_then(|n| n.parse::<f64>().ok());
    println!("{:.1}", kibibytes.unwrap_or(f64::NAN) / 1024.0);
    Ok(())
}
