//! Indexes that the published package wrote, and what it finds in them.
//!
//! Each folder in `tests/scann` is what `serialize` of `scann` 1.4.2 writes, on vectors drawn for the purpose, with the
//! package's own answers beside: `queries.npy [Q, dim]` and `ids.npy [Q, k]`. Further folders of the same
//! form can be named in `OCELLI_SCANN`, separated by colons.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use ocelli_method::{Array, npy};
use ocelli_vectors::index::{Index, Rows, SearchParams};
use ocelli_vectors::scann::{Distance, ScannIndex, Stored};
use ocelli_vectors::score_aware_quantization::{Codebook, Partitions, ScoreTable, Search, search};
use proptest::prelude::*;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scann").join(name)
}

fn array(path: &Path) -> Array {
    npy::parse(&fs::read(path).unwrap()).unwrap()
}

fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The larger the better, for both distances.
fn score(distance: Distance, a: &[f64], b: &[f64]) -> f64 {
    match distance {
        Distance::DotProduct => dot(a, b),
        Distance::SquaredL2 => -a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>(),
    }
}

/// Best first, the smaller number among equals.
fn best(mut scored: Vec<(f64, usize)>, keep: usize) -> Vec<(f64, usize)> {
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.truncate(keep);
    scored
}

/// Each number once, with the mean of its scores.
fn means(mut scored: Vec<(f64, usize)>) -> Vec<(f64, usize)> {
    scored.sort_by_key(|(_, row)| *row);
    let same = scored.chunk_by(|a, b| a.1 == b.1);
    same.map(|same| (same.iter().map(|(score, _)| score).sum::<f64>() / same.len() as f64, same[0].1))
        .collect()
}

/// What the package computes from the parts of an index.
struct Parts {
    index: ScannIndex,
    codebook: Option<Codebook>,
    codes: Vec<usize>,
    rows: Option<Vec<f64>>,
    tokens: Vec<usize>,
}

impl Parts {
    fn new(index: ScannIndex) -> Self {
        let product = index.product.as_ref();
        let blocks = |p: &ocelli_vectors::scann::Product| {
            Codebook::new(p.books.iter().map(|(length, words)| (*length, doubles(words))).collect()).unwrap()
        };
        Self {
            codebook: product.map(blocks),
            codes: product.map_or(Vec::new(), |p| p.codes.iter().map(|c| usize::from(*c)).collect()),
            rows: index.rows.as_deref().map(doubles),
            tokens: index
                .partitions
                .as_ref()
                .map_or(Vec::new(), |t| t.tokens.iter().map(|t| *t as usize).collect()),
            index,
        }
    }

    /// The numbers of the package's answer to a query.
    fn answer(&self, query: &[f64], k: usize) -> Vec<usize> {
        let settings = &self.index.settings;
        let tree = self.index.partitions.as_ref();
        let spilled = tree.is_some_and(|tree| tree.second.is_some());
        match (settings.distance, &self.codebook, &self.rows) {
            (Distance::DotProduct, Some(codebook), Some(rows)) if !spilled => {
                let how = Search {
                    k,
                    reorder: settings.reorder.unwrap(),
                    leaves: settings.tree.map_or(0, |tree| tree.leaves),
                    integer: settings.codes.unwrap().integer,
                };
                let centers = self.index.searched_centres();
                let partitions = tree.map(|_| Partitions { centers: &centers, tokens: &self.tokens });
                let found = search(codebook, &self.codes, rows, partitions, query, how).unwrap();
                found.into_iter().filter_map(|found| found.id).collect()
            }
            _ => self.by_hand(query, k),
        }
    }

    /// The score of the exact step, but for what is the same for all vectors.
    fn exact(&self, query: &[f64], row: usize) -> f64 {
        let (distance, dim) = (self.index.settings.distance, self.index.dim);
        let x = &self.rows.as_ref().unwrap()[row * dim..(row + 1) * dim];
        match &self.index.squares {
            Some(squares) => 2.0 * dot(query, x) - f64::from(squares[row]),
            None => score(distance, query, x),
        }
    }

    /// What the definition does not cover: distances, second partitions, no codes, no exact step.
    fn by_hand(&self, query: &[f64], k: usize) -> Vec<usize> {
        let settings = &self.index.settings;
        let leaves: Vec<Option<f64>> = match &self.index.partitions {
            None => vec![Some(0.0)],
            Some(tree) => {
                let centres = self.index.searched_centres();
                let centres = centres.chunks_exact(self.index.dim).enumerate();
                let scored =
                    centres.map(|(leaf, centre)| (score(settings.distance, query, centre), leaf)).collect();
                let mut leaves = vec![None; tree.count];
                best(scored, settings.tree.unwrap().leaves)
                    .into_iter()
                    .for_each(|(s, leaf)| leaves[leaf] = Some(s));
                leaves
            }
        };
        let residual = settings.codes.is_some_and(|codes| codes.residual);
        let table = self.codebook.as_ref().map(|codebook| self.table(codebook, query));
        let blocks = self.codebook.as_ref().map_or(0, Codebook::blocks);
        let approximate = |codes: &dyn Fn(usize) -> usize, row: usize, leaf: f64| match &table {
            Some((rows, multiplier)) => {
                let sum: f64 = rows.iter().enumerate().map(|(block, row)| row[codes(block)]).sum();
                sum / multiplier + if residual { leaf } else { 0.0 }
            }
            None => self.exact(query, row),
        };
        let mut candidates = Vec::new();
        let second = self.index.partitions.as_ref().and_then(|tree| tree.second.as_ref());
        for row in 0..self.index.count {
            if let Some(leaf) = leaves[self.tokens.get(row).copied().unwrap_or(0)] {
                candidates.push((approximate(&|block| self.codes[row * blocks + block], row, leaf), row));
            }
            if let Some((second, token)) = second.and_then(|second| Some((second, second.tokens[row]?)))
                && let Some(leaf) = leaves[token as usize]
            {
                candidates
                    .push((approximate(&|block| second.codes[row * blocks + block].into(), row, leaf), row));
            }
        }
        let wanted = settings.reorder.unwrap_or(k);
        let mut kept = if second.is_some() {
            let taken = (wanted as f64 * settings.tree.unwrap().overretrieve) as usize;
            best(means(best(candidates, taken)), wanted)
        } else {
            best(candidates, if self.codebook.is_some() { wanted } else { usize::MAX })
        };
        if settings.reorder.is_some() {
            kept.iter_mut().for_each(|(exact, row)| *exact = self.exact(query, *row));
        }
        best(kept, k).into_iter().map(|(_, row)| row).collect()
    }

    /// Scores of codewords and what they are multiplied by.
    fn table(&self, codebook: &Codebook, query: &[f64]) -> (Vec<Vec<f64>>, f64) {
        let mut table = ScoreTable::new(codebook, query).unwrap();
        if self.index.settings.distance == Distance::SquaredL2 {
            for (row, (range, words)) in table.rows.iter_mut().zip(codebook.ranges_and_words()) {
                let words = words.chunks_exact(range.len());
                *row = words.map(|word| score(Distance::SquaredL2, &query[range.clone()], word)).collect();
            }
        }
        match self.index.settings.codes.unwrap().integer {
            true => {
                let whole = table.to_integers();
                let multiplier = whole.multiplier;
                let cut = |row: &Vec<f64>| row.iter().map(|v| (v * multiplier).trunc()).collect();
                let rounded = |row: &Vec<i8>| row.iter().map(|v| f64::from(*v)).collect();
                match self.index.settings.cuts_tables() {
                    true => (table.rows.iter().map(cut).collect(), multiplier),
                    false => (whole.rows.iter().map(rounded).collect(), multiplier),
                }
            }
            false => (table.rows, 1.0),
        }
    }
}

/// The same of an index that took the folder over and was saved and opened since.
fn compare_imported(folder: &Path) -> (usize, usize) {
    let scann = ScannIndex::read(folder).unwrap_or_else(|e| panic!("{e}"));
    let (queries, ids) = (array(&folder.join("queries.npy")), array(&folder.join("ids.npy")));
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("index");
    Index::from_scann(&scann).unwrap().save(&path).unwrap();
    let index = Index::open_verified(&path).unwrap();
    let queries: Vec<f32> = queries.to_f64().into_iter().map(|value| value as f32).collect();
    let queries = Rows::new("the queries", &queries, scann.dim).unwrap();
    let params = SearchParams { k: ids.shape()[1], ..index.defaults().unwrap() };
    let found = index.search(queries, &params).unwrap().ids;
    let wanted = ids.as_i64().unwrap();
    assert_eq!(found.len(), wanted.len());
    (found.iter().zip(wanted).filter(|(found, wanted)| **found as i64 == **wanted).count(), wanted.len())
}

/// How many of the package's answers are found, number by number and in its order, and how many there are.
fn compare(folder: &Path) -> (usize, usize) {
    let index = ScannIndex::read(folder).unwrap_or_else(|e| panic!("{e}"));
    let queries = array(&folder.join("queries.npy"));
    let ids = array(&folder.join("ids.npy"));
    let k = ids.shape()[1];
    assert_eq!((queries.shape()[1], ids.shape()[0]), (index.dim, queries.shape()[0]));
    let parts = Parts::new(index);
    let queries = queries.to_f64();
    let wanted = ids.as_i64().unwrap();
    let rows = queries.chunks_exact(parts.index.dim).zip(wanted.chunks_exact(k));
    let same = |(query, wanted): (&[f64], &[i64])| {
        let found = parts.answer(query, k);
        found.iter().zip(wanted).filter(|(found, wanted)| **found as i64 == **wanted).count()
    };
    (rows.map(same).sum(), wanted.len())
}

#[test]
fn the_package_s_answers_are_found() {
    let names = [
        "tree",
        "plain",
        "distance",
        "brute",
        "spilled",
        "bytes",
        "distance_tree",
        "integer_centres",
        "soar",
        "ties",
        "distance_bytes",
    ];
    let mut faults = Vec::new();
    for name in names {
        let ((defined, all), (imported, _)) = (compare(&folder(name)), compare_imported(&folder(name)));
        if (defined, imported) != (all, all) {
            faults.push(format!("{name}: {defined} by definition and {imported} imported of {all}"));
        }
    }
    // Vectors lost to limits: the definition has them.
    let ((defined, all), (imported, _)) = (compare(&folder("limits")), compare_imported(&folder("limits")));
    if imported != all || defined == all {
        faults.push(format!("limits: {defined} by definition and {imported} imported of {all}"));
    }
    let more = std::env::var("OCELLI_SCANN").unwrap_or_default();
    for folder in more.split(':').filter(|folder| !folder.is_empty()) {
        let (same, all) = compare(Path::new(folder));
        let imported = compare_imported(Path::new(folder)).0;
        eprintln!("{folder}: {same} of {all}, imported {imported}");
        faults.extend((imported != all).then(|| folder.to_owned()));
    }
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn settings_and_parts_are_read() {
    let tree = ScannIndex::read(folder("tree")).unwrap();
    assert_eq!((tree.count, tree.dim, tree.named), (200, 10, false));
    assert_eq!((tree.settings.neighbors, tree.settings.reorder), (5, Some(15)));
    let settings = tree.settings.tree.unwrap();
    assert_eq!((settings.leaves, settings.soar, settings.avq), (2, None, None));
    let codes = tree.settings.codes.unwrap();
    assert_eq!((codes.words, codes.residual, codes.threshold, codes.integer), (16, true, Some(0.2), true));
    let lengths: Vec<usize> = tree.product.unwrap().books.iter().map(|(length, _)| *length).collect();
    assert_eq!(lengths, [3, 3, 3, 1]);
    assert_eq!(tree.partitions.unwrap().count, 6);

    let spilled = ScannIndex::read(folder("spilled")).unwrap();
    assert_eq!(
        (spilled.settings.stored, spilled.settings.tree.unwrap().soar),
        (Some(Stored::Int8), Some(1.5))
    );
    let (rows, partitions) = (spilled.rows.unwrap(), spilled.partitions.unwrap());
    // The vectors have length 1, and eight bits keep that nearly.
    assert!(rows.chunks_exact(8).all(|row| (row.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 0.02));
    let second = partitions.second.unwrap();
    assert!(second.tokens.iter().zip(&partitions.tokens).all(|(second, first)| *second != Some(*first)));
    assert!(second.tokens.iter().any(Option::is_some));

    let distance = ScannIndex::read(folder("distance")).unwrap();
    assert_eq!(
        (distance.settings.distance, distance.settings.stored),
        (Distance::SquaredL2, Some(Stored::Bfloat16))
    );
    assert_eq!(distance.settings.codes.unwrap().threshold, None);
    let brute = ScannIndex::read(folder("brute")).unwrap();
    assert!(brute.product.is_none() && brute.partitions.is_none() && brute.rows.unwrap().len() == 800);
}

/// A copy of a folder to do damage to.
fn copy(name: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(folder(name)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

#[test]
fn what_is_wrong_is_said_with_the_file() {
    fn array_of<T: Copy>(shape: &[usize], values: &[T], make: fn(Vec<usize>, Vec<T>) -> Array) -> Vec<u8> {
        npy::to_bytes(&make(shape.to_vec(), values.to_vec()))
    }
    let bytes =
        |shape: Vec<usize>, values: Vec<u8>| Array::new(shape, ocelli_method::Data::U8(values)).unwrap();
    let floats = |shape: Vec<usize>, values: Vec<f32>| Array::f32(shape, values).unwrap();
    let integers = |shape: Vec<usize>, values: Vec<i64>| Array::integers(values).reshaped(shape).unwrap();
    let spoilt: &[(&str, &str, Vec<u8>, &str)] = &[
        (
            "tree",
            "hashed_dataset.npy",
            array_of(&[200, 4], &[16; 800], bytes),
            "vector 0 has code 16 in a block of 16",
        ),
        (
            "tree",
            "hashed_dataset.npy",
            array_of(&[200, 3], &[1; 600], bytes),
            "3 codes a vector for 4 blocks",
        ),
        ("tree", "hashed_dataset.npy", array_of(&[800], &[1; 800], bytes), "rows of `<u1` are wanted"),
        ("tree", "hashed_dataset.npy", array_of(&[0, 4], &[], bytes), "there are no vectors"),
        ("tree", "hashed_dataset.npy", array_of(&[199, 4], &[1; 796], bytes), "200 vectors, but 199"),
        ("tree", "hashed_dataset.npy", b"PK\x03\x04".to_vec(), "magic bytes are missing"),
        ("tree", "dataset.npy", array_of(&[200, 9], &[1.0; 1800], floats), "vectors of 9 dimensions, but 10"),
        ("tree", "dataset.npy", array_of(&[200, 10], &[f32::NAN; 2000], floats), "vector 0 holds NaN"),
        ("tree", "dataset.npy", array_of(&[200, 10], &[1; 2000], integers), "rows of `<f4` are wanted"),
        (
            "tree",
            "datapoint_to_token.npy",
            array_of(&[200], &[6; 200], integers),
            "vector 0 is in [6] of 6 partitions",
        ),
        (
            "tree",
            "datapoint_to_token.npy",
            array_of(&[200], &[-1; 200], integers),
            "vector 0 is in [-1] of 6",
        ),
        ("tree", "datapoint_to_token.npy", array_of(&[199], &[1; 199], integers), "199 vectors, but 200"),
        (
            "tree",
            "datapoint_to_token.npy",
            array_of(&[200], &[1.0; 200], floats),
            "a list of integers is wanted",
        ),
        ("spilled", "datapoint_to_token.npy", array_of(&[319], &[1; 319], integers), "which is odd"),
        (
            "spilled",
            "datapoint_to_token.npy",
            array_of(&[320], &[-2; 320], integers),
            "vector 0 is in [-2, -2]",
        ),
        ("spilled", "int8_multipliers.npy", array_of(&[8], &[0.0; 8], floats), "neither infinite nor 0"),
        ("spilled", "int8_multipliers.npy", array_of(&[7], &[1.0; 7], floats), "a number for each dimension"),
        ("tree", "ah_codebook.pb", vec![], "there are no codewords"),
        ("tree", "ah_codebook.pb", vec![0x0a, 0x7f], "no field can be read at byte 0"),
        ("tree", "ah_codebook.pb", vec![0x0a, 0x00], "block 0: there are 0 codewords"),
        ("tree", "ah_codebook.pb", vec![0x10, 0x01], "not plain product codes"),
        (
            "tree",
            "ah_codebook.pb",
            vec![0x0a, 0x08, 0x0a, 0x06, 0x22, 0x04, 0, 0, 0xc0, 0x7f],
            "a codeword holds NaN",
        ),
        ("tree", "serialized_partitioner.pb", vec![], "there is no tree"),
        ("tree", "serialized_partitioner.pb", vec![0x18, 0x01], "were projected"),
        ("tree", "serialized_partitioner.pb", vec![0x12, 0x00], "0 centres for 0 leaves"),
        ("tree", "scann_config.pb", vec![], "does not say how vectors are compared"),
        ("tree", "scann_config.pb", vec![0x2a, 0x03, 0x0a, 0x01, b'X'], "compared by `X`"),
        ("tree", "scann_config.pb", vec![0x2a, 0x00], "either code vectors or compare"),
    ];
    for (name, file, content, wanted) in spoilt {
        let copy = copy(name);
        fs::write(copy.path().join(file), content).unwrap();
        let said = ScannIndex::read(copy.path()).unwrap_err().to_string();
        assert!(said.contains(file) || said.contains("dataset.npy"), "{said}");
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let absent = copy("tree");
    fs::remove_file(absent.path().join("dataset.npy")).unwrap();
    assert!(ScannIndex::read(absent.path()).unwrap_err().to_string().contains("dataset.npy: cannot read"));
    assert!(ScannIndex::read(absent.path().join("nowhere")).is_err());
}

#[test]
fn no_cut_file_is_read() {
    let names = |folder: &Path| {
        let names = fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
        names.filter(|n| !["queries.npy", "ids.npy", "dp_norms.npy"].contains(&n.as_str()))
    };
    for name in ["tree", "spilled"] {
        let copy = copy(name);
        let good = ScannIndex::read(copy.path()).unwrap();
        for file in names(&folder(name)) {
            let path = copy.path().join(&file);
            let whole = fs::read(&path).unwrap();
            for length in (0..whole.len()).step_by(1 + whole.len() / 150) {
                fs::write(&path, &whole[..length]).unwrap();
                // A message may lose its last fields: those of the codebook then say what is supposed without them,
                // those of the settings make others.
                let same = ScannIndex::read(copy.path()).map(|read| read == good);
                let allowed = match file.as_str() {
                    "ah_codebook.pb" => same.unwrap_or(true),
                    "scann_config.pb" => !same.unwrap_or(false),
                    _ => same.is_err(),
                };
                assert!(allowed, "{file} of {length}");
            }
            fs::write(&path, &whole).unwrap();
        }
        assert_eq!(ScannIndex::read(copy.path()).unwrap(), good);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn changed_bytes_cause_no_panic(
        file in prop::sample::select(vec![
            "ah_codebook.pb", "serialized_partitioner.pb", "scann_config.pb", "datapoint_to_token.npy",
            "hashed_dataset.npy", "hashed_dataset_soar.npy", "int8_dataset.npy", "int8_multipliers.npy",
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let copy = copy("spilled");
        let path = copy.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        fs::write(&path, &bytes).unwrap();
        if let Ok(index) = ScannIndex::read(copy.path()) {
            prop_assert!(index.product.is_none_or(|p| p.codes.len() == index.count * p.books.len()));
            prop_assert!(index.rows.is_none_or(|rows| rows.len() == index.count * index.dim));
        }
    }
}
