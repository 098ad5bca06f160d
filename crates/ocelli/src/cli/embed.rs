//! `ocelli embed`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;
use ocelli_data::annotations::npy;
use ocelli_face::recognition::predict::{expand, read};
use ocelli_face::recognition::recognizer::{Embeddings, Recognizer};
use ocelli_method::{Array, Data};
use ocelli_nn::weights::write_atomically;
use ocelli_nn::{Pass, Precision};
use serde_json::json;

use super::Ended;
use super::output;
use super::precision::{Numbers, told_cosines};

/// Turn pictures into unit vectors, for search or for other programs.
///
/// The ending of --out says how: .jsonl (a line a picture), .csv, or .npy with the paths beside it in .paths.txt.
#[derive(Debug, Args)]
pub(super) struct Embed {
    /// Aligned pictures, and folders of them.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Weights, or the folder of a run.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// The file to write: .jsonl, .csv or .npy.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Embed the picture alone, not the sum with its mirror image.
    #[arg(long)]
    no_flip: bool,
    /// Embed only part I of N parts, counted from 1; parts are equal for equal inputs.
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// The numbers that layers multiply: f32, or bf16, twice as fast on processors that have it. What it costs is
    /// measured on the first pictures and told.
    #[arg(long, value_enum, default_value = "f32")]
    precision: Numbers,
    /// Where to compute: cpu, cuda, cuda:N, gpu.
    #[arg(long, default_value = "cpu")]
    device: String,
}

/// Pictures on which the cost of a lower precision is measured.
const COMPARED: usize = 32;

/// Pictures read and embedded at once.
const CHUNK: usize = 256;

impl Embed {
    pub(super) fn run(self) -> Ended {
        let format = self.out.extension().unwrap_or_default().to_string_lossy().into_owned();
        ensure!(
            matches!(format.as_str(), "jsonl" | "csv" | "npy"),
            "--out {}: the ending must be .jsonl, .csv or .npy",
            self.out.display()
        );
        let precision = self.precision.precision(&self.device)?;
        let recognizer = Recognizer::open(&self.weights, &self.device)?;
        let mut files = expand(&self.inputs)?;
        if let Some(shard) = &self.shard {
            files = part(files, shard)?;
        }
        // What to compare with is computed before the weights are given away.
        let exact = match precision {
            Precision::Single => None,
            _ if files.is_empty() => None,
            _ => {
                let few = read(&recognizer, &files[..files.len().min(COMPARED)])?;
                Some(recognizer.embed_in(&few, !self.no_flip, &Pass::eval())?)
            }
        };
        let recognizer = recognizer.in_precision(precision).sealed();
        let mut all = Embeddings { values: Vec::new(), dimensions: 0 };
        for chunk in files.chunks(CHUNK) {
            let pictures = read(&recognizer, chunk)?;
            let embedded = recognizer.embed(&pictures, !self.no_flip)?;
            if let Some(exact) = exact.as_ref().filter(|_| all.values.is_empty()) {
                let count = exact.values.len();
                let cosines = told_cosines(&exact.values, &embedded.values[..count], exact.dimensions);
                output::note(format!("bf16: cosine to f32 on {} pictures: {cosines}", exact.len()));
            }
            all.dimensions = embedded.dimensions;
            all.values.extend(embedded.values);
        }
        match format.as_str() {
            "jsonl" => write_atomically(&self.out, |w| write_jsonl(w, &files, &all))?,
            "csv" => write_atomically(&self.out, |w| write_csv(w, &files, &all))?,
            _ => write_npy(&self.out, &files, all)?,
        }
        output::note(format!("{} pictures embedded into {}", files.len(), self.out.display()));
        Ok(ExitCode::SUCCESS)
    }
}

/// The files of one part: every N-th from the I-th on.
fn part(files: Vec<PathBuf>, shard: &str) -> anyhow::Result<Vec<PathBuf>> {
    let numbers =
        shard.split_once('/').and_then(|(i, n)| Some((i.parse::<usize>().ok()?, n.parse::<usize>().ok()?)));
    let Some((i, n)) = numbers else { bail!("--shard {shard}: expected I/N, such as 1/4") };
    ensure!((1..=n).contains(&i), "--shard {shard}: I must be from 1 to N");
    Ok(files.into_iter().skip(i - 1).step_by(n).collect())
}

fn write_jsonl(w: &mut dyn Write, files: &[PathBuf], all: &Embeddings) -> std::io::Result<()> {
    for (i, path) in files.iter().enumerate() {
        serde_json::to_writer(&mut *w, &json!({"path": path, "embedding": all.row(i)}))?;
        w.write_all(b"\n")?;
    }
    Ok(())
}

fn write_csv(w: &mut dyn Write, files: &[PathBuf], all: &Embeddings) -> std::io::Result<()> {
    let names: Vec<String> = (0..all.dimensions).map(|d| format!("e{d}")).collect();
    writeln!(w, "path,{}", names.join(","))?;
    for (i, path) in files.iter().enumerate() {
        let values: Vec<String> = all.row(i).iter().map(f32::to_string).collect();
        let path = path.display().to_string().replace('"', "\"\"");
        writeln!(w, "\"{path}\",{}", values.join(","))?;
    }
    Ok(())
}

fn write_npy(out: &Path, files: &[PathBuf], all: Embeddings) -> anyhow::Result<()> {
    let shape = [files.len(), all.dimensions];
    npy::write(out, &Array::new(shape, Data::F32(all.values)).context("embeddings")?)?;
    let paths = out.with_extension("paths.txt");
    Ok(write_atomically(&paths, |w| files.iter().try_for_each(|f| writeln!(w, "{}", f.display())))?)
}
