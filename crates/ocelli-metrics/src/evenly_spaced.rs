//! Candidate thresholds at equal steps over the range of the scores, and the pairs accepted at each.

/// `count` thresholds `min + k (max - min) / count`, k = 1 … count, so that the last one is the largest score.
#[derive(Clone, Debug)]
pub(crate) struct EvenlySpaced {
    /// The thresholds, rising (all equal when the scores are).
    pub(crate) thresholds: Vec<f64>,
    unit: f64,
}

impl EvenlySpaced {
    /// Over the range of `scores`, which holds at least one value.
    pub(crate) fn over(scores: impl Iterator<Item = f64>, count: usize) -> Self {
        let (min, max) = scores.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), s| (a.min(s), b.max(s)));
        let unit = (max - min) / count as f64;
        Self { thresholds: (1..=count).map(|k| min + unit * k as f64).collect(), unit }
    }

    /// Pairs (score, same) with scores above each threshold.
    pub(crate) fn accepted_above(&self, pairs: impl Iterator<Item = (f64, bool)>) -> Accepted {
        let passed = |score| self.thresholds.partition_point(|&t| t < score);
        Accepted::count(pairs.map(|(score, same)| (passed(score), same)), self.thresholds.len())
    }

    /// Pairs (score, same) in the bin around each threshold and in the bins after it.
    pub(crate) fn accepted_in_bins(&self, pairs: impl Iterator<Item = (f64, bool)>) -> Accepted {
        let edges = self.bin_edges();
        let passed = |score| edges.partition_point(|&e| e <= score);
        Accepted::count(pairs.map(|(score, same)| (passed(score), same)), edges.len())
    }

    /// The lower edges of bins centred on the thresholds, but for the evaluator's nudge of 2e-6.
    pub(crate) fn bin_edges(&self) -> Vec<f64> {
        self.thresholds.iter().map(|t| t - self.unit / 2.0 + 2e-6).collect()
    }
}

/// How many pairs of the same person and of different people are accepted at each of a row of candidate thresholds.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) genuine: Vec<usize>,
    pub(crate) impostor: Vec<usize>,
    pub(crate) genuine_total: usize,
    pub(crate) impostor_total: usize,
}

impl Accepted {
    /// Counts pairs, each accepted at the first `accepted_at` of the `candidates`.
    pub(crate) fn count(pairs: impl Iterator<Item = (usize, bool)>, candidates: usize) -> Self {
        let mut last = [vec![0; candidates + 1], vec![0; candidates + 1]];
        for (accepted_at, same) in pairs {
            last[usize::from(same)][accepted_at] += 1;
        }
        let [impostor, genuine] = last.map(|counts| {
            let total = counts.iter().sum();
            let mut left = total;
            let accepted = counts[..candidates].iter().map(|c| {
                left -= c;
                left
            });
            (accepted.collect(), total)
        });
        Self {
            genuine: genuine.0,
            impostor: impostor.0,
            genuine_total: genuine.1,
            impostor_total: impostor.1,
        }
    }

    /// Share of the pairs of the same person accepted at candidate `i`.
    pub(crate) fn true_accept_rate(&self, i: usize) -> f64 {
        self.genuine[i] as f64 / self.genuine_total as f64
    }

    /// Share of the pairs of different people accepted at candidate `i`.
    pub(crate) fn false_accept_rate(&self, i: usize) -> f64 {
        self.impostor[i] as f64 / self.impostor_total as f64
    }
}

/// Index of the first of the largest values, of at least one.
pub(crate) fn first_maximum<T: PartialOrd>(values: impl Iterator<Item = T>) -> usize {
    let mut best: Option<(usize, T)> = None;
    for (i, value) in values.enumerate() {
        if best.as_ref().is_none_or(|(_, b)| value > *b) {
            best = Some((i, value));
        }
    }
    best.map_or(0, |(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_span_the_range_and_leave_the_least_out() {
        let even = EvenlySpaced::over([3.0, 1.0, 2.0].into_iter(), 4);
        assert_eq!(even.thresholds, [1.5, 2.0, 2.5, 3.0]);
        assert_eq!(even.bin_edges()[0], 1.25 + 2e-6);
    }

    #[test]
    fn counts_are_those_of_a_loop() {
        let pairs = [(0, true), (2, true), (3, false), (1, false), (3, true)];
        let accepted = Accepted::count(pairs.into_iter(), 3);
        assert_eq!(accepted.genuine, [2, 2, 1]);
        assert_eq!(accepted.impostor, [2, 1, 1]);
        assert_eq!((accepted.genuine_total, accepted.impostor_total), (3, 2));
        assert_eq!(accepted.true_accept_rate(2), 1.0 / 3.0);
        assert_eq!(accepted.false_accept_rate(1), 0.5);
    }

    #[test]
    fn the_first_of_equal_maxima() {
        assert_eq!(first_maximum([1, 3, 3, 2].into_iter()), 1);
    }
}
