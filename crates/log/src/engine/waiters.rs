//! The subscriptions that wait for a topic, and the relays that wake them.
//!
//! Waking a task of another thread costs a lock and perhaps a system call; waking a task of the same thread costs a
//! push to a queue. So a topic's waiters are kept by the thread that they run on (a [`Shard`]): a publish wakes one
//! [`Relay`] on each thread, and the relay wakes the waiters of its thread.

use std::task::Waker;

use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering, lock};

use super::TopicTail;

/// The thread that a subscription runs on. A wrong shard costs time, but no events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard(usize);

impl Shard {
    /// The shard without a relay: its waiters are woken by the publisher's thread.
    pub const DIRECT: Self = Self(0);

    pub(super) const fn count(workers: usize) -> usize {
        workers + 1
    }

    /// Returns the shard of a worker; workers are counted from 0.
    pub const fn of_worker(worker: usize) -> Self {
        Self(worker + 1)
    }

    pub(super) const fn index(self) -> usize {
        self.0
    }
}

/// The waiters of one topic on one thread. Owned by the topic's index; the publisher and the readers lock it for a
/// few instructions at a time, never across an `.await`.
///
/// A subscription joins before its first read and leaves when it ends. So an event that is appended after a read
/// always finds the waiter.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    count: AtomicUsize,
    /// The topic is in the relay's queue, and the relay has not woken the waiters yet.
    is_queued: AtomicBool,
    places: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
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
        // SeqCst: the joining reader loads the head afterwards, and the publisher stores the head and then loads the
        // count. At least one of the two sees the other.
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
            *places = Slots::default();
        }
    }

    fn wake(&self) {
        // Cleared before waking: an event that is appended from here on is queued again.
        self.is_queued.store(false, Ordering::SeqCst);
        for waker in lock(&self.places).wakers.iter().flatten() {
            waker.wake_by_ref();
        }
    }
}

/// The relay of one thread: publishers queue topics here, and the thread's own task wakes their waiters.
///
/// The tail owns one for each shard, and the task that runs [`Tail::relay`](super::Tail::relay) polls it. While there
/// is no such task, publishers wake the waiters themselves.
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
    /// Wakes the topic's waiters on this shard, now or through the relay's task.
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
        // A topic is queued once, so the queue is no longer than the number of topics.
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

    /// Wakes the relay's task, if there is one.
    pub(super) fn wake(&self) {
        let waker = lock(&self.state).waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Wakes the waiters of all queued topics, and registers the task for the next ones.
    pub(super) fn poll(&self, shard: usize, waker: &Waker) {
        let topics = {
            let mut state = lock(&self.state);
            state.waker = Some(waker.clone());
            std::mem::take(&mut state.topics)
        };
        for topic in topics {
            topic.waiters()[shard].wake();
        }
    }
}
