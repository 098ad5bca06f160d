//! `ocelli verify`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use ocelli::registry::{self, BuiltinCases};
use ocelli_method::verify::{CaseSource, Folder, Outcome, Selection, Status, Verification, verify};

use super::Ended;
use super::output::{self, BAD, DIM, GOOD};

/// Replay reference cases on this machine: every case of every component, against its stored tolerance.
///
/// Exits with 0 only if all pass.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Names of methods; all when none is given.
    methods: Vec<String>,
    /// Only components whose name starts so, such as `metric`.
    #[arg(long, value_name = "PREFIX")]
    component: Option<String>,
    /// Replay the cases of this folder, laid out as DIR/<method>/<case>.safetensors, instead of the built-in ones.
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// A file that some cases need and that cannot be shipped, such as clip_merges=FILE.
    #[arg(long, value_name = "NAME=FILE")]
    resource: Vec<String>,
    /// Where to compute: cpu, cuda, cuda:N, gpu.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Print every case, not only those that do not pass.
    #[arg(long, short)]
    verbose: bool,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> Ended {
        // Asked for early: a wrong name should not wait for the first case.
        ocelli_nn::device(&self.device)?;
        for slug in &self.methods {
            registry::method(slug)?;
        }
        let source: Box<dyn CaseSource> = match &self.cases {
            Some(folder) if !folder.is_dir() => bail!("--cases {}: no such folder", folder.display()),
            Some(folder) => Box::new(Folder(folder.clone())),
            None => Box::new(BuiltinCases),
        };
        let selection = Selection {
            methods: self.methods.clone(),
            component: self.component.clone(),
            device: self.device.clone(),
            resources: resources(&self.resource)?,
        };
        // A component that panics on a hostile case is reported as that case's error; no trace needs to be printed.
        std::panic::set_hook(Box::new(|_| ()));
        let mut each = |outcome: &Outcome| {
            if !self.json && (self.verbose || outcome.status != Status::Pass) {
                output::note(case_line(outcome));
            }
        };
        let result = verify(&registry::methods(), source.as_ref(), &BuiltinCases, &selection, &mut each);
        let _ = std::panic::take_hook();
        let result = result.context("cannot read the cases")?;
        if self.json {
            output::json(&result)?;
        } else {
            print(&result)?;
        }
        if result.cases == 0 {
            output::note("no case was selected");
        }
        let good = result.failed == 0 && result.cases > 0;
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn resources(given: &[String]) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let split = |text: &String| {
        let (name, file) =
            text.split_once('=').with_context(|| format!("--resource {text}: expected NAME=FILE"))?;
        let file = PathBuf::from(file);
        anyhow::ensure!(file.is_file(), "--resource {text}: no such file");
        Ok((name.to_owned(), file))
    };
    given.iter().map(split).collect()
}

fn case_line(outcome: &Outcome) -> String {
    let (style, word) = match outcome.status {
        Status::Pass => (GOOD, "pass"),
        Status::Fail => (BAD, "fail"),
        Status::Error => (BAD, "error"),
        Status::Unsupported => (BAD, "unsupported"),
        Status::Skipped => (DIM, "skipped"),
    };
    let place = format!("{} {} {}", outcome.method, outcome.component, outcome.case);
    let detail = match outcome.status {
        Status::Pass => {
            outcome.share.map_or_else(String::new, |s| format!("{:.0} % of tolerance", 100.0 * s))
        }
        _ => outcome.reason.clone(),
    };
    format!("{style}{word}{style:#} {place} {DIM}{detail}{DIM:#}")
}

fn print(result: &Verification) -> std::io::Result<()> {
    let mut components: BTreeMap<(&str, &str), Vec<&Outcome>> = BTreeMap::new();
    for outcome in &result.results {
        components.entry((&outcome.method, &outcome.component)).or_default().push(outcome);
    }
    let row = |((method, component), outcomes): (&(&str, &str), &Vec<&Outcome>)| {
        let passed = outcomes.iter().filter(|o| o.status == Status::Pass).count();
        let worst =
            outcomes.iter().filter_map(|o| o.share.map(|s| (s, o))).max_by(|a, b| a.0.total_cmp(&b.0));
        let number = |v: Option<f64>| v.map_or_else(String::new, |v| format!("{v:.1e}"));
        let (tensor, abs, rel, share) = match worst {
            Some((share, o)) => {
                (o.tensor.clone(), number(o.abs), number(o.rel), format!("{:.0} %", 100.0 * share))
            }
            None => Default::default(),
        };
        vec![
            (*method).to_owned(),
            (*component).to_owned(),
            format!("{passed}/{}", outcomes.len()),
            abs,
            rel,
            share,
            tensor,
        ]
    };
    let rows: Vec<_> = components.iter().map(row).collect();
    let header = ["method", "component", "passed", "worst abs", "rel", "of tolerance", "tensor"];
    output::line(output::table(&header, &rows, &[2, 3, 4, 5]))?;
    let style = if result.failed == 0 { GOOD } else { BAD };
    let skipped = match result.skipped {
        0 => String::new(),
        n => format!(", {n} skipped"),
    };
    output::line(format!(
        "{style}{} cases: {} passed, {} failed{skipped}{style:#}",
        result.cases, result.passed, result.failed
    ))
}
