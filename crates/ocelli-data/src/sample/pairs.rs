//! Verification pairs: which items to compare in order to measure a face recogniser.

use std::collections::BTreeSet;

use ocelli_method::random::{Generator, stream};
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::identity::by_identity;
use crate::error::DataError;

/// Two items to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationPair {
    /// The first item.
    pub left: usize,
    /// The second item.
    pub right: usize,
    /// Whether both are of one identity.
    pub same: bool,
    /// The fold of cross-validation, from 0.
    pub fold: usize,
}

/// Pairs, fold by fold; in a fold the genuine pairs come first, then as many impostor pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationPairs {
    /// The pairs.
    pub pairs: Vec<VerificationPair>,
    /// Number of folds.
    pub folds: usize,
    /// Whether no identity occurs in two folds.
    pub disjoint: bool,
}

/// How pairs are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PairOptions {
    /// Number of folds.
    pub folds: usize,
    /// At most so many genuine pairs an identity, chosen at random; 0 means all.
    pub most_per_identity: usize,
    /// Cut all folds to the smallest one, chosen at random, so that an evaluator that cuts the list into equal parts cuts
    /// it at the folds.
    pub equal_folds: bool,
    /// Chooses impostor pairs and deals identities to folds.
    pub seed: u64,
}

impl Default for PairOptions {
    /// All genuine pairs in 10 folds of equal length.
    fn default() -> Self {
        Self { folds: 10, most_per_identity: 0, equal_folds: true, seed: 0 }
    }
}

/// Makes all genuine pairs and the same number of impostor pairs, in balanced folds.
///
/// With at least two identities a fold, every identity is dealt to one fold, the one with the fewest genuine pairs so far,
/// and impostor pairs are drawn inside a fold. With fewer identities, genuine pairs are dealt in turn and impostor pairs
/// are drawn from all identities. No pair occurs twice. Where a fold has fewer impostor pairs than genuine ones, genuine
/// ones are left out at random.
#[derive(Clone, Debug)]
pub struct PairSampler {
    groups: Vec<Vec<usize>>,
    options: PairOptions,
}

type Pair = (usize, usize);

impl PairSampler {
    /// For items labelled by identity.
    ///
    /// # Errors
    /// [`DataError::Setting`] when there are no folds or fewer than two identities.
    pub fn new(labels: &[usize], options: PairOptions) -> Result<Self, DataError> {
        let groups = by_identity(labels);
        if options.folds == 0 {
            return Err(DataError::setting("folds", "at least one fold is needed"));
        }
        if groups.len() < 2 {
            let reason = format!("impostor pairs need two or more, found {}", groups.len());
            return Err(DataError::setting("identities", reason));
        }
        Ok(Self { groups, options })
    }

    /// The pairs.
    ///
    /// # Errors
    /// [`DataError::Setting`] when a fold would stay empty: too few identities with two or more items.
    pub fn pairs(&self) -> Result<VerificationPairs, DataError> {
        let rng = &mut stream(self.options.seed, "pairs", 0);
        let genuine: Vec<Vec<Pair>> = self.groups.iter().map(|g| self.genuine(g, rng)).collect();
        let disjoint = self.groups.len() >= 2 * self.options.folds;
        let mut folds = if disjoint { self.by_identity(genuine, rng) } else { self.by_pair(genuine, rng) };
        if let Some(empty) = folds.iter().position(|(genuine, _)| genuine.is_empty()) {
            let reason = format!(
                "fold {empty} of {} would have no pair; take fewer folds or more identities with two or more items",
                folds.len()
            );
            return Err(DataError::setting("folds", reason));
        }
        if self.options.equal_folds {
            let least = folds.iter().map(|(genuine, _)| genuine.len()).min().unwrap_or(0);
            for (genuine, impostor) in &mut folds {
                keep_some(genuine, least, rng);
                impostor.truncate(least);
            }
        }
        let mut pairs = Vec::new();
        for (fold, (genuine, impostor)) in folds.into_iter().enumerate() {
            let pair = |same| move |(left, right)| VerificationPair { left, right, same, fold };
            pairs.extend(genuine.into_iter().map(pair(true)));
            pairs.extend(impostor.into_iter().map(pair(false)));
        }
        Ok(VerificationPairs { pairs, folds: self.options.folds, disjoint })
    }

    fn genuine(&self, group: &[usize], rng: &mut Generator) -> Vec<Pair> {
        let pairs =
            group.iter().enumerate().flat_map(|(i, &left)| group[i + 1..].iter().map(move |&r| (left, r)));
        let mut pairs: Vec<Pair> = pairs.collect();
        if self.options.most_per_identity > 0 {
            keep_some(&mut pairs, self.options.most_per_identity, rng);
        }
        pairs
    }

    /// Genuine and impostor pairs of each fold, identities disjoint.
    fn by_identity(&self, genuine: Vec<Vec<Pair>>, rng: &mut Generator) -> Vec<(Vec<Pair>, Vec<Pair>)> {
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        order.shuffle(rng);
        // Large ones first, to the emptiest fold: the usual way to make sums alike.
        order.sort_by_key(|&identity| std::cmp::Reverse(genuine[identity].len()));
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); self.options.folds];
        let mut sums = vec![0; self.options.folds];
        for (rank, identity) in order.into_iter().enumerate() {
            // Every fold gets its two identities before any gets a third.
            let fewest = if rank < 2 * self.options.folds { Some(rank / self.options.folds) } else { None };
            let fold = (0..self.options.folds)
                .filter(|&fold| fewest.is_none_or(|count| members[fold].len() == count))
                .min_by_key(|&fold| {
                    // Identities of one item, which come last, are spread by number.
                    let sum = if genuine[identity].is_empty() { 0 } else { sums[fold] };
                    (sum, members[fold].len())
                })
                .unwrap_or(0);
            sums[fold] += genuine[identity].len();
            members[fold].push(identity);
        }
        members
            .into_iter()
            .map(|mut members| {
                members.sort_unstable();
                let mut own: Vec<Pair> = members.iter().flat_map(|&i| genuine[i].iter().copied()).collect();
                let groups: Vec<&[usize]> = members.iter().map(|&i| self.groups[i].as_slice()).collect();
                let impostor = impostors(&groups, own.len(), rng);
                keep_some(&mut own, impostor.len(), rng);
                (own, impostor)
            })
            .collect()
    }

    /// Genuine and impostor pairs of each fold, any identity in any fold.
    fn by_pair(&self, genuine: Vec<Vec<Pair>>, rng: &mut Generator) -> Vec<(Vec<Pair>, Vec<Pair>)> {
        let mut genuine: Vec<Pair> = genuine.concat();
        let groups: Vec<&[usize]> = self.groups.iter().map(Vec::as_slice).collect();
        let impostor = impostors(&groups, genuine.len(), rng);
        keep_some(&mut genuine, impostor.len(), rng);
        genuine.shuffle(rng);
        let deal = |pairs: &[Pair], fold: usize| -> Vec<Pair> {
            let mut part: Vec<Pair> = pairs.iter().skip(fold).step_by(self.options.folds).copied().collect();
            part.sort_unstable();
            part
        };
        (0..self.options.folds).map(|fold| (deal(&genuine, fold), deal(&impostor, fold))).collect()
    }
}

/// Cuts to a random choice of `count`, in the old order.
fn keep_some(pairs: &mut Vec<Pair>, count: usize, rng: &mut Generator) {
    if pairs.len() > count {
        let mut kept = rand::seq::index::sample(rng, pairs.len(), count).into_vec();
        kept.sort_unstable();
        *pairs = kept.into_iter().map(|index| pairs[index]).collect();
    }
}

/// Up to `count` different pairs across the groups, all equally likely, in random order.
fn impostors(groups: &[&[usize]], count: usize, rng: &mut Generator) -> Vec<Pair> {
    let items: Vec<(usize, usize)> =
        groups.iter().enumerate().flat_map(|(group, items)| items.iter().map(move |&i| (group, i))).collect();
    let pairs_of = |n: usize| n as u128 * n.saturating_sub(1) as u128 / 2;
    let possible = pairs_of(items.len()) - groups.iter().map(|g| pairs_of(g.len())).sum::<u128>();
    if possible <= 4 * count as u128 {
        let mut all = Vec::new();
        for (i, &(group, left)) in items.iter().enumerate() {
            let others = items[i + 1..].iter().filter(|(other, _)| *other != group);
            all.extend(others.map(|&(_, right)| (left.min(right), left.max(right))));
        }
        all.shuffle(rng);
        all.truncate(count);
        return all;
    }
    // At least three of four possible pairs stay free, but most pairs of items may be of one identity: draw the first
    // item by how many partners it has.
    let mut partners = Vec::with_capacity(items.len());
    let mut total = 0u64;
    for (group, _) in &items {
        total += (items.len() - groups[*group].len()) as u64;
        partners.push(total);
    }
    let mut seen = BTreeSet::new();
    let mut drawn = Vec::with_capacity(count);
    while drawn.len() < count {
        let drawn_partner = rng.random_range(0..total);
        let at = partners.partition_point(|&sum| sum <= drawn_partner);
        let (group, left) = items[at];
        // Items lie group by group: step over the own one.
        let start = items.partition_point(|(other, _)| *other < group);
        let own = groups[group].len();
        let other = rng.random_range(0..items.len() - own);
        let (_, right) = items[if other < start { other } else { other + own }];
        let pair = (left.min(right), left.max(right));
        if seen.insert(pair) {
            drawn.push(pair);
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn pairs(labels: &[usize], options: PairOptions) -> VerificationPairs {
        PairSampler::new(labels, options).unwrap().pairs().unwrap()
    }

    fn labels(identities: usize, each: usize) -> Vec<usize> {
        (0..identities * each).map(|i| i / each).collect()
    }

    #[test]
    fn forty_people_of_ten_pictures_make_ten_equal_disjoint_folds() {
        let labels = labels(40, 10);
        let made = pairs(&labels, PairOptions { equal_folds: false, ..PairOptions::default() });
        assert!(made.disjoint);
        assert_eq!(made.pairs.len(), 2 * 40 * 45, "all genuine pairs and as many impostors");
        assert_eq!(made, pairs(&labels, PairOptions::default()), "nothing is left to cut");
        for (fold, part) in made.pairs.chunks(360).enumerate() {
            assert!(part.iter().all(|p| p.fold == fold));
            assert!(part[..180].iter().all(|p| p.same) && part[180..].iter().all(|p| !p.same));
        }
        let other = pairs(&labels, PairOptions { seed: 1, ..PairOptions::default() });
        assert_ne!(made, other);
    }

    proptest! {
        #[test]
        fn pairs_are_right_distinct_and_balanced(
            labels in prop::collection::vec(0usize..30, 30..150), folds in 1usize..8, seed in any::<u64>(),
            equal_folds in any::<bool>(), most_per_identity in 0usize..8,
        ) {
            let options = PairOptions { folds, seed, equal_folds, most_per_identity };
            let Ok(made) = PairSampler::new(&labels, options.clone()).unwrap().pairs() else { return Ok(()) };
            let again = PairSampler::new(&labels, options).unwrap().pairs().unwrap();
            prop_assert_eq!(&made, &again);
            let mut seen = BTreeSet::new();
            let mut counts = vec![[0, 0]; folds];
            let mut home = BTreeMap::new();
            for pair in &made.pairs {
                prop_assert_eq!(pair.same, labels[pair.left] == labels[pair.right]);
                prop_assert!(pair.left != pair.right && seen.insert((pair.left.min(pair.right), pair.left.max(pair.right))));
                counts[pair.fold][usize::from(pair.same)] += 1;
                for item in [pair.left, pair.right] {
                    let fold = *home.entry(labels[item]).or_insert(pair.fold);
                    prop_assert!(!made.disjoint || fold == pair.fold);
                }
            }
            for count in &counts {
                prop_assert!(count[0] == count[1] && count[0] > 0);
                prop_assert!(!equal_folds || count == &counts[0]);
            }
        }
    }

    #[test]
    fn few_identities_share_the_folds() {
        let made = pairs(&labels(3, 8), PairOptions { folds: 4, ..PairOptions::default() });
        assert!(!made.disjoint);
        assert_eq!(made.pairs.len(), 2 * 3 * 28);
    }

    #[test]
    fn impostors_are_drawn_evenly_also_beside_a_large_identity() {
        let (large, small): (Vec<usize>, Vec<usize>) = ((0..200).collect(), (200..210).collect());
        let mut hits = vec![0; 210];
        for seed in 0..200 {
            let drawn = impostors(&[&large, &small], 100, &mut stream(seed, "pairs", 0));
            assert_eq!(drawn.len(), 100);
            for (left, right) in drawn {
                assert!(left < 200 && right >= 200);
                hits[right] += 1;
            }
        }
        // Each of the ten expects 2000, standard deviation 42.
        assert!(hits[200..].iter().all(|n| (1800..2200).contains(n)), "{:?}", &hits[200..]);
    }

    #[test]
    fn impossible_demands_are_errors() {
        assert!(PairSampler::new(&[0, 0, 0], PairOptions::default()).is_err());
        assert!(PairSampler::new(&[0, 1], PairOptions { folds: 0, ..PairOptions::default() }).is_err());
        let lonely = PairSampler::new(&labels(30, 1), PairOptions::default()).unwrap();
        assert!(lonely.pairs().unwrap_err().to_string().contains("fold 0 of 10 would have no pair"));
    }
}
