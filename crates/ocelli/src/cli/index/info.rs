//! `ocelli index info`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ocelli_vectors::container::Container;
use ocelli_vectors::index::Metadata;
use serde_json::{Value, json};

use super::files::At;
use super::open::{Opened, files, open};
use super::options::{name_of, size, store_of};
use crate::cli::Ended;
use crate::cli::output;

/// What an index holds, and whether it is whole.
#[derive(Debug, Args)]
pub(super) struct Info {
    /// Indexes, or folders of shards.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Do not compare checksums.
    #[arg(long)]
    trust: bool,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

impl Info {
    pub(super) fn run(self) -> Ended {
        let mut documents = Vec::new();
        for path in files(&self.files)? {
            let mut document = match open(&path, self.trust)? {
                Opened::Vectors(index) => {
                    let [codes, vectors, other] = index.bytes();
                    let (segments, deleted) = index.fragments();
                    json!({
                        "file": path, "kind": "vectors", "vectors": index.count(), "dim": index.dim(),
                        "similarity": name_of(index.similarity()), "partitions": index.partitions(),
                        "codes": index.coding(), "store": store_of(index.storage()), "segments": segments, "deleted": deleted,
                        "defaults": index.defaults(),
                        "metadata": index.metadata().map(|metadata| metadata.names().collect::<Vec<_>>()),
                        "bytes": {
                            "codes": codes, "vectors": vectors, "other": other,
                            "metadata": index.metadata().map_or(0, Metadata::bytes),
                        },
                        "beside_codes_and_vectors": other as f64 / (codes + vectors).max(1) as f64,
                    })
                }
                Opened::Codes(index) => {
                    let [codes, tables, ids] = index.bytes();
                    json!({
                        "file": path, "kind": "codes", "codes": index.codes().len(),
                        "bits": index.codes().bits(), "substrings": index.substrings(),
                        "bytes": {"codes": codes, "tables": tables, "ids": ids},
                    })
                }
            };
            let container = Container::open(&path)?;
            document["file_bytes"] = json!(std::fs::metadata(&path).at(&path)?.len());
            let sections = container.sections().iter();
            let section = |s: &ocelli_vectors::container::Section| json!({"name": s.name, "shape": s.shape});
            document["sections"] = sections.map(section).collect();
            document["checksums"] = json!(if self.trust { "not compared" } else { "agree" });
            documents.push(document);
        }
        if self.json {
            output::json(&json!({ "indexes": documents }))?;
            return Ok(ExitCode::SUCCESS);
        }
        for document in &documents {
            output::line(text(document))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn text(document: &Value) -> String {
    let Value::Object(fields) = document else { return String::new() };
    let value = |name: &str, value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Number(bytes) if name.ends_with("bytes") => size(bytes.as_u64().unwrap_or(0)),
        Value::Object(parts) => {
            let part = |(key, value): (&String, &Value)| match name {
                "bytes" => format!("{key} {}", size(value.as_u64().unwrap_or(0))),
                _ => format!("{key} {value}"),
            };
            parts.iter().map(part).collect::<Vec<_>>().join(", ")
        }
        Value::Array(names) if name == "metadata" => {
            names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        Value::Array(sections) => format!("{} sections", sections.len()),
        Value::Number(share) if name == "beside_codes_and_vectors" => {
            format!("{:.1} % of the bytes of codes and vectors", 100.0 * share.as_f64().unwrap_or(0.0))
        }
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    };
    let line = |(name, content): (&String, &Value)| {
        format!("{:<12} {}", name.replace('_', " "), value(name, content))
    };
    fields.iter().map(line).collect::<Vec<_>>().join("\n")
}
