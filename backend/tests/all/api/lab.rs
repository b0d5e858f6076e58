//! The lab's channel: its counts agree with the kernel's, and a fault affects only the page that asked for it.

use std::{
    net::TcpStream,
    process::Command,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use fourways_shared::{
    Technique,
    lab::{Counts, Fault, FaultKind, LabCommand, LabId, LabNews, Unit, WireRecord, read_records},
};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::server::{DEADLINE, Server, UPGRADE, Wire};

/// A page of the lab, as the server sees it: a channel, and the last news on it.
struct Page<'a> {
    server: &'a Server,
    id: LabId,
    channel: WebSocket<TcpStream>,
    counts: [Counts; 4],
    faults: usize,
    records: Vec<WireRecord>,
}

impl<'a> Page<'a> {
    fn open(server: &'a Server, number: u8) -> Self {
        let id = LabId::from_random([number; 16]);
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let url = format!("ws://{}/v1/lab/ws?lab={}", server.address, id.as_str());
        let (channel, _) = client(url, stream).expect("the channel opens");
        Self { server, id, channel, counts: [Counts::default(); 4], faults: 0, records: Vec::new() }
    }

    fn tell(&mut self, command: &LabCommand) {
        self.channel.send(Message::text(serde_json::to_string(command).unwrap())).unwrap();
    }

    /// Starts a fault, and waits until the server says that the fault is active.
    fn break_with(&mut self, technique: Technique, fault: Fault) {
        self.tell(&LabCommand::Fault { techniques: vec![technique], fault });
        if fault.ms > 0 {
            self.until(|page| page.faults > 0);
        }
    }

    /// Reads the channel until the condition holds.
    #[track_caller]
    fn until(&mut self, is_there: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is_there(self) {
            assert!(began.elapsed() < DEADLINE, "{:?} {} {:?}", self.counts, self.faults, self.records);
            match self.channel.read().expect("the channel stays open") {
                Message::Text(text) => {
                    let news: LabNews = serde_json::from_str(&text).unwrap();
                    assert_eq!((news.left_out, &news.refused), (0, &None));
                    self.counts = news.counts;
                    self.faults = news.faults.len();
                }
                Message::Binary(message) => self.records.extend(read_records(&message).unwrap()),
                _ => {}
            }
        }
    }

    fn head(&self, technique: Technique, n: u32) -> String {
        let lab = format!("lab={}.{n}", self.id.as_str());
        match technique {
            Technique::ShortPoll => format!("GET /v1/events?topic=a&after=earliest&{lab} HTTP/1.1"),
            Technique::LongPoll => format!("GET /v1/events?topic=a&wait=20&{lab} HTTP/1.1"),
            Technique::Sse => format!("GET /v1/stream?topic=a&{lab} HTTP/1.1"),
            Technique::Websocket => format!("GET /v1/ws?topic=a&{lab} HTTP/1.1\r\n{UPGRADE}"),
        }
    }

    /// Opens a stream or a socket and waits until it is open, or sends a poll without waiting.
    fn ask(&self, technique: Technique, n: u32) -> Wire {
        let mut wire = self.server.connect();
        wire.send(format!("{}\r\nHost: localhost\r\n\r\n", self.head(technique, n)).as_bytes());
        match technique {
            Technique::Sse => wire.until(b"retry:"),
            Technique::Websocket => wire.until(b"subscribed"),
            Technique::ShortPoll | Technique::LongPoll => Vec::new(),
        };
        wire
    }
}

const HELD: [Technique; 3] = [Technique::LongPoll, Technique::Sse, Technique::Websocket];

/// Returns the kernel's counts of bytes sent and received on this socket (`TCP_INFO`: `tcpi_bytes_sent`,
/// `tcpi_bytes_received`).
fn kernel(wire: &Wire) -> (u64, u64) {
    let port = wire.stream.local_addr().unwrap().port();
    let output = Command::new("ss").args(["-tinHO", &format!("sport = :{port}")]).output();
    let said = String::from_utf8(output.expect("ss of iproute2 is installed").stdout).unwrap();
    let value = |name: &str| {
        let found = said.split_whitespace().find_map(|word| word.strip_prefix(name));
        found.unwrap_or_else(|| panic!("no {name} in {said:?}")).parse().unwrap()
    };
    (value("bytes_sent:"), value("bytes_received:"))
}

#[track_caller]
fn assert_within_a_hundredth(name: &str, counted: u64, kernel: u64) {
    let off = counted.abs_diff(kernel);
    assert!(kernel > 1000 && off * 100 <= kernel, "{name}: counted {counted}, the kernel {kernel}");
}

#[test]
fn what_is_counted_is_what_the_kernel_counts() {
    let server = Server::start();
    for technique in Technique::ALL {
        let mut page = Page::open(&server, technique as u8);
        let mut wire = page.server.connect();
        let mut asked = 0;
        let mut ask = |page: &Page, wire: &mut Wire| {
            asked += 1;
            wire.send(
                format!("{}\r\nHost: localhost\r\nUser-Agent: test\r\n\r\n", page.head(technique, asked))
                    .as_bytes(),
            );
        };
        if matches!(technique, Technique::Sse | Technique::Websocket) {
            ask(&page, &mut wire);
        }
        for n in 0..40 {
            let is_held = technique == Technique::LongPoll;
            if is_held {
                ask(&page, &mut wire);
                server.await_subscribers("a", "long_poll", 1);
            }
            if matches!(technique, Technique::Sse | Technique::Websocket) {
                server.await_subscribers("a", technique.name(), 1);
            }
            let cursor = server.publish("a", &format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(n * 9)));
            if technique == Technique::ShortPoll {
                ask(&page, &mut wire);
            }
            wire.until(format!("\"cursor\":\"{cursor}\"").as_bytes());
        }
        if technique == Technique::Websocket {
            // Masked frames with a ping command, so that bytes flow to the server too.
            let text = br#"{"type":"ping"}"#;
            for _ in 0..60 {
                let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 1, 2, 3, 4];
                frame.extend(text.iter().zip([1_u8, 2, 3, 4].iter().cycle()).map(|(byte, mask)| byte ^ mask));
                wire.send(&frame);
                wire.until(b"pong");
            }
        }
        let at = technique.index();
        let (up, down) = kernel(&wire);
        page.until(|page| page.counts[at].total_down() * 100 >= down * 99);
        let counts = page.counts[at];
        assert_within_a_hundredth(&format!("{technique} down"), counts.total_down(), down);
        if counts.requests > 1 || technique == Technique::Websocket {
            assert_within_a_hundredth(&format!("{technique} up"), counts.total_up(), up);
        } else {
            assert_eq!(counts.total_up(), up, "{technique} up");
        }
        assert_eq!(counts.requests, u64::from(asked));
        let others = page.counts.iter().enumerate().filter(|(other, _)| *other != at);
        assert!(others.clone().all(|(_, counts)| *counts == Counts::default()), "{:?}", page.counts);
        let payload: u64 = counts.down.payload;
        assert!(payload * 2 > counts.down.total() || technique == Technique::ShortPoll, "{counts:?}");
    }
}

#[test]
fn a_poll_that_brings_nothing_is_counted_as_empty() {
    let server = Server::start();
    let mut page = Page::open(&server, 1);
    let mut wire = server.connect();
    let empty = format!("GET /v1/events?topic=a&lab={}.1 HTTP/1.1", page.id.as_str());
    let etag = wire.request(&empty, b"").header("etag").unwrap();
    assert_eq!(wire.request(&format!("{empty}\r\nIf-None-Match: {etag}"), b"").status, 304);
    page.until(|page| page.counts[0].empty == 2);
    let counts = page.counts[0];
    assert_eq!((counts.up.total(), counts.down.total()), (0, 0));
    assert!(counts.empty_up > 100 && counts.empty_down > 100, "{counts:?}");
}

#[test]
fn a_page_that_watches_gets_every_unit_with_its_bytes() {
    let server = Server::start();
    let mut page = Page::open(&server, 1);
    page.tell(&LabCommand::Watch(vec![Technique::Sse, Technique::Websocket]));
    // The stream of another client, and a technique that is not watched, are in no record.
    let _other = server.connect().request("GET /v1/stream?topic=a HTTP/1.1", b"");
    // Commands are executed in order: once the server reports this fault, it has the command before too.
    page.break_with(Technique::ShortPoll, Fault::new(FaultKind::Stall, 60_000));
    let mut stream = page.ask(Technique::Sse, 3);
    server.publish("a", "{\"n\":1}");
    stream.until(b"\"n\":1}}\n\n");
    page.until(|page| page.records.len() == 4);
    let units: Vec<_> = page.records.iter().map(|record| record.unit).collect();
    assert_eq!(units, [Unit::Request, Unit::Response, Unit::Comment, Unit::Event]);
    assert!(page.records.iter().all(|record| record.n == 3 && record.technique == Technique::Sse));
    assert_eq!(page.records[1].code, 200);
    let event = String::from_utf8(page.records[3].raw.clone()).unwrap();
    assert!(event.contains("\r\nid: ") && event.ends_with("\"n\":1}}\n\n\r\n"), "{event:?}");
    let _socket = page.ask(Technique::Websocket, 1);
    page.until(|page| page.records.iter().filter(|record| record.unit == Unit::Frame).count() >= 2);
    let text = page.records.iter().find(|record| record.unit == Unit::Frame).unwrap();
    assert_eq!((text.code, text.up), (1, false));
}

/// Returns the time in microseconds since the Unix epoch, as the server counts it.
fn now_us() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()
}

#[test]
fn a_drop_cuts_who_asked_and_nobody_else() {
    let server = Server::start();
    for technique in HELD {
        let (mut page, other) = (Page::open(&server, 1), Page::open(&server, 2));
        let (mut mine, mut others) = (page.ask(technique, 1), other.ask(technique, 1));
        server.await_subscribers("a", technique.name(), 2);
        page.break_with(technique, Fault::new(FaultKind::Drop, 0));
        mine.rest();
        server.await_subscribers("a", technique.name(), 1);
        // The page may reconnect at once.
        let mut again = page.ask(technique, 2);
        server.await_subscribers("a", technique.name(), 2);
        server.publish("a", "{\"n\":1}");
        others.until(b"\"n\":1}");
        again.until(b"\"n\":1}");
    }
}

#[test]
fn what_is_stalled_comes_when_it_is_over_and_others_notice_nothing() {
    let server = Server::start();
    for technique in HELD {
        let (mut page, other) = (Page::open(&server, 1), Page::open(&server, 2));
        let (mut mine, mut others) = (page.ask(technique, 1), other.ask(technique, 1));
        server.await_subscribers("a", technique.name(), 2);
        let began = now_us();
        page.break_with(technique, Fault::new(FaultKind::Stall, 700));
        server.publish("a", "{\"n\":1}");
        others.until(b"\"n\":1}");
        mine.until(b"\"n\":1}");
        assert!(now_us() - began >= 700_000, "{technique}: it came through a stall");
        page.until(|page| page.faults == 0);
    }
}

#[test]
fn a_request_that_is_stalled_is_answered_when_it_is_over() {
    let server = Server::start();
    server.publish("a", "{\"n\":1}");
    let mut page = Page::open(&server, 1);
    let mut wire = page.ask(Technique::ShortPoll, 1);
    wire.answer();
    let began = now_us();
    page.break_with(Technique::ShortPoll, Fault::new(FaultKind::Stall, 500));
    wire.send(format!("{}\r\nHost: localhost\r\n\r\n", page.head(Technique::ShortPoll, 2)).as_bytes());
    assert_eq!(wire.answer().status, 200);
    assert!(now_us() - began >= 500_000);
}

#[test]
fn delay_and_bandwidth_take_their_time_on_every_technique() {
    let server = Server::start();
    let faults = [
        Fault { delay_ms: 200, jitter_ms: 50, ..Fault::new(FaultKind::Delay, Fault::MAX_MS) },
        Fault { bytes_per_s: 4_000, ..Fault::new(FaultKind::Bandwidth, Fault::MAX_MS) },
    ];
    for fault in faults {
        for technique in HELD {
            let mut page = Page::open(&server, 1);
            let mut wire = page.ask(technique, 1);
            server.await_subscribers("a", technique.name(), 1);
            page.break_with(technique, fault);
            let began = now_us();
            server.publish("a", &format!("{{\"pad\":\"{}\"}}", "x".repeat(900)));
            wire.until(b"xxx\"}");
            let took_us = now_us() - began;
            assert!(took_us >= 200_000, "{technique} {fault:?}");
            // The event came after its own delay, and not because the fault was over.
            assert!(took_us < u128::from(Fault::MAX_MS) * 1000, "{technique} {fault:?}: {took_us}");
            page.tell(&LabCommand::Heal(vec![technique]));
            page.until(|page| page.faults == 0);
        }
    }
}

#[test]
fn a_buffer_holds_a_stream_and_lets_whole_answers_and_sockets_pass() {
    let server = Server::start();
    let mut page = Page::open(&server, 1);
    let fault = Fault { buffer_bytes: 4096, ..Fault::new(FaultKind::Buffer, 60_000) };
    let (mut stream, mut socket) = (page.ask(Technique::Sse, 1), page.ask(Technique::Websocket, 1));
    server.await_subscribers("a", "websocket", 1);
    for technique in Technique::ALL {
        page.tell(&LabCommand::Fault { techniques: vec![technique], fault });
    }
    page.until(|page| page.faults == 4);
    let mut poll = page.ask(Technique::LongPoll, 2);
    server.await_subscribers("a", "long_poll", 1);
    server.publish("a", "{\"n\":1}");
    poll.until(b"\"n\":1}");
    socket.until(b"\"n\":1}");
    let before = page.counts[2].down.payload;
    for n in 2..8 {
        server.publish("a", &format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(1000)));
        socket.until(format!("\"n\":{n},").as_bytes());
    }
    // The first event came in one piece with those that filled the buffer.
    stream.until(b"\"n\":1}");
    stream.until(b"\"n\":2,");
    page.until(|page| page.counts[2].down.payload > before + 3000);
    assert_eq!(page.faults, 4, "the fault still lasts");
    assert_eq!(page.ask(Technique::ShortPoll, 2).answer().status, 200);
}

#[test]
fn refusing_answers_503_and_leaves_what_is_open() {
    let server = Server::start();
    for technique in Technique::ALL {
        let (mut page, other) = (Page::open(&server, 1), Page::open(&server, 2));
        let mut open = page.ask(technique, 1);
        if technique != Technique::ShortPoll {
            server.await_subscribers("a", technique.name(), 1);
        }
        page.break_with(technique, Fault::new(FaultKind::Refuse, 60_000));
        let mut wire = server.connect();
        for n in 2..4 {
            wire.send(format!("{}\r\nHost: localhost\r\n\r\n", page.head(technique, n)).as_bytes());
            let answer = wire.answer();
            assert_eq!((answer.status, answer.header("retry-after").as_deref()), (503, Some("1")));
            assert_eq!(answer.json()["code"], "unavailable");
        }
        let mut others = other.ask(technique, 1);
        if technique != Technique::ShortPoll {
            server.await_subscribers("a", technique.name(), 2);
        }
        server.publish("a", "{\"n\":1}");
        if technique != Technique::ShortPoll {
            open.until(b"\"n\":1}");
            others.until(b"\"n\":1}");
        }
        page.tell(&LabCommand::Heal(vec![technique]));
        page.until(|page| page.faults == 0);
        wire.send(format!("{}\r\nHost: localhost\r\n\r\n", page.head(Technique::ShortPoll, 9)).as_bytes());
        assert_eq!(wire.answer().status, 200);
    }
}

#[test]
fn a_restart_cuts_and_refuses_until_it_is_over() {
    let server = Server::start();
    for technique in HELD {
        let mut page = Page::open(&server, 1);
        let mut wire = page.ask(technique, 1);
        server.await_subscribers("a", technique.name(), 1);
        page.break_with(technique, Fault::new(FaultKind::Restart, 60_000));
        wire.rest();
        let mut again = server.connect();
        again.send(format!("{}\r\nHost: localhost\r\n\r\n", page.head(technique, 2)).as_bytes());
        assert!(again.rest().is_empty(), "cut without an answer");
        page.tell(&LabCommand::Heal(vec![technique]));
        page.until(|page| page.faults == 0);
        let _served = page.ask(technique, 3);
        server.await_subscribers("a", technique.name(), 1);
    }
}

#[test]
fn a_fault_that_makes_no_sense_is_refused_in_words() {
    let server = Server::start();
    let mut page = Page::open(&server, 1);
    for bad in [r#"{"fault":{"techniques":["sse"],"fault":{"kind":"stall","ms":600000}}}"#, "{\"x\":1}", "no"]
    {
        page.channel.send(Message::text(bad)).unwrap();
        let refused = loop {
            if let Message::Text(text) = page.channel.read().unwrap() {
                let news: LabNews = serde_json::from_str(&text).unwrap();
                if let Some(refused) = news.refused {
                    break refused;
                }
            }
        };
        assert!(refused.len() > 20, "{refused}");
    }
    assert_eq!(server.get("/v1/lab/ws").status, 400);
    assert_eq!(server.get("/v1/lab/ws?lab=short").json()["field"], "lab");
}
