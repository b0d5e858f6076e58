//! Access by tokens, tickets and cookies, and the attacks on them.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::{
    api::frames::Socket,
    server::{Answer, DEADLINE, Server, UPGRADE},
};

pub(crate) const SECRET: &str = "a secret of more than thirty-two bytes, for tests alone";

/// A server that requires tokens, and the folder of its keys.
pub(crate) struct Guarded {
    pub(crate) server: Server,
    folder: tempfile::TempDir,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn claims(subscribe: &[&str], publish: &[&str]) -> Value {
    json!({ "sub": "ada", "exp": now() + 600, "fourways": { "subscribe": subscribe, "publish": publish } })
}

pub(crate) fn signed(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

fn everything() -> String {
    signed(&claims(&[">"], &[">"]))
}

impl Guarded {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, SECRET).unwrap();
        let key = format!("HS256:{}", path.display());
        let server = Server::with(&[&["--token-key", &key], flags].concat());
        Self { server, folder }
    }

    fn secret(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    fn ask(&self, line: &str, headers: &str, body: &str) -> Answer {
        self.server.request(&format!("{line} HTTP/1.1{headers}"), body.as_bytes())
    }

    pub(crate) fn with(&self, token: &str, line: &str, body: &str) -> Answer {
        self.ask(line, &format!("\r\nAuthorization: Bearer {token}"), body)
    }
}

#[test]
fn nobody_gets_in_without_a_token() {
    let guarded = Guarded::start(&[]);
    let upgrade = format!("\r\n{UPGRADE}");
    let upgrade = upgrade.as_str();
    for (line, headers, body) in [
        ("GET /v1/events?topic=a", "", ""),
        ("GET /v1/events?topic=a&wait=1", "", ""),
        ("GET /v1/stream?topic=a", "", ""),
        ("GET /v1/ws?topic=a", upgrade, ""),
        ("POST /v1/topics/a/events", "\r\nContent-Type: application/json", "1"),
        ("GET /v1/topics", "", ""),
        ("GET /v1/topics/a", "", ""),
        ("GET /v1/limits", "", ""),
        ("POST /v1/tickets", "", ""),
        ("GET /v1/session", "", ""),
        ("PUT /v1/lab/feeds/lab.x", "", r#"{"rate":1}"#),
        ("GET /v1/lab/ws?lab=aaaaaaaaaaaaaaaa", upgrade, ""),
    ] {
        let answer = guarded.ask(line, headers, body);
        assert_eq!(answer.status, 401, "{line}: {answer:?}");
        assert_eq!(answer.json()["code"], "unauthenticated", "{line}");
        assert_eq!(answer.header("www-authenticate").as_deref(), Some("Bearer realm=\"fourways\""));
    }
    for open in ["GET /healthz", "GET /readyz", "GET /"] {
        assert_eq!(guarded.ask(open, "", "").status, 200, "{open}");
    }
}

#[test]
fn a_token_opens_what_it_grants_and_nothing_else() {
    let guarded = Guarded::start(&[]);
    let token = signed(&claims(&["orders.*"], &["chat.>"]));
    for (line, body, status) in [
        ("GET /v1/events?topic=orders.1", "", 200),
        ("GET /v1/events?topic=orders.*", "", 200),
        ("GET /v1/events?topic=orders.1&topic=secret", "", 403),
        ("GET /v1/events?topic=orders.%3E", "", 403),
        ("GET /v1/stream?topic=%3E", "", 403),
        ("GET /v1/topics/chat.1", "", 403),
        ("POST /v1/topics/chat.1/events", "1", 201),
        ("POST /v1/topics/orders.1/events", "1", 403),
        ("GET /v1/limits", "", 403),
        ("PUT /v1/lab/feeds/lab.x", r#"{"rate":1}"#, 403),
    ] {
        assert_eq!(guarded.with(&token, line, body).status, status, "{line}");
    }
    // A topic that the token may not read is not even listed.
    guarded.with(&everything(), "POST /v1/topics/orders.1/events", "1");
    let listed = guarded.with(&token, "GET /v1/topics", "").json();
    let names: Vec<_> = listed["topics"].as_array().unwrap().iter().map(|item| &item["topic"]).collect();
    assert_eq!((names, &listed["next"]), (vec![&json!("orders.1")], &Value::Null));
    let mut socket = Socket::open(&guarded.server, "", &format!("\r\nAuthorization: Bearer {token}"));
    socket.text();
    socket.say(&json!({ "type": "subscribe", "topics": ["orders.1", "secret"], "ref": "1" }));
    assert_eq!(socket.text()["code"], "forbidden");
    socket.say(&json!({ "type": "publish", "topic": "orders.1", "data": 1, "ref": "2" }));
    assert_eq!(socket.text()["code"], "forbidden");
    socket.say(&json!({ "type": "publish", "topic": "chat.1", "data": 1, "ref": "3" }));
    assert_eq!(socket.text()["type"], "published");
}

#[test]
fn forged_tokens_are_refused() {
    let rsa = include_str!("keys/rsa-public.pem");
    let folder = tempfile::tempdir().unwrap();
    let (public, secret) = (folder.path().join("public.pem"), folder.path().join("secret"));
    fs::write(&public, rsa).unwrap();
    fs::write(&secret, SECRET).unwrap();
    let keys = format!("RS256:{},HS256:{}", public.display(), secret.display());
    let server = Server::with(&["--token-key", &keys]);
    let status = |token: &str| {
        let head = format!("GET /v1/events?topic=a HTTP/1.1\r\nAuthorization: Bearer {token}");
        server.request(&head, b"").status
    };
    let good = claims(&[">"], &[">"]);
    let private = EncodingKey::from_rsa_pem(include_bytes!("keys/rsa-private.pem")).unwrap();
    let by =
        |algorithm, claims: &Value, key: &EncodingKey| encode(&Header::new(algorithm), claims, key).unwrap();
    assert_eq!(status(&by(Algorithm::RS256, &good, &private)), 200, "the right key");
    assert_eq!(status(&signed(&good)), 200, "the right secret");
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let body = part(&good);
    let hmac = |header: &Value, secret: &[u8]| {
        let mut token =
            encode(&Header::new(Algorithm::HS256), &good, &EncodingKey::from_secret(secret)).unwrap();
        let rest = token.split_off(token.find('.').unwrap());
        part(header) + &rest
    };
    for (what, token) in [
        ("no algorithm", format!("{}.{body}.", part(&json!({ "alg": "none", "typ": "JWT" })))),
        ("none in capitals", format!("{}.{body}.", part(&json!({ "alg": "NONE" })))),
        ("the public key as secret", hmac(&json!({ "alg": "HS256", "typ": "JWT" }), rsa.as_bytes())),
        (
            "another secret",
            hmac(&json!({ "alg": "HS256", "typ": "JWT" }), b"another secret of enough bytes, really"),
        ),
        ("the RSA key by another algorithm", by(Algorithm::RS512, &good, &private)),
        ("PSS", by(Algorithm::PS256, &good, &private)),
        ("no signature", signed(&good).rsplit_once('.').unwrap().0.to_owned() + "."),
        ("two parts", signed(&good).rsplit_once('.').unwrap().0.to_owned()),
        ("other claims", {
            let token = signed(&claims(&["a"], &[]));
            let mut parts: Vec<&str> = token.split('.').collect();
            parts[1] = &body;
            parts.join(".")
        }),
        ("nothing", String::new()),
        ("too long", "a".repeat(7_000) + "." + &"b".repeat(2_000) + ".c"),
        ("not base64", "!!!.???.***".to_owned()),
    ] {
        assert_eq!(status(&token), 401, "{what}");
    }
    let changed = |change: fn(&mut Value)| {
        let mut claims = good.clone();
        change(&mut claims);
        signed(&claims)
    };
    assert_eq!(status(&changed(|claims| claims["exp"] = json!(now() - 60))), 401, "expired");
    assert_eq!(status(&changed(|claims| claims["nbf"] = json!(now() + 60))), 401, "not yet");
    assert_eq!(
        status(&changed(|claims| drop(claims.as_object_mut().unwrap().remove("exp")))),
        401,
        "for ever"
    );
    assert_eq!(status(&changed(|claims| claims["fourways"]["subscribe"] = json!("a"))), 401, "no list");
    assert_eq!(status(&changed(|claims| drop(claims.as_object_mut().unwrap().remove("fourways")))), 403);
}

#[test]
fn every_algorithm_has_its_key_and_a_set_of_keys_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let keys = [
        format!("ES256:{}", write("ec.pem", include_str!("keys/ec-public.pem"))),
        format!("EdDSA:{}", write("ed.pem", include_str!("keys/ed-public.pem"))),
        format!("jwks:{}", write("set.json", include_str!("keys/jwks.json"))),
    ];
    let server = Server::with(&["--token-key", &keys.join(",")]);
    let status = |token: &str| {
        let head = format!("GET /v1/events?topic=a HTTP/1.1\r\nAuthorization: Bearer {token}");
        server.request(&head, b"").status
    };
    let good = claims(&[">"], &[]);
    let ec = EncodingKey::from_ec_pem(include_bytes!("keys/ec-private.pem")).unwrap();
    let ed = EncodingKey::from_ed_pem(include_bytes!("keys/ed-private.pem")).unwrap();
    let rsa = EncodingKey::from_rsa_pem(include_bytes!("keys/rsa-private.pem")).unwrap();
    assert_eq!(status(&encode(&Header::new(Algorithm::ES256), &good, &ec).unwrap()), 200);
    assert_eq!(status(&encode(&Header::new(Algorithm::EdDSA), &good, &ed).unwrap()), 200);
    let mut named = Header::new(Algorithm::RS256);
    named.kid = Some("rsa-1".to_owned());
    assert_eq!(status(&encode(&named, &good, &rsa).unwrap()), 200, "by its name in the set");
    named.kid = Some("rsa-2".to_owned());
    assert_eq!(status(&encode(&named, &good, &rsa).unwrap()), 401, "by another name");
}

#[test]
fn keys_are_read_again_when_they_change() {
    let guarded = Guarded::start(&[]);
    let token = everything();
    assert_eq!(guarded.with(&token, "GET /v1/topics", "").status, 200);
    fs::write(guarded.secret(), "another secret, of another length, for the same tests").unwrap();
    let began = Instant::now();
    while guarded.with(&token, "GET /v1/topics", "").status == 200 {
        assert!(began.elapsed() < DEADLINE, "the old key stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    // A file that holds no valid key changes nothing.
    fs::write(guarded.secret(), "short").unwrap();
    fs::write(guarded.secret(), SECRET).unwrap();
    let began = Instant::now();
    while guarded.with(&token, "GET /v1/topics", "").status != 200 {
        assert!(began.elapsed() < DEADLINE, "the key does not come back");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_ticket_opens_once_what_its_token_grants() {
    let guarded = Guarded::start(&[]);
    let token = signed(&claims(&["orders.*"], &[]));
    let ticket = || {
        let answer = guarded.with(&token, "POST /v1/tickets", "");
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
        answer.json()["ticket"].as_str().unwrap().to_owned()
    };
    let (one, two, three) = (ticket(), ticket(), ticket());
    let mut stream = guarded.server.connect();
    assert_eq!(
        stream.request(&format!("GET /v1/stream?topic=orders.1&ticket={one} HTTP/1.1"), b"").status,
        200
    );
    let again = guarded.ask(&format!("GET /v1/stream?topic=orders.1&ticket={one}"), "", "");
    assert_eq!((again.status, &again.json()["field"]), (401, &json!("ticket")));
    assert_eq!(guarded.ask(&format!("GET /v1/events?topic=secret&ticket={two}"), "", "").status, 403);
    let mut socket = Socket::open(&guarded.server, &format!("?topic=orders.1&ticket={three}"), "");
    assert_eq!(socket.text()["type"], "welcome");
    assert_eq!(guarded.ask("GET /v1/events?topic=orders.1&ticket=", "", "").status, 401);
    // A long-lived token must not be in an address.
    assert_eq!(guarded.ask(&format!("GET /v1/events?topic=orders.1&ticket={token}"), "", "").status, 401);
    assert_eq!(guarded.ask(&format!("GET /v1/events?topic=orders.1&token={token}"), "", "").status, 401);
}

#[test]
fn a_browser_keeps_its_token_where_no_script_reads_it() {
    let guarded = Guarded::start(&[]);
    let answer = guarded.with(&everything(), "POST /v1/session", "");
    assert_eq!(answer.status, 204, "{answer:?}");
    let cookie = answer.header("set-cookie").unwrap();
    for part in ["fourways_token=", "HttpOnly", "SameSite=Strict", "Path=/v1", "Max-Age="] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    let pair = cookie.split(';').next().unwrap();
    let asked = guarded.ask("GET /v1/events?topic=a", &format!("\r\nCookie: x=1; {pair}"), "");
    assert_eq!(asked.status, 200);
    let session = guarded.ask("GET /v1/session", &format!("\r\nCookie: {pair}"), "").json();
    assert!(session["subject"].is_string() && session["subscribe"] == json!([">"]), "{session}");
    assert_eq!(guarded.ask("GET /v1/events?topic=a", "\r\nCookie: fourways_token=x", "").status, 401);
    let foreign = guarded.ask(
        "GET /v1/events?topic=a",
        &format!("\r\nCookie: {pair}\r\nOrigin: https://evil.example"),
        "",
    );
    assert_eq!((foreign.status, &foreign.json()["code"]), (403, &json!("foreign_origin")));
    assert!(guarded.ask("DELETE /v1/session", "", "").header("set-cookie").unwrap().contains("Max-Age=0"));
}

/// Returns a token that expires in this many seconds. With the leeway of five seconds, it is refused for good soon
/// after.
fn brief(seconds: u64) -> String {
    let mut claims = claims(&[">"], &[">"]);
    claims["exp"] = json!(now() + seconds);
    signed(&claims)
}

#[test]
fn an_end_that_comes_during_a_connection_ends_it_and_says_so() {
    let guarded = Guarded::start(&[]);
    let authorized = |token: &str| format!("\r\nAuthorization: Bearer {token}");
    let mut stream = guarded.server.connect();
    stream.request(&format!("GET /v1/stream?topic=a HTTP/1.1{}", authorized(&brief(3))), b"");
    let mut socket = Socket::open(&guarded.server, "?topic=a", &authorized(&brief(3)));
    let mut poll = guarded.server.connect();
    let polled =
        poll.request(&format!("GET /v1/events?topic=a&wait=20 HTTP/1.1{}", authorized(&brief(3))), b"");
    assert_eq!(polled.status, 204, "a held poll is answered at the end of its token");
    let last = String::from_utf8(stream.until(b"0\r\n\r\n")).unwrap();
    assert!(last.contains("event: problem\n") && last.contains("token_expired"), "{last}");
    assert_eq!(
        (socket.text()["type"].clone(), socket.text()["type"].clone()),
        (json!("welcome"), json!("subscribed"))
    );
    socket.closes_with(4401);
}

#[test]
fn a_socket_is_given_another_token_and_misses_nothing() {
    let guarded = Guarded::start(&[]);
    let mut socket =
        Socket::open(&guarded.server, "?topic=a", &format!("\r\nAuthorization: Bearer {}", brief(4)));
    socket.text();
    socket.text();
    socket.say(&json!({ "type": "authorize", "token": "nonsense", "ref": "1" }));
    assert_eq!(socket.text()["code"], "unauthenticated");
    let mut other = claims(&[">"], &[]);
    other["sub"] = json!("bob");
    socket.say(&json!({ "type": "authorize", "token": signed(&other), "ref": "2" }));
    assert_eq!(socket.text()["code"], "forbidden", "another's token");
    socket.say(&json!({ "type": "authorize", "token": everything(), "ref": "3" }));
    let answer = socket.text();
    assert_eq!((&answer["type"], &answer["ref"]), (&json!("authorized"), &json!("3")));
    // The event is published after the end of the first token, once the server refuses such a token itself.
    let first = brief(0);
    let began = Instant::now();
    while guarded.with(&first, "GET /v1/topics", "").status == 200 {
        assert!(began.elapsed() < DEADLINE);
        std::thread::sleep(Duration::from_millis(50));
    }
    guarded.with(&everything(), "POST /v1/topics/a/events", "7");
    assert_eq!(socket.text()["data"], 7);
    // A subscription that the next token does not grant ends.
    socket.say(&json!({ "type": "authorize", "token": signed(&claims(&["b"], &[])), "ref": "4" }));
    assert_eq!(socket.text()["type"], "unsubscribed");
    assert_eq!(socket.text()["type"], "authorized");
}

#[test]
fn streams_and_polls_go_on_by_another_token_from_the_same_cursor() {
    let guarded = Guarded::start(&[]);
    let publish = |n: u32| guarded.with(&everything(), "POST /v1/topics/a/events", &n.to_string());
    let mut stream = guarded.server.connect();
    stream.request(&format!("GET /v1/stream?topic=a HTTP/1.1\r\nAuthorization: Bearer {}", brief(3)), b"");
    publish(1);
    let seen = String::from_utf8(stream.until(b"0\r\n\r\n")).unwrap();
    assert!(seen.contains("\"data\":1"), "{seen}");
    let cursor = seen.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap().to_owned();
    publish(2);
    let head = format!(
        "GET /v1/stream?topic=a HTTP/1.1\r\nAuthorization: Bearer {}\r\nLast-Event-ID: {cursor}",
        everything()
    );
    let mut again = guarded.server.connect();
    assert_eq!(again.request(&head, b"").status, 200);
    publish(3);
    let more = String::from_utf8(again.until(b"\"data\":3")).unwrap();
    assert!(more.contains("\"data\":2") && !more.contains("\"data\":1"), "{more}");
    let polled =
        guarded.with(&everything(), &format!("GET /v1/events?topic=a&wait=5&after={cursor}"), "").json();
    assert_eq!((&polled["events"][0]["data"], &polled["events"][1]["data"]), (&json!(2), &json!(3)));
}

#[test]
fn the_labs_channel_ends_with_its_token_and_is_held_like_any_socket() {
    let guarded = Guarded::start(&["--max-held-per-subject", "1"]);
    let open = || {
        let mut wire = guarded.server.connect();
        let auth = format!("Authorization: Bearer {}", brief(3));
        let head = format!("GET /v1/lab/ws?lab=abcdefghijkmnpqr HTTP/1.1\r\n{UPGRADE}\r\n{auth}");
        (wire.request(&head, b"").status, wire)
    };
    let (status, mut channel) = open();
    assert_eq!(status, 101);
    assert_eq!(open().0, 429, "one is what its subject may hold");
    let rest = channel.rest();
    let is_told = |bytes: &[u8]| bytes[0] == 0x88 && bytes[2..4] == 4401_u16.to_be_bytes();
    assert!(rest.windows(4).any(is_told), "{:?}", String::from_utf8_lossy(&rest));
}

#[test]
fn a_cookie_is_for_https_alone_where_the_browser_came_by_it() {
    let direct = Guarded::start(&[]);
    let behind = Guarded::start(&["--trusted-hops", "1"]);
    let is_secure = |guarded: &Guarded, proto: &str| {
        let headers = format!("\r\nAuthorization: Bearer {}\r\nX-Forwarded-Proto: {proto}", everything());
        let answer = guarded.ask("POST /v1/session", &headers, "");
        answer.header("set-cookie").unwrap().contains("Secure")
    };
    assert!(is_secure(&behind, "https") && is_secure(&behind, "http, https"));
    assert!(
        !is_secure(&behind, "http") && !is_secure(&behind, "https, http"),
        "the nearest proxy is believed"
    );
    assert!(!is_secure(&direct, "https"), "and nobody where there is none");
}

#[test]
fn an_idempotency_key_is_its_subjects_own_over_restarts_too() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().to_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    let key = format!("HS256:{}", secret.display());
    let token = |subject: &str| {
        let mut claims = claims(&[">"], &[">"]);
        claims["sub"] = json!(subject);
        signed(&claims)
    };
    let publish = |server: &Server, subject: &str, body: &str| {
        let head =
            "POST /v1/topics/a/events HTTP/1.1\r\nContent-Type: application/x-ndjson\r\nIdempotency-Key: 1";
        let head = format!("{head}\r\nAuthorization: Bearer {}", token(subject));
        let answer = server.request(&head, body.as_bytes());
        (answer.status, answer.json())
    };
    let flags = ["--token-key", &key, "--data", &path];
    let start = || Server::on_disk("127.0.0.1:0", &flags);
    let server = start();
    let ada = publish(&server, "ada", "1\n2");
    let bob = publish(&server, "bob", "3");
    assert!(ada.0 == 201 && bob.0 == 201 && ada.1 != bob.1, "{ada:?} {bob:?}");
    assert_eq!((publish(&server, "ada", "1\n2"), publish(&server, "bob", "3")), (ada.clone(), bob.clone()));
    assert_eq!((publish(&server, "ada", "3").0, publish(&server, "bob", "1\n2").0), (422, 422));
    drop(server);
    let server = start();
    assert_eq!((publish(&server, "ada", "1\n2"), publish(&server, "bob", "3")), (ada, bob));
    let (status, cid) = publish(&server, "cid", "5");
    assert_eq!(status, 201);
    assert_eq!(publish(&server, "cid", "5"), (201, cid));
    assert_eq!(publish(&server, "cid", "6").0, 422);
}
