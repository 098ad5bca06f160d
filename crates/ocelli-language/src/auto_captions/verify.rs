//! The evaluators under the names that cases use.

use std::collections::BTreeSet;

use ocelli_method::{Array, Component, Data, Outputs, Replay, ReplayError};
use ocelli_metrics::caption::CaptionScores;
use ocelli_metrics::caption::bleu::{Bleu, ORDERS};
use ocelli_metrics::caption::cider::{Cider, CiderOptions};
use ocelli_metrics::caption::meteor::{MeteorOptions, Stage};
use ocelli_metrics::caption::rouge::Rouge;
use ocelli_metrics::caption::spice::spice_of_tuples;
use ocelli_metrics::caption::tokenizer::tokenize;
use serde::Deserialize;

use crate::caption_cases::{Units, floats, function_words, meteor, refused};

/// The method's components.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "tokenizer", run: tokenizer },
    Component { name: "metric.bleu", run: bleu },
    Component { name: "metric.rouge_l", run: rouge_l },
    Component { name: "metric.cider_d", run: cider_d },
    Component { name: "metric.meteor", run: meteor_scores },
    Component { name: "metric.spice_tuples", run: spice_tuples },
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenizerConfig {
    sentences: Vec<String>,
}

fn tokenizer(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let TokenizerConfig { sentences } = case.config()?;
    let lines: Vec<String> = sentences.iter().map(|s| tokenize(s)).collect();
    let text = lines.join("\n").into_bytes();
    let text = Array::new([text.len()], Data::U8(text)).map_err(ReplayError::refused)?;
    Ok(Outputs::new().with("text", text))
}

/// Captions raw and tokenised; the tokenised ones are scored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaptionConfig {
    #[serde(rename = "references")]
    _references: Vec<Vec<String>>,
    #[serde(rename = "candidates")]
    _candidates: Vec<String>,
    tokenized_references: Vec<Vec<String>>,
    tokenized_candidates: Vec<String>,
}

fn units(candidates: Vec<String>, references: Vec<Vec<String>>) -> Result<Units, ReplayError> {
    if candidates.len() != references.len() {
        let reason = format!("{} candidates, but references of {}", candidates.len(), references.len());
        return Err(ReplayError::Unsupported(reason));
    }
    Ok(candidates.into_iter().zip(references).collect())
}

fn captions(case: &Replay<'_>) -> Result<Units, ReplayError> {
    let config: CaptionConfig = case.config()?;
    units(config.tokenized_candidates, config.tokenized_references)
}

fn outputs(scores: CaptionScores) -> Outputs {
    Outputs::new().with("corpus", scores.corpus).with("sentence", floats(scores.sentences))
}

fn bleu(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let mut bleu = Bleu::new();
    captions(case)?.iter().try_for_each(|(c, r)| bleu.push(c, r)).map_err(refused)?;
    let scores = bleu.scores().map_err(refused)?;
    let by_order = (0..ORDERS).flat_map(|order| scores.sentences.iter().map(move |values| values[order]));
    let sentence = Data::F64(by_order.collect());
    let sentence = Array::new([ORDERS, scores.sentences.len()], sentence).map_err(ReplayError::refused)?;
    Ok(Outputs::new().with("corpus", floats(scores.corpus)).with("sentence", sentence))
}

fn rouge_l(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let mut rouge = Rouge::new();
    captions(case)?.iter().try_for_each(|(c, r)| rouge.push(c, r)).map_err(refused)?;
    Ok(outputs(rouge.scores().map_err(refused)?))
}

fn cider_d(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let mut cider = Cider::new(CiderOptions::default()).map_err(refused)?;
    captions(case)?.iter().try_for_each(|(c, r)| cider.push(c, r)).map_err(refused)?;
    Ok(outputs(cider.scores().map_err(refused)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MeteorConfig {
    #[serde(rename = "references")]
    _references: Vec<Vec<String>>,
    #[serde(rename = "candidates")]
    _candidates: Vec<String>,
    tokenized_references: Vec<Vec<String>>,
    tokenized_candidates: Vec<String>,
    matchers: Vec<String>,
    weights: Vec<f64>,
    alpha: f64,
    beta: f64,
    gamma: f64,
    delta: f64,
    function_words: BTreeSet<String>,
}

fn meteor_scores(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: MeteorConfig = case.config()?;
    if c.matchers.len() != c.weights.len() {
        return Err(ReplayError::Unsupported("a weight for each matcher is needed".to_owned()));
    }
    let stages: Result<Vec<Stage>, _> = c.matchers.iter().map(|name| name.parse()).collect();
    let options = MeteorOptions {
        stages: stages.map_err(refused)?.into_iter().zip(c.weights).collect(),
        alpha: c.alpha,
        beta: c.beta,
        gamma: c.gamma,
        delta: c.delta,
        function_words: function_words(c.function_words),
    };
    let meteor = meteor(case, options, &units(c.tokenized_candidates, c.tokenized_references)?)?;
    let rows: Vec<f64> = meteor.records().iter().flat_map(|stats| stats.to_row()).collect();
    let stats = Array::new([meteor.records().len(), 23], Data::F64(rows)).map_err(ReplayError::refused)?;
    Ok(outputs(meteor.scores().map_err(refused)?).with("stats", stats))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TupleConfig {
    /// Tuples of a candidate and of its reference.
    pairs: Vec<[Vec<Vec<String>>; 2]>,
}

fn spice_tuples(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let TupleConfig { pairs } = case.config()?;
    let scores: Vec<_> =
        pairs.iter().map(|[candidate, reference]| spice_of_tuples(candidate, reference)).collect();
    Ok(Outputs::new()
        .with("precision", floats(scores.iter().map(|s| s.precision)))
        .with("recall", floats(scores.iter().map(|s| s.recall)))
        .with("f", floats(scores.iter().map(|s| s.f))))
}
