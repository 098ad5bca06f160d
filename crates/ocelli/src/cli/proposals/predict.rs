//! Temporal proposals in `ocelli predict` and `ocelli import`.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use clap::Args;
use ocelli_video::temporal::files::Files;
use ocelli_video::temporal::generator::GeneratorConfig;
use ocelli_video::temporal::import::{Imported, import};
use ocelli_video::temporal::predict::predict;
use ocelli_video::temporal::proposer::Proposer;
use ocelli_video::temporal::run::say;
use serde_json::json;

use crate::cli::output::{self, BOLD, DIM, GOOD};

/// Whether the method proposes segments of videos.
pub(in crate::cli) fn proposes(method: &str) -> bool {
    GeneratorConfig::named(method).is_some()
}

/// What `ocelli predict` takes for videos.
#[derive(Debug, Args)]
pub(in crate::cli) struct Videos {
    /// Work on the videos of this folder: a feature file (.csv, .npy, .npz, .h5) a video (dbg, bsn-plus-plus, anet2020-tal).
    #[arg(long, value_name = "DIR", conflicts_with_all = ["gallery", "normalize"])]
    pub(in crate::cli) features: Option<PathBuf>,
    /// Annotations, JSON in ActivityNet's form or THUMOS14's folder: durations, and actions to show beside the proposals; for
    /// tel the split in the form of test.json.
    #[arg(long, value_name = "FILE", requires = "features")]
    pub(in crate::cli) truth: Option<PathBuf>,
    /// `video_info.csv`, where it tells durations or frames.
    #[arg(long, value_name = "FILE", requires = "features")]
    info: Option<PathBuf>,
    /// Only videos of this subset, such as validation.
    #[arg(long, value_name = "NAME", requires = "features")]
    subset: Option<String>,
}

impl Videos {
    /// What is asked for: `what` is made from features, and written to a file.
    pub(in crate::cli) fn files_and_out<'a>(
        &'a self,
        what: &str,
        out: Option<&'a Path>,
    ) -> anyhow::Result<(Files<'a>, &'a Path)> {
        let Some(features) = &self.features else {
            bail!("{what} are made from features; give their folder with --features");
        };
        let Some(out) = out else { bail!("give the file for the {what} with --out, such as result.json") };
        if out.is_dir() {
            bail!("--out {}: a file such as result.json is expected", out.display());
        }
        let (truth, info, subset) = (self.truth.as_deref(), self.info.as_deref(), self.subset.as_deref());
        Ok((Files { features, truth, info, subset }, out))
    }

    /// Proposes segments; writes the official submission to `out` and a page with a timeline a video beside it.
    pub(in crate::cli) fn predict(
        &self,
        weights: &Path,
        out: Option<&Path>,
        device: &str,
    ) -> anyhow::Result<()> {
        let (files, out) = self.files_and_out("proposals", out)?;
        let page = out.with_extension("html");
        if page == out {
            bail!("--out {}: a file such as result.json is expected", out.display());
        }
        let proposer = Proposer::open(weights, device)?;
        let predictions = predict(&proposer, files).map_err(|e| anyhow!(e))?;
        say(&predictions.remarks, &|text| output::note(text));
        let title = format!("Proposals by {}", proposer.passport().method.name());
        predictions.page(&title).save(&page)?;
        predictions.results().write(out)?;
        let curve = predictions.curve();
        output::line(serde_json::to_string(&json!({
            "videos": predictions.videos(),
            "skipped": predictions.skipped,
            "results": out,
            "page": page,
            "AUC": curve.map(|c| c.auc),
            "AR@100": curve.and_then(|c| c.at(100.0, 100.0)),
        }))?)?;
        Ok(())
    }
}

/// Imports a checkpoint of `method`, and says what came of it.
pub(in crate::cli) fn import_checkpoint(
    method: &str,
    (file, out): (&Path, &Path),
    key: Option<&str>,
    as_json: bool,
) -> anyhow::Result<()> {
    let Imported { proposer, report, format, key, stripped, notes } = import(file, method, key)?;
    let store = proposer.generator().store();
    proposer.passport().save(store, out)?;
    let [features, cells] = proposer.passport().method.size();
    if as_json {
        return Ok(output::json(&json!({
            "method": method,
            "file": file,
            "out": out,
            "features": features,
            "cells": cells,
            "matched": report.matched.len(),
            "missing": Vec::<String>::new(),
            "unexpected": report.unexpected,
            "ignored": report.ignored,
        }))?);
    }
    notes.iter().for_each(|note| output::note(format!("{BOLD}note{BOLD:#}: {note}")));
    let place = if key.is_empty() { String::new() } else { format!(", at {key}") };
    let millions = store.count_parameters() as f64 / 1e6;
    let mut facts = vec![
        ("read", format!("{} {DIM}{format}{place}{DIM:#}", file.display())),
        (
            "network",
            format!("{method} {DIM}{millions:.2} M parameters, {cells} cells of {features} features{DIM:#}"),
        ),
    ];
    facts.extend(stripped.map(|prefix| ("stripped", format!("{prefix} {DIM}from every name{DIM:#}"))));
    facts.push(("matched", format!("{GOOD}{} tensors{GOOD:#}", report.matched.len())));
    facts.push(("wrote", out.display().to_string()));
    for (key, value) in facts {
        output::line(format!("{BOLD}{key:<9}{BOLD:#} {value}"))?;
    }
    Ok(())
}
