//! Short polling: one request, which the server answers at once with the events that it has.

use std::ops::ControlFlow;

use fourways_shared::{After, PollBody, session::Session};
use reqwest::{
    Method,
    header::{ETAG, IF_NONE_MATCH},
};

use crate::{Arrival, Ended, Sink, Target, break_off, deliver, moved, target};

pub(crate) async fn run(target: &Target, session: &mut Session, sink: &mut Sink<'_>) -> Ended {
    let after = session.after();
    let mut request = target.ask(Method::GET, target.read_url("/v1/events", after)).timeout(target.silence);
    if let After::Cursor(cursor) = after {
        request = request.header(IF_NONE_MATCH, format!("\"{cursor}\""));
    }
    answer(request, session, sink).await
}

/// Sends the request of a short or long poll, and hands over the events of its answer.
pub(crate) async fn answer(
    request: reqwest::RequestBuilder,
    session: &mut Session,
    sink: &mut Sink<'_>,
) -> Ended {
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return target::lost(error),
    };
    let status = response.status().as_u16();
    let retry_after = target::retry_after(&response);
    let tag = response.headers().get(ETAG).and_then(|value| value.to_str().ok());
    let tag = tag.and_then(|text| text.trim_matches('"').parse().ok());
    let body = match response.bytes().await {
        Ok(body) => body,
        Err(error) => return target::lost(error),
    };
    let mut has_more = false;
    let outcome = match status {
        204 | 304 => sink(Arrival::Opened).is_continue().then(|| match tag {
            Some(cursor) => moved(session, sink, cursor),
            None => ControlFlow::Continue(()),
        }),
        200 => match serde_json::from_slice::<PollBody>(&body) {
            Ok(body) => {
                has_more = body.more;
                sink(Arrival::Opened).is_continue().then(|| take(body, session, sink))
            }
            Err(error) => return target::lost(format!("the answer can't be read: {error}")),
        },
        _ => return target::refused(status, retry_after, &body),
    };
    match outcome {
        Some(ControlFlow::Continue(())) if has_more => Ended::Full,
        Some(ControlFlow::Continue(())) => Ended::Answered,
        _ => Ended::Stopped,
    }
}

fn take(body: PollBody, session: &mut Session, sink: &mut Sink<'_>) -> ControlFlow<()> {
    if let Some(reset) = body.reset {
        break_off(session, sink, reset)?;
    }
    for event in body.events {
        deliver(session, sink, event)?;
    }
    moved(session, sink, body.cursor)
}
