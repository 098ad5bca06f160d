//! Random directions.

use ocelli_method::random::Generator;

use crate::lookalikes::normals;

/// `count` orthonormal axes of a random subspace, at most `dims`, by Gram and Schmidt.
pub(crate) fn orthonormal(dims: usize, count: usize, generator: &mut Generator) -> Vec<Vec<f32>> {
    let mut basis: Vec<Vec<f32>> = Vec::new();
    for _ in 0..count.min(dims) {
        let mut axis: Vec<f32> = normals(dims, generator).collect();
        for other in &basis {
            let along: f32 = axis.iter().zip(other).map(|(a, b)| a * b).sum();
            axis.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
        }
        let norm = axis.iter().map(|a| a * a).sum::<f32>().sqrt();
        axis.iter_mut().for_each(|a| *a /= norm);
        basis.push(axis);
    }
    basis
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_method::random::stream;

    #[test]
    fn axes_are_orthonormal() {
        let basis = orthonormal(48, 20, &mut stream(0, "axes", 0));
        for (i, a) in basis.iter().enumerate() {
            for (j, b) in basis.iter().enumerate() {
                let dot: f32 = a.iter().zip(b).map(|(x, y)| x * y).sum();
                assert!((dot - f32::from(u8::from(i == j))).abs() < 1e-5);
            }
        }
    }
}
