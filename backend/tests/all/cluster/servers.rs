//! Two servers of one log: each honours the other's tickets, shows the other's connections and subscribers, and publishes
//! for both or for neither.

use std::{path::Path, time::Duration};

use fourways_testkit::{DEADLINE, Nats, Process, own_address, skipped};
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
