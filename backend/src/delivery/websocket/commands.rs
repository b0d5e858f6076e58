//! The commands of a WebSocket's client: subscribe, unsubscribe, publish, authorize and ping.

use std::sync::Arc;

use fourways_log::{
    engine::{Append, Draft, EngineError, Key, LagRule},
    subscription::Subscription,
};
use fourways_shared::{
    After, Code, Command, Filter, Policy, Problem, Ref, Reply, Technique, command::RefusedCommand,
    time::millis,
};

use super::{Session, too_many};
use crate::{access::limits::PatternClaim, clock, problem::Failure};

impl Session {
    pub(super) fn command(&mut self, command: Result<(Command, Option<Ref>), RefusedCommand>) {
        match command {
            Err(RefusedCommand { reference, problem }) => self.refuse(reference, problem),
            Ok((Command::Subscribe { topics, after, policy }, reference)) => {
                let is_granted = self.grant.may_subscribe(&topics);
                match is_granted.and_then(|()| self.held.worker.has_room_for(&self.client, &topics)) {
                    Ok(reading) => self.subscribe(topics, (after, policy), reading, reference),
                    Err(problem) => self.refuse(reference, problem),
                }
            }
            Ok((Command::Authorize { token }, reference)) => self.authorize(&token, reference),
            Ok((Command::Unsubscribe { topics }, reference)) => self.unsubscribe(topics, reference),
            Ok((Command::Publish { topic, data, name, id }, reference)) => {
                let is_admitted = self
                    .grant
                    .may_publish(&topic)
                    .and_then(|()| self.held.worker.usage.publish(&self.client, 1).map_err(Failure::problem));
                if let Err(problem) = is_admitted {
                    return self.refuse(reference, problem);
                }
                let key = id.map(|id| Key { id, by: self.grant.subject.clone() });
                let append = Append { topic, drafts: vec![Draft { name, data }], key };
                let (engine, worker) = (Arc::clone(&self.engine), Arc::clone(&self.held.worker));
                self.publishing = Some(Box::pin(async move {
                    let appended = worker.append(&*engine, append).await.and_then(|cursors| {
                        let none = || EngineError::Unavailable("the engine returned no cursor".to_owned());
                        cursors.first().copied().ok_or_else(none)
                    });
                    (reference, appended)
                }));
            }
            Ok((Command::Ping, reference)) => self.reply(&Reply::Pong { now: clock::now_us(), reference }),
        }
    }

    /// Replaces the token. Topics that the new token does not grant are unsubscribed; all else stays as it was.
    fn authorize(&mut self, token: &str, reference: Option<Ref>) {
        let grant = match self.gate.verify(token) {
            Ok(grant) => grant,
            Err(problem) => return self.refuse(reference, problem),
        };
        if grant.subject != self.grant.subject {
            let detail = "the new token belongs to another subject; open another socket for it";
            return self.refuse(reference, Problem::new(Code::Forbidden, detail).field("token"));
        }
        let is_granted = |topic: &Filter| grant.may_subscribe(std::slice::from_ref(topic)).is_ok();
        let held = self.subscriptions.iter().flat_map(Subscription::topics);
        let lost: Vec<Filter> = held.filter(|topic| !is_granted(topic)).cloned().collect();
        let lasts = grant.lasts();
        self.held.expire_after(lasts);
        *self.grant = grant;
        if !lost.is_empty() {
            self.unsubscribe(lost, None);
        }
        let expires_in_ms = lasts.map(millis);
        self.reply(&Reply::Authorized { expires_in_ms, reference });
    }

    pub(super) fn subscribe(
        &mut self,
        topics: Vec<Filter>,
        (after, policy): (After, Policy),
        reading: PatternClaim,
        reference: Option<Ref>,
    ) {
        let held = |topic: &&Filter| {
            self.subscriptions.iter().flat_map(Subscription::topics).any(|held| held == *topic)
        };
        if let Some(topic) = topics.iter().find(held) {
            let detail = format!("the socket already reads {topic}; unsubscribe first to change its cursor");
            let problem = Problem::new(Code::AlreadySubscribed, detail).field("topics");
            return self.refuse(reference, problem);
        }
        let count = self.subscriptions.iter().map(|s| s.topics().count()).sum::<usize>() + topics.len();
        if let Err(problem) = too_many(count, &self.held.worker.limits) {
            return self.refuse(reference, problem.field("topics"));
        }
        let most = self.held.worker.limits.max_events;
        if let After::Last(count) = after
            && count.get() as usize > most
        {
            let problem =
                Problem::new(Code::BadParameter, format!("last is {count}; allowed are 1 to {most}"));
            return self.refuse(reference, problem.field("last"));
        }
        let subscription = Subscription::new(
            &self.tail(),
            &topics,
            after,
            policy,
            Technique::Websocket,
            self.held.worker.shard,
        );
        self.here.extend(self.presence.enter(&self.grant, &topics));
        self.reading.extend(Some(reading).filter(|reading| !reading.is_empty()));
        let rule = LagRule::of(&self.held.worker.lag, &topics);
        let subscription = subscription.with_lag_rule(rule);
        let on_lag = rule.map(|rule| rule.action.name().into());
        self.reply(&Reply::Subscribed { topics, cursor: subscription.cursor(), on_lag, reference });
        self.subscriptions.push(subscription);
        self.list_topics();
    }

    fn list_topics(&self) {
        self.held.seat.reads(self.subscriptions.iter().flat_map(Subscription::topics).cloned().collect());
    }

    fn unsubscribe(&mut self, topics: Vec<Filter>, reference: Option<Ref>) {
        let is_held =
            |topic: &&Filter| self.subscriptions.iter().any(|s| s.topics().any(|held| held == *topic));
        if let Some(topic) = topics.iter().find(|topic| !is_held(topic)) {
            let problem = Problem::new(Code::NotSubscribed, format!("the socket does not read {topic}"));
            return self.refuse(reference, problem.field("topics"));
        }
        for subscription in &mut self.subscriptions {
            for topic in &topics {
                subscription.remove(topic);
            }
        }
        for here in &mut self.here {
            for topic in &topics {
                here.leave(topic);
            }
        }
        self.subscriptions.retain(|subscription| subscription.topics().next().is_some());
        self.here.retain(|here| !here.is_empty());
        for reading in &mut self.reading {
            for topic in &topics {
                reading.leave(topic);
            }
        }
        self.reading.retain(|reading| !reading.is_empty());
        self.list_topics();
        self.reply(&Reply::Unsubscribed { topics, reference });
    }
}
