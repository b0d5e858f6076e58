//! The order of the log, kept by NATS JetStream: the engine of a server that is one of many.

mod connect;
mod follow;
mod follower;
mod monitor;
mod publish;
mod settings;
mod state;
mod stream;
mod wire;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use async_nats::Client;
use fourways_log::engine::{
    Append, Appending, Engine, EngineError, FollowedLog, Head, Key, OrderFigures, Standing, Tail,
};
use fourways_shared::{Cursor, Offset};
use tokio::{
    runtime::{Handle, Runtime},
    sync::{Semaphore, watch},
    time::timeout,
};

pub use self::settings::{OrderError, OrderSettings, without_password};
use self::{
    follower::{Audited, Follower},
    publish::{PATIENCE, Publisher, Stored, hash_of},
    settings::START_PATIENCE,
    state::State,
    stream::Order,
    wire::Subjects,
};
use crate::peers::Peers;

/// Size of the appends that may wait for NATS at once, in KiB. Further publishers wait for space.
const MAX_WAITING_KIB: u32 = 64 * 1024;
/// Time that an acknowledged append waits until it can be read on this server.
const READABLE: Duration = Duration::from_secs(1);
/// Time for which a start waits for NATS if there is a copy that can be read without it.
const PATIENCE_WITH_COPY: Duration = Duration::from_secs(3);
/// Time that the end of a server waits until the others were told of it.
const LEAVE: Duration = Duration::from_millis(200);
/// Time after which a server that is cut from NATS refuses events at once.
const CUT: Duration = Duration::from_secs(30);

/// A log whose order NATS JetStream keeps, with a copy on this server.
///
/// The server shares it in an `Arc`. It owns a runtime of its own, on which it follows, so that a busy worker can't delay
/// following; [`Engine::close`] ends it.
#[derive(Debug)]
pub struct JetStreamEngine {
    log: Arc<FollowedLog>,
    publisher: Arc<Publisher>,
    state: Arc<State>,
    peers: Arc<Peers>,
    room: Arc<Semaphore>,
    runtime: Mutex<Option<Runtime>>,
}

impl JetStreamEngine {
    /// Connects to NATS, checks it, opens the copy and begins to follow. Blocks for up to half a minute. The log can be
    /// read at once, and is [`Standing::Behind`] until everything was followed.
    ///
    /// A copy that an earlier process left is opened even if NATS does not answer.
    ///
    /// # Errors
    /// If NATS does not answer and there is no copy, if NATS is not set up as it must be, or if the copy can't be opened.
    pub fn open(settings: &OrderSettings) -> Result<Self, OrderError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("order")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        // Another thread, because this one may run an async runtime already.
        let opened = std::thread::scope(|scope| {
            scope.spawn(|| handle.block_on(open(settings))).join().unwrap_or_else(|_| {
                Err(OrderError::Copy(io::Error::other("opening the log failed unexpectedly")))
            })
        });
        match opened {
            Ok((log, publisher, state, peers)) => {
                let room = Arc::new(Semaphore::new(MAX_WAITING_KIB as usize));
                Ok(Self { log, publisher, state, peers, room, runtime: Mutex::new(Some(runtime)) })
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Returns the other servers that share the log.
    pub const fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }

    async fn keep(&self, mut append: Append) -> Result<Vec<Cursor>, EngineError> {
        if let Some(Key { by, .. }) = &mut append.key {
            *by = by.take().map(|subject| hash_of(&subject));
        }
        if let Some(before) = self.log.look(&append)? {
            return Ok(before);
        }
        if self.state.behind() > CUT && matches!(self.standing(), Standing::Behind { .. }) {
            return Err(EngineError::Unavailable("this server is cut from NATS".to_owned()));
        }
        let bytes: usize = append.drafts.iter().map(|draft| 64 + draft.data.len()).sum();
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX).min(MAX_WAITING_KIB);
        let room = timeout(PATIENCE, Arc::clone(&self.room).acquire_many_owned(kib)).await;
        let Ok(Ok(_room)) = room else {
            return Err(EngineError::Unavailable(
                "NATS does not keep up; retry with the same key".to_owned(),
            ));
        };
        let mut head = self.log.head();
        let (epoch, beginnings) = (self.log.tail().epoch(), head.borrow().beginnings);
        let Stored { first, is_repeat } = self.publisher.publish(&append).await?;
        let began_anew = |head: &Head| head.beginnings != beginnings;
        if is_repeat && append.key.is_some() {
            // The stream knows the key, and not what was published with it. The follower soon does.
            let known = async {
                loop {
                    match self.log.look(&append) {
                        Ok(Some(cursors)) => return Ok(cursors),
                        Ok(None) => drop(head.changed().await),
                        Err(error) => return Err(error),
                    }
                }
            };
            let late =
                |_| EngineError::Unknown("this server has not followed the first events yet".to_owned());
            return timeout(PATIENCE, known).await.map_err(late)?;
        }
        let Some(first) = first else {
            return Err(EngineError::Unknown("NATS does not say where the events are".to_owned()));
        };
        let last = first + append.drafts.len() as u64 - 1;
        // A server whose copy is late answers all the same: the events are kept.
        let readable = head.wait_for(|head| head.offset.0 >= last || began_anew(head));
        drop(timeout(READABLE, readable).await);
        if began_anew(&self.log.head().borrow()) {
            return Err(EngineError::Unknown("the log began anew".to_owned()));
        }
        Ok((first..=last).map(|offset| Cursor { epoch, offset: Offset(offset) }).collect())
    }
}

impl Engine for JetStreamEngine {
    fn tail(&self) -> Arc<Tail> {
        self.log.tail()
    }

    fn append(&self, append: Append) -> Appending<'_> {
        Box::pin(self.keep(append))
    }

    fn standing(&self) -> Standing {
        self.state.standing(self.log.stuck())
    }

    fn order(&self) -> Option<OrderFigures> {
        let (follow, publish) = (&self.state.counts, &self.publisher.counts);
        Some(OrderFigures {
            missing: self.state.missing(),
            behind: self.state.behind(),
            is_cut: self.peers.is_cut(),
            followed: follow.events.load(Relaxed),
            remade: follow.remade(),
            holes: follow.holes.load(Relaxed),
            diverged: follow.diverged.load(Relaxed),
            audited: follow.audited.load(Relaxed),
            retries: publish.retries.load(Relaxed),
            duplicates: publish.duplicates.load(Relaxed),
            waiting: publish.waiting.load(Relaxed),
        })
    }

    fn close(&self) {
        if let Some(runtime) = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let leave = || drop(runtime.block_on(async { timeout(LEAVE, self.peers.leave()).await }));
            // Another thread, because this one may run an async runtime already.
            std::thread::scope(|scope| drop(scope.spawn(leave).join()));
            runtime.shutdown_background();
        }
        self.log.close();
    }
}

impl Drop for JetStreamEngine {
    fn drop(&mut self) {
        self.close();
    }
}

type Opened = (Arc<FollowedLog>, Arc<Publisher>, Arc<State>, Arc<Peers>);

async fn open(settings: &OrderSettings) -> Result<Opened, OrderError> {
    settings.check()?;
    let state = Arc::new(State::new());
    let (copy, rules, workers) = (settings.copy.clone(), settings.rules.clone(), settings.workers);
    let kept = blocking(move || FollowedLog::resume(copy, rules, workers)).await?;
    let following = connect::connect(settings, "follow").await?;
    let publishing = connect::connect(settings, "publish").await?;
    let talking = connect::connect(settings, "peers").await?;
    let patience = if kept.is_some() { PATIENCE_WITH_COPY } else { START_PATIENCE };
    // Before anything is made: a stream on servers that do not sync would look as if it were one to keep.
    monitor::check(&settings.monitors).await?;
    let checked = match connect::check(settings, &following, patience).await {
        Ok(()) => Order::open(&following, &settings.log, &settings.rules, patience).await,
        Err(error) => Err(error),
    };
    let order = match checked {
        Ok(order) => Some(order),
        Err(error) if kept.is_some() && error.is_passing() => {
            tracing::error!("{error}; what was followed before can be read");
            state.say_trouble(Some(error.to_string()));
            None
        }
        Err(error) => return Err(error),
    };
    let log = match (kept, &order) {
        (Some(log), _) => log,
        (None, Some(order)) => {
            let identity = order.first_identity().await?;
            let begin = (identity.epoch, Offset(identity.first - 1));
            let (copy, rules) = (settings.copy.clone(), settings.rules.clone());
            blocking(move || FollowedLog::begin(copy, rules, workers, begin)).await?
        }
        // Without a copy, an order that can't be reached is an error above.
        (None, None) => {
            return Err(OrderError::Unreachable(settings.places(), "no connection".to_owned()));
        }
    };
    let log = Arc::new(log);
    let subjects = Subjects::of(&settings.log);
    let (root, copy) = (subjects.peers(), (Arc::clone(&log), Arc::clone(&state.audit)));
    let publisher = Publisher::new(publishing, subjects, settings.rules.clone())?;
    let peers = Peers::begin(talking, &root, &settings.node, copy, &Handle::current())
        .map_err(|error| OrderError::Copy(io::Error::other(error.to_string())))?;
    let shared = (Arc::clone(&log), Arc::clone(&publisher), Arc::clone(&state), Arc::clone(&peers));
    tokio::spawn(follow(settings.clone(), order, following, shared.0, shared.1, shared.2, shared.3));
    Ok((log, publisher, state, peers))
}

/// Follows the order for as long as the runtime lives, once it can be reached.
async fn follow(
    settings: OrderSettings,
    mut order: Option<Order>,
    client: Client,
    log: Arc<FollowedLog>,
    publisher: Arc<Publisher>,
    state: Arc<State>,
    peers: Arc<Peers>,
) {
    let order = loop {
        if let Some(order) = order {
            break order;
        }
        let opened = match connect::check(&settings, &client, START_PATIENCE).await {
            Ok(()) => Order::open(&client, &settings.log, &settings.rules, START_PATIENCE).await,
            Err(error) => Err(error),
        };
        order = opened.map_err(|error| state.say_trouble(Some(error.to_string()))).ok();
    };
    peers.keeps_leases_in(order.bucket().clone());
    let (told, identity) = watch::channel(None);
    let follower = Follower {
        client,
        order: order.clone(),
        log: Arc::clone(&log),
        state: Arc::clone(&state),
        publisher,
        identity,
        peers,
        suspected: None,
        audited: Audited::default(),
    };
    tokio::join!(follower::look(order, state, log, told), follower.run());
}

/// Runs blocking work on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
