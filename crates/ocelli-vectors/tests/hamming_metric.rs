//! The evaluator's reference cases through the search: retrieval by codes is scored on the ranking that the search gives.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use ocelli_method::{Array, case::Case};
use ocelli_vectors::hamming::{Codes, MultiIndex};

/// Whether items share a label: a class each, or rows of 0 and 1.
fn relevant(query: &Array, q: usize, database: &Array, d: usize) -> bool {
    let (a, b) = (query.as_i64().unwrap(), database.as_i64().unwrap());
    match *query.shape() {
        [_, classes] => (0..classes).any(|c| a[q * classes + c] == 1 && b[d * classes + c] == 1),
        _ => a[q] == b[d],
    }
}

fn check(case: &Case) {
    let input = |name: &str| &case.inputs[name];
    let wanted = |name: &str| &case.expected[name];
    let close = |got: f64, want: f32, what: &str| {
        let bound = case.atol + case.rtol * f64::from(want).abs();
        assert!((got - f64::from(want)).abs() <= bound, "{} {what}: {got}, wanted {want}", case.name);
    };
    let codes =
        |name: &str| Codes::from_signs(input(name).as_f32().unwrap(), input(name).shape()[1]).unwrap();
    let (queries, database) = (codes("query"), codes("database"));
    assert_eq!(queries.to_bytes(), wanted("query_packed").as_u8().unwrap());
    assert_eq!(database.to_bytes(), wanted("database_packed").as_u8().unwrap());

    let top = case.config["top"].as_u64().map_or(database.len(), |top| top as usize);
    let radius = case.config["radius"].as_u64().unwrap();
    let index = MultiIndex::new(database.clone()).unwrap();
    let ranked = index.nearest(&queries, database.len()).unwrap();
    let near = index.within(&queries, radius as u32).unwrap();
    assert_eq!(database.nearest(&queries, database.len()).unwrap(), ranked);

    let (mut map, mut precision) = (0.0, 0.0);
    let mut at = vec![0.0; case.config["at"].as_array().unwrap().len()];
    for q in 0..queries.len() {
        let is_hit = |d: u32| relevant(input("query_label"), q, input("database_label"), d as usize);
        let distances = &wanted("distance").as_i64().unwrap()[q * database.len()..];
        assert!(ranked.of(q).iter().all(|n| i64::from(n.distance) == distances[n.number as usize]));
        let (mut hits, mut sum) = (0.0, 0.0);
        for (rank, _) in (1..).zip(&ranked.of(q)[..top.min(database.len())]).filter(|(_, n)| is_hit(n.number))
        {
            hits += 1.0;
            sum += hits / f64::from(rank);
        }
        let ap = if hits > 0.0 { sum / hits } else { 0.0 };
        close(ap, wanted("ap").as_f32().unwrap()[q], "ap");
        map += ap / queries.len() as f64;
        let share = |of: &[ocelli_vectors::hamming::Neighbour]| {
            of.iter().filter(|n| is_hit(n.number)).count() as f64 / of.len().max(1) as f64
        };
        precision += share(near.of(q)) / queries.len() as f64;
        for (sum, k) in at.iter_mut().zip(case.config["at"].as_array().unwrap()) {
            let k = k.as_u64().unwrap() as usize;
            *sum += share(&ranked.of(q)[..k.min(database.len())]) / queries.len() as f64;
        }
    }
    let scalar = |name: &str| wanted(name).as_f32().unwrap()[0];
    close(map, scalar("map"), "map");
    close(precision, scalar("precision_radius"), "precision within the radius");
    for (got, k) in at.into_iter().zip(case.config["at"].as_array().unwrap()) {
        close(got, scalar(&format!("precision_{k}")), "precision at k");
    }
}

#[test]
fn the_rankings_score_as_the_reference_cases_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../goldens/dmuh");
    let mut checked = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let case = Case::parse(&name, &fs::read(&path).unwrap()).unwrap();
        if case.component == "metric" {
            check(&case);
            checked += 1;
        }
    }
    assert!(checked >= 2, "only {checked} cases");
}
