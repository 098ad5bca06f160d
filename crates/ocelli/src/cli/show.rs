//! `ocelli show`

use std::process::ExitCode;

use clap::Args;
use ocelli::registry;
use ocelli_method::Method;
use serde_json::json;

use super::output::{self, BOLD, DIM};
use super::{Ended, list};

/// Show a method's card: paper, components, claim, and what to know before using it.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Name of the method, as `ocelli list` prints it.
    method: String,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> Ended {
        let method = registry::method(&self.method)?;
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
        ("predict", if card.predicts { "ocelli predict, ocelli embed" } else { "no" }.to_owned()),
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
