//! `ocelli score`

mod diff;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use ocelli_score::interval::{Interval, intervals};
use ocelli_score::page::{number, page};
use ocelli_score::{Evaluation, Inputs, Metrics, Protocol, protocol, protocols};
use serde_json::json;

use super::Ended;
use super::output::{self, BAD, BOLD, DIM, GOOD};

/// Score predictions by an official protocol.
///
/// `ocelli score` lists the protocols; `ocelli score PROTOCOL` tells the files, variants and settings of one.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Score {
    #[command(subcommand)]
    diff: Option<Sub>,
    /// The protocol.
    protocol: Option<String>,
    /// Prediction files; several are the shards of one.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pred: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
    /// Draw the test set so many times with replacement and print 95 % intervals.
    #[arg(long, value_name = "N")]
    bootstrap: Option<usize>,
    /// Write an HTML page with curves, tables and what went worst.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Score the truth against itself instead of --pred: every protocol must then give its best values.
    #[arg(long, conflicts_with = "pred")]
    self_test: bool,
}

#[derive(Debug, Subcommand)]
enum Sub {
    Diff(diff::Diff),
}

/// What `score` and `score diff` are told alike.
#[derive(Debug, Args)]
struct How {
    /// Truth files.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    truth: Vec<PathBuf>,
    /// Whose numbers: a variant of the protocol.
    #[arg(long)]
    variant: Option<String>,
    /// Change a setting of the protocol.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Fixes the samples of intervals and comparisons.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

impl How {
    fn inputs(&self, protocol: &'static Protocol, pred: Vec<PathBuf>) -> anyhow::Result<Inputs> {
        for file in pred.iter().chain(&self.truth) {
            anyhow::ensure!(file.exists(), "{}: no such file", file.display());
        }
        let mut inputs = Inputs::new(protocol, pred, self.truth.clone());
        if let Some(variant) = &self.variant {
            inputs = inputs.variant_named(variant)?;
        }
        for setting in &self.set {
            let (key, value) =
                setting.split_once('=').with_context(|| format!("--set {setting}: expected KEY=VALUE"))?;
            inputs = inputs.with(key, value)?;
        }
        Ok(inputs)
    }
}

impl Score {
    pub(super) fn run(self) -> Ended {
        if let Some(Sub::Diff(diff)) = self.diff {
            return diff.run();
        }
        let Some(name) = &self.protocol else {
            list()?;
            return Ok(ExitCode::SUCCESS);
        };
        let protocol = protocol(name)?;
        if self.pred.is_empty() && self.how.truth.is_empty() {
            describe(protocol)?;
            return Ok(ExitCode::SUCCESS);
        }
        if self.how.truth.is_empty() {
            bail!("give the truth with --truth: {}", protocol.truth);
        }
        if self.self_test {
            return self.test_itself(protocol);
        }
        if self.pred.is_empty() {
            bail!("give the predictions with --pred: {}", protocol.pred);
        }
        let inputs = self.how.inputs(protocol, self.pred.clone())?;
        let evaluation = (protocol.open)(&inputs)?;
        let metrics = evaluation.overall()?;
        let sure = match self.bootstrap {
            Some(0 | 1) => bail!("--bootstrap: draw at least 2 samples"),
            Some(n) => intervals(evaluation.as_ref(), n, self.how.seed)?,
            None => Vec::new(),
        };
        if let Some(file) = &self.report {
            page(protocol, &inputs, evaluation.as_ref(), &metrics, &sure)?.save(file)?;
        }
        evaluation.notes().iter().for_each(output::note);
        match self.how.json {
            true => output::json(&document(&inputs, protocol, evaluation.as_ref(), &metrics, &sure))?,
            false => print(&metrics, &sure)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The truth as predictions: shows that files are understood and the evaluator is whole.
    fn test_itself(&self, protocol: &'static Protocol) -> Ended {
        let folder = tempfile::tempdir().context("no room for temporary files")?;
        let truth = self.how.inputs(protocol, Vec::new())?;
        let pred = (protocol.perfect.write)(&truth, folder.path())?;
        let evaluation = (protocol.open)(&self.how.inputs(protocol, pred)?)?;
        let metrics = evaluation.overall()?;
        let mut good = true;
        let mut rows = Vec::new();
        for (name, wanted) in protocol.perfect.expect {
            let found = metrics.get(name).unwrap_or(f64::NAN);
            let agrees = (found - wanted).abs() <= 1e-9;
            good &= agrees;
            let word =
                if agrees { format!("{GOOD}as it must be{GOOD:#}") } else { format!("{BAD}wrong{BAD:#}") };
            rows.push(vec![(*name).to_owned(), number(found), number(*wanted), word]);
        }
        if self.how.json {
            let expected: Metrics = protocol.perfect.expect.iter().copied().collect();
            output::json(&json!({
                "protocol": protocol.name,
                "variant": truth.variant(),
                "metrics": metrics,
                "expected": expected,
                "holds": good,
            }))?;
        } else {
            output::line(output::table(&["metric", "truth itself", "wanted", ""], &rows, &[1, 2]))?;
        }
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn document(
    inputs: &Inputs,
    protocol: &Protocol,
    evaluation: &dyn Evaluation,
    metrics: &Metrics,
    sure: &[Interval],
) -> serde_json::Value {
    json!({
        "protocol": protocol.name,
        "variant": inputs.variant(),
        "metrics": metrics,
        "unit": evaluation.unit(),
        "units": evaluation.units().len(),
        "intervals": sure,
        "notes": evaluation.notes(),
    })
}

fn print(metrics: &Metrics, sure: &[Interval]) -> std::io::Result<()> {
    let mut rows = Vec::new();
    for (name, value) in metrics.iter() {
        let mut row = vec![name.to_owned(), number(value)];
        if let Some(interval) = sure.iter().find(|i| i.name == name) {
            let end = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), number);
            row.push(format!("{} to {}", end(interval.low), end(interval.high)));
        }
        rows.push(row);
    }
    let header: &[&str] =
        if sure.is_empty() { &["metric", "value"] } else { &["metric", "value", "95 % interval"] };
    output::line(output::table(header, &rows, &[1]))
}

fn list() -> std::io::Result<()> {
    let row = |p: &&Protocol| {
        let variants: Vec<&str> = p.variants.iter().map(|v| v.name).collect();
        vec![p.name.to_owned(), variants.join(" "), p.summary.to_owned()]
    };
    let rows: Vec<Vec<String>> = protocols().iter().map(row).collect();
    output::line(output::table(&["protocol", "variants", "what it measures"], &rows, &[]))
}

fn describe(protocol: &Protocol) -> std::io::Result<()> {
    output::line(format!("{BOLD}{}{BOLD:#}: {}", protocol.name, protocol.summary))?;
    output::line(format!("  --pred   {}\n  --truth  {}", protocol.pred, protocol.truth))?;
    output::line(format!("{BOLD}variants{BOLD:#}, the first unless --variant says otherwise"))?;
    for variant in protocol.variants {
        output::line(format!("  {}: {}", variant.name, variant.summary))?;
    }
    if !protocol.settings.is_empty() {
        output::line(format!("{BOLD}settings{BOLD:#}, changed by --set KEY=VALUE"))?;
    }
    for setting in protocol.settings {
        let default = if setting.default.is_empty() { "empty" } else { setting.default };
        output::line(format!("  {} {DIM}({default}){DIM:#}: {}", setting.name, setting.summary))?;
    }
    Ok(())
}
