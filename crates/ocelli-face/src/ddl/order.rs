//! The order of training with branches: lists of different people, and lists of pairs.

use ocelli_data::DataError;
use ocelli_data::sample::{IdentityBalancedSampler, Sampler};
use thiserror::Error;

/// Why branches cannot be ordered.
#[derive(Debug, Error)]
pub enum BranchError {
    /// A branch has too few people for a batch.
    #[error("branch {branch} has {found} people with {pictures} or more pictures, a step wants {wanted}")]
    TooFew {
        /// The branch, from 0.
        branch: usize,
        /// Pictures that a person must have for the list.
        pictures: usize,
        /// People who do.
        found: usize,
        /// People a step.
        wanted: usize,
    },
    /// The people cannot be sampled.
    #[error(transparent)]
    Sampler(#[from] DataError),
}

/// The pictures of an epoch, step after step: of every branch the pictures of `people` different people, then of every
/// branch the first pictures of as many pairs, then their second ones.
///
/// An epoch is as long as the longest list; shorter lists start anew.
#[derive(Debug)]
pub struct BranchOrder {
    branches: Vec<[List; 2]>,
    people: usize,
    steps: usize,
}

/// One list: some of the pictures, `each` of a person in a row.
#[derive(Debug)]
struct List {
    pictures: Vec<usize>,
    sampler: IdentityBalancedSampler,
    batch: usize,
}

impl BranchOrder {
    /// For pictures with these `labels`, each of the branch in `branch_of`, which counts from 0; `people` a list and step.
    ///
    /// # Errors
    /// [`BranchError`] when a branch has too few people, or too few with two pictures.
    pub fn new(labels: &[usize], branch_of: &[usize], people: usize, seed: u64) -> Result<Self, BranchError> {
        let count = branch_of.iter().max().map_or(1, |&last| last + 1);
        let list = |branch: usize, each: usize| {
            let own: Vec<usize> = (0..labels.len()).filter(|&i| branch_of[i] == branch).collect();
            List::new(labels, own, branch, [people, each], seed)
        };
        let branches: Vec<[List; 2]> =
            (0..count).map(|k| Ok([list(k, 1)?, list(k, 2)?])).collect::<Result<_, BranchError>>()?;
        let steps = branches.iter().flatten().map(|list| list.pictures.len() / list.batch).max();
        Ok(Self { branches, people, steps: steps.unwrap_or(0).max(1) })
    }

    /// Number of branches.
    pub fn branches(&self) -> usize {
        self.branches.len()
    }

    /// Pictures a step: three lists a branch.
    pub fn pictures_per_step(&self) -> usize {
        3 * self.branches.len() * self.people
    }

    /// Steps of every epoch.
    pub fn steps(&self) -> usize {
        self.steps
    }
}

impl Sampler for BranchOrder {
    fn order(&self, epoch: u64) -> Vec<usize> {
        let lists: Vec<[Vec<usize>; 2]> = self
            .branches
            .iter()
            .map(|lists| lists.each_ref().map(|list| list.draw(epoch, self.steps)))
            .collect();
        let mut order = Vec::with_capacity(self.steps * self.pictures_per_step());
        for step in 0..self.steps {
            let part = |list: &[usize], each: usize| {
                list[step * each * self.people..(step + 1) * each * self.people].to_vec()
            };
            lists.iter().for_each(|[different, _]| order.extend(part(different, 1)));
            for which in 0..2 {
                lists.iter().for_each(|[_, pairs]| {
                    order.extend(part(pairs, 2).iter().skip(which).step_by(2));
                });
            }
        }
        order
    }
}

impl List {
    /// Of those pictures in `own` whose people have `each` or more there, `people` a batch.
    fn new(
        labels: &[usize],
        own: Vec<usize>,
        branch: usize,
        [people, each]: [usize; 2],
        seed: u64,
    ) -> Result<Self, BranchError> {
        let mut counts = vec![0usize; labels.iter().max().map_or(0, |&last| last + 1)];
        own.iter().for_each(|&i| counts[labels[i]] += 1);
        let found = counts.iter().filter(|&&count| count >= each).count();
        if found < people || people == 0 {
            return Err(BranchError::TooFew { branch, pictures: each, found, wanted: people });
        }
        let pictures: Vec<usize> = own.into_iter().filter(|&i| counts[labels[i]] >= each).collect();
        let labels: Vec<usize> = pictures.iter().map(|&i| labels[i]).collect();
        // Lists draw apart from each other.
        let seed = seed ^ ((2 * branch + each) as u64).rotate_right(8);
        let sampler = IdentityBalancedSampler::new(&labels, people, each, seed)?;
        Ok(Self { pictures, sampler, batch: people * each })
    }

    /// The pictures of so many steps.
    fn draw(&self, epoch: u64, steps: usize) -> Vec<usize> {
        let mut drawn = Vec::with_capacity(steps * self.batch);
        let mut round = 0;
        while drawn.len() < steps * self.batch {
            let order = self.sampler.order(epoch << 20 | round);
            drawn.extend(order.iter().map(|&i| self.pictures[i]));
            round += 1;
        }
        drawn.truncate(steps * self.batch);
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Ten people; of each, four pictures of branch 0 and two of branch 1, but the last has one of branch 1.
    fn pictures() -> (Vec<usize>, Vec<usize>) {
        let labels: Vec<usize> = (0..59).map(|i| i / 6).collect();
        let branches = (0..59).map(|i| usize::from(i % 6 >= 4)).collect();
        (labels, branches)
    }

    #[test]
    fn steps_have_different_people_and_pairs_of_each_branch() {
        let (labels, branch_of) = pictures();
        let order = BranchOrder::new(&labels, &branch_of, 4, 3).unwrap();
        assert_eq!((order.branches(), order.pictures_per_step(), order.steps()), (2, 24, 10));
        for epoch in 0..3 {
            let pictures = order.order(epoch);
            assert_eq!(pictures.len(), 24 * 10);
            for step in pictures.chunks(24) {
                let lists: Vec<&[usize]> = step.chunks(4).collect();
                for (k, list) in lists.iter().enumerate() {
                    assert!(list.iter().all(|&i| branch_of[i] == k % 2));
                    assert_eq!(list.iter().map(|&i| labels[i]).collect::<HashSet<_>>().len(), 4);
                }
                for k in 0..2 {
                    let pairs = lists[2 + k].iter().zip(lists[4 + k]);
                    assert!(pairs.into_iter().all(|(&a, &b)| a != b && labels[a] == labels[b]));
                }
            }
            assert_eq!(pictures, order.order(epoch));
            assert_ne!(pictures, order.order(epoch + 1));
        }
    }

    #[test]
    fn too_few_people_are_counted() {
        let (labels, branch_of) = pictures();
        let error = |people| BranchOrder::new(&labels, &branch_of, people, 3).unwrap_err().to_string();
        assert_eq!(error(11), "branch 0 has 10 people with 1 or more pictures, a step wants 11");
        assert_eq!(error(10), "branch 1 has 9 people with 2 or more pictures, a step wants 10");
        assert!(BranchOrder::new(&labels, &branch_of, 9, 3).is_ok());
        assert!(BranchOrder::new(&[], &[], 1, 3).is_err());
    }
}
