//! `GET /v1/lab/ws?lab=id`: the lab's own channel with a page. Its traffic is in no figure.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{HttpRequest, HttpResponse, rt, web};
use actix_ws::{AggregatedMessage, MessageStream, Session};
use fourways_shared::{
    Code, Filter, Policy,
    account::{ReaderId, Report},
    lab::{LabCommand, LabId, LabNews, WireRecord, write_records},
};
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    clock,
    visitors::{Visit, Visitors},
};
use crate::{access::Grant, delivery::Room, ledger::Ledger, problem::Failure};

/// How often what changed is told.
const EVERY: Duration = Duration::from_millis(200);
/// A page that takes nothing for so long is gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// A page says nothing when it wants nothing: whether it is there is asked with pings.
const PING_EVERY: Duration = Duration::from_secs(15);
const MAX_COMMAND_BYTES: usize = 4 * 1024;
/// Records in one message.
const MAX_BATCH: usize = 512;

/// Opens the channel of the page whose id is in the query.
///
/// # Errors
/// 400 if the id is none, 503 if too many pages are here.
pub async fn handle(
    request: HttpRequest,
    payload: web::Payload,
    grant: Grant,
    room: web::Data<Room>,
    ledger: web::Data<Ledger>,
    visitors: web::Data<Visitors>,
) -> Result<HttpResponse, Failure> {
    let bad = |detail: String| Failure::new(Code::BadParameter, detail).field("lab");
    let query: Vec<(String, String)> = serde_urlencoded::from_str(request.query_string()).unwrap_or_default();
    let id = query.iter().find(|(name, _)| name == "lab").map(|(_, value)| value.parse::<LabId>());
    let id = id.ok_or_else(|| bad("give the page's id, as in ?lab=…".to_owned()))?;
    let id = id.map_err(|error| bad(error.to_string()))?;
    let books = Books { reader: reader(id), grant, room, ledger };
    let Some((visit, records)) = visitors.into_inner().arrive(id) else {
        return Err(Failure::new(Code::Unavailable, "too many pages use the lab; try again later"));
    };
    let (response, session, messages) =
        actix_ws::handle(&request, payload).map_err(|error| bad(error.to_string()))?;
    // Ends with the connection, or when the page takes nothing any more.
    rt::spawn(serve(visit, books, records, session, messages));
    Ok(response)
}

/// Where the page's reports go, and in whose name.
struct Books {
    reader: String,
    grant: Grant,
    room: web::Data<Room>,
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
    messages: MessageStream,
) {
    let mut messages = messages
        .max_frame_size(MAX_COMMAND_BYTES)
        .aggregate_continuations()
        .max_continuation_size(MAX_COMMAND_BYTES);
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = LabNews::default();
    let (mut heard_at, mut pinged_at) = (Instant::now(), Instant::now());
    let mut batch = Vec::new();
    loop {
        let sent = tokio::select! {
            message = messages.next() => {
                heard_at = Instant::now();
                match message {
                    Some(Ok(AggregatedMessage::Text(text))) => {
                        told.commands += 1;
                        let refused = carry_out(&visit, &books, &text, &mut told).await.err();
                        tell(&mut session, &news(&visit, &mut told, refused)).await
                    }
                    Some(Ok(AggregatedMessage::Ping(payload))) => within(session.pong(&payload)).await,
                    Some(Ok(AggregatedMessage::Pong(_))) => continue,
                    Some(Ok(AggregatedMessage::Binary(_) | AggregatedMessage::Close(_)) | Err(_)) | None => false,
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
                !is_silent && is_fine && (is_old || tell(&mut session, &news(&visit, &mut told, None)).await)
            }
        };
        if !sent {
            break;
        }
    }
    // A connection that is gone can't be closed in order.
    drop(timeout(WRITE_DEADLINE, session.close(None)).await);
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
            let taken = books.ledger.take(report, &books.grant, &books.room).await;
            told.account = Some((run, technique, taken.map_err(|failure| failure.problem().detail)?));
        }
    }
    Ok(())
}

/// How things stand.
fn news(visit: &Visit, told: &mut LabNews, refused: Option<String>) -> LabNews {
    let visitor = &visit.visitor;
    told.now = clock::now_us();
    told.counts = visitor.counts();
    told.faults = visitor.active();
    told.left_out = visitor.left_out();
    LabNews { refused, ..told.clone() }
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
