//! `GET /v1/lab/ws?lab=id`: the lab's own channel with a page. Its traffic is in no figure.

use std::{
    future::poll_fn,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{FromRequest as _, HttpRequest, HttpResponse, dev, rt, web};
use actix_ws::{CloseCode, CloseReason, Session};
use fourways_shared::{
    Code, Filter, Policy,
    account::{ReaderId, Report},
    lab::{LabCommand, LabId, LabNews, WireRecord, write_records},
};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};

use super::visitors::{MAX_RECORDS, Visit, Visitors};
use crate::{
    access::{
        Grant,
        limits::{Client, Held},
    },
    clock,
    delivery::websocket::{Incoming, Message, TOKEN_EXPIRED},
    operate::ledger::Ledger,
    problem::Failure,
    worker::Worker,
};

/// How often what changed is told.
const EVERY: Duration = Duration::from_millis(200);
/// A page that takes nothing for so long is gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// A page says nothing when it wants nothing: whether it is there is asked with pings.
const PING_EVERY: Duration = Duration::from_secs(15);
const MAX_COMMAND_BYTES: usize = 4 * 1024;
/// Records in one message.
const MAX_BATCH: usize = 512;

/// Opens the channel of the page whose id is in the query. It ends with its token, with code 4401, and when the server
/// stops, with 1012; it is held like any other socket.
///
/// # Errors
/// 400 if the id is none, 429 for more than one client may hold, 503 if too many pages are here or the server ends.
pub async fn handle(
    request: HttpRequest,
    payload: web::Payload,
    grant: Grant,
    worker: web::Data<Worker>,
    ledger: web::Data<Ledger>,
    visitors: web::Data<Visitors>,
) -> Result<HttpResponse, Failure> {
    let bad = |detail: String| Failure::new(Code::BadParameter, detail).field("lab");
    let mut query = form_urlencoded::parse(request.query_string().as_bytes());
    let id = query.find(|(name, _)| name == "lab").map(|(_, value)| value.parse::<LabId>());
    let id = id.ok_or_else(|| bad("give the page's id, as in ?lab=…".to_owned()))?;
    let id = id.map_err(|error| bad(error.to_string()))?;
    worker.is_serving()?;
    let place = worker.usage.hold(Client::of(&request, &grant, worker.limits.trusted_hops), Held::Stream)?;
    let books = Books { reader: reader(id), grant, worker, ledger };
    let Some((visit, records)) = visitors.into_inner().arrive(id) else {
        return Err(Failure::new(Code::Unavailable, "too many pages use the lab; try again later"));
    };
    // What comes in is read here, where no message is longer than it may be.
    let nothing = web::Payload::from_request(&request, &mut dev::Payload::None)
        .await
        .map_err(|error| bad(error.to_string()))?;
    let (response, session, _) =
        actix_ws::handle(&request, nothing).map_err(|error| bad(error.to_string()))?;
    let incoming = Incoming::new(payload, MAX_COMMAND_BYTES, false);
    // Ends with the connection, or when the page takes nothing any more.
    rt::spawn(async move {
        serve(visit, books, records, session, incoming).await;
        drop(place);
    });
    Ok(response)
}

/// Where the page's reports go, and in whose name.
struct Books {
    reader: String,
    grant: Grant,
    worker: web::Data<Worker>,
    ledger: web::Data<Ledger>,
}

/// A page's name in the ledger, which others may see: its id can't be told from it.
fn reader(id: LabId) -> String {
    let hash = Sha256::digest(id.as_str());
    format!("lab-{:08x}", u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]))
}

async fn serve(
    visit: Visit,
    books: Books,
    mut records: mpsc::Receiver<WireRecord>,
    mut session: Session,
    mut incoming: Incoming,
) {
    let ends_at = books.grant.lasts().map(|lasts| Instant::now() + lasts);
    let mut why = None;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = LabNews::default();
    let (mut heard_at, mut pinged_at) = (Instant::now(), Instant::now());
    let mut batch = Vec::new();
    loop {
        let sent = tokio::select! {
            message = poll_fn(|cx| incoming.poll_message(cx)) => {
                heard_at = Instant::now();
                match message {
                    Message::Text(text) => {
                        told.commands += 1;
                        let refused = carry_out(&visit, &books, &text, &mut told).await.err();
                        // What was counted before the command is told before its answer: a page that begins from zero
                        // with the answer would take it for what came after.
                        send_waiting(&mut session, &mut records, &mut batch).await
                            && tell(&mut session, &news(&visit, &mut told, refused)).await
                    }
                    Message::Ping(payload) => within(session.pong(&payload)).await,
                    Message::Pong => continue,
                    Message::Violation(code, reason) => {
                        why = Some(CloseReason { code, description: Some(reason.to_owned()) });
                        false
                    }
                    Message::Binary(_) | Message::Close(_) | Message::Gone => false,
                }
            }
            count = records.recv_many(&mut batch, MAX_BATCH) => {
                // Another channel of the same page has taken the records over.
                if count == 0 { break }
                let message = write_records(&mut batch);
                batch.clear();
                within(session.binary(message)).await
            }
            _ = ticks.tick() => {
                why = ending(&books.worker, ends_at);
                let is_silent = heard_at.elapsed() > PING_EVERY * 2;
                let is_fine = if pinged_at.elapsed() > PING_EVERY {
                    pinged_at = Instant::now();
                    within(session.ping(b"")).await
                } else {
                    true
                };
                let is_old = visit.visitor.counts() == told.counts
                    && visit.visitor.active() == told.faults
                    && visit.visitor.left_out() == told.left_out;
                why.is_none() && !is_silent && is_fine && (is_old || tell(&mut session, &news(&visit, &mut told, None)).await)
            }
        };
        if !sent {
            break;
        }
    }
    // A connection that is gone can't be closed in order.
    drop(timeout(WRITE_DEADLINE, session.close(why)).await);
}

/// Why the channel is to end now, if it is.
fn ending(worker: &Worker, ends_at: Option<Instant>) -> Option<CloseReason> {
    let reason = |code: u16, text: &str| CloseReason {
        code: CloseCode::from(code),
        description: Some(text.to_owned()),
    };
    if worker.drain.is_on() {
        return Some(reason(1012, "the server is being stopped; come back in a moment"));
    }
    let is_over = ends_at.is_some_and(|ends_at| ends_at <= Instant::now());
    is_over.then(|| reason(TOKEN_EXPIRED, "the token of this channel has expired"))
}

async fn carry_out(visit: &Visit, books: &Books, text: &str, told: &mut LabNews) -> Result<(), String> {
    let command: LabCommand =
        serde_json::from_str(text).map_err(|error| format!("no command of the lab: {error}"))?;
    let visitor = &visit.visitor;
    match command {
        LabCommand::Watch(techniques) => visitor.watch(techniques),
        LabCommand::Fault { techniques, fault } => {
            fault.check()?;
            visitor.begin(&techniques, fault);
        }
        LabCommand::Heal(techniques) => visitor.heal(&techniques),
        LabCommand::Zero(techniques) => visitor.zero(&techniques),
        LabCommand::Held { run, technique, topics, after, through, held } => {
            let name = format!("{}-{run}", books.reader);
            let reader: ReaderId = name.parse().map_err(str::to_owned)?;
            let topics = topics.iter().map(Filter::from).collect();
            let report = Report { reader, technique, topics, policy: Policy::All, after, through, held };
            let taken = books.ledger.take(report, &books.grant, &books.worker).await;
            told.account = Some((run, technique, taken.map_err(|failure| failure.problem().detail)?));
        }
    }
    Ok(())
}

/// How things stand.
fn news(visit: &Visit, told: &mut LabNews, refused: Option<String>) -> LabNews {
    let visitor = &visit.visitor;
    told.now = clock::now_us();
    told.since = visitor.since_us;
    told.counts = visitor.counts();
    told.faults = visitor.active();
    told.left_out = visitor.left_out();
    LabNews { refused, ..told.clone() }
}

/// Sends the records that wait.
async fn send_waiting(
    session: &mut Session,
    records: &mut mpsc::Receiver<WireRecord>,
    batch: &mut Vec<WireRecord>,
) -> bool {
    while batch.len() < MAX_RECORDS
        && let Ok(record) = records.try_recv()
    {
        batch.push(record);
    }
    if batch.is_empty() {
        return true;
    }
    let message = write_records(batch);
    batch.clear();
    within(session.binary(message)).await
}

async fn tell(session: &mut Session, news: &LabNews) -> bool {
    within(session.text(serde_json::to_string(news).unwrap_or_default())).await
}

async fn within(sending: impl Future<Output = Result<(), actix_ws::Closed>>) -> bool {
    matches!(timeout(WRITE_DEADLINE, sending).await, Ok(Ok(())))
}

/// The registry as handlers are given it.
pub fn data(visitors: Arc<Visitors>) -> web::Data<Visitors> {
    web::Data::from(visitors)
}
