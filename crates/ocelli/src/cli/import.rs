//! `ocelli import`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use ocelli::registry;
use ocelli_face::recognition::backbone::{BackboneConfig, BackboneName};
use ocelli_face::recognition::import::{ImportError, ImportOptions, Imported, import};
use ocelli_face::recognition::recipe::TASK;
use ocelli_nn::weights::{KeyReport, Misshapen};
use serde::Serialize;

use super::Ended;
use super::output::{self, BOLD, DIM, GOOD};
use super::proposals;

/// Turn an official checkpoint into weights for this program.
///
/// Reads .pth, .pt, .pkl and .safetensors; a pickle is parsed and never executed. The network is told from the names
/// and shapes of the weights. Every weight must find its place: those that do not are named, and nothing is written.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// Name of the method that trained the network, as `ocelli list` prints it.
    method: String,
    /// The checkpoint.
    file: PathBuf,
    /// The safetensors file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The network, such as ir-101 or tface-ir-18, where the weights do not tell it.
    #[arg(long, value_name = "NAME", value_parser = network)]
    arch: Option<BackboneName>,
    /// Where in the checkpoint the weights are: keys joined by /, or . for the top.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Accept a checkpoint that lacks weights; those start as in a training.
    #[arg(long)]
    allow_missing: bool,
    /// Print one JSON document, also where weights do not fit.
    #[arg(long)]
    json: bool,
}

/// The network of that name.
fn network(text: &str) -> Result<BackboneName, String> {
    let known = BackboneName::ALL.map(|name| name.to_string());
    let place = known.iter().position(|name| name == text);
    let place = place.ok_or_else(|| format!("known are {}", known.join(", ")))?;
    Ok(BackboneName::ALL[place])
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    method: &'a str,
    file: &'a Path,
    /// Nothing was written where it is null.
    out: Option<&'a Path>,
    network: BackboneName,
    input_size: usize,
    matched: usize,
    missing: Vec<&'a str>,
    unexpected: &'a [String],
    misshapen: Vec<Shapes<'a>>,
    ignored: &'a [String],
}

/// A weight whose shape differs.
#[derive(Serialize)]
struct Shapes<'a> {
    name: &'a str,
    expected: &'a [usize],
    found: &'a [usize],
}

impl<'a> From<&'a Misshapen> for Shapes<'a> {
    fn from(weight: &'a Misshapen) -> Self {
        Self { name: &weight.name, expected: &weight.expected, found: &weight.found }
    }
}

impl Import {
    pub(super) fn run(self) -> Ended {
        let card = registry::method(&self.method)?.card;
        if proposals::proposes(card.slug) {
            return self.proposals(card.slug);
        }
        if card.task != TASK.replace('-', " ") {
            bail!(
                "{}: checkpoints of {} cannot be imported; those of face recognition and of dbg can",
                card.slug,
                card.task
            );
        }
        self.check_out()?;
        let options = ImportOptions {
            name: self.arch,
            key: self.key.clone(),
            allow_missing: self.allow_missing,
            ..ImportOptions::new(card.slug)
        };
        let imported = match import(&self.file, &options) {
            Ok(imported) => imported,
            Err(error) => {
                if let (true, ImportError::Keys { config, keys, .. }) = (self.json, &error) {
                    output::json(&self.document(config, &keys.0, None))?;
                }
                return Err(error.into());
            }
        };
        imported.recognizer.save(&self.out)?;
        for note in &imported.notes {
            output::note(format!("{BOLD}note{BOLD:#}: {note}"));
        }
        if self.json {
            output::json(&self.document(&imported.passport().backbone, &imported.report, Some(&self.out)))?;
        } else {
            self.print(&imported)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn check_out(&self) -> anyhow::Result<()> {
        match is_same_file(&self.file, &self.out) {
            true => bail!("--out {}: is the checkpoint itself; give another name", self.out.display()),
            false => Ok(()),
        }
    }

    fn proposals(&self, method: &str) -> Ended {
        if self.arch.is_some() || self.allow_missing {
            bail!("--arch, --allow-missing: {method} has one network, of which all weights are wanted");
        }
        self.check_out()?;
        proposals::import_checkpoint(method, (&self.file, &self.out), self.key.as_deref(), self.json)?;
        Ok(ExitCode::SUCCESS)
    }

    fn document<'a>(
        &'a self,
        config: &BackboneConfig,
        report: &'a KeyReport,
        out: Option<&'a Path>,
    ) -> Document<'a> {
        Document {
            method: &self.method,
            file: &self.file,
            out,
            network: config.name,
            input_size: config.input_size,
            matched: report.matched.len(),
            missing: report.missing.iter().map(|weight| weight.name.as_str()).collect(),
            unexpected: &report.unexpected,
            misshapen: report.misshapen.iter().map(Shapes::from).collect(),
            ignored: &report.ignored,
        }
    }

    fn print(&self, imported: &Imported) -> std::io::Result<()> {
        let BackboneConfig { name, input_size, embedding, .. } = &imported.passport().backbone;
        let report = &imported.report;
        let place = if imported.key.is_empty() { String::new() } else { format!(", at {}", imported.key) };
        let millions = imported.recognizer.store().count_parameters() as f64 / 1e6;
        let mut facts = vec![
            ("read", format!("{} {DIM}{}{place}{DIM:#}", self.file.display(), imported.format)),
            ("network", format!("{name} {DIM}{millions:.2} M parameters, embedding of {embedding}{DIM:#}")),
            ("pictures", format!("{input_size}x{input_size} pixels")),
        ];
        if let Some(prefix) = &imported.stripped {
            facts.push(("stripped", format!("{prefix} {DIM}from every name{DIM:#}")));
        }
        let all = report.matched.len() + report.missing.len();
        facts.push(("matched", format!("{GOOD}{} of {all} tensors{GOOD:#}", report.matched.len())));
        if !report.missing.is_empty() {
            facts.push(("missing", report.missing.len().to_string()));
        }
        if !report.ignored.is_empty() {
            let count = report.ignored.len();
            facts.push(("ignored", format!("{count} {DIM}step counters of batch normalisation{DIM:#}")));
        }
        facts.push(("wrote", self.out.display().to_string()));
        for (key, value) in facts {
            output::line(format!("{BOLD}{key:<9}{BOLD:#} {value}"))?;
        }
        Ok(())
    }
}

/// Whether both names lead to one file.
fn is_same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
