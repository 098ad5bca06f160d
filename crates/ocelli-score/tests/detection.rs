//! COCO and LVIS through files: small sets worked out by hand, mistakes in files, and real sets where a checkout has them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};

use ocelli_score::{Inputs, Metrics, ScoreError, protocol};

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn inputs(&self, name: &str, variant: &str, truth: &str, results: &[&str]) -> Inputs {
        let names = (0..results.len()).map(|i| format!("results{i}.json"));
        let pred: Vec<PathBuf> = names.zip(results).map(|(name, text)| self.put(&name, text)).collect();
        let truth = self.put("truth.json", truth);
        Inputs::new(protocol(name).unwrap(), pred, [truth]).variant_named(variant).unwrap()
    }
}

fn score(name: &str, inputs: &Inputs) -> Result<Metrics, ScoreError> {
    (protocol(name)?.open)(inputs)?.overall()
}

fn get(metrics: &Metrics, name: &str) -> f64 {
    metrics.get(name).unwrap_or_else(|| panic!("no {name} in {metrics:?}"))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

/// The truth as its own prediction must be perfect.
fn assert_perfect(name: &str, inputs: &Inputs) {
    let protocol = protocol(name).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut own = inputs.clone();
    own.pred = (protocol.perfect.write)(inputs, folder.path()).unwrap();
    let metrics = score(name, &own).unwrap();
    for (metric, wanted) in protocol.perfect.expect {
        assert!((get(&metrics, metric) - wanted).abs() < 1e-9, "{name} {}: {metrics:?}", inputs.variant());
    }
}

const POINTS: &str = "1,1,2, 8,1,2, 4,4,2";

/// Two pictures; a cat found, a dog missed, a crowd, a cat nobody annotated.
fn truth() -> String {
    format!(
        r#"{{"images": [{{"id": 2, "file_name": "b.jpg", "width": 40, "height": 30, "neg_category_ids": [1], "not_exhaustive_category_ids": []}},
        {{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30, "neg_category_ids": [], "not_exhaustive_category_ids": [1]}}],
        "categories": [{{"id": 1, "name": "cat", "frequency": "f"}}, {{"id": 4, "name": "dog", "frequency": "r"}}],
        "annotations": [
        {{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0,
          "segmentation": [[0, 0, 10, 0, 10, 10, 0, 10]], "keypoints": [{POINTS}], "num_keypoints": 3}},
        {{"id": 2, "image_id": 2, "category_id": 4, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0,
          "segmentation": [[0, 0, 10, 0, 10, 10, 0, 10]], "keypoints": [{POINTS}], "num_keypoints": 3}}]}}"#
    )
}

const RESULTS: &str = r#"[{"image_id": 2, "category_id": 1, "bbox": [0, 0, 10, 10], "score": 0.9},
    {"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 8], "score": 0.8},
    {"image_id": 1, "category_id": 1, "bbox": [20, 20, 5, 5], "score": 0.95}]"#;

#[test]
fn a_small_set_is_scored_as_by_hand() {
    let files = Files::new();
    let inputs = files.inputs("coco", "bbox", &truth(), &[RESULTS]);
    let metrics = score("coco", &inputs).unwrap();
    // The cat comes third, with overlap 0.8 at seven of ten thresholds; the dog is missed.
    assert!(close(get(&metrics, "AP50"), (1.0 / 3.0) / 2.0), "{metrics:?}");
    assert!(close(get(&metrics, "AP"), 0.7 * (1.0 / 3.0) / 2.0), "{metrics:?}");
    assert!(close(get(&metrics, "AR@1"), 0.0) && close(get(&metrics, "AR@10"), 0.35));
    assert_eq!(get(&metrics, "APl"), -1.0);

    // In LVIS the cat on picture 1 that nobody annotated does not count, and dogs are rare.
    let inputs = files.inputs("lvis", "bbox", &truth(), &[RESULTS]);
    let metrics = score("lvis", &inputs).unwrap();
    assert!(close(get(&metrics, "APf"), 0.7 / 2.0) && close(get(&metrics, "APr"), 0.0), "{metrics:?}");
}

#[test]
fn the_truth_is_perfect_in_every_variant() {
    let files = Files::new();
    for (name, variant) in
        [("coco", "bbox"), ("coco", "segm"), ("coco", "keypoints"), ("lvis", "bbox"), ("lvis", "segm")]
    {
        let mut inputs = files.inputs(name, variant, &truth(), &[]);
        if variant == "keypoints" {
            inputs = inputs.with("sigmas", "0.05,0.05,0.1").unwrap();
        }
        assert_perfect(name, &inputs);
    }
}

#[test]
fn masks_and_boxes_of_one_file_agree_where_they_should() {
    let files = Files::new();
    let results = RESULTS.replace(
        r#""bbox": [0, 0, 10, 8]"#,
        r#""bbox": [0, 0, 10, 8], "segmentation": [[0, 0, 10, 0, 10, 8, 0, 8]]"#,
    );
    // Results without a mask are taken as their boxes.
    let masks = score("coco", &files.inputs("coco", "segm", &truth(), &[&results])).unwrap();
    let boxes = score("coco", &files.inputs("coco", "bbox", &truth(), &[&results])).unwrap();
    assert_eq!(masks, boxes);
    // Without boxes, those around the masks are taken.
    let masks_alone = r#"[{"image_id": 1, "category_id": 1, "score": 0.5, "segmentation": {"size": [30, 40], "counts": [0, 10, 1190]}}]"#;
    let metrics = score("coco", &files.inputs("coco", "bbox", &truth(), &[masks_alone])).unwrap();
    assert_eq!(get(&metrics, "AP50"), 0.0);
}

#[test]
fn shards_of_predictions_are_one_file() {
    let files = Files::new();
    let records: Vec<&str> = RESULTS.trim_matches(['[', ']']).split("},").collect();
    let shards = [format!("[{}}}]", records[0]), format!("[{}}},{}]", records[1], records[2])];
    let shards: Vec<&str> = shards.iter().map(String::as_str).collect();
    let whole = score("coco", &files.inputs("coco", "bbox", &truth(), &[RESULTS])).unwrap();
    assert_eq!(score("coco", &files.inputs("coco", "bbox", &truth(), &shards)).unwrap(), whole);
    assert!(score("coco", &files.inputs("coco", "bbox", &truth(), &[])).is_err());
}

#[test]
fn settings_change_the_rules() {
    let files = Files::new();
    let inputs = || files.inputs("coco", "bbox", &truth(), &[RESULTS]);
    let few = inputs().with("max_dets", "1,2").unwrap();
    let metrics = score("coco", &few).unwrap();
    assert_eq!((get(&metrics, "AP"), metrics.get("AR@100"), get(&metrics, "AR@2")), (-1.0, None, 0.35));
    assert!((protocol("coco").unwrap().open)(&few).unwrap().notes()[0].contains("AP is -1"));
    let mended = score("coco", &few.with("quirks", "corrected").unwrap()).unwrap();
    assert!(close(get(&mended, "AP"), 0.7 * (1.0 / 3.0) / 2.0));
    // As one category the dog of picture 2 is found by the cat there.
    let as_one = score("coco", &inputs().with("use_cats", "false").unwrap()).unwrap();
    assert!(close(get(&as_one, "AR@100"), (1.0 + 0.7) / 2.0), "{as_one:?}");
    let strict = score("coco", &inputs().with("thresholds", "0.5").unwrap()).unwrap();
    assert!(close(get(&strict, "AP"), (1.0 / 3.0) / 2.0) && get(&strict, "AP75") == -1.0);
    for (key, value) in [("max_dets", "3,2"), ("max_dets", "x"), ("thresholds", "nan"), ("quirks", "lax")] {
        assert!(score("coco", &inputs().with(key, value).unwrap()).is_err(), "{key}={value}");
    }
}

#[test]
fn mistakes_in_files_are_named() {
    let files = Files::new();
    let cases = [
        ("bbox", RESULTS.replace("0.95", "NaN"), "record 2: expected value"),
        ("bbox", RESULTS.replace(r#""image_id": 2"#, r#""image_id": 3"#), "record 0 is of image 3"),
        ("bbox", RESULTS[..100].to_owned(), "EOF while parsing"),
        ("keypoints", RESULTS.to_owned(), "without `keypoints`"),
        (
            "segm",
            RESULTS.replace("}]", r#", "segmentation": {"size": [9, 9], "counts": [81]}}]"#),
            "9 x 9 pixels",
        ),
        (
            "segm",
            RESULTS.replace("}]", r#", "segmentation": {"size": [30, 40], "counts": "~"}}]"#),
            "compressed runs",
        ),
        ("bbox", RESULTS.replace(r#""bbox": [20, 20, 5, 5], "#, ""), "a result without `bbox`"),
    ];
    for (variant, results, wanted) in cases {
        let error =
            score("coco", &files.inputs("coco", variant, &truth(), &[&results])).unwrap_err().to_string();
        assert!(error.contains(wanted), "{variant}: {error}\nwanted {wanted}");
    }
    let bare = truth().replace(r#", "frequency": "r""#, "");
    let error = score("lvis", &files.inputs("lvis", "bbox", &bare, &[RESULTS])).unwrap_err().to_string();
    assert!(error.contains("categories[1] (`dog`) has no `frequency`"), "{error}");

    // What the official tools leave out is left out and said.
    let odd = RESULTS.replace(r#""image_id": 2, "category_id": 1"#, r#""image_id": 2, "category_id": 77"#);
    let odd = odd.replace("[20, 20, 5, 5]", "[20, 20, -5, 5]");
    let inputs = files.inputs("coco", "bbox", &truth(), &[&odd]);
    let notes = (protocol("coco").unwrap().open)(&inputs).unwrap().notes();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(
        notes[0].starts_with("1 detection was of categories")
            && notes[1].starts_with("1 box was of negative")
    );
    // No detections at all: every object is missed.
    let nothing = score("coco", &files.inputs("coco", "bbox", &truth(), &["[]"])).unwrap();
    assert_eq!((get(&nothing, "AP"), get(&nothing, "AR@100")), (0.0, 0.0));
}

#[test]
fn the_page_has_categories_curves_and_the_worst_pictures() {
    let files = Files::new();
    let inputs = files.inputs("coco", "bbox", &truth(), &[RESULTS]);
    let evaluation = (protocol("coco").unwrap().open)(&inputs).unwrap();
    assert_eq!(
        (evaluation.unit(), evaluation.units()),
        ("image", &["a.jpg".to_owned(), "b.jpg".to_owned()][..])
    );
    let detail = evaluation.detail().unwrap();
    let names: Vec<&str> = detail.groups[0].rows.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names, detail.curves[0].lines.len()), (vec!["cat", "dog"], 3));
    assert_eq!(
        (detail.worst[0].unit.as_str(), detail.worst[0].what.as_str()),
        ("b.jpg", "1 missed, 1 false")
    );
    // Names do not depend on the sample.
    let some = evaluation.metrics(&[1, 1]).unwrap();
    let all = evaluation.overall().unwrap();
    assert!(some.iter().map(|(n, _)| n).eq(all.iter().map(|(n, _)| n)));
}

/// A folder of the shared data, or a loud skip.
fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if !path.is_dir() {
        eprintln!("SKIPPED: no data in {}", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn real_lvis_annotations_are_perfect_against_themselves() {
    let Some(folder) = data("lvis-val100") else { return };
    for variant in ["bbox", "segm"] {
        let lvis = protocol("lvis").unwrap();
        let truth = folder.join("lvis_val_100.json");
        assert_perfect("lvis", &Inputs::new(lvis, [], [truth]).variant_named(variant).unwrap());
    }
}

#[test]
fn real_detections_with_numbers_of_their_own_are_scored() {
    let Some(folder) = data("voc-multiformat") else { return };
    let pred = folder.join("dets/coco_format/coco_dets.json");
    let truth = folder.join("gts/coco_format_v1/instances_default.json");
    let inputs = Inputs::new(protocol("coco").unwrap(), [pred], [truth]);
    let metrics = score("coco", &inputs).unwrap();
    // As pycocotools 2.0.11 has it once numbers are translated by names.
    for (name, wanted) in
        [("AP", 0.3469581862666092), ("AP50", 0.6100296805315172), ("AR@100", 0.5225702769452769)]
    {
        assert!(close(get(&metrics, name), wanted), "{name}: {metrics:?}");
    }
    assert_perfect("coco", &inputs);
}
