//! The commands `import` and `completions`, as a user runs them.

#![allow(clippy::unwrap_used)] // What is unwrapped here was made here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ocelli::face::recognition::backbone::{BackboneConfig, BackboneName};
use ocelli::face::recognition::recognizer::Recognizer;
use ocelli::method::Array;
use ocelli::method::case::Case;
use ocelli::method::random::hash_fill;
use ocelli::method::verify::CaseSource;
use ocelli::nn::tensor::{from_values, values};
use ocelli::nn::weights::{StateDict, safetensors};
use ocelli::nn::{Pass, Store, device};
use ocelli::registry::BuiltinCases;
use tempfile::TempDir;

fn ocelli(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ocelli")).args(arguments).output().expect("the command starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A folder with a checkpoint in it, and the name of a file to be written there.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A checkpoint of a tiny network in which `change` renames, replaces or leaves out tensors.
    fn checkpoint(&self, change: impl Fn(String, Array) -> Option<(String, Array)>) -> PathBuf {
        let store = Store::new(&device("cpu").unwrap(), 0);
        tiny().build(&store.root());
        let filled = store.shapes().into_iter().map(|(name, shape)| {
            let values = hash_fill(&name, &shape);
            (name, Array::f32(shape, values).unwrap())
        });
        let pairs = filled.filter_map(|(name, array)| change(name, array));
        let path = self.path("checkpoint.safetensors");
        safetensors::write(&path, &StateDict::from_pairs(pairs).unwrap(), &Default::default()).unwrap();
        path
    }

    fn import(&self, file: &Path, more: &[&str]) -> Output {
        let out = self.path("out.safetensors");
        let mut arguments =
            vec!["import", "curricularface", file.to_str().unwrap(), "--out", out.to_str().unwrap()];
        arguments.extend(more);
        ocelli(&arguments)
    }

    /// Fails unless the import was refused with nothing written; gives what was said.
    fn refused(&self, output: &Output) -> String {
        assert_eq!(output.status.code(), Some(1));
        assert!(!self.path("out.safetensors").exists(), "something was written");
        let said = text(&output.stderr);
        assert!(said.starts_with("error: ") && !said.contains("panicked"), "{said}");
        said
    }
}

fn tiny() -> BackboneConfig {
    BackboneConfig {
        widths: [4, 6, 8, 10],
        units: [2, 1, 1, 1],
        input_size: 48,
        embedding: 12,
        ..Default::default()
    }
}

const PLACE: &str = "body.2.res_layer.3.weight";

#[test]
fn a_checkpoint_becomes_weights() {
    let bench = Bench::new();
    let file = bench.checkpoint(|name, array| Some((format!("module.{name}"), array)));
    let output = bench.import(&file, &["--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let opened = Recognizer::open(&bench.path("out.safetensors"), "cpu").unwrap();
    assert_eq!(opened.passport().backbone, tiny());
    assert_eq!(document["network"], "ir-tiny");
    assert_eq!(document["input_size"], 48);
    assert_eq!(document["matched"], opened.store().names().len());
    for list in ["missing", "unexpected", "misshapen", "ignored"] {
        assert_eq!(document[list], serde_json::json!([]), "{list}");
    }
    let kernel = opened.store().find(PLACE).unwrap().to_array();
    assert_eq!(kernel.to_f32(), hash_fill(PLACE, kernel.shape()));
    // The same for people.
    let said = text(&bench.import(&file, &[]).stdout);
    for part in ["ir-tiny", "48x48 pixels", "module. from every name", "out.safetensors"] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
}

#[test]
fn weights_that_do_not_fit_are_named_and_nothing_is_written() {
    let bench = Bench::new();
    let renamed = |name: String, array| match name.as_str() {
        PLACE => Some(("body.2.res_layer.conv2.weight".to_owned(), array)),
        _ => Some((name, array)),
    };
    let output = bench.import(&bench.checkpoint(renamed), &["--json"]);
    let said = bench.refused(&output);
    let line = "missing     body.2.res_layer.3.weight [6, 6, 3, 3]; did the file call it body.2.res_layer.conv2.weight?";
    assert_eq!(said.matches(line).count(), 1, "{said}");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["out"], serde_json::Value::Null);
    assert_eq!(document["missing"], serde_json::json!([PLACE]));
    assert_eq!(document["unexpected"], serde_json::json!(["body.2.res_layer.conv2.weight"]));

    let misshapen = |name: String, array: Array| match name.as_str() {
        PLACE => Some((name, Array::f32([6, 6, 1, 1], vec![0.5; 36]).unwrap())),
        _ => Some((name, array)),
    };
    let output = bench.import(&bench.checkpoint(misshapen), &["--json", "--allow-missing"]);
    bench.refused(&output);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = serde_json::json!([{ "name": PLACE, "expected": [6, 6, 3, 3], "found": [6, 6, 1, 1] }]);
    assert_eq!(document["misshapen"], expected);
}

#[test]
fn missing_weights_are_refused_unless_allowed() {
    let bench = Bench::new();
    let file = bench.checkpoint(|name, array| (name != PLACE).then_some((name, array)));
    assert!(bench.refused(&bench.import(&file, &[])).contains(PLACE));
    let output = bench.import(&file, &["--allow-missing"]);
    assert!(output.status.success());
    let warned = text(&output.stderr);
    assert!(warned.contains("not in the file") && warned.contains(PLACE), "{warned}");
    Recognizer::open(&bench.path("out.safetensors"), "cpu").unwrap();
}

#[test]
fn values_that_are_no_numbers_are_refused() {
    let bench = Bench::new();
    let file = bench.checkpoint(|name, array| match name.as_str() {
        PLACE => Some((name, Array::f32(array.shape(), vec![f32::NAN; array.len()]).unwrap())),
        _ => Some((name, array)),
    });
    assert!(bench.refused(&bench.import(&file, &[])).contains("`body.2.res_layer.3.weight` holds 324 NaN"));
}

/// The network imported from a checkpoint with a case's parameters, and its embedding of the case's pictures.
fn imported(bench: &Bench, case: &Case) -> (BackboneConfig, Vec<f32>) {
    let file = bench.path("official.safetensors");
    let state = StateDict::from_pairs(case.parameters().unwrap()).unwrap();
    safetensors::write(&file, &state, &Default::default()).unwrap();
    let output = bench.import(&file, &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let network = Recognizer::open(&bench.path("out.safetensors"), "cpu").unwrap();
    let pictures = &case.inputs["image"];
    let pictures = from_values(pictures.to_f32(), pictures.dims::<4>().unwrap(), network.store().device());
    let embedding = values(network.backbone().forward(pictures, &Pass::eval()));
    (network.passport().backbone.clone(), embedding)
}

#[test]
fn imported_networks_give_the_official_embeddings() {
    let bench = Bench::new();
    for (name, network) in [
        ("backbone_tface_ir18_slope", BackboneName::TfaceIr18),
        ("backbone_irse50_slope", BackboneName::IrSe50),
        ("backbone_mobilefacenet_gdc", BackboneName::MobileFaceNetGdc),
    ] {
        let bytes = BuiltinCases.read("curricularface", name).unwrap().expect("the case is in the program");
        let mut case = Case::parse(name, &bytes).unwrap();
        case.complete(|_| None).unwrap();
        let (config, got) = imported(&bench, &case);
        assert_eq!(config, BackboneConfig::published(network));
        let wanted = case.expected["embedding"].to_f64();
        let size = wanted.iter().map(|v| v.abs()).fold(0.0, f64::max);
        let worst = got.iter().zip(&wanted).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
        assert_eq!(got.len(), wanted.len());
        assert!(worst <= 1e-4 * size, "{name}: off by {worst} at a size of {size}");
    }
}

/// Pickles that ask for code, and other files that are no weights, as the weight reader's own tests have them.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ocelli-nn/tests/fixtures").join(name)
}

#[test]
fn a_pickle_with_code_is_refused_in_a_sentence() {
    let bench = Bench::new();
    for name in ["evil_system_0.pkl", "evil_system_2.pkl", "evil_zip.pth", "evil_eval.pkl", "evil_build.pkl"]
    {
        let said = bench.refused(&bench.import(&fixture(name), &[]));
        assert!(said.contains("which is code and not weights; nothing was run"), "{name}: {said}");
    }
}

#[test]
fn weights_of_something_else_are_refused() {
    let bench = Bench::new();
    for name in ["zip.pth", "legacy.pth", "training.pth"] {
        let said = bench.refused(&bench.import(&fixture(name), &[]));
        assert!(said.contains("the network cannot be told from the weights"), "{name}: {said}");
    }
    let absent = bench.refused(&bench.import(&bench.path("absent.pth"), &[]));
    assert!(absent.contains("absent.pth: cannot be read"), "{absent}");
    fs::write(bench.path("cut.pth"), &fs::read(fixture("zip.pth")).unwrap()[..700]).unwrap();
    bench.refused(&bench.import(&bench.path("cut.pth"), &[]));
    let two = bench.refused(&bench.import(&fixture("two_networks.pth"), &[]));
    assert!(two.contains("choose one by its key"), "{two}");
    let key = bench.refused(&bench.import(&fixture("two_networks.pth"), &["--key", "nowhere"]));
    assert!(key.contains("has no key `nowhere`"), "{key}");
}

#[test]
fn what_the_user_gets_wrong_is_said() {
    let bench = Bench::new();
    let file = bench.checkpoint(|name, array| Some((name, array)));
    let path = file.to_str().unwrap();
    let over_itself = ocelli(&["import", "curricularface", path, "--out", path]);
    assert!(bench.refused(&over_itself).contains("is the checkpoint itself"));
    let unknown = ocelli(&["import", "nothing", path, "--out", "x.safetensors"]);
    assert!(bench.refused(&unknown).contains("no method `nothing`"));
    let network = bench.import(&file, &["--arch", "vgg"]);
    assert_eq!(network.status.code(), Some(2), "a usage error");
    assert!(text(&network.stderr).contains("tface-ir-18"), "the known networks are named");
    let other = bench.refused(&bench.import(&file, &["--arch", "mobilefacenet-gnap"]));
    assert!(other.contains("read as mobilefacenet-gnap"), "{other}");
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = ocelli(&["completions", shell]);
        assert!(output.status.success(), "{shell}");
        let script = text(&output.stdout);
        assert!(script.contains("ocelli") && script.contains("allow-missing"), "{shell}");
    }
    assert_eq!(ocelli(&["completions", "tcsh"]).status.code(), Some(2));
}
