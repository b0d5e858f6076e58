//! Who waits for a topic, and how they are woken.
//!
//! Waking a task of another thread costs a lock and perhaps a system call; waking one of the own thread costs a push
//! to a queue. So the waiters of a topic are kept by the thread they run on (a [`Shard`]), a publish wakes one
//! [`Relay`] a thread, and that wakes its own.

use std::task::{Poll, Waker};

use crate::log::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering, lock};

use super::TopicTail;

/// The thread that a subscription runs on. A wrong one costs time, not events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard(usize);

impl Shard {
    /// Has no relay: its waiters are woken by the publisher's thread.
    pub const DIRECT: Self = Self(0);

    pub(super) const fn count(workers: usize) -> usize {
        workers + 1
    }

    /// The shard of a worker, counted from 0.
    pub const fn of_worker(worker: usize) -> Self {
        Self(worker + 1)
    }

    pub(super) const fn index(self) -> usize {
        self.0
    }
}

/// The waiters of one topic on one thread.
///
/// A subscription's place is taken before it first reads and kept until it ends, so an event that is appended after a
/// read always finds the waiter.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    count: AtomicUsize,
    /// The relay has been told, and has not woken them yet.
    is_queued: AtomicBool,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Waiters {
    pub(crate) fn join(&self) -> usize {
        let mut places = lock(&self.places);
        let place = places.free.pop().unwrap_or_else(|| {
            places.wakers.push(None);
            places.wakers.len() - 1
        });
        // SeqCst: the joiner then reads the head, and the publisher stores the head and then reads the count. At
        // least one of the two sees the other.
        self.count.fetch_add(1, Ordering::SeqCst);
        place
    }

    pub(crate) fn wait(&self, place: usize, waker: &Waker) {
        lock(&self.places).wakers[place] = Some(waker.clone());
    }

    pub(crate) fn leave(&self, place: usize) {
        let mut places = lock(&self.places);
        places.wakers[place] = None;
        places.free.push(place);
        if self.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            *places = Places::default();
        }
    }

    fn wake(&self) {
        // Before waking: an event that is appended from here on is told again.
        self.is_queued.store(false, Ordering::SeqCst);
        for waker in lock(&self.places).wakers.iter().flatten() {
            waker.wake_by_ref();
        }
    }
}

/// Wakes the waiters of its own thread. Owned by the task that polls it; while there is none, publishers wake.
#[derive(Debug, Default)]
pub(super) struct Relay {
    state: Mutex<RelayState>,
}

#[derive(Debug, Default)]
struct RelayState {
    is_attached: bool,
    waker: Option<Waker>,
    topics: Vec<Arc<TopicTail>>,
}

impl Relay {
    /// An event was appended to the topic: its waiters on this shard get to know, now or by the relay's task.
    pub(super) fn notify(&self, topic: &Arc<TopicTail>, shard: usize) {
        let waiters = &topic.waiters()[shard];
        if waiters.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut state = lock(&self.state);
        if !state.is_attached {
            drop(state);
            waiters.wake();
            return;
        }
        // Each topic is queued once, so the queue is bounded by the number of topics.
        if !waiters.is_queued.swap(true, Ordering::SeqCst) {
            state.topics.push(Arc::clone(topic));
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn attach(&self) {
        lock(&self.state).is_attached = true;
    }

    pub(super) fn detach(&self, shard: usize) {
        let RelayState { topics, .. } = std::mem::take(&mut *lock(&self.state));
        for topic in topics {
            topic.waiters()[shard].wake();
        }
    }

    /// Wakes what is due and waits for more.
    pub(super) fn poll(&self, shard: usize, waker: &Waker) -> Poll<()> {
        let topics = {
            let mut state = lock(&self.state);
            state.waker = Some(waker.clone());
            std::mem::take(&mut state.topics)
        };
        for topic in topics {
            topic.waiters()[shard].wake();
        }
        Poll::Pending
    }
}
