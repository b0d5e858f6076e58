//! The delivery ledger: `POST /v1/ledger` compares the events that a reader reports with the log; `GET` shows the
//! accounts of all readers to an operator.
//!
//! The expected events are read from the log itself, not taken from the figures of a connection. So a fault of any part
//! between the log and the reader shows up here.
//!
//! If several servers share the log, a reader's book is at the server that got the reader's last report: a server that
//! gets a report which does not follow takes the book over from the one that has it.

mod book;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use fourways_log::subscription::Reader;
use fourways_shared::{
    After, Code, Cursor, Filter, Technique,
    account::{Account, ReaderId, Report},
};
use serde::{Deserialize, Serialize};

use self::book::Book;
use crate::{access::Grant, net::body, operate::nodes::Nodes, problem::Failure, worker::Worker};

/// Time after its last report that a reader is remembered.
const KEPT: Duration = Duration::from_hours(1);
/// Maximum number of readers; a new one replaces the reader that reported longest ago.
const MAX_READERS: usize = 10_000;
/// Maximum number of lost events that all books together remember: about 2 MB.
const MAX_MISSING: usize = 50_000;
/// Maximum number of events that the log may have in a reported range beyond those that the reader holds.
const MAX_GAP: usize = 10_000;
/// Number of events that are read from the log at once.
const BATCH: usize = 1000;

/// Number of readers whose rows another server is told at once.
const PAGE: usize = 500;
/// Kinds of questions between servers.
const TAKE: &str = "ledger-take";
const ROWS: &str = "ledger-rows";

/// The accounts of all readers. One for the whole server, shared by all workers, and lost when the server stops. The
/// mutex is never held while the log is read.
#[derive(Debug, Default)]
pub struct Ledger {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    by_reader: HashMap<ReaderId, Entry>,
    /// Number of lost events that all books together remember.
    missing: usize,
}

impl Books {
    fn forget(&mut self, is_forgotten: impl Fn(&ReaderId, &Entry) -> bool) {
        self.by_reader.retain(|reader, entry| !is_forgotten(reader, entry));
        self.missing = self.by_reader.values().map(|entry| entry.account.book.missing()).sum();
    }
}

#[derive(Debug)]
struct Entry {
    account: Kept,
    reported_at: Instant,
}

/// The part of an entry that another server can take over.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    subject: Option<Box<str>>,
    topics: Vec<Filter>,
    book: Book,
}

/// The question of another server for the book of a reader.
#[derive(Serialize, Deserialize)]
struct Taken {
    reader: ReaderId,
    subject: Option<Box<str>>,
}

/// One reader's account with one technique.
#[derive(Serialize, Deserialize)]
struct Row {
    reader: ReaderId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    subject: Option<Box<str>>,
    technique: Technique,
    topics: Vec<Filter>,
    /// End of the reader's last report.
    through: Cursor,
    /// Seconds since the reader's last report.
    reported_s: u64,
    #[serde(flatten)]
    account: Account,
}

/// The answer to `GET /v1/ledger`.
#[derive(Serialize)]
struct Rows {
    readers: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<usize>,
}

impl Ledger {
    /// Creates an empty ledger, of which the other servers may take books and read rows.
    pub(crate) fn new(nodes: &Nodes) -> Arc<Self> {
        let ledger = Arc::new(Self::default());
        let (asked, listed) = (Arc::clone(&ledger), Arc::clone(&ledger));
        nodes.answers(TAKE, move |taken| asked.give(&taken));
        nodes.answers(ROWS, move |after: Option<ReaderId>| listed.rows(after.as_ref(), PAGE));
        ledger
    }

    /// Gives a reader's book to another server; `None` if it is not here, or is another subject's.
    fn give(&self, taken: &Taken) -> Option<Kept> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.by_reader.get(&taken.reader).filter(|entry| entry.account.subject == taken.subject)?;
        let entry = books.by_reader.remove(&taken.reader)?;
        books.missing -= entry.account.book.missing();
        Some(entry.account)
    }

    /// Takes a reader's book over from the server that has it, if a report does not follow what is known here.
    async fn take_over(&self, report: &Report, grant: &Grant, nodes: &Nodes) {
        let follows = {
            let books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
            let known = books.by_reader.get(&report.reader);
            known.is_some_and(|known| known.account.book.through() == report.after)
        };
        if follows || nodes.peers().is_none() {
            return;
        }
        let taken = Taken { reader: report.reader.clone(), subject: grant.subject.clone() };
        let given = nodes.ask_all::<Option<Kept>>(TAKE, &taken).await.answers;
        let given = given.into_iter().filter_map(|(_, given)| given);
        // Of several, the newest is the reader's.
        let Some(given) = given.max_by_key(|given| given.book.through().offset) else { return };
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let Books { by_reader, missing } = &mut *books;
        let own = by_reader.get(&report.reader).map(|own| own.account.book.through().offset);
        if own.is_none_or(|own| own < given.book.through().offset) {
            *missing += given.book.missing();
            let entry = Entry { account: given, reported_at: Instant::now() };
            if let Some(before) = by_reader.insert(report.reader.clone(), entry) {
                *missing -= before.account.book.missing();
            }
        }
    }

    /// Compares a report with the log, and returns the reader's account for the report's technique.
    ///
    /// # Errors
    /// 400 if the report has no topics or too many, is of another epoch, ends beyond the log's head, or covers more
    /// events than one report may; 403 if its topics are not granted, or if the reader's name is used by another
    /// subject.
    pub async fn take(&self, report: Report, grant: &Grant, worker: &Worker) -> Result<Account, Failure> {
        let bad = |field, detail: String| Failure::new(Code::BadParameter, detail).field(field);
        if report.topics.is_empty() || report.topics.len() > worker.limits.max_topics {
            let detail = format!("give 1 to {} topics", worker.limits.max_topics);
            return Err(bad("topics", detail));
        }
        grant.may_subscribe(&report.topics)?;
        let (tail, Report { after, through, .. }) = (worker.tail(), &report);
        if [after.epoch, through.epoch] != [tail.epoch(); 2] {
            return Err(bad(
                "after",
                "it is of another epoch of the log; start again at its head".to_owned(),
            ));
        }
        if after.offset > through.offset {
            return Err(bad("through", format!("after {after} and through {through} are not a range")));
        }
        worker.has_reached(&tail, *through, "through").await?;
        let expected = expected(&report, worker).await?;
        self.take_over(&report, grant, &worker.nodes).await;
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        if books.by_reader.len() >= MAX_READERS && !books.by_reader.contains_key(&report.reader) {
            let oldest = books.by_reader.iter().min_by_key(|(_, entry)| entry.reported_at);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                books.forget(|id, _| *id == oldest);
            }
        }
        let Books { by_reader, missing } = &mut *books;
        let entry = by_reader.entry(report.reader.clone()).or_insert_with(|| Entry {
            account: Kept {
                subject: grant.subject.clone(),
                topics: Vec::new(),
                book: Book::new(report.after),
            },
            reported_at: Instant::now(),
        });
        if entry.account.subject != grant.subject {
            return Err(Failure::new(Code::Forbidden, "another subject uses this name").field("reader"));
        }
        entry.reported_at = Instant::now();
        let Kept { topics, book, .. } = &mut entry.account;
        topics.clone_from(&report.topics);
        let before = book.missing();
        let room = MAX_MISSING.saturating_sub(*missing);
        let account = book.enter(&report, expected.as_deref(), room);
        *missing = *missing + book.missing() - before;
        Ok(account)
    }

    /// Forgets readers that have not reported for an hour. The server's sweeper calls this once a second.
    pub fn sweep(&self) {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.forget(|_, entry| entry.reported_at.elapsed() >= KEPT);
    }

    /// Returns one row per reader and technique, sorted by both, of the first `most` readers after this one.
    fn rows(&self, after: Option<&ReaderId>, most: usize) -> Vec<Row> {
        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let mut readers: Vec<_> =
            books.by_reader.iter().filter(|(reader, _)| after.is_none_or(|after| *reader > after)).collect();
        readers.sort_by_key(|(reader, _)| *reader);
        let rows = readers.into_iter().take(most).flat_map(|(reader, entry)| {
            let Kept { subject, topics, book } = &entry.account;
            book.accounts().map(|(technique, account)| Row {
                reader: reader.clone(),
                subject: subject.clone(),
                technique,
                topics: topics.clone(),
                through: book.through(),
                reported_s: entry.reported_at.elapsed().as_secs(),
                account,
            })
        });
        rows.collect()
    }

    /// Returns the rows of all servers, and how many servers there are and have answered, if several share the log.
    async fn all_rows(&self, nodes: &Nodes) -> (Vec<Row>, Option<(usize, usize)>) {
        let mut rows = self.rows(None, usize::MAX);
        let Some(peers) = nodes.peers() else { return (rows, None) };
        let others = peers.others();
        let mut answered = 1;
        for other in &others {
            let mut after: Option<ReaderId> = None;
            while let Some(page) = nodes.ask::<Vec<Row>>(&other.id, ROWS, &after).await {
                let Some(last) = page.last() else {
                    answered += 1;
                    break;
                };
                // A server whose pages do not go on is not asked for ever.
                if after.as_ref().is_some_and(|after| last.reader <= *after) {
                    break;
                }
                after = Some(last.reader.clone());
                rows.extend(page);
            }
        }
        rows.sort_by(|a, b| (&a.reader, a.technique.index()).cmp(&(&b.reader, b.technique.index())));
        (rows, Some((others.len() + 1, answered)))
    }
}

/// Returns the offsets of the events that the log has in the reported range; `None` if a part of the range is gone.
async fn expected(report: &Report, worker: &Worker) -> Result<Option<Vec<u64>>, Failure> {
    let most = report.held.len() + MAX_GAP;
    // The server itself reads, so that a report is not counted as a poll.
    let tail = worker.tail();
    let reader = Reader { until: Some(report.through.offset), ..Reader::of_server(&tail) };
    let mut reading = reader.read(&report.topics, After::Cursor(report.after));
    let mut offsets = Vec::with_capacity(report.held.len());
    while reading.has_more() {
        let Some(batch) = reading.now(BATCH).await else { continue };
        if batch.reset.is_some() {
            return Ok(None);
        }
        offsets.extend(batch.events.iter().map(|event| event.offset()));
        if offsets.len() > most {
            let detail = format!(
                "the log has more than {MAX_GAP} events beyond those that are held; report more often"
            );
            return Err(Failure::new(Code::BadParameter, detail).field("held"));
        }
    }
    Ok(Some(offsets))
}

/// `POST /v1/ledger`: enters a report, and answers with the reader's account.
///
/// # Errors
/// The errors of [`Ledger::take`], 400 for a body that is not a report, and the refusals of any body.
pub async fn report(
    request: HttpRequest,
    payload: web::Payload,
    grant: Grant,
    ledger: web::Data<Ledger>,
    worker: web::Data<Worker>,
) -> Result<HttpResponse, Failure> {
    let body = body::whole(payload, &request, &worker).await?;
    let report: Report = serde_json::from_slice(&body).map_err(|error| {
        Failure::new(Code::BadBody, format!("the body is not a report: {error}")).field("body")
    })?;
    let account = ledger.take(report, &grant, &worker).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(account))
}

/// The query of `GET /v1/ledger`.
#[derive(Deserialize)]
pub struct Format {
    #[serde(default)]
    format: Kind,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Json,
    Csv,
}

/// `GET /v1/ledger`: lists the accounts of all readers, as JSON or with `format=csv` as a table.
///
/// # Errors
/// 400 for another format, 403 without the right to operate the server.
pub async fn export(
    grant: Grant,
    query: Result<web::Query<Format>, actix_web::Error>,
    ledger: web::Data<Ledger>,
    worker: web::Data<Worker>,
) -> Result<HttpResponse, Failure> {
    grant.may_operate()?;
    let format =
        query.map_err(|_| Failure::new(Code::BadParameter, "allowed are json, csv").field("format"))?;
    let (rows, nodes) = ledger.all_rows(&worker.nodes).await;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(match format.format {
        Kind::Json => {
            let (nodes, answered) = nodes.unzip();
            response.json(Rows { readers: rows, nodes, answered })
        }
        Kind::Csv => response.content_type("text/csv; charset=utf-8").body(csv(&rows)),
    })
}

/// Returns the rows as CSV (RFC 4180). Only a subject may contain a comma or a quote, so only subjects are quoted.
fn csv(rows: &[Row]) -> String {
    let row = |row: &Row| {
        let Row { reader, subject, technique, topics, through, account, .. } = row;
        let subject = subject.as_deref().unwrap_or_default().replace('"', "\"\"");
        // A spreadsheet takes a text that begins with one of these for a formula, unless an apostrophe comes first.
        let is_formula = subject.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let subject = if is_formula { format!("'{subject}") } else { subject };
        let topics = topics.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let Account { held, lost, repeated, reordered, foreign, conflated, breaks } = account;
        format!(
            "{reader},\"{subject}\",{technique},{topics},{through},{held},{lost},{repeated},{reordered},{foreign},\
             {conflated},{breaks}\r\n"
        )
    };
    let names =
        "reader,subject,technique,topics,through,held,lost,repeated,reordered,foreign,conflated,breaks\r\n";
    std::iter::once(names.to_owned()).chain(rows.iter().map(row)).collect()
}
