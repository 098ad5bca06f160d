//! Segmentation and face parsing.

use crate::{Scoring, close, data, npy, npy_integers};
use ocelli_data::annotations::label_map::LabelMap;

fn map(labels: &[u16]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    LabelMap { width: 2, height: labels.len() / 2, labels: labels.to_vec() }.write(&path).unwrap();
    std::fs::read(path).unwrap()
}

/// Truth of two pictures in a folder, one of them in a folder of its own.
fn miou() -> Scoring {
    let scoring = Scoring::new("miou");
    scoring.put("truth/a.png", map(&[0, 0, 1, 255]));
    scoring.put("truth/city/b_gtFine_labelTrainIds.png", map(&[2, 1, 1, 1]));
    let truth = scoring.path("truth");
    scoring.truth_at(truth)
}

fn with_predictions(a: &[u16], b: &[u16]) -> Scoring {
    let scoring = miou();
    scoring.put("pred/a.png", map(a));
    scoring.put("pred/city/b_leftImg8bit.png", map(b));
    let pred = scoring.path("pred");
    scoring.pred_at(pred)
}

#[test]
fn miou_by_hand() {
    miou().perfect();
    miou().variant("eps").perfect();
    let scoring = with_predictions(&[0, 1, 1, 0], &[1, 1, 1, 1]);
    // Class 0: 1 of 2; class 1: 4 of 6; class 2: 0 of 1.
    close(scoring.value("miou"), (0.5 + 4.0 / 6.0) / 3.0);
    close(scoring.value("pixel_accuracy"), 5.0 / 7.0);
    close(scoring.value("mean_accuracy"), (0.5 + 1.0) / 3.0);
    let more = with_predictions(&[0, 1, 1, 0], &[1, 1, 1, 1]).set("classes", "4");
    close(more.value("miou"), (0.5 + 4.0 / 6.0) / 3.0);
    let eps = more.variant("eps");
    assert!((eps.value("miou") - (0.5 + 4.0 / 6.0) / 4.0).abs() < 1e-6);
    assert_eq!(eps.open().unwrap().units(), ["a", "city/b"]);
}

#[test]
fn miou_of_arrays() {
    let truth = || Scoring::new("miou").truth("truth.npy", npy_integers(&[2, 1, 2], &[0, 1, 1, 255]));
    truth().perfect();
    let pred = npy_integers(&[2, 1, 2], &[0, 1, -7, 3]);
    close(truth().pred("pred.npy", &pred).value("miou"), (1.0 + 0.5) / 2.0);
    let all_count = truth().set("classes", "2").set("ignore", "none").pred("pred.npy", &pred);
    assert!(all_count.complaint().contains("`image 1`: labels[1] is class 255; the classes are 0 to 1"));
    let short = truth().pred("pred.npy", npy_integers(&[1, 1, 2], &[0, 1]));
    assert!(short.complaint().contains("no label map of `image 1`"));
    let rows = truth().pred("pred.npy", npy_integers(&[4], &[0, 1, 1, 1]));
    assert!(rows.complaint().contains("integers [N, H, W]"));
}

#[test]
fn miou_refusals() {
    let scoring = miou();
    scoring.put("pred/a.png", map(&[0, 0, 1, 0]));
    let pred = scoring.path("pred");
    assert!(scoring.pred_at(pred).complaint().contains("pred: no label map of `city/b`"));
    assert!(with_predictions(&[0, 0], &[0; 4]).complaint().contains("`a` is 2 x 1, but 2 x 2 in the truth"));
    let few = with_predictions(&[0; 4], &[0; 4]).set("classes", "2");
    assert!(few.complaint().contains("`city/b`: labels[0] is class 2; the classes are 0 to 1"));
    let broken = miou();
    broken.put("pred/a.png", "no picture");
    let pred = broken.path("pred");
    assert!(broken.pred_at(pred).complaint().contains("a.png"));
    let empty = miou();
    std::fs::create_dir(empty.path("none")).unwrap();
    let pred = empty.path("none");
    assert!(empty.pred_at(pred).complaint().contains("no PNG file"));
    let names = with_predictions(&[0; 4], &[0; 4]);
    names.put("names.txt", "0 road\n");
    let file = names.path("names.txt").display().to_string();
    assert!(names.set("names", &file).complaint().contains("1 names for 3 classes"));
}

#[test]
fn extra_predictions_are_noted() {
    let scoring = with_predictions(&[0; 4], &[0; 4]);
    scoring.put("pred/stranger.png", map(&[0; 4]));
    assert!(scoring.open().unwrap().notes()[0].starts_with("1 predictions of pictures"));
}

#[test]
fn camvid_against_itself() {
    let Some(root) = data("camvid") else { return };
    let names = root.join("classes.txt").display().to_string();
    let scoring =
        Scoring::new("miou").truth_at(root.join("testannot")).set("ignore", "11").set("names", &names);
    let scoring = scoring.perfect();
    close(scoring.value("miou"), 1.0);
    let detail = scoring.open().unwrap().detail().unwrap();
    assert_eq!((detail.groups[0].rows[0].0.as_str(), detail.groups[0].rows.len()), ("Sky", 11));
    assert_eq!(scoring.open().unwrap().units().len(), 30);
}

#[test]
fn face_parsing_by_hand() {
    let truth = npy_integers(&[1, 2, 2], &[0, 4, 5, 255]);
    let pred = npy_integers(&[1, 2, 2], &[0, 5, 5, 1]);
    Scoring::new("face-parsing").truth("truth.npy", &truth).perfect();
    Scoring::new("face-parsing").variant("celebamask").truth("truth.npy", &truth).perfect();
    let scoring = Scoring::new("face-parsing").truth("truth.npy", truth).pred("pred.npy", pred);
    close(scoring.value("f1_le"), 0.0);
    close(scoring.value("f1_re"), 2.0 / 3.0);
    close(scoring.value("f1_eyes"), 1.0);
    close(scoring.value("f1_overall"), 1.0);
    close(scoring.value("pixel_accuracy"), 200.0 / 3.0);
    let two = scoring.set("names", "bg,nose");
    assert!(two.complaint().contains("labels[1] is class 4; the classes are 0 to 1"));
}

#[test]
fn class_center_distance_by_hand() {
    let labels = npy_integers(&[4], &[0, 0, 1, 1]);
    let scoring = Scoring::new("ccd").truth("labels.npy", &labels).perfect();
    assert_eq!(scoring.open().unwrap().units(), ["labels"]);
    let scoring =
        Scoring::new("ccd").truth("labels.npy", labels).pred("f.npy", npy(&[4, 1], &[-1.0, 1.0, 9.0, 11.0]));
    close(scoring.value("ccd"), 0.01);
    let short = Scoring::new("ccd").truth("labels.txt", "0\n1\n").pred("f.npy", npy(&[1, 1], &[1.0]));
    assert!(short.complaint().contains("1 features, but the truth has 2"));
}

/// A picture of one colour, but for its first pixel.
fn picture(path: &std::path::Path, colour: u8, first: u8) {
    let mut picture = ocelli_data::image::RgbImage::from_pixel(16, 12, [colour; 3].into());
    picture.put_pixel(0, 0, [first; 3].into());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    ocelli_data::image::save(path, &picture).unwrap();
}

#[test]
fn enhancement_by_hand() {
    let scoring = || {
        let scoring = Scoring::new("enhance");
        picture(&scoring.path("truth/a.png"), 100, 100);
        picture(&scoring.path("truth/b.png"), 50, 60);
        let truth = scoring.path("truth");
        scoring.truth_at(truth)
    };
    for variant in ["valid", "replicate", "gray", "volume"] {
        scoring().variant(variant).perfect();
    }
    let darker = scoring();
    picture(&darker.path("pred/a.png"), 90, 90);
    picture(&darker.path("pred/b.png"), 50, 70);
    picture(&darker.path("pred/c.png"), 50, 70);
    let pred = darker.path("pred");
    let darker = darker.pred_at(&pred);
    // Mean squared errors of 100, and of 100 at one pixel of 192.
    let decibels = |mse: f64| 10.0 * (255.0f64 * 255.0 / mse).log10();
    close(darker.value("psnr"), (decibels(100.0) + decibels(100.0 / 192.0)) / 2.0);
    close(darker.value("mse"), (100.0 + 100.0 / 192.0) / 2.0);
    assert!((0.5..1.0).contains(&darker.value("ssim")));
    assert!(darker.open().unwrap().notes()[0].contains("1 pictures without a reference"));
    assert!(darker.set("window", "13").complaint().contains("window = 13"));

    let lacking = scoring();
    picture(&lacking.path("pred/a.png"), 90, 90);
    let pred = lacking.path("pred");
    assert!(lacking.pred_at(pred).complaint().contains("no picture `b`"));
    let single = Scoring::new("enhance");
    picture(&single.path("x.png"), 1, 2);
    picture(&single.path("y.png"), 1, 4);
    let (x, y) = (single.path("x.png"), single.path("y.png"));
    assert!(single.truth_at(x).pred_at(y).value("psnr") > 60.0);
}
