use proptest::prelude::*;

use super::super::detection::{Attribute, Frequency, Segmentation};
use super::super::lvis;
use super::*;

const SMALL: &str = r#"{"info": {"year": 2020}, "licenses": [],
"categories": [{"id": 3, "name": "cat", "supercategory": "animal", "extra": [1]}, {"id": 1, "name": "dog"}],
"images": [{"id": 7, "file_name": "a/7.jpg", "width": 40, "height": 30}, {"id": 5, "coco_url": "http://x/5.jpg"}],
"annotations": [
{"id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 2.5, 3, 4], "area": 11.5, "iscrowd": 1, "ignore": true,
 "segmentation": {"size": [30, 40], "counts": [0, 5, 1195]}, "attributes": {"pose": "left", "n": 2, "f": true, "o": []}},
{"id": 2, "image_id": 5, "category_id": 3, "bbox": [0, 0, 9, 9], "segmentation": [[1, 2, 3, 4, 5, 6.5]],
 "keypoints": [1, 2, 2, 0, 0, 0], "num_keypoints": 1},
{"id": 3, "image_id": 5, "category_id": 99, "bbox": [0, 0, 1, 1]},
{"id": 4, "image_id": 5, "category_id": 3, "bbox": [0, 0, 1, 1], "segmentation": []}]}"#;

const RESULTS: &str = r#"[{"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.25},
{"image_id": 5, "category_id": 8, "bbox": [1, 2, 3, 4], "score": 0.5},
{"image_id": 5, "category_id": 1, "bbox": [], "segmentation": {"size": [30, 40], "counts": "abc"}, "score": 1},
{"image_id": 5, "category_id": 1, "keypoints": [1, 2, 0.5], "score": -1e-3}]"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, text: &str) -> std::path::PathBuf {
        let path = self.0.path().join("file.json");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn truth(&self, text: &str) -> Result<Truth, DataError> {
        read(self.put(text), Detail::Full)
    }

    fn results(&self, text: &str) -> Result<Results, DataError> {
        let set = self.truth(SMALL)?.set;
        read_results(self.put(text), &set, Detail::Full)
    }
}

#[test]
fn pictures_categories_and_objects_are_read() {
    let Truth { set, left_out } = Folder::new().truth(SMALL).unwrap();
    assert_eq!((set.images.len(), set.categories.len(), set.objects.len(), left_out), (2, 2, 3, 1));
    assert_eq!((set.images[0].name(), set.images[0].size), ("a/7.jpg".to_owned(), Some([40, 30])));
    assert_eq!((set.images[1].file_name.as_str(), set.images[1].size), ("5.jpg", None));
    let first = &set.objects[0];
    assert_eq!(
        (first.image, first.category, first.bbox, first.area),
        (0, 1, [1.0, 2.5, 3.0, 4.0], Some(11.5))
    );
    assert!(first.flags.crowd && first.flags.ignore);
    let runs = Segmentation::Runs { size: [30, 40], counts: vec![0, 5, 1195] };
    assert_eq!(first.segmentation.as_deref(), Some(&runs));
    assert_eq!(first.attributes.len(), 3);
    assert_eq!(first.attributes["pose"], Attribute::Text("left".into()));
    let second = &set.objects[1];
    assert_eq!(second.keypoints.as_ref().unwrap().points, [[1.0, 2.0, 2.0], [0.0; 3]]);
    assert_eq!(second.area, None);
    assert_eq!(set.objects[2].segmentation, None);
}

#[test]
fn boxes_alone_are_the_same_boxes() {
    let folder = Folder::new();
    let full = folder.truth(SMALL).unwrap().set;
    let boxes = read(folder.put(SMALL), Detail::Boxes).unwrap().set;
    assert!(boxes.objects.iter().all(|o| o.segmentation.is_none() && o.keypoints.is_none()));
    let of = |set: &DetectionSet| set.objects.iter().map(|o| (o.id, o.bbox)).collect::<Vec<_>>();
    assert_eq!(of(&full), of(&boxes));
}

#[test]
fn results_are_read_for_the_truth() {
    let Results { detections, strangers } = Folder::new().results(RESULTS).unwrap();
    assert_eq!((detections.len(), &strangers[..]), (3, &[Stranger { image: 1, score: 0.5, before: 1 }][..]));
    assert_eq!((detections[0].image, detections[0].category, detections[0].score), (0, 0, 0.25));
    assert_eq!(detections[1].bbox, None);
    assert!(matches!(detections[1].segmentation.as_deref(), Some(Segmentation::Compressed { .. })));
    assert_eq!(detections[2].keypoints.as_deref(), Some(&[[1.0, 2.0, 0.5]][..]));
}

#[test]
fn results_with_names_of_their_own_are_matched_by_name() {
    let text = r#"{"images": [{"id": 0, "file_name": "5.png"}], "categories": [{"id": 0, "name": "dog"}, {"id": 1, "name": "cow"}],
        "annotations": [{"image_id": 0, "category_id": 0, "bbox": [1, 2, 3, 4], "score": 0.5},
        {"image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]}"#;
    let folder = Folder::new();
    let Results { detections, strangers } = folder.results(text).unwrap();
    assert_eq!((detections.len(), detections[0].image, detections[0].category), (1, 1, 1));
    assert_eq!(strangers.len(), 1);
    let error = folder.results(&text.replace("5.png", "6.png")).unwrap_err().to_string();
    assert!(error.contains("annotations[0] is of image 0, whose name the truth does not have"), "{error}");
    let error = folder.results(&text.replace("score", "sure")).unwrap_err().to_string();
    assert!(error.contains("annotations[0] has no `score`"), "{error}");
}

#[test]
fn what_is_written_is_read_again() {
    let folder = Folder::new();
    let set = folder.truth(SMALL).unwrap().set;
    let path = folder.0.path().join("again.json");
    write(&path, &set).unwrap();
    assert_eq!(read(&path, Detail::Full).unwrap(), Truth { set: set.clone(), left_out: 0 });
    let detections = folder.results(RESULTS).unwrap().detections;
    write_results(&path, &set, &detections).unwrap();
    assert_eq!(read_results(&path, &set, Detail::Full).unwrap().detections, detections);
    assert!(write_results(&path, &DetectionSet::default(), &detections).is_err());
}

#[test]
fn lvis_keeps_what_people_looked_for() {
    let folder = Folder::new();
    let text = SMALL
        .replace(r#""id": 3, "name""#, r#""frequency": "r", "id": 3, "name""#)
        .replace(r#""id": 1, "name""#, r#""frequency": "f", "id": 1, "name""#)
        .replace(
            r#""width": 40"#,
            r#""neg_category_ids": [1, 77], "not_exhaustive_category_ids": [3], "width": 40"#,
        );
    let set = lvis::read(folder.put(&text), Detail::Full).unwrap().set;
    assert_eq!((&set.images[0].negative[..], &set.images[0].not_exhaustive[..]), (&[1][..], &[0][..]));
    assert_eq!(set.categories[1].frequency, Some(Frequency::Frequent));
    let path = folder.0.path().join("again.json");
    lvis::write(&path, &set).unwrap();
    assert_eq!(lvis::read(&path, Detail::Full).unwrap().set, set);
    let error = lvis::read(folder.put(SMALL), Detail::Full).unwrap_err().to_string();
    assert!(error.contains("categories[0] (`cat`) has no `frequency`"), "{error}");
}

#[test]
fn mistakes_are_named() {
    let folder = Folder::new();
    for (text, wanted) in [
        ("", "EOF"),
        ("[]", "file.json:1: invalid"),
        (r#"{"images": []}"#, "no `categories`"),
        (&SMALL[..SMALL.len() - 40], "EOF while parsing"),
        (&SMALL.replace(r#""image_id": 7,"#, ""), "record 0: missing field `image_id`"),
        (
            &SMALL.replace("[0, 0, 9, 9]", "[0, 0, 9]"),
            "record 1: invalid length 3, expected a box of 4 numbers",
        ),
        (&SMALL.replace("[0, 0, 9, 9]", "[0, 0, NaN, 9]"), "record 1: expected value at line 7"),
        (&SMALL.replace(r#""bbox": [0, 0, 9, 9],"#, ""), "annotations[1] has no `bbox`"),
        (&SMALL.replace(r#""id": 2"#, r#""id": 1"#), "two annotations have the id 1"),
        (&SMALL.replace(r#""id": 5"#, r#""id": 7"#), "images[0] and images[1] have the same id"),
        (&SMALL.replace(r#""id": 3, "name""#, r#""id": 1, "name""#), "categories[0] and categories[1]"),
        (&SMALL.replace("[1, 2, 2, 0, 0, 0]", "[1, 2]"), "record 1: invalid length 2"),
        (&SMALL.replace(r#""size": [30, 40], "#, ""), "record 0: missing field `size`"),
    ] {
        let error = folder.truth(text).unwrap_err().to_string();
        assert!(error.contains(wanted) && error.contains("file.json"), "{error}\nwanted {wanted}");
    }
    for (text, wanted) in [
        (
            RESULTS.replace(r#""image_id": 7"#, r#""image_id": 8"#),
            "record 0 is of image 8, which the truth does not have",
        ),
        (RESULTS.replace("0.25", "NaN"), "file.json:1: record 0: expected value"),
        (RESULTS.replace("0.25", "1e999"), "number out of range"),
        (RESULTS.replace(r#", "score": 0.5"#, ""), "record 1: missing field `score`"),
        (RESULTS[..120].to_owned(), "EOF while parsing"),
    ] {
        let error = folder.results(&text).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}\nwanted {wanted}");
    }
    assert_eq!(folder.results("[]").unwrap(), Results::default());
}

proptest! {
    #[test]
    fn no_text_causes_a_panic(cut in 0usize..SMALL.len(), at in 0usize..SMALL.len(), letter in "[\\[\\]{}\",:0-9a-z -]") {
        let mut text = SMALL.to_owned();
        text.replace_range(at..=at, &letter);
        let _ = truth::<true>(Path::new("x"), text.as_bytes());
        let _ = truth::<false>(Path::new("x"), &SMALL.as_bytes()[..cut]);
        let set = truth::<true>(Path::new("x"), SMALL.as_bytes()).unwrap().set;
        let mut text = RESULTS.to_owned();
        let at = at % RESULTS.len();
        text.replace_range(at..=at, &letter);
        let _ = listed_results::<true>(Path::new("x"), text.as_bytes(), &set);
        let _ = named_results::<true>(Path::new("x"), SMALL.as_bytes(), &set);
    }
}
