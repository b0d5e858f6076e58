//! The delivery ledger: compares what readers report with the log.

use serde_json::{Value, json};

use crate::server::{Answer, Server};

fn publish(server: &Server, topic: &str, count: usize) -> Vec<String> {
    let head = format!("POST /v1/topics/{topic}/events HTTP/1.1\r\nContent-Type: application/x-ndjson");
    let answer = server.request(&head, "1\n".repeat(count).as_bytes());
    let cursors = answer.json()["cursors"].clone();
    serde_json::from_value(cursors).unwrap()
}

fn offset(cursor: &str) -> u64 {
    cursor.rsplit('-').next().unwrap().parse().unwrap()
}

fn before(cursor: &str) -> String {
    let (epoch, _) = cursor.rsplit_once('-').unwrap();
    format!("{epoch}-{}", offset(cursor) - 1)
}

fn report(
    server: &Server,
    reader: &str,
    technique: &str,
    after: &str,
    through: &str,
    held: &[u64],
) -> Answer {
    let report = json!({
        "reader": reader, "technique": technique, "topics": ["a", "b.*"], "after": after, "through": through, "held": held,
    });
    server
        .request("POST /v1/ledger HTTP/1.1\r\nContent-Type: application/json", report.to_string().as_bytes())
}

#[test]
fn the_log_is_the_witness() {
    let server = Server::start();
    let mut own = publish(&server, "a", 3);
    publish(&server, "other", 4);
    own.extend(publish(&server, "b.1", 3));
    let offsets: Vec<u64> = own.iter().map(|cursor| offset(cursor)).collect();
    let begin = before(&own[0]);
    let clean = report(&server, "one", "sse", &begin, &own[2], &offsets[..3]);
    assert_eq!(clean.status, 200, "{clean:?}");
    assert_eq!((&clean.json()["held"], &clean.json()["lost"]), (&json!(3), &json!(0)));
    // The reader goes on by another technique: event 5 is lost, event 4 comes twice, after event 6, and one event is of
    // a topic that was not subscribed.
    let foul = [offsets[5], offsets[3], offsets[3], offsets[2] + 1];
    let foul = report(&server, "one", "websocket", &own[2], &own[5], &foul).json();
    let expected = json!({ "held": 2, "lost": 1, "repeated": 1, "reordered": 1, "foreign": 1, "conflated": 0, "breaks": 0 });
    assert_eq!(foul, expected);
    let all: Value = server.get("/v1/ledger").json();
    let rows = all["readers"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["technique"], &rows[1]["technique"]), (&json!("sse"), &json!("websocket")));
    assert_eq!((&rows[1]["through"], &rows[1]["lost"]), (&json!(own[5]), &json!(1)));
    let table = server.get("/v1/ledger?format=csv");
    assert_eq!(table.header("content-type").as_deref(), Some("text/csv; charset=utf-8"));
    let text = String::from_utf8(table.body).unwrap();
    assert!(text.lines().nth(2).unwrap().ends_with(",2,1,1,1,1,0,0"), "{text}");
    let metrics = server.get("/metrics");
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let is_count =
        |line: &&str| line.starts_with("fourways_subscriptions_total") && line.contains("short_poll");
    let counts = metrics.lines().find(is_count).unwrap();
    assert!(counts.ends_with(" 0"), "a report reads the log, and is no poll: {counts}");
}

#[test]
fn what_no_reader_can_hold_is_refused() {
    let server = Server::with(&["--max-body-bytes", "1000"]);
    let own = publish(&server, "a", 1);
    let begin = before(&own[0]);
    let beyond = format!("{}-99", own[0].rsplit_once('-').unwrap().0);
    for (after, through) in [("zzz-0", "zzz-1"), (&*begin, &*beyond), (&*own[0], &*begin)] {
        let answer = report(&server, "one", "sse", after, through, &[]);
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (400, Some("bad_parameter")),
            "{answer:?}"
        );
    }
    assert_eq!(report(&server, "not a name", "sse", &begin, &own[0], &[1]).status, 400);
    assert_eq!(report(&server, "one", "pigeon", &begin, &own[0], &[1]).status, 400);
    assert_eq!(server.get("/v1/ledger?format=xml").status, 400);
    let endless = [b' '; 1001];
    assert_eq!(server.request("POST /v1/ledger HTTP/1.1", &endless).status, 413);
}
