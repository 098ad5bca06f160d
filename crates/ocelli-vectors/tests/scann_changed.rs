//! Indexes taken over from the published package, changed: added to, deleted from, brought together, exported, saved.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use ocelli_vectors::index::{Hits, Index, Rows, SearchParams};
use ocelli_vectors::scann::ScannIndex;

/// One of each kind: 16 and 256 codewords, one and two partitions a vector, distances, no partitions.
const FOLDERS: [&str; 7] = ["tree", "bytes", "soar", "ties", "distance_bytes", "plain", "distance"];

fn taken_over(name: &str) -> (ScannIndex, Index) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scann").join(name);
    let scann = ScannIndex::read(folder).unwrap();
    let index = Index::from_scann(&scann).unwrap();
    (scann, index)
}

/// Vectors near those that are there, with their ids.
fn more(scann: &ScannIndex, count: usize) -> (Vec<f32>, Vec<u64>) {
    let rows = &scann.rows.as_ref().unwrap()[..count * scann.dim];
    let moved = rows.iter().enumerate().map(|(i, x)| 1.01 * x + 0.02 * ((i * 7 % 13) as f32 - 6.0) / 6.0);
    (moved.collect(), (0..count as u64).map(|i| 5000 + 3 * i).collect())
}

fn found(index: &Index, queries: &[f32], k: usize) -> Hits {
    let params = SearchParams { k, leaves: index.partitions(), reorder: 60 };
    index.search(Rows::new("the queries", queries, index.dim()).unwrap(), &params).unwrap()
}

#[test]
fn what_is_added_is_found_and_what_is_deleted_is_not() {
    for name in FOLDERS {
        let (scann, mut index) = taken_over(name);
        let (rows, ids) = more(&scann, 40);
        index.add(Rows::new("more", &rows, scann.dim).unwrap(), &ids).unwrap();
        assert_eq!(index.count(), scann.count + 40, "{name}");
        // With all partitions and many candidates, a vector is among the nearest of itself.
        let among = |index: &Index| {
            let hits = found(index, &rows, 10);
            ids.iter().zip(hits.ids.chunks(10)).filter(|(id, hits)| hits.contains(id)).count()
        };
        assert!(among(&index) >= 36, "{name}: {}", among(&index));
        index.delete(&ids[..20]).unwrap();
        index.delete(&[0, 7]).unwrap();
        assert!(among(&index) <= 20, "{name}");
        let hits = found(&index, &rows, 10);
        assert!(hits.ids.iter().all(|id| ![0, 7].contains(id) && !ids[..20].contains(id)), "{name}");
    }
}

#[test]
fn an_index_brought_together_saved_and_opened_finds_the_same() {
    for name in FOLDERS {
        let (scann, mut index) = taken_over(name);
        let (rows, ids) = more(&scann, 33);
        index.add(Rows::new("more", &rows, scann.dim).unwrap(), &ids).unwrap();
        index.delete(&[ids[3], 1, 2, 31]).unwrap();
        let before = found(&index, &rows, 5);
        index.compact();
        assert_eq!(index.fragments(), (1, 0), "{name}");
        assert_eq!(found(&index, &rows, 5), before, "{name}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        index.save(&path).unwrap();
        let index = Index::open_verified(&path).unwrap();
        assert_eq!(found(&index, &rows, 5), before, "{name}, opened");
    }
}

#[test]
fn codes_and_vectors_are_given_out_as_the_package_has_them() {
    for name in FOLDERS {
        let (scann, index) = taken_over(name);
        let (product, rows) = (scann.product.as_ref().unwrap(), scann.rows.as_ref().unwrap());
        let codes = index.codes();
        let (vectors, ids) = index.vectors().unwrap();
        let wide = product.books.iter().any(|(length, words)| words.len() / length > 16);
        assert_eq!((codes.blocks, codes.bits), (product.books.len(), if wide { 8 } else { 4 }), "{name}");
        let (blocks, dim) = (codes.blocks, scann.dim);
        for (at, &id) in ids.iter().enumerate() {
            let row = id as usize;
            assert_eq!(vectors[at * dim..][..dim], rows[row * dim..][..dim], "{name}, vector {row}");
            // Of two partitions, a code is of the first in number.
            let tree = scann.partitions.as_ref();
            let second = tree.and_then(|tree| tree.second.as_ref().filter(|s| s.tokens[row].is_some()));
            let token = tree.map_or(0, |tree| tree.tokens[row]);
            let of = match second.and_then(|second| Some((second, second.tokens[row]?))) {
                Some((second, other)) if other < token => (other, &second.codes),
                _ => (token, &product.codes),
            };
            assert_eq!(codes.partitions[at], of.0, "{name}, vector {row}");
            assert_eq!(
                codes.words[at * blocks..][..blocks],
                of.1[row * blocks..][..blocks],
                "{name}, vector {row}"
            );
        }
    }
}

#[test]
fn vectors_are_coded_as_the_package_codes_them() {
    // The package's own vectors under other ids: equal codes, but for near ties of single precision.
    for name in ["tree", "bytes", "plain", "ties"] {
        let (scann, mut index) = taken_over(name);
        let rows = scann.rows.as_ref().unwrap();
        let ids: Vec<u64> = (0..scann.count as u64).map(|id| id + 10_000).collect();
        index.add(Rows::new("again", rows, scann.dim).unwrap(), &ids).unwrap();
        let (codes, order) = (index.codes(), index.ids());
        let blocks = codes.blocks;
        let code = |id: u64| {
            let at = order.iter().position(|other| *other == id).unwrap();
            (codes.partitions[at], &codes.words[at * blocks..(at + 1) * blocks])
        };
        let same = ids.iter().filter(|id| code(**id) == code(**id - 10_000)).count();
        assert!(same * 100 >= scann.count * 99, "{name}: {same} of {}", scann.count);
    }
}
