//! `ocelli show`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use ocelli::registry;
use ocelli_face::recognition::compare::{Compared, Comparison};
use ocelli_face::recognition::recipe::TASK;
use ocelli_method::{Card, Method};
use ocelli_train::Bar;
use ocelli_train::trainer::Numbers;
use serde_json::json;

use super::output::{self, BOLD, DIM};
use super::proposals::proposes;
use super::{Ended, list};

/// Show a method's card: paper, components, claim, and what to know before using it.
///
/// With --compare: train all methods of a task on the same pictures with one network and one budget, a few minutes in
/// all, and show one table.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Name of the method, as `ocelli list` prints it.
    #[arg(required_unless_present = "compare")]
    method: Option<String>,
    /// Compare the methods of this task: face-recognition.
    #[arg(long, value_name = "TASK", conflicts_with = "method")]
    compare: Option<String>,
    /// Compare on these pictures: a folder with one folder a person, or a list of `path label` lines.
    #[arg(long, value_name = "PATH", requires = "compare")]
    data: Option<PathBuf>,
    /// Keep the runs here, a folder each; otherwise they are thrown away.
    #[arg(long, value_name = "DIR", requires = "compare")]
    out: Option<PathBuf>,
    /// Change a key of the comparison's recipe, such as schedule.epochs=20.
    #[arg(long, value_name = "KEY=VALUE", requires = "compare")]
    set: Vec<String>,
    /// Where to compute: cpu, cuda, cuda:N, gpu.
    #[arg(long, default_value = "cpu", requires = "compare")]
    device: String,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> Ended {
        let Some(method) = &self.method else {
            return self.compare();
        };
        let method = registry::method(method)?;
        if self.json {
            let mut document = serde_json::to_value(list::Row::new(method))?;
            let card = serde_json::to_value(method.card)?;
            if let (Some(all), Some(card)) = (document.as_object_mut(), card.as_object()) {
                for (key, value) in card {
                    all.entry(key.clone()).or_insert_with(|| value.clone());
                }
                all.insert("metric".to_owned(), json!(method.claim.map(|c| c.metric)));
            }
            output::json(&document)?;
        } else {
            print(method)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    fn compare(&self) -> Ended {
        match self.compare.as_deref() {
            Some(TASK) => (),
            other => bail!("--compare {}: known is {TASK}", other.unwrap_or_default()),
        }
        ocelli_nn::device(&self.device)?;
        let mut set = self.set.clone();
        if let Some(data) = &self.data {
            anyhow::ensure!(data.exists(), "--data {}: no such folder or list", data.display());
            set.push(format!("data.train={}", toml::Value::String(data.display().to_string())));
        }
        let comparison = Comparison::small(&set)?;
        let thrown_away = tempfile::tempdir().context("no room for temporary files")?;
        let out = self.out.as_deref().unwrap_or(thrown_away.path());
        let arms: Vec<&str> = comparison.names().collect();
        output::note(format!("{} trainings: {}", arms.len(), arms.join(", ")));
        let watch = |name: &str| {
            output::note(name);
            Bar::new("accuracy")
        };
        let note = |text: &str| output::note(text);
        let compared = comparison.run(out, &self.device, &note, watch).map_err(|e| anyhow!(e))?;
        if self.json {
            let rows: Vec<_> = compared.iter().map(row_json).collect();
            output::json(&json!({ "task": TASK, "arms": rows }))?;
        } else {
            output::line(comparison_table(&compared))?;
        }
        let failed = compared.iter().any(|c| c.numbers.is_err());
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn row_json(arm: &Compared) -> serde_json::Value {
    let (metrics, error) = match &arm.numbers {
        Ok(numbers) => (Some(numbers), None),
        Err(reason) => (None, Some(reason)),
    };
    json!({ "name": arm.name, "metrics": metrics, "error": error, "raw_pixels": arm.raw_pixels, "seconds": arm.seconds })
}

/// A row an arm, the best accuracy first, and raw pixels last.
fn comparison_table(compared: &[Compared]) -> String {
    let Some(measured) = compared.iter().find(|c| c.numbers.is_ok()) else {
        return "no training came to an end".to_owned();
    };
    let measures: Vec<&String> = measured.raw_pixels.keys().collect();
    let values = |name: &str, numbers: &Numbers, seconds: String| {
        let cell = |m: &&String| numbers.get(*m).map_or_else(String::new, |v| format!("{v:.4}"));
        let cells = measures.iter().map(cell);
        std::iter::once(name.to_owned()).chain(cells).chain([seconds]).collect::<Vec<_>>()
    };
    let mut arms: Vec<(&str, &Numbers, f64)> = compared
        .iter()
        .filter_map(|c| Some((c.name.as_str(), c.numbers.as_ref().ok()?, c.seconds)))
        .collect();
    let accuracy = |numbers: &Numbers| numbers.get("accuracy").copied().unwrap_or(f64::NEG_INFINITY);
    arms.sort_by(|a, b| accuracy(b.1).total_cmp(&accuracy(a.1)));
    let mut rows: Vec<Vec<String>> =
        arms.iter().map(|(name, numbers, seconds)| values(name, numbers, format!("{seconds:.0}"))).collect();
    rows.push(values("raw pixels", &measured.raw_pixels, String::new()));
    let header: Vec<&str> =
        std::iter::once("loss").chain(measures.iter().map(|m| m.as_str())).chain(["seconds"]).collect();
    let right: Vec<usize> = (1..header.len()).collect();
    output::table(&header, &rows, &right)
}

fn print(method: &Method) -> std::io::Result<()> {
    let card = method.card;
    output::line(format!("{BOLD}{}{BOLD:#}", card.title))?;
    output::line(format!("{DIM}{} · {} · arXiv {}{DIM:#}", card.authors, card.venue, card.arxiv))?;
    output::line(format!("\n{}\n", card.summary))?;
    let components: Vec<&str> = method.components.iter().map(|c| c.name).collect();
    let mut facts = vec![
        ("name", card.slug.to_owned()),
        ("task", card.task.to_owned()),
        ("basis", basis(card.basis).to_owned()),
        ("components", components.join(", ")),
        ("train", if card.trains { "ocelli train RECIPE" } else { "no" }.to_owned()),
        ("predict", predicts(card).to_owned()),
    ];
    if let Some(claim) = method.claim {
        facts.push(("claim", format!("{} ({}; {} seeds)", claim.statement, claim.metric, claim.seeds)));
    }
    for (key, value) in facts {
        output::line(format!("{BOLD}{key:<11}{BOLD:#} {value}"))?;
    }
    for note in card.notes {
        output::line(format!("{DIM}·{DIM:#} {note}"))?;
    }
    Ok(())
}

fn basis(basis: ocelli_method::Basis) -> &'static str {
    use ocelli_method::Basis;
    match basis {
        Basis::Official => "official: the released code computed the reference cases",
        Basis::Mixed => {
            "mixed: part of the reference cases come from released code, part from a reconstruction"
        }
        Basis::Reconstruction => {
            "reconstruction: no usable code exists; written from the paper's description"
        }
    }
}

/// The commands that use what the method has trained.
fn predicts(card: Card) -> &'static str {
    match card.predicts {
        false => "no",
        true if proposes(card.slug) => "ocelli predict",
        true => "ocelli predict, ocelli embed",
    }
}
