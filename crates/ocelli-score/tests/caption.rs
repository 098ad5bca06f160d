//! The protocol `caption` through real files.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use ocelli_score::{Inputs, protocol};
use std::path::{Path, PathBuf};

const TRUTH: &str = r#"{"images": [{"id": 1}, {"id": 2}], "annotations": [
    {"image_id": 1, "caption": "A dog runs on the grass."}, {"image_id": 1, "caption": "the dog is running"},
    {"image_id": 2, "caption": "Two men ride horses near the sea."}]}"#;
const PRED: &str =
    r#"[{"image_id": 2, "caption": "two men ride a horse"}, {"image_id": 1, "caption": "A dog runs!"}]"#;

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn inputs(folder: &Path, pred: &str, truth: &str) -> Inputs {
    let caption = protocol("caption").unwrap();
    Inputs::new(caption, [write(folder, "pred.json", pred)], [write(folder, "truth.json", truth)])
}

fn error(inputs: &Inputs) -> String {
    match (protocol("caption").unwrap().open)(inputs) {
        Err(error) => error.to_string(),
        Ok(_) => "no error".to_owned(),
    }
}

#[test]
fn the_values_are_those_of_pycocoevalcap() {
    let folder = tempfile::tempdir().unwrap();
    let evaluation = (protocol("caption").unwrap().open)(&inputs(folder.path(), PRED, TRUTH)).unwrap();
    assert_eq!((evaluation.unit(), evaluation.units()), ("image", &["1".to_owned(), "2".to_owned()][..]));
    let metrics = evaluation.overall().unwrap();
    for (name, wanted) in WANTED {
        let found = metrics.get(name).unwrap();
        assert!((found - wanted).abs() < 1e-9, "{name}: {found}, wanted {wanted}");
    }
    let second = evaluation.metrics(&[1, 1]).unwrap();
    assert!(second.get("rouge_l").unwrap() < metrics.get("rouge_l").unwrap());
    let detail = evaluation.detail().unwrap();
    assert_eq!((detail.groups[0].rows.len(), detail.worst.len()), (7, 2));
    assert!(evaluation.notes()[0].contains("METEOR in mode exact-stem"));
}

#[test]
fn truth_against_itself_is_perfect() {
    let folder = tempfile::tempdir().unwrap();
    let caption = protocol("caption").unwrap();
    let table = "key,video_id,sentence\nret0,video9,a person is connecting something\nret1,video7,a girl does gymnastics\n";
    let inputs = inputs(folder.path(), "", table);
    let pred = (caption.perfect.write)(&inputs, folder.path()).unwrap();
    let again = Inputs::new(caption, pred, inputs.truth.clone());
    let metrics = (caption.open)(&again).unwrap().overall().unwrap();
    for (name, wanted) in caption.perfect.expect {
        assert!((metrics.get(name).unwrap() - wanted).abs() < 1e-9, "{name}: {metrics:?}");
    }
}

/// Both sides in MSR-VTT's forms: official JSON or table, and a challenge's submission.
#[test]
fn clips_of_msr_vtt_score_as_pictures_do() {
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{"info": {"year": "2016"}, "videos": [{"video_id": "video1", "split": "test", "id": 1, "start time": 1.5},
        {"video_id": "video2", "split": "test", "id": 2}], "sentences": [
        {"caption": "A dog runs on the grass.", "video_id": "video1", "sen_id": 0},
        {"caption": "Two men ride horses near the sea.", "video_id": "video2", "sen_id": 1},
        {"caption": "the dog is running", "video_id": "video1", "sen_id": 2}]}"#;
    let table = "key,vid_key,video_id,sentence\nret0,msr1,video1,A dog runs on the grass.\n\
                 ret1,msr1,video1,the dog is running\nret2,msr2,video2,\"Two men ride horses near the sea.\"\n";
    let submission = r#"{"version": "VERSION 1.0", "result": [{"video_id": "video2", "caption": "two men ride a horse"},
        {"video_id": "video1", "caption": "A dog runs!"}], "external_data": {"used": "false", "details": ""}}"#;
    let pictures = (protocol("caption").unwrap().open)(&inputs(folder.path(), PRED, TRUTH)).unwrap();
    for truth in [json, table] {
        let clips = (protocol("caption").unwrap().open)(&inputs(folder.path(), submission, truth)).unwrap();
        assert_eq!(clips.units(), ["video1", "video2"]);
        assert_eq!(clips.overall().unwrap(), pictures.overall().unwrap());
    }
    let stranger = submission.replace("video2", "video3");
    assert!(error(&inputs(folder.path(), &stranger, json)).contains("`video3` is not in the truth"));
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let one = r#"[{"image_id": 1, "caption": "a"}]"#;
    for (pred, wanted) in [
        (r#"[{"image_id": 9, "caption": "a"}]"#, "record 0: `9` is not in the truth"),
        (one, "no caption for `2` and 0 others"),
        ("[]", "no captions in this file"),
        (&PRED[..60], "pred.json:1: a list of records"),
        (r#"[{"image_id": 1, "caption": 5}]"#, "pred.json:1: "),
    ] {
        let message = error(&inputs(folder.path(), pred, TRUTH));
        assert!(message.contains(wanted), "{pred}: {message}");
    }
    let with = |key: &str, value: &str| error(&inputs(folder.path(), PRED, TRUTH).with(key, value).unwrap());
    assert!(with("metrics", "bleu,spice").contains("--set metrics=bleu,spice: expected some of"));
    assert!(with("meteor", "all").contains("--set meteor=all"));
    assert!(with("meteor", "full").contains("--set meteor-tables=: meteor=full needs METEOR's folder"));
    assert!(with("tokenize", "maybe").contains("--set tokenize=maybe"));
    assert!(with("missing", "skip").contains("expected error or empty"));
    let empty = inputs(folder.path(), one, TRUTH).with("missing", "empty").unwrap();
    let evaluation = (protocol("caption").unwrap().open)(&empty).unwrap();
    assert!(evaluation.notes()[0].contains("1 pictures without a caption"));
}

#[test]
fn predictions_may_come_in_shards() {
    let folder = tempfile::tempdir().unwrap();
    let caption = protocol("caption").unwrap();
    let whole = (caption.open)(&inputs(folder.path(), PRED, TRUTH)).unwrap().overall().unwrap();
    let parts = [("a.json", r#"[{"image_id": 1, "caption": "A dog runs!"}]"#), ("b.json", SECOND)];
    let parts: Vec<PathBuf> = parts.iter().map(|(name, text)| write(folder.path(), name, text)).collect();
    let truth = folder.path().join("truth.json");
    let sharded = (caption.open)(&Inputs::new(caption, parts, [truth.clone()])).unwrap().overall().unwrap();
    assert_eq!(whole, sharded);
    let twice = [folder.path().join("b.json"), folder.path().join("pred.json")];
    assert!(
        error(&Inputs::new(caption, twice, [truth])).contains("record 0: `2` has a caption in another file")
    );
}

const SECOND: &str = r#"[{"image_id": 2, "caption": "two men ride a horse"}]"#;

/// What pycocoevalcap 1.2 says; METEOR 1.5 run with `-m "exact stem"`.
const WANTED: &[(&str, f64)] = &[
    ("bleu_1", 0.5154669589643626),
    ("bleu_2", 0.48598690953828677),
    ("bleu_3", 0.4329651147256113),
    ("bleu_4", 7.267199327842747e-05),
    ("meteor", 0.28510910636482034),
    ("rouge_l", 0.5571385599824988),
    ("cider", 2.6930088042369476),
];
