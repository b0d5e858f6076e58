//! Two servers of one log: each honours the other's tickets, knows the other's connections, subjects and readers, and
//! publishes for both or for neither.

use std::{path::Path, time::Duration};

use fourways_testkit::{DEADLINE, Link, Nats, Process, own_address, skipped};
use serde_json::{Value, json};

use crate::{
    FOURWAYS,
    api::access::{SECRET, signed},
};

/// Two servers, and the NATS server that keeps their order.
struct Pair {
    servers: Vec<Process>,
    http: reqwest::Client,
    operator: String,
    _nats: Nats,
    _folder: tempfile::TempDir,
}

impl Pair {
    /// Starts both with these flags; `None`, aloud, without a NATS server.
    fn start(flags: &[&str]) -> Option<Self> {
        let Some(binary) = Nats::binary() else {
            skipped("there is no nats-server; `cargo xtask test` installs it");
            return None;
        };
        drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
        let nats = Nats::alone(&binary).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, SECRET).unwrap();
        let servers = (0..2).map(|at| serve(&nats, folder.path(), at, flags)).collect();
        let http = reqwest::Client::builder().timeout(DEADLINE).build().unwrap();
        let operator = signed(&json!({
            "sub": "operator", "exp": u32::MAX,
            "fourways": { "subscribe": [">"], "publish": [">"], "operate": true },
        }));
        Some(Self { servers, http, operator, _nats: nats, _folder: folder })
    }

    async fn get(&self, at: usize, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.servers[at].url())).bearer_auth(&self.operator);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// Opens a stream of a subject at a server; an error is the status of a refusal.
    async fn stream(&self, at: usize, subject: &str, topic: &str) -> Result<reqwest::Response, u16> {
        let url = format!("{}/v1/stream?topic={topic}", self.servers[at].url());
        let stream = self.http.get(url).bearer_auth(token_of(subject)).send().await.unwrap();
        if stream.status() == 200 { Ok(stream) } else { Err(stream.status().as_u16()) }
    }

    /// Asks until the answer is as wanted.
    async fn until(&self, at: usize, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let began = std::time::Instant::now();
        loop {
            let answer = self.get(at, path).await;
            if is_so(&answer) {
                return answer;
            }
            assert!(began.elapsed() < DEADLINE, "{path}: {answer}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn serve(nats: &Nats, folder: &Path, at: usize, flags: &[&str]) -> Process {
    let (order, node) = (nats.urls(), format!("server{at}"));
    let key = format!("HS256:{}", folder.join("secret").display());
    let data = folder.join(&node);
    let mut all = vec![
        "--order",
        &order,
        "--node",
        &node,
        "--token-key",
        &key,
        "--data",
        data.to_str().unwrap(),
        "--workers",
        "1",
    ];
    all.extend(flags);
    Process::serve_on(FOURWAYS, &format!("{}:8080", own_address()), &all).unwrap()
}

/// Returns a token of a subject that may read and publish everything.
fn token_of(subject: &str) -> String {
    signed(&json!({
        "sub": subject, "exp": u32::MAX,
        "fourways": { "subscribe": [">"], "publish": [">"] },
    }))
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn a_ticket_of_one_server_is_good_at_the_other_and_once() {
    let Some(pair) = Pair::start(&["--source", "none"]) else { return };
    run(async {
        let url = |at: usize, rest: &str| format!("{}{rest}", pair.servers[at].url());
        let issued = pair.http.post(url(0, "/v1/tickets")).bearer_auth(&pair.operator).send().await.unwrap();
        let issued: Value = serde_json::from_str(&issued.text().await.unwrap()).unwrap();
        let ticket = issued["ticket"].as_str().unwrap();
        let used = |at: usize| {
            let request = pair.http.get(url(at, &format!("/v1/events?topic=a&ticket={ticket}")));
            async move { request.send().await.unwrap().status().as_u16() }
        };
        assert_eq!(used(1).await, 200, "the other server asks the one that issued it");
        assert_eq!((used(0).await, used(1).await), (401, 401), "once is once, wherever");
        let strange = pair.http.get(url(1, "/v1/events?topic=a&ticket=nobody.AAAA")).send().await.unwrap();
        assert_eq!(strange.status(), 401);
    });
}

#[test]
fn an_operator_sees_and_cuts_the_connections_of_all_servers() {
    let Some(pair) = Pair::start(&["--source", "none"]) else { return };
    run(async {
        pair.until(0, "/v1/nodes", |nodes| nodes["nodes"].as_array().unwrap().len() == 2).await;
        let mut streams = Vec::new();
        for at in 0..2 {
            let url = format!("{}/v1/stream?topic=a", pair.servers[at].url());
            let stream = pair.http.get(url).bearer_auth(&pair.operator).send().await.unwrap();
            assert_eq!(stream.status(), 200);
            streams.push(stream);
        }
        for at in 0..2 {
            let all = pair.until(at, "/v1/connections", |all| all["total"] == 2).await;
            assert_eq!((&all["nodes"], &all["answered"]), (&json!(2), &json!(2)));
            let topic = pair.get(at, "/v1/topics/a").await;
            assert_eq!(topic["subscribers"]["sse"], 2, "subscribers of both servers: {topic}");
        }
        // Each server cuts the stream at the other one.
        let all = pair.get(0, "/v1/connections").await;
        for one in all["connections"].as_array().unwrap() {
            let id = format!("{}-{}", one["node"].as_str().unwrap(), one["id"]);
            let url = format!("{}/v1/connections/{id}", pair.servers[1].url());
            let cut = pair.http.delete(url).bearer_auth(&pair.operator).send().await.unwrap();
            assert_eq!(cut.status(), 204, "{id}");
        }
        for stream in streams {
            tokio::time::timeout(DEADLINE, stream.bytes()).await.expect("the stream ends").unwrap();
        }
        // Nobody kills a server that was not started for that.
        for node in pair.get(0, "/v1/nodes").await["nodes"].as_array().unwrap() {
            let url = format!("{}/v1/lab/kill/{}", pair.servers[0].url(), node["id"].as_str().unwrap());
            let killed = pair.http.post(url).bearer_auth(&pair.operator).send().await.unwrap();
            assert_eq!(killed.status(), 404);
        }
        let url = format!("{}/v1/connections/nobody-1", pair.servers[1].url());
        let cut = pair.http.delete(url).bearer_auth(&pair.operator).send().await.unwrap();
        assert_eq!(cut.status(), 404);
    });
}

#[test]
fn one_server_publishes_for_all_and_another_once_it_is_gone() {
    let Some(mut pair) = Pair::start(&["--source", "host", "--source-rate", "5"]) else { return };
    run(async {
        let events = "/v1/events?topic=host.cpu&after=earliest&limit=1000";
        let count = |answer: &Value| answer["events"].as_array().unwrap().len();
        let first = pair.until(0, events, |answer| count(answer) >= 5).await;
        // Two publishers would publish twice as often: in any second there are as many events as one publishes.
        let times =
            first["events"].as_array().unwrap().iter().map(|event| event["published_at"].as_u64().unwrap());
        let times: Vec<u64> = times.collect();
        let span_s = (times[times.len() - 1] - times[0]) / 1_000_000 + 1;
        assert!(times.len() as u64 <= 6 * span_s + 2, "{} events in {span_s} s", times.len());
        // One of the two dies, whichever publishes; the other goes on.
        let before = count(&pair.get(1, events).await);
        drop(pair.servers.remove(0));
        pair.until(0, events, |answer| count(answer) > before + 5).await;
    });
}

/// Returns the names of the events, and the subjects in their data.
fn joins_and_leaves(events: &Value) -> Vec<(String, String)> {
    let of = |event: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["name"]), text(&event["data"]["subject"]))
    };
    events["events"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn a_subject_is_present_at_all_servers_together() {
    let Some(mut pair) = Pair::start(&["--source", "none"]) else { return };
    run(async {
        pair.until(0, "/v1/nodes", |nodes| nodes["nodes"].as_array().unwrap().len() == 2).await;
        // Somebody reads the joins and leaves at one server, and the subject comes to the other one.
        let _reader = pair.stream(1, "operator", "presence.room").await.unwrap();
        // The servers tell each other once a second what is read. Nothing else shows when that has happened, so
        // subjects come until one is told of.
        let mut first = None;
        let told = "/v1/events?topic=presence.room&after=earliest";
        for n in 0.. {
            let stream = pair.stream(0, &format!("early{n}"), "room").await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
            drop(stream);
            if !joins_and_leaves(&pair.get(0, told).await).is_empty() {
                first = Some(n);
                break;
            }
            assert!(n < 300, "no join is told");
        }
        assert!(first.is_some());
        let ada = |events: &Value| -> Vec<String> {
            let all = joins_and_leaves(events).into_iter();
            all.filter(|(_, subject)| subject == "ada").map(|(name, _)| name).collect()
        };
        let one = pair.stream(0, "ada", "room").await.unwrap();
        let other = pair.stream(1, "ada", "room").await.unwrap();
        for at in 0..2 {
            let is_there = |answer: &Value| {
                answer["subjects"]
                    .as_array()
                    .unwrap()
                    .contains(&json!({ "subject": "ada", "connections": 2 }))
            };
            let answer = pair.until(at, "/v1/topics/room/presence", is_there).await;
            assert_eq!((&answer["nodes"], &answer["answered"]), (&json!(2), &json!(2)));
        }
        pair.until(1, told, |events| ada(events) == ["join"]).await;
        drop(one);
        let left = |answer: &Value| {
            answer["subjects"].as_array().unwrap().contains(&json!({ "subject": "ada", "connections": 1 }))
        };
        pair.until(0, "/v1/topics/room/presence", left).await;
        // A marker: whatever the first departure caused was told before it.
        let marker = pair.stream(0, "marker", "room").await.unwrap();
        let has_marker =
            |events: &Value| joins_and_leaves(events).iter().any(|(_, subject)| subject == "marker");
        let events = pair.until(0, told, has_marker).await;
        assert_eq!(ada(&events), ["join"], "a connection at the other server is left");
        drop(other);
        pair.until(0, told, |events| ada(events) == ["join", "leave"]).await;
        drop(marker);
        // A server that dies takes its subjects along, whichever server publishes that.
        let _bob = pair.stream(0, "bob", "room").await.unwrap();
        let has = |events: &Value, what: &str| {
            joins_and_leaves(events).contains(&(what.to_owned(), "bob".to_owned()))
        };
        pair.until(1, told, |events| has(events, "join")).await;
        drop(pair.servers.remove(0));
        let events = pair.until(0, told, |events| has(events, "leave")).await;
        let of_bob = joins_and_leaves(&events).into_iter().filter(|(_, subject)| subject == "bob").count();
        assert_eq!(of_bob, 2, "each is told once: {events}");
    });
}

#[test]
fn the_limit_of_a_subject_is_that_of_all_servers() {
    let Some(pair) = Pair::start(&["--source", "none", "--max-held-per-subject", "2"]) else { return };
    run(async {
        let held = [pair.stream(0, "ada", "a").await.unwrap(), pair.stream(0, "ada", "a").await.unwrap()];
        assert_eq!(pair.stream(0, "ada", "a").await.unwrap_err(), 429);
        // The other server learns of them in a moment.
        let began = std::time::Instant::now();
        while pair.stream(1, "ada", "a").await.err() != Some(429) {
            assert!(began.elapsed() < DEADLINE, "the limit is each server's own");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(pair.stream(1, "bob", "a").await.is_ok(), "another subject has its own limit");
        drop(held);
        while pair.stream(1, "ada", "a").await.is_err() {
            assert!(began.elapsed() < DEADLINE, "what was given back is not free");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn a_reader_has_one_book_wherever_it_reports() {
    let Some(pair) = Pair::start(&["--source", "none"]) else { return };
    run(async {
        pair.until(0, "/v1/nodes", |nodes| nodes["nodes"].as_array().unwrap().len() == 2).await;
        pair.until(1, "/v1/nodes", |nodes| nodes["nodes"].as_array().unwrap().len() == 2).await;
        let mut cursors = vec![pair.get(0, "/v1/topics").await["cursor"].as_str().unwrap().to_owned()];
        for _ in 0..4 {
            let url = format!("{}/v1/topics/a/events", pair.servers[0].url());
            let published = pair.http.post(url).bearer_auth(&pair.operator).body("1").send().await.unwrap();
            let published: Value = serde_json::from_str(&published.text().await.unwrap()).unwrap();
            cursors.push(published["cursor"].as_str().unwrap().to_owned());
        }
        let offset = |at: usize| -> u64 { cursors[at].rsplit('-').next().unwrap().parse().unwrap() };
        // Reports go to the servers in turn; the third lacks an event, which the fourth brings.
        let reports = [
            (0, 0, 1, vec![offset(1)]),
            (1, 1, 2, vec![offset(2)]),
            (0, 2, 3, vec![]),
            (1, 3, 4, vec![offset(3), offset(4)]),
        ];
        let mut account = Value::Null;
        for (at, after, through, held) in reports {
            let report = json!({
                "reader": "r", "technique": "sse", "topics": ["a"], "policy": "all",
                "after": cursors[after], "through": cursors[through], "held": held,
            });
            let url = format!("{}/v1/ledger", pair.servers[at].url());
            let told = pair
                .http
                .post(url)
                .bearer_auth(&pair.operator)
                .body(report.to_string())
                .send()
                .await
                .unwrap();
            let text = told.text().await.unwrap();
            account = serde_json::from_str(&text).unwrap();
            assert_eq!(account["breaks"], 0, "{text}");
        }
        assert_eq!(
            (&account["held"], &account["lost"], &account["reordered"]),
            (&json!(4), &json!(0), &json!(1)),
            "{account}"
        );
        for at in 0..2 {
            let all = pair.get(at, "/v1/ledger").await;
            assert_eq!((&all["nodes"], &all["answered"]), (&json!(2), &json!(2)), "{all}");
            assert_eq!(all["readers"].as_array().unwrap().len(), 1, "one book: {all}");
            assert_eq!(all["readers"][0]["held"], 4);
        }
    });
}

#[test]
fn a_server_that_is_cut_off_sends_its_clients_away_and_serves_what_it_has() {
    let Some(binary) = Nats::binary() else { return };
    drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
    let nats = Nats::alone(&binary).unwrap();
    let (link, folder) = (Link::to(nats.address(0)).unwrap(), tempfile::tempdir().unwrap());
    let (order, data) = (format!("nats://{}", link.address()), folder.path().join("data"));
    let flags = ["--order", &order, "--node", "cut", "--source", "none", "--data", data.to_str().unwrap()];
    let server = Process::serve_on(FOURWAYS, &format!("{}:8080", own_address()), &flags).unwrap();
    let http = reqwest::Client::builder().timeout(DEADLINE).build().unwrap();
    run(async {
        let at = |path: &str| format!("{}{path}", server.url());
        let published = http.post(at("/v1/topics/a/events")).body("1").send().await.unwrap();
        assert_eq!(published.status(), 201);
        let stream = http.get(at("/v1/stream?topic=a&after=earliest")).send().await.unwrap();
        link.cut(true);
        let read = stream.text().await.expect("the stream ends in order");
        let end = read.rsplit("\n\n").nth(1).unwrap();
        let behind_s =
            end.split("\"behind_s\":").nth(1).and_then(|rest| rest.trim_end_matches('}').parse().ok());
        assert!(end.contains("retry: ") && behind_s.is_some_and(|s: u64| s >= 30), "{end}");
        // Whoever stays gets what there is, and is told that there may be more.
        let again = http.get(at("/v1/events?topic=a&after=earliest")).send().await.unwrap();
        assert!(again.headers().contains_key("fourways-behind"));
        assert!(again.text().await.unwrap().contains("\"data\":1"));
        let ready = http.get(at("/readyz")).send().await.unwrap();
        assert_eq!(ready.status(), 503);
        let refused = http.post(at("/v1/topics/a/events")).body("2").send().await.unwrap();
        assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));
        link.cut(false);
        let began = std::time::Instant::now();
        while http.get(at("/readyz")).send().await.unwrap().status() != 200 {
            assert!(began.elapsed() < DEADLINE, "it does not come back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let published = http.post(at("/v1/topics/a/events")).body("2").send().await.unwrap();
        assert_eq!(published.status(), 201);
    });
}

#[test]
fn a_rehearsal_is_for_all_servers() {
    let Some(pair) = Pair::start(&["--source", "none"]) else { return };
    run(async {
        pair.until(0, "/v1/nodes", |nodes| nodes["nodes"].as_array().unwrap().len() == 2).await;
        let streams = [pair.stream(0, "ada", "a").await.unwrap(), pair.stream(1, "ada", "a").await.unwrap()];
        let url = format!("{}/v1/rehearsal", pair.servers[0].url());
        let rehearsed = pair.http.post(url).bearer_auth(&pair.operator).send();
        let come_back = async {
            for (at, stream) in streams.into_iter().enumerate() {
                tokio::time::timeout(DEADLINE, stream.bytes()).await.expect("the stream ends").unwrap();
                std::mem::forget(pair.stream(at, "ada", "a").await.unwrap());
            }
        };
        let (rehearsed, ()) = tokio::join!(rehearsed, come_back);
        let rehearsed: Value = serde_json::from_str(&rehearsed.unwrap().text().await.unwrap()).unwrap();
        assert_eq!((&rehearsed["told"], &rehearsed["came_back"]), (&json!(2), &json!(2)), "{rehearsed}");
    });
}

#[test]
fn events_made_for_readers_are_made_for_those_of_any_server() {
    let Some(pair) = Pair::start(&["--source", "none", "--use-cases", "on"]) else { return };
    run(async {
        // One of the two servers makes the figures, and each has readers in its turn: one that is connected, and one that
        // comes again and again.
        let events = |after: &str| format!("/v1/events?topic=use-case.live.dashboard.1hz&after={after}");
        for at in 0..2 {
            let stream = pair.stream(at, "ada", "use-case.live.dashboard.1hz").await.unwrap();
            let head = pair.get(at, "/v1/topics").await["cursor"].as_str().unwrap().to_owned();
            pair.until(at, &events(&head), |answer| answer["events"].as_array().unwrap().len() >= 2).await;
            drop(stream);
        }
    });
}
