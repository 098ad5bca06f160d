//! From features to scored detections: proposals of several generators merged, a video classifier, labels, scores.

use std::collections::BTreeMap;

use ocelli::data::annotations::activitynet::{
    Annotations, LabelledSegment, VideoAnnotation, VideoClasses, VideoInfo, write_video_info,
};
use ocelli::data::annotations::thumos;
use ocelli::method::random::hash_uniform;
use ocelli::world::clips::ActionClips;
use ocelli::world::clips::labelled::LabelledClips;
use serde_json::{Value, json};

use crate::bench::{Bench, assert_fields, shared};

/// A generator that is trained in a blink, on files.
fn generator(method: &str, schedule: &str, data: &str) -> String {
    format!(
        "task = \"temporal-proposals\"\n[data]\nfeatures = \"features\"\ntruth = \"truth.json\"\n{data}\n[method]\n{method}\n\
         [optimizer]\nname = \"adam\"\nlr = 2e-3\n[schedule]\n{schedule}\n[train]\nbatch_size = 8\nevaluate_every = 9\n"
    )
}

const DBG: &str = "name = \"dbg\"\nnetwork = { feature_dim = 16, tscale = 16, base_dims = [8, 6], proposal_dim = 16, head_dim = 8 }";
const BMN: &str = "name = \"bsn-plus-plus\"\nkind = \"bmn\"\nnetwork = { T = 16, feat_dim = 16, d1 = 8, d2 = 4, d3 = 8, n_bins = 4, per_bin = 2 }";
const CLASSES: &str = r#"
task = "video-classification"
dropout = 0.2
[data]
features = "features"
truth = "truth.json"
[optimizer]
name = "sgd"
lr = 0.5
[schedule]
epochs = 40
[train]
batch_size = 8
"#;

fn table(values: &[f32], columns: usize) -> String {
    let row = |row: &[f32]| row.iter().map(f32::to_string).collect::<Vec<_>>().join(",") + "\n";
    values.chunks(columns).map(row).collect()
}

/// Drawn clips of four classes as files: 40 to train on, 16 to measure on.
fn with_clips() -> Bench {
    let bench = Bench::new();
    let clips = ActionClips { noise: 0.3, ..ActionClips::default() };
    let world = LabelledClips { clips, prototype: 1.0, ..LabelledClips::default() };
    let mut database = serde_json::Map::new();
    for index in 0..56 {
        let (clip, class) = world.clip(index);
        bench.write(&format!("features/v_{index}.csv"), table(&clip.features, clip.channels));
        let action = |[start, end]: &[f64; 2]| json!({ "segment": [100.0 * start, 100.0 * end], "label": LabelledClips::label(class) });
        let annotations: Vec<Value> = clip.actions.iter().map(action).collect();
        let subset = if index < 40 { "training" } else { "validation" };
        let video = json!({ "duration": 100.0, "subset": subset, "annotations": annotations });
        database.insert(index.to_string(), video);
    }
    bench.write("truth.json", json!({ "database": database }).to_string());
    bench.write("dbg.toml", generator(DBG, "epochs = 12", ""));
    bench.write("bmn.toml", generator(BMN, "epochs = 12", ""));
    bench.write("classes.toml", CLASSES);
    bench
}

fn metric(bench: &Bench, score: &str, name: &str) -> f64 {
    bench.ocelli(&format!("score {score} --truth truth.json --json")).succeeded().json()["metrics"][name]
        .as_f64()
        .unwrap()
}

#[test]
fn proposals_are_merged_labelled_and_scored() {
    let bench = with_clips();
    let of_validation = "--features features --truth truth.json --subset validation";
    for (recipe, method) in [("dbg", "dbg"), ("bmn", "bsn-plus-plus")] {
        bench.ocelli(&format!("train {recipe}.toml --out {recipe}")).succeeded();
        bench
            .ocelli(&format!("predict {method} --weights {recipe} {of_validation} --out {recipe}.json"))
            .succeeded();
    }
    let said = bench
        .ocelli("proposals merge dbg.json bmn.json --weights 1,0.5 --truth truth.json --out merged.json")
        .succeeded()
        .json();
    assert_fields(&said, &["videos", "skipped", "segments", "results"]);
    assert_eq!((said["videos"].as_u64(), said["skipped"].as_u64()), (Some(16), Some(0)));
    assert!(metric(&bench, "proposals --pred merged.json", "AR@10") > 0.2);

    let trained = bench.ocelli("train classes.toml --out classes --json").succeeded().json();
    assert_fields(&trained, &["metrics", "most_frequent", "skipped", "report"]);
    let [learned, plain] = ["metrics", "most_frequent"].map(|of| trained[of]["top1"].as_f64().unwrap());
    assert!(learned > 0.7 && learned > plain, "{trained}");
    let measured = bench.ocelli("eval classes --json").succeeded().json();
    assert_eq!((&measured["protocol"], &measured["metrics"]), (&json!("topk"), &trained["metrics"]));
    let predict = format!("predict anet2020-tal --weights classes {of_validation} --out classes.json");
    let said = bench.ocelli(&predict).succeeded().json();
    assert_eq!((said["videos"].as_u64(), said["classes"].as_u64()), (Some(16), Some(4)));

    let label = "proposals label merged.json --classes classes.json --truth truth.json";
    bench.ocelli(&format!("{label} --out detections.json")).succeeded();
    let map = metric(&bench, "detection-temporal --pred detections.json", "mAP@0.5");
    assert!(map > 0.05, "{map}");
    // The best class alone, and classes that are worth more, change the list.
    for (more, name) in [("--top 1", "one.json"), ("--class-power 2 --proposal-power 0.5", "power.json")] {
        bench.ocelli(&format!("{label} {more} --out {name}")).succeeded();
        assert!(metric(&bench, &format!("detection-temporal --pred {name}"), "mAP@0.5") > 0.05);
        assert_ne!(bench.text(name), bench.text("detections.json"));
    }
    // Detections are merged label by label.
    bench.ocelli("proposals merge detections.json one.json --nms hard --out both.json").succeeded();
    assert!(metric(&bench, "detection-temporal --pred both.json", "mAP@0.5") > 0.05);
}

#[test]
fn a_classifier_trains_the_same_network_again() {
    let drawn = CLASSES.replace("features = \"features\"\ntruth = \"truth.json\"", "");
    let bench = Bench::trained_twice("classes", &drawn, &["most frequent classes", "Accuracy"]);
    let shown = bench.ocelli("show anet2020-tal --json").succeeded().json();
    assert_eq!((&shown["trains"], &shown["predicts"]), (&json!(true), &json!(true)));
}

#[test]
fn unusable_videos_and_labels_are_named_and_counted() {
    let bench = with_clips();
    let whole = bench.text("truth.json");
    bench.write("features/v_0.csv", "");
    bench.write("features/v_1.csv", "1,2,3\n");
    let first = bench.text("features/v_2.csv");
    let (_, rest) = first.split_once(',').unwrap();
    bench.write("features/v_2.csv", format!("NaN,{rest}"));
    std::fs::remove_file(bench.path("features/v_3.csv")).unwrap();
    // A single row stands for its video; an unknown label can not be measured by.
    let row = first.lines().next().unwrap().to_owned();
    bench.write("features/v_4.csv", row);
    let mut truth: Value = serde_json::from_str(&whole).unwrap();
    truth["database"]["50"]["annotations"][0]["label"] = json!("Surfing");
    truth["database"]["51"]["annotations"] = json!([]);
    bench.write("truth.json", truth.to_string());
    bench.ocelli("train classes.toml --out x").stopped(&["of 40 items", "larger share"]);
    let loose = "--set data.max_bad_share=0.2";
    let trained = bench.ocelli(&format!("train classes.toml --out run --json {loose}")).succeeded();
    assert_eq!(trained.json()["skipped"], 6, "{}", trained.err);
    let report = bench.text("run/report.html");
    for part in ["the video is annotated but has no features", "Surfing", "no action of it is annotated"] {
        assert!(report.contains(part), "{part}");
    }
    let said = bench.ocelli("eval run --json").succeeded();
    assert_eq!(said.json()["skipped"], 2);
    assert!(said.err.contains("left out 50: its label `Surfing`"), "{}", said.err);
    let said =
        bench.ocelli("predict anet2020-tal --weights run --features features --out c.json").succeeded();
    assert_eq!((said.json()["videos"].as_u64(), said.json()["skipped"].as_u64()), (Some(52), Some(3)));
    assert!(said.err.contains("left out 1: ") && said.err.contains("left out 0: "), "{}", said.err);
}

#[test]
fn mistakes_are_told_in_a_line() {
    let bench = Bench::new();
    let list = |segments: Value| json!({ "results": { "a": segments } }).to_string();
    bench.write(
        "good.json",
        list(json!([{ "score": 0.5, "segment": [1, 2] }, { "score": 0.4, "segment": [9, 2] }])),
    );
    bench.write("minus.json", list(json!([{ "score": -0.5, "segment": [1, 2] }])));
    bench.write("broken.json", list(json!([{ "score": 0.5 }])));
    bench.write("truth.json", r#"{"b": {"duration": 3, "annotations": []}}"#);
    bench.write("classes.json", r#"{"class": ["x"], "results": {"a": [0.5]}}"#);
    bench.write("wide.json", r#"{"class": ["x"], "results": {"a": [0.5, 0.5]}}"#);
    bench.write("other.json", r#"{"class": ["x"], "results": {"b": [0.5]}}"#);
    bench.write("classes.toml", CLASSES);
    bench.refuses(&[
        ("proposals merge good.json --out x", &["durations", "--truth", "--slope 0"]),
        ("proposals merge good.json --truth truth.json --out x", &["all 1 videos", "a: no duration"]),
        (
            "proposals merge good.json broken.json --slope 0 --out x",
            &["broken.json:1", "missing field `segment`"],
        ),
        ("proposals merge good.json good.json --weights 1 --slope 0 --out x", &["1 weights for 2 models"]),
        ("proposals merge good.json --weights=-1 --slope 0 --out x", &["weight 0 is -1"]),
        ("proposals merge good.json --sigma 0 --slope 0 --out x", &["sigma"]),
        ("proposals merge nowhere.json --slope 0 --out x", &["nowhere.json"]),
        ("proposals merge --out x", &["<LISTS>"]),
        ("proposals label good.json --out x", &["--classes"]),
        ("proposals label good.json --classes wide.json --out x", &["wide.json", "2 scores for 1 classes"]),
        ("proposals label good.json --classes other.json --out x", &["a: there are no class scores"]),
        ("proposals label good.json --classes classes.json --top 0 --out x", &["top_k"]),
        ("proposals label minus.json --classes classes.json --proposal-power 0.5 --out x", &["below 0"]),
        ("predict anet2020-tal x.png --weights run", &["--features"]),
        ("predict anet2020-tal --weights classes.toml --features . --out x", &["classes.toml"]),
        ("train classes.toml --set data.features=nowhere --out x", &["nowhere"]),
        ("train classes.toml --set dropout=2 --out x", &["dropout"]),
    ]);
    let said = bench.ocelli("proposals label good.json --classes classes.json --out named.json").succeeded();
    assert!(said.err.contains("a: left out 1 segments that end before they start"), "{}", said.err);
    assert_eq!(said.json()["segments"], 1);
}

/// A row of features for every five frames of 24 a second; a window of 64 rows lasts 13 seconds.
const ROW_SECONDS: f64 = 5.0 / 24.0;

/// The real annotations of 30 videos of Charades to train on and of 10 to measure on: many short actions a video.
fn charades() -> Option<Annotations> {
    #[derive(serde::Deserialize)]
    struct Video {
        subset: String,
        duration: f64,
        actions: Vec<(u32, f64, f64)>,
    }
    let text = std::fs::read_to_string(shared("data/charades-sta")?.join("charades.json")).ok()?;
    let all: BTreeMap<String, Video> = serde_json::from_str(&text).unwrap();
    let labels: Vec<String> = (0..157).map(|class| format!("c{class:03}")).collect();
    let mut annotations = Annotations { labels, videos: Vec::new() };
    for (from, to, count) in [("training", "validation", 30), ("testing", "testing", 10)] {
        let some = all.iter().filter(|(_, v)| v.subset == from && !v.actions.is_empty() && v.duration > 20.0);
        for (name, video) in some.take(count) {
            let segment =
                |&(label, start, end): &(u32, f64, f64)| LabelledSegment { segment: [start, end], label };
            annotations.videos.push(VideoAnnotation {
                name: name.clone(),
                subset: Some(to.to_owned()),
                duration: Some(video.duration),
                segments: video.actions.iter().map(segment).collect(),
            });
        }
    }
    Some(annotations)
}

/// Features on which the annotations are to be found: how many actions a row is in, where they begin and end, and noise.
fn features_of(video: &VideoAnnotation) -> Vec<f32> {
    let rows = (video.duration.unwrap() / ROW_SECONDS).ceil() as usize;
    let noise = hash_uniform(&video.name, 16 * rows);
    let mut values: Vec<f32> = noise.into_iter().map(|v| 0.4 * v).collect();
    for (row, cells) in values.chunks_mut(16).enumerate() {
        let at = (row as f64 + 0.5) * ROW_SECONDS;
        let near = |time: f64| (-(at - time).powi(2) / 0.2).exp() as f32;
        for LabelledSegment { segment: [start, end], .. } in &video.segments {
            let inside = f32::from(u8::from((*start..*end).contains(&at)));
            [0, 1, 2, 3, 8, 9].into_iter().for_each(|channel: usize| cells[channel] += inside);
            (cells[4], cells[5]) = (cells[4] + near(*start), cells[5] + near(*end));
        }
    }
    values
}

#[test]
fn long_videos_go_through_windows_to_the_protocol_of_thumos() {
    let Some(all) = charades() else {
        eprintln!("SKIPPED: Charades is not here, so windows were not tried on real annotations");
        return;
    };
    let bench = Bench::new();
    std::fs::create_dir(bench.path("truth")).unwrap();
    thumos::write_annotations(bench.path("truth"), &all).unwrap();
    let row = |video: &VideoAnnotation| VideoInfo {
        video: video.name.clone(),
        seconds: video.duration.unwrap(),
        subset: video.subset.clone().unwrap(),
        ..VideoInfo::default()
    };
    write_video_info(bench.path("info.csv"), &all.videos.iter().map(row).collect::<Vec<_>>()).unwrap();
    for video in &all.videos {
        bench.write(&format!("features/{}.csv", video.name), table(&features_of(video), 16));
    }
    let subsets = "info = \"info.csv\"\nrescale = \"windows\"\ntrain_subset = \"validation\"\ntest_subset = \"testing\"";
    let recipe = generator(DBG, "epochs = 3", subsets)
        .replace("truth.json", "truth")
        .replace("tscale = 16", "tscale = 64");
    bench.write("dbg.toml", recipe);
    let trained = bench.ocelli("train dbg.toml --out run --json").succeeded();
    let windows = trained.err.lines().next().unwrap().split(' ').next().unwrap().parse::<usize>().unwrap();
    assert!(windows > 80, "30 videos of more than 20 s are three windows of 13 s and more each: {windows}");
    let files = "--features features --truth truth --info info.csv --subset testing";
    let said = bench.ocelli(&format!("predict dbg --weights run {files} --out out.json")).succeeded().json();
    assert_eq!((said["videos"].as_u64(), said["skipped"].as_u64()), (Some(10), Some(0)));
    let results: Value = serde_json::from_str(&bench.text("out.json")).unwrap();
    for video in all.videos.iter().filter(|v| v.subset.as_deref() == Some("testing")) {
        let list = results["results"][&video.name].as_array().unwrap();
        let end = |p: &Value| p["segment"][1].as_f64().unwrap();
        let (duration, last) = (video.duration.unwrap(), list.iter().map(end).fold(0.0, f64::max));
        assert!(last > 5.0 && last <= duration, "{}: {last} of {duration}", video.name);
        assert!(list.is_sorted_by(|a, b| a["score"].as_f64() >= b["score"].as_f64()));
    }
    let score = |what: &str| {
        let command = format!("score {what} --variant thumos --truth truth --set subset=testing --json");
        bench.ocelli(&command).succeeded().json()["metrics"].clone()
    };
    let recall = score("proposals --pred out.json");
    assert_fields(&recall, &["AR@50", "AR@100", "AR@200", "AR@500", "AR@1000"]);
    assert!(recall["AR@100"].as_f64().unwrap() > 0.05, "{recall}");

    // Named by the classes that each video truly shows.
    let shown = |video: &VideoAnnotation| {
        let mut scores = vec![0.0; all.labels.len()];
        video.segments.iter().for_each(|s| scores[s.label as usize] = 1.0);
        (video.name.clone(), scores)
    };
    let classes = VideoClasses { labels: all.labels.clone(), videos: all.videos.iter().map(shown).collect() };
    classes.write(bench.path("classes.json")).unwrap();
    let label =
        "proposals label out.json --classes classes.json --top 4 --keep 400 --info info.csv --out named.json";
    bench.ocelli(label).succeeded();
    let map = score("detection-temporal --pred named.json");
    assert_fields(&map, &["average_mAP", "mAP@0.3", "mAP@0.7"]);
    assert!(map["mAP@0.3"].as_f64().unwrap() > 0.0, "{map}");
}
