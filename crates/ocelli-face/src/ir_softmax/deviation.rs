//! How far classifier weights are from the centres of their classes: what goes wrong under imbalance.

use burn::tensor::Tensor;
use ocelli_nn::tensor::values;

/// Angles in degrees between `weights [C, D]` and `centers [C, D]`, a class each. A zero vector is at a right angle to
/// all.
///
/// # Panics
/// When the shapes differ.
pub fn deviation(weights: Tensor<2>, centers: Tensor<2>) -> Vec<f64> {
    let [_, dims] = weights.dims();
    assert_eq!(weights.dims(), centers.dims(), "weights and centres");
    let (weights, centers) = (values(weights), values(centers));
    let pairs = weights.chunks_exact(dims.max(1)).zip(centers.chunks_exact(dims.max(1)));
    pairs.map(|(w, c)| angle(w, c)).collect()
}

/// In double precision: near 0 a cosine in single precision knows no angle below a fiftieth of a degree.
fn angle(a: &[f32], b: &[f32]) -> f64 {
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum() };
    let norms = dot(a, a).sqrt().max(1e-12) * dot(b, b).sqrt().max(1e-12);
    (dot(a, b) / norms).clamp(-1.0, 1.0).acos().to_degrees()
}

/// Classes of like size, and how far their weights are off.
#[derive(Clone, Debug, PartialEq)]
pub struct SizeBin {
    /// Pictures of the smallest class.
    pub least: usize,
    /// Pictures of the largest class.
    pub most: usize,
    /// How many classes.
    pub classes: usize,
    /// Mean deviation in degrees.
    pub deviation: f64,
}

/// Mean deviations over `bins` groups of classes, as equal in number as can be, from the largest classes to the
/// smallest. `angles` and `counts` have an entry a class; fewer classes than bins make fewer groups.
pub fn by_size(angles: &[f64], counts: &[usize], bins: usize) -> Vec<SizeBin> {
    let mut order: Vec<usize> = (0..angles.len().min(counts.len())).collect();
    order.sort_by_key(|&class| std::cmp::Reverse(counts[class]));
    let n = order.len();
    let groups = (0..bins).map(|bin| &order[bin * n / bins..(bin + 1) * n / bins]);
    let bin = |group: &[usize]| SizeBin {
        least: group.iter().map(|&c| counts[c]).min().unwrap_or(0),
        most: group.iter().map(|&c| counts[c]).max().unwrap_or(0),
        classes: group.len(),
        deviation: group.iter().map(|&c| angles[c]).sum::<f64>() / group.len() as f64,
    };
    groups.filter(|group| !group.is_empty()).map(bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::tensor::from_values;

    #[test]
    fn angles_are_in_degrees_whatever_the_lengths() {
        let device = ocelli_nn::device("cpu").unwrap();
        let weights = from_values(vec![2.0, 0.0, 1.0, 1.0, 0.0, 0.0], [3, 2], &device);
        let centers = from_values(vec![0.0, 3.0, 5.0, 5.0, 1.0, 0.0], [3, 2], &device);
        let angles = deviation(weights, centers);
        let want = [90.0, 0.0, 90.0];
        assert!(angles.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5), "{angles:?}");
    }

    #[test]
    fn classes_are_grouped_from_large_to_small() {
        let bins = by_size(&[1.0, 2.0, 3.0, 4.0, 5.0], &[10, 50, 3, 20, 4], 2);
        let want = |least, most, classes, deviation| SizeBin { least, most, classes, deviation };
        assert_eq!(bins, [want(20, 50, 2, 3.0), want(3, 10, 3, 3.0)]);
        assert_eq!(by_size(&[1.0], &[2], 3).len(), 1);
        assert!(by_size(&[], &[], 3).is_empty());
    }
}
