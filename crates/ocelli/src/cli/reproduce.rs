//! `ocelli reproduce`

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use ocelli::registry;
use ocelli_method::reproduce::{Reproduction, Summary, reproduce, save};

use super::Ended;
use super::output::{self, BAD, BOLD, DIM, GOOD};

/// Re-run a paper's claim at small scale: method, baseline and controls on data made here, over several seeds.
///
/// A claim that does not hold is printed as not holding; that is a result, and the exit status stays 0.
#[derive(Debug, Args)]
pub(super) struct Reproduce {
    /// Name of the method.
    method: String,
    /// How many seeds; the claim's own number by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    seeds: Option<u16>,
    /// Write the whole result as JSON into this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where to compute: cpu, cuda, cuda:N, gpu.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

impl Reproduce {
    pub(super) fn run(self) -> Ended {
        ocelli_nn::device(&self.device)?;
        let method = registry::method(&self.method)?;
        let Some(claim) = method.claim else { bail!("{} has no claim to reproduce", self.method) };
        let seeds = self.seeds.map_or(claim.seeds, usize::from);
        let progress = |text: &str| {
            let mut err = std::io::stderr().lock();
            // One line that is overwritten; nothing where nobody watches.
            if err.is_terminal() {
                let _ = write!(err, "\r\x1b[K{text}");
            }
        };
        let result = reproduce(method.card.slug, claim, seeds, &self.device, &progress);
        progress("");
        let result = result?;
        if let Some(folder) = &self.out {
            let path =
                save(&result, folder).with_context(|| format!("cannot write into {}", folder.display()))?;
            output::note(format!("result {}", path.display()));
        }
        if self.json {
            output::json(&result)?;
        } else {
            print(&result)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(r: &Reproduction) -> std::io::Result<()> {
    output::line(format!("{BOLD}{}{BOLD:#}", r.claim))?;
    let arms = || [&r.baseline, &r.ours].into_iter().chain(&r.controls);
    let mut metrics: Vec<&String> = Vec::new();
    for metric in arms().flat_map(|arm| arm.metrics.keys()) {
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    let row = |role: &str, s: &Summary| {
        // A control may measure something else.
        let main = if s.runs.is_empty() { String::new() } else { format!("{:.4} ± {:.4}", s.mean, s.sd) };
        let mut cells = vec![s.name.clone(), role.to_owned(), main];
        cells.extend(
            metrics.iter().map(|m| s.metrics.get(*m).map_or_else(String::new, |v| format!("{v:.4}"))),
        );
        cells
    };
    let mut rows = vec![row("baseline", &r.baseline), row("method", &r.ours)];
    rows.extend(r.controls.iter().map(|c| row("control", c)));
    let first = format!("{} (mean ± sd)", r.metric);
    let mut header = vec!["arm", "role", first.as_str()];
    header.extend(metrics.iter().map(|m| m.as_str()));
    let right: Vec<usize> = (2..header.len()).collect();
    output::line(output::table(&header, &rows, &right))?;
    for check in &r.checks {
        let (style, word) = if check.holds { (GOOD, "holds") } else { (BAD, "does not hold") };
        output::line(format!("{style}{word}{style:#}  {}  {DIM}{}{DIM:#}", check.statement, check.detail))?;
    }
    let (style, word) = if r.holds { (GOOD, "the claim holds") } else { (BAD, "the claim does not hold") };
    let seeds = r.ours.runs.len();
    output::line(format!("{style}{word}{style:#} over {seeds} seeds, {:.0} s", r.seconds))
}
