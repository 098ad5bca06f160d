//! Batches, fetched ahead by worker threads.
//!
//! Which items a batch holds follows from the order alone, and what is random in an item from `(seed, epoch, position)`
//! alone, so batches are the same for any number of workers, and an epoch can be taken up again at any batch. Workers
//! take positions one by one and stay at most [`LoaderOptions::prefetch`] batches ahead of the reader.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use ocelli_method::random::stream;
use serde::{Deserialize, Serialize};

use crate::dataset::{BadItem, Dataset, check_share};
use crate::error::{DataError, panic_message};

/// Positions of one epoch are numbered below this, so that streams of different epochs never meet.
const EPOCH_STRIDE: u64 = 1 << 40;
/// A replacement is looked for among so many following items.
const REPLACEMENTS: usize = 100;

/// What to do about an item that cannot be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadItems {
    /// The batch is an error. The choice for data sets that have been scanned.
    #[default]
    Fail,
    /// The next readable item of the data set takes its place, and the batch tells. Once more than this share of the data
    /// set's items has turned out bad, the batch is an error.
    Replace(f64),
}

/// How batches are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderOptions {
    /// Items a batch.
    pub batch_size: usize,
    /// Worker threads; with 0 the reader fetches items itself.
    pub workers: usize,
    /// Batches that workers may be ahead of the reader.
    pub prefetch: usize,
    /// Whether a last batch of fewer items is left out.
    pub drop_last: bool,
    /// Seed of all that is random in items.
    pub seed: u64,
    /// What to do about an item that cannot be had.
    pub bad_items: BadItems,
}

impl Default for LoaderOptions {
    /// 32 items, 2 workers 2 batches ahead, short batches kept, seed 0, bad items fail.
    fn default() -> Self {
        Self {
            batch_size: 32,
            workers: 2,
            prefetch: 2,
            drop_last: false,
            seed: 0,
            bad_items: BadItems::default(),
        }
    }
}

/// Some items of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<T> {
    /// The batch's number in its epoch, from 0.
    pub number: usize,
    /// The items' numbers in the data set, as ordered.
    pub indices: Vec<usize>,
    /// The items.
    pub items: Vec<T>,
    /// Those of `indices` that could not be had and were replaced.
    pub replaced: Vec<BadItem>,
}

/// Makes the batches of any epoch. See the [crate's example](crate).
pub struct Loader<D: Dataset> {
    dataset: Arc<D>,
    options: LoaderOptions,
    /// All items that turned out bad, over all epochs.
    bad: Arc<Mutex<BTreeMap<usize, BadItem>>>,
}

impl<D: Dataset + 'static> Loader<D> {
    /// A loader of `dataset`.
    ///
    /// # Errors
    /// [`DataError::Setting`] when an option is impossible.
    pub fn new(dataset: Arc<D>, options: LoaderOptions) -> Result<Self, DataError> {
        if options.batch_size == 0 {
            return Err(DataError::setting("batch_size", "a batch needs at least one item"));
        }
        if options.workers > 0 && options.prefetch == 0 {
            return Err(DataError::setting("prefetch", "workers must be allowed at least one batch"));
        }
        match options.bad_items {
            BadItems::Replace(share) if !(0.0..=1.0).contains(&share) => {
                Err(DataError::setting("bad_items", format!("a share is from 0 to 1, found {share}")))
            }
            _ => Ok(Self { dataset, options, bad: Arc::default() }),
        }
    }

    /// The data set.
    pub fn dataset(&self) -> &Arc<D> {
        &self.dataset
    }

    /// How many batches an order of `len` items makes.
    pub fn batches(&self, len: usize) -> usize {
        if self.options.drop_last {
            len / self.options.batch_size
        } else {
            len.div_ceil(self.options.batch_size)
        }
    }

    /// Items replaced so far, over all epochs, by rising number.
    pub fn replaced(&self) -> Vec<BadItem> {
        lock(&self.bad).values().cloned().collect()
    }

    /// The batches of epoch `epoch`, whose item order a [`Sampler`](crate::sample::Sampler) gives.
    ///
    /// # Errors
    /// [`DataError::Setting`] when the order names an item that does not exist.
    pub fn epoch(&self, order: Vec<usize>, epoch: u64) -> Result<Batches<D>, DataError> {
        self.resume(order, epoch, 0)
    }

    /// As [`Loader::epoch`], but beginning at batch `start`: the same batches that an unbroken epoch has from there on.
    ///
    /// # Errors
    /// [`DataError::Setting`] when the order names an item that does not exist, or `start` lies behind the last batch.
    pub fn resume(&self, order: Vec<usize>, epoch: u64, start: usize) -> Result<Batches<D>, DataError> {
        let batches = self.batches(order.len());
        if start > batches {
            return Err(DataError::setting("start", format!("batch {start} of an epoch of {batches}")));
        }
        if let Some(index) = order.iter().find(|&&index| index >= self.dataset.len()) {
            let reason = format!("item {index} of a data set of {}", self.dataset.len());
            return Err(DataError::setting("order", reason));
        }
        let size = self.options.batch_size;
        let fetcher = Fetcher {
            end: (batches * size).min(order.len()),
            dataset: self.dataset.clone(),
            order,
            first_stream: epoch.wrapping_mul(EPOCH_STRIDE),
            options: self.options.clone(),
        };
        let crew = (self.options.workers > 0).then(|| Crew::start(Arc::new(fetcher.clone()), start));
        Ok(Batches { fetcher, crew: crew.transpose()?, next: start, batches, bad: self.bad.clone() })
    }
}

/// The batches of an epoch. Dropping it stops the workers.
pub struct Batches<D: Dataset> {
    fetcher: Fetcher<D>,
    crew: Option<Crew<D::Item>>,
    next: usize,
    /// Number of batches of the epoch; the current one after an error.
    batches: usize,
    bad: Arc<Mutex<BTreeMap<usize, BadItem>>>,
}

impl<D: Dataset> Iterator for Batches<D> {
    type Item = Result<Batch<D::Item>, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.batches {
            self.crew = None;
            return None;
        }
        let number = self.next;
        self.next += 1;
        let fetched = match &self.crew {
            Some(crew) => crew.wait_for(number),
            None => self.fetcher.positions(number).map(|position| self.fetcher.fetch(position)).collect(),
        };
        let batch = self.assemble(number, fetched);
        if batch.is_err() {
            self.batches = self.next;
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // An error ends the epoch early.
        (0, Some(self.batches - self.next.min(self.batches)))
    }
}

impl<D: Dataset> Batches<D> {
    /// Errors and bad items are judged here, in batch order, so that they too do not depend on threads.
    fn assemble(
        &self,
        number: usize,
        fetched: Vec<Result<Fetched<D::Item>, DataError>>,
    ) -> Result<Batch<D::Item>, DataError> {
        let indices = self.fetcher.order[self.fetcher.positions(number)].to_vec();
        let mut batch =
            Batch { number, indices, items: Vec::with_capacity(fetched.len()), replaced: Vec::new() };
        for fetched in fetched {
            let Fetched { item, bad } = fetched?;
            batch.items.push(item);
            batch.replaced.extend(bad);
        }
        if let (BadItems::Replace(share), false) = (self.fetcher.options.bad_items, batch.replaced.is_empty())
        {
            let mut known = lock(&self.bad);
            for bad in &batch.replaced {
                known.entry(bad.index).or_insert_with(|| {
                    tracing::warn!(reason = bad.reason, "the next readable item replaces {}", bad.name);
                    bad.clone()
                });
            }
            let all: Vec<BadItem> = known.values().cloned().collect();
            check_share(&all, self.fetcher.dataset.len(), share)?;
        }
        Ok(batch)
    }
}

/// An item, and the ones that could not be had in its place.
struct Fetched<T> {
    item: T,
    bad: Vec<BadItem>,
}

/// Fetches the item at a position of an epoch.
struct Fetcher<D> {
    dataset: Arc<D>,
    order: Vec<usize>,
    /// Positions from here on are not wanted.
    end: usize,
    first_stream: u64,
    options: LoaderOptions,
}

impl<D> Clone for Fetcher<D> {
    fn clone(&self) -> Self {
        Self {
            dataset: self.dataset.clone(),
            order: self.order.clone(),
            end: self.end,
            first_stream: self.first_stream,
            options: self.options.clone(),
        }
    }
}

impl<D: Dataset> Fetcher<D> {
    fn positions(&self, batch: usize) -> std::ops::Range<usize> {
        let size = self.options.batch_size;
        batch * size..((batch + 1) * size).min(self.end)
    }

    fn fetch(&self, position: usize) -> Result<Fetched<D::Item>, DataError> {
        let index = self.order[position];
        let tries = match self.options.bad_items {
            BadItems::Fail => 1,
            BadItems::Replace(_) => REPLACEMENTS.min(self.dataset.len()),
        };
        let mut bad = Vec::new();
        loop {
            let candidate = (index + bad.len()) % self.dataset.len();
            match self.get(candidate, position) {
                Ok(item) => return Ok(Fetched { item, bad }),
                Err(error @ DataError::Panicked { .. }) => return Err(error),
                Err(error) if bad.len() + 1 >= tries => return Err(error),
                Err(error) => {
                    let name = self.dataset.name(candidate);
                    bad.push(BadItem { index: candidate, name, reason: error.to_string() });
                }
            }
        }
    }

    fn get(&self, index: usize, position: usize) -> Result<D::Item, DataError> {
        let mut rng = stream(self.options.seed, "augment", self.first_stream.wrapping_add(position as u64));
        let result = catch_unwind(AssertUnwindSafe(|| self.dataset.get(index, &mut rng)));
        result.unwrap_or_else(|panic| {
            Err(DataError::Panicked { name: self.dataset.name(index), message: panic_message(&*panic) })
        })
    }
}

/// The worker threads of an epoch.
struct Crew<T> {
    shared: Arc<Shared<T>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// A batch has become complete.
    complete: Condvar,
    /// The reader has taken a batch, or all is over.
    taken: Condvar,
}

struct State<T> {
    /// The next position that no worker has taken.
    position: usize,
    /// Batches before this one have been handed to the reader.
    reader: usize,
    /// Batches in the making.
    filling: BTreeMap<usize, Filling<T>>,
    stopped: bool,
}

/// A batch in the making.
struct Filling<T> {
    slots: Vec<Option<Result<Fetched<T>, DataError>>>,
    missing: usize,
}

/// Locks, whether or not another thread panicked meanwhile: every change of the guarded values is complete in itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Send> Crew<T> {
    fn start<D: Dataset<Item = T> + 'static>(
        fetcher: Arc<Fetcher<D>>,
        first: usize,
    ) -> Result<Self, DataError>
    where
        T: 'static,
    {
        let state = State {
            position: first * fetcher.options.batch_size,
            reader: first,
            filling: BTreeMap::new(),
            stopped: false,
        };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), complete: Condvar::new(), taken: Condvar::new() });
        let mut crew = Self { shared: shared.clone(), threads: Vec::new() };
        for worker in 0..fetcher.options.workers {
            let (shared, fetcher) = (shared.clone(), fetcher.clone());
            let thread = std::thread::Builder::new()
                .name(format!("loader {worker}"))
                .spawn(move || shared.work(&fetcher))
                .map_err(|e| DataError::setting("workers", format!("cannot start a thread: {e}")))?;
            crew.threads.push(thread);
        }
        Ok(crew)
    }

    fn wait_for(&self, batch: usize) -> Vec<Result<Fetched<T>, DataError>> {
        let mut state = lock(&self.shared.state);
        loop {
            if state.filling.get(&batch).is_some_and(|filling| filling.missing == 0) {
                let filled = state.filling.remove(&batch).map(|filling| filling.slots).unwrap_or_default();
                state.reader = batch + 1;
                self.shared.taken.notify_all();
                return filled.into_iter().flatten().collect();
            }
            state = self.shared.complete.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Drop for Crew<T> {
    fn drop(&mut self) {
        lock(&self.shared.state).stopped = true;
        self.shared.taken.notify_all();
        for thread in self.threads.drain(..) {
            // A worker that panicked has nothing left to say: panics of data sets are caught where they happen.
            let _ = thread.join();
        }
    }
}

impl<T: Send> Shared<T> {
    fn work<D: Dataset<Item = T>>(&self, fetcher: &Fetcher<D>) {
        while let Some(position) = self.claim(fetcher) {
            let fetched = fetcher.fetch(position);
            let batch = position / fetcher.options.batch_size;
            let positions = fetcher.positions(batch);
            let mut state = lock(&self.state);
            let filling = state.filling.entry(batch).or_insert_with(|| Filling {
                slots: positions.clone().map(|_| None).collect(),
                missing: positions.len(),
            });
            filling.slots[position - positions.start] = Some(fetched);
            filling.missing -= 1;
            if filling.missing == 0 {
                self.complete.notify_all();
            }
        }
    }

    /// The next position to fetch, once it is not too far ahead; none at the end.
    fn claim<D: Dataset<Item = T>>(&self, fetcher: &Fetcher<D>) -> Option<usize> {
        let mut state = lock(&self.state);
        loop {
            let position = state.position;
            if state.stopped || position >= fetcher.end {
                return None;
            }
            if position / fetcher.options.batch_size < state.reader.saturating_add(fetcher.options.prefetch) {
                state.position += 1;
                return Some(position);
            }
            state = self.taken.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests;
