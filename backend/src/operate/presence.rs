//! Who is on a topic: the subjects of tokens that hold a stream or socket on it. Where nobody is asked for a token, nobody
//! has a name, and this costs nothing; how many read is told by `/v1/topics/{topic}` all the same.
//!
//! Whoever wants to know of comings and goings subscribes to `presence.` and the topic: events named `join` and `leave`
//! are published there, while somebody reads them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use actix_web::{HttpResponse, http::header, web};
use fourways_shared::{Code, Data, Filter, Topic};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::{
    access::Grant,
    log::engine::{Append, Draft, Engine, Tail},
    problem::Failure,
};

/// Before a topic, the topic of its comings and goings.
pub const PREFIX: &str = "presence.";

/// Comings and goings that wait to be published. Of more at once some are not told; who is here is right all the same.
const MAX_UNTOLD: usize = 4096;

/// Who is where. One for the whole server.
pub struct Presence {
    tail: Arc<Tail>,
    news: mpsc::Sender<Append>,
    /// By topic or pattern, as it was subscribed: each subject's connections.
    here: Mutex<HashMap<Filter, BTreeMap<Box<str>, usize>>>,
}

/// Somebody who is here. Dropping it says that this connection has left.
pub struct Here {
    presence: Arc<Presence>,
    subject: Box<str>,
    topics: Vec<Filter>,
}

#[derive(Serialize)]
struct Answer {
    topic: Topic,
    subjects: Vec<Subject>,
}

#[derive(Serialize)]
struct Subject {
    subject: Box<str>,
    connections: usize,
}

impl Presence {
    /// Nobody is anywhere. The future publishes comings and goings for as long as it is polled.
    pub fn new(engine: Arc<dyn Engine>) -> (Self, impl Future<Output = ()>) {
        let (news, mut told) = mpsc::channel::<Append>(MAX_UNTOLD);
        let tail = Arc::clone(engine.tail());
        let teller = async move {
            while let Some(append) = told.recv().await {
                if let Err(error) = engine.append(append).await {
                    tracing::warn!(%error, "a coming or going was not told");
                }
            }
        };
        (Self { tail, news, here: Mutex::default() }, teller)
    }

    /// A connection of this grant's subject holds these topics; `None` if it has no name.
    pub fn enter(self: &Arc<Self>, grant: &Grant, topics: &[Filter]) -> Option<Here> {
        let subject = grant.subject.clone()?;
        // Locked until it is told: told afterwards, a coming could be told after the going that followed it.
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        for topic in topics {
            let count = here.entry(topic.clone()).or_default().entry(subject.clone()).or_default();
            *count += 1;
            if *count == 1 {
                self.tell(topic, &subject, "join");
            }
        }
        drop(here);
        Some(Here { presence: Arc::clone(self), subject, topics: topics.to_vec() })
    }

    fn leave(&self, topics: &[Filter], subject: &str) {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        for topic in topics {
            let Some(subjects) = here.get_mut(topic) else { continue };
            let Some(count) = subjects.get_mut(subject) else { continue };
            *count -= 1;
            if *count == 0 {
                subjects.remove(subject);
                self.tell(topic, subject, "leave");
            }
            if subjects.is_empty() {
                here.remove(topic);
            }
        }
    }

    /// Has a coming or going published, where somebody reads of it. It waits for nothing.
    fn tell(&self, topic: &Filter, subject: &str, what: &'static str) {
        let Some(topic) = topic.topic() else { return };
        // A topic whose name has no room for more has no comings and goings.
        let Ok(topic) = Topic::parse(&format!("{PREFIX}{topic}")) else { return };
        if !self.tail.is_read(&topic) {
            return;
        }
        let Ok(name) = what.parse() else { return };
        let data = Data::json(&serde_json::json!({ "subject": subject }));
        let append = Append { topic, drafts: vec![Draft { name, data }], key: None };
        if self.news.try_send(append).is_err() {
            tracing::warn!("too many come and go at once: a {what} was not told");
        }
    }

    fn subjects(&self, topic: &Topic) -> Vec<Subject> {
        let here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        let mut subjects: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, there) in here.iter().filter(|(filter, _)| filter.takes(topic.as_str())) {
            for (subject, count) in there {
                *subjects.entry(subject).or_default() += count;
            }
        }
        let subject =
            |(subject, connections): (&str, usize)| Subject { subject: subject.into(), connections };
        subjects.into_iter().map(subject).collect()
    }
}

impl Here {
    /// It holds nothing any more.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// It does not hold this topic any more.
    pub fn leave(&mut self, topic: &Filter) {
        if let Some(at) = self.topics.iter().position(|held| held == topic) {
            let topic = self.topics.swap_remove(at);
            self.presence.leave(&[topic], &self.subject);
        }
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.presence.leave(&self.topics, &self.subject);
    }
}

/// `GET /v1/topics/{topic}/presence`: who holds a stream or socket on it, by name.
///
/// # Errors
/// 400 if no topic can have that name, 403 if the token does not let its holder read it.
pub async fn handle(
    path: web::Path<String>,
    grant: Grant,
    presence: web::Data<Presence>,
) -> Result<HttpResponse, Failure> {
    let topic = Topic::parse(&path)
        .map_err(|error| Failure::new(Code::BadTopic, error.to_string()).field("topic"))?;
    grant.may_subscribe(&[(&topic).into()])?;
    let subjects = presence.subjects(&topic);
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(Answer { topic, subjects }))
}
