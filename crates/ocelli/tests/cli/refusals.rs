//! Wrong input: each is refused with one line that says what and where, and nothing is written.

use ocelli::nn::weights::safetensors;

use crate::bench::{Bench, picture};

/// A training that must be refused before it writes anything.
#[track_caller]
fn refused(bench: &Bench, options: &str, parts: &[&str]) {
    bench.ocelli(&format!("train tiny.toml --out run {options}")).stopped(parts);
    assert!(!bench.exists("run") && !bench.exists("runs"), "`{options}` left a folder");
}

#[test]
fn settings_are_checked_by_name() {
    let bench = Bench::new();
    for (setting, parts) in [
        ("schedule.epoch=3", ["unknown field `epoch`", "`schedule`"]),
        ("sedule.epochs=3", ["unknown field `sedule`", "tiny.toml"]),
        ("loss.ss=1", ["unknown field `ss`", "`loss`"]),
        ("optimizer.momentun=1", ["unknown field `momentun`", "`optimizer`"]),
        ("optimizer.name=newton", ["`newton`", "`optimizer.name`"]),
        ("loss.name=hinge", ["`hinge`", "`loss.name`"]),
        ("schedule.epochs=many", ["invalid type", "`schedule.epochs`"]),
        ("schedule.epochs=2.5", ["invalid type", "`schedule.epochs`"]),
        ("schedule=3", ["invalid type", "`schedule`"]),
        ("optimizer=sgd", ["tiny.toml", "`optimizer`"]),
        ("seed=-1", ["invalid value", "`seed`"]),
        ("backbone.widths=[8]", ["invalid length 1", "`backbone.widths`"]),
        ("schedule.epochs=0", ["tiny.toml", "schedule.epochs"]),
        ("optimizer.lr=0", ["tiny.toml", "optimizer.lr"]),
        ("optimizer.lr=nan", ["tiny.toml", "optimizer.lr"]),
        ("optimizer.lr=inf", ["tiny.toml", "optimizer.lr"]),
        ("optimizer.momentum=1", ["tiny.toml", "optimizer.momentum"]),
        ("loss.m=2", ["tiny.toml", "loss.m"]),
        ("loss.s=0", ["tiny.toml", "loss.s"]),
        ("evaluate.folds=1", ["tiny.toml", "evaluate.folds"]),
        ("evaluate.fars=[2.0]", ["tiny.toml", "evaluate.fars"]),
        ("train.batch_size=0", ["tiny.toml", "train.batch_size"]),
        ("train.batch_size=1", ["tiny.toml", "train.batch_size"]),
        ("train.average_decay=1", ["tiny.toml", "train.average_decay"]),
        ("train.clip_norm=-1", ["tiny.toml", "train.clip_norm"]),
        ("backbone.input_size=4", ["tiny.toml", "backbone.input_size"]),
        ("data.max_bad_share=2", ["tiny.toml", "data.max_bad_share"]),
        ("data.world.people=1", ["tiny.toml", "data.world"]),
        ("augment.flip=2", ["tiny.toml", "flip"]),
        ("task=juggling", ["no task `juggling`", "face-recognition"]),
        ("task.name=juggling", ["`task` is not a section", "--set"]),
        ("schedule.epochs", ["KEY=VALUE", "--set schedule.epochs"]),
        ("train.batch_size=1000", ["24 pictures", "train.batch_size = 1000"]),
        ("data.held_out=8", ["held_out", "8 of 8"]),
        ("evaluate.folds=100", ["fold", "100"]),
    ] {
        refused(&bench, &format!("--set {setting}"), &parts);
    }
}

#[test]
fn recipes_are_checked_by_line_and_key() {
    let bench = Bench::new();
    for (recipe, parts) in [
        ("task = \"face-recognition\"\n[data\n", ["bad.toml", "line 2"]),
        ("task = \"face-recognition\"\nepochs = 3\n", ["bad.toml", "unknown field `epochs`"]),
        (
            "task = \"face-recognition\"\n[loss]\nname = \"arcface\"\nt = 1.0\n",
            ["bad.toml", "unknown field `t`"],
        ),
        ("task = \"juggling\"\n", ["bad.toml", "no task `juggling`"]),
        ("seed = 1\n", ["bad.toml", "`task` is missing"]),
        ("", ["bad.toml", "`task` is missing"]),
        ("\u{0}\u{1}\n", ["bad.toml", "line 1"]),
    ] {
        bench.write("bad.toml", recipe);
        bench.ocelli("train bad.toml --out run").refused(&parts);
    }
    bench.write("bad.toml", [0xFF, 0xFE, 0x00]);
    bench.ocelli("train bad.toml --out run").refused(&["bad.toml", "UTF-8"]);
    bench.ocelli("train missing.toml --out run").refused(&["missing.toml", "No such file"]);
    bench.ocelli("eval missing").refused(&["missing: no such run or recipe"]);
    bench.ocelli("eval tiny.toml").refused(&["tiny.toml", "--weights"]);
    assert!(!bench.exists("run"));
    bench.ocelli("train tiny.toml --out tiny.toml").stopped(&["tiny.toml"]);
}

#[test]
fn people_to_train_on_are_checked_by_folder() {
    let bench = Bench::new();
    refused(&bench, "--set data.train=nowhere", &["nowhere: no such folder or list"]);
    std::fs::create_dir(bench.path("nobody")).unwrap();
    refused(&bench, "--set data.train=nobody", &["nobody", "one folder an identity"]);
    bench.people("one", 1, 8);
    refused(&bench, "--set data.train=one", &["one: at least 2 identities", "found 1"]);
    bench.people("people", 6, 4);
    std::fs::create_dir(bench.path("people/p7")).unwrap();
    refused(&bench, "--set data.train=people", &["people/p7: holds no picture"]);
    std::fs::remove_dir(bench.path("people/p7")).unwrap();
    refused(&bench, "--set data.train=people --set data.test=nowhere", &["nowhere"]);
    refused(&bench, "--set data.train=people --set data.test=one", &["one: at least 2 identities"]);
    bench.write("list.txt", "people/p0/0.png 0\npeople/p0/1.png zero\n");
    refused(&bench, "--set data.train=list.txt", &["list.txt:2:"]);
}

#[test]
fn too_many_unreadable_pictures_are_counted_and_named() {
    let bench = Bench::new();
    bench.people("people", 8, 4);
    bench.truncate("people/p1/0.png", 0.5);
    refused(&bench, "--set data.train=people", &["1 of 32", "unreadable", "people/p1/0.png"]);

    let jpeg = ocelli::data::image::jpeg_bytes(&picture(1, 0), 90).unwrap();
    bench.write("people/p1/0.jpg", &jpeg[..jpeg.len() / 2]);
    std::fs::remove_file(bench.path("people/p1/0.png")).unwrap();
    refused(&bench, "--set data.train=people", &["1 of 32", "unreadable", "people/p1/0.jpg"]);
    bench.write("people/p1/0.jpg", "no picture at all");
    refused(&bench, "--set data.train=people", &["1 of 32", "unreadable", "people/p1/0.jpg"]);
    bench.write("people/p1/0.jpg", "");
    refused(&bench, "--set data.train=people", &["1 of 32", "unreadable", "people/p1/0.jpg"]);
    bench
        .ocelli("train tiny.toml --out run --set data.train=people --set data.max_bad_share=0.5")
        .succeeded();
}

/// What weights are wanted for; `WEIGHTS` stands for the file.
const USES: [&str; 4] = [
    "eval run --weights WEIGHTS",
    "predict curricularface people/p0/0.png people/p0/1.png --weights WEIGHTS",
    "embed people --out out.csv --weights WEIGHTS",
    "train tiny.toml --out other --set backbone.weights=WEIGHTS",
];

#[test]
fn damaged_and_foreign_weights_are_named() {
    let bench = Bench::trained();
    bench.people("people", 2, 2);
    let good = bench.read("run/weights.safetensors");
    for share in [0, 4, 100, good.len() / 2, good.len() - 1] {
        bench.write("weights.safetensors", &good[..share]);
        for usage in USES {
            bench
                .ocelli(&usage.replace("WEIGHTS", "weights.safetensors"))
                .stopped(&["weights.safetensors: "]);
        }
    }
    let noise: Vec<u8> = (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    bench.write("weights.safetensors", noise);
    for usage in USES {
        bench.ocelli(&usage.replace("WEIGHTS", "weights.safetensors")).stopped(&["weights.safetensors: "]);
        bench.ocelli(&usage.replace("WEIGHTS", "nowhere")).stopped(&["nowhere: "]);
    }
    // The tensors of one network under the description of another.
    bench.ocelli("train tiny.toml --out wide --set backbone.widths=[8,8,8,8]").succeeded();
    let (narrow, wide) =
        (bench.safetensors("run/weights.safetensors"), bench.safetensors("wide/weights.safetensors"));
    safetensors::write(&bench.path("weights.safetensors"), &wide.state, &narrow.metadata).unwrap();
    for usage in USES {
        let said = bench.ocelli(&usage.replace("WEIGHTS", "weights.safetensors"));
        assert_eq!(said.code, Some(1), "{usage}");
        let first = said.err.lines().find(|l| l.starts_with("error: ")).unwrap();
        assert!(first.contains("weights.safetensors: the weights do not fit the network"), "{}", said.err);
        assert!(said.err.contains("[8, 3, 3, 3]") && said.err.contains("[4, 3, 3, 3]"), "{}", said.err);
    }
    // No description at all, and one that makes no sense.
    safetensors::write(&bench.path("weights.safetensors"), &narrow.state, &Default::default()).unwrap();
    bench.ocelli("eval run --weights weights.safetensors").refused(&["weights.safetensors", "which network"]);
    let mut metadata = narrow.metadata.clone();
    for text in metadata.values_mut() {
        *text = text.replace("\"input_size\":32", "\"input_size\":0");
    }
    assert_ne!(metadata, narrow.metadata);
    safetensors::write(&bench.path("weights.safetensors"), &narrow.state, &metadata).unwrap();
    bench.ocelli("eval run --weights weights.safetensors").refused(&["weights.safetensors", "input_size"]);
    assert!(!bench.exists("other") && !bench.exists("out.csv"));
}

#[test]
fn pictures_to_use_are_checked_by_name() {
    let bench = Bench::trained();
    bench.people("people", 2, 2);
    std::fs::create_dir(bench.path("empty")).unwrap();
    let compare = |pictures: &str| bench.ocelli(&format!("predict curricularface {pictures} --weights run"));
    compare("people/p0/0.png nowhere.png").refused(&["nowhere.png", "No such file"]);
    compare("people/p0/0.png").refused(&["two photographs", "--gallery"]);
    compare("people/p0/0.png people/p0/1.png --threshold 2").refused(&["--threshold 2"]);
    compare("people/p0/0.png --gallery nowhere").refused(&["nowhere", "No such file"]);
    compare("people/p0/0.png --gallery empty").refused(&["empty: holds no folders"]);
    compare("empty --gallery people").refused(&["empty: holds no file"]);
    bench.truncate("people/p0/0.png", 0.5);
    compare("people/p0/0.png people/p0/1.png").refused(&["people/p0/0.png"]);
    compare("people/p0/1.png --gallery people").refused(&["people/p0/0.png"]);

    let embed = |text: &str| bench.ocelli(&format!("embed {text} --weights run"));
    embed("people --out e.csv").refused(&["people/p0/0.png"]);
    embed("people/p1 --out e.txt").refused(&["--out e.txt", ".jsonl"]);
    embed("people/p1 --out nowhere/e.csv").refused(&["nowhere"]);
    for shard in ["0/2", "3/2", "2", "a/b", "1/0"] {
        embed(&format!("people/p1 --out e.csv --shard {shard}")).refused(&[&format!("--shard {shard}")]);
    }
    assert!(!bench.exists("e.csv"));
    bench.ocelli("eval run --data nowhere").refused(&["--data nowhere"]);
}

#[test]
fn a_training_that_diverges_keeps_its_last_good_checkpoint() {
    let bench = Bench::new();
    for (run, options, parts) in [
        ("loss", "--set optimizer.lr=1e30", ["the loss is NaN at step 2", "checkpoint of step 1 is kept in"]),
        (
            "update",
            "--set loss.name=softmax --set loss.s=1e38 --set train.average_decay=0.5",
            ["at step 1", "no checkpoint"],
        ),
        (
            "late",
            "--set optimizer.lr=1e30 --set schedule.warmup_epochs=1 --set train.clip_norm=1.0",
            ["at step", "checkpoint of step"],
        ),
        ("measure", "--set optimizer.lr=1e30 --set train.batch_size=24", ["after step 1", "no checkpoint"]),
    ] {
        let said =
            bench.ocelli(&format!("train tiny.toml --out {run} --set train.checkpoint_every=1 {options}"));
        said.stopped(&parts);
        assert!(!bench.exists(&format!("{run}/weights.safetensors")));
        let kept = bench.names(&format!("{run}/checkpoint"));
        assert_eq!(kept.is_empty(), parts[1] == "no checkpoint", "{run}: {kept:?}");
        for name in kept {
            let name = format!("{run}/checkpoint/{name}");
            assert!(said.err.contains(&name), "{}", said.err);
            assert!(bench.safetensors(&name).state.non_finite().is_empty(), "{name}");
        }
    }
}
