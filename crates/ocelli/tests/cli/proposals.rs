//! Temporal proposals from a recipe to submissions: train, eval, predict, score and import.

use serde_json::Value;

use ocelli::method::Array;
use ocelli::method::case::Case;
use ocelli::method::verify::CaseSource;
use ocelli::nn::weights::{StateDict, safetensors};
use ocelli::registry::BuiltinCases;

use crate::bench::{Bench, assert_fields, shared};

/// Clips of twelve cells and a network that is trained in a blink.
const RECIPE: &str = r#"
task = "temporal-proposals"

[data.world]
train = 24
test = 8

[method]
name = "dbg"
network = { feature_dim = 12, tscale = 12, base_dims = [8, 6], proposal_dim = 16, head_dim = 8 }

[optimizer]
name = "adam"

[schedule]
epochs = 2

[train]
batch_size = 8
"#;

fn trained() -> Bench {
    let bench = Bench::new();
    bench.write("dbg.toml", RECIPE);
    bench.ocelli("train dbg.toml --out run").succeeded();
    bench
}

/// A feature file of `rows` rows, and the line that stands in place of the last.
fn features(bench: &Bench, name: &str, rows: usize, last: Option<&str>) {
    let names: Vec<String> = (0..12).map(|c| format!("f{c}")).collect();
    let mut lines = vec![names.join(",")];
    for row in 0..rows {
        let cells: Vec<String> =
            (0..12).map(|c| format!("{:.3}", ((row * 7 + c * 3) % 11) as f64 / 5.0 - 1.0)).collect();
        lines.push(cells.join(","));
    }
    if let Some(last) = last {
        lines.pop();
        lines.push(last.to_owned());
    }
    bench.write(&format!("features/{name}.csv"), lines.join("\n"));
}

const TRUTH: &str = r#"{"database": {
    "one": {"duration": 30.0, "subset": "validation", "annotations": [{"segment": [3.0, 12.0], "label": "a"}]},
    "two": {"duration": 60.0, "subset": "validation", "annotations": [{"segment": [50.0, 75.0], "label": "b"}]},
    "three": {"duration": 10.0, "subset": "training", "annotations": []},
    "four": {"duration": 10.0, "subset": "validation", "annotations": []},
    "absent": {"duration": 10.0, "subset": "validation", "annotations": []}
}, "taxonomy": [], "version": "1.3"}"#;

fn with_videos() -> Bench {
    let bench = trained();
    features(&bench, "v_one", 12, None);
    features(&bench, "v_two", 5, None);
    features(&bench, "v_three", 1, None);
    features(&bench, "v_four", 12, Some("nan,0,0,0,0,0,0,0,0,0,0,0"));
    bench.write("truth.json", TRUTH);
    bench
}

#[test]
fn a_recipe_becomes_weights_and_a_report() {
    let parts = ["evenly spread", "class=\"timeline\"", "By length", "0.3 to 0.7"];
    let bench = Bench::trained_twice("dbg", RECIPE, &parts);
    let said = bench.ocelli("eval run --json").succeeded().json();
    assert_fields(&said, &["protocol", "variant", "metrics", "evenly_spread", "skipped"]);
    assert_fields(&said["metrics"], &["AUC", "AR@1", "AR@5", "AR@10", "AR@100"]);
    assert_eq!(said["protocol"], "proposals");
}

#[test]
fn videos_become_a_submission_and_a_page() {
    let bench = with_videos();
    let predict =
        "predict dbg --weights run --features features --truth truth.json --subset validation --out out.json";
    let said = bench.ocelli(predict).succeeded();
    for part in
        ["absent: the video is annotated but has no features", "four", "is NaN", "is cut to the video"]
    {
        assert!(said.err.contains(part), "{part} in {}", said.err);
    }
    let line = said.json();
    assert_eq!((line["videos"].as_u64(), line["skipped"].as_u64()), (Some(2), Some(2)));
    let results: Value = serde_json::from_str(&bench.text("out.json")).unwrap();
    assert_fields(&results, &["version", "results", "external_data"]);
    let one = results["results"]["one"].as_array().unwrap();
    assert!(one.len() > 10 && results["results"]["two"].is_array());
    let scores: Vec<f64> = one.iter().map(|p| p["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b));
    assert!(one.iter().all(|p| p["segment"][1].as_f64().unwrap() <= 30.0));
    let page = bench.text("out.html");
    assert_eq!(page.matches("class=\"timeline\"").count(), 2);
    assert!(page.contains(">truth<"));
    bench.ocelli("score proposals --pred out.json --truth truth.json --json").succeeded();

    // Without annotations times are fractions, and nothing is measured.
    let plain = bench.ocelli("predict dbg --weights run --features features --out plain.json").succeeded();
    assert!(plain.json()["AUC"].is_null() && plain.json()["videos"] == 3);
    // Trained weights can be measured on files as well.
    let said =
        bench.ocelli("eval run --data features --truth truth.json --set data.max_bad_share=0.6 --json");
    assert_eq!(said.succeeded().json()["skipped"], 2);
}

#[test]
fn unusable_videos_are_named_and_counted_by_every_command() {
    let bench = with_videos();
    features(&bench, "v_absent", 0, None);
    let data = "--set data.features=features --set data.truth=truth.json --set data.train_subset=validation";
    let train = |more: &str| format!("train dbg.toml {data} --set train.batch_size=2 {more}");
    bench.ocelli(&train("--out x")).stopped(&["2 of 4 items", "larger share"]);
    assert!(!bench.exists("x"));
    let loose = train("--set data.max_bad_share=0.6 --out files --json");
    let said = bench.ocelli(&loose).succeeded();
    assert_eq!(said.json()["skipped"], 4, "two videos, to train and to measure on: {}", said.err);
    let report = bench.text("files/report.html");
    for part in ["left out absent: ", "the table is empty", "is NaN", "is cut to the video of 60 seconds"] {
        assert!(said.err.contains(part) && report.contains(part), "{part} in {}", said.err);
    }
    let said = bench.ocelli("eval files --json").succeeded();
    assert_eq!(said.json()["skipped"], 2);
    let predict = "predict dbg --weights files --features features --truth truth.json --out out.json";
    let said = bench.ocelli(predict).succeeded();
    // A single row stands for the whole of `three`.
    assert!(said.err.contains("three: a single row of features"), "{}", said.err);
    assert_eq!((said.json()["videos"].as_u64(), said.json()["skipped"].as_u64()), (Some(3), Some(2)));
    bench.write("nothing/v_one.csv", "f0\n");
    let none = "predict dbg --weights files --features nothing --truth truth.json --out x.json";
    bench.ocelli(none).stopped(&["5 of 5 items"]);
}

#[test]
fn checkpoints_of_the_released_code_are_imported() {
    let bench = with_videos();
    let state = bench.safetensors("run/weights.safetensors").state;
    let renamed: Vec<(String, Array)> =
        state.into_iter().map(|(name, array)| (format!("module.{name}"), array)).collect();
    let write = |name: &str, pairs: Vec<(String, Array)>| {
        let state = StateDict::from_pairs(pairs).unwrap();
        safetensors::write(&bench.path(name), &state, &Default::default()).unwrap();
    };
    write("official.safetensors", renamed.clone());
    let said =
        bench.ocelli("import dbg official.safetensors --out own.safetensors --json").succeeded().json();
    assert_eq!((said["features"].as_u64(), said["cells"].as_u64()), (Some(12), Some(100)));
    bench.ocelli("predict dbg --weights own.safetensors --features features --out own.json").succeeded();
    assert!(bench.exists("own.html"));

    let without = |part: &str| renamed.iter().filter(|(name, _)| !name.contains(part)).cloned().collect();
    write("cut.safetensors", without("PropFeatGen"));
    bench
        .ocelli("import dbg cut.safetensors --out x.safetensors")
        .refused(&["PropFeatGen.conv3d.weight", "missing"]);
    write("part.safetensors", without("ACRNet.conv2d.2.0.bias"));
    // Keys that do not fit are listed, a line each.
    let listed = bench.ocelli("import dbg part.safetensors --out x.safetensors");
    assert!(
        listed.code == Some(1) && listed.err.contains("missing     ACRNet.conv2d.2.0.bias"),
        "{}",
        listed.err
    );
    let refused = bench.ocelli("import dbg official.safetensors --out x.safetensors --allow-missing");
    refused.refused(&["--allow-missing"]);
    assert!(!bench.exists("x.safetensors"));
}

#[test]
fn bsn_plus_plus_goes_the_same_way() {
    let bench = Bench::new();
    let (before, rest) = RECIPE.split_once("name = \"dbg\"").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let sizes = "{ T = 12, feat_dim = 12, d1 = 8, d2 = 4, d3 = 8, unet = 8, n_bins = 4, per_bin = 3 }";
    for kind in ["bmn", "bsn-plus-plus"] {
        let method = format!("name = \"bsn-plus-plus\"\nkind = \"{kind}\"\nnetwork = {sizes}");
        bench.write("bsn.toml", format!("{before}{method}\n\n{after}"));
        bench.ocelli(&format!("train bsn.toml --out {kind}")).succeeded();

        let state = bench.safetensors(&format!("{kind}/weights.safetensors")).state;
        let mask = ("sample_mask".to_owned(), Array::f32([12, 4 * 144], vec![0.0; 12 * 4 * 144]).unwrap());
        let renamed = state.into_iter().chain([mask]).map(|(name, array)| (format!("module.{name}"), array));
        let state = StateDict::from_pairs(renamed).unwrap();
        safetensors::write(&bench.path("other.safetensors"), &state, &Default::default()).unwrap();
        let import = format!("import bsn-plus-plus other.safetensors --out {kind}.safetensors --json");
        let said = bench.ocelli(&import).succeeded().json();
        assert_eq!((said["features"].as_u64(), said["cells"].as_u64()), (Some(12), Some(12)));

        features(&bench, "v_one", 12, None);
        let predict =
            format!("predict bsn-plus-plus --weights {kind}.safetensors --features features --out out.json");
        assert_eq!(bench.ocelli(&predict).succeeded().json()["videos"], 1);
    }
}

#[test]
fn mistakes_are_told_in_a_line() {
    let bench = with_videos();
    bench.refuses(&[
        ("predict dbg x.png --weights run", &["--features"]),
        ("predict dbg --weights run --features features", &["--out"]),
        ("predict dbg --weights run --features nowhere --out out.json", &["nowhere"]),
        ("predict dbg --weights run --features features --out out.html", &["out.html", "result.json"]),
        ("predict curricularface --weights run --features features", &["--features", "curricularface"]),
        ("predict dbg --weights dbg.toml --features features --out out.json", &["dbg.toml"]),
        (
            "predict dbg --weights run --features features --truth truth.json --subset testing --out out.json",
            &["truth.json", "testing"],
        ),
        ("eval run --data features", &["--truth"]),
        ("eval run --data features --truth truth.json", &["2 of 4 items"]),
        ("train dbg.toml --set method.name=tag --out x", &["dbg.toml", "tag"]),
        ("train dbg.toml --set method.network.feature_dim=13 --out x", &["method.network.feature_dim"]),
        ("train dbg.toml --set method.loss.eps=0 --out x", &["method.loss.eps"]),
        ("train dbg.toml --set method.network.depth=3 --out x", &["depth"]),
        ("train dbg.toml --set data.features=features --out x", &["data.truth"]),
        ("train dbg.toml --set data.world.train=0 --out x", &["data.world"]),
        ("train dbg.toml --set evaluate.max_proposals=0 --out x", &["evaluate.max_proposals"]),
    ]);
}

#[test]
fn real_features_become_proposals() {
    let Some(folder) = shared("data/activitynet13") else {
        eprintln!("SKIPPED: ActivityNet's samples are not here, so no proposals were made of real features");
        return;
    };
    let bench = Bench::new();
    // The published network at full size, its weights drawn.
    let bytes = BuiltinCases.read("dbg", "network_T100").unwrap().unwrap();
    let parameters = Case::parse("network_T100", &bytes).unwrap().parameters().unwrap();
    let state = StateDict::from_pairs(parameters).unwrap();
    safetensors::write(&bench.path("drawn.safetensors"), &state, &Default::default()).unwrap();
    bench.ocelli("import dbg drawn.safetensors --out dbg.safetensors").succeeded();
    let features = folder.join("activitynet_features").display().to_string();
    bench.write(
        "truth.json",
        r#"{"v_test1": {"duration_second": 40.0, "annotations": [{"segment": [5.0, 30.0], "label": "a"}]},
            "v_test2": {"duration_second": 20.0, "annotations": [{"segment": [1.0, 9.0], "label": "a"}]}}"#,
    );
    let predict = format!("predict dbg --weights dbg.safetensors --features {features} --out out.json");
    let said = bench.ocelli(&format!("{predict} --truth truth.json")).succeeded().json();
    assert_eq!((said["videos"].as_u64(), said["skipped"].as_u64()), (Some(2), Some(0)));
    assert!(said["AUC"].as_f64().unwrap() > 0.0);
    let results: Value = serde_json::from_str(&bench.text("out.json")).unwrap();
    assert_eq!(results["results"]["test1"].as_array().unwrap().len(), 100);
    bench.write("plain.json", bench.text("truth.json").replace("v_test", "test"));
    bench.ocelli("score proposals --pred out.json --truth plain.json").succeeded();
    // The real annotations name other videos: all of them lack features.
    let all = folder.join("anet_anno_action.json").display().to_string();
    bench.ocelli(&format!("{predict} --truth {all}")).refused(&["1396 of 1396 items", "has no features"]);
}
