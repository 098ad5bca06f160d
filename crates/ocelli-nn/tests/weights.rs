//! Weight files of real tools, hostile files, damaged files. `fixtures/README.md` says where each came from.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ocelli_method::{Array, Data};
use ocelli_nn::weights::{
    Checkpoint, Dtype, Format, Limits, Problem, Renames, StateDict, Value, WeightsError, import, match_keys,
    safetensors,
};
use proptest::prelude::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(&fixture(name)).unwrap()
}

fn refusal(name: &str) -> Problem {
    Checkpoint::open(&fixture(name)).unwrap_err().problem
}

/// The rule of `make_fixtures.py`: start, start + 0.5, start + 1, ...
fn ramp(shape: &[usize], start: f32) -> Array {
    let count = shape.iter().product::<usize>();
    Array::f32(shape, (0..count).map(|i| start + 0.5 * i as f32).collect()).unwrap()
}

/// The state dict of `make_fixtures.py`'s `network`.
fn network() -> StateDict {
    let shapes: [(&str, &[usize]); 9] = [
        ("conv.weight", &[2, 1, 3, 3]),
        ("conv.bias", &[2]),
        ("bn.weight", &[2]),
        ("bn.bias", &[2]),
        ("bn.running_mean", &[2]),
        ("bn.running_var", &[2]),
        ("bn.num_batches_tracked", &[]),
        ("fc.weight", &[3, 2]),
        ("fc.bias", &[3]),
    ];
    let tensor = |(index, (name, shape)): (usize, (&'static str, &[usize]))| match name {
        "bn.num_batches_tracked" => (name, Array::new([], Data::I64(vec![7])).unwrap()),
        _ => (name, ramp(shape, index as f32)),
    };
    StateDict::from_pairs(shapes.into_iter().enumerate().map(tensor)).unwrap()
}

#[test]
fn every_container_gives_the_same_state_dict() {
    for (name, format) in [
        ("zip.pth", Format::TorchZip),
        ("deflated.pth", Format::TorchZip),
        ("legacy.pth", Format::TorchLegacy),
        ("training.pth", Format::TorchZip),
        ("training_legacy.pth", Format::TorchLegacy),
    ] {
        let imported = import(&fixture(name), None).unwrap();
        assert_eq!(imported.state, network(), "{name}");
        assert_eq!(imported.format, format, "{name}");
        assert!(imported.skipped.is_empty(), "{name}");
        let in_training = name.starts_with("training");
        assert_eq!(imported.key, if in_training { "state_dict" } else { "" }, "{name}");
        assert_eq!(imported.stripped.as_deref(), in_training.then_some("module."), "{name}");
    }
}

#[test]
fn a_plain_pickle_of_tensors_is_read() {
    let imported = import(&fixture("tensors.pkl"), None).unwrap();
    assert_eq!(imported.format, Format::Pickle);
    let expected: Vec<_> = network().into_iter().take(2).collect();
    assert_eq!(imported.state, StateDict::from_pairs(expected).unwrap());
}

#[test]
fn a_training_checkpoint_keeps_its_other_values() {
    for name in ["training.pth", "training_legacy.pth"] {
        let checkpoint = open(name);
        let root = checkpoint.root();
        assert_eq!(root.get("epoch").unwrap().as_int(), Some(3));
        assert!(matches!(root.get("best"), Some(Value::Float(best)) if *best == 0.75));
        assert!(matches!(root.get("done"), Some(Value::Bool(false))));
        assert!(matches!(root.get("note"), Some(Value::None)));
        assert_eq!(root.get("seed").unwrap().as_int(), Some((1 << 63) + 1));
        assert!(matches!(root.get("dtype"), Some(Value::Opaque(name)) if &**name == "torch.float16"));
        let Some(Value::List(size)) = root.get("size") else { panic!("size") };
        assert_eq!(size.iter().map(|n| n.as_int().unwrap()).collect::<Vec<_>>(), [2, 3]);
        let arguments = root.get("args").unwrap();
        assert!(matches!(arguments.get("lr"), Some(Value::Float(lr)) if *lr == 0.25));
        assert_eq!(arguments.get("out").unwrap().as_str(), Some("/runs/first"));

        // The optimizer's moments are tensors under integer keys, of the network's shapes.
        let moments = root.get("optimizer").unwrap().get("state").unwrap().entries().unwrap();
        assert_eq!(moments.len(), 6);
        assert_eq!(moments[0].0.as_int(), Some(0));
        let first = moments[0].1.get("exp_avg").unwrap().as_tensor().unwrap();
        assert_eq!(first.shape(), [2, 1, 3, 3]);
        assert_eq!(first.dtype(), Dtype::F32);
        // One step with a gradient of one: (1 - 0.9) * 1.
        let values = checkpoint.array(first).unwrap();
        assert!(values.as_f32().unwrap().iter().all(|m| (m - 0.1).abs() < 1e-6));
    }
}

#[test]
fn views_are_laid_out_row_major() {
    for name in ["views.pth", "views_legacy.pth"] {
        let imported = import(&fixture(name), None).unwrap();
        let values = |key: &str| {
            let array = imported.state.get(key).unwrap();
            (array.shape().to_vec(), array.as_f32().unwrap().to_vec())
        };
        assert_eq!(imported.state.get("base"), Some(&ramp(&[3, 4], 0.0)));
        let transposed = (0..12).map(|i| 0.5 * ((i % 3) * 4 + i / 3) as f32).collect();
        assert_eq!(values("transposed"), (vec![4, 3], transposed));
        assert_eq!(values("slice"), (vec![2, 2], vec![2.5, 3.0, 4.5, 5.0]));
        assert_eq!(values("row"), (vec![4], vec![4.0, 4.5, 5.0, 5.5]));
        assert_eq!(values("scalar"), (vec![], vec![2.5]));
        assert_eq!(values("expanded"), (vec![2, 3], vec![1.5; 6]));
        assert_eq!(imported.state.get("channels_last"), Some(&ramp(&[1, 2, 2, 3], 0.0)));
        assert_eq!(values("empty"), (vec![0, 3], vec![]));
        assert_eq!(values("empty_slice"), (vec![0, 4], vec![]));
        assert_eq!(imported.state.get("parameter"), Some(&ramp(&[2], 0.0)));
        assert_eq!(imported.state.get("buffer"), Some(&ramp(&[3], 0.0)));
        assert_eq!(imported.state.get("nested.weight"), Some(&ramp(&[2], 9.0)));
        assert_eq!(imported.skipped, ["nested.count"]);
    }
}

#[test]
fn every_element_type_is_converted() {
    for name in ["dtypes.pth", "dtypes_legacy.pth"] {
        let state = import(&fixture(name), None).unwrap().state;
        for (key, array) in state.iter().filter(|(key, _)| !matches!(*key, "half" | "brain")) {
            let kind = match key {
                "float16" | "bfloat16" | "float32" => "float32",
                "float64" => "float64",
                "uint8" | "bool" => "uint8",
                _ => "int64",
            };
            assert_eq!(array.data().kind(), kind, "{name}: {key}");
            let expected: &[f64] =
                if key == "bool" { &[0.0, 1.0, 1.0, 1.0] } else { &[0.0, 1.0, 2.0, 100.0] };
            assert_eq!(array.to_f64(), expected, "{name}: {key}");
        }
    }
    let state = import(&fixture("dtypes.pth"), None).unwrap().state;
    assert_eq!(state.len(), 15);
    let half = state.get("half").unwrap().as_f32().unwrap();
    assert_eq!(half[..4], [0.099_975_586, -65504.0, 5.960_464_5e-8, f32::INFINITY]);
    assert!(half[4].is_nan());
    let brain = state.get("brain").unwrap().as_f32().unwrap();
    assert_eq!(brain.iter().map(|x| x.to_bits() >> 16).collect::<Vec<_>>(), [0x3dcd, 0xff62, 0x0001]);
    let not_finite = state.non_finite();
    assert_eq!(not_finite.len(), 1);
    assert_eq!((not_finite[0].name.as_str(), not_finite[0].nan, not_finite[0].infinite), ("half", 1, 1));
}

#[test]
fn numpy_pickles_of_every_protocol() {
    for protocol in 0..=5 {
        let name = format!("numpy_{protocol}.pkl");
        let checkpoint = open(&name);
        assert!(matches!(checkpoint.root().get("scalar"), Some(Value::Float(x)) if *x == 1.5), "{name}");
        assert!(matches!(checkpoint.root().get("names"), Some(Value::Opaque(_))), "{name}");
        let found = checkpoint.find(None).unwrap();
        assert_eq!(found.skipped, ["scalar", "names"]);
        let state = checkpoint.load(&found).unwrap();
        for key in ["weight", "fortran", "big", "half"] {
            assert_eq!(state.get(key), Some(&ramp(&[2, 3], 0.0)), "{name}: {key}");
        }
        assert_eq!(state.get("permuted"), Some(&ramp(&[2, 2, 3], 0.0)), "{name}");
        assert_eq!(state.get("empty"), Some(&ramp(&[0, 2], 0.0)), "{name}");
        assert_eq!(state.get("double").unwrap().data(), &Data::F64(vec![0.0, 0.5, 1.0, 1.5, 2.0, 2.5]));
        assert_eq!(state.get("labels"), Some(&Array::integers([-1, 2])));
        assert_eq!(state.get("mask").unwrap().as_u8().unwrap(), [1, 0]);
    }
}

#[test]
fn plain_data_of_every_protocol() {
    for protocol in 0..=5 {
        let checkpoint = open(&format!("plain_{protocol}.pkl"));
        let root = checkpoint.root();
        let Some(Value::List(mean)) = root.get("mean") else { panic!("mean") };
        assert!(matches!(mean[..], [Value::Float(a), Value::Float(b)] if (a, b) == (0.5, 1.0)));
        let Some(Value::List(std)) = root.get("std") else { panic!("std") };
        assert_eq!(std.iter().map(Value::as_int).collect::<Vec<_>>(), [Some(2), Some(3)]);
        assert!(matches!(root.get("on"), Some(Value::Bool(true))));
        assert_eq!(root.get("text").unwrap().as_str(), Some("naïve € 😀"));
        assert!(matches!(root.get("old"), Some(Value::Bytes(b)) if **b == [0xff, 0]));
        assert!(matches!(root.get("set"), Some(Value::List(items)) if items[0].as_int() == Some(4)));
        let error = checkpoint.find(None).unwrap_err();
        assert!(error.to_string().contains("holds no state dict"), "{error}");
    }
}

#[test]
fn a_pickle_of_python_2_is_read() {
    let checkpoint = open("python2.pkl");
    assert!(matches!(checkpoint.root().get("note"), Some(Value::Bytes(b)) if **b == *b"caf\xe9"));
    let imported = import(&fixture("python2.pkl"), None).unwrap();
    assert_eq!(imported.key, "blobs");
    assert_eq!(imported.state.get("w"), Some(&Array::f32([1, 2], vec![1.0, 2.0]).unwrap()));
}

#[test]
fn several_state_dicts_want_a_key() {
    let checkpoint = open("two_networks.pth");
    let Problem::Ambiguous { candidates } = checkpoint.find(None).unwrap_err().problem else { panic!() };
    assert_eq!(candidates, ["`generator` (9 entries)", "`discriminator/state` (1 entries)"]);
    assert_eq!(checkpoint.load(&checkpoint.find(Some("generator")).unwrap()).unwrap(), network());
    let discriminator = checkpoint.find(Some("discriminator/state")).unwrap();
    assert_eq!(discriminator.tensors[0].0, "w");
    let all = checkpoint.find(Some(".")).unwrap();
    assert_eq!(all.tensors.len(), 10);
    assert_eq!(all.tensors[9].0, "discriminator.state.w");
    let error = checkpoint.find(Some("encoder")).unwrap_err().to_string();
    assert!(error.ends_with("has no key `encoder`; keys there: generator, discriminator"), "{error}");
    assert!(checkpoint.find(Some("generator/encoder")).is_err());
}

#[test]
fn code_is_refused_by_name() {
    for (name, asked) in [
        ("evil_system_0.pkl", "posix.system"),
        ("evil_system_2.pkl", "posix.system"),
        ("evil_system_4.pkl", "posix.system"),
        ("evil_zip.pth", "posix.system"),
        ("evil_eval.pkl", "builtins.eval"),
        ("evil_getattr.pkl", "builtins.getattr"),
        ("evil_inst.pkl", "os.system"),
        ("evil_obj.pkl", "os.system"),
        ("evil_build.pkl", "torch storage class of float32(...)"),
        ("whole_network.pth", "torch.nn.modules.linear.Linear"),
        ("whole_network_legacy.pth", "torch.nn.modules.linear.Linear"),
    ] {
        match refusal(name) {
            Problem::Code(found) => assert_eq!(found, asked, "{name}"),
            other => panic!("{name}: {other}"),
        }
    }
    let text = Checkpoint::open(&fixture("evil_eval.pkl")).unwrap_err().to_string();
    assert!(
        text.contains("evil_eval.pkl: asks for `builtins.eval`") && text.contains("torch.save"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn valid_files_out_of_scope_say_what_to_do() {
    for (name, hint) in [
        ("big_endian.pth", "most significant byte first"),
        ("conjugate.pth", "resolve_conj"),
        ("script.pt", "torch.jit.load"),
    ] {
        let problem = refusal(name);
        assert!(matches!(problem, Problem::Unsupported { .. }), "{name}");
        assert!(problem.to_string().contains(hint), "{name}: {problem}");
    }
}

#[test]
fn other_files_are_told_apart() {
    for (bytes, hint) in [
        (&b""[..], "empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"hello", "unknown format"),
    ] {
        let error = Checkpoint::from_bytes("file", bytes.to_vec(), &Limits::default()).unwrap_err();
        assert!(error.to_string().contains(hint), "{error}");
    }
    let error = import(&fixture("absent.pth"), None).unwrap_err().to_string();
    assert!(error.contains("absent.pth: cannot be read"), "{error}");
}

/// Opens bytes and reads all there is, as a user would.
fn read_all(bytes: &[u8], limits: &Limits) -> Result<(), WeightsError> {
    let checkpoint = Checkpoint::from_bytes("bytes", bytes.to_vec(), limits)?;
    let found = checkpoint.find(Some("."))?;
    checkpoint.load(&found).map(drop)
}

#[test]
fn every_truncation_is_an_error() {
    for name in ["zip.pth", "legacy.pth", "numpy_4.pkl", "numpy_0.pkl", "tensors.pkl"] {
        let bytes = std::fs::read(fixture(name)).unwrap();
        read_all(&bytes, &Limits::default()).unwrap();
        for length in 0..bytes.len() {
            let error = read_all(&bytes[..length], &Limits::default());
            assert!(error.is_err(), "{name} cut to {length} bytes of {}", bytes.len());
        }
    }
}

/// A pickle that asks for much in few bytes.
fn program(parts: &[&[u8]]) -> Result<Checkpoint, WeightsError> {
    Checkpoint::from_bytes("program", parts.concat(), &Limits::default())
}

#[test]
fn small_files_cannot_ask_for_much() {
    // Each list holds the one before twice: 2^40 values on 400 bytes.
    let mut laughs = b"\x80\x02]".to_vec();
    laughs.extend((0..40).flat_map(|_| *b"q\x00]h\x00ah\x00a"));
    let result = program(&[&laughs, b"."]);
    assert!(matches!(result.unwrap_err().problem, Problem::TooLarge { .. }));
    // A list that holds itself.
    let result = program(&[b"\x80\x02]q\x00h\x00a."]);
    assert!(matches!(result.unwrap_err().problem, Problem::TooLarge { .. }));
    // Nesting without end.
    let result = program(&[b"\x80\x02", &b"]".repeat(100_000), &b"a".repeat(99_999), b"."]);
    assert!(matches!(result.unwrap_err().problem, Problem::TooLarge { .. }));
    // A string of 4 GiB in a file of 10 bytes.
    let result = program(&[b"\x80\x02X\xff\xff\xff\xff..."]);
    assert!(matches!(result.unwrap_err().problem, Problem::Truncated(_)));
    // A long text turned into bytes over and over.
    let text = vec![b'a'; 200_000];
    let again = b"h\x00h\x01h\x02\x86R0".repeat(1000);
    let start = b"\x80\x02c_codecs\nencode\nq\x000X\x06\x00\x00\x00latin1q\x020X\x40\x0d\x03\x00";
    let result = program(&[start, &text, b"q\x010", &again, b"N."]);
    assert!(matches!(result.unwrap_err().problem, Problem::TooLarge { .. }));
}

#[test]
fn tensors_stay_within_their_storage() {
    // views_legacy.pth has its numbers in the open: the shape (3, 4) and strides (4, 1) of `base`.
    let bytes = std::fs::read(fixture("views_legacy.pth")).unwrap();
    let shape = b"K\x03K\x04\x86";
    let at = bytes.windows(5).position(|window| window == shape).unwrap();
    for (place, value) in [(at + 1, 4), (at + 3, 5), (at + 1, 0xff)] {
        let mut changed = bytes.clone();
        changed[place] = value;
        let error = read_all(&changed, &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("leaves its storage"), "{error}");
    }
}

#[test]
fn an_import_ends_in_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    let imported = import(&fixture("training.pth"), None).unwrap();
    let (state, ignored) = Renames::new()
        .rename("fc.**", "head.{1}")
        .unwrap()
        .ignore("**num_batches_tracked")
        .unwrap()
        .apply_to(imported.state)
        .unwrap();
    assert_eq!(ignored, ["bn.num_batches_tracked"]);
    let metadata = [("source".to_owned(), "training.pth".to_owned())].into();
    safetensors::write(&file, &state, &metadata).unwrap();
    let read = import(&file, None).unwrap();
    assert_eq!((read.format, read.metadata), (Format::Safetensors, metadata.clone()));
    assert_eq!(read.state, state);

    let expected: Vec<_> =
        state.iter().map(|(name, array)| (name.to_owned(), array.shape().to_vec())).collect();
    match_keys(&expected, &read.state, |_| false).check(false).unwrap();
    // Equal content, equal bytes.
    let again = folder.path().join("again.safetensors");
    safetensors::write(&again, &state, &metadata).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(&again).unwrap());
}

/// The bytes of a safetensors file with this header and so many bytes of data.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn safetensors_that_contradict_themselves_are_refused() {
    let entry = |name: &str, dtype: &str, shape: &str, from: usize, to: usize| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let fine = entry("a", "F32", "[2]", 0, 8);
    for (entries, data, hint) in [
        (format!("{fine},{}", entry("a", "F32", "[1]", 8, 12)), 12, "`a` comes twice"),
        (fine.clone(), 4, "ends in the middle of the tensors"),
        (fine.clone(), 9, "1 bytes follow the last tensor"),
        (entry("a", "F32", "[3]", 0, 8), 8, "tensor `a` of shape [3] and type F32 has 8 bytes"),
        (format!("{fine},{}", entry("b", "U8", "[1]", 9, 10)), 10, "where byte 8 should come next"),
        (format!("{fine},{}", entry("b", "F32", "[1]", 4, 8)), 8, "where byte 8 should come next"),
        (entry("a", "U8", "[4]", 4, 0), 4, "where byte 0 should come next"),
        (entry("a", "U8", "[18446744073709551615,2]", 0, 4), 4, "number of elements"),
        (entry("a", "F8_E4M3", "[4]", 0, 4), 4, "tensor `a` of type F8_E4M3 is not supported"),
        (entry("a", "F33", "[1]", 0, 4), 4, "is corrupt: the header"),
        (r#""a":{"dtype":"F32"}"#.to_owned(), 0, "is corrupt: the header"),
    ] {
        let bytes = with_header(&format!("{{{entries}}}"), data);
        let error = safetensors::read_bytes("file", &bytes, &Limits::default()).unwrap_err().to_string();
        assert!(error.starts_with("file: ") && error.contains(hint), "{error}");
    }
    let whole = with_header(&format!("{{{fine}}}"), 8);
    let read = |bytes: &[u8]| safetensors::read_bytes("file", bytes, &Limits::default());
    assert_eq!(read(&whole).unwrap().state.get("a"), Some(&Array::vector([0.0, 0.0])));
    for length in 0..whole.len() {
        assert!(matches!(read(&whole[..length]).unwrap_err().problem, Problem::Truncated(_)), "{length}");
    }
    let huge = [&u64::MAX.to_le_bytes()[..], b"{"].concat();
    assert!(matches!(read(&huge).unwrap_err().problem, Problem::TooLarge { .. }));
}

#[test]
fn safetensors_of_other_element_types_are_converted() {
    let header = r#"{"h":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"b":{"dtype":"BOOL","shape":[2],"data_offsets":[2,4]}}"#;
    let mut bytes = with_header(header, 0);
    bytes.extend([0x00, 0xc0, 0, 1]);
    let state = safetensors::read_bytes("file", &bytes, &Limits::default()).unwrap().state;
    assert_eq!(state.get("h"), Some(&Array::vector([-2.0])));
    assert_eq!(state.get("b").unwrap().as_u8().unwrap(), [0, 1]);
}

#[test]
fn limits_hold() {
    let limits = Limits { total_bytes: 100, ..Limits::default() };
    for name in ["zip.pth", "legacy.pth", "numpy_5.pkl"] {
        let error = read_all(&std::fs::read(fixture(name)).unwrap(), &limits).unwrap_err();
        assert!(matches!(error.problem, Problem::TooLarge { limit: 100, .. }), "{error}");
    }
}

fn arrays() -> impl Strategy<Value = Array> {
    let shape = prop::collection::vec(0usize..4, 0..4);
    (shape, 0..4, any::<u64>()).prop_map(|(shape, kind, seed)| {
        let bits = (0..shape.iter().product::<usize>() as u64).map(|i| (i + 1).wrapping_mul(seed | 1));
        let data = match kind {
            0 => Data::F32(bits.map(|b| (b >> 40) as f32 - 1e6).collect()),
            1 => Data::F64(bits.map(|b| (b >> 11) as f64 * 1e-3).collect()),
            2 => Data::I64(bits.map(|b| b as i64).collect()),
            _ => Data::U8(bits.map(|b| (b >> 56) as u8).collect()),
        };
        Array::new(shape, data).unwrap()
    })
}

/// Reads a zip archive's program, changes it, and packs the archive again with a fresh checksum, so that the change
/// reaches the pickle machine.
fn with_program(archive: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut old = zip::ZipArchive::new(std::io::Cursor::new(archive)).unwrap();
    let mut new = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for index in 0..old.len() {
        let mut entry = old.by_index(index).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if name.ends_with("data.pkl") {
            change(&mut content);
        }
        new.start_file(name, options).unwrap();
        new.write_all(&content).unwrap();
    }
    new.finish().unwrap().into_inner()
}

/// Flips bits of some bytes, then cuts what follows.
fn damage(bytes: &mut Vec<u8>, flips: &[(prop::sample::Index, u8)], cut: Option<&prop::sample::Index>) {
    for (place, bit) in flips {
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len() + 1));
    }
}

const DAMAGED: [&str; 9] = [
    "zip.pth",
    "legacy.pth",
    "views_legacy.pth",
    "training_legacy.pth",
    "views.pth",
    "numpy_0.pkl",
    "numpy_2.pkl",
    "numpy_4.pkl",
    "tensors.pkl",
];

/// The largest amount of address space the process ever had, in bytes; `None` where the system does not tell.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kb| kb << 10)
}

/// What damaged files of a few kilobytes may add to the address space, all tests' threads and heaps included.
const MEMORY_CAP: u64 = 1 << 30;

/// Reads damaged bytes in every way; nothing may panic, nothing may take much memory.
fn survives(bytes: &[u8]) {
    let before = peak_memory();
    let _ = read_all(bytes, &Limits::default());
    let _ = safetensors::read_bytes("bytes", bytes, &Limits::default());
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        assert!(after - before <= MEMORY_CAP, "{} bytes took {} MiB", bytes.len(), (after - before) >> 20);
    }
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    // Every case waits for the disk.
    #![proptest_config(cases(64))]

    #[test]
    fn safetensors_round_trip(tensors in prop::collection::vec(("[a-z.\"\\\\é]{0,9}", arrays()), 0..8)) {
        let mut state = StateDict::new();
        for (name, array) in tensors {
            let _ = state.insert(name, array);
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weights");
        let metadata = [("a \"quoted\" key".to_owned(), "naïve\n".to_owned())].into();
        safetensors::write(&file, &state, &metadata).unwrap();
        let read = safetensors::read(&file).unwrap();
        prop_assert_eq!(&read.state, &state);
        prop_assert_eq!(read.metadata, metadata);
        // The reference implementation agrees that the file is valid, and aligned.
        let bytes = std::fs::read(&file).unwrap();
        let reference = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
        prop_assert_eq!(reference.len(), state.len());
        for (name, array) in state.iter() {
            let view = reference.tensor(name).unwrap();
            prop_assert_eq!(view.shape(), array.shape());
            let size = view.dtype().bitsize() / 8;
            prop_assert_eq!((view.data().as_ptr() as usize - bytes.as_ptr() as usize) % size, 0);
        }
    }
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn random_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives(&bytes);
        survives(&[&b"\x80\x02"[..], &bytes].concat());
        survives(&[&b"PK\x03\x04"[..], &bytes].concat());
    }

    #[test]
    fn damaged_files_are_survived(
        name in prop::sample::select(&DAMAGED[..]),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..6),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        let original = std::fs::read(fixture(name)).unwrap();
        let mut bytes = original.clone();
        damage(&mut bytes, &flips, cut.as_ref());
        survives(&bytes);
        if name.ends_with(".pth") && !name.contains("legacy") {
            survives(&with_program(&original, |program| damage(program, &flips, cut.as_ref())));
        }
    }

    #[test]
    fn random_programs_are_survived(steps in prop::collection::vec(prop::sample::select(&INSTRUCTIONS[..]), 1..60)) {
        survives(&[b"\x80\x02", steps.concat().as_slice(), b"."].concat());
        let torch = std::fs::read(fixture("zip.pth")).unwrap();
        survives(&with_program(&torch, |program| *program = [b"\x80\x02", steps.concat().as_slice(), b"."].concat()));
    }
}

/// Whole instructions, so that random programs get past the first of them.
const INSTRUCTIONS: [&[u8]; 52] = [
    b"(", b"(", b"(", b"]", b"}", b")", b"N", b"\x88", b"K\x02", b"K\x00", b"M\xff\xff", b"J\xff\xff\xff\x7f",
    b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00", b"X\x07\x00\x00\x00storage", b"X\x01\x00\x00\x000",
    b"X\x06\x00\x00\x00latin1", b"U\x02f4", b"C\x04abcd", b"q\x00", b"q\x01", b"h\x00", b"h\x01", b"\x94", b"2", b"0",
    b"1", b"a", b"e", b"s", b"u", b"t", b"l", b"d", b"\x85", b"\x86", b"\x87", b"R", b"R", b"b", b"\x81", b"Q", b"o",
    b"ccollections\nOrderedDict\n", b"ctorch\nFloatStorage\n", b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"c_codecs\nencode\n", b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\n_reconstruct\n", b"ctorch\nSize\n",
    b"cargparse\nNamespace\n", b"c__builtin__\nset\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n(((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x12tQK\x00K\x02K\x03\x86K\x03K\x01\x86\x89N",
];
