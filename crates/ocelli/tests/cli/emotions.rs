//! Emotion localization from a recipe to predictions: train, eval and predict.

use ocelli::data::annotations::movie_emotions::{Counted, EmotionalClip, Localized, write_test, write_train};
use ocelli::data::annotations::subtitles::{self, SubtitleLine};
use ocelli::data::vectors::npz;
use ocelli::method::Array;
use ocelli::world::clips::emotion::{EmotionClips, Stretch};
use serde_json::Value;

use crate::bench::{Bench, assert_fields};

/// A network that is trained in a blink.
const RECIPE: &str = r#"
task = "emotion-localization"
network = { d_video = 6, d_text = 4, dim = 8, levels = 2, heads = 2, classes = 18 }
localize = { cls_thresh = 0.0 }

[data.world]
train = 24
test = 12

[loss]
warmup_epochs = 1

[schedule]
epochs = 3

[train]
batch_size = 10
"#;

fn trained() -> Bench {
    let bench = Bench::new();
    bench.write("tel.toml", RECIPE);
    bench.ocelli("train tel.toml --out run").succeeded();
    bench
}

fn lines(n: usize) -> Vec<SubtitleLine> {
    let line = |i: usize| SubtitleLine { start: i as f64, end: i as f64 + 0.5, text: format!("line {i}") };
    (0..n).map(line).collect()
}

/// Features of clips in files, splits of them, and one clip's subtitles.
fn with_clips() -> Bench {
    let bench = trained();
    bench.write("features/readme.txt", "no features");
    for (name, segments, value) in
        [("tt1.a", 5, 0.5), ("tt1.b", 5, -0.5), ("tt1.short", 4, 0.1), ("tt1.nan", 5, f32::NAN)]
    {
        let rows = |dims: usize| {
            let values = (0..segments * dims).map(|i| value + (i % 7) as f32 / 7.0).collect();
            Array::f32([segments, dims], values).unwrap()
        };
        let path = bench.path(&format!("features/{name}.npz"));
        npz::write(path, &[("video", &rows(6)), ("text", &rows(4))]).unwrap();
    }
    fn clips<E: Clone>(emotions: &[E]) -> Vec<EmotionalClip<E>> {
        let clip = |name: &&str| EmotionalClip {
            movie: "tt1".to_owned(),
            clip: (*name).to_owned(),
            lines: lines(5),
            emotions: emotions.to_vec(),
        };
        ["a", "b", "short", "nan", "absent"].iter().map(clip).collect()
    }
    write_train(bench.path("train.json"), &clips(&[Counted { emotion: 4, count: 1 }])).unwrap();
    write_test(bench.path("test.json"), &clips(&[Localized { emotion: 4, segments: vec![1, 2] }])).unwrap();
    let spelled = bench.text("test.json").replace("confidence", "confident");
    bench.write("test.json", spelled);
    subtitles::write(bench.path("features/tt1.a.srt"), &lines(5)).unwrap();
    bench
}

#[test]
fn a_recipe_becomes_weights_and_a_report() {
    let bench = Bench::trained_twice("tel", RECIPE, &["whole clips", "class=\"timeline\""]);
    let said = bench.ocelli("eval run --json").succeeded().json();
    assert_fields(&said, &["protocol", "variant", "metrics", "whole_clips", "skipped"]);
    assert_eq!(
        (said["protocol"].as_str(), said["metrics"]["mAP"].is_f64()),
        (Some("detection-temporal"), true)
    );
}

/// Clips that are drawn, as files: features, a split to train on and one to be measured by.
fn drawn_to_files(bench: &Bench, world: &EmotionClips) {
    let clips = |indices: std::ops::Range<u64>| indices.map(|i| (i, world.clip(i)));
    for (index, clip) in clips(0..60) {
        let rows = |values: &[f32], dims: usize| Array::f32([world.segments, dims], values.to_vec()).unwrap();
        let (video, text) = (rows(&clip.video, world.video_dims), rows(&clip.text, world.text_dims));
        let path = bench.path(&format!("drawn/tt0.{index}.npz"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        npz::write(path, &[("video", &video), ("text", &text)]).unwrap();
    }
    fn clip<E>(index: u64, segments: usize, emotions: Vec<E>) -> EmotionalClip<E> {
        EmotionalClip { movie: "tt0".to_owned(), clip: index.to_string(), lines: lines(segments), emotions }
    }
    let train = clips(0..40).map(|(index, drawn)| {
        let counted = drawn.script.windows.iter().map(|w| Counted { emotion: w.class, count: 1 });
        clip(index, world.segments, counted.collect())
    });
    write_train(bench.path("drawn-train.json"), &train.collect::<Vec<_>>()).unwrap();
    let test = clips(40..60).map(|(index, drawn)| {
        let shown = |w: &Stretch| Localized { emotion: w.class, segments: (w.first..=w.last).collect() };
        clip(index, world.segments, drawn.script.windows.iter().map(shown).collect())
    });
    write_test(bench.path("drawn-test.json"), &test.collect::<Vec<_>>()).unwrap();
}

#[test]
fn predictions_are_scored_by_the_protocol_of_the_paper() {
    let bench = Bench::new();
    bench.write("tel.toml", RECIPE);
    let world = EmotionClips { classes: 18, video_dims: 6, text_dims: 4, ..EmotionClips::default() };
    drawn_to_files(&bench, &world);
    let data = "--set data.features=drawn --set data.train=drawn-train.json --set data.test=drawn-test.json";
    bench.ocelli(&format!("train tel.toml --out run {data} --set schedule.epochs=10")).succeeded();
    let measured = bench.ocelli("eval run --json").succeeded().json();
    let predict = "predict tel --weights run --features drawn --truth drawn-test.json --out out.json";
    assert_eq!(bench.ocelli(predict).succeeded().json()["clips"], 20);
    let score = "score detection-temporal --variant tel --truth drawn-test.json";
    let said = bench.ocelli(&format!("{score} --pred out.json --json --report page.html")).succeeded().json();
    assert_eq!((said["units"].as_u64(), said["unit"].as_str()), (Some(20), Some("video")));
    for (own, official) in [("mAP", "average_mAP"), ("mAP@0.1", "mAP@0.1"), ("mAP@0.7", "mAP@0.7")] {
        let [own, official] =
            [&measured["metrics"][own], &said["metrics"][official]].map(|v| v.as_f64().unwrap());
        assert!((own - official).abs() < 1e-9, "{own} {official}");
    }
    assert!(said["metrics"]["mAP@0.1"].as_f64().unwrap() > 0.0, "{said}");
    assert!(bench.text("page.html").contains("By class"));
    for windows in ["whole", "runs"] {
        let itself = bench.ocelli(&format!("{score} --set windows={windows} --self-test --json")).succeeded();
        assert_eq!(itself.json()["holds"], true);
    }
    bench.write("short.json", r#"{"tt0.40": [{"emotion": "peace", "start": 0}]}"#);
    bench.write("cut.json", &bench.text("out.json")[..100]);
    bench.write("strange.json", r#"{"tt0.40": [{"emotion": "boredom", "start": 0, "end": 1, "score": 1}]}"#);
    bench.refuses(&[
        (&format!("{score} --pred short.json"), &["short.json:1", "missing field `end`"]),
        (&format!("{score} --pred cut.json"), &["cut.json", "EOF"]),
        (&format!("{score} --pred out.json --set windows=some"), &["windows", "some"]),
        ("score detection-temporal --variant tel --truth out.json --pred out.json", &["out.json"]),
    ]);
    let strange = bench.ocelli(&format!("{score} --pred strange.json")).succeeded();
    assert!(strange.err.contains("1 detection of labels that the truth does not have"), "{}", strange.err);
}

#[test]
fn clips_of_files_are_trained_on_measured_and_localized() {
    let bench = with_clips();
    let said = bench.ocelli("predict tel --weights run --features features --truth test.json --out out.json");
    let said = said.succeeded();
    for part in [
        "tt1.short: 4 rows of `video` for 5 subtitles",
        "tt1.nan: element 0 of `video` is NaN",
        "tt1.absent: it has no features",
    ] {
        assert!(said.err.contains(part), "{part} in {}", said.err);
    }
    assert_eq!((said.json()["clips"].as_u64(), said.json()["skipped"].as_u64()), (Some(2), Some(3)));
    let found: Value = serde_json::from_str(&bench.text("out.json")).unwrap();
    let clip = found["tt1.a"].as_array().unwrap();
    assert!(clip.len() >= 18 && found["tt1.b"].is_array());
    assert_fields(&clip[0], &["emotion", "start", "end", "score"]);
    assert!(clip.iter().any(|e| e["emotion"] == "confidence"));
    assert!(clip.iter().all(|e| e["end"].as_f64().unwrap() <= 4.5));
    assert!(clip.is_sorted_by(|a, b| a["score"].as_f64() >= b["score"].as_f64()));

    // Without a split, subtitles beside the features tell the times.
    let said = bench.ocelli("predict tel --weights run --features features --out own.json").succeeded();
    assert_eq!((said.json()["clips"].as_u64(), said.json()["skipped"].as_u64()), (Some(1), Some(3)));
    let own: Value = serde_json::from_str(&bench.text("own.json")).unwrap();
    // Clips are computed in other company, in which sums may be rounded otherwise.
    let own = own["tt1.a"].as_array().unwrap();
    assert_eq!(own.len(), clip.len());
    for (own, of_split) in own.iter().zip(clip) {
        for key in ["emotion", "start", "end"] {
            assert_eq!(own[key], of_split[key]);
        }
        assert!((own["score"].as_f64().unwrap() - of_split["score"].as_f64().unwrap()).abs() < 1e-5);
    }

    let loose = "--set data.max_bad_share=0.6";
    let eval = format!("eval run --data features --truth test.json {loose} --json");
    assert_eq!(bench.ocelli(&eval).succeeded().json()["skipped"], 3);
    let train = format!(
        "train tel.toml --set data.features=features --set data.train=train.json --set data.test=test.json {loose} --out files"
    );
    let said = bench.ocelli(&format!("{train} --json")).succeeded();
    assert_eq!(said.json()["skipped"], 6, "three clips of either split: {}", said.err);
    assert!(bench.exists("files/weights.safetensors"));
}

#[test]
fn unusable_clips_and_labels_are_named_and_counted() {
    let bench = with_clips();
    let nothing = |dims: usize| Array::f32([0, dims], Vec::new()).unwrap();
    npz::write(bench.path("features/tt1.absent.npz"), &[("video", &nothing(6)), ("text", &nothing(4))])
        .unwrap();
    // `confidence` is written as the official file spells it.
    bench.write("unknown.json", bench.text("test.json").replace("confident", "boredom"));
    let predict = "predict tel --weights run --features features --truth unknown.json --out out.json";
    let said = bench.ocelli(predict).succeeded();
    assert_eq!((said.json()["clips"].as_u64(), said.json()["skipped"].as_u64()), (Some(2), Some(3)));
    for part in ["`boredom` is no emotion; left out 5 times", "tt1.absent: 0 rows of `video` for 5 subtitles"]
    {
        assert!(said.err.contains(part), "{part} in {}", said.err);
    }
    let of_files = |split: &str| {
        format!(
            "train tel.toml --set data.features=features --set data.train=train.json --set data.test={split} --out x"
        )
    };
    bench.ocelli(&of_files("test.json")).stopped(&["3 of 5 clips are unusable", "data.max_bad_share"]);
    let loose = format!("{} --set data.max_bad_share=0.6", of_files("unknown.json"));
    bench.ocelli(&loose).stopped(&["no clip is left", "with emotions to measure on"]);
    bench.write("beyond.json", bench.text("test.json").replace("\"segment\":[1,2]", "\"segment\":[1,7]"));
    bench.refuses(&[
        (
            &format!("{} --set data.max_bad_share=0.6", of_files("beyond.json")),
            &["beyond.json", "confidence is in segment 7 of 5"],
        ),
        ("eval run --data features --truth beyond.json", &["beyond.json", "segment 7 of 5"]),
    ]);
}

#[test]
fn mistakes_are_told_in_a_line() {
    let bench = with_clips();
    bench.refuses(&[
        ("predict tel x.png --weights run", &["--features"]),
        ("predict tel --weights run --features features", &["--out"]),
        ("predict tel --weights run --features nowhere --out out.json", &["nowhere"]),
        ("predict tel --weights tel.toml --features features --out out.json", &["tel.toml"]),
        ("eval run --data features", &["--truth"]),
        ("eval run --data features --truth test.json", &["3 of 5 clips are unusable", "data.max_bad_share"]),
        ("train tel.toml --set network.heads=3 --out x", &["network.heads", "does not divide"]),
        ("train tel.toml --set loss.lo=0.9 --out x", &["loss.lo"]),
        ("train tel.toml --set data.features=features --out x", &["data.train"]),
        ("train tel.toml --set data.world.train=0 --out x", &["data.world"]),
        ("train tel.toml --set dropout=1 --out x", &["dropout"]),
    ]);
}
