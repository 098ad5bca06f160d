//! `identification`: who is this? Rank 1 and CMC in a gallery, and verification of all its pairs.

use std::path::{Path, PathBuf};

use ocelli_metrics::Matrix;
use ocelli_metrics::identification::{Cmc, RankOne, cmc, rank_one};
use ocelli_metrics::roc::FarRule;
use ocelli_metrics::similarity::{Measure, pairwise};

use super::pairs::Falling;
use crate::protocols::arrays::{self, Table};
use crate::protocols::labels::{LabelList, same_count};
use crate::{
    Choice, Curve, Detail, Evaluation, Group, Inputs, Metrics, Perfect, Protocol, Result, Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "identification",
    summary: "face identification: rank-1, CMC, rank-1 by group of probes, VR@FAR over all pairs of probe and gallery",
    pred: "probe and gallery features .npy [N, D], or one similarity .npy [probes, gallery]",
    truth: "probe and gallery labels: text `label`, `name label` or `name label group`, or .npy",
    variants: &[
        Choice {
            name: "label",
            summary: "the best item has the probe's label, the first of equals; a probe without a mate is missed",
        },
        Choice {
            name: "cmc",
            summary: "some item of the label is among the k best; probes without a mate are left out",
        },
    ],
    settings: &[
        Setting { name: "ranks", default: "1,5,10", summary: "ranks from 1" },
        Setting { name: "fars", default: "1e-2,1e-3", summary: "shares between 0 and 1" },
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("rank1", 1.0)] },
};

#[derive(Debug)]
struct Probes {
    is_cmc: bool,
    ranks: Vec<usize>,
    fars: Vec<(String, f64)>,
    names: Vec<String>,
    groups: Vec<String>,
    gallery: usize,
    /// All pairs of a probe and a gallery item.
    pairs: Falling,
    rank_one: RankOne,
    /// Rank of the first item of the label; none for probes without a mate.
    first_match: Vec<Option<usize>>,
}

fn truth(inputs: &Inputs) -> Result<[LabelList; 2]> {
    let [probe, gallery] = arrays::pair(&inputs.truth, "--truth", "the probes' and the gallery's labels")?;
    Ok([LabelList::read(probe, "probe")?, LabelList::read(gallery, "item")?])
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let [probe, gallery] = truth(inputs)?;
    let shape = [probe.labels.len(), gallery.labels.len()];
    let similarity = similarity(inputs, shape)?;
    let table = Matrix::new("similarity", &similarity, shape)?;
    let rank_one = rank_one(table, &probe.labels, &gallery.labels)?;
    let first = |(row, label): (&[f64], &i64)| {
        let row = Matrix::new("similarity", row, [1, row.len()]).ok()?;
        let curve = cmc(row, &[*label], &gallery.labels, gallery.labels.len()).ok()?;
        curve.rates.iter().position(|r| *r == 1.0).map(|at| at + 1)
    };
    let first_match = table.iter().zip(&probe.labels).map(first).collect();
    let pairs = (0..probe.labels.len()).flat_map(|p| (0..gallery.labels.len()).map(move |g| (p, g)));
    let pair = |(p, g): (usize, usize)| (table.row(p)[g], probe.labels[p] == gallery.labels[g], p as u32);
    let pairs = pairs.map(pair).collect();
    let texts: Vec<String> = inputs.list("fars")?;
    Ok(Box::new(Probes {
        is_cmc: inputs.variant() == "cmc",
        ranks: inputs.list("ranks")?,
        fars: texts.into_iter().zip(inputs.list("fars")?).collect(),
        names: probe.names,
        groups: probe.groups,
        gallery: gallery.labels.len(),
        rank_one,
        first_match,
        pairs: Falling::new(pairs),
    }))
}

/// `[probes, gallery]`: cosines of features, or the file's own numbers.
fn similarity(inputs: &Inputs, [probes, items]: [usize; 2]) -> Result<Vec<f64>> {
    if let [file] = &inputs.pred[..] {
        let table = Table::read(file)?;
        let [rows, columns] = table.dims("a similarity table [probes, gallery]")?;
        same_count(file, rows, probes, "probes")?;
        same_count(file, columns, items, "gallery items")?;
        return Ok(table.values);
    }
    let [probe, gallery] = arrays::pair(&inputs.pred, "--pred", "the probes' and the gallery's features")?;
    let (probe, gallery) = (Table::read(probe)?, Table::read(gallery)?);
    same_count(&probe.path, probe.rows(), probes, "probes")?;
    same_count(&gallery.path, gallery.rows(), items, "gallery items")?;
    Ok(pairwise(probe.matrix("probe")?, gallery.matrix("gallery")?, Measure::Cosine)?)
}

impl Evaluation for Probes {
    fn unit(&self) -> &'static str {
        "probe"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        let largest = self.ranks.iter().copied().max().unwrap_or(1);
        let found: Vec<usize> = sample.iter().filter_map(|&i| self.first_match[i]).collect();
        let curve = Cmc::from_first_matches(&found, largest)?;
        // By label a probe without a mate is missed, so the curve counts among all probes.
        let share = if self.is_cmc { 1.0 } else { found.len() as f64 / sample.len() as f64 };
        for &rank in &self.ranks {
            let rate = rank.checked_sub(1).map_or(0.0, |i| curve.rates[i]);
            metrics.set(format!("rank{rank}"), rate * share);
        }
        let fars: Vec<f64> = self.fars.iter().map(|(_, far)| *far).collect();
        // A gallery of one person has no impostors, and then there is no rate to hold.
        let scores = self.pairs.of(sample, self.names.len());
        let points = scores.and_then(|s| s.tar_at_far(&fars, FarRule::NextStrict));
        for (i, (text, _)) in self.fars.iter().enumerate() {
            metrics.set(format!("vr@{text}"), points.as_ref().map_or(f64::NAN, |p| p[i].tar));
        }
        Ok(metrics)
    }

    fn notes(&self) -> Vec<String> {
        let strangers = self.first_match.iter().filter(|m| m.is_none()).count();
        let what = if self.is_cmc { "left out of the CMC" } else { "counted as missed" };
        (strangers > 0)
            .then(|| format!("{strangers} probes have no mate in the gallery and are {what}"))
            .into_iter()
            .collect()
    }

    fn detail(&self) -> Result<Detail> {
        let found: Vec<usize> = self.first_match.iter().flatten().copied().collect();
        let curve = Cmc::from_first_matches(&found, self.gallery.min(50))?;
        let points = (1..).map(f64::from).zip(curve.rates).collect();
        let mut names = self.groups.clone();
        names.sort();
        names.dedup();
        let mut groups = Vec::new();
        if !names.is_empty() {
            let place: Vec<usize> = self.groups.iter().map(|g| names.partition_point(|n| n < g)).collect();
            let shares = self.rank_one.by_group(&place, names.len())?;
            let rows =
                names.into_iter().zip(shares).map(|(name, share)| (name, vec![share.unwrap_or(f64::NAN)]));
            let columns = vec!["rank-1".to_owned()];
            groups.push(Group { title: "Rank-1 by group".to_owned(), columns, rows: rows.collect() });
        }
        let mut worst: Vec<(usize, usize)> = self
            .first_match
            .iter()
            .enumerate()
            .filter_map(|(i, m)| m.filter(|r| *r > 1).map(|r| (r, i)))
            .collect();
        worst.sort_by_key(|&(rank, i)| (std::cmp::Reverse(rank), i));
        let worst = worst.into_iter().take(20);
        let worst = worst
            .map(|(rank, i)| Worst { unit: self.names[i].clone(), what: format!("mate at rank {rank}") });
        let lines = vec![("probes with a mate".to_owned(), points)];
        let (title, x, y) =
            ("Cumulative match characteristic".to_owned(), "rank".to_owned(), "found".to_owned());
        Ok(Detail { groups, curves: vec![Curve { title, x, y, lines }], worst: worst.collect() })
    }
}

/// 1 where the labels agree, else 0.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let [probe, gallery] = truth(inputs)?;
    let same = |p: &i64| gallery.labels.iter().map(|g| f64::from(u8::from(p == g))).collect::<Vec<_>>();
    let file = folder.join("similarity.npy");
    arrays::write(
        &file,
        &[probe.labels.len(), gallery.labels.len()],
        probe.labels.iter().flat_map(same).collect(),
    )?;
    Ok(vec![file])
}
