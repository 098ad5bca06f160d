//! Batches of `P` identities with `K` pictures each.

use ocelli_method::random::{Generator, stream};
use rand::RngExt;
use rand::seq::SliceRandom;

use super::Sampler;
use crate::error::DataError;

/// Orders an epoch so that every stretch of `P K` items shows `P` different identities, `K` items of each in a row
/// (the batches of metric learning; Hermans et al. 2017, section 2).
///
/// An epoch shows almost every item once. The items of an identity are shuffled and cut into groups of `K`; what is left
/// over is filled up by random items of the same identity (the same one again if it has no other). While `P` identities
/// still have groups, a batch takes one group of each of `P` random ones.
#[derive(Clone, Debug)]
pub struct IdentityBalancedSampler {
    /// Items by identity; identities without items left out.
    groups: Vec<Vec<usize>>,
    identities: usize,
    items: usize,
    seed: u64,
}

impl IdentityBalancedSampler {
    /// For items labelled by identity: batches of `identities` (P) with `items` (K) each.
    ///
    /// # Errors
    /// [`DataError::Setting`] when a number is 0 or there are fewer than P identities.
    pub fn new(labels: &[usize], identities: usize, items: usize, seed: u64) -> Result<Self, DataError> {
        let groups = by_identity(labels);
        if items == 0 || identities == 0 {
            return Err(DataError::setting(
                "identities",
                "at least one identity and one item each are needed",
            ));
        }
        if groups.len() < identities {
            let reason = format!("{identities} a batch are asked of a data set of {}", groups.len());
            return Err(DataError::setting("identities", reason));
        }
        Ok(Self { groups, identities, items, seed })
    }

    /// Number of items of a batch, `P K`.
    pub fn batch_size(&self) -> usize {
        self.identities * self.items
    }

    /// The shuffled items of an identity in stretches of `K`.
    fn stretches(&self, group: &[usize], rng: &mut Generator) -> Vec<Vec<usize>> {
        let mut shuffled = group.to_owned();
        shuffled.shuffle(rng);
        let mut stretches: Vec<Vec<usize>> = shuffled.chunks(self.items).map(<[usize]>::to_vec).collect();
        if let Some(last) = stretches.last_mut() {
            // Others of the identity first, none twice as long as there are any.
            let mut others: Vec<usize> = shuffled[..shuffled.len() - last.len()].to_vec();
            others.shuffle(rng);
            others.truncate(self.items - last.len());
            last.append(&mut others);
            while last.len() < self.items {
                last.push(group[rng.random_range(0..group.len())]);
            }
        }
        stretches
    }
}

impl Sampler for IdentityBalancedSampler {
    fn order(&self, epoch: u64) -> Vec<usize> {
        let rng = &mut stream(self.seed, "sample", epoch);
        let mut left: Vec<Vec<Vec<usize>>> = self.groups.iter().map(|g| self.stretches(g, rng)).collect();
        let mut available: Vec<usize> = (0..left.len()).collect();
        let mut order = Vec::new();
        while available.len() >= self.identities {
            let (chosen, _) = available.partial_shuffle(rng, self.identities);
            for &identity in chosen.iter() {
                order.extend(left[identity].pop().unwrap_or_default());
            }
            available.retain(|&identity| !left[identity].is_empty());
        }
        order
    }
}

/// Item numbers by label, by rising label; labels without items left out.
pub(super) fn by_identity(labels: &[usize]) -> Vec<Vec<usize>> {
    let mut groups = std::collections::BTreeMap::<usize, Vec<usize>>::new();
    for (index, &label) in labels.iter().enumerate() {
        groups.entry(label).or_default().push(index);
    }
    groups.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn every_batch_is_balanced(
            labels in prop::collection::vec(0usize..12, 40..120), p in 1usize..6, k in 1usize..6, seed in any::<u64>(),
        ) {
            let sampler = IdentityBalancedSampler::new(&labels, p, k, seed).unwrap();
            let order = sampler.order(2);
            prop_assert_eq!(&order, &sampler.order(2));
            prop_assert!(!order.is_empty());
            prop_assert_eq!(order.len() % sampler.batch_size(), 0);
            let size = |label| labels.iter().filter(|l| **l == label).count();
            for batch in order.chunks(sampler.batch_size()) {
                let mut seen = BTreeSet::new();
                for group in batch.chunks(k) {
                    let label = labels[group[0]];
                    prop_assert!(group.iter().all(|i| labels[*i] == label));
                    prop_assert!(seen.insert(label), "an identity comes once");
                    let distinct: BTreeSet<_> = group.iter().collect();
                    prop_assert_eq!(distinct.len(), k.min(size(label)), "no item twice without need");
                }
            }
        }
    }

    #[test]
    fn an_even_data_set_is_shown_whole() {
        let labels: Vec<usize> = (0..96).map(|i| i / 8).collect();
        let sampler = IdentityBalancedSampler::new(&labels, 4, 4, 1).unwrap();
        let mut order = sampler.order(0);
        assert_ne!(order, sampler.order(1));
        order.sort_unstable();
        order.dedup();
        // A few groups may find too few partners at the end.
        assert!(order.len() >= 96 - 12, "{}", order.len());
    }

    #[test]
    fn impossible_batches_are_errors() {
        let message = IdentityBalancedSampler::new(&[0, 0, 7], 3, 2, 0).unwrap_err().to_string();
        assert_eq!(message, "identities: 3 a batch are asked of a data set of 2");
        assert!(IdentityBalancedSampler::new(&[0], 1, 0, 0).is_err());
        assert!(IdentityBalancedSampler::new(&[], 1, 1, 0).is_err());
    }
}
