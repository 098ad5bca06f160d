//! How parameters start.

use ocelli_method::random::Generator;
use rand::RngExt;

/// A rule for initial values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All the same.
    Constant(f32),
    /// Normal around 0.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Uniform from `-bound` to `bound`.
    Uniform {
        /// Largest magnitude.
        bound: f64,
    },
    /// Normal with variance 2 / fan-out (He et al. 2015), for ReLU networks.
    KaimingNormalFanOut,
    /// Normal with variance 2 / fan-in.
    KaimingNormalFanIn,
    /// Uniform with bound 1 / sqrt(fan-in): what PyTorch gives convolutions and linear layers.
    FanInUniform,
    /// Uniform with bound sqrt(6 / (fan-in + fan-out)) (Glorot and Bengio 2010).
    XavierUniform,
}

impl Init {
    /// Draws the values of a parameter of `shape`, row-major.
    ///
    /// Fan-in is the product of all dimensions but the first, fan-out the first times the dimensions after the second.
    pub fn draw(self, shape: &[usize], generator: &mut Generator) -> Vec<f32> {
        let n: usize = shape.iter().product();
        let receptive: usize = shape.iter().skip(2).product();
        let fan_in = (shape.iter().skip(1).product::<usize>()).max(1) as f64;
        let fan_out = (shape.first().copied().unwrap_or(1) * receptive).max(1) as f64;
        match self {
            Self::Zeros => vec![0.0; n],
            Self::Ones => vec![1.0; n],
            Self::Constant(value) => vec![value; n],
            Self::Normal { std } => normal(n, std, generator),
            Self::Uniform { bound } => uniform(n, bound, generator),
            Self::KaimingNormalFanOut => normal(n, (2.0 / fan_out).sqrt(), generator),
            Self::KaimingNormalFanIn => normal(n, (2.0 / fan_in).sqrt(), generator),
            Self::FanInUniform => uniform(n, fan_in.sqrt().recip(), generator),
            Self::XavierUniform => uniform(n, (6.0 / (fan_in + fan_out)).sqrt(), generator),
        }
    }
}

fn uniform(n: usize, bound: f64, generator: &mut Generator) -> Vec<f32> {
    (0..n).map(|_| ((2.0 * generator.random::<f64>() - 1.0) * bound) as f32).collect()
}

/// Normal values by the Box-Muller transform, in pairs.
pub fn normal(n: usize, std: f64, generator: &mut Generator) -> Vec<f32> {
    let mut values = Vec::with_capacity(n + 1);
    while values.len() < n {
        // 1 - u lies in (0, 1], where the logarithm is finite.
        let radius = std * (-2.0 * (1.0 - generator.random::<f64>()).ln()).sqrt();
        let angle = std::f64::consts::TAU * generator.random::<f64>();
        values.push((radius * angle.cos()) as f32);
        values.push((radius * angle.sin()) as f32);
    }
    values.truncate(n);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_method::random::stream;

    fn moments(values: &[f32]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        (mean, variance)
    }

    #[test]
    fn variances_follow_the_fans() {
        let mut g = stream(0, "init", 0);
        let shape = [64, 32, 3, 3];
        for (init, want) in [
            (Init::KaimingNormalFanOut, 2.0 / (64.0 * 9.0)),
            (Init::KaimingNormalFanIn, 2.0 / (32.0 * 9.0)),
            (Init::FanInUniform, 1.0 / (3.0 * 32.0 * 9.0)),
            (Init::XavierUniform, 2.0 / (9.0 * (64.0 + 32.0))),
        ] {
            let (mean, variance) = moments(&init.draw(&shape, &mut g));
            assert!(mean.abs() < 0.1 * f64::sqrt(want), "{init:?}: mean {mean}");
            assert!((variance / want - 1.0).abs() < 0.05, "{init:?}: {variance} against {want}");
        }
    }
}
