//! The server's counts for this page and the faults that are on, kept as signals for as long as the app lives.

use std::{cell::RefCell, rc::Rc};

use fourways_model::{journey::Journey, tally::Tally};
use fourways_shared::{
    Technique, Topic,
    account::Account,
    lab::{Active, Counts, LabCommand, LabId, WireRecord},
    time::ms_of_us,
};
use leptos::prelude::*;

use super::feed::own_topic;
use crate::{
    browser::{clock, page, timer},
    components::{change::Change as _, sequence::Shade},
    delivery::channel::{Channel, ChannelEvent},
};

/// Longest wait for the server before going on without it, in milliseconds.
const PATIENCE_MS: f64 = 1_500.0;
/// Number of wire records kept until a frame takes them; a hidden tab gets no frames.
const MAX_PENDING: usize = 20_000;
const MAX_PAST: usize = 40;

/// The page's visit to the server's lab. The app owns it for as long as it lives; copies share the same visit.
#[derive(Clone, Copy)]
pub(crate) struct Lab {
    pub(crate) id: LabId,
    pub(crate) is_open: RwSignal<bool>,
    /// Counts by the server in the order of [`Technique::ALL`], since they were last set to zero, across restarts of
    /// the server.
    pub(crate) counts: RwSignal<[Counts; 4]>,
    pub(crate) faults: RwSignal<Vec<Active>>,
    /// Number of wire records that were left out because the page did not take them in time.
    pub(crate) left_out: RwSignal<u64>,
    /// The account that the server's ledger gave last, with the run and the technique that it is of.
    pub(crate) account: RwSignal<Option<(u32, Technique, Account)>>,
    /// Number of commands sent over this connection, and number of those that the server has carried out.
    commands: RwSignal<(u64, u64)>,
    /// Topic that only this page publishes to.
    pub(crate) topic: StoredValue<Topic>,
    /// Journey of a stream that goes on from one technique's page to another's.
    pub(crate) journey: RwSignal<Option<Journey>>,
    /// The last faults of the server, active or over, kept for drawing.
    past: StoredValue<Vec<Active>>,
    runs: StoredValue<u32>,
    /// Spans of time in which the page itself broke a stream, kept for drawing.
    noted: StoredValue<Vec<(Technique, Shade)>>,
    inner: StoredValue<Inner, LocalStorage>,
}

struct Inner {
    channel: Option<Channel>,
    records: Rc<RefCell<Vec<WireRecord>>>,
    watched: Option<Technique>,
    tally: Tally,
}

impl Lab {
    /// Opens the lab's channel to the server.
    pub(crate) fn open() -> Self {
        let records = Rc::new(RefCell::new(Vec::new()));
        let pending = Rc::clone(&records);
        let lab = Self {
            id: LabId::from_random(page::random_bytes()),
            is_open: RwSignal::new(false),
            counts: RwSignal::new([Counts::default(); 4]),
            faults: RwSignal::new(Vec::new()),
            left_out: RwSignal::new(0),
            account: RwSignal::new(None),
            commands: RwSignal::new((0, 0)),
            topic: StoredValue::new(own_topic()),
            journey: RwSignal::new(None),
            past: StoredValue::new(Vec::new()),
            runs: StoredValue::new(0),
            noted: StoredValue::new(Vec::new()),
            inner: StoredValue::new_local(Inner {
                channel: None,
                records,
                watched: None,
                tally: Tally::default(),
            }),
        };
        let channel = Channel::open(lab.id, Rc::new(move |event| lab.hear(event, &pending)));
        lab.inner.update_value(|inner| inner.channel = Some(channel));
        lab
    }

    fn hear(&self, event: ChannelEvent, pending: &Rc<RefCell<Vec<WireRecord>>>) {
        match event {
            ChannelEvent::Open => {
                self.commands.set((0, 0));
                self.is_open.set(true);
                self.watch(self.inner.with_value(|inner| inner.watched));
            }
            ChannelEvent::Closed => {
                self.is_open.set(false);
                self.faults.set(Vec::new());
            }
            ChannelEvent::News(news) => {
                self.commands.change(|(_, done)| *done = news.commands);
                let counts = self.inner.try_update_value(|inner| inner.tally.with(news.since, &news.counts));
                self.counts.set(counts.unwrap_or_default());
                if self.faults.with_untracked(|faults| *faults != news.faults) {
                    self.past.update_value(|past| {
                        for fault in &news.faults {
                            past.retain(|known| {
                                (known.technique, known.from) != (fault.technique, fault.from)
                            });
                            past.push(*fault);
                        }
                        let over = past.len().saturating_sub(MAX_PAST);
                        past.drain(..over);
                    });
                    self.faults.set(news.faults);
                }
                if self.account.get_untracked() != news.account {
                    self.account.set(news.account);
                }
                if self.left_out.get_untracked() != news.left_out {
                    self.left_out.set(news.left_out);
                }
            }
            ChannelEvent::Records(records) => {
                let mut pending = pending.borrow_mut();
                pending.extend(records);
                let over = pending.len().saturating_sub(MAX_PENDING);
                pending.drain(..over);
            }
        }
    }

    /// Returns the faults of a technique, active or over, up to `now_ms` by the server's clock, with the spans that the
    /// page has marked itself.
    pub(crate) fn shades(&self, technique: Technique, now_ms: f64) -> Vec<Shade> {
        let shade = |fault: &Active| Shade {
            from_ms: ms_of_us(fault.from),
            until_ms: ms_of_us(fault.until).min(now_ms),
            name: fault.fault.kind.name(),
        };
        let own = |past: &Vec<Active>| {
            past.iter().filter(|fault| fault.technique == technique).map(shade).collect()
        };
        let mut shades: Vec<Shade> = self.past.try_with_value(own).unwrap_or_default();
        self.noted.with_value(|noted| {
            shades.extend(
                noted.iter().filter(|(whose, _)| *whose == technique).map(|(_, shade)| shade.clone()),
            );
        });
        shades
    }

    /// Marks a span of time in which the page itself broke the stream.
    pub(crate) fn note(&self, technique: Technique, shade: Shade) {
        self.noted.update_value(|noted| {
            noted.push((technique, shade));
            let over = noted.len().saturating_sub(MAX_PAST);
            noted.drain(..over);
        });
    }

    /// Returns when the server that answers now began to count for this page, in microseconds since 1970: another
    /// number is another server, or one that has forgotten the page. `None` before the server has said so, or after the
    /// page is gone.
    pub(crate) fn since(&self) -> Option<u64> {
        self.inner.try_with_value(|inner| inner.tally.since()).flatten()
    }

    /// Takes the wire records that came since the last call.
    pub(crate) fn take_records(&self) -> Vec<WireRecord> {
        self.inner
            .try_with_value(|inner| std::mem::take(&mut *inner.records.borrow_mut()))
            .unwrap_or_default()
    }

    /// Makes the server send the wire records of this technique, or none.
    pub(crate) fn watch(&self, technique: Option<Technique>) {
        self.inner.update_value(|inner| inner.watched = technique);
        self.tell(&LabCommand::Watch(technique.into_iter().collect()));
    }

    /// Returns a run number that the ledger has not seen from this page.
    pub(crate) fn next_run(&self) -> u32 {
        self.runs
            .try_update_value(|runs| {
                *runs += 1;
                *runs
            })
            .unwrap_or_default()
    }

    /// Sends a command to the server. Returns false if the channel is closed.
    pub(crate) fn tell(&self, command: &LabCommand) -> bool {
        let tell = |inner: &Inner| inner.channel.as_ref().is_some_and(|channel| channel.tell(command));
        let is_told = self.inner.try_with_value(tell).unwrap_or(false);
        if let (true, LabCommand::Zero(techniques)) = (is_told, command) {
            self.inner.update_value(|inner| inner.tally.forget(techniques));
        }
        if is_told {
            self.commands.change(|(sent, _)| *sent += 1);
        }
        is_told
    }

    /// Sets the counts of these techniques to zero, as soon as the server is there. Returns false if it has not done so
    /// in time.
    pub(crate) async fn zeroed(&self, techniques: &[Technique]) -> bool {
        let until_ms = clock::now_ms() + PATIENCE_MS;
        let mut wanted = None;
        while clock::now_ms() < until_ms {
            match (wanted, self.commands.try_get_untracked()) {
                (_, None) => return false,
                (None, _) if self.is_open.get_untracked() => {
                    let is_told = self.tell(&LabCommand::Zero(techniques.to_vec()));
                    wanted = is_told.then(|| self.commands.get_untracked().0);
                }
                (Some(wanted), Some((_, done))) if done >= wanted => return true,
                _ => {}
            }
            timer::sleep(4.0).await;
        }
        false
    }
}
