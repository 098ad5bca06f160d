//! Verification, identification, re-identification, liveness.

use crate::{Scoring, close, npy};

const LFW_PAIRS: &str = "2\t1\nAda_L\t1\t12\nAda_L\t2\tBob_M\t3\nCy\t1\t2\nCy\t1\tBob_M\t1\n";

#[test]
fn lfw_takes_pair_lists_and_embeddings() {
    let scoring = Scoring::new("lfw").set("folds", "2").truth("pairs.txt", LFW_PAIRS);
    let scoring = scoring.perfect();
    assert_eq!(scoring.open().unwrap().units()[1], "Ada_L_0002 Bob_M_0003");
    let rows = [1.0, 0.0, 1.0, 0.1, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.1, 1.0, 1.0, 0.0, 0.0, 1.0];
    for variant in ["curricularface", "ir-softmax", "npcface", "search-softmax"] {
        let scoring = Scoring::new("lfw").variant(variant).set("folds", "2").truth("pairs.txt", LFW_PAIRS);
        let scoring = scoring.pred("embeddings.npy", npy(&[8, 2], &rows));
        close(scoring.value("accuracy"), 1.0);
    }
    let odd = Scoring::new("lfw")
        .set("folds", "2")
        .truth("pairs.txt", LFW_PAIRS)
        .pred("e.npy", npy(&[7, 2], &rows[..14]));
    assert!(odd.complaint().contains("an even number"));
    let neither = Scoring::new("lfw").truth("pairs.txt", "one\ntwo\n").pred("s.txt", "1\n");
    assert!(neither.complaint().contains("line 1: an integer label expected, found `one`"));
}

#[test]
fn roc_by_hand() {
    let truth = "1\n1\n0\n1\n0\n";
    for variant in ["rank-round", "rank-floor", "next-strict", "at-least-one", "nearest", "histogram"] {
        Scoring::new("roc").variant(variant).truth("t.txt", truth).perfect();
    }
    let scoring = Scoring::new("roc")
        .set("fars", "0,0.5")
        .truth("t.txt", truth)
        .pred("s.txt", "0.9\n0.7\n0.6\n0.2\n0.1\n");
    close(scoring.value("tar@0"), 2.0 / 3.0);
    close(scoring.value("tar@0.5"), 2.0 / 3.0);
    close(scoring.value("auc"), 5.0 / 6.0);
    let detail = scoring.open().unwrap().detail().unwrap();
    assert_eq!(detail.worst[0].unit, "pair 3");
    let one = Scoring::new("roc").truth("t.txt", "1\n1\n").pred("s.txt", "0.9\n0.7\n");
    assert!(one.complaint().contains("no pairs of different people"));
    let rate = Scoring::new("roc").set("fars", "2").truth("t.txt", truth).pred("s.txt", "1\n2\n3\n4\n5\n");
    assert!(rate.complaint().contains("fars = 2 is not allowed"));
    let nan = Scoring::new("roc").truth("t.txt", truth).pred("s.txt", "1\nNaN\n3\n4\n5\n");
    assert!(nan.complaint().contains("s.txt:2: a finite number expected"));
}

const MEDIA: &str = "1.jpg 7 1\n2.jpg 7 1\n3.jpg 8 2\n4.jpg 9 3\n";
const PAIRS: &str = "7 8 1\n7 9 0\n8 9 0\n";

#[test]
fn ijb_by_hand() {
    let truth = || Scoring::new("ijb").truth("meta.txt", MEDIA).truth("pairs.txt", PAIRS);
    truth().perfect();
    truth().set("detector", "true").perfect();
    truth().variant("next-strict").set("flip", "false").perfect();
    let rows = [1.0, 0.0, 0.0, 0.0, 1.0, 0.2, 0.0, 0.0, 0.9, 0.1, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    let scoring = truth().pred("f.npy", npy(&[4, 4], &rows));
    close(scoring.value("tar@1e-4"), 1.0);
    assert_eq!(scoring.open().unwrap().units(), ["template 7", "template 8"]);
    assert!(
        truth()
            .pred("f.npy", npy(&[3, 4], &rows[..12]))
            .complaint()
            .contains("3 pictures, but the truth has 4")
    );
    let missing = truth().set("detector", "true").pred("f.npy", npy(&[4, 4], &rows));
    assert!(missing.complaint().contains("detector"));
    let unknown = Scoring::new("ijb").truth("meta.txt", MEDIA).truth("pairs.txt", "7 5 1\n7 9 0\n");
    assert!(unknown.pred("f.npy", npy(&[4, 4], &rows)).complaint().contains("pair 0 names template 5"));
}

#[test]
fn identification_by_hand() {
    let truth = || {
        Scoring::new("identification")
            .truth("p.txt", "a 1 front\nb 2 side\nc 9 side\n")
            .truth("g.txt", "1\n2\n")
    };
    let table = npy(&[3, 2], &[0.9, 0.1, 0.6, 0.5, 0.3, 0.2]);
    let scoring = || truth().pred("s.npy", &table).set("ranks", "1,2").set("fars", "0.25,0");
    // Probe a at rank 1, b at rank 2, c has no mate.
    close(scoring().value("rank1"), 1.0 / 3.0);
    close(scoring().value("rank2"), 2.0 / 3.0);
    // Genuine 0.9 and 0.5, impostors 0.6, 0.3, 0.2 and 0.1: one of the four may pass.
    close(scoring().value("vr@0.25"), 1.0);
    close(scoring().value("vr@0"), 0.5);
    close(scoring().variant("cmc").value("rank1"), 0.5);
    let evaluation = scoring().open().unwrap();
    assert!(evaluation.notes()[0].contains("1 probes have no mate"));
    let groups = evaluation.detail().unwrap().groups;
    assert_eq!(groups[0].rows, [("front".to_owned(), vec![1.0]), ("side".to_owned(), vec![0.0])]);
    let mated =
        || Scoring::new("identification").truth("p.txt", "1\n2\n").truth("g.txt", "1\n2\n").set("ranks", "1");
    mated().perfect();
    let features = mated()
        .pred("p.npy", npy(&[2, 2], &[2.0, 0.0, 0.0, 1.0]))
        .pred("g.npy", npy(&[2, 2], &[1.0, 0.0, 0.1, 1.0]));
    close(features.value("rank1"), 1.0);
    let zero = mated().pred("p.npy", npy(&[2, 2], &[0.0; 4])).pred("g.npy", npy(&[2, 2], &[1.0; 4]));
    assert!(zero.complaint().contains("row 0 of probe has length zero"));
    assert!(
        mated()
            .pred("s.npy", npy(&[2, 3], &[0.0; 6]))
            .complaint()
            .contains("3 gallery items, but the truth has 2")
    );
}

const QUERY: &str = "q1.jpg t1.jpg 1 20 1\nq2.jpg t2.jpg 7 20 1\n";
const GALLERY: &str = "g1.jpg 1 20 1\ng2.jpg 2 5 2\ng3.jpg 1 21 2\ng4.jpg 1 20 3\n";

#[test]
fn reid_by_hand() {
    let truth = |variant| {
        Scoring::new("reid")
            .variant(variant)
            .truth("q.txt", QUERY)
            .truth("g.txt", GALLERY)
            .set("ranks", "1,2")
    };
    for variant in ["market", "plain", "plain-all-cameras"] {
        truth(variant).perfect();
    }
    let table = npy(&[2, 4], &[0.1, 0.2, 0.3, 0.4, 0.1, 0.2, 0.3, 0.4]);
    let scoring = |variant| truth(variant).pred("d.npy", &table);
    // The camera rule drops g1; of g2, g3, g4 the last two are matches.
    close(scoring("plain").value("map"), (0.5 + 2.0 / 3.0) / 2.0);
    close(scoring("plain").value("map_trapezoid"), (0.25 + (0.5 + 2.0 / 3.0) / 2.0) / 2.0);
    close(scoring("market").value("map"), scoring("plain").value("map_trapezoid"));
    close(scoring("plain-all-cameras").value("map"), (1.0 + 2.0 / 3.0 + 0.75) / 3.0);
    close(scoring("plain").value("rank1"), 0.0);
    close(scoring("plain").value("rank2"), 1.0);
    close(scoring("plain").value("valid_queries"), 1.0);
    assert!(scoring("plain").open().unwrap().notes()[0].contains("1 queries have no match"));
    // Of other clothes there is g3 alone.
    close(scoring("plain").set("clothes", "changed").value("map"), 0.5);
    close(scoring("plain").set("clothes", "same").value("map"), 0.5);
    let features = truth("plain")
        .pred("q.npy", npy(&[2, 1], &[0.0, 9.0]))
        .pred("g.npy", npy(&[4, 1], &[0.1, 0.2, 0.3, 0.4]));
    close(features.value("map"), (0.5 + 2.0 / 3.0) / 2.0);
}

#[test]
fn reid_refusals() {
    let scoring = |query: &str| {
        Scoring::new("reid")
            .truth("q.txt", query)
            .truth("g.txt", GALLERY)
            .pred("d.npy", npy(&[1, 4], &[0.1; 4]))
    };
    assert!(scoring("a 1 2\nb 1 2\n").complaint().contains("1 queries, but the truth has 2"));
    assert!(scoring("a 1 2\n").set("clothes", "changed").complaint().contains("picture 1 has no clothes"));
    assert!(scoring("a 1 2\n").set("clothes", "red").complaint().contains("any, changed or same"));
    assert!(
        scoring("a 88 2\n").complaint().contains("no probes with a match")
            || scoring("a 88 2\n").complaint().contains("match")
    );
    assert!(scoring("a one 2\n").complaint().contains("q.txt:1: a person's number"));
}

#[test]
fn liveness_by_hand() {
    let truth = "a.png 1 3\nb.png 1 4\nc.png 0\nd.png 0\n";
    for variant in ["attack", "live"] {
        Scoring::new("liveness").variant(variant).truth("t.txt", truth).perfect();
    }
    let pred = "d.png 0.1\nc.png 0.7\nb.png 0.2\na.png 0.9\ne.png 0.5\n";
    let scoring = || Scoring::new("liveness").truth("t.txt", truth).pred("p.txt", pred).set("fprs", "0.5");
    close(scoring().value("apcer"), 0.5);
    close(scoring().value("bpcer"), 0.5);
    close(scoring().value("apcer_worst_type"), 1.0);
    close(scoring().value("auc"), 0.75);
    close(scoring().value("recall@0.5"), 0.5);
    close(scoring().set("threshold", "0.15").value("acer"), 0.25);
    let evaluation = scoring().open().unwrap();
    assert!(evaluation.notes()[0].contains("1 scores of pictures"));
    assert_eq!(evaluation.detail().unwrap().worst[0].unit, "b.png");
    let live = Scoring::new("liveness")
        .variant("live")
        .truth("t.txt", "0\n1\n0\n1\n")
        .pred("p.txt", "0.9\n0.1\n0.8\n0.85\n");
    close(live.set("development", "2").value("hter"), 0.0 + 0.5);
}

#[test]
fn liveness_refusals() {
    let scoring = |pred: &str| Scoring::new("liveness").truth("t.txt", "a 1\nb 0\n").pred("p.txt", pred);
    assert!(scoring("a 0.5\n").complaint().contains("`b` of the truth has no score"));
    assert!(scoring("a 0.5\na 0.6\nb 0.1\n").complaint().contains("`a` is scored twice"));
    assert!(scoring("0.5\n").complaint().contains("1 pictures, but the truth has 2"));
    assert!(scoring("a NaN\nb 1\n").complaint().contains("p.txt:1: a finite score"));
    let one = Scoring::new("liveness").truth("t.txt", "1\n1\n").pred("p.txt", "0.5\n0.6\n");
    assert!(one.complaint().contains("no live people"));
}
