//! VOC, ImageNet VID, Open Images and WIDER FACE through files: small sets worked out by hand, mistakes in files, and real
//! sets where a checkout has them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};

use ocelli_score::convert::{Request, convert};
use ocelli_score::{Inputs, Metrics, ScoreError, protocol};

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn inputs(name: &str, pred: &[PathBuf], truth: &[PathBuf]) -> Inputs {
    Inputs::new(protocol(name).unwrap(), pred.to_vec(), truth.to_vec())
}

fn score(name: &str, inputs: &Inputs) -> Result<Metrics, ScoreError> {
    let evaluation = (protocol(name)?.open)(inputs)?;
    let detail = evaluation.detail()?;
    assert!(!detail.groups.is_empty());
    evaluation.overall()
}

#[track_caller]
fn assert_metric(metrics: &Metrics, name: &str, wanted: f64) {
    let got = metrics.get(name).unwrap_or_else(|| panic!("no {name} in {metrics:?}"));
    assert!((got - wanted).abs() < 1e-9, "{name} is {got}, not {wanted}");
}

/// The truth as its own prediction must be perfect.
#[track_caller]
fn assert_perfect(name: &str, inputs: &Inputs) {
    let protocol = protocol(name).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut own = inputs.clone();
    own.pred = (protocol.perfect.write)(inputs, folder.path()).unwrap();
    let metrics = score(name, &own).unwrap();
    protocol.perfect.expect.iter().for_each(|(metric, wanted)| assert_metric(&metrics, metric, *wanted));
}

#[track_caller]
fn assert_refused(name: &str, inputs: &Inputs, wanted: &str) {
    let error = score(name, inputs).unwrap_err().to_string();
    assert!(error.contains(wanted), "{error}\nwanted {wanted}");
}

fn object(name: &str, [x1, y1, x2, y2]: [u32; 4], more: &str) -> String {
    format!(
        "<object><name>{name}</name>{more}<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax>\
         <ymax>{y2}</ymax></bndbox></object>"
    )
}

fn xml(objects: &[String]) -> String {
    format!("<annotation><size><width>100</width><height>50</height></size>{}</annotation>", objects.concat())
}

fn voc_truth(files: &Files) -> PathBuf {
    let hard = "<difficult>1</difficult>";
    let a = [object("cat", [1, 1, 10, 10], ""), object("dog", [20, 1, 40, 20], "")];
    files.put("truth/a.xml", &xml(&a));
    files.put("truth/b.xml", &xml(&[object("cat", [1, 1, 10, 10], ""), object("cat", [50, 1, 60, 9], hard)]));
    files.at("truth")
}

#[test]
fn voc_is_scored_as_by_hand() {
    let files = Files::new();
    let truth = voc_truth(&files);
    // Cats: right, hard, wrong, right of two. The dog is missed.
    files.put(
        "res/comp4_det_test_cat.txt",
        "a 0.9 1 1 10 10\nb 0.8 50 1 60 9\nb 0.7 70 1 80 9\nb 0.6 1 1 10 10\n",
    );
    let own = inputs("voc", &[files.at("res")], std::slice::from_ref(&truth));
    let metrics = score("voc", &own).unwrap();
    assert_metric(&metrics, "mAP", (0.5 + 0.5 * 2.0 / 3.0) / 2.0);
    assert_metric(&metrics, "mAP07", (6.0 + 5.0 * 2.0 / 3.0) / 11.0 / 2.0);
    let official = own.clone().variant_named("official").unwrap();
    assert_metric(&score("voc", &official).unwrap(), "mAP", (1.0 + 2.0 / 3.0) / 3.0 / 2.0);
    assert_perfect("voc", &own);
    let list = files.put("list.txt", "a\n");
    let listed = inputs("voc", &[files.put("a.txt", "cat 0.5 1 1 10 10\n")], &[truth, list]);
    assert_metric(&score("voc", &listed).unwrap(), "mAP", 0.5);
    assert_refused("voc", &inputs("voc", &[files.at("res")], &listed.truth), "the truth has no picture `b`");
    assert_refused("voc", &listed.with("overlap", "2").unwrap(), "in [0, 1]");
}

#[test]
fn video_is_scored_by_speed() {
    let files = Files::new();
    let mut list = String::new();
    for frame in 0..3u32 {
        let still = object("n02084071", [1, 1, 100, 100], "<trackid>0</trackid>");
        let left = 200 + 60 * frame;
        let moving = object("n02084071", [left, 1, left + 99, 100], "<trackid>1</trackid>");
        files.put(&format!("xml/v/{frame:06}.xml"), &xml(&[still, moving]));
        list += &format!("v/{frame:06} {}\n", frame + 1);
    }
    let truth = [files.at("xml"), files.put("list.txt", &list)];
    let res = files.put("res.txt", "1 9 0.9 1 1 100 100\n2 9 0.8 1 1 100 100\n3 9 0.7 1 1 100 100\n");
    let own = inputs("imagenet-vid", &[res], &truth);
    assert_metric(&score("imagenet-vid", &own).unwrap(), "mAP", 0.5);
    let by_motion = own.clone().variant_named("motion").unwrap();
    let metrics = score("imagenet-vid", &by_motion).unwrap();
    assert_metric(&metrics, "mAP-slow", 1.0);
    assert_metric(&metrics, "mAP-fast", 0.0);
    assert!(metrics.get("mAP-medium").unwrap().is_nan());
    assert_perfect("imagenet-vid", &own);
    let wrong = inputs("imagenet-vid", &[files.put("w.txt", "9 9 0.9 1 1 2 2\n")], &truth);
    assert_refused("imagenet-vid", &wrong, "w.txt:1: the truth has no frame 9");
}

#[test]
fn open_images_are_expanded_and_verified() {
    let files = Files::new();
    let head = "ImageID,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf\n";
    let boxes = files.put("boxes.csv", &format!("{head}a,dog,1,0,0.5,0,0.5,0\nb,cat,1,0,0.5,0,0.5,1\n"));
    let labels = files.put("labels.csv", "ImageID,LabelName,Confidence\nb,dog,0\n");
    let kinds = r#"{"LabelName": "root", "Subcategory": [{"LabelName": "animal",
        "Subcategory": [{"LabelName": "dog"}, {"LabelName": "cat"}]}]}"#;
    let truth = [boxes, labels, files.put("kinds.json", kinds)];
    let rows = "ImageID,LabelName,Score,XMin,XMax,YMin,YMax\na,dog,0.9,0,0.5,0,0.5\na,animal,0.8,0,0.5,0,0.5\n\
        b,dog,0.95,0,1,0,1\na,cat,0.99,0,1,0,1\nc,cat,0.99,0,1,0,1\n";
    let own = inputs("openimages", &[files.put("pred.csv", rows)], &truth);
    // The dog after a false one on b, where it is known to be absent; one of two animals; no cat; the cat on a does not count.
    assert_metric(&score("openimages", &own).unwrap(), "mAP", (0.5 + 0.5 + 0.0) / 3.0);
    let v2 = own.clone().variant_named("v2").unwrap();
    assert_metric(&score("openimages", &v2).unwrap(), "mAP", (0.5 + 1.0) / 2.0);
    assert_perfect("openimages", &own);
    assert_perfect("openimages", &v2);
    let bad = files.put("bad.csv", &rows.replace("0.9,", "NaN,"));
    assert_refused("openimages", &inputs("openimages", &[bad], &truth), "bad.csv:2: `Score`");
}

#[test]
fn faces_are_scored_by_subset() {
    let files = Files::new();
    let all = "e/a.jpg\n2\n0 0 20 20 0 0 0 0 0 0\n50 0 9 9 0 0 0 0 0 0\ne/b.jpg\n1\n0 0 5 5 0 0 0 1 0 0\n";
    let truth = [files.put("gt.txt", all), files.put("easy.txt", "e/a\n1\n1\n")];
    files.put("pred/e/a.txt", "a\n2\n0 0 20 20 0.9\n50 0 9 9 0.8\n");
    let own = inputs("widerface", &[files.at("pred")], &truth);
    let metrics = score("widerface", &own).unwrap();
    assert_metric(&metrics, "AP-easy", 1.0);
    assert_metric(&metrics, "AP-all", 1.0);
    assert_perfect("widerface", &own);
    let beyond = [truth[0].clone(), files.put("hard.txt", "e/a\n1\n3\n")];
    assert_refused("widerface", &inputs("widerface", &own.pred, &beyond), "e/a.jpg has 2 faces, not 3");
    files.put("pred/e/c.txt", "c\n0\n");
    assert_refused("widerface", &own, "the truth has no picture `e/c`");
}

fn converted(from: &str, to: &str, input: &Path, output: &Path, pictures: Option<&Path>) -> Vec<String> {
    let pictures = pictures.map(Path::to_owned);
    let request =
        Request { from: from.into(), to: to.into(), input: input.into(), output: output.into(), pictures };
    convert(&request).unwrap().losses
}

#[test]
fn formats_are_turned_into_one_another() {
    let files = Files::new();
    let truth = voc_truth(&files);
    let coco = files.at("coco.json");
    assert_eq!(
        converted("voc", "coco", &truth, &coco, None),
        ["1 object marked difficult: the mark is lost"]
    );
    let yolo = files.at("yolo");
    converted("coco", "yolo", &coco, &yolo, None);
    let open_images = files.at("boxes.csv");
    let losses = converted("voc", "openimages", &truth, &open_images, None);
    assert_eq!(losses, ["1 object marked difficult: the mark is lost"]);
    let lvis = files.at("lvis.json");
    converted("coco", "lvis", &coco, &lvis, None);
    let wider = files.at("wider.txt");
    let losses = converted("coco", "wider", &coco, &wider, None);
    assert!(losses.iter().any(|l| l.contains("2 categories")), "{losses:?}");
    let back = files.at("back");
    converted("coco", "voc", &coco, &back, None);
    let again = files.at("again.json");
    converted("voc", "coco", &back, &again, None);
    assert_eq!(std::fs::read_to_string(&again).unwrap(), std::fs::read_to_string(&coco).unwrap());
    let request = Request {
        from: "voc".into(),
        to: "coco".into(),
        input: files.at("nothing"),
        output: coco,
        pictures: None,
    };
    assert!(convert(&request).unwrap_err().to_string().contains("cannot read"));
    let unknown = Request { from: "kitty".into(), ..request.clone() };
    assert!(convert(&unknown).unwrap_err().to_string().contains("no format `kitty`; there are: coco"));
    let apart = Request { to: "thumos".into(), ..request };
    assert!(convert(&apart).unwrap_err().to_string().contains("hold different things"));
}

/// A folder of the real data, where there is one.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: no {}", path.display());
    None
}

#[test]
fn real_detections_score_the_same_in_every_form() {
    let Some(data) = shared("voc-multiformat") else { return };
    let truth = [data.join("gts/pascalvoc_format")];
    let by_picture = inputs("voc", &[data.join("dets/abs_xyx2y2")], &truth);
    let metrics = score("voc", &by_picture).unwrap();
    eprintln!("{metrics:?}");
    assert!(metrics.get("mAP").unwrap() > 0.3);
    let json = inputs("voc", &[data.join("dets/coco_format/coco_dets.json")], &truth);
    let from_json = score("voc", &json).unwrap();
    eprintln!("{from_json:?}");
    assert_perfect("voc", &by_picture);
}

#[test]
fn real_annotations_are_the_same_in_four_formats() {
    let Some(data) = shared("voc-multiformat") else { return };
    let files = Files::new();
    let pictures = data.join("images");
    let sources = [
        ("voc", data.join("gts/pascalvoc_format")),
        ("yolo", data.join("gts/yolo_format")),
        ("openimages", data.join("gts/openimages_format/all_bounding_boxes.csv")),
    ];
    let mut counts = Vec::new();
    for (from, input) in sources {
        let output = files.at(&format!("{from}.json"));
        let request = Request {
            from: from.into(),
            to: "coco".into(),
            input,
            output: output.clone(),
            pictures: Some(pictures.clone()),
        };
        let done = convert(&request).unwrap();
        counts.push((done.images, done.objects, done.categories));
        converted("coco", "voc", &output, &files.at(from), None);
    }
    eprintln!("{counts:?}");
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    // Boxes of each form find those of the VOC files.
    for from in ["yolo", "openimages"] {
        let own = inputs("voc", &[], &[files.at(from)]);
        let results = (protocol("voc").unwrap().perfect.write)(&own, files.0.path()).unwrap();
        let metrics = score("voc", &inputs("voc", &results, &[data.join("gts/pascalvoc_format")])).unwrap();
        assert!(metrics.get("mAP").unwrap() > 0.99, "{from}: {metrics:?}");
    }
}

#[test]
fn real_faces_and_lvis_are_read_unedited() {
    let files = Files::new();
    if let Some(data) = shared("wider-sample") {
        let truth = data.join("wider_face_val_bbx_gt.txt");
        assert_perfect("widerface", &inputs("widerface", &[], std::slice::from_ref(&truth)));
        converted("wider", "voc", &truth, &files.at("faces"), Some(&data.join("images")));
    }
    if let Some(data) = shared("lvis-val100") {
        let input = data.join("lvis_val_100.json");
        let losses = converted("lvis", "voc", &input, &files.at("lvis"), None);
        assert!(losses.iter().any(|l| l.contains("outline")), "{losses:?}");
        converted("lvis", "coco", &input, &files.at("lvis.json"), None);
    }
}
