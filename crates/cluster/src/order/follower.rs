//! Follows the stream: one task with one consumer at a time, which feeds the copy of the log.
//!
//! The decisions are [`Follow`]'s; this file asks, waits and hands over. The library's own ordered consumers are not used:
//! after faults they stood still for up to 39 s.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_nats::{
    Client, Message,
    jetstream::{
        self, Context,
        consumer::{AckPolicy, DeliverPolicy, push},
    },
};
use fourways_log::{engine::FollowedLog, subscription::Reader};
use fourways_shared::{After, Cursor, Filter, Offset};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{audit, peers::Peers};

use super::{
    follow::{Delivered, Follow, Next, Step, Why},
    publish::Publisher,
    state::State,
    stream::{Identity, Order, age_of, micros_of},
    wire::{self, Item},
};

/// Time between two heartbeats of the consumer.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Time without a message or heartbeat after which the consumer is made anew.
const QUIET: Duration = Duration::from_millis(1200);
/// Time after which the server drops a consumer that nobody listens to.
const ABANDONED: Duration = Duration::from_secs(30);
/// Time between two attempts to begin.
const RETRY: Duration = Duration::from_millis(100);
/// Time between two looks at the identity of the log.
const LOOK: Duration = Duration::from_millis(2_500);
/// Time for which the leader must contradict this server's copy before that is believed. A server that has lost its
/// cluster may call itself leader for 10 s.
const SUSPICION: Duration = Duration::from_secs(15);
/// Number of messages that are kept at once, and their size in bytes.
const BURST: usize = 512;
const BURST_BYTES: usize = 1 << 20;
/// Age up to which an event counts as just published.
const LIVE: Duration = Duration::from_secs(10);

/// The task that follows. Its owner is the engine, whose runtime ends it.
pub(super) struct Follower {
    pub(super) client: Client,
    pub(super) order: Order,
    pub(super) log: Arc<FollowedLog>,
    pub(super) state: Arc<State>,
    pub(super) publisher: Arc<Publisher>,
    pub(super) identity: watch::Receiver<Option<Identity>>,
    /// The moment at which the leader first contradicted the copy, without having agreed since.
    pub(super) suspected: Option<Instant>,
    pub(super) peers: Arc<Peers>,
    pub(super) audited: Audited,
}

/// The blocks that were compared with the leader's, because another server has them otherwise.
#[derive(Debug, Default)]
pub(super) struct Audited {
    /// Blocks that are as the leader has them, or can't be compared.
    settled: BTreeSet<u64>,
    /// The moment at which the leader first contradicted a block.
    suspected: Option<Instant>,
}

/// The reason why a consumer is not followed any further.
enum End {
    /// The consumer is made anew at once.
    Remake(Why),
    /// The order can't be asked, or contradicts the copy.
    Trouble(String),
}

/// Asks for the identity of the log again and again, for as long as somebody listens.
pub(super) async fn look(
    order: Order,
    state: Arc<State>,
    log: Arc<FollowedLog>,
    told: watch::Sender<Option<Identity>>,
) {
    while !told.is_closed() {
        match order.identity().await {
            Ok(identity) => {
                if identity.epoch == log.tail().epoch() {
                    log.confirm_end(Offset(identity.last));
                }
                state.told_end(identity.last);
                told.send_replace(Some(identity));
            }
            Err(why) => state.say_trouble(Some(format!("NATS can't be asked about the log: {why}"))),
        }
        sleep(LOOK).await;
    }
}

impl Follower {
    /// Follows until the task is dropped.
    pub(super) async fn run(mut self) {
        self.audit_kept().await;
        loop {
            match self.follow().await {
                End::Remake(why) => {
                    tracing::debug!(why = why.name(), "the consumer is made anew");
                    self.state.counts.count_remade(why);
                }
                End::Trouble(why) => {
                    self.state.say_trouble(Some(why));
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// Makes a consumer and follows it until it is of no more use.
    async fn follow(&mut self) -> End {
        let identity = match self.order.identity().await {
            Ok(identity) => identity,
            Err(why) => return End::Trouble(format!("NATS can't be asked about the log: {why}")),
        };
        self.state.told_end(identity.last);
        if let Err(why) = self.agree(identity).await {
            return End::Trouble(why);
        }
        let head = self.log.tail().head().0;
        let newest = self.log.newest_kept().map(|newest| {
            let item = Item { event: Some(newest.event().clone()), by: None };
            (newest.offset(), item)
        });
        // Retention may have dropped the newest event from the stream.
        let newest = newest.filter(|(offset, _)| *offset >= identity.first);
        let mut follow = Follow::new(head, newest);
        let inbox = self.client.new_inbox();
        let mut messages = match self.client.subscribe(inbox.clone()).await {
            Ok(messages) => messages,
            Err(error) => return End::Trouble(error.to_string()),
        };
        let config = push::Config {
            deliver_subject: inbox,
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: follow.begins_at().max(1) },
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            memory_storage: true,
            num_replicas: 1,
            flow_control: true,
            idle_heartbeat: HEARTBEAT,
            inactive_threshold: ABANDONED,
            ..push::Config::default()
        };
        match timeout(2 * QUIET, self.order.stream().create_consumer(config)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return End::Trouble(format!("NATS refused a consumer: {error}")),
            Err(_) => return End::Trouble("NATS did not answer when a consumer was asked for".to_owned()),
        }
        let context = jetstream::new(self.client.clone());
        self.identity.mark_unchanged();
        let mut taken = Vec::new();
        loop {
            tokio::select! {
                message = timeout(QUIET, messages.next()) => {
                    let message = match message {
                        Err(_) => return End::Remake(Why::Quiet),
                        Ok(None) => return End::Remake(Why::Ended),
                        Ok(Some(message)) => message,
                    };
                    // Others that are there already are kept with it.
                    let mut bytes = message.payload.len();
                    taken.push(message);
                    while taken.len() < BURST && bytes < BURST_BYTES {
                        let Some(Some(message)) = messages.next().now_or_never() else { break };
                        bytes += message.payload.len();
                        taken.push(message);
                    }
                    if let Err(end) = self.take(&mut follow, &context, taken.drain(..)).await {
                        return end;
                    }
                }
                changed = self.identity.changed() => {
                    let identity = *self.identity.borrow_and_update();
                    let Some(identity) = identity.filter(|_| changed.is_ok()) else { continue };
                    if identity.epoch != self.log.tail().epoch() || identity.last < follow.head() {
                        return End::Remake(Why::Leader);
                    }
                    let step = follow.end(identity.last);
                    if let Err(end) = self.obey(&mut follow, step).await {
                        return end;
                    }
                    if let Err(why) = self.compare(identity).await {
                        self.state.say_trouble(Some(why));
                    }
                }
            }
        }
    }

    /// Makes the copy one of this log, if it is of another or lacks what the order no longer has.
    async fn agree(&mut self, identity: Identity) -> Result<(), String> {
        let (epoch, head) = (self.log.tail().epoch(), self.log.tail().head().0);
        let is_other = epoch != identity.epoch;
        if is_other || identity.first > head + 1 {
            if is_other {
                tracing::warn!(%epoch, now = %identity.epoch, "the order keeps another log now; readers are told to begin anew");
            } else if head > 0 {
                tracing::warn!(
                    head,
                    first = identity.first,
                    "the order no longer has all that this server lacks"
                );
            }
            self.state.begin_anew();
            self.state.told_end(identity.last);
            let (log, after) = (Arc::clone(&self.log), Offset(identity.first - 1));
            let begun = tokio::task::spawn_blocking(move || log.begin_anew(identity.epoch, after)).await;
            return match begun {
                Ok(Ok(())) => {
                    self.suspected = None;
                    self.audited = Audited::default();
                    Ok(())
                }
                Ok(Err(error)) => Err(format!("the copy of the log can't begin anew: {error}")),
                Err(error) => Err(error.to_string()),
            };
        }
        if identity.last < head {
            let text =
                format!("the order ends at {}, and this server has events up to {head}", identity.last);
            return Err(self.suspect(identity, text).await);
        }
        Ok(())
    }

    /// Takes note that the order contradicts the copy; begins another life of the log once that is certain. Returns what
    /// to say.
    async fn suspect(&mut self, identity: Identity, text: String) -> String {
        let since = *self.suspected.get_or_insert_with(Instant::now);
        if since.elapsed() < SUSPICION {
            return text;
        }
        self.begin_another_life(identity, text).await
    }

    /// Begins another life of the log, because the order has lost or changed what was followed. Returns what to say.
    async fn begin_another_life(&mut self, identity: Identity, text: String) -> String {
        tracing::error!("{text}: acknowledged events were lost; the log begins another life");
        self.state.counts.diverged.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match self.order.begin_another_life(identity).await {
            Ok(()) => {
                self.suspected = None;
                self.audited = Audited::default();
                text
            }
            Err(why) => format!("{text}; another life can't begin: {why}"),
        }
    }

    /// Hashes the newest events of the copy that an earlier process left.
    async fn audit_kept(&self) {
        let tail = self.log.tail();
        let from = tail.head().0.saturating_sub(audit::KEPT * audit::BLOCK) / audit::BLOCK * audit::BLOCK;
        let from = After::Cursor(tail.cursor(Offset(from)));
        let reader = Reader { until: Some(tail.head()), ..Reader::of_server(&tail) };
        let mut reading = reader.read(&[Filter::all()], from);
        while reading.has_more() {
            let Some(batch) = reading.now(BURST).await else { continue };
            self.state.audit.add(batch.events.iter().map(|event| event.event()));
        }
    }

    /// Compares a block with the leader's, if another server has it otherwise.
    ///
    /// # Errors
    /// If the leader contradicts this server, or does not answer; the text says which.
    async fn compare(&mut self, identity: Identity) -> Result<(), String> {
        let epoch = identity.epoch.to_string();
        let Some((block, name)) = self.peers.disagreement(&epoch, &self.audited.settled) else {
            self.audited.suspected = None;
            return Ok(());
        };
        self.state.counts.audited.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (theirs, own) = (self.order.hash(block, identity.epoch).await?, self.state.audit.hash(block));
        let from = block * audit::BLOCK + 1;
        let text = format!(
            "{name} has other events than this server between {from} and {}",
            from + audit::BLOCK - 1
        );
        match (theirs, own) {
            (Some(theirs), Some(own)) if theirs != own => {
                let text = format!("{text}, and so has the order");
                let since = *self.audited.suspected.get_or_insert_with(Instant::now);
                Err(if since.elapsed() < SUSPICION {
                    text
                } else {
                    self.begin_another_life(identity, text).await
                })
            }
            (theirs, _) => {
                let order = if theirs.is_some() { "as here" } else { "no longer" };
                tracing::warn!("{text}; the order has them {order}");
                self.audited.settled.insert(block);
                // Further blocks are as new as the oldest whose hash is kept.
                while self.audited.settled.len() as u64 > audit::KEPT {
                    self.audited.settled.pop_first();
                }
                Ok(())
            }
        }
    }

    /// Takes messages, and keeps what is complete with them.
    async fn take(
        &mut self,
        follow: &mut Follow<Item>,
        context: &Context,
        taken: impl Iterator<Item = Message>,
    ) -> Result<(), End> {
        let mut keep = Vec::new();
        let epoch = self.log.tail().epoch();
        for message in taken {
            let step = match message.status {
                None => follow.message(self.read(message, context, epoch)?),
                Some(status) if status.as_u16() == 100 => self.control(follow, message).await,
                Some(_) => Next::Remake(Why::Ended).into(),
            };
            keep.extend(step.keep);
            if step.next != Next::GoOn {
                self.keep(std::mem::take(&mut keep)).await;
                self.obey(follow, step.next.into()).await?;
            }
        }
        self.keep(keep).await;
        self.state.heard(follow.head());
        Ok(())
    }

    /// Answers a message of the server's own: a heartbeat, or a request to go on.
    async fn control(&self, follow: &Follow<Item>, message: Message) -> Step<Item> {
        let header = |name| message.headers.as_ref().and_then(|headers| headers.get(name));
        let stalled = header("Nats-Consumer-Stalled").map(ToString::to_string);
        if let Some(reply) = message.reply.as_ref().map(ToString::to_string).or(stalled) {
            // If it is lost, the server asks again with the next heartbeat.
            drop(self.client.publish(reply, bytes::Bytes::new()).await);
            return Next::GoOn.into();
        }
        let last = header("Nats-Last-Consumer").and_then(|last| last.as_str().parse().ok());
        last.map_or_else(|| Next::GoOn.into(), |last| follow.heartbeat(last))
    }

    fn read(
        &self,
        message: Message,
        context: &Context,
        epoch: fourways_shared::Epoch,
    ) -> Result<Delivered<Item>, End> {
        let message = jetstream::Message { message, context: context.clone() };
        let Ok(info) = message.info() else { return Err(End::Remake(Why::Ended)) };
        let (offset, consumer) = (info.stream_sequence, info.consumer_sequence);
        let time = micros_of(info.published.unix_timestamp_nanos());
        let cursor = Cursor { epoch, offset: Offset(offset) };
        let headers = message.headers.as_ref();
        let item =
            wire::decode(self.order.subjects(), &message.subject, headers, &message.payload, cursor, time);
        let batch = wire::batch(headers);
        if let Some(batch) = batch.as_ref().filter(|batch| batch.is_last) {
            self.publisher.placed(&batch.id, offset);
        }
        Ok(Delivered { offset, consumer, batch, item })
    }

    /// Does what the machine says, until it waits for the consumer again.
    async fn obey(&mut self, follow: &mut Follow<Item>, step: Step<Item>) -> Result<(), End> {
        let (mut step, epoch, holes) = (step, self.log.tail().epoch(), follow.holes());
        loop {
            self.keep(step.keep).await;
            match step.next {
                Next::GoOn => break,
                Next::Remake(why) => return Err(End::Remake(why)),
                Next::Ask { from } => match self.order.first_from(from, epoch).await {
                    Ok(asked) => step = follow.answer(asked),
                    Err(why) => {
                        return Err(End::Trouble(format!("the leader can't be asked about a gap: {why}")));
                    }
                },
                Next::Contradiction { offset } => {
                    let text = format!("the order has another event at {offset} than this server");
                    let identity = *self.identity.borrow();
                    let Some(identity) = identity else { return Err(End::Trouble(text)) };
                    return Err(End::Trouble(self.suspect(identity, text).await));
                }
            }
        }
        self.suspected = None;
        self.state.counts.holes.fetch_add(follow.holes() - holes, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    /// Hands complete appends to the copy.
    async fn keep(&self, appends: Vec<Vec<Item>>) {
        if appends.is_empty() {
            return;
        }
        let appends: Vec<_> = appends.into_iter().flat_map(wire::followed).collect();
        let Some(first) = appends.first().and_then(|append| append.events.first()) else { return };
        let events: usize = appends.iter().map(|append| append.events.len()).sum();
        self.state.audit.add(appends.iter().flat_map(|append| &append.events));
        let is_live = age_of(first.published_at_us, std::time::SystemTime::now()) < LIVE;
        self.log.put(appends, is_live).await;
        self.state.counts.events.fetch_add(events as u64, std::sync::atomic::Ordering::Relaxed);
        self.state.say_trouble(None);
    }
}
