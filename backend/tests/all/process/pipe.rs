//! Pipes: `… | fourways publish` and `fourways subscribe | …`, with bad lines, failing servers and hostile proxies.
//!
//! `FOURWAYS_LINES=1000000 cargo test -p fourways --test all process::pipe::a_kill -- --nocapture` kills the server
//! during a million lines.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use fourways_testkit::{DEADLINE, Process};
use serde_json::json;

use crate::{
    FOURWAYS,
    api::access::{SECRET, claims, signed},
    front::Certificate,
};

fn serve(flags: &[&str]) -> Process {
    Process::serve(FOURWAYS, &[&["--memory", "--source", "none"], flags].concat()).unwrap()
}

/// Pipes these bytes into `fourways publish`, to the topic `logs`.
fn publish(url: &str, input: &[u8], flags: &[&str]) -> Output {
    let mut command = Command::new(FOURWAYS);
    command.args(["publish", "--topic", "logs", "--server", url]).args(flags);
    piped(command, input)
}

fn piped(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    // A command that ends at a bad line reads no further, so that writing fails.
    let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

/// Reads `count` events of a topic or pattern with `fourways subscribe`, from the earliest on, and returns its lines.
fn read(url: &str, topic: &str, count: usize, flags: &[&str]) -> Vec<String> {
    read_by("short-poll", url, topic, count, flags)
}

fn read_by(technique: &str, url: &str, topic: &str, count: usize, flags: &[&str]) -> Vec<String> {
    let output = Command::new(FOURWAYS)
        .args(["subscribe", "--server", url, "--topic", topic, "--after", "earliest"])
        .args(["--by", technique, "--count", &count.to_string()])
        .args(flags)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn numbers(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the number of events that the server has of the topic `logs`.
fn events(server: &Process) -> u64 {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .write_all(b"GET /v1/topics/logs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let topic: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    topic["events"].as_u64().unwrap()
}

#[test]
fn what_the_server_can_not_take_now_is_waited_for() {
    // This server never accepts a hundred events at once.
    let server = serve(&["--publish-rate", "20"]);
    let lines = numbers(1..=140);
    let output = publish(&server.url(), lines.join("\n").as_bytes(), &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(read(&server.url(), "logs", 140, &[]), lines);
    let last = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(last.trim_end().ends_with("-140"), "the last cursor: {last:?}");
    assert!(said(&output).contains("140 published"), "{output:?}");
}

#[test]
fn a_bad_line_is_told_with_its_number_and_costs_no_other() {
    let good = |from: u32| numbers(from..=from + 99).join("\n");
    let latin = [good(1).as_bytes(), b"\ncaf\xe9\n", good(102).as_bytes()].concat();
    let cut = [good(1).as_bytes(), b"\n{\"cut\":\n", good(102).as_bytes()].concat();
    let long = [good(1).as_bytes(), b"\n", &vec![b'7'; 1_100_000], b"\n", good(102).as_bytes()].concat();
    let all = [numbers(1..=100), numbers(102..=201)].concat();
    for (input, flags) in [(&latin, &[][..]), (&cut, &["--json"]), (&long, &[])] {
        let server = serve(&[]);
        let output = publish(&server.url(), input, flags);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(said(&output).contains("line 101 is skipped: "), "{output:?}");
        assert!(said(&output).contains("200 published, 1 skipped"), "{output:?}");
        assert_eq!(read(&server.url(), "logs", 200, &[]), all);

        let server = serve(&[]);
        let output = publish(&server.url(), input, &[flags, &["--on-bad", "stop"]].concat());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said(&output).contains("line 101: "), "{output:?}");
        assert_eq!((events(&server), read(&server.url(), "logs", 100, &[])), (100, numbers(1..=100)));
    }
    let server = serve(&[]);
    let output = publish(&server.url(), &latin, &["--on-bad", "bytes"]);
    assert!(output.status.success() && said(&output).contains("line 101: "), "{output:?}");
    let lines = read(&server.url(), "logs", 201, &[]);
    assert_eq!((&*lines[100], lines.len()), ("caf\\xe9", 201));
}

#[test]
fn a_line_that_the_server_does_not_take_is_found_among_others() {
    let server = serve(&["--max-body-bytes", "5000"]);
    let mut lines = numbers(1..=500);
    lines[77] = "x".repeat(6000);
    let output = publish(&server.url(), lines.join("\n").as_bytes(), &[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(said(&output).contains("line 78 is skipped: "), "{output:?}");
    lines.remove(77);
    assert_eq!(read(&server.url(), "logs", 499, &[]), lines);
}

/// A hostile proxy before a server. It answers requests itself, passes them on, or withholds the answers: each
/// connection fails in another way.
struct Hostile {
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hostile {
    fn before(server: &Process) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let (server, is_over) = (server.address().to_owned(), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            for (at, stream) in listener.incoming().enumerate() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                // One connection after the other, since the publisher has only one at a time. Every other one works.
                mistreat(if at % 2 == 0 { at / 2 % 8 } else { 8 }, stream, &server);
            }
        });
        Self { address, ends, thread: Some(thread) }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        self.thread.take().map(JoinHandle::join);
    }
}

/// Reads one whole request, by its `Content-Length`; `None` if the connection ends first.
fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if bytes.len() >= end + 4 + length.unwrap_or(0) {
            return Some(bytes);
        }
    }
}

fn mistreat(way: usize, mut stream: TcpStream, server: &str) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let Some(asked) = request(&mut stream) else { return };
    let mut say = |answer: &str| drop(stream.write_all(answer.as_bytes()));
    let forwarded = || {
        let mut back = TcpStream::connect(server).unwrap();
        back.write_all(&asked).unwrap();
        back.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        back.read_to_end(&mut answer).unwrap();
        answer
    };
    match way {
        0 => say(
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        1 => say("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"),
        2 => say(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>",
        ),
        3 => say("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        // The server has the events, but the client gets no answer.
        4 | 5 => drop(forwarded()),
        // The server has the events, but the client gets only the beginning of the answer.
        6 => drop(stream.write_all(&forwarded()[..40])),
        7 => {}
        _ => drop(stream.write_all(&forwarded())),
    }
}

#[test]
fn nothing_is_lost_or_there_twice_whatever_is_answered() {
    let server = serve(&[]);
    let hostile = Hostile::before(&server);
    let lines = numbers(1..=10_000);
    let output = publish(&hostile.url(), lines.join("\n").as_bytes(), &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!((events(&server), read(&server.url(), "logs", 10_000, &[])), (10_000, lines));
}

#[test]
fn a_kill_among_many_lines_loses_none_and_doubles_none() {
    let count: u32 = std::env::var("FOURWAYS_LINES").map_or(40_000, |lines| lines.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap().to_owned();
    let flags =
        ["--data", data.as_str(), "--source", "none", "--publish-rate", "0", "--retain-bytes", "8GiB"];
    let flags = [&flags[..], &["--durability", "interval:100ms"]].concat();
    let mut server = Process::serve(FOURWAYS, &flags).unwrap();
    let address = server.address().to_owned();
    let mut command = Command::new(FOURWAYS);
    command.args(["publish", "--topic", "logs", "--server", &server.url()]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || {
        for number in 1..=count {
            stdin.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
    });
    for part in 1..=4 {
        let began = Instant::now();
        while events(&server) < u64::from(count) * part / 5 {
            assert!(began.elapsed() < 10 * DEADLINE, "lines arrive");
        }
        server.kill();
        server = Process::serve_on(FOURWAYS, &address, &flags).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success(), "{output:?}");
    let all = read(&server.url(), "logs", count as usize, &[]);
    assert_eq!((events(&server), all.len()), (u64::from(count), count as usize));
    assert!(
        all.iter().zip(1..).all(|(line, number): (&String, u32)| *line == number.to_string()),
        "in order"
    );
    println!("{count} lines, four kills: 0 lost, 0 doubled");
}

#[test]
fn a_server_behind_tls_and_below_a_path_is_reached_by_every_command() {
    let certificate = Certificate::make();
    let tls = certificate.flags();
    let tls: Vec<&str> = tls.iter().map(String::as_str).collect();
    // The certificate is for the address 127.0.0.1.
    let flags = [&["--memory", "--source", "none"], &tls[..]].concat();
    let server = Process::serve_on(FOURWAYS, "127.0.0.1:0", &flags).unwrap();
    let url = format!("https://{}", server.address());
    let run = |arguments: &[&str], input: &[u8], trusts: bool| {
        let mut command = Command::new(FOURWAYS);
        command.args(arguments);
        if trusts {
            command.env("SSL_CERT_FILE", certificate.path());
        }
        piped(command, input)
    };
    let output = run(&["publish", "--topic", "logs", "--server", &url], b"one\ntwo\n", true);
    assert!(output.status.success(), "{output:?}");
    for technique in ["short-poll", "long-poll", "sse", "websocket"] {
        let arguments = ["subscribe", "--topic", "logs", "--server", &url, "--by", technique];
        let output = run(&[&arguments[..], &["--after", "earliest", "--count", "2"]].concat(), b"", true);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "one\ntwo\n", "{technique}: {output:?}");
    }
    assert!(run(&["rehearse", "--server", &url], b"", true).status.success());
    let stranger = run(&["rehearse", "--server", &url], b"", false);
    assert!(!stranger.status.success(), "a certificate that nobody vouches for is not trusted");
}

/// A proxy that serves the server below `/push`, and removes that prefix from each request's path.
struct Below {
    address: SocketAddr,
}

impl Below {
    fn of(server: &Process) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = server.address().to_owned();
        // The thread ends with the test process; it holds nothing that must be released.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let server = server.clone();
                std::thread::spawn(move || {
                    let Some(asked) = request(&mut stream) else { return };
                    let text = String::from_utf8_lossy(&asked);
                    let Some((method, rest)) = text.split_once(" /push/") else {
                        return drop(
                            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
                        );
                    };
                    let mut back = TcpStream::connect(server).unwrap();
                    let head =
                        format!("{method} /{rest}").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
                    let head =
                        if rest.contains("pgrade: websocket") { format!("{method} /{rest}") } else { head };
                    back.write_all(head.as_bytes()).unwrap();
                    let (mut up, mut down) = (stream.try_clone().unwrap(), back.try_clone().unwrap());
                    let upwards = std::thread::spawn(move || {
                        drop(std::io::copy(&mut up, &mut down));
                        drop(down.shutdown(Shutdown::Both));
                    });
                    drop(std::io::copy(&mut back, &mut stream));
                    drop(stream.shutdown(Shutdown::Both));
                    drop(upwards.join());
                });
            }
        });
        Self { address }
    }
}

#[test]
fn a_path_before_the_servers_own_is_kept() {
    let server = serve(&[]);
    let below = Below::of(&server);
    for url in [format!("http://{}/push", below.address), format!("http://{}/push/", below.address)] {
        assert!(publish(&url, b"one\n", &[]).status.success());
    }
    for technique in ["short-poll", "long-poll", "sse", "websocket"] {
        let output = Command::new(FOURWAYS)
            .args(["subscribe", "--topic", "logs", "--by", technique, "--after", "earliest", "--count", "2"])
            .args(["--server", &format!("http://{}/push", below.address)])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "one\none\n", "{technique}: {output:?}");
    }
}

#[test]
fn an_event_is_one_line_that_no_terminal_obeys_and_patterns_are_read() {
    let server = serve(&[]);
    let url = server.url();
    let json = "{\"x\": \"\\u001b[2J\",\n \"n\": 1.0}";
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = "POST /v1/topics/logs.a/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let kind = "Content-Type: application/json\r\nContent-Length:";
    write!(stream, "{head}{kind} {}\r\n\r\n{json}", json.len()).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    let mut command = Command::new(FOURWAYS);
    command.args(["publish", "--topic", "logs.b", "--server", &url]);
    assert!(piped(command, b"\x1b]0;title\x07 b\xc2\x9b\n").status.success());
    for technique in ["short-poll", "long-poll", "sse", "websocket"] {
        let lines = read_by(technique, &url, "logs.*", 2, &[]);
        assert_eq!(
            lines,
            ["{\"x\":\"\\u001b[2J\",\"n\":1.0}", "\\u001b]0;title\\u0007 b\\u009b"],
            "{technique}"
        );
    }
    let events = read(&url, "logs.*", 2, &["--events"]);
    let first: serde_json::Value = serde_json::from_str(&events[0]).unwrap();
    assert_eq!((events.len(), &first["data"]), (2, &json!({ "x": "\u{1b}[2J", "n": 1.0 })));
}

#[test]
fn a_token_comes_from_a_file_and_fields_are_sent() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let key = format!("HS256:{}", write("secret", SECRET));
    let server = serve(&["--token-key", &key]);
    let (url, own) = (server.url(), signed(&claims(&["logs"], &["logs"])));
    let file = write("token", &format!("{own}\n"));
    assert!(publish(&url, b"one\n", &["--token-file", &file]).status.success());
    assert!(publish(&url, b"two\n", &["--token", &own]).status.success());
    let field = format!("Authorization: Bearer {own}");
    assert!(publish(&url, b"three\n", &["--header", &field, "--header", "X-Other: 1"]).status.success());
    let refused = publish(&url, b"four\n", &[]);
    assert!(!refused.status.success() && said(&refused).contains("a token is needed"), "{refused:?}");
    assert_eq!(read(&url, "logs", 3, &["--token-file", &file]), ["one", "two", "three"]);
    let check = Command::new(FOURWAYS)
        .args(["check", &format!("{url}/v1/events?topic=logs"), "--seconds", "5", "--json"])
        .args(["--token-file", &file])
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&check.stdout);
    assert!(report.contains("authorization: …") && !report.contains(&own), "the report has no secret");
    assert!(report.contains("HTTP/1.1 200"), "{report}");
}
