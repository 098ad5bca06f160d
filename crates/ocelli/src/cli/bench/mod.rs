//! `ocelli bench`

mod case;
mod models;
mod ops;
mod serve;
mod train;

use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use serde_json::json;

use self::case::{Case, Ready};
use super::Ended;
use super::output;
use super::precision::Numbers;
use super::process::{Took, peak_memory, resident_memory, timed};

/// Seconds that a round of a quick case lasts at least: it is run that many times.
const ROUND: f64 = 0.05;

/// Time operations, networks and training steps on this machine.
///
/// Cases go by names that say all about them; other programs that know the names can take turns with --serve, as
/// benchmarks/nn/compare.py has PyTorch and others do.
#[derive(Debug, Args)]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Single operations, forward, or with gradients.
    Ops(Options),
    /// Inference of whole networks with random weights, in passes that fuse.
    Models(Models),
    /// Whole training steps: forward, backward, update.
    Train(Options),
}

#[derive(Debug, Args)]
struct Models {
    #[command(flatten)]
    options: Options,
    /// The numbers that layers multiply. What bf16 costs is measured on the input of each case and told.
    #[arg(long, value_enum, default_value = "f32")]
    precision: Numbers,
}

#[derive(Debug, Args)]
struct Options {
    /// Only cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Threads to compute with; by default all that the machine has.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// How often each case is timed.
    #[arg(long, value_name = "N", default_value_t = 7)]
    rounds: usize,
    /// Samples in a batch, instead of what the cases say.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Print the names of the cases and end.
    #[arg(long)]
    list: bool,
    /// Be told on standard input what to run, a line `TIMES CASE` at a time, and answer each with its seconds of clock and
    /// of processor; at the end with the peak of memory and that before the first case, in MiB.
    #[arg(long)]
    serve: bool,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// What makes a case ready.
type Make<'a> = &'a dyn Fn(&Case) -> anyhow::Result<Ready>;

impl Bench {
    pub(super) fn run(self) -> Ended {
        match self.what {
            What::Ops(options) => options.run(ops::CASES, &ops::ready),
            What::Models(Models { options, precision }) => {
                let precision = precision.precision("cpu")?;
                options.run(models::CASES, &|case| models::ready(case, precision))
            }
            What::Train(options) => options.run(train::CASES, &train::ready),
        }
    }
}

impl Options {
    fn run(&self, cases: &[&str], ready: Make<'_>) -> Ended {
        ensure!(self.threads != Some(0), "--threads 0: at least 1");
        ensure!(self.rounds > 0, "--rounds 0: at least 1");
        ensure!(self.batch != Some(0), "--batch 0: at least 1");
        let cases = self.cases(cases)?;
        if self.list {
            cases.iter().try_for_each(output::line)?;
            return Ok(ExitCode::SUCCESS);
        }
        // Operations ask for no pool of their own, so it is the process's that is sized.
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads.unwrap_or(0))
            .build_global()
            .context("cannot make the threads")?;
        if self.serve {
            let before = resident_memory();
            serve::serve(ready)?;
            let mebibytes =
                |bytes: Option<u64>| bytes.map_or(f64::NAN, |bytes| bytes as f64 / f64::from(1 << 20));
            output::line(format_args!("{:.1} {:.1}", mebibytes(peak_memory()), mebibytes(before)))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut measured = Vec::new();
        for case in cases {
            let timing = Timing::of(&case, ready, self.rounds)?;
            if !self.json {
                output::note(timing.line());
            }
            measured.push(timing);
        }
        if self.json {
            output::json(&measured.iter().map(Timing::json).collect::<Vec<_>>())?;
        } else {
            let rows: Vec<Vec<String>> = measured.iter().map(Timing::row).collect();
            output::line(output::table(&HEADER, &rows, &[1, 2, 3, 4]))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn cases(&self, names: &[&str]) -> anyhow::Result<Vec<Case>> {
        let wanted = |name: &&&str| self.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
        let cases = names.iter().filter(wanted).map(|name| Case::parse(name));
        let cases = cases.collect::<anyhow::Result<Vec<Case>>>()?;
        ensure!(
            !cases.is_empty(),
            "--only {}: no such case; --list has them",
            self.only.as_deref().unwrap_or_default()
        );
        let Some(batch) = self.batch else { return Ok(cases) };
        let mut chosen: Vec<Case> = Vec::new();
        for case in cases.into_iter().map(|case| case.with('b', batch)) {
            // Cases that differ in the batch alone are one now.
            if !chosen.contains(&case) {
                chosen.push(case);
            }
        }
        Ok(chosen)
    }
}

const HEADER: [&str; 5] = ["case", "ms", "median", "processor ms", "GFLOP/s"];

/// How long a case took, by the run.
struct Timing {
    case: Case,
    /// Seconds, ascending.
    seconds: Vec<f64>,
    /// Seconds of processor, least; where the system tells.
    processor: Option<f64>,
    operations: Option<f64>,
}

impl Timing {
    fn of(case: &Case, ready: Make<'_>, rounds: usize) -> anyhow::Result<Self> {
        let Ready { mut run, operations } = ready(case)?;
        // What is made at the first run, such as threads and caches, is not to be timed.
        run();
        let times = (ROUND / timed(&mut run).1.seconds.max(1e-9)).ceil().clamp(1.0, 1e6) as usize;
        let mut took: Vec<Took> = (0..rounds).map(|_| timed(|| (0..times).for_each(|_| run())).1).collect();
        took.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let seconds = took.iter().map(|took| took.seconds / times as f64).collect();
        let processor = took.iter().filter_map(|took| took.processor).min_by(f64::total_cmp);
        let processor = processor.map(|seconds| seconds / times as f64);
        Ok(Self { case: case.clone(), seconds, processor, operations })
    }

    fn least(&self) -> f64 {
        self.seconds[0]
    }

    fn median(&self) -> f64 {
        self.seconds[self.seconds.len() / 2]
    }

    /// Operations a nanosecond at best.
    fn rate(&self) -> Option<f64> {
        self.operations.map(|operations| operations / self.least() * 1e-9)
    }

    fn row(&self) -> Vec<String> {
        let milliseconds = |seconds: f64| format!("{:.3}", seconds * 1e3);
        vec![
            self.case.to_string(),
            milliseconds(self.least()),
            milliseconds(self.median()),
            self.processor.map(milliseconds).unwrap_or_default(),
            self.rate().map(|rate| format!("{rate:.1}")).unwrap_or_default(),
        ]
    }

    fn line(&self) -> String {
        let [case, least, ..] = &self.row()[..] else { return String::new() };
        format!("{case}: {least} ms")
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "case": self.case.to_string(),
            "seconds": self.least(),
            "median_seconds": self.median(),
            "processor_seconds": self.processor,
            "gflops": self.rate(),
        })
    }
}
