//! Scores a results file once and prints metrics and seconds, reading included:
//! `cargo run --release -p ocelli-score --example time_coco -- PROTOCOL VARIANT TRUTH RESULTS [KEY=VALUE …]`.
//! `benchmarks/score/coco.py` makes the files and runs the tools it is compared with.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use ocelli_score::{Inputs, protocol};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, variant, truth, results, settings @ ..] = &arguments[..] else {
        return Err("PROTOCOL VARIANT TRUTH RESULTS are wanted".into());
    };
    let protocol = protocol(name)?;
    let mut inputs = Inputs::new(protocol, [results.into()], [truth.into()]).variant_named(variant)?;
    for setting in settings {
        let (key, value) = setting.split_once('=').ok_or("KEY=VALUE is wanted")?;
        inputs = inputs.with(key, value)?;
    }
    let start = Instant::now();
    let evaluation = (protocol.open)(&inputs)?;
    let metrics = evaluation.overall()?;
    let seconds = start.elapsed().as_secs_f64();
    for (name, value) in metrics.iter() {
        println!("{name} {value:?}");
    }
    for note in evaluation.notes() {
        println!("# {note}");
    }
    println!("seconds {seconds:.4}");
    Ok(())
}
