//! Sharing jobs out among the threads.
//!
//! A network is a chain of operations of some hundred microseconds each. Waking a sleeping thread takes a good part of
//! that, so a helper without work watches for the next call a little while before it goes back to its pool, and the caller
//! watches for the last helper likewise. Neighbouring jobs read and write neighbouring memory, so each thread begins with
//! its own run of them: in the next operation it finds there what it left in its cache.
#![allow(unsafe_code)] // helpers are handed work that is borrowed

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a thread watches before it sleeps, after the last call has ended: longer than it takes from one operation of a
/// network to the next, and little beside what a network takes.
const WATCH: Duration = Duration::from_micros(100);
/// How long a caller watches for the last helper, which is at work, before it sleeps.
const LAST: Duration = Duration::from_millis(2);

/// Runs `job` for every index below `count`, each once, on all threads of the pool and this one.
///
/// Unlike an iterator of the pool it keeps the calling thread at work.
pub(crate) fn run(count: usize, job: impl Fn(usize) + Sync) {
    let helpers = rayon::current_num_threads().min(count).saturating_sub(1);
    if helpers == 0 {
        (0..count).for_each(job);
        return;
    }
    let queues = Queues::new(count, helpers + 1);
    let arrived = AtomicUsize::new(1);
    let help = || queues.work(arrived.fetch_add(1, Ordering::Relaxed), &job);
    let work = || queues.work(0, &job);
    // The desk belongs to the process's pool; a thread of a pool has its own pool's help.
    if rayon::current_thread_index().is_none() && DESK.share(helpers, &help, work) {
        return;
    }
    rayon::in_place_scope(|scope| {
        (0..helpers).for_each(|_| scope.spawn(|_| help()));
        work();
    });
}

/// What `job` gives for every index below `count`, in their order, each formed once, as [`run`] does.
pub(crate) fn map<R: Send>(count: usize, job: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let results: Vec<Mutex<Option<R>>> = (0..count).map(|_| Mutex::new(None)).collect();
    run(count, |index| {
        let result = job(index);
        *results[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    });
    // A panic of a job has gone on to the caller: all are there.
    let all =
        results.into_iter().filter_map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner));
    all.collect()
}

/// Gives every item to `job`, each once, as [`run`] does.
pub(crate) fn each<T: Send>(items: impl IntoIterator<Item = T>, job: impl Fn(T) + Sync) {
    let items: Vec<Mutex<Option<T>>> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
    run(items.len(), |index| {
        let item = items[index].lock().unwrap_or_else(PoisonError::into_inner).take();
        item.into_iter().for_each(&job);
    });
}

/// The jobs that are left, a run for each thread.
struct Queues(Vec<Queue>);

/// First and end of a run of jobs, in the lower and the upper half.
struct Queue(AtomicU64);

impl Queues {
    fn new(count: usize, threads: usize) -> Self {
        let queue = |index: usize| {
            let [first, end] = [index, index + 1].map(|index| (index * count / threads) as u64);
            Queue(AtomicU64::new(first | (end << 32)))
        };
        Self((0..threads).map(queue).collect())
    }

    /// Does jobs until none is left: this thread's from the first on, then those of others from the last.
    fn work(&self, thread: usize, job: &impl Fn(usize)) {
        let own = thread % self.0.len();
        while let Some(index) = self.0[own].take(true) {
            job(index);
        }
        for others in (1..self.0.len()).map(|next| &self.0[(own + next) % self.0.len()]) {
            while let Some(index) = others.take(false) {
                job(index);
            }
        }
    }
}

impl Queue {
    /// Takes the first job or the last.
    fn take(&self, first: bool) -> Option<usize> {
        let ends = |run: u64| (run & u64::from(u32::MAX), run >> 32);
        let shorter = |run| {
            let (start, end) = ends(run);
            (start < end).then(|| if first { (start + 1) | (end << 32) } else { start | ((end - 1) << 32) })
        };
        let (start, end) = ends(self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, shorter).ok()?);
        Some(if first { start } else { end - 1 } as usize)
    }
}

/// Where helpers find the work of the one call that they help.
struct Desk {
    state: Mutex<State>,
    /// [`State::posts`], for those who watch.
    posts: AtomicUsize,
    /// [`State::inside`], for those who watch.
    inside: AtomicUsize,
    /// [`State::taken`], for those who watch.
    taken: AtomicBool,
    /// Told when nobody is inside any more.
    left: Condvar,
}

static DESK: Desk = Desk {
    state: Mutex::new(State {
        posts: 0,
        work: None,
        taken: false,
        wanted: 0,
        inside: 0,
        helpers: 0,
        panic: None,
    }),
    posts: AtomicUsize::new(0),
    inside: AtomicUsize::new(0),
    taken: AtomicBool::new(false),
    left: Condvar::new(),
};

struct State {
    /// Calls so far.
    posts: usize,
    work: Option<Work>,
    /// Whether a call has the desk.
    taken: bool,
    /// Helpers that may still take the work.
    wanted: usize,
    /// Helpers at work.
    inside: usize,
    /// Helpers that work, watch, or were asked for and will come.
    helpers: usize,
    /// What a helper ended with.
    panic: Option<Box<dyn Any + Send>>,
}

/// Work that is borrowed from a call.
#[derive(Clone, Copy)]
struct Work(*const (dyn Fn() + Sync + 'static));

// SAFETY: the work may be shared by contract of `Desk::post`, and the pointer is only followed while the call waits.
unsafe impl Send for Work {}

impl Desk {
    /// Runs `work` here and, at the same time, `help` on up to `helpers` threads of the process's pool. `false`, and
    /// nothing is done, while another call has the desk.
    fn share(&'static self, helpers: usize, help: &(dyn Fn() + Sync), work: impl FnOnce()) -> bool {
        // SAFETY: the call is closed, which waits for all helpers, before this function is left, in whatever way.
        let Some(missing) = (unsafe { self.post(helpers, help) }) else { return false };
        let call = Call(self);
        (0..missing).for_each(|_| rayon::spawn(|| self.help()));
        work();
        drop(call);
        if let Some(panic) = self.leave() {
            resume_unwind(panic);
        }
        true
    }

    /// Offers work, and says how many helpers have to be asked for. `None` while another call has the desk.
    ///
    /// # Safety
    /// `work` must live until the call is closed.
    unsafe fn post(&self, helpers: usize, work: &(dyn Fn() + Sync)) -> Option<usize> {
        let mut state = self.lock();
        if state.taken {
            return None;
        }
        let work = std::ptr::from_ref(work);
        // SAFETY: only the lifetime changes.
        let work = unsafe {
            std::mem::transmute::<*const (dyn Fn() + Sync + '_), *const (dyn Fn() + Sync + 'static)>(work)
        };
        (state.taken, state.work, state.wanted) = (true, Some(Work(work)), helpers);
        self.taken.store(true, Ordering::Release);
        let missing = helpers.saturating_sub(state.helpers);
        state.helpers += missing;
        state.posts = state.posts.wrapping_add(1);
        self.posts.store(state.posts, Ordering::Release);
        Some(missing)
    }

    /// Lets no more helpers in and waits for those inside.
    fn close(&self) {
        self.lock().work = None;
        if watch(LAST, || self.inside.load(Ordering::Acquire) == 0, || false) {
            return;
        }
        let mut state = self.lock();
        while state.inside > 0 {
            state = self.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Frees the desk for other calls; what a helper ended with.
    fn leave(&self) -> Option<Box<dyn Any + Send>> {
        let mut state = self.lock();
        state.taken = false;
        self.taken.store(false, Ordering::Release);
        state.panic.take()
    }

    /// Takes part in calls until none comes for a while.
    fn help(&self) {
        let mut seen = None;
        loop {
            if let Some(Work(work)) = self.enter(&mut seen) {
                // SAFETY: the call waits until this helper is counted out.
                let ended = catch_unwind(AssertUnwindSafe(|| unsafe { (*work)() }));
                self.count_out(ended.err());
            }
            // While a call is on, the next one is not far.
            let called = || Some(self.posts.load(Ordering::Acquire)) != seen;
            if !watch(WATCH, called, || self.taken.load(Ordering::Acquire)) {
                let mut state = self.lock();
                // A call that came just now counts on this helper.
                if Some(state.posts) == seen {
                    state.helpers -= 1;
                    return;
                }
            }
        }
    }

    /// The work of a call that was not `seen`, if there is one that wants another helper.
    fn enter(&self, seen: &mut Option<usize>) -> Option<Work> {
        let mut state = self.lock();
        *seen = Some(state.posts);
        let work = state.work.filter(|_| state.wanted > 0)?;
        state.wanted -= 1;
        state.inside += 1;
        self.inside.store(state.inside, Ordering::Release);
        Some(work)
    }

    fn count_out(&self, panic: Option<Box<dyn Any + Send>>) {
        let mut state = self.lock();
        state.panic = state.panic.take().or(panic);
        state.inside -= 1;
        self.inside.store(state.inside, Ordering::Release);
        if state.inside == 0 {
            self.left.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that has the desk; it is closed when this goes.
struct Call(&'static Desk);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.close();
        if std::thread::panicking() {
            self.0.leave();
        }
    }
}

/// Waits for something, a while after all is quiet, and says whether it came.
fn watch(time: Duration, came: impl Fn() -> bool, busy: impl Fn() -> bool) -> bool {
    /// Looks between two at the clock.
    const LOOKS: usize = 32;
    let mut start = Instant::now();
    loop {
        for _ in 0..LOOKS {
            if came() {
                return true;
            }
            std::hint::spin_loop();
        }
        if busy() {
            start = Instant::now();
        }
        if start.elapsed() > time {
            return came();
        }
        // Whoever else wants this processor may have it.
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_runs(count: usize) {
        let runs: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        run(count, |index| _ = runs[index].fetch_add(1, Ordering::Relaxed));
        assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn every_job_runs_once() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for count in [0, 1, 2, 100] {
                pool.install(|| count_runs(count));
            }
        }
    }

    #[test]
    fn every_item_is_given_to_one_job() {
        let mut numbers: Vec<usize> = (0..1000).collect();
        each(numbers.chunks_mut(7).enumerate(), |(index, chunk)| chunk.iter_mut().for_each(|n| *n += index));
        assert!(numbers.iter().enumerate().all(|(at, &n)| n == at + at / 7));
    }

    #[test]
    fn a_run_of_jobs_is_taken_from_both_ends() {
        let Queues(queues) = Queues::new(11, 3);
        let taken = |first| queues[1].take(first);
        assert_eq!([taken(true), taken(false), taken(false)], [Some(3), Some(6), Some(5)]);
        assert_eq!([taken(true), taken(true), taken(false)], [Some(4), None, None]);
        assert_eq!([queues[0].take(false), queues[2].take(true)], [Some(2), Some(7)]);
    }

    #[test]
    fn calls_of_several_threads_do_not_meet() {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for round in 0..200 {
                        count_runs((thread + 3 * round) % 17);
                        // Sometimes helpers watch, sometimes they have gone.
                        if round % 50 == 0 {
                            std::thread::sleep(2 * WATCH);
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_nobody_else() {
        for _ in 0..20 {
            let ended = catch_unwind(|| {
                run(64, |index| {
                    std::thread::sleep(Duration::from_micros(20));
                    assert_ne!(index, 40, "on purpose");
                });
            });
            assert!(ended.is_err());
            count_runs(33);
        }
    }
}
