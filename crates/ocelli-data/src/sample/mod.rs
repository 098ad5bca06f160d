//! In what order items come: samplers, each a pure function of its settings, the seed and the epoch.

mod identity;
mod pairs;

use ocelli_method::random::stream;
use rand::seq::SliceRandom;

use crate::error::DataError;

pub use identity::IdentityBalancedSampler;
pub use pairs::{PairOptions, PairSampler, VerificationPair, VerificationPairs};

/// The order of an epoch.
pub trait Sampler: Send + Sync {
    /// Item numbers in the order of epoch `epoch` (from 0).
    fn order(&self, epoch: u64) -> Vec<usize>;
}

/// Every item once, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequentialSampler {
    len: usize,
}

impl SequentialSampler {
    /// For `len` items.
    pub fn new(len: usize) -> Self {
        Self { len }
    }
}

impl Sampler for SequentialSampler {
    fn order(&self, _: u64) -> Vec<usize> {
        (0..self.len).collect()
    }
}

/// Every item once, in an order drawn anew each epoch; all orders are equally likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomSampler {
    len: usize,
    seed: u64,
}

impl RandomSampler {
    /// For `len` items.
    pub fn new(len: usize, seed: u64) -> Self {
        Self { len, seed }
    }
}

impl Sampler for RandomSampler {
    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len).collect();
        order.shuffle(&mut stream(self.seed, "sample", epoch));
        order
    }
}

/// The part of an epoch that process `rank` of `world` handles: every `world`-th item. The order is first continued from
/// its beginning until all parts are of one length.
///
/// # Errors
/// [`DataError::Setting`] when `rank` is not below `world`.
pub fn shard(order: &[usize], rank: usize, world: usize) -> Result<Vec<usize>, DataError> {
    if rank >= world {
        return Err(DataError::setting(
            "rank",
            format!("must be below the number of processes, {rank} of {world}"),
        ));
    }
    let each = order.len().div_ceil(world);
    Ok(order.iter().cycle().skip(rank).step_by(world).take(each).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn epochs_differ_and_repeat() {
        let sampler = RandomSampler::new(50, 3);
        assert_eq!(sampler.order(4), RandomSampler::new(50, 3).order(4));
        assert_ne!(sampler.order(4), sampler.order(5));
        assert_ne!(sampler.order(4), RandomSampler::new(50, 4).order(4));
        assert_eq!(SequentialSampler::new(3).order(9), [0, 1, 2]);
    }

    #[test]
    fn every_item_comes_first_equally_often() {
        let mut first = [0; 5];
        for epoch in 0..5000 {
            first[RandomSampler::new(5, 1).order(epoch)[0]] += 1;
        }
        // Binomial: mean 1000, standard deviation 28.
        assert!(first.iter().all(|n| (860..1140).contains(n)), "{first:?}");
    }

    proptest! {
        #[test]
        fn a_random_order_is_a_permutation(len in 0usize..200, seed in any::<u64>(), epoch in any::<u64>()) {
            let mut order = RandomSampler::new(len, seed).order(epoch);
            order.sort_unstable();
            prop_assert_eq!(order, (0..len).collect::<Vec<_>>());
        }

        #[test]
        fn shards_are_equal_and_cover_all(len in 0usize..60, world in 1usize..9) {
            let order: Vec<usize> = (0..len).map(|i| 2 * i).collect();
            let shards: Vec<_> = (0..world).map(|rank| shard(&order, rank, world).unwrap()).collect();
            prop_assert!(shards.iter().all(|s| s.len() == len.div_ceil(world)));
            let mut all = shards.concat();
            all.sort_unstable();
            all.dedup();
            prop_assert_eq!(all, order);
        }
    }

    #[test]
    fn impossible_ranks_are_errors() {
        assert!(shard(&[1], 2, 2).is_err());
        assert!(shard(&[1], 0, 0).is_err());
    }
}
