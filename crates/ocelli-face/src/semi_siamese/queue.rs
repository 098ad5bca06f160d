//! The queue of prototypes: gallery features of the identities seen last, written round and round.

use std::collections::BTreeSet;

use burn::tensor::Tensor;
use ocelli_nn::ops::normalize_columns;
use ocelli_nn::tensor::{from_values, scalar, values};
use ocelli_nn::{Init, Param, Path};
use thiserror::Error;

/// `K` unit columns of length `D`, the identity each belongs to, and where the next batch is written.
///
/// All of it lives in a store, so a checkpoint keeps it. What is not yet written holds random unit columns, which act
/// as random negatives.
#[derive(Clone, Debug)]
pub struct Queue {
    columns: Param,
    index: Param,
    identities: Param,
}

/// Why features cannot be written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum QueueError {
    /// The batch does not go into the queue a whole number of times.
    #[error(
        "{batch} identities a batch do not divide a queue of {size}: the last would run over its end; \
         choose a queue that is a multiple of the batch"
    )]
    Batch {
        /// Identities a batch.
        batch: usize,
        /// Columns of the queue.
        size: usize,
    },
    /// There is no such column.
    #[error("the queue has {size} columns, none numbered {index}")]
    Index {
        /// The column asked for.
        index: usize,
        /// Columns of the queue.
        size: usize,
    },
    /// Features are not of the queue's length, or not as many as identities.
    #[error("features of shape {found:?} for {identities} identities and a queue of {length}-d columns")]
    Features {
        /// Shape of the features.
        found: [usize; 2],
        /// Identities given.
        identities: usize,
        /// Length of a column.
        length: usize,
    },
    /// An identity beyond what single precision counts exactly, or below 0.
    #[error("identity {0} is outside 0 to {MOST_IDENTITIES}")]
    Identity(i64),
}

/// Identities are kept among single-precision buffers, which count exactly up to here.
const MOST_IDENTITIES: i64 = 1 << 24;

/// The identity of a column that was never written.
pub const NEVER_WRITTEN: i64 = -1;

impl Queue {
    /// A queue of `size` random unit columns of length `embedding` at `path`: `queue [D, K]`, `index`, `slot_ids [K]`.
    pub fn new(path: &Path, embedding: usize, size: usize) -> Self {
        let columns = path.buffer("queue", &[embedding, size], Init::Normal { std: 1.0 });
        columns.set(normalize_columns(columns.value()));
        Self {
            columns,
            index: path.counter("index"),
            identities: path.buffer("slot_ids", &[size], Init::Constant(NEVER_WRITTEN as f32)),
        }
    }

    /// Length `D` of a column and number `K` of columns.
    pub fn dims(&self) -> [usize; 2] {
        self.columns.value::<2>().dims()
    }

    /// The columns, `[D, K]`.
    pub fn columns(&self) -> Tensor<2> {
        self.columns.value()
    }

    /// Where the next batch is written: its first column.
    pub fn index(&self) -> usize {
        scalar(self.index.entry().plain()) as usize
    }

    /// Puts the pointer to column `index`.
    ///
    /// # Errors
    /// [`QueueError::Index`] when the queue has no such column.
    pub fn seek(&self, index: usize) -> Result<(), QueueError> {
        let [_, size] = self.dims();
        if index >= size {
            return Err(QueueError::Index { index, size });
        }
        let counter = self.index.entry();
        counter.set(from_values(vec![index as f32], [1], &counter.plain().device()));
        Ok(())
    }

    /// The identity of each column; [`NEVER_WRITTEN`] where there is none.
    pub fn slot_identities(&self) -> Vec<i64> {
        values(self.identities.value::<1>()).iter().map(|&id| id as i64).collect()
    }

    /// The identities in the queue.
    pub fn identities(&self) -> BTreeSet<i64> {
        self.slot_identities().into_iter().filter(|&id| id != NEVER_WRITTEN).collect()
    }

    /// A copy of the columns, `[D, K]`, in which those of the coming batch are its own features `[B, D]`.
    ///
    /// # Errors
    /// When the features do not fit.
    pub fn with(&self, features: Tensor<2>) -> Result<Tensor<2>, QueueError> {
        let [batch, length] = features.dims();
        self.check([batch, length], batch)?;
        let start = self.index();
        Ok(self.columns().slice_assign([0..length, start..start + batch], features.transpose()))
    }

    /// Writes the features `[B, D]` of a batch, with their identities, and moves on.
    ///
    /// # Errors
    /// When the features or identities do not fit; the queue is then as before.
    pub fn write(&self, features: Tensor<2>, identities: &[i64]) -> Result<(), QueueError> {
        let [batch, length] = features.dims();
        self.check([batch, length], identities.len())?;
        if let Some(&id) = identities.iter().find(|id| !(0..MOST_IDENTITIES).contains(*id)) {
            return Err(QueueError::Identity(id));
        }
        let (start, [_, size]) = (self.index(), self.dims());
        self.columns.set(self.with(features.without_autodiff())?);
        let written: Vec<f32> = identities.iter().map(|&id| id as f32).collect();
        let slots = self.identities.value::<1>();
        let written = from_values::<1>(written, [batch], &slots.device());
        self.identities.set(slots.slice_assign(start..start + batch, written));
        self.seek((start + batch) % size)
    }

    fn check(&self, found: [usize; 2], identities: usize) -> Result<(), QueueError> {
        let ([batch, _], [length, size]) = (found, self.dims());
        if found != [identities, length] {
            return Err(QueueError::Features { found, identities, length });
        }
        if batch == 0 || self.index() + batch > size {
            return Err(QueueError::Batch { batch, size });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::{Store, device};

    fn queue(embedding: usize, size: usize) -> (Store, Queue) {
        let store = Store::labelled(&device("cpu").unwrap(), 3, "queue");
        let queue = Queue::new(&store.root(), embedding, size);
        (store, queue)
    }

    fn features(rows: &[[f32; 2]]) -> Tensor<2> {
        let flat = rows.iter().flatten().copied().collect();
        from_values(flat, [rows.len(), 2], &device("cpu").unwrap())
    }

    #[test]
    fn an_empty_queue_holds_random_unit_columns_of_nobody() {
        let (_, queue) = queue(2, 6);
        assert!(queue.identities().is_empty());
        let columns = values(queue.columns());
        for k in 0..6 {
            assert!((columns[k].hypot(columns[6 + k]) - 1.0).abs() < 1e-6);
        }
        assert_ne!(columns[0], columns[1]);
    }

    #[test]
    fn batches_are_written_round_and_round() {
        let (_, queue) = queue(2, 4);
        for (k, ids) in [[0, 1], [2, 3], [4, 5]].iter().enumerate() {
            let k = k as f32;
            queue.write(features(&[[k, 1.0], [k, 2.0]]), ids).unwrap();
        }
        assert_eq!(queue.slot_identities(), [4, 5, 2, 3]);
        assert_eq!(queue.index(), 2);
        assert_eq!(values(queue.columns()), [2.0, 2.0, 1.0, 1.0, 1.0, 2.0, 1.0, 2.0]);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let (store, queue) = queue(2, 4);
        queue.write(features(&[[1.0, 0.0], [0.0, 1.0]]), &[7, 8]).unwrap();
        let before = store.state();
        let three = features(&[[1.0, 0.0]; 3]);
        let error = queue.write(three.clone(), &[1, 2, 3]).unwrap_err();
        assert_eq!(error, QueueError::Batch { batch: 3, size: 4 });
        assert!(queue.write(three, &[1]).is_err(), "more features than identities");
        assert_eq!(queue.write(features(&[[1.0, 0.0]]), &[-1]).unwrap_err(), QueueError::Identity(-1));
        assert!(queue.with(from_values(vec![0.0; 3], [1, 3], store.device())).is_err(), "too long");
        assert_eq!(store.state(), before);
    }
}
