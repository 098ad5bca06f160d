//! Labels of items, videos, statements and episodes.

use crate::{Scoring, close, npy, npy_integers};
use ocelli_score::{compare, interval};

const SCORES: [f64; 9] = [0.9, 0.1, 0.0, 0.2, 0.3, 0.5, 0.4, 0.4, 0.2];

fn topk() -> Scoring {
    Scoring::new("topk").truth("truth.txt", "clip_a 8 0\nclip_b 9 1\nclip_c 9 1\n").set("k", "1,2")
}

#[test]
fn topk_by_hand() {
    topk().perfect();
    let scoring = topk().pred("scores.npy", npy(&[3, 3], &SCORES));
    // Ranks 1, 2 and, behind the class of the smaller index, 2.
    close(scoring.value("top1"), 100.0 / 3.0);
    close(scoring.value("top2"), 100.0);
    close(scoring.value("mean_class_accuracy"), 50.0);
    assert_eq!(scoring.open().unwrap().units(), ["clip_a", "clip_b", "clip_c"]);
    let shards = topk().pred("a.npy", npy(&[1, 3], &SCORES[..3])).pred("b.npy", npy(&[2, 3], &SCORES[3..]));
    assert_eq!(shards.metrics(), scoring.metrics());
}

#[test]
fn views_are_averaged_as_the_variant_says() {
    let views = npy(&[1, 3, 2], &[3.0, 0.0, 3.0, 0.0, -8.0, 0.0]);
    let scoring = || Scoring::new("topk").truth("truth.txt", "0\n").pred("scores.npy", &views);
    close(scoring().value("top1"), 0.0);
    close(scoring().variant("probabilities").value("top1"), 100.0);
}

#[test]
fn topk_refusals() {
    assert!(
        topk().pred("s.npy", npy(&[2, 3], &SCORES[..6])).complaint().contains("2 items, but the truth has 3")
    );
    let mut nan = SCORES;
    nan[4] = f64::NAN;
    assert!(topk().pred("s.npy", npy(&[3, 3], &nan)).complaint().contains("scores[4] is NaN"));
    let beyond = Scoring::new("topk").truth("t.txt", "0\n3\n").pred("s.npy", npy(&[2, 3], &SCORES[..6]));
    assert!(beyond.complaint().contains("labels[1] is class 3; the classes are 0 to 2"));
    let text = Scoring::new("topk").truth("t.txt", "0\nx\n").pred("s.npy", npy(&[2, 3], &SCORES[..6]));
    assert!(text.complaint().contains("t.txt: line 2: an integer label expected, found `x`"));
    assert!(topk().pred("s.txt", "1\n2\n3\n").complaint().contains("scores [N, K]"));
    assert!(topk().complaint().contains("no file was given"));
}

#[test]
fn intervals_and_comparisons_work_on_these_protocols() {
    let labels: String = (0..60).map(|i| format!("{}\n", i % 3)).collect();
    let scores = |wrong: usize| -> Vec<f64> {
        let right = |i: usize, k: usize| k == (i + usize::from(i.is_multiple_of(wrong))) % 3;
        (0..180).map(|j| if right(j / 3, j % 3) { 1.0 } else { 0.0 }).collect()
    };
    let scoring =
        |wrong| Scoring::new("topk").truth("t.txt", &labels).pred("s.npy", npy(&[60, 3], &scores(wrong)));
    let (bad, good) = (scoring(2), scoring(6));
    let (bad, good) = (bad.open().unwrap(), good.open().unwrap());
    let found = interval::intervals(&*bad, 200, 1).unwrap();
    assert!(found[0].low.unwrap() < 50.0 && found[0].high.unwrap() > 50.0);
    let difference = compare::compare(&*bad, &*good, 200, 1).unwrap();
    assert!(difference[0].p.unwrap() < 0.05 && difference[0].low.unwrap() > 0.0);
}

#[test]
fn gap_by_hand() {
    let truth = "Id,Labels\na,0 1\nb,2\nc,\n";
    let pred = "VideoId,LabelConfidencePairs\na,0 0.9 3 0.4\nb,1 0.8 2 0.5\n";
    let whole = Scoring::new("gap").truth("t.csv", "Id,Labels\na,0 1\nb,2\n").perfect();
    close(whole.value("map"), 1.0);
    let scoring = Scoring::new("gap").truth("t.csv", truth).pred("p.csv", pred);
    // Pooled: hit 0.9, miss 0.8, hit 0.5, miss 0.4; three labels.
    close(scoring.value("gap"), (1.0 + 2.0 / 3.0) / 3.0);
    close(scoring.value("map"), (1.0 + 0.0 + 1.0) / 3.0);
    close(scoring.value("perr"), (0.5 + 0.0 + 0.0) / 3.0);
    close(scoring.value("hit@1"), 1.0 / 3.0);
    assert!(scoring.open().unwrap().notes()[0].contains("1 videos have no prediction"));
    close(
        Scoring::new("gap").set("top", "1").truth("t.csv", truth).pred("p.csv", pred).value("gap"),
        1.0 / 3.0,
    );
}

#[test]
fn gap_refusals() {
    let scoring = |pred: &str| Scoring::new("gap").truth("t.csv", "a,0\nb,1\n").pred("p.csv", pred);
    assert!(scoring("a,0 0.5\na,1 0.5\n").complaint().contains("video `a` is predicted twice"));
    assert!(scoring("a,0 NaN\n").complaint().contains("p.csv:1: a finite score"));
    assert!(scoring("a,0 0.5 0 0.6\n").complaint().contains("class 0 twice"));
    assert!(scoring("VideoId,LabelConfidencePairs\n").complaint().contains("no video"));
    assert!(scoring("a,0 0.5\nz,1 0.5\n").open().unwrap().notes()[0].contains("1 predictions of videos"));
    let twice = Scoring::new("gap").truth("t.csv", "a,0\na,1\n").pred("p.csv", "a,0 0.5\n");
    assert!(twice.complaint().contains("video `a` is listed twice"));
}

#[test]
fn statements_by_hand() {
    Scoring::new("statements").truth("t.txt", "1\n0\n1\n").perfect();
    let scoring =
        Scoring::new("statements").truth("t.txt", "s1 1\ns2 0\ns3 1\n").pred("p.txt", "0.5\n0.5\n0.1\n");
    close(scoring.value("accuracy"), 1.0 / 3.0);
    close(scoring.value("accuracy_true"), 0.5);
    close(scoring.value("accuracy_false"), 0.0);
    let wrong = Scoring::new("statements").truth("t.txt", "1\n2\n").pred("p.txt", "0.5\n0.5\n");
    assert!(wrong.complaint().contains("statement 2: label 0 or 1 expected, found 2"));
}

#[test]
fn few_shot_by_hand() {
    let truth = npy_integers(&[2, 4], &[0, 1, 2, 3, 0, 1, 2, 3]);
    Scoring::new("few-shot").truth("t.npy", &truth).perfect();
    let pred = npy_integers(&[2, 4], &[0, 1, 2, 3, 0, 1, 0, 0]);
    let scoring = Scoring::new("few-shot").truth("t.npy", &truth).pred("p.npy", pred);
    close(scoring.value("accuracy"), 0.75);
    close(scoring.value("half_width"), 1.96 * 0.125f64.sqrt() / 2f64.sqrt());
    let short = Scoring::new("few-shot").truth("t.npy", &truth).pred("p.npy", npy_integers(&[1, 4], &[0; 4]));
    assert!(short.complaint().contains("shape [1, 4], but the truth has [2, 4]"));
}
