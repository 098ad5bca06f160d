//! `reid`: find this person again in other cameras.

use std::path::{Path, PathBuf};

use ocelli_data::annotations::reid::{self as lists, PersonPicture};
use ocelli_metrics::average_precision::{ApRule, average_precision};
use ocelli_metrics::identification::Cmc;
use ocelli_metrics::reid::{Pictures, ReidOptions, match_ranks, match_ranks_by_distance};

use crate::protocols::arrays::{self, Table};
use crate::protocols::labels::same_count;
use crate::{
    Choice, Curve, Detail, Evaluation, Inputs, Metrics, Perfect, Protocol, Result, ScoreError, Setting, Worst,
};

/// The protocol.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "reid",
    summary: "person re-identification: mAP and CMC, with camera rule and junk",
    pred: "query and gallery features .npy [N, D], or one distance .npy [queries, gallery]",
    truth: "query and gallery lists: COCAS+ lines, `image person camera`, or Market-1501 file names",
    variants: &[
        Choice {
            name: "market",
            summary: "cosine, own camera and junk left out; map by trapezoids, as Market-1501's tool",
        },
        Choice {
            name: "plain",
            summary: "Euclidean on the features as they are, own camera left out; COCAS, torchreid",
        },
        Choice { name: "plain-all-cameras", summary: "the same without the camera rule" },
    ],
    settings: &[
        Setting { name: "ranks", default: "1,5,10,20", summary: "ranks from 1" },
        Setting {
            name: "clothes",
            default: "any",
            summary: "any, changed (own clothes left out) or same (other clothes left out)",
        },
    ],
    open,
    perfect: Perfect { write: perfect, expect: &[("map", 1.0), ("rank1", 1.0)] },
};

#[derive(Debug)]
struct Queries {
    ap: ApRule,
    ranks: Vec<usize>,
    names: Vec<String>,
    /// Ranks of the matches of each query.
    matches: Vec<Vec<usize>>,
}

fn truth(inputs: &Inputs) -> Result<[Vec<PersonPicture>; 2]> {
    let [query, gallery] = arrays::pair(&inputs.truth, "--truth", "the query list and the gallery list")?;
    Ok([lists::read(query)?, lists::read(gallery)?])
}

fn options(inputs: &Inputs) -> ReidOptions {
    match inputs.variant() {
        "market" => ReidOptions::market(1),
        variant => ReidOptions::plain(variant == "plain", 1),
    }
}

fn open(inputs: &Inputs) -> Result<Box<dyn Evaluation>> {
    let [query, gallery] = truth(inputs)?;
    let options = options(inputs);
    let columns = |list: &[PersonPicture]| -> (Vec<i64>, Vec<i64>) {
        list.iter().map(|p| (p.person, p.camera)).unzip()
    };
    let ((query_ids, query_cameras), (ids, cameras)) = (columns(&query), columns(&gallery));
    let listed = clothes_rule(inputs, &query, &gallery)?;
    let sets =
        (Pictures { ids: &query_ids, cameras: &query_cameras }, Pictures { ids: &ids, cameras: &cameras });
    let matches = if let [file] = &inputs.pred[..] {
        let distances = Table::read(file)?;
        let [rows, items] = distances.dims("a distance table [queries, gallery]")?;
        same_count(file, rows, query.len(), "queries")?;
        same_count(file, items, gallery.len(), "gallery items")?;
        match_ranks_by_distance(distances.matrix("distances")?, sets, &options, &listed)?
    } else {
        let [q, g] = arrays::pair(&inputs.pred, "--pred", "the queries' and the gallery's features")?;
        let (q, g) = (Table::read(q)?, Table::read(g)?);
        same_count(&q.path, q.rows(), query.len(), "queries")?;
        same_count(&g.path, g.rows(), gallery.len(), "gallery items")?;
        match_ranks((q.matrix("query")?, g.matrix("gallery")?), sets, &options, &listed)?
    };
    let names = query.iter().map(|p| p.image.clone()).collect();
    let ap = if inputs.variant() == "market" { ApRule::Trapezoid } else { ApRule::Plain };
    Ok(Box::new(Queries { ap, ranks: inputs.list("ranks")?, names, matches }))
}

/// Which gallery items may stand in the list of which query, as the clothes say.
fn clothes_rule<'a>(
    inputs: &Inputs,
    query: &'a [PersonPicture],
    gallery: &'a [PersonPicture],
) -> Result<Box<dyn Fn(usize, usize) -> bool + Sync + 'a>> {
    let rule: String = inputs.setting("clothes")?;
    if rule == "any" {
        return Ok(Box::new(|_, _| true));
    }
    let wanted_same = match rule.as_str() {
        "same" => true,
        "changed" => false,
        _ => {
            let reason = "any, changed or same is expected".to_owned();
            return Err(ScoreError::Setting { key: "clothes".to_owned(), value: rule, reason });
        }
    };
    for (list, path) in [query, gallery].iter().zip(&inputs.truth) {
        if let Some(i) = list.iter().position(|p| p.clothes.is_none()) {
            return Err(ScoreError::content(path, format!("picture {} has no clothes in the list", i + 1)));
        }
    }
    // The rule concerns the person's own pictures; strangers stay.
    Ok(Box::new(move |q, g| {
        let (q, g) = (&query[q], &gallery[g]);
        q.person != g.person || (q.clothes == g.clothes) == wanted_same
    }))
}

impl Evaluation for Queries {
    fn unit(&self) -> &'static str {
        "query"
    }

    fn units(&self) -> &[String] {
        &self.names
    }

    fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
        let valid: Vec<&[usize]> =
            sample.iter().map(|&i| &self.matches[i][..]).filter(|m| !m.is_empty()).collect();
        let mean = |rule| -> Result<f64> {
            let each = valid.iter().map(|m| average_precision(m, m.len(), rule));
            Ok(each.sum::<Result<f64, _>>()? / valid.len() as f64)
        };
        let first: Vec<usize> = valid.iter().map(|m| m[0]).collect();
        let curve = Cmc::from_first_matches(&first, self.ranks.iter().copied().max().unwrap_or(1))?;
        let mut metrics = Metrics::new().with("map", mean(self.ap)?);
        for &rank in &self.ranks {
            metrics.set(format!("rank{rank}"), rank.checked_sub(1).map_or(0.0, |i| curve.rates[i]));
        }
        // The two areas differ by points; both are given so that numbers can be compared.
        let (other, name) = match self.ap {
            ApRule::Plain => (ApRule::Trapezoid, "map_trapezoid"),
            _ => (ApRule::Plain, "map_plain"),
        };
        metrics.set(name, mean(other)?).set("valid_queries", valid.len() as f64);
        Ok(metrics)
    }

    fn notes(&self) -> Vec<String> {
        let lost = self.matches.iter().filter(|m| m.is_empty()).count();
        (lost > 0).then(|| format!("{lost} queries have no match and are left out")).into_iter().collect()
    }

    fn detail(&self) -> Result<Detail> {
        let first: Vec<usize> = self.matches.iter().filter_map(|m| m.first().copied()).collect();
        let points = (1..).map(f64::from).zip(Cmc::from_first_matches(&first, 50)?.rates).collect();
        let mut order: Vec<(usize, usize)> = self
            .matches
            .iter()
            .enumerate()
            .filter_map(|(i, m)| Some((*m.first()?, i)))
            .filter(|(r, _)| *r > 1)
            .collect();
        order.sort_by_key(|&(rank, i)| (std::cmp::Reverse(rank), i));
        let worst = order.into_iter().take(20);
        let worst = worst.map(|(rank, i)| Worst {
            unit: self.names[i].clone(),
            what: format!("first match at rank {rank}"),
        });
        let lines = vec![("queries".to_owned(), points)];
        let (title, x, y) =
            ("Cumulative match characteristic".to_owned(), "rank".to_owned(), "found".to_owned());
        Ok(Detail { groups: Vec::new(), curves: vec![Curve { title, x, y, lines }], worst: worst.collect() })
    }
}

/// Distance 0 where the person is the same, else 1.
fn perfect(inputs: &Inputs, folder: &Path) -> Result<Vec<PathBuf>> {
    let [query, gallery] = truth(inputs)?;
    let row = |q: &PersonPicture| {
        gallery.iter().map(|g| f64::from(u8::from(q.person != g.person))).collect::<Vec<_>>()
    };
    let file = folder.join("distances.npy");
    arrays::write(&file, &[query.len(), gallery.len()], query.iter().flat_map(row).collect())?;
    Ok(vec![file])
}
