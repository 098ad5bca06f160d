//! `grounding`: when does what a sentence says happen? R@n,IoU=m and mIoU.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use ocelli_data::annotations::grounding::{PredictedMoments, read, write_json};
use ocelli_data::annotations::{charades_cg, charades_sta};
use ocelli_metrics::grounding::{GroundingOptions, GroundingRecords, GroundingSummary};
use ocelli_metrics::segment::Segment;

use super::threshold_name;
use super::videos::{counted, segment};
use crate::{
    Choice, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "grounding",
    summary: "temporal grounding of sentences: R@n,IoU=m and mIoU in per cent (Charades-STA, Charades-CG, ActivityNet Captions, …)",
    pred: "JSON list or lines of `{video, sentence, segments: [[start, end, score], …]}`, or CSV with video,sentence,start,end,score",
    truth: "Charades-STA text (`VIDEO start end##sentence`) or the JSON of Charades-CG, ActivityNet-CG and ActivityNet Captions; several are splits",
    variants: &[
        Choice { name: "ge", summary: "an overlap of m or more is a hit" },
        Choice { name: "gt", summary: "an overlap of more than m is a hit" },
    ],
    settings: &[
        Setting { name: "ns", default: "1,5", summary: "numbers of predictions looked at, from 1" },
        Setting { name: "thresholds", default: "0.3,0.5,0.7", summary: "temporal overlaps between 0 and 1" },
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("mIoU", 100.0)] },
};

/// Lines of the table of worst queries.
const LISTED: usize = 20;

/// A sentence of the truth.
#[derive(Debug)]
struct Query {
    video: String,
    sentence: String,
    segment: Segment,
    /// The file it stands in.
    split: String,
    /// What is new in it.
    kinds: Vec<String>,
}

fn queries(inputs: &Inputs) -> Result<Vec<Query>> {
    if inputs.truth.is_empty() {
        return Err(ScoreError::Files("no --truth file is given".into()));
    }
    let mut queries = Vec::new();
    for path in &inputs.truth {
        let split = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            for video in charades_cg::read(path)? {
                queries.extend(video.sentences.into_iter().map(|s| Query {
                    video: video.name.clone(),
                    segment: segment(s.segment),
                    split: split.clone(),
                    kinds: s.novelty.kinds().into_iter().map(str::to_owned).collect(),
                    sentence: s.sentence,
                }));
            }
        } else {
            queries.extend(charades_sta::read(path)?.into_iter().map(|s| Query {
                video: s.video,
                sentence: s.sentence,
                segment: segment(s.segment),
                split: split.clone(),
                kinds: Vec::new(),
            }));
        }
    }
    Ok(queries)
}

#[derive(Debug)]
struct Grounded {
    queries: Vec<Query>,
    names: Vec<String>,
    records: GroundingRecords,
    notes: Vec<String>,
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let queries = queries(inputs)?;
    let ns = inputs.list("ns")?;
    let options =
        GroundingOptions { variant: inputs.variant().parse()?, ns, thresholds: inputs.list("thresholds")? };
    let mut records = GroundingRecords::new(options)?;
    let mut predictions = Predictions::read(inputs)?;
    let mut empty = 0;
    for query in &queries {
        let segments = predictions.next(query)?;
        empty += usize::from(segments.is_empty());
        records.add(query.segment, &segments)?;
    }
    let mut notes = Vec::new();
    match predictions.strangers()? {
        0 => {}
        n => notes.push(format!(
            "left out: {} of sentences that the truth does not have",
            counted(n, "prediction")
        )),
    }
    if empty > 0 {
        notes.push(format!("{} without a segment, taken to overlap 0", counted(empty, "prediction")));
    }
    Ok(Box::new(Grounded { names: names(&queries), queries, records, notes }))
}

/// `VIDEO: sentence`, numbered where it occurs again.
fn names(queries: &[Query]) -> Vec<String> {
    let mut seen: HashMap<(&str, &str), usize> = HashMap::new();
    let mut names = Vec::with_capacity(queries.len());
    for Query { video, sentence, .. } in queries {
        let count = seen.entry((video, sentence)).or_insert(0);
        *count += 1;
        let again = if *count == 1 { String::new() } else { format!(" ({count})") };
        names.push(format!("{video}: {sentence}{again}"));
    }
    names
}

/// Predictions by video and sentence.
struct Predictions {
    files: Vec<PathBuf>,
    /// The predictions for a sentence in order, and how many queries have asked for them.
    by_sentence: HashMap<(String, String), (Vec<PredictedMoments>, usize)>,
}

impl Predictions {
    fn read(inputs: &Inputs) -> Result<Self> {
        let mut by_sentence: HashMap<(String, String), (Vec<PredictedMoments>, usize)> = HashMap::new();
        for path in &inputs.pred {
            for moments in read(path)? {
                let key = (moments.video.clone(), moments.sentence.clone());
                by_sentence.entry(key).or_default().0.push(moments);
            }
        }
        if by_sentence.is_empty() {
            return Err(ScoreError::Files("no --pred file is given".into()));
        }
        Ok(Self { files: inputs.pred.clone(), by_sentence })
    }

    /// The segments for a query. Where the truth has a sentence several times, a prediction for each is taken in turn, or
    /// one for all.
    fn next(&mut self, query: &Query) -> Result<Vec<Segment>> {
        let key = (query.video.clone(), query.sentence.clone());
        let found = self.by_sentence.get_mut(&key).and_then(|(moments, asked)| {
            *asked += 1;
            let place = if moments.len() == 1 { 0 } else { *asked - 1 };
            moments.get(place)
        });
        let Some(moments) = found else {
            let reason = format!(
                "no prediction for video `{}`, sentence `{}`; one is expected for each query",
                query.video, query.sentence
            );
            return Err(ScoreError::content(&self.files[0], reason));
        };
        Ok(moments.segments.iter().map(|&s| segment(s)).collect())
    }

    /// How many predictions are of sentences that the truth does not have.
    ///
    /// # Errors
    /// A sentence with more predictions than the truth has it.
    fn strangers(&self) -> Result<usize> {
        let surplus = self.by_sentence.iter().filter(|(_, (m, asked))| *asked > 0 && m.len() > *asked);
        if let Some(((video, sentence), (moments, asked))) = surplus.min_by_key(|(key, _)| *key) {
            let reason = format!(
                "{} for video `{video}`, sentence `{sentence}`, which the truth has {}",
                counted(moments.len(), "prediction"),
                counted(*asked, "time")
            );
            return Err(ScoreError::content(&self.files[0], reason));
        }
        Ok(self.by_sentence.values().filter(|(_, asked)| *asked == 0).map(|(m, _)| m.len()).sum())
    }
}

impl Grounded {
    fn named(&self, summary: &GroundingSummary) -> Metrics {
        let options = self.records.options();
        let mut metrics = Metrics::new();
        for (n, row) in options.ns.iter().zip(&summary.recall) {
            for (m, recall) in options.thresholds.iter().zip(row) {
                metrics.set(format!("R{n}@{}", threshold_name(*m)), *recall);
            }
        }
        metrics.with("mIoU", summary.mean_iou)
    }

    /// A table with a row for each group of queries, by name.
    fn group(&self, title: &str, groups: BTreeMap<&str, Vec<usize>>) -> Result<Group> {
        let mut columns = Vec::new();
        let mut rows = Vec::new();
        for (name, members) in groups {
            let metrics = self.named(&self.records.summary_of_sample(&members)?);
            columns = metrics.iter().map(|(name, _)| name.to_owned()).collect();
            columns.push("queries".to_owned());
            let values = metrics.iter().map(|(_, v)| v).chain([members.len() as f64]).collect();
            rows.push((name.to_owned(), values));
        }
        Ok(Group { title: title.to_owned(), columns, rows })
    }

    fn worst(&self) -> Vec<Worst> {
        let first = |i: &usize| self.records.queries[*i].first;
        let mut order: Vec<usize> = (0..self.queries.len()).filter(|i| first(i) < 0.5).collect();
        order.sort_by(|a, b| first(a).total_cmp(&first(b)));
        order.truncate(LISTED);
        let describe = |i: usize| {
            let Segment { start, end } = self.queries[i].segment;
            let what = format!("overlaps {:.3} of {start} to {end} s", first(&i));
            Worst { unit: self.names[i].clone(), what }
        };
        order.into_iter().map(describe).collect()
    }
}

impl Evaluation for Grounded {
    fn unit(&self) -> &'static str {
        "query"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        Ok(self.named(&self.records.summary_of_sample(sample)?))
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn detail(&self) -> Result<Detail> {
        let (mut splits, mut kinds) =
            (BTreeMap::<&str, Vec<usize>>::new(), BTreeMap::<&str, Vec<usize>>::new());
        for (i, query) in self.queries.iter().enumerate() {
            splits.entry(&query.split).or_default().push(i);
            query.kinds.iter().for_each(|kind| kinds.entry(kind).or_default().push(i));
        }
        let mut groups = Vec::new();
        if splits.len() > 1 {
            groups.push(self.group("By split", splits)?);
        }
        if !kinds.is_empty() {
            groups.push(self.group("By what is new", kinds)?);
        }
        Ok(Detail { groups, curves: Vec::new(), worst: self.worst() })
    }
}

fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let moments = |q: Query| PredictedMoments {
        segments: vec![[q.segment.start, q.segment.end]],
        video: q.video,
        sentence: q.sentence,
    };
    let predictions: Vec<PredictedMoments> = queries(inputs)?.into_iter().map(moments).collect();
    let file = folder.join("moments.json");
    write_json(&file, &predictions)?;
    Ok(vec![file])
}
