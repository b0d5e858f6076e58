//! The visitors of the lab, one per open page: the counts of each, and the faults that each wants for its connections.
//!
//! A visitor is known from its page's first request, whether for the lab's channel or for a stream: after a restart the
//! streams reconnect before the channel does. A visitor is forgotten once it has no open connection and [`GRACE`] has
//! passed since its channel closed or, if it had none, since its first request. Connections on any worker find the
//! visitor by the id in their requests, which no other page knows.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use fourways_shared::{
    Technique,
    lab::{Active, Counts, Fault, FaultKind, LabId, WireRecord},
};
use tokio::sync::mpsc;

use crate::clock;

/// Time that a visitor is remembered after its channel closed; a channel that was cut reconnects sooner.
const GRACE: Duration = Duration::from_secs(30);
const MAX_VISITORS: usize = 1_000;
/// Most records that may wait for a channel. More are left out, and the news tell the page their number.
pub(super) const MAX_RECORDS: usize = 2_048;

/// All visitors of the server. The server owns one value; all workers and connections share it until the server ends.
/// The mutex is held for short operations only, never across an await, and taken before that of a `Visitor`, never
/// after.
#[derive(Debug, Default)]
pub struct Visitors {
    known: Mutex<HashMap<LabId, Known>>,
    connections: AtomicU32,
}

#[derive(Debug)]
struct Known {
    visitor: Arc<Visitor>,
    channels: usize,
    left_at: Instant,
}

impl Default for Known {
    fn default() -> Self {
        Self { visitor: Arc::default(), channels: 0, left_at: Instant::now() }
    }
}

/// One page of the lab. The registry, the page's channel and its connections on any worker share it; it ends with the
/// last of them. The mutex is held for short updates only, never across an await.
#[derive(Debug)]
pub(super) struct Visitor {
    /// Time when counting began, µs since the Unix epoch.
    pub(super) since_us: u64,
    state: Mutex<State>,
    /// Number of changes of the faults. A connection that has seen the current number need not take the lock.
    generation: AtomicU64,
    left_out: AtomicU64,
}

impl Default for Visitor {
    fn default() -> Self {
        Self {
            since_us: clock::now_us(),
            state: Mutex::default(),
            generation: AtomicU64::default(),
            left_out: AtomicU64::default(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    counts: [Counts; 4],
    faults: [Option<Running>; 4],
    /// Number of times that the connections of each technique were cut.
    cuts: [u64; 4],
    wakers: HashMap<u32, Waker>,
    watched: Vec<Technique>,
    records: Option<mpsc::Sender<WireRecord>>,
}

/// An active fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) fault: Fault,
    pub(super) until: Instant,
    from_us: u64,
}

impl Visitors {
    /// Returns a number for a connection, different from that of every other.
    pub(super) fn number(&self) -> u32 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the visitor with this id, and creates it if there is none; `None` if it is new and there are too many. A
    /// visitor without a channel gives way to a page that opens one.
    pub(super) fn find(&self, id: LabId) -> Option<Arc<Visitor>> {
        let mut known = self.lock();
        if known.len() >= MAX_VISITORS && !known.contains_key(&id) {
            return None;
        }
        Some(Arc::clone(&known.entry(id).or_default().visitor))
    }

    /// Registers the channel of a page, and returns it with the receiver of its wire records; `None` if too many pages
    /// have a channel.
    pub(super) fn arrive(self: &Arc<Self>, id: LabId) -> Option<(Visit, mpsc::Receiver<WireRecord>)> {
        let mut known = self.lock();
        if known.len() >= MAX_VISITORS && !known.contains_key(&id) {
            // A client that only names ids must not keep pages out.
            let idle = known.iter().find(|(_, known)| known.channels == 0).map(|(id, _)| *id)?;
            known.remove(&idle);
        }
        let entry = known.entry(id).or_default();
        entry.channels += 1;
        let (sender, records) = mpsc::channel(MAX_RECORDS);
        entry.visitor.lock().records = Some(sender);
        Some((Visit { id, visitors: Arc::clone(self), visitor: Arc::clone(&entry.visitor) }, records))
    }

    /// Forgets visitors that are gone and whose grace time has passed. Called about once a second.
    pub fn sweep(&self) {
        let is_here = |known: &Known| known.channels > 0 || Arc::strong_count(&known.visitor) > 1;
        self.lock().retain(|_, known| is_here(known) || known.left_at.elapsed() < GRACE);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LabId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The registration of a page's open channel. The channel's task owns it; dropping it ends the page's faults if it was
/// the page's last channel.
pub(super) struct Visit {
    id: LabId,
    visitors: Arc<Visitors>,
    pub(super) visitor: Arc<Visitor>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(known) = self.visitors.lock().get_mut(&self.id) {
            known.channels -= 1;
            known.left_at = Instant::now();
            if known.channels == 0 {
                // A fault must not outlive the page that could end it.
                known.visitor.heal(&Technique::ALL);
            }
        }
    }
}

impl Visitor {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> [Counts; 4] {
        self.lock().counts
    }

    /// Changes a technique's counts.
    pub(super) fn count(&self, technique: Technique, change: impl FnOnce(&mut Counts)) {
        change(&mut self.lock().counts[technique.index()]);
    }

    pub(super) fn zero(&self, techniques: &[Technique]) {
        let mut state = self.lock();
        for technique in techniques {
            state.counts[technique.index()] = Counts::default();
        }
    }

    pub(super) fn watch(&self, techniques: Vec<Technique>) {
        self.lock().watched = techniques;
    }

    pub(super) fn is_watched(&self, technique: Technique) -> bool {
        self.lock().watched.contains(&technique)
    }

    pub(super) fn record(&self, record: WireRecord) {
        let state = self.lock();
        let is_sent = state.records.as_ref().is_some_and(|records| records.try_send(record).is_ok());
        if !is_sent {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the number of records that were left out so far.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self, techniques: &[Technique], fault: Fault) {
        let running = Running {
            fault,
            until: Instant::now() + Duration::from_millis(u64::from(fault.ms)),
            from_us: clock::now_us(),
        };
        self.change(|state| {
            for technique in techniques {
                if matches!(fault.kind, FaultKind::Drop | FaultKind::Restart) {
                    state.cuts[technique.index()] += 1;
                }
                state.faults[technique.index()] = Some(running);
            }
        });
    }

    pub(super) fn heal(&self, techniques: &[Technique]) {
        self.change(|state| {
            for technique in techniques {
                state.faults[technique.index()] = None;
            }
        });
    }

    /// Changes the faults, and wakes every connection to look at them.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers: Vec<Waker> = {
            let mut state = self.lock();
            change(&mut state);
            self.generation.fetch_add(1, Ordering::Release);
            state.wakers.values().cloned().collect()
        };
        for waker in wakers {
            waker.wake();
        }
    }

    /// Returns the technique's fault; `None` once its time is over.
    pub(super) fn fault(&self, technique: Technique) -> Option<Running> {
        let running = self.lock().faults[technique.index()];
        running.filter(|running| Instant::now() < running.until)
    }

    pub(super) fn cuts(&self, technique: Technique) -> u64 {
        self.lock().cuts[technique.index()]
    }

    /// Returns the active faults in the form in which the page gets them.
    pub(super) fn active(&self) -> Vec<Active> {
        let running = |technique| Some((technique, self.fault(technique)?));
        let tell = |(technique, Running { fault, from_us, .. }): (Technique, Running)| Active {
            technique,
            fault,
            from: from_us,
            until: from_us + u64::from(fault.ms) * 1000,
        };
        Technique::ALL.into_iter().filter_map(running).map(tell).collect()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Registers the waker of a connection, to be woken when a fault changes.
    pub(super) fn register_waker(&self, connection: u32, waker: &Waker) {
        self.lock().wakers.insert(connection, waker.clone());
    }

    pub(super) fn gone(&self, connection: u32) {
        self.lock().wakers.remove(&connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> LabId {
        // A letter of an id holds five bits.
        LabId::from_random(std::array::from_fn(|at| {
            if at < 8 { (n >> (4 * at) & 15).to_le_bytes()[0] } else { 0 }
        }))
    }

    #[test]
    fn a_stream_that_is_there_before_its_channel_is_counted_for_it() {
        let visitors = Arc::new(Visitors::default());
        let stream = visitors.find(id(1)).unwrap();
        visitors.sweep();
        let (visit, _records) = visitors.arrive(id(1)).unwrap();
        assert!(Arc::ptr_eq(&stream, &visit.visitor));
    }

    #[test]
    fn names_without_a_page_take_no_place() {
        let visitors = Arc::new(Visitors::default());
        let found = (0..2 * MAX_VISITORS).filter(|n| visitors.find(id(*n)).is_some()).count();
        assert_eq!(found, MAX_VISITORS);
        let pages: Vec<_> = (5000..5000 + MAX_VISITORS).map(|n| visitors.arrive(id(n)).unwrap()).collect();
        assert!(visitors.arrive(id(1)).is_none(), "all places are pages'");
        drop(pages);
    }
}
