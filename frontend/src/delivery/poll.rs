//! Code that the two polling techniques share: asking, reading the answer, and asking again.

use std::{cell::Cell, rc::Rc, time::Duration};

use fourways_model::format::plain;
use fourways_model::record::{Delivered, Link, Note, Record, RecordKind, head};
use fourways_shared::{Advice, After, PollBody, Problem, Technique, lab::Part, session::Session};
use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortController, RequestCache, RequestInit, Response};

use super::{Received, Request, Sink};
use crate::browser::{clock, page, timer, wake};

/// Parameters of one polling technique.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub(super) technique: Technique,
    /// Value of the `wait` parameter, in seconds; `None` for short polls.
    pub(super) wait_s: Option<f64>,
    /// Pause after an answer, in milliseconds.
    pub(super) pause_ms: f64,
}

/// A running poll loop. Dropping the handle aborts the request in flight.
pub(crate) struct Handle {
    controller: Option<AbortController>,
    is_open: Rc<Cell<bool>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.is_open.set(false);
        if let Some(controller) = &self.controller {
            controller.abort();
        }
    }
}

pub(super) fn open(manner: Manner, request: Request, sink: Sink) -> Handle {
    let controller = AbortController::new().ok();
    let is_open = Rc::new(Cell::new(true));
    let mut poller = Poller {
        session: Session::new(request.after, page::random_seed()),
        manner,
        request,
        sink,
        controller: controller.clone(),
    };
    let wanted = Rc::clone(&is_open);
    spawn_local(async move {
        while wanted.get() {
            let pause_ms = poller.ask(&wanted).await;
            match pause_ms {
                Some(ms) if wanted.get() => {
                    // The visitor sets the pause between polls; only the wait before another attempt may be cut short.
                    if poller.session.attempt() > 0 {
                        wake::sleep(ms).await;
                    } else if ms > 0.0 {
                        timer::sleep(ms).await;
                    }
                }
                _ => return,
            }
        }
    });
    Handle { controller, is_open }
}

struct Poller {
    session: Session,
    manner: Manner,
    request: Request,
    sink: Sink,
    controller: Option<AbortController>,
}

/// Events left at the server after an answer.
enum Left {
    Nothing,
    More,
}

/// An answer, as far as a page can see it.
struct Answer {
    status: u16,
    head: String,
    body: String,
    retry_after: Option<Duration>,
    etag: Option<String>,
    node: Option<String>,
}

impl Poller {
    /// Makes one request and handles its answer. Returns the pause before the next one, in milliseconds; `None` to
    /// stop.
    async fn ask(&mut self, wanted: &Cell<bool>) -> Option<f64> {
        let after = self.session.after();
        let (mut address, n) = self.request.address("/v1/events", after);
        if let Some(wait_s) = self.manner.wait_s {
            address = format!("{address}&wait={}", plain(wait_s));
        }
        let tag = match after {
            After::Cursor(cursor) if self.manner.wait_s.is_none() => Some(format!("\"{cursor}\"")),
            _ => None,
        };
        let began_ms = clock::now_ms();
        (self.sink)(Note::Link(match self.manner.wait_s {
            Some(_) => Link::Held { since_ms: began_ms },
            None => Link::Opening,
        }));
        let answer = fetch(&address, tag.as_deref(), self.controller.as_ref()).await;
        // The answer is complete; the time to handle it must not count.
        let ended_ms = clock::now_ms();
        if !wanted.get() {
            return None;
        }
        let mut record = Record {
            began_ms,
            up: head(&request_head(&address, tag.as_deref())),
            ..Record::new(self.manner.technique, n, RecordKind::Failed, ended_ms)
        };
        let had_failed = self.session.attempt() > 0;
        let advice = match answer {
            Ok(answer) => self.take(answer, &mut record),
            Err(why) => {
                record.status = why;
                Err(Advice::Retry(Duration::ZERO))
            }
        };
        record.cursor = self.session.cursor();
        let why = record.status.clone();
        (self.sink)(Note::Record(Box::new(record)));
        if had_failed && advice.is_ok() {
            wake::call();
        }
        match advice {
            // More events are waiting: with a pause, the lag would grow for ever at a high rate.
            Ok(Left::More) => Some(0.0),
            Ok(Left::Nothing) => {
                if self.manner.pause_ms > 0.0 {
                    (self.sink)(Note::Link(Link::Idle));
                }
                Some(self.manner.pause_ms)
            }
            Err(advice) => {
                let wait = self.session.failed(advice);
                (self.sink)(Note::Link(match wait {
                    Some(wait) => Link::Waiting {
                        until_ms: Some(ended_ms + wait.as_secs_f64() * 1000.0),
                        attempt: self.session.attempt(),
                        why,
                    },
                    None => Link::Stopped { why },
                }));
                wait.map(|wait| wait.as_secs_f64() * 1000.0)
            }
        }
    }

    fn take(&mut self, answer: Answer, record: &mut Record) -> Result<Left, Advice> {
        let Answer { status, head: lines, body, retry_after, etag, node } = answer;
        record.status = status.to_string();
        record.node = node;
        record.code = status;
        record.down = head(&lines);
        record.down.push((Part::Payload, body.clone().into_bytes()));
        match status {
            200 => {
                let Ok(body) = serde_json::from_str::<PollBody>(&body) else {
                    "200, but no poll's body".clone_into(&mut record.status);
                    return Err(Advice::Retry(Duration::ZERO));
                };
                let left = if body.more { Left::More } else { Left::Nothing };
                let Received { events, reset, .. } = self.receive(body);
                record.kind = if events.is_empty() { RecordKind::Empty } else { RecordKind::Data };
                (record.events, record.reset) = (events, reset);
                Ok(left)
            }
            204 | 304 => {
                if let Some(cursor) = etag.and_then(|tag| tag.trim_matches('"').parse().ok()) {
                    self.session.moved(cursor);
                }
                record.kind = RecordKind::Empty;
                Ok(Left::Nothing)
            }
            _ => {
                if let Ok(problem) = serde_json::from_str::<Problem>(&body) {
                    record.status = format!("{status} {}", problem.detail);
                }
                Err(Advice::of_status(status, retry_after))
            }
        }
    }

    fn receive(&mut self, body: PollBody) -> Received {
        if let Some(reset) = &body.reset {
            self.session.reset(reset);
        }
        let events = body.events.into_iter();
        let events =
            events.map(|event| Delivered { is_new: self.session.accept(event.cursor), event }).collect();
        self.session.moved(body.cursor);
        Received { events, reset: body.reset, node: None }
    }
}

async fn fetch(
    address: &str,
    tag: Option<&str>,
    controller: Option<&AbortController>,
) -> Result<Answer, String> {
    let lost = |_| "no answer".to_owned();
    let options = RequestInit::new();
    options.set_cache(RequestCache::NoStore);
    if let Some(controller) = controller {
        options.set_signal(Some(&controller.signal()));
    }
    let request = web_sys::Request::new_with_str_and_init(address, &options).map_err(lost)?;
    if let Some(tag) = tag {
        request.headers().set("If-None-Match", tag).map_err(lost)?;
    }
    let window = web_sys::window().ok_or("no window")?;
    let response: Response =
        JsFuture::from(window.fetch_with_request(&request)).await.map_err(lost)?.dyn_into().map_err(lost)?;
    let body = JsFuture::from(response.text().map_err(lost)?).await.map_err(lost)?;
    let header = |name| response.headers().get(name).ok().flatten();
    Ok(Answer {
        status: response.status(),
        head: response_head(&response),
        body: body.as_string().unwrap_or_default(),
        retry_after: header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs),
        etag: header("etag"),
        node: header("fourways-node"),
    })
}

/// Formats the status line and headers as HTTP/1.1 writes them; same-origin answers hide none but cookies.
fn response_head(response: &Response) -> String {
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status(), response.status_text());
    let entries = js_sys::try_iter(&response.headers()).ok().flatten();
    for entry in entries.into_iter().flatten().filter_map(Result::ok) {
        let pair: js_sys::Array = entry.unchecked_into();
        if let (Some(name), Some(value)) = (pair.get(0).as_string(), pair.get(1).as_string()) {
            head.extend([&name, ": ", &value, "\r\n"]);
        }
    }
    head.push_str("\r\n");
    head
}

fn request_head(address: &str, tag: Option<&str>) -> String {
    let host = page::origin().split("//").nth(1).unwrap_or_default().to_owned();
    let tag = tag.map_or(String::new(), |tag| format!("If-None-Match: {tag}\r\n"));
    format!("GET {address} HTTP/1.1\r\nHost: {host}\r\n{tag}\r\n")
}
