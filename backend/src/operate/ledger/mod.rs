//! The delivery ledger: `POST /v1/ledger` compares the events that a reader reports with the log; `GET` shows the
//! accounts of all readers to an operator.
//!
//! The expected events are read from the log itself, not taken from the figures of a connection. So a fault of any part
//! between the log and the reader shows up here.

mod book;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
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
use crate::{access::Grant, net::body, problem::Failure, worker::Worker};

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
        self.missing = self.by_reader.values().map(|entry| entry.book.missing()).sum();
    }
}

#[derive(Debug)]
struct Entry {
    subject: Option<Box<str>>,
    topics: Vec<Filter>,
    book: Book,
    reported_at: Instant,
}

/// One reader's account with one technique.
#[derive(Serialize)]
struct Row {
    reader: ReaderId,
    #[serde(skip_serializing_if = "Option::is_none")]
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

impl Ledger {
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
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        if books.by_reader.len() >= MAX_READERS && !books.by_reader.contains_key(&report.reader) {
            let oldest = books.by_reader.iter().min_by_key(|(_, entry)| entry.reported_at);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                books.forget(|id, _| *id == oldest);
            }
        }
        let Books { by_reader, missing } = &mut *books;
        let entry = by_reader.entry(report.reader.clone()).or_insert_with(|| Entry {
            subject: grant.subject.clone(),
            topics: Vec::new(),
            book: Book::new(report.after),
            reported_at: Instant::now(),
        });
        if entry.subject != grant.subject {
            return Err(Failure::new(Code::Forbidden, "another subject uses this name").field("reader"));
        }
        entry.reported_at = Instant::now();
        entry.topics.clone_from(&report.topics);
        let before = entry.book.missing();
        let room = MAX_MISSING.saturating_sub(*missing);
        let account = entry.book.enter(&report, expected.as_deref(), room);
        *missing = *missing + entry.book.missing() - before;
        Ok(account)
    }

    /// Forgets readers that have not reported for an hour. The server's sweeper calls this once a second.
    pub fn sweep(&self) {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.forget(|_, entry| entry.reported_at.elapsed() >= KEPT);
    }

    /// Returns one row per reader and technique, sorted by both.
    fn rows(&self) -> Vec<Row> {
        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = books.by_reader.iter().flat_map(|(reader, entry)| {
            entry.book.accounts().map(|(technique, account)| Row {
                reader: reader.clone(),
                subject: entry.subject.clone(),
                technique,
                topics: entry.topics.clone(),
                through: entry.book.through(),
                reported_s: entry.reported_at.elapsed().as_secs(),
                account,
            })
        });
        let mut rows: Vec<Row> = rows.collect();
        rows.sort_by(|a, b| (&a.reader, a.technique.index()).cmp(&(&b.reader, b.technique.index())));
        rows
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
) -> Result<HttpResponse, Failure> {
    grant.may_operate()?;
    let format =
        query.map_err(|_| Failure::new(Code::BadParameter, "allowed are json, csv").field("format"))?;
    let rows = ledger.rows();
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(match format.format {
        Kind::Json => response.json(serde_json::json!({ "readers": rows })),
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
