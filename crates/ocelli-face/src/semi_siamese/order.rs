//! The order of shallow training: two pictures of each identity, and nobody meets himself in the queue.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use ocelli_data::sample::Sampler;
use ocelli_method::random::{Generator, stream};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How an epoch spares the identities that the epoch before left in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpochOrder {
    /// They have to wait until the queue is written over (first release).
    #[default]
    Defer,
    /// They are left out of the epoch (full release).
    LeaveOut,
}

/// Why identities cannot be ordered.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OrderError {
    /// The batch does not go into the queue a whole number of times.
    #[error("{queue} is no multiple of the {batch} identities of a batch")]
    Batch {
        /// Identities a batch.
        batch: usize,
        /// Columns of the queue.
        queue: usize,
    },
    /// Not enough identities stay outside of the queue.
    #[error(
        "{queue} wants at least {wanted} identities with this order of epochs and batch, there are {found}"
    )]
    TooFew {
        /// Columns of the queue.
        queue: usize,
        /// Identities needed.
        wanted: usize,
        /// Identities there are.
        found: usize,
    },
    /// An identity with a single picture makes no pair.
    #[error("identity {identity} has {found} picture of the two that make a pair")]
    Single {
        /// The identity.
        identity: usize,
        /// Its pictures.
        found: usize,
    },
}

/// The pictures of an epoch, batch after batch: the first pictures of `batch` pairs, then their second ones.
///
/// A pure function of its settings and the epoch; what the queue will hold follows from the epochs before.
#[derive(Debug)]
pub struct ShallowOrder {
    pictures: Vec<Vec<usize>>,
    batch: usize,
    queue: usize,
    order: EpochOrder,
    seed: u64,
    /// What the queue holds after so many epochs, oldest first: kept so that epochs in turn need no recollection.
    after: Mutex<(u64, Vec<usize>)>,
}

impl ShallowOrder {
    /// For pictures with these `labels` (identities from 0), `batch` identities a step and a queue of `queue` columns.
    /// With `single_twice` an identity's only picture makes a pair with itself, as in the releases.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn new(
        labels: &[usize],
        (batch, queue): (usize, usize),
        order: EpochOrder,
        single_twice: bool,
        seed: u64,
    ) -> Result<Self, OrderError> {
        if batch == 0 || queue == 0 || !queue.is_multiple_of(batch) {
            return Err(OrderError::Batch { batch, queue });
        }
        let found = labels.iter().max().map_or(0, |&last| last + 1);
        let wanted = match order {
            EpochOrder::Defer => 2 * queue,
            EpochOrder::LeaveOut => queue + batch,
        };
        if found < wanted {
            return Err(OrderError::TooFew { queue, wanted, found });
        }
        let mut pictures = vec![Vec::new(); found];
        labels.iter().enumerate().for_each(|(picture, &label)| pictures[label].push(picture));
        let least = if single_twice { 1 } else { 2 };
        if let Some(identity) = pictures.iter().position(|own| own.len() < least) {
            return Err(OrderError::Single { identity, found: pictures[identity].len() });
        }
        Ok(Self { pictures, batch, queue, order, seed, after: Mutex::default() })
    }

    /// Steps of every epoch.
    pub fn steps(&self) -> usize {
        let spared = match self.order {
            EpochOrder::Defer => 0,
            EpochOrder::LeaveOut => self.queue,
        };
        (self.pictures.len() - spared) / self.batch
    }

    /// The identities of an epoch in their order, a whole number of batches.
    pub fn identities(&self, epoch: u64) -> Vec<usize> {
        let mut after = self.after.lock().unwrap_or_else(PoisonError::into_inner);
        if after.0 > epoch {
            *after = (0, Vec::new());
        }
        while after.0 < epoch {
            let order = self.draw(after.0, &after.1);
            after.1.extend(order);
            let written_over = after.1.len().saturating_sub(self.queue);
            after.1.drain(..written_over);
            after.0 += 1;
        }
        self.draw(epoch, &after.1)
    }

    /// The order of an epoch that finds these identities in the queue.
    fn draw(&self, epoch: u64, queued: &[usize]) -> Vec<usize> {
        let mut generator = stream(self.seed, "shallow order", epoch);
        let waiting: HashSet<usize> = queued.iter().copied().collect();
        let mut order: Vec<usize> = (0..self.pictures.len()).filter(|id| !waiting.contains(id)).collect();
        order.shuffle(&mut generator);
        if self.order == EpochOrder::Defer {
            // As many as the queue holds come from outside of it; by then it is written over.
            order.extend(queued);
            order[self.queue..].shuffle(&mut generator);
        }
        order.truncate(self.steps() * self.batch);
        order
    }

    /// Two pictures of an identity in random order; its only one twice.
    fn pair(&self, identity: usize, generator: &mut Generator) -> (usize, usize) {
        match self.pictures[identity].as_slice() {
            [only] => (*only, *only),
            several => {
                let mut drawn = several.to_vec();
                let (pair, _) = drawn.partial_shuffle(generator, 2);
                (pair[0], pair[1])
            }
        }
    }
}

impl Sampler for ShallowOrder {
    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut generator = stream(self.seed, "shallow pairs", epoch);
        let mut pictures = Vec::with_capacity(2 * self.steps() * self.batch);
        for batch in self.identities(epoch).chunks_exact(self.batch) {
            let pairs = batch.iter().map(|&identity| self.pair(identity, &mut generator));
            let (first, second): (Vec<_>, Vec<_>) = pairs.unzip();
            pictures.extend(first);
            pictures.extend(second);
        }
        pictures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `people` identities of `each` pictures.
    fn labels(people: usize, each: usize) -> Vec<usize> {
        (0..people * each).map(|i| i / each).collect()
    }

    proptest! {
        #[test]
        fn nobody_meets_himself(batch in 1..5usize, times in 1..5usize, more in 0..20usize, leave: bool, seed: u64) {
            let queue = batch * times;
            let order = if leave { EpochOrder::LeaveOut } else { EpochOrder::Defer };
            let sizes = (batch, queue);
            let order = ShallowOrder::new(&labels(2 * queue + more, 3), sizes, order, false, seed).unwrap();
            let mut held = Vec::new();
            for epoch in 0..4 {
                let pictures = order.order(epoch);
                prop_assert_eq!(pictures.len(), 2 * batch * order.steps());
                for step in pictures.chunks(2 * batch) {
                    let (first, second) = step.split_at(batch);
                    let people: Vec<usize> = first.iter().map(|p| p / 3).collect();
                    prop_assert!(first.iter().zip(second).all(|(a, b)| a != b && a / 3 == b / 3));
                    // The columns of the batch itself are replaced; all others must be of other people.
                    let start = (held.len() + batch).saturating_sub(queue);
                    prop_assert!(held[start..].iter().all(|id| !people.contains(id)));
                    held.drain(..start);
                    held.extend(people);
                }
            }
        }
    }

    #[test]
    fn an_epoch_is_the_same_whenever_it_is_asked_for() {
        let order =
            |seed| ShallowOrder::new(&labels(40, 2), (4, 16), EpochOrder::Defer, false, seed).unwrap();
        let (one, other) = (order(1), order(1));
        let third = one.order(3);
        (0..3).for_each(|epoch| drop(other.order(epoch)));
        assert_eq!(third, other.order(3));
        assert_eq!(one.order(0), other.order(0), "back again");
        assert_ne!(third, one.order(2));
        assert_ne!(third, order(2).order(3));
    }

    #[test]
    fn deferring_shows_everybody_and_leaving_out_does_not() {
        let count = |order: EpochOrder| {
            let order = ShallowOrder::new(&labels(32, 2), (4, 16), order, false, 0).unwrap();
            [0, 1].map(|epoch| order.identities(epoch).into_iter().collect::<HashSet<_>>().len())
        };
        assert_eq!(count(EpochOrder::Defer), [32, 32]);
        assert_eq!(count(EpochOrder::LeaveOut), [16, 16]);
    }

    #[test]
    fn what_cannot_be_ordered_is_said() {
        let new = |labels: &[usize], batch, queue, order| {
            ShallowOrder::new(labels, (batch, queue), order, false, 0).unwrap_err()
        };
        let defer = EpochOrder::Defer;
        assert_eq!(new(&labels(9, 2), 4, 10, defer), OrderError::Batch { batch: 4, queue: 10 });
        assert_eq!(new(&labels(9, 2), 0, 10, defer), OrderError::Batch { batch: 0, queue: 10 });
        let few = OrderError::TooFew { queue: 8, wanted: 16, found: 15 };
        assert_eq!(new(&labels(15, 2), 4, 8, defer), few);
        let few = OrderError::TooFew { queue: 8, wanted: 12, found: 11 };
        assert_eq!(new(&labels(11, 2), 4, 8, EpochOrder::LeaveOut), few);
        let mut lonely = labels(16, 2);
        lonely.retain(|&label| label != 5);
        lonely.push(5);
        let single = OrderError::Single { identity: 5, found: 1 };
        assert_eq!(new(&lonely, 4, 8, defer), single);
        let twice = ShallowOrder::new(&lonely, (4, 8), defer, true, 0).unwrap();
        let only = lonely.len() - 1;
        assert_eq!(twice.order(0).iter().filter(|&&picture| picture == only).count(), 2);
    }
}
