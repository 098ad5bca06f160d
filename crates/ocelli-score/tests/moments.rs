//! The protocols of moments in videos and of retrieval, through real files.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};

use ocelli_score::interval::intervals;
use ocelli_score::{Evaluation, Inputs, Metrics, Protocol, ScoreError, page, protocol};

/// A folder with files, and scoring of them.
struct Room(tempfile::TempDir);

impl Room {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
        Self(folder)
    }

    fn scoring(&self, name: &str, pred: &[&str], truth: &[&str]) -> Scoring {
        let paths = |names: &[&str]| names.iter().map(|n| self.0.path().join(n)).collect::<Vec<_>>();
        Scoring::new(name, paths(pred), paths(truth))
    }

    fn score(&self, name: &str, pred: &[&str], truth: &[&str]) -> Result<Metrics, ScoreError> {
        self.scoring(name, pred, truth).overall()
    }

    fn refusal(&self, name: &str, pred: &[&str], truth: &[&str]) -> String {
        self.score(name, pred, truth).unwrap_err().to_string()
    }
}

/// A protocol with files and settings.
#[derive(Clone)]
struct Scoring {
    protocol: &'static Protocol,
    inputs: Inputs,
}

impl Scoring {
    fn new(name: &str, pred: Vec<PathBuf>, truth: Vec<PathBuf>) -> Self {
        let protocol = protocol(name).unwrap();
        Self { protocol, inputs: Inputs::new(protocol, pred, truth) }
    }

    fn variant(self, name: &str) -> Self {
        Self { inputs: self.inputs.variant_named(name).unwrap(), ..self }
    }

    fn with(self, key: &str, value: &str) -> Self {
        Self { inputs: self.inputs.with(key, value).unwrap(), ..self }
    }

    fn open(&self) -> Result<Box<dyn Evaluation>, ScoreError> {
        (self.protocol.open)(&self.inputs)
    }

    fn overall(&self) -> Result<Metrics, ScoreError> {
        self.open()?.overall()
    }
}

fn assert_close(metrics: &Metrics, wanted: &[(&str, f64)]) {
    for (name, value) in wanted {
        let found = metrics.get(name).unwrap_or_else(|| panic!("no {name} in {metrics:?}"));
        assert!((found - value).abs() < 1e-12, "{name}: {found}, wanted {value}");
    }
}

/// The truth against itself, in every variant.
fn assert_perfect(name: &str, truth: &[PathBuf], settings: &[(&str, &str)], variants: &[&str]) {
    for variant in variants {
        let folder = tempfile::tempdir().unwrap();
        let scoring = Scoring::new(name, Vec::new(), truth.to_vec()).variant(variant);
        let mut scoring = settings.iter().fold(scoring, |scoring, (key, value)| scoring.with(key, value));
        let perfect = scoring.protocol.perfect;
        scoring.inputs.pred = (perfect.write)(&scoring.inputs, folder.path()).unwrap();
        let metrics = scoring.overall().unwrap();
        for (metric, value) in perfect.expect {
            let found = metrics.get(metric).unwrap();
            assert!((found - value).abs() < 1e-9, "{name} {variant} {metric}: {found}");
        }
    }
}

const TRUTH: &str = r#"{"version": "1.3", "taxonomy": [], "database": {
    "a": {"subset": "validation", "annotations": [{"segment": [0, 10], "label": "Run"}, {"segment": [20, 30], "label": "Run"}]},
    "b": {"subset": "validation", "annotations": [{"segment": [0, 10], "label": "Swim"}]},
    "c": {"subset": "training", "annotations": [{"segment": [0, 10], "label": "Fly"}]},
    "d": {"subset": "validation", "annotations": []}}}"#;

const FOUND: &str = r#"{"version": "1.3", "external_data": {}, "results": {
    "b": [{"label": "Swim", "score": 0.9, "segment": [0, 5]}, {"label": "Fly", "score": 0.8, "segment": [0, 5]}],
    "a": [{"label": "Run", "score": 0.9, "segment": [50, 60]}, {"label": "Run", "score": 0.8, "segment": [0, 9]},
          {"label": "Run", "score": 0.7, "segment": [20, 29]}, {"label": "Run", "score": 0.6, "segment": [20, 10]}],
    "c": [{"label": "Run", "score": 0.95, "segment": [0, 10]}]}}"#;

#[test]
fn detections_score_as_by_hand() {
    let room = Room::new(&[("truth.json", TRUTH), ("found.json", FOUND)]);
    let scoring = room.scoring("detection-temporal", &["found.json"], &["truth.json"]);
    let evaluation = scoring.open().unwrap();
    assert_eq!(evaluation.units(), ["a", "b", "d"]);
    // Run: false, false, hit, hit; Swim: one hit, at 0.5 only.
    let metrics = evaluation.overall().unwrap();
    assert_close(
        &metrics,
        &[("mAP@0.5", (0.5 + 1.0) / 2.0), ("mAP@0.55", 0.25), ("mAP@0.9", 0.25), ("mAP@0.95", 0.0)],
    );
    assert_eq!(metrics.len(), 11);
    let notes = evaluation.notes().join("\n");
    assert!(notes.contains("1 detection in 1 video that the scored subset does not have: false"), "{notes}");
    assert!(notes.contains("1 detection with an end before the start, overlapping nothing"), "{notes}");
    assert!(notes.contains("left out: 1 detection of labels that the truth does not have"), "{notes}");

    let ignored = scoring.clone().with("strangers", "ignored");
    assert_close(&ignored.overall().unwrap(), &[("mAP@0.5", (2.0 / 3.0 + 1.0) / 2.0)]);
    let thumos = scoring.clone().variant("thumos").with("thresholds", "0.5");
    assert_close(&thumos.overall().unwrap(), &[("average_mAP", ((1.0 / 3.0 + 0.5) / 2.0 + 1.0) / 2.0)]);
    let training = scoring.with("subset", "all");
    assert_eq!(training.open().unwrap().units().len(), 4);
}

#[test]
fn shards_score_as_the_whole() {
    let shard = |videos: &str| format!(r#"{{"results": {{{videos}}}}}"#);
    let (b, rest) = FOUND.split_once("\"a\": [").unwrap();
    let b = shard(b.split_once("\"results\": {").unwrap().1.trim().trim_end_matches(','));
    let rest = shard(&format!("\"a\": [{}", rest.trim_end_matches('}')));
    let room =
        Room::new(&[("truth.json", TRUTH), ("found.json", FOUND), ("b.json", &b), ("rest.json", &rest)]);
    for name in ["detection-temporal", "proposals"] {
        let whole = room.score(name, &["found.json"], &["truth.json"]).unwrap();
        assert_eq!(room.score(name, &["b.json", "rest.json"], &["truth.json"]).unwrap(), whole);
        let twice = room.refusal(name, &["found.json", "b.json"], &["truth.json"]);
        assert!(twice.contains("b.json: video `b` has predictions in"), "{twice}");
    }
}

#[test]
fn flat_annotations_and_their_table() {
    let flat = r#"{"v_a": {"duration_second": 40, "annotations": [{"segment": [0, 10], "label": "Run"}]},
        "v_b": {"duration_second": 40, "annotations": [{"segment": [0, 10], "label": "Run"}]}}"#;
    let table = "video,numFrame,seconds,fps,rfps,subset,featureFrame\nv_a,1,1,1,1,validation,1\nv_b,1,1,1,1,training,1\n";
    let found = r#"{"results": {"a": [{"label": "Run", "score": 1, "segment": [0, 10]}]}}"#;
    let room = Room::new(&[
        ("flat.json", flat),
        ("info.csv", table),
        ("found.json", found),
        ("gone.json", "[\"b\"]"),
    ]);
    let score = |truth: &[&str]| room.score("detection-temporal", &["found.json"], truth).unwrap();
    assert_close(&score(&["flat.json", "info.csv"]), &[("average_mAP", 1.0)]);
    // Without the table both videos are scored, unless one is blocked.
    assert_close(&score(&["flat.json"]), &[("average_mAP", 0.5)]);
    let gone = room.0.path().join("gone.json");
    let blocked = room.scoring("detection-temporal", &["found.json"], &["flat.json"]);
    let blocked = blocked.with("blocked", gone.to_str().unwrap());
    assert_close(&blocked.overall().unwrap(), &[("average_mAP", 1.0)]);
}

#[test]
fn thumos_files_score() {
    let room = Room::new(&[
        ("Diving_test.txt", "v1 0 10\nv2 0 10\n"),
        ("Ambiguous_test.txt", "v1 40 60\n"),
        ("found.txt", "v1 45 50 26 0.9\nv1 0 10 26 0.8\nv2 0 4 26 0.7\n"),
    ]);
    let folder = room.0.path().to_path_buf();
    let score = |variant: &str| {
        let scoring =
            Scoring::new("detection-temporal", vec![folder.join("found.txt")], vec![folder.clone()]);
        let scoring = scoring.variant(variant).with("subset", "testing");
        scoring.with("thresholds", "0.5").overall().unwrap().get("average_mAP").unwrap()
    };
    assert_eq!(score("activitynet"), 0.25);
    assert_eq!(score("thumos"), 0.5);
    assert!((score("thumos-kit") - 6.0 / 11.0).abs() < 1e-12);
    let validation = room.refusal("detection-temporal", &["found.txt"], &["."]);
    assert!(validation.contains("no video of subset `validation`; there are: testing"), "{validation}");
    for name in ["detection-temporal", "proposals"] {
        let variants: &[&str] = if name == "proposals" {
            &["activitynet", "thumos"]
        } else {
            &["activitynet", "thumos", "thumos-kit"]
        };
        assert_perfect(name, std::slice::from_ref(&folder), &[("subset", "testing")], variants);
    }
}

#[test]
fn proposals_score_as_by_hand() {
    let room = Room::new(&[("truth.json", TRUTH), ("found.json", FOUND)]);
    let evaluation = room.scoring("proposals", &["found.json"], &["truth.json"]).open().unwrap();
    assert_eq!(evaluation.units(), ["a", "b"]);
    let metrics = evaluation.overall().unwrap();
    // All six proposals of the two videos are kept; a's segments are found up to 0.9, b's at 0.5 alone.
    assert_close(&metrics, &[("AR@100", (3.0 + 2.0 * 8.0) / 3.0 / 10.0)]);
    assert!(evaluation.notes().join("").contains("1 proposal of videos without truth"));
    let scoring = room.scoring("proposals", &["found.json"], &["truth.json"]);
    let all = scoring.clone().with("limit", "all").overall().unwrap();
    assert_eq!(all.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["AUC", "AR", "AN"]);
    let thumos = scoring.clone().variant("thumos").with("at", "50").overall().unwrap();
    assert_close(&thumos, &[("AR@50", (3.0 + 2.0 * 8.0) / 3.0 / 11.0)]);
    let off = scoring.with("at", "2.5").overall().unwrap_err().to_string();
    assert!(off.contains("--set at=2.5") && off.contains("multiples of 1"), "{off}");
}

const SENTENCES: &str = "V1 0 10##a person runs.\nV1 0 10##a person runs.\nV2 5.0 15.0##a dog, \"asleep\"\n";

#[test]
fn groundings_score_as_by_hand() {
    let list = r#"[{"video": "V1", "sentence": "a person runs.", "segments": [[0, 5], [0, 10]]},
        {"video": "V2", "sentence": "a dog, \"asleep\"", "segments": [[5, 13, 0.1], [50, 60, 0.9]]},
        {"video": "V9", "sentence": "nobody asks", "segments": [[0, 1]]}]"#;
    let room = Room::new(&[("sta.txt", SENTENCES), ("found.json", list)]);
    let evaluation = room.scoring("grounding", &["found.json"], &["sta.txt"]).open().unwrap();
    assert_eq!(evaluation.units()[..2], ["V1: a person runs.", "V1: a person runs. (2)"]);
    let metrics = evaluation.overall().unwrap();
    let third = 100.0 / 3.0;
    assert_close(&metrics, &[("R1@0.5", 2.0 * third), ("R1@0.7", 0.0), ("R5@0.7", 100.0), ("mIoU", third)]);
    assert!(
        evaluation.notes()[0].contains("left out: 1 prediction of sentences that the truth does not have")
    );
    let gt = room.scoring("grounding", &["found.json"], &["sta.txt"]).variant("gt");
    assert_close(&gt.overall().unwrap(), &[("R1@0.5", 0.0), ("R1@0.3", 2.0 * third)]);
}

#[test]
fn splits_and_novelties_are_told_apart() {
    let trivial = r#"{"V1": {"sentences": ["s"], "timestamps": [[0, 10]], "duration": 10}}"#;
    let novel = r#"{"V2": {"sentences": ["t", "u"], "timestamps": [[0, 10], [0, 10]],
        "novels": [{"v-n": [["a", "b"]]}, {"v-n": [["a", "c"]], "p-n": [["d", "e"]]}]}}"#;
    let found = "video,sentence,start,end\nV1,s,0,10\nV2,t,0,10\nV2,u,20,30\n";
    let room = Room::new(&[("trivial.json", trivial), ("novel.json", novel), ("found.csv", found)]);
    let evaluation =
        room.scoring("grounding", &["found.csv"], &["trivial.json", "novel.json"]).open().unwrap();
    let detail = evaluation.detail().unwrap();
    let rows = |group: usize| {
        let values =
            |(name, values): &(String, Vec<f64>)| (name.clone(), values[0], values[values.len() - 1]);
        detail.groups[group].rows.iter().map(values).collect::<Vec<_>>()
    };
    assert_eq!(rows(0), [("novel".into(), 50.0, 2.0), ("trivial".into(), 100.0, 1.0)]);
    assert_eq!(rows(1), [("p-n".into(), 0.0, 1.0), ("v-n".into(), 50.0, 2.0)]);
    assert_eq!(detail.worst[0].unit, "V2: u");
}

/// A `.npy` file of 8-byte floats, as NumPy 1 writes it.
fn npy(shape: [usize; 2], values: &[f64]) -> Vec<u8> {
    let mut header =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, {}), }}", shape[0], shape[1]);
    while (10 + header.len()) % 64 != 63 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

fn put(room: &Room, name: &str, shape: [usize; 2], values: &[f64]) {
    std::fs::write(room.0.path().join(name), npy(shape, values)).unwrap();
}

#[test]
fn retrievals_score_as_by_hand() {
    let captions = "video_id,sentence\nx,one\ny,two\nx,three\n";
    let room = Room::new(&[("captions.csv", captions), ("owner.txt", "0\n1\n0\n"), ("square.txt", "0\n1\n")]);
    let similarity = [0.9, 0.1, 0.3, 0.2, 0.4, 0.8];
    put(&room, "sim.npy", [3, 2], &similarity);
    put(&room, "turned.npy", [2, 3], &[0.9, 0.3, 0.4, 0.1, 0.2, 0.8]);
    put(&room, "square.npy", [2, 2], &similarity[..4]);
    let score = |pred: &str, truth: &str, variant: &str, rows: &str| {
        let scoring = room.scoring("retrieval", &[pred], &[truth]).variant(variant);
        scoring.with("rows", rows).overall().unwrap()
    };
    let any = score("sim.npy", "captions.csv", "any-of", "texts");
    // Of the texts only the first finds its item at once; y's own text comes after `three`.
    assert_close(
        &any,
        &[("t2v.R1", 100.0 / 3.0), ("t2v.MdR", 2.0), ("t2v.MnR", 5.0 / 3.0), ("t2v.mAP", 2.0 / 3.0)],
    );
    assert_close(&any, &[("v2t.R1", 50.0), ("v2t.MdR", 1.5), ("v2t.mAP", (1.0 + 0.5) / 2.0)]);
    assert_eq!(score("sim.npy", "owner.txt", "any-of", "texts"), any);
    assert_eq!(score("turned.npy", "owner.txt", "any-of", "items"), any);
    let multi = score("sim.npy", "captions.csv", "multi", "texts");
    assert_close(&multi, &[("t2v.MdR", 2.0), ("v2t.R1", 50.0), ("v2t.mAP", 0.75)]);
    let clip = score("square.npy", "square.txt", "clip", "texts");
    assert_close(&clip, &[("t2v.R1", 50.0), ("t2v.MdR", 1.5), ("v2t.R1", 100.0)]);

    put(&room, "texts.npy", [2, 2], &[1.0, 0.0, 3.0, 3.0]);
    put(&room, "items.npy", [2, 2], &[2.0, 0.0, 0.5, 0.5]);
    let both = room.score("retrieval", &["texts.npy", "items.npy"], &["square.txt"]).unwrap();
    assert_close(&both, &[("t2v.R1", 100.0), ("v2t.R1", 100.0)]);
}

#[test]
fn truth_scores_perfectly_against_itself() {
    let room = Room::new(&[
        ("truth.json", TRUTH),
        ("sta.txt", SENTENCES),
        ("captions.csv", "video_id,sentence\nx,one\ny,two\nx,three\n"),
        ("pairs.csv", "image,caption\nx,one\ny,two\n"),
    ]);
    let at = |name: &str| vec![room.0.path().join(name)];
    assert_perfect("detection-temporal", &at("truth.json"), &[], &["activitynet", "thumos", "thumos-kit"]);
    assert_perfect("proposals", &at("truth.json"), &[], &["activitynet", "thumos"]);
    assert_perfect("grounding", &at("sta.txt"), &[], &["ge", "gt"]);
    assert_perfect("retrieval", &at("captions.csv"), &[], &["multi", "any-of"]);
    assert_perfect("retrieval", &at("pairs.csv"), &[("rows", "items")], &["clip", "multi", "any-of"]);
}

#[test]
fn malformed_input_is_named() {
    let unlabelled = r#"{"results": {"a": [{"score": 1, "segment": [0, 1]}]}}"#;
    let room = Room::new(&[
        ("truth.json", TRUTH),
        ("cut.json", &FOUND[..200]),
        ("unlabelled.json", unlabelled),
        ("nan.json", r#"{"results": {"a": [{"label": "Run", "score": NaN, "segment": [0, 1]}]}}"#),
        ("none.json", r#"{"results": {}}"#),
        ("sta.txt", SENTENCES),
        ("one.json", r#"[{"video": "V1", "sentence": "a person runs.", "segments": [[0, 5]]}]"#),
        (
            "thrice.json",
            &format!(
                "[{}]",
                [r#"{"video": "V1", "sentence": "a person runs.", "segments": [[0, 5]]}"#; 3].join(",")
            ),
        ),
        ("owner.txt", "0\n1.5\n"),
        ("pairs.txt", "0\n1\n"),
    ]);
    let detection = |pred: &str| room.refusal("detection-temporal", &[pred], &["truth.json"]);
    assert!(detection("cut.json").contains("EOF while parsing"));
    assert!(detection("unlabelled.json").contains("video `a`, entry 1 has no label"));
    assert!(detection("nan.json").contains("(video `a`, entry 1)"));
    assert!(detection("absent.json").contains("cannot read"));
    // No detection at all is an answer, and a poor one; no proposal leaves nothing to divide by.
    assert_close(
        &room.score("detection-temporal", &["none.json"], &["truth.json"]).unwrap(),
        &[("average_mAP", 0.0)],
    );
    assert!(room.refusal("proposals", &["none.json"], &["truth.json"]).contains("proposals is empty"));
    let missing = room.refusal("grounding", &["one.json"], &["sta.txt"]);
    assert!(missing.contains("no prediction for video `V2`, sentence `a dog, \"asleep\"`"), "{missing}");
    let one = SENTENCES.lines().next().unwrap();
    std::fs::write(room.0.path().join("once.txt"), one).unwrap();
    let surplus = room.refusal("grounding", &["thrice.json"], &["once.txt"]);
    assert!(surplus.contains("3 predictions for video `V1`") && surplus.contains("has 1 time"), "{surplus}");
    put(&room, "sim.npy", [2, 2], &[0.1, f64::NAN, 0.2, 0.3]);
    put(&room, "wide.npy", [3, 2], &[0.0; 6]);
    put(&room, "narrow.npy", [2, 1], &[0.0; 2]);
    let retrieval = |pred: &str, truth: &str| room.refusal("retrieval", &[pred], &[truth]);
    assert!(retrieval("sim.npy", "pairs.txt").contains("row 0, column 1 (from 0) is NaN"));
    assert!(retrieval("wide.npy", "pairs.txt").contains("3 texts, but the truth has 2"));
    assert!(retrieval("narrow.npy", "pairs.txt").contains("1 items, but the truth has 2"));
    assert!(retrieval("sim.npy", "owner.txt").contains("text 2: the index of an item expected, found 1.5"));
    assert!(room.refusal("retrieval", &[], &["pairs.txt"]).contains("found 0"));
}

#[test]
fn intervals_and_pages_are_made() {
    let room = Room::new(&[("truth.json", TRUTH), ("found.json", FOUND), ("sta.txt", SENTENCES)]);
    for (name, metric) in [("detection-temporal", "mAP@0.95"), ("proposals", "AR@100")] {
        // At 0.6 a segment is missed, so that there is something to list.
        let scoring = room.scoring(name, &["found.json"], &["truth.json"]).with("thresholds", "0.6,0.95");
        let evaluation = scoring.open().unwrap();
        let spread = intervals(evaluation.as_ref(), 50, 1).unwrap();
        let metrics = evaluation.overall().unwrap();
        assert_eq!(spread.len(), metrics.len());
        let report =
            page::page(scoring.protocol, &scoring.inputs, evaluation.as_ref(), &metrics, &spread).unwrap();
        let file = room.0.path().join("page.html");
        report.save(&file).unwrap();
        let html = std::fs::read_to_string(file).unwrap();
        assert!(html.contains(metric) && html.contains("Where it went worst"), "{html}");
    }
}

/// A file of the shared data, or a loud skip.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if !path.exists() {
        eprintln!("SKIPPED: there is no {}", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn published_files_score_without_edits() {
    let names = ["sample_detection_prediction.json", "anet_anno_action.json", "video_info_new.csv"];
    let files: Option<Vec<PathBuf>> = names.iter().map(|n| shared(&format!("activitynet13/{n}"))).collect();
    if let Some([pred, truth, info]) = files.as_deref() {
        for name in ["detection-temporal", "proposals"] {
            let truth = [truth.clone(), info.clone()];
            let scoring = Scoring::new(name, vec![pred.clone()], truth.to_vec());
            let metrics = scoring.overall().unwrap();
            eprintln!("{name}: {metrics:?}");
            assert!(metrics.iter().all(|(_, v)| v.is_finite() && v > 0.0));
            assert_perfect(name, &truth, &[], &["activitynet", "thumos"]);
        }
    }
    for name in
        ["charades-sta/charades_sta_test.txt", "compositional-grounding/charades-cg/novel_composition.json"]
    {
        if let Some(truth) = shared(name) {
            assert_perfect("grounding", &[truth], &[], &["ge", "gt"]);
        }
    }
}
