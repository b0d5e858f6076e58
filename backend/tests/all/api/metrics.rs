//! `/metrics`: names that follow the conventions of Prometheus, and correct numbers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{api::frames::Socket, server::Server};

/// Returns the values of all samples by name and labels.
fn samples(server: &Server) -> BTreeMap<String, String> {
    let text = String::from_utf8(server.get("/metrics").body).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn of(server: &Server, name: &str) -> usize {
    let samples = samples(server);
    samples.get(name).unwrap_or_else(|| panic!("{name} is not among {:?}", samples.keys())).parse().unwrap()
}

#[test]
fn every_technique_is_counted() {
    let server = Server::start();
    let labelled = |name: &str, technique: &str| format!("{name}{{technique=\"{technique}\"}}");
    let first = server.publish("a", "1");
    server.publish("a", "2");
    assert_eq!(server.get("/v1/events?topic=a").json()["events"].as_array().unwrap().len(), 0);
    let resumed = server.get(&format!("/v1/events?topic=a&after={first}"));
    let long = server.get(&format!("/v1/events?topic=a&after={first}&wait=5"));
    let mut stream = server.connect();
    stream.request("GET /v1/stream?topic=a&after=earliest HTTP/1.1", b"");
    stream.until(b"\"data\":2}");
    let mut socket = Socket::open(&server, "?topic=a&after=earliest", "");
    (0..4).for_each(|_| drop(socket.text()));
    for (technique, open, begun, resumes, events, empty) in [
        ("short_poll", 0, 2, 1, 1, 1),
        ("long_poll", 0, 1, 1, 1, 0),
        ("sse", 1, 1, 0, 2, 0),
        ("websocket", 1, 1, 0, 2, 0),
    ] {
        for (name, expected) in [
            ("fourways_open_subscriptions", open),
            ("fourways_subscriptions_total", begun),
            ("fourways_resumes_total", resumes),
            ("fourways_delivered_events_total", events),
            ("fourways_empty_answers_total", empty),
        ] {
            assert_eq!(of(&server, &labelled(name, technique)), expected, "{name} of {technique}");
        }
        assert!(of(&server, &labelled("fourways_delivery_lag_seconds_count", technique)) >= 1);
    }
    assert_eq!(of(&server, &labelled("fourways_delivered_bytes_total", "long_poll")), long.body.len());
    assert!(of(&server, &labelled("fourways_delivered_bytes_total", "short_poll")) >= resumed.body.len());
    assert_eq!(of(&server, "fourways_publish_seconds_count"), 2);
    assert_eq!(of(&server, "fourways_log_head_offset"), 2);
    // A cursor of another log gives a reset.
    server.get("/v1/events?topic=a&after=zzzzzzzz-1");
    assert_eq!(of(&server, "fourways_resets_total{technique=\"short_poll\",reason=\"epoch\"}"), 1);
    drop((stream, socket));
    server.await_subscribers("a", "sse", 0);
    server.await_subscribers("a", "websocket", 0);
    assert_eq!(of(&server, &labelled("fourways_open_subscriptions", "websocket")), 0);
}

#[test]
fn limits_that_are_hit_are_counted() {
    let server = Server::with(&["--max-body-bytes", "10"]);
    server.request("POST /v1/topics/a/events HTTP/1.1", b"[1,2,3,4,5,6,7,8]");
    assert_eq!(of(&server, "fourways_limited_total{limit=\"body\"}"), 1);
}

/// The rules of `promtool check metrics`.
#[test]
fn names_units_and_types_keep_to_the_conventions() {
    let server = Server::start();
    server.publish("a", "1");
    let answer = server.get("/metrics");
    assert_eq!(
        answer.header("content-type").as_deref(),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut types = BTreeMap::new();
    let mut helped = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match &words[..] {
            ["#", "HELP", name, help @ ..] => {
                assert!(helped.insert(*name) && !help.is_empty(), "{line}");
            }
            ["#", "TYPE", name, kind] => assert!(types.insert(*name, *kind).is_none(), "{line}"),
            ["#", "UNIT", name, unit] => assert!(name.ends_with(&format!("_{unit}")), "{line}"),
            ["#", "EOF"] => {}
            [sample, value] => {
                let name = sample.split('{').next().unwrap();
                let base = ["_total", "_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|suffix| name.strip_suffix(suffix).filter(|base| types.contains_key(base)))
                    .unwrap_or(name);
                let kind = types.get(base).unwrap_or_else(|| panic!("{line} has no type"));
                assert!(helped.contains(base), "{line} has no help");
                assert_eq!(*kind == "counter", name.ends_with("_total"), "{line} is a {kind}");
                assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
                assert!(base.starts_with("fourways_") || base.starts_with("process_"), "{line}");
                assert!(!base.contains("_ms") && !base.contains("_us"), "{line}: base units only");
            }
            other => panic!("{other:?}"),
        }
    }
    // The buckets are cumulative, and the last one counts everything.
    let samples = samples(&server);
    for (name, kind) in types.iter().filter(|(_, kind)| **kind == "histogram") {
        let sum = |suffix: &str, label: &str| -> u64 {
            let own = samples
                .iter()
                .filter(|(key, _)| key.starts_with(&format!("{name}{suffix}")) && key.contains(label));
            own.map(|(_, value)| value.parse::<u64>().unwrap()).sum()
        };
        let (count, all) = (sum("_count", ""), sum("_bucket", "le=\"+Inf\""));
        assert_eq!(count, all, "{name}, a {kind}");
    }
}

#[test]
fn the_dashboard_asks_for_nothing_that_is_not_there() {
    let server = Server::start();
    let names: BTreeSet<String> =
        samples(&server).into_keys().map(|key| key.split('{').next().unwrap().to_owned()).collect();
    let dashboard: Value = serde_json::from_str(include_str!("../../../../deploy/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    // The panels of a row are those of servers that share a log; the metrics of the order have a test of their own.
    let panels = panels.iter().filter(|panel| panel["type"] != "row");
    let mut asked = BTreeSet::new();
    for target in panels.flat_map(|panel| panel["targets"].as_array().unwrap()) {
        let words = target["expr"].as_str().unwrap().split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        asked.extend(words.filter(|word| word.starts_with("fourways_") || word.starts_with("process_")));
    }
    for name in &asked {
        assert!(names.contains(*name), "{name} is not in /metrics");
    }
    assert!(asked.len() > 15, "{asked:?}");
}
