//! `ocelli score diff`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use ocelli_score::compare::{Difference, compare};
use ocelli_score::page::number;
use ocelli_score::protocol;
use serde_json::json;

use super::How;
use crate::cli::Ended;
use crate::cli::output;

/// Compare two prediction files for the same truth: differences with intervals and p-values.
///
/// Both are scored on the same samples of the test set, drawn with replacement (paired bootstrap).
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The first prediction file.
    a: PathBuf,
    /// The second prediction file.
    b: PathBuf,
    /// The protocol.
    #[arg(long, value_name = "NAME")]
    protocol: String,
    #[command(flatten)]
    how: How,
    /// Samples of the test set.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    bootstrap: usize,
}

impl Diff {
    pub(super) fn run(self) -> Ended {
        let protocol = protocol(&self.protocol)?;
        if self.how.truth.is_empty() {
            bail!("give the truth with --truth: {}", protocol.truth);
        }
        if self.bootstrap < 2 {
            bail!("--bootstrap: draw at least 2 samples");
        }
        let a = (protocol.open)(&self.how.inputs(protocol, vec![self.a.clone()])?)?;
        let inputs = self.how.inputs(protocol, vec![self.b.clone()])?;
        let b = (protocol.open)(&inputs)?;
        let differences = compare(a.as_ref(), b.as_ref(), self.bootstrap, self.how.seed)?;
        if self.how.json {
            output::json(&json!({
                "protocol": protocol.name,
                "variant": inputs.variant(),
                "unit": a.unit(),
                "units": a.units().len(),
                "samples": self.bootstrap,
                "differences": differences,
            }))?;
        } else {
            let rows: Vec<Vec<String>> = differences.iter().map(row).collect();
            let header = ["metric", "a", "b", "b - a", "95 % interval", "p"];
            output::line(output::table(&header, &rows, &[1, 2, 3, 4, 5]))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(d: &Difference) -> Vec<String> {
    let cell = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), number);
    let p = d.p.map_or_else(|| "–".to_owned(), |p| format!("{p:.4}"));
    let range = format!("{} to {}", cell(d.low), cell(d.high));
    vec![d.name.clone(), cell(d.a), cell(d.b), cell(d.difference), range, p]
}
