//! Codes, neighbours, directions.

use crate::{Scoring, close, data, npy, npy_integers};
use ocelli_method::{Array, Data};

#[test]
fn hashing_by_hand() {
    let labels =
        || Scoring::new("hashing").truth("q.txt", "1\n").truth("d.txt", "1\n0\n1\n").set("at", "1,2");
    labels().perfect();
    let query = npy(&[1, 3], &[-1.0, -1.0, -1.0]);
    let database = npy(&[3, 3], &[-1.0, -1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, -1.0]);
    let scoring = || labels().pred("q.npy", &query).pred("d.npy", &database);
    close(scoring().value("map"), (1.0 + 2.0 / 3.0) / 2.0);
    close(scoring().value("precision@2"), 0.5);
    close(scoring().value("precision_in_radius"), 2.0 / 3.0);
    close(scoring().set("top", "2").value("map"), 1.0);

    let bytes = |values: Vec<u8>| {
        ocelli_data::annotations::npy::to_bytes(&Array::new([values.len(), 1], Data::U8(values)).unwrap())
    };
    let packed = labels().set("bits", "3").pred("q.npy", bytes(vec![0])).pred("d.npy", bytes(vec![0, 4, 3]));
    assert_eq!(packed.metrics(), scoring().metrics());
}

#[test]
fn hashing_refusals() {
    let scoring = |q: Vec<u8>, d: Vec<u8>| {
        Scoring::new("hashing")
            .truth("q.txt", "1\n")
            .truth("d.txt", "1\n0\n")
            .pred("q.npy", q)
            .pred("d.npy", d)
    };
    let (q, d) = (npy(&[1, 2], &[1.0; 2]), npy(&[2, 2], &[1.0; 4]));
    assert!(scoring(q.clone(), q.clone()).complaint().contains("1 items, but the truth has 2"));
    assert!(scoring(npy(&[1, 3], &[1.0; 3]), d.clone()).complaint().contains("query codes has 3 columns"));
    assert!(scoring(q.clone(), d.clone()).set("bits", "2").complaint().contains("bytes (uint8)"));
    assert!(scoring(q, d).set("at", "0").complaint().contains("ranks, which count from 1"));
    assert!(Scoring::new("hashing").truth("q.txt", "1\n").complaint().contains("--truth takes two files"));
}

#[test]
fn neighbours_by_hand() {
    let truth = || {
        Scoring::new("ann")
            .truth("t.npy", npy_integers(&[2, 2], &[7, 3, 1, 2]))
            .set("k", "1,2")
            .set("n", "1,3")
    };
    truth().perfect();
    let scoring = truth().pred("p.npy", npy_integers(&[2, 3], &[7, 9, 3, 2, 5, 1]));
    close(scoring.value("recall_1@1"), 0.5);
    close(scoring.value("recall_2@2"), 0.5);
    close(scoring.value("recall_1@3"), 1.0);
    let near = truth()
        .variant("distances")
        .truth("td.npy", npy(&[2, 2], &[0.1, 0.5, 0.2, 0.3]))
        .pred("p.npy", npy_integers(&[2, 2], &[9, 3, 4, 5]))
        .pred("d.npy", npy(&[2, 2], &[0.1, 0.5004, 0.2, 0.9]));
    close(near.value("recall_2@2"), 0.75);
    let nan = truth()
        .variant("distances")
        .truth("td.npy", npy(&[2, 2], &[0.1, 0.5, 0.2, f64::NAN]))
        .pred("p.npy", npy_integers(&[2, 2], &[9, 3, 4, 5]))
        .pred("d.npy", npy(&[2, 2], &[0.1; 4]));
    assert!(nan.complaint().contains("td.npy: distance 3 is NaN"));
    assert!(truth().pred("p.npy", npy_integers(&[1, 1], &[1])).complaint().contains("1 queries"));
    assert!(
        truth().set("k", "3").pred("p.npy", npy_integers(&[2, 1], &[1, 1])).complaint().contains("k = 3")
    );
    assert!(truth().pred("p.npy", npy(&[2, 1], &[0.5, 1.0])).complaint().contains("element 0 is 0.5"));
}

#[test]
fn vectors_of_the_corpora_are_read() {
    let Some(root) = data("sift-5k") else { return };
    let base = root.join("sift_base_5k.fvecs");
    let scoring = Scoring::new("direction").truth_at(&base).pred_at(&base);
    close(scoring.value("cosine"), 1.0);
    assert_eq!(scoring.open().unwrap().units().len(), 5000);
}

#[test]
fn directions_by_hand() {
    Scoring::new("direction").truth("t.txt", "3\n4\n").perfect();
    let scoring = Scoring::new("direction").truth("t.txt", "3\n4\n").pred("p.npy", npy(&[2], &[-2.0, 0.0]));
    close(scoring.value("cosine"), 0.6);
    close(scoring.value("sin"), 0.8);
    let zero = Scoring::new("direction").truth("t.txt", "3\n4\n").pred("p.txt", "0\n0\n");
    assert!(zero.complaint().contains("vector 0: row 0 of estimate has length zero"));
    let short = Scoring::new("direction").truth("t.txt", "3\n4\n").pred("p.txt", "1\n");
    assert!(short.complaint().contains("shape [1], but the truth has [2]"));
}
