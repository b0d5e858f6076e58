//! Long polling: ask; the answer is held until there is something to say.

use std::time::Duration;

use fourways_shared::session::Session;
use reqwest::Method;

use crate::{Ended, Sink, Target, short_poll::answer};

pub(crate) async fn attend(target: &Target, session: &mut Session, sink: &mut Sink<'_>) -> Ended {
    let mut url = target.read_url("/v1/events", session.after());
    url.query_pairs_mut().append_pair("wait", &target.hold.as_secs_f64().to_string());
    // The server holds as long as asked; what comes later than that and some time on the way never comes.
    answer(target.ask(Method::GET, url).timeout(target.hold + Duration::from_secs(10)), session, sink).await
}
