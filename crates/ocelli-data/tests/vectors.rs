//! Files of vectors: those of other programs, real ones, damaged ones, and each format's way there and back.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::Path;

use ocelli_data::DataError;
use ocelli_data::annotations::vecs;
use ocelli_data::vectors::ann_benchmark::{AnnBenchmark, Distance};
use ocelli_data::vectors::hdf5::{self, Hdf5};
use ocelli_data::vectors::{self, Column, ColumnRef, Ids, ReadOptions, Values, VectorSet};
use ocelli_method::Array;
use proptest::prelude::*;

/// Written by h5py as ANN-Benchmarks does.
const ANN: &[u8] = include_bytes!("fixtures/ann.hdf5");
/// Written by h5py 3.16 with `libver="earliest"` and `"v114"`; `value` tells the features.
const FEATURES: [&[u8]; 2] =
    [include_bytes!("fixtures/features_earliest.h5"), include_bytes!("fixtures/features_v114.h5")];

/// Element `i` of the features in the fixtures, `[10, 2]`.
fn value(i: usize) -> f32 {
    (i as f32 - 7.0) / 4.0
}

#[test]
fn datasets_of_every_storage_are_read() {
    let wanted: Vec<f32> = (0..20).map(value).collect();
    for bytes in FEATURES {
        let file = Hdf5::from_bytes("f.h5", bytes.to_vec()).unwrap();
        for name in [
            "contiguous",
            "half",
            "half_big",
            "double_big",
            "grown",
            "v_1/c3d_features",
            "v_2/c3d_features",
            "v_3/c3d_features",
            "v_1",
            "v_2/",
            "/v_3",
        ] {
            let set = file.features(name).unwrap();
            assert_eq!((set.dim, &set.rows), (2, &wanted), "{name}");
        }
        assert_eq!(file.read("integers").unwrap(), Array::integers([-1, 2, 300]));
        assert_eq!(file.read("bytes").unwrap().as_u8().unwrap(), [1, 255]);
        assert_eq!(file.read("double_big").unwrap().data().kind(), "float64");
    }
}

#[test]
fn datasets_are_listed_with_their_shapes() {
    for bytes in FEATURES {
        let datasets = Hdf5::from_bytes("f.h5", bytes.to_vec()).unwrap().datasets().unwrap();
        let names: Vec<&str> = datasets.iter().map(|d| d.name.as_str()).collect();
        let wanted = "bytes contiguous double_big fixed grown half half_big holes integers names nan pairs scaled \
                      unwritten v_1/c3d_features v_2/c3d_features v_3/c3d_features";
        assert_eq!(names, wanted.split_whitespace().collect::<Vec<_>>());
        let videos: Vec<_> = datasets.iter().filter(|d| d.name.starts_with("v_")).collect();
        assert!(videos.iter().all(|d| d.numeric && d.shape == [10, 2]));
        let text: Vec<&str> = datasets.iter().filter(|d| !d.numeric).map(|d| d.name.as_str()).collect();
        assert_eq!(text, ["fixed", "names", "pairs"]);
    }
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    for bytes in FEATURES {
        let file = Hdf5::from_bytes("f.h5", bytes.to_vec()).unwrap();
        for (name, words) in [
            ("nan", "f.h5: dataset `nan`: row 1, column 1 (counted from 0) is NaN"),
            ("holes", "1 of its 2 chunks were never written"),
            ("unwritten", "it was never written"),
            ("names", "elements of type `vlen_string` are not read"),
            ("fixed", "elements of type `string` are not read"),
            ("pairs", "elements of type `compound{a: i32, b: f32}` are not read"),
            ("scaled", "is not supported; gzip, shuffle, fletcher32 and lzf are"),
            ("integers", "an array of rows and columns"),
            ("absent", "f.h5: dataset `absent`"),
            ("", "one dataset expected; there are"),
        ] {
            let message = file.features(name).unwrap_err().to_string();
            assert!(message.contains(words) && !message.contains('\n'), "{message}");
        }
    }
}

#[test]
fn a_benchmark_written_by_others_is_read() {
    let file = Hdf5::from_bytes("ann.hdf5", ANN.to_vec()).unwrap();
    let benchmark = AnnBenchmark::from_hdf5(&file).unwrap();
    assert_eq!((benchmark.distance, benchmark.k), (Distance::Euclidean, 3));
    assert_eq!((benchmark.train.len(), benchmark.train.row(7)), (8, &[1.0, 2.0, 4.0][..]));
    assert_eq!(benchmark.test.rows, [0.0, 0.0, 1.0, 1.0, 2.0, 2.5]);
    assert_eq!(benchmark.neighbors[..2], [0, 4]);
    let distances = benchmark.distances.as_ref().unwrap();
    for (at, (row, distance)) in benchmark.neighbors.iter().zip(distances).enumerate() {
        let pairs = benchmark.train.row(*row as usize).iter().zip(benchmark.test.row(at / 3));
        let exact = pairs.map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
        assert!((exact - distance).abs() < 1e-6);
    }
}

fn everything(bytes: Vec<u8>) -> Result<(), DataError> {
    let file = Hdf5::from_bytes("x.h5", bytes)?;
    let _ = AnnBenchmark::from_hdf5(&file);
    for dataset in file.datasets()? {
        let _ = file.read(&dataset.name);
    }
    let _ = (file.features("v_1"), file.text_attribute("distance")?);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_hdf5_never_panics(
        which in 0usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0usize..9), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = [FEATURES[0], FEATURES[1], ANN][which].to_vec();
        for (at, value, width) in changes {
            let at = at.index(bytes.len());
            if width < 8 {
                bytes[at] ^= 1 << width;
            } else {
                // Whole words of the extremes.
                let word = at & !7;
                let end = bytes.len().min(word + 8);
                bytes[word..end].fill(if value < 128 { 0xFF } else { 0 });
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Err(error) = everything(bytes) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn random_bytes_are_no_hdf5(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(everything(bytes.clone()).is_err());
        let _ = everything([&ANN[..96], &bytes].concat());
    }
}

#[test]
fn hdf5_cut_anywhere_is_an_error() {
    for length in 0..ANN.len() {
        let message = Hdf5::from_bytes("x.h5", ANN[..length].to_vec()).unwrap_err().to_string();
        assert!(message.starts_with("x.h5: no HDF5 file") || message.contains("cut short"), "{message}");
    }
}

#[test]
fn hdf5_arrays_come_back_from_groups() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("videos.h5");
    let (a, b) = (Array::f32([2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap(), Array::integers([1, -5]));
    let arrays = [("v_2/features", &a), ("v_1/features", &a), ("v_1/segments", &b), ("top", &b)];
    hdf5::write(&path, &arrays, &[("made by", "a test")]).unwrap();
    let file = Hdf5::open(&path).unwrap();
    for (name, array) in arrays {
        assert_eq!(&file.read(name).unwrap(), array);
    }
    assert_eq!(file.features("v_2").unwrap().rows, [1.0, 2.0, 3.0, 4.0]);
    assert!(file.features("v_1").unwrap_err().to_string().contains("one dataset expected"));
    assert_eq!(file.text_attribute("made by").unwrap().as_deref(), Some("a test"));
    for names in [["a", "a"], ["a", "a/b"], ["a", ""], ["a", "/b"], ["a", "b/c/d"], ["a", "b/"]] {
        let arrays = names.map(|n| (n, &a));
        assert!(hdf5::write(&path, &arrays, &[]).is_err(), "{names:?}");
    }
}

/// A set with ids and, if `all`, metadata.
fn sample(ids: Option<Ids>, all: bool) -> VectorSet {
    let mut set = VectorSet { ids, ..VectorSet::new(3, vec![0.5, -1.0, 3e-20, f32::MAX, 0.1, 7.0]) };
    if all {
        let texts = Values::Texts(vec![Some("one, two".into()), None]);
        set.metadata.push(Column { name: "title".into(), values: texts });
        set.metadata
            .push(Column { name: "year".into(), values: Values::Integers(vec![Some(-3), Some(1999)]) });
        set.metadata.push(Column { name: "mark".into(), values: Values::Numbers(vec![None, Some(0.25)]) });
    }
    set
}

#[test]
fn every_format_gives_back_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = || Some(Ids::Numbers(vec![7, 3]));
    let names = || Some(Ids::Names(vec!["cat".into(), "größer".into()]));
    let metadata = ["title", "year", "mark"].map(|n| ColumnRef::Name(n.into())).to_vec();
    let table = ReadOptions { metadata, ..ReadOptions::default() };
    let plain = ReadOptions::default();
    for (name, set, options) in [
        ("a.fvecs", sample(None, false), &plain),
        ("a.npy", sample(None, false), &plain),
        ("a.npz", sample(None, false), &plain),
        ("b.npz", sample(numbers(), false), &plain),
        ("a.txt", sample(names(), false), &plain),
        ("a.csv", sample(names(), true), &table),
        ("a.TSV", sample(numbers(), true), &table),
        ("a.parquet", sample(None, false), &plain),
        ("b.parquet", sample(names(), true), &plain),
        ("c.parquet", sample(Some(Ids::Numbers(vec![u64::MAX, 0])), true), &plain),
        ("a.h5", sample(None, false), &plain),
        ("b.hdf5", sample(names(), false), &plain),
        ("c.hdf5", sample(Some(Ids::Numbers(vec![u64::MAX, 0])), false), &plain),
    ] {
        let path = folder.path().join(name);
        vectors::write(&path, &set).unwrap();
        assert_eq!(vectors::read(&path, options).unwrap(), set, "{name}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|n| !n.to_string_lossy().starts_with('.')), "{left:?}");
}

#[test]
fn what_a_format_has_no_room_for_is_not_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let names = Some(Ids::Names(vec!["cat".into(), "dog".into()]));
    for (name, set, words) in [
        ("a.fvecs", sample(Some(Ids::Numbers(vec![1, 2])), false), "no room for ids"),
        ("a.npy", sample(None, true), "no room for metadata"),
        ("a.npz", sample(names, false), "ids that are text cannot be written as .npz"),
        ("a.h5", sample(None, true), "no room for metadata"),
        ("a.bvecs", sample(None, false), "written as .fvecs"),
        ("a.faiss", sample(None, false), "not as `.faiss`"),
        ("a.csv", VectorSet::new(1, vec![f32::NAN]), "is NaN"),
        ("a.csv", VectorSet::new(1, vec![]), "there is no vector"),
    ] {
        let path = folder.path().join(name);
        let message = vectors::write(&path, &set).unwrap_err().to_string();
        assert!(message.contains(words) && !path.exists(), "{message}");
    }
    let message =
        vectors::read(folder.path().join("a.csv"), &ReadOptions::default()).unwrap_err().to_string();
    assert!(message.starts_with("cannot read "), "{message}");
}

#[test]
fn equal_ids_are_refused_unless_they_are_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    std::fs::write(&path, "id,x\na,1\nb,2\na,3\n").unwrap();
    let message = vectors::read(&path, &ReadOptions::default()).unwrap_err().to_string();
    assert!(message.ends_with("a.csv: rows 0 and 2 (counted from 0) have the same id `a`"), "{message}");
    let allowed = ReadOptions { allow_duplicate_ids: true, ..ReadOptions::default() };
    assert_eq!(vectors::read(&path, &allowed).unwrap().len(), 3);
    let path = folder.path().join("a.npy");
    vectors::write(&path, &VectorSet::new(1, vec![1.0])).unwrap();
    let ids = ReadOptions { ids: Some(ColumnRef::Name("id".into())), ..ReadOptions::default() };
    assert!(vectors::read(&path, &ids).unwrap_err().to_string().contains("this format holds no ids"));
}

#[test]
fn real_descriptors_are_the_same_in_both_formats() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/sift-5k");
    if !root.is_dir() {
        eprintln!("SKIPPED: no data in {}", root.display());
        return;
    }
    let options = ReadOptions { ids: Some(ColumnRef::Position(129)), ..ReadOptions::default() };
    let table = vectors::read(root.join("sift-dataset-5k.tsv"), &options).unwrap();
    assert_eq!(table.ids, Some(Ids::Numbers((100_001..=105_000).collect())));
    let base = vectors::read(root.join("sift_base_5k.fvecs"), &ReadOptions::default()).unwrap();
    assert_eq!((base.len(), base.dim), (5000, 128));
    assert_eq!(base.rows, table.rows);
    let queries = vectors::read(root.join("sift-query-3.tsv"), &ReadOptions::default()).unwrap();
    assert_eq!((queries.len(), queries.dim), (3, 128));

    let folder = tempfile::tempdir().unwrap();
    for name in ["again.tsv", "again.h5", "again.npz", "again.parquet"] {
        let path = folder.path().join(name);
        vectors::write(&path, &table).unwrap();
        assert_eq!(vectors::read(&path, &ReadOptions::default()).unwrap(), table, "{name}");
    }
    let path = folder.path().join("again.fvecs");
    vectors::write(&path, &base).unwrap();
    let original = std::fs::read(root.join("sift_base_5k.fvecs")).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), original);
    assert_eq!(vecs::read(&path).unwrap().shape(), [5000, 128]);
}
