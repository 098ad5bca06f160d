//! Identity can be learnt from the pictures, but does not lie open in their pixels.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use ocelli_world::faces::{Canvas, FaceWorld, IdentitySpace, ShotSpace};

const SIDE: u32 = 24;

fn world() -> FaceWorld {
    FaceWorld { seed: 11, canvas: Canvas::aligned(SIDE), ..FaceWorld::default() }
}

/// Grey pictures of people `people`, `shots` each, as vectors of mean 0 and length 1.
fn vectors(world: &FaceWorld, people: std::ops::Range<u64>, shots: u64) -> Vec<(u64, Vec<f64>)> {
    let pairs: Vec<(u64, u64)> = people.flat_map(|i| (0..shots).map(move |j| (i, j))).collect();
    let pictures = world.render_pictures(&pairs).unwrap();
    let vector = |picture: &image::RgbImage| {
        let grey: Vec<f64> = picture.pixels().map(|p| p.0.iter().map(|&b| f64::from(b)).sum()).collect();
        let mean = grey.iter().sum::<f64>() / grey.len() as f64;
        let norm = grey.iter().map(|v| (v - mean).powi(2)).sum::<f64>().sqrt().max(1e-9);
        grey.iter().map(|v| (v - mean) / norm).collect()
    };
    pairs.iter().zip(&pictures).map(|(pair, picture)| (pair.0, vector(picture))).collect()
}

/// Probability that a same-person pair is more similar than a different-person pair.
fn auc(vectors: &[(u64, Vec<f64>)]) -> f64 {
    let (mut same, mut different) = (Vec::new(), Vec::new());
    for (i, (who, a)) in vectors.iter().enumerate() {
        for (other, b) in &vectors[..i] {
            let distance: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
            if who == other { same.push(distance) } else { different.push(distance) }
        }
    }
    different.sort_by(f64::total_cmp);
    let above: usize = same.iter().map(|s| different.len() - different.partition_point(|d| d <= s)).sum();
    above as f64 / (same.len() * different.len()) as f64
}

/// Lower Cholesky factor of the covariance of differences between pictures of the same person, slightly loaded.
fn within_person_factor(train: &[(u64, Vec<f64>)], shots: usize) -> Vec<Vec<f64>> {
    let n = train[0].1.len();
    let mut covariance = vec![vec![0.0; n]; n];
    for person in train.chunks(shots) {
        let mean: Vec<f64> =
            (0..n).map(|k| person.iter().map(|(_, v)| v[k]).sum::<f64>() / shots as f64).collect();
        for (_, v) in person {
            let d: Vec<f64> = v.iter().zip(&mean).map(|(v, m)| v - m).collect();
            for (row, a) in covariance.iter_mut().zip(&d) {
                for (cell, b) in row.iter_mut().zip(&d) {
                    *cell += a * b / train.len() as f64;
                }
            }
        }
    }
    let load = 0.02 * (0..n).map(|i| covariance[i][i]).sum::<f64>() / n as f64;
    let mut factor = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = factor[i][..j].iter().zip(&factor[j][..j]).map(|(a, b)| a * b).sum();
            let rest = covariance[i][j] + if i == j { load } else { 0.0 } - dot;
            factor[i][j] = if i == j { rest.sqrt() } else { rest / factor[j][j] };
        }
    }
    factor
}

/// Solves `factor · out = v` and normalises.
fn whiten(factor: &[Vec<f64>], v: &[f64]) -> Vec<f64> {
    let mut out: Vec<f64> = Vec::with_capacity(v.len());
    for (i, row) in factor.iter().enumerate() {
        let dot: f64 = row[..i].iter().zip(&out).map(|(a, b)| a * b).sum();
        out.push((v[i] - dot) / row[i]);
    }
    let norm = out.iter().map(|v| v * v).sum::<f64>().sqrt();
    out.iter().map(|v| v / norm).collect()
}

#[test]
fn raw_pixels_tell_people_apart_only_a_little() {
    let usual = auc(&vectors(&world(), 0..60, 6));
    let enrolled = auc(&vectors(&FaceWorld { shots: ShotSpace::enrolment(), ..world() }, 0..60, 6));
    let families = IdentitySpace { families: 2, spread: 0.25, ..IdentitySpace::default() };
    let relatives = FaceWorld { shots: ShotSpace::enrolment(), identities: families, ..world() };
    let alike = auc(&vectors(&relatives, 0..60, 6));
    eprintln!("raw-pixel AUC: default {usual:.3}, enrolment {enrolled:.3}, look-alikes {alike:.3}");
    assert!((0.56..0.80).contains(&usual), "default shots: {usual}");
    assert!(enrolled > usual + 0.05, "enrolment: {enrolled}");
    assert!(alike < enrolled - 0.03, "look-alikes: {alike}");
}

#[test]
fn what_is_learnt_on_some_people_holds_for_others() {
    let (world, shots) = (world(), 10);
    let factor = within_person_factor(&vectors(&world, 1000..1200, shots), shots as usize);
    let held_out = vectors(&world, 0..60, 6);
    let learnt: Vec<(u64, Vec<f64>)> = held_out.iter().map(|(who, v)| (*who, whiten(&factor, v))).collect();
    let (raw, whitened) = (auc(&held_out), auc(&learnt));
    eprintln!("AUC on unseen people: raw {raw:.3}, whitened by other people's variation {whitened:.3}");
    assert!(whitened > raw + 0.05, "raw {raw}, whitened {whitened}");
}
