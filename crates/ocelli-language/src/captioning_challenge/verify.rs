//! The evaluators under the names that cases use.

use std::collections::{BTreeSet, HashMap};

use ocelli_method::{Component, Outputs, Replay, ReplayError};
use ocelli_metrics::caption::bleu::Bleu;
use ocelli_metrics::caption::cider::{Cider, CiderOptions, CiderVariant, DocumentFrequencies};
use ocelli_metrics::caption::meteor::{MeteorMode, MeteorOptions};
use ocelli_metrics::caption::rouge::Rouge;
use ocelli_metrics::caption::tokenizer::tokenize;
use serde::Deserialize;

use crate::caption_cases::{Units, floats, function_words, has_tables, meteor, refused};

/// The method's components.
pub(super) const COMPONENTS: &[Component] =
    &[Component { name: "evaluate", run: evaluate }, Component { name: "cider_reward", run: cider_reward }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EvaluateConfig {
    submission: Submission,
    ground_truth: GroundTruth,
    function_words: BTreeSet<String>,
}

/// A submission has more in it than is scored.
#[derive(Deserialize)]
struct Submission {
    result: Vec<Caption>,
}

#[derive(Deserialize)]
struct GroundTruth {
    sentences: Vec<Caption>,
}

#[derive(Deserialize)]
struct Caption {
    video_id: String,
    caption: String,
}

/// Candidate and references of each video of the ground truth.
fn units(submission: Submission, truth: GroundTruth) -> Result<Units, ReplayError> {
    let mut candidates: HashMap<String, String> =
        submission.result.into_iter().map(|c| (c.video_id, tokenize(&c.caption))).collect();
    let mut units = Units::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for Caption { video_id, caption } in truth.sentences {
        let place = match places.get(&video_id) {
            Some(&place) => place,
            None => {
                let missing =
                    || ReplayError::Unsupported(format!("the submission has no caption of `{video_id}`"));
                units.push((candidates.remove(&video_id).ok_or_else(missing)?, Vec::new()));
                places.insert(video_id, units.len() - 1);
                units.len() - 1
            }
        };
        units[place].1.push(tokenize(&caption));
    }
    Ok(units)
}

fn evaluate(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: EvaluateConfig = case.config()?;
    let units = units(config.submission, config.ground_truth)?;
    let (mut bleu, mut rouge) = (Bleu::new(), Rouge::new());
    let mut cider = Cider::new(CiderOptions::default()).map_err(refused)?;
    for (candidate, references) in &units {
        bleu.push(candidate, references).map_err(refused)?;
        rouge.push(candidate, references).map_err(refused)?;
        cider.push(candidate, references).map_err(refused)?;
    }
    let meteor_of = |mode| -> Result<f64, ReplayError> {
        let function_words = function_words(config.function_words.clone());
        let options = MeteorOptions { function_words, ..MeteorOptions::english(mode) };
        Ok(100.0 * meteor(case, options, &units)?.scores().map_err(refused)?.corpus)
    };
    let mut outputs = Outputs::new()
        .with("bleu4", 100.0 * bleu.scores().map_err(refused)?.corpus[3])
        .with("rouge_l", 100.0 * rouge.scores().map_err(refused)?.corpus)
        .with("cider_d", 100.0 * cider.scores().map_err(refused)?.corpus)
        .with("meteor_exact_stem", meteor_of(MeteorMode::ExactStem)?);
    if has_tables(case) {
        outputs.set("meteor_full", meteor_of(MeteorMode::Full)?);
    }
    Ok(outputs)
}

/// Captions as numbers of words, the end token among them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RewardConfig {
    corpus: Vec<Vec<Vec<i64>>>,
    references: Vec<Vec<Vec<i64>>>,
    candidates: Vec<Vec<i64>>,
    sigma: f64,
    n: usize,
}

fn cider_reward(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let c: RewardConfig = case.config()?;
    if c.candidates.len() != c.references.len() {
        return Err(ReplayError::Unsupported("as many candidates as references are needed".to_owned()));
    }
    let sentence = |ids: &Vec<i64>| ids.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
    let sentences = |all: &Vec<Vec<i64>>| all.iter().map(sentence).collect::<Vec<_>>();
    let mut corpus = DocumentFrequencies::new(c.n);
    c.corpus.iter().for_each(|references| corpus.push(&sentences(references)));
    let options = CiderOptions { variant: CiderVariant::CiderD, longest: c.n, sigma: c.sigma };
    let mut cider = Cider::with_corpus(options, corpus).map_err(refused)?;
    for (candidate, references) in c.candidates.iter().zip(&c.references) {
        cider.push(&sentence(candidate), &sentences(references)).map_err(refused)?;
    }
    Ok(Outputs::new().with("score", floats(cider.scores().map_err(refused)?.sentences)))
}
