//! History: closed ranges, newest first, patterns, and answers that a cache may keep forever.

use fourways_testkit::Proxy;
use serde_json::{Value, json};

use crate::server::{Server, Wire};

fn data(body: &Value) -> Vec<i64> {
    body["events"].as_array().unwrap().iter().map(|event| event["data"].as_i64().unwrap()).collect()
}

fn cursors(server: &Server, topic: &str, count: i64) -> Vec<String> {
    (0..count).map(|n| server.publish(topic, &n.to_string())).collect()
}

#[test]
fn a_closed_range_is_what_lies_between_two_places_and_never_changes() {
    let server = Server::start();
    let places = cursors(&server, "a", 10);
    let (after, until) = (&places[2], &places[7]);
    let path = format!("/v1/events?topic=a&after={after}&until={until}");
    let first = server.get(&path);
    assert_eq!((first.status, data(&first.json())), (200, vec![3, 4, 5, 6, 7]));
    assert_eq!(first.header("cache-control").as_deref(), Some("public, max-age=31536000, immutable"));
    server.publish("a", "99");
    let again = server.get(&path);
    assert_eq!(again.body, first.body, "the same for ever");
    // The same range in pages, each of them immutable too.
    let page = server.get(&format!("{path}&limit=2"));
    assert_eq!((data(&page.json()), &page.json()["cursor"]), (vec![3, 4], &json!(places[4])));
    assert!(page.header("cache-control").unwrap().contains("immutable"));
    let newest = server.get(&format!("/v1/events?topic=a&last=3&until={until}&order=newest"));
    assert_eq!(data(&newest.json()), [7, 6, 5]);
    assert_eq!(newest.header("cache-control").as_deref(), Some("no-store"), "what is last may be let go");
}

#[test]
fn what_is_open_or_broken_is_no_ones_to_keep() {
    let server = Server::with(&["--retain-events", "4"]);
    let places = cursors(&server, "a", 10);
    for path in [
        "/v1/events?topic=a".to_owned(),
        format!("/v1/events?topic=a&after={}", places[7]),
        format!("/v1/events?topic=a&after=earliest&until={}", places[9]),
        // Events that retention has dropped are a reset.
        format!("/v1/events?topic=a&after={}&until={}", places[0], places[9]),
        format!("/v1/events?topic=a&after={}&until=abc-5", places[8]),
    ] {
        let answer = server.get(&path);
        assert_eq!(
            (answer.status, answer.header("cache-control").as_deref()),
            (200, Some("no-store")),
            "{path}"
        );
    }
    let future = places[9].replace("-10", "-11");
    for (wrong, field) in [
        (format!("after={}&until={future}", places[8]), "until"),
        ("until=x".to_owned(), "until"),
        ("order=newest".to_owned(), "order"),
        (format!("until={}&order=up", places[9]), "order"),
    ] {
        let answer = server.get(&format!("/v1/events?topic=a&{wrong}"));
        assert_eq!((answer.status, &answer.json()["field"]), (400, &json!(field)), "{wrong}");
    }
}

#[test]
fn a_pattern_reads_all_topics_that_fit_in_one_order() {
    let server = Server::start();
    let begin = server.publish("z", "0");
    for (n, topic) in ["chat.1", "chat.2", "chat.1.typing", "other", "chat.1"].iter().enumerate() {
        server.publish(topic, &n.to_string());
    }
    for (topics, expected) in [
        ("topic=chat.*", vec![0, 1, 4]),
        ("topic=chat.%3E", vec![0, 1, 2, 4]),
        ("topic=chat.*&topic=chat.1&topic=other", vec![0, 1, 3, 4]),
        ("topic=*.2", vec![1]),
    ] {
        let body = server.get(&format!("/v1/events?{topics}&after={begin}")).json();
        assert_eq!(data(&body), expected, "{topics}");
    }
    let mut stream = server.connect();
    stream.request("GET /v1/stream?topic=chat.* HTTP/1.1", b"");
    stream.chunk();
    server.publish("chat.new", "7");
    assert!(stream.chunk().contains("\"topic\":\"chat.new\""), "a topic that did not exist before");
}

#[test]
fn a_shared_cache_keeps_closed_ranges_and_never_the_head() {
    let server = Server::start();
    let places = cursors(&server, "a", 5);
    let http = "proxy_cache_path cache keys_zone=polls:1m;";
    let location = "proxy_cache polls; add_header X-Cache $upstream_cache_status;";
    let nginx = Proxy::nginx(&server.address.to_string(), location, http).unwrap();
    let ask = |path: &str| {
        let mut wire =
            Wire::of(std::net::TcpStream::connect(nginx.url.trim_start_matches("http://")).unwrap());
        let answer = wire.request(&format!("GET {path} HTTP/1.1"), b"");
        (answer.header("x-cache").unwrap(), answer.body)
    };
    let range = format!("/v1/events?topic=a&after={}&until={}", places[0], places[3]);
    let (first, body) = ask(&range);
    let (second, same) = ask(&range);
    assert_eq!((first.as_str(), second.as_str()), ("MISS", "HIT"));
    assert_eq!(body, same);
    let head = format!("/v1/events?topic=a&after={}", places[3]);
    let (first, _) = ask(&head);
    server.publish("a", "5");
    let (second, fresh) = ask(&head);
    assert_eq!((first.as_str(), second.as_str()), ("MISS", "MISS"));
    assert!(String::from_utf8_lossy(&fresh).contains("\"data\":5"), "the head is never stale");
}
