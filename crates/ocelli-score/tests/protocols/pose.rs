//! Joints in the picture and in space.

use crate::{Scoring, close, npy};

/// Two people with two joints; heads of diagonal 10, so that sizes are 6.
const TRUTH: &str = r#"[
    {"image": "a.jpg", "joints": [[10, 10], [20, 20]], "joints_vis": [1, 1], "head_box": [0, 0, 6, 8]},
    {"image": "b.jpg", "joints": [[10, 10], [20, 20]], "joints_vis": [1, 0], "head_box": [0, 0, 6, 8]}]"#;

fn pose2d(pred: &str) -> Scoring {
    Scoring::new("pose2d").truth("truth.json", TRUTH).pred("pred.json", pred).set("excluded", "")
}

#[test]
fn pckh_by_hand() {
    Scoring::new("pose2d").truth("truth.json", TRUTH).set("excluded", "").perfect();
    // Errors of person a: 3 / 6 (correct, just) and 3.1 / 6; of b: 0 and one that is not labelled.
    let pred = r#"[{"image": "a.jpg", "joints": [[13, 10], [20, 23.1]]}, {"joints": [[10, 10], [99, 99]]}]"#;
    let scoring = pose2d(pred);
    close(scoring.value("pck"), 200.0 / 3.0);
    close(scoring.value("pck@0.1"), 100.0 / 3.0);
    close(pose2d(pred).set("threshold", "0.6").value("pck"), 100.0);
    close(pose2d(pred).set("excluded", "1").value("pck"), 100.0);
    let array = Scoring::new("pose2d")
        .truth("t.json", TRUTH)
        .set("excluded", "")
        .pred("pred.npy", npy(&[2, 2, 2], &[13.0, 10.0, 20.0, 23.1, 10.0, 10.0, 99.0, 99.0]));
    close(array.value("pck"), 200.0 / 3.0);
}

#[test]
fn lsp_counts_all_joints() {
    let truth = TRUTH.replace("head_box", "torso_box");
    let pred = r#"[{"joints": [[12, 10], [20, 20]]}, {"joints": [[10, 10], [99, 99]]}]"#;
    let scoring =
        Scoring::new("pose2d").variant("lsp").set("excluded", "").truth("t.json", truth).pred("p.json", pred);
    close(scoring.value("pck"), 75.0);
}

#[test]
fn pose2d_refusals() {
    assert!(pose2d("[{\"joints\": [[1, 2], [3, 4]]}]").complaint().contains("1 people, but the truth has 2"));
    let other = r#"[{"image": "b.jpg", "joints": [[1, 2], [3, 4]]}, {"joints": [[1, 2], [3, 4]]}]"#;
    assert!(pose2d(other).complaint().contains("person 0 is in `b.jpg`, in the truth in `a.jpg`"));
    assert!(
        pose2d("[{\"joints\": [[1, 2]]}, {\"joints\": [[1, 2]]}]")
            .complaint()
            .contains("person 0 has 1 joints")
    );
    assert!(pose2d("[{\"joints\":").complaint().contains("line 1"));
    assert!(pose2d(TRUTH).variant("lsp").complaint().contains("person 0: no `torso_box`"));
    let flat = TRUTH.replace("[0, 0, 6, 8]", "[1, 1, 1, 1]");
    let scoring = Scoring::new("pose2d").truth("t.json", &flat).pred("p.json", TRUTH);
    assert!(scoring.complaint().contains("size of a person = 0"));
}

#[test]
fn pose3d_by_hand() {
    let truth = npy(&[2, 2, 3], &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 5.0, 5.0, 5.0, 5.0, 6.0, 5.0]);
    let scoring = Scoring::new("pose3d").truth("truth.npy", &truth).perfect();
    close(scoring.value("auc"), 100.0 * 30.0 / 31.0);
    // The first pose is 200 mm too long, the second 100 mm too short: two joints of four are off.
    let pred = npy(&[2, 2, 3], &[1.0, 1.0, 1.0, 2.2, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.9, 0.0]);
    let scoring = Scoring::new("pose3d").truth("truth.npy", &truth).pred("pred.npy", pred);
    close(scoring.value("mpjpe"), 75.0);
    close(scoring.value("n_mpjpe"), 0.0);
    close(scoring.value("pck"), 75.0);
    assert!(scoring.value("p_mpjpe") < 1e-9);
}

#[test]
fn pose3d_refusals() {
    let truth = npy(&[1, 2, 3], &[0.0; 6]);
    let scoring = |pred: Vec<u8>| Scoring::new("pose3d").truth("truth.npy", &truth).pred("pred.npy", pred);
    assert!(scoring(npy(&[1, 3, 2], &[0.0; 6])).complaint().contains("shape [1, 3, 2]"));
    let nan = scoring(npy(&[1, 2, 3], &[0.0, 0.0, f64::NAN, 0.0, 0.0, 0.0]));
    assert!(nan.complaint().contains("pose 0: predicted joints[2] is NaN"));
    assert!(scoring(npy(&[1, 2, 3], &[0.0; 6])).set("root", "2").complaint().contains("root = 2"));
    assert!(scoring(npy(&[1, 2, 3], &[0.0; 6])).set("unit", "inch").complaint().contains("m or mm"));
    assert!(scoring(b"nonsense".to_vec()).complaint().contains("pred.npy"));
}
