//! `GET /v1/lab/ws?lab=id`: the lab's own channel with a page. Its traffic is in none of the counts.

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

/// Interval at which changes are sent to the page.
const EVERY: Duration = Duration::from_millis(200);
/// Longest time that one write may take; after it the page counts as gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// Interval of pings, which find out that a page is gone: a page may send no command for hours. The channel is closed
/// after twice this time without a frame from the page.
const PING_EVERY: Duration = Duration::from_secs(15);
const MAX_COMMAND_BYTES: usize = 4 * 1024;
/// Most wire records in one message.
const MAX_BATCH: usize = 512;

/// Opens the channel of the page whose id is in the query. The channel is closed with code 4401 when its token expires,
/// and with 1012 when the server shuts down; it takes a permit like any other socket.
///
/// # Errors
/// 400 without a valid id, 429 if the client holds too many connections, 503 if too many pages use the lab or the
/// server is shutting down.
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
    let id = id.ok_or_else(|| bad("the page's id is missing; add it as ?lab=…".to_owned()))?;
    let id = id.map_err(|error| bad(error.to_string()))?;
    worker.is_serving()?;
    let place = worker.usage.hold(Client::of(&request, &grant, worker.limits.trusted_hops), Held::Stream)?;
    let books = Books { reader: reader(id), grant, worker, ledger };
    let Some((visit, records)) = visitors.into_inner().arrive(id) else {
        return Err(Failure::new(Code::Unavailable, "too many pages use the lab; try again later"));
    };
    // `Incoming` reads the payload in place of `actix_ws`, since it limits the length of messages.
    let nothing = web::Payload::from_request(&request, &mut dev::Payload::None)
        .await
        .map_err(|error| bad(error.to_string()))?;
    let (response, session, _) =
        actix_ws::handle(&request, nothing).map_err(|error| bad(error.to_string()))?;
    let incoming = Incoming::new(payload, MAX_COMMAND_BYTES, false);
    // The task ends with the connection, or after a write that misses its deadline.
    rt::spawn(async move {
        serve(visit, books, records, session, incoming).await;
        drop(place);
    });
    Ok(response)
}

/// The ledger for a page's reports, and the identity with which they are entered.
struct Books {
    reader: String,
    grant: Grant,
    worker: web::Data<Worker>,
    ledger: web::Data<Ledger>,
}

/// Returns the name of a page in the ledger. Others may see the name, so it does not reveal the page's id.
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
                        // Records from before the command are sent before its answer: a page that begins at zero with
                        // the answer would take them for later ones.
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
                // Another channel of the same page has taken over the records.
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
    // The result is ignored: a connection that is gone needs no close frame.
    drop(timeout(WRITE_DEADLINE, session.close(why)).await);
}

/// Returns the reason to close the channel now; `None` while it may stay open.
fn ending(worker: &Worker, ends_at: Option<Instant>) -> Option<CloseReason> {
    let reason = |code: u16, text: &str| CloseReason {
        code: CloseCode::from(code),
        description: Some(text.to_owned()),
    };
    if worker.drain.is_on() {
        return Some(reason(1012, "the server is stopping; try again in a moment"));
    }
    let is_over = ends_at.is_some_and(|ends_at| ends_at <= Instant::now());
    is_over.then(|| reason(TOKEN_EXPIRED, "the token of this channel has expired"))
}

async fn carry_out(visit: &Visit, books: &Books, text: &str, told: &mut LabNews) -> Result<(), String> {
    let command: LabCommand =
        serde_json::from_str(text).map_err(|error| format!("not a command of the lab: {error}"))?;
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

/// Updates `told` to the current state, and returns it with the reason for a refused command.
fn news(visit: &Visit, told: &mut LabNews, refused: Option<String>) -> LabNews {
    let visitor = &visit.visitor;
    told.now = clock::now_us();
    told.since = visitor.since_us;
    told.counts = visitor.counts();
    told.faults = visitor.active();
    told.left_out = visitor.left_out();
    LabNews { refused, ..told.clone() }
}

/// Sends the waiting records, at most [`MAX_RECORDS`]. False if the page is gone.
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

/// Wraps the visitors for use by handlers.
pub fn data(visitors: Arc<Visitors>) -> web::Data<Visitors> {
    web::Data::from(visitors)
}
