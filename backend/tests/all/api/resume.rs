//! The promises of every technique: no event is lost, repeated or reordered, over cuts, restarts and a change of
//! technique.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use fourways_client::{Arrival, Subscriber, Target};
use fourways_shared::{After, Technique};
use fourways_testkit::own_address;

use crate::server::{DEADLINE, Server};

fn target(url: &str) -> Target {
    let mut target = Target::new(url, vec!["a".parse().unwrap()]).unwrap();
    target.poll_interval = Duration::from_millis(10);
    target.hold = Duration::from_secs(2);
    target
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Reads numbers until `last` has come. Returns all of them and the number of resets.
fn read(subscriber: &mut Subscriber, technique: Technique, last: u64) -> (Vec<u64>, usize) {
    let (mut numbers, mut resets) = (Vec::new(), 0);
    let run = subscriber.run(technique, |arrival| {
        match arrival {
            Arrival::Event(event) => {
                let fourways_shared::Data::Json(raw) = &event.data else { panic!("no JSON") };
                numbers.push(raw.get().parse().unwrap());
                if numbers.last() == Some(&last) {
                    return ControlFlow::Break(());
                }
            }
            Arrival::Reset(_) => resets += 1,
            Arrival::Lost { wait: None, detail } => panic!("{technique} gave up: {detail}"),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    let outcome = runtime().block_on(async { tokio::time::timeout(DEADLINE, run).await });
    assert!(outcome.is_ok(), "{technique} saw only {numbers:?}");
    (numbers, resets)
}

/// A proxy that cuts every connection after a number of bytes towards the client.
struct Cutter {
    address: SocketAddr,
    cuts: Arc<AtomicU64>,
    is_cutting: Arc<AtomicBool>,
}

impl Cutter {
    fn before(server: SocketAddr, bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (cuts, is_cutting) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(true)));
        let (counted, wanted) = (Arc::clone(&cuts), Arc::clone(&is_cutting));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(upstream)) = (client, TcpStream::connect(server)) else { return };
                let (mut from_client, mut to_server) =
                    (client.try_clone().unwrap(), upstream.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
                let (counted, wanted) = (Arc::clone(&counted), Arc::clone(&wanted));
                std::thread::spawn(move || {
                    let (mut from_server, mut to_client) = (upstream, client);
                    let (mut piece, mut passed) = ([0; 256], 0);
                    while let Ok(count @ 1..) = from_server.read(&mut piece) {
                        let room =
                            if wanted.load(Ordering::SeqCst) { bytes.saturating_sub(passed) } else { count };
                        // The cut falls in the middle of anything: an event, a head, a frame.
                        if to_client.write_all(&piece[..count.min(room)]).is_err() || count > room {
                            counted.fetch_add(1, Ordering::SeqCst);
                            break;
                        }
                        passed += count;
                    }
                    for socket in [&to_client, &from_server] {
                        // Fails only if the socket is closed already.
                        drop(socket.shutdown(std::net::Shutdown::Both));
                    }
                });
            }
        });
        Self { address, cuts, is_cutting }
    }
}

/// A client whose connection is cut again and again still gets every event once and in order.
fn resumes_after_cuts(technique: Technique) {
    let server = Server::start();
    let last = 60;
    for n in 1..=last {
        server.publish("a", &n.to_string());
    }
    let cutter = Cutter::before(server.address, 2_000);
    let mut subscriber = Subscriber::new(target(&format!("http://{}", cutter.address)), After::Earliest);
    // A poll's answer counts only as a whole: one that is always cut would never arrive.
    if matches!(technique, Technique::ShortPoll | Technique::LongPoll) {
        let stop = Arc::clone(&cutter.is_cutting);
        let cuts = Arc::clone(&cutter.cuts);
        std::thread::spawn(move || {
            while cuts.load(Ordering::SeqCst) < 2 {
                std::thread::sleep(Duration::from_millis(5));
            }
            stop.store(false, Ordering::SeqCst);
        });
    }
    let (numbers, resets) = read(&mut subscriber, technique, last);
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
    assert_eq!(resets, 0);
    assert!(cutter.cuts.load(Ordering::SeqCst) >= 2, "it was cut");
}

/// A client that saw no event before it was cut off resumes from its first cursor.
fn resumes_before_its_first_event(technique: Technique) {
    let server = Server::start();
    let mut subscriber = Subscriber::new(target(&server.url()), After::Head);
    let run = subscriber.run(technique, |arrival| match arrival {
        Arrival::Position(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    // A long poll learns its cursor when the hold is over.
    runtime().block_on(async { tokio::time::timeout(DEADLINE, run).await }).unwrap();
    for n in 1..=3 {
        server.publish("a", &n.to_string());
    }
    assert_eq!(read(&mut subscriber, technique, 3).0, [1, 2, 3]);
}

/// A restart that loses the log gives one reset, and then every event of the new log.
fn recovers_from_a_restart(technique: Technique) {
    // On an address of this test alone, the port stays free until the server is back.
    let server = Server::on(&format!("{}:0", own_address()), &[]);
    let address = server.address.to_string();
    server.publish("a", "1");
    let mut subscriber = Subscriber::new(target(&server.url()), After::Earliest);
    assert_eq!(read(&mut subscriber, technique, 1), (vec![1], 0));
    drop(server);
    let restarted = Server::on(&address, &[]);
    restarted.publish("a", "11");
    restarted.publish("a", "12");
    assert_eq!(read(&mut subscriber, technique, 12), (vec![11, 12], 1));
}

/// A client gets the events that are published while it reads.
fn delivers_what_is_published_later(technique: Technique) {
    let server = Server::start();
    let url = server.url();
    let reader =
        std::thread::spawn(move || read(&mut Subscriber::new(target(&url), After::Earliest), technique, 20));
    for n in 1..=20 {
        server.publish("a", &n.to_string());
    }
    assert_eq!(reader.join().unwrap().0, (1..=20).collect::<Vec<_>>());
}

macro_rules! every_technique {
    ($($promise:ident),* $(,)?) => {
        mod short_poll { $(#[test] fn $promise() { super::$promise(fourways_shared::Technique::ShortPoll); })* }
        mod long_poll { $(#[test] fn $promise() { super::$promise(fourways_shared::Technique::LongPoll); })* }
        mod sse { $(#[test] fn $promise() { super::$promise(fourways_shared::Technique::Sse); })* }
        mod websocket { $(#[test] fn $promise() { super::$promise(fourways_shared::Technique::Websocket); })* }
    };
}

every_technique!(
    resumes_after_cuts,
    resumes_before_its_first_event,
    recovers_from_a_restart,
    delivers_what_is_published_later,
);

#[test]
fn a_change_of_technique_loses_and_repeats_nothing() {
    for first in Technique::ALL {
        for second in Technique::ALL {
            let server = Server::start();
            for n in 1..=5 {
                server.publish("a", &n.to_string());
            }
            let mut subscriber = Subscriber::new(target(&server.url()), After::Earliest);
            let (mut numbers, _) = read(&mut subscriber, first, 3);
            for n in 6..=9 {
                server.publish("a", &n.to_string());
            }
            numbers.extend(read(&mut subscriber, second, 9).0);
            assert_eq!(numbers, (1..=9).collect::<Vec<_>>(), "{first} to {second}");
        }
    }
}

/// An `EventSource` that gets any status but 200 never reconnects (HTML Standard 9.2.3). So an id that is not from this
/// server, such as after another server had the address, is a reset, like a cursor of another epoch.
#[test]
fn a_foreign_last_event_id_is_a_reset_and_no_error() {
    let server = Server::start();
    server.publish("a", "41");
    for id in ["", "42", "urn:uuid:6e8bc430", "1700000000:0", "zzzz-7", "a, a", "\u{e4}"] {
        let mut wire = server.connect();
        let head =
            format!("GET /v1/stream?topic=a HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {id}\r\n\r\n");
        wire.send(head.as_bytes());
        let heard = String::from_utf8(wire.until(b"\"data\":41")).unwrap();
        assert!(heard.starts_with("HTTP/1.1 200 OK"), "{id:?}: {heard}");
        assert!(heard.contains("\"reason\":\"epoch\""), "{id:?}: {heard}");
    }
}
