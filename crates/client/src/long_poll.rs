//! Long polling: one request at a time, whose answer the server holds until there is an event.

use std::time::Duration;

use fourways_shared::session::Session;
use reqwest::Method;

use crate::{Ended, Sink, Target, short_poll::answer};

pub(crate) async fn run(target: &Target, session: &mut Session, sink: &mut Sink<'_>) -> Ended {
    let mut url = target.read_url("/v1/events", session.after());
    url.query_pairs_mut().append_pair("wait", &target.hold.as_secs_f64().to_string());
    // The server holds the poll for the time asked for. An answer that is 10 s later than that will never come.
    answer(target.ask(Method::GET, url).timeout(target.hold + Duration::from_secs(10)), session, sink).await
}
