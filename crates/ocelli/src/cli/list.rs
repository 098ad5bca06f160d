//! `ocelli list`

use std::process::ExitCode;

use clap::Args;
use ocelli::registry;
use ocelli_method::Method;
use serde::Serialize;

use super::{Ended, output};

/// List the methods: what each does, and what can be done with it.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only methods whose task, title or name contains this.
    filter: Option<String>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// A method in the JSON document.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    slug: &'static str,
    title: &'static str,
    task: &'static str,
    basis: &'static str,
    components: Vec<&'static str>,
    trains: bool,
    predicts: bool,
    claim: Option<&'static str>,
}

impl Row {
    pub(super) fn new(method: &Method) -> Self {
        let card = method.card;
        Self {
            slug: card.slug,
            title: card.title,
            task: card.task,
            basis: card.basis.as_str(),
            components: method.components.iter().map(|c| c.name).collect(),
            trains: card.trains,
            predicts: card.predicts,
            claim: method.claim.map(|c| c.statement),
        }
    }
}

impl List {
    pub(super) fn run(self) -> Ended {
        let wanted = self.filter.unwrap_or_default().to_lowercase();
        let matches = |m: &&Method| {
            [m.card.slug, m.card.title, m.card.task].iter().any(|text| text.to_lowercase().contains(&wanted))
        };
        let methods: Vec<_> = registry::methods().into_iter().filter(matches).collect();
        if self.json {
            output::json(&methods.iter().map(|m| Row::new(m)).collect::<Vec<_>>())?;
        } else if methods.is_empty() {
            output::note(format!("no method matches `{wanted}`"));
        } else {
            let yes = |b: bool| if b { "yes" } else { "" }.to_owned();
            let row = |m: &&Method| {
                let c = m.card;
                let checks = m.components.len().to_string();
                let text = [c.slug, c.task, c.venue, c.basis.as_str()].map(str::to_owned).to_vec();
                [text, vec![checks, yes(m.claim.is_some()), yes(c.trains), yes(c.predicts)]].concat()
            };
            let header = ["method", "task", "venue", "basis", "components", "claim", "trains", "predicts"];
            output::line(output::table(&header, &methods.iter().map(row).collect::<Vec<_>>(), &[4]))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
