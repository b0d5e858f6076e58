//! Presence: the subjects of the tokens that hold a stream or socket on a topic. On a server that asks nobody for a
//! token, nobody has a name and presence costs nothing; `/v1/topics/{topic}` counts the subscribers in any case.
//!
//! To follow joins and leaves, subscribe to `presence.` and the topic: events named `join` and `leave` are published
//! there while the topic has a reader.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use actix_web::{HttpResponse, http::header, web};
use fourways_log::engine::{Append, Draft, Engine};
use fourways_shared::{Code, Data, Filter, Topic};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::{access::Grant, problem::Failure};

/// Prefix of a topic's name that makes it the topic of its joins and leaves.
pub const PREFIX: &str = "presence.";

/// Maximum number of joins and leaves that wait to be published. Beyond it some are not published; the list of subjects
/// stays right.
const MAX_UNTOLD: usize = 4096;

/// The subjects on each topic. One for the whole server, shared by all workers by `Arc`. The mutex is held until a join
/// or leave is queued, so that they are published in their order.
pub struct Presence {
    engine: Arc<dyn Engine>,
    news: mpsc::Sender<Append>,
    /// Number of each subject's connections, by the topic or pattern that they subscribed to.
    here: Mutex<HashMap<Filter, BTreeMap<Box<str>, usize>>>,
}

/// One connection's presence on its topics. Owned by the stream or socket; dropping it makes the connection leave.
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
    /// Creates an empty list. The returned future publishes joins and leaves for as long as it is polled.
    pub fn new(engine: Arc<dyn Engine>) -> (Self, impl Future<Output = ()>) {
        let (news, mut told) = mpsc::channel::<Append>(MAX_UNTOLD);
        let log = Arc::clone(&engine);
        let teller = async move {
            while let Some(append) = told.recv().await {
                if let Err(error) = log.append(append).await {
                    tracing::warn!(%error, "a join or leave could not be published");
                }
            }
        };
        (Self { engine, news, here: Mutex::default() }, teller)
    }

    /// Adds a connection of this grant's subject to these topics; `None` if the grant has no subject.
    pub fn enter(self: &Arc<Self>, grant: &Grant, topics: &[Filter]) -> Option<Here> {
        let subject = grant.subject.clone()?;
        // Locked until the join is queued. Queued afterwards, a join could come after the leave that followed it.
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

    /// Queues a join or leave to be published, if its topic has a reader. Never waits.
    fn tell(&self, topic: &Filter, subject: &str, what: &'static str) {
        let Some(topic) = topic.topic() else { return };
        // A topic whose name is too long for the prefix has no joins and leaves.
        let Ok(topic) = Topic::parse(&format!("{PREFIX}{topic}")) else { return };
        if !self.engine.tail().is_read(&topic) {
            return;
        }
        let Ok(name) = what.parse() else { return };
        let data = Data::json(&serde_json::json!({ "subject": subject }));
        let append = Append { topic, drafts: vec![Draft { name, data }], key: None };
        if self.news.try_send(append).is_err() {
            tracing::warn!("too many joins and leaves at once: a {what} was not published");
        }
    }

    fn subjects(&self, topic: &Topic) -> Vec<Subject> {
        let here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        let mut subjects: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, there) in here.iter().filter(|(filter, _)| filter.matches(topic.as_str())) {
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
    /// True if the connection has left all its topics.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Leaves one topic, if the connection is on it.
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

/// `GET /v1/topics/{topic}/presence`: lists the subjects that hold a stream or socket on a topic.
///
/// # Errors
/// 400 for a name that no topic can have, 403 for a topic that is not granted.
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
