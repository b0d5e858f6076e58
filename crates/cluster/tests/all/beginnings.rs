//! The order as others change it: made anew, purged, restored from a backup, written by other programs, or gone.

use std::{fs, path::Path, process::Command, time::Duration};

use fourways_cluster::{OrderError, OrderSettings};
use fourways_log::engine::{Copy, Standing, TailCap};
use fourways_shared::{After, Cursor, Offset, ResetReason};
use fourways_testkit::Nats;

use crate::kit::{Node, fresh_name, one_server, settings, until};

/// Asks NATS for something as another program does.
fn ask<T>(nats: &Nats, what: impl AsyncFnOnce(async_nats::jetstream::Context) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(nats.urls()).await.unwrap();
        what(async_nats::jetstream::new(client)).await
    })
}

fn on_disk(nats: &Nats, log: &str, folder: &Path) -> OrderSettings {
    let copy = Copy::Disk { folder: folder.join("copy"), cap: TailCap { events: 100, bytes: 1 << 20 } };
    OrderSettings { copy, ..settings(nats, log) }
}

fn cursor_of(node: &Node) -> Cursor {
    node.engine.tail().cursor(node.engine.tail().head())
}

#[test]
fn a_stream_that_is_made_anew_is_another_log() {
    let Some(nats) = one_server() else { return };
    let log = fresh_name();
    let monitors = vec![nats.monitor(0), "http://127.0.0.1:9".to_owned()];
    let node = Node::open(&OrderSettings { monitors, ..settings(&nats, &log) });
    node.ready();
    node.publish("a", &["1", "2", "3"], None).unwrap();
    let before = cursor_of(&node);
    let mut reader = node.subscribe(After::Cursor(before));
    ask(&nats, async |stream| stream.delete_stream(&log).await.unwrap());
    ask(&nats, async |stream| {
        let config = async_nats::jetstream::stream::Config {
            name: log.clone(),
            subjects: vec![format!("{log}.e.>")],
            allow_atomic_publish: true,
            allow_message_ttl: true,
            ..Default::default()
        };
        stream.create_stream(config).await.unwrap();
    });
    until("the node follows the new stream", || node.engine.tail().epoch() != before.epoch);
    until("it can be published to", || node.publish("a", &["new"], None).is_ok());
    let (resets, events) = node.read(&mut reader, 1);
    assert_eq!(resets.iter().map(|reset| reset.reason).collect::<Vec<_>>(), [ResetReason::Epoch]);
    assert_eq!(events[0].1, "\"new\"");
    assert_eq!(node.engine.order().unwrap().diverged, 0, "nothing contradicts anything");
}

#[test]
fn a_purge_takes_nothing_from_servers_that_have_it() {
    let Some(nats) = one_server() else { return };
    let log = fresh_name();
    let node = Node::open(&settings(&nats, &log));
    node.ready();
    node.publish("a", &["1", "2", "3"], None).unwrap();
    ask(&nats, async |stream| stream.get_stream(&log).await.unwrap().purge().await.unwrap());
    node.publish("a", &["4"], None).unwrap();
    let (resets, events) = node.read(&mut node.subscribe(After::Earliest), 4);
    assert_eq!((resets.len(), events.len()), (0, 4));
    // A server that comes later does not have them, and says so.
    let late = Node::open(&settings(&nats, &log));
    late.ready();
    let mut reader = late.subscribe(After::Cursor(Cursor { offset: Offset(1), ..cursor_of(&node) }));
    let (resets, events) = late.read(&mut reader, 1);
    assert_eq!(resets.iter().map(|reset| reset.reason).collect::<Vec<_>>(), [ResetReason::Retention]);
    assert_eq!(events, [(4, "\"4\"".to_owned())]);
}

#[test]
fn other_programs_write_and_read_the_log() {
    let Some(nats) = one_server() else { return };
    let log = fresh_name();
    let node = Node::open(&settings(&nats, &log));
    node.ready();
    ask(&nats, async |stream| {
        let big = format!("[{}1e999]", "1,".repeat(3));
        for (topic, payload) in [
            ("a", b"{\"x\": 1}".as_slice()),
            ("No Topic At All".replace(' ', "_").as_str(), b"1"),
            ("b", b"plain text"),
            ("b", b"\xff\xfe"),
            ("b", big.as_bytes()),
        ] {
            let subject = format!("{log}.e.{topic}");
            stream.publish(subject, payload.to_vec().into()).await.unwrap().await.unwrap();
        }
    });
    let (_, events) = node.read(&mut node.subscribe(After::Earliest), 4);
    let expected = [(1, "{\"x\": 1}"), (3, "\"plain text\""), (4, "2 bytes"), (5, "\"[1,1,1,1e999]\"")];
    assert_eq!(events, expected.map(|(offset, data)| (offset, data.to_owned())));
    let offsets = node.publish("a", &["one", "two"], Some("key")).unwrap();
    assert_eq!(offsets, [6, 7]);
    let (subject, payload) = ask(&nats, async |stream| {
        let message = stream.get_stream(&log).await.unwrap().get_raw_message(7).await.unwrap();
        assert_eq!(message.headers.get("Fw-Key").unwrap().as_str(), "key");
        (message.subject.to_string(), message.payload)
    });
    assert_eq!((subject, payload.as_ref()), (format!("{log}.e.a"), b"\"two\"".as_slice()));
}

#[test]
fn without_nats_what_is_there_is_read_and_publishing_waits() {
    let Some(mut nats) = one_server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = fresh_name();
    let settings = on_disk(&nats, &log, folder.path());
    let node = Node::open(&settings);
    node.ready();
    node.publish("a", &["1", "2"], Some("k")).unwrap();
    nats.kill(0);
    until("the node says that it is behind", || node.engine.standing() != Standing::Ready);
    assert_eq!(node.read(&mut node.subscribe(After::Earliest), 2).1.len(), 2);
    assert_eq!(node.publish("a", &["1", "2"], Some("k")).unwrap(), [1, 2], "a known key needs no order");
    std::thread::scope(|scope| {
        let held = scope.spawn(|| node.publish("b", &["3"], None));
        std::thread::sleep(Duration::from_millis(500));
        nats.restart(0).unwrap();
        assert_eq!(held.join().unwrap().unwrap(), [3], "it was held, not refused");
    });
    node.ready();
    // A start without NATS has what was followed before.
    let before = cursor_of(&node);
    drop(node);
    nats.kill(0);
    let node = Node::open(&settings);
    assert!(matches!(node.engine.standing(), Standing::Behind { .. }));
    assert_eq!(cursor_of(&node), before);
    assert_eq!(node.read(&mut node.subscribe(After::Earliest), 3).1.len(), 3);
    nats.restart(0).unwrap();
    node.ready();
    assert_eq!(node.publish("b", &["4"], None).unwrap(), [4]);
    // Without a copy there is nothing to start with.
    drop(node);
    nats.kill(0);
    fs::remove_dir_all(folder.path().join("copy")).unwrap();
}

#[test]
fn a_backup_that_lacks_acknowledged_events_is_another_life_of_the_log() {
    let Some(mut nats) = one_server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = fresh_name();
    let node = Node::open(&on_disk(&nats, &log, folder.path()));
    node.ready();
    node.publish("a", &["1", "2"], None).unwrap();
    nats.stop(0).unwrap();
    let backup = folder.path().join("backup");
    let copy = |from: &Path, to: &Path| {
        assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
    };
    copy(nats.store(0), &backup);
    nats.restart(0).unwrap();
    assert_eq!(node.publish("a", &["3", "4"], None).unwrap(), [3, 4]);
    until("the node has them", || node.engine.tail().head() == Offset(4));
    let before = cursor_of(&node);
    let mut reader = node.subscribe(After::Cursor(before));
    nats.stop(0).unwrap();
    fs::remove_dir_all(nats.store(0)).unwrap();
    copy(&backup, nats.store(0));
    nats.restart(0).unwrap();
    // Somebody publishes before any server has noticed: it takes the offset of a lost event.
    ask(&nats, async |stream| {
        let subject = format!("{log}.e.a");
        while stream.publish(subject.clone(), "\"another\"".into()).await.unwrap().await.is_err() {}
    });
    until("the log begins another life", || node.engine.tail().epoch() != before.epoch);
    assert_eq!(node.engine.order().unwrap().diverged, 1);
    let (resets, events) = node.read(&mut reader, 3);
    assert_eq!(resets.iter().map(|reset| reset.reason).collect::<Vec<_>>(), [ResetReason::Epoch]);
    let data: Vec<_> = events.iter().map(|(_, data)| data.as_str()).collect();
    assert_eq!(data, ["\"1\"", "\"2\"", "\"another\""]);
}

#[test]
fn nats_may_ask_for_a_password_over_tls() {
    let Some(binary) = Nats::binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
    let nats = Nats::with(&binary, |address| {
        let certified = rcgen::generate_simple_self_signed([address.to_string()]).unwrap();
        fs::write(&cert, certified.cert.pem()).unwrap();
        fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        format!(
            "tls {{ cert_file: {cert:?}, key_file: {key:?} }}\n\
             authorization {{ user: fourways, password: \"s3cret\" }}"
        )
    });
    let nats = nats.unwrap();
    let log = fresh_name();
    let at = |user: &str| vec![format!("nats://{user}@{}", nats.address(0))];
    let known = OrderSettings { servers: at("fourways:s3cret"), ca: Some(cert), ..settings(&nats, &log) };
    let node = Node::open(&known);
    node.ready();
    assert_eq!(node.publish("a", &["1"], None).unwrap(), [1]);
    drop(node);
    let stranger = OrderSettings { servers: at("fourways:guess"), ..known.clone() };
    let distrusting = OrderSettings { ca: None, ..known };
    std::thread::scope(|scope| {
        for settings in [&stranger, &distrusting] {
            scope.spawn(|| {
                let error = Node::try_open(settings).err().unwrap().to_string();
                let told = format!("no NATS server answers at {}", nats.address(0));
                assert!(error.contains(&told), "no password is told: {error}");
            });
        }
    });
}

#[test]
fn a_start_says_what_is_wrong_and_how_to_mend_it() {
    let Some(nats) = one_server() else { return };
    let log = fresh_name();
    let refused = |change: &dyn Fn(&mut OrderSettings)| {
        let mut settings = settings(&nats, &log);
        change(&mut settings);
        Node::try_open(&settings).err().unwrap()
    };
    let error = refused(&|settings| settings.max_bytes = 100 << 20);
    assert!(error.to_string().contains("add `max_payload: 104861696` to nats.conf"), "{error}");
    let unsynced = Nats::unsynced(&Nats::binary().unwrap()).unwrap();
    let monitor = unsynced.monitor(0);
    let error = refused(&|settings| settings.monitors = vec![monitor.clone()]);
    assert!(error.to_string().contains("add `sync_interval: always` to jetstream in nats.conf"), "{error}");
    let error = refused(&|settings| settings.log = "Not A Name".to_owned());
    assert!(matches!(error, OrderError::LogName(_)), "{error}");
    let error = refused(&|settings| settings.servers = vec!["nats://:no:port".to_owned()]);
    assert!(matches!(error, OrderError::Address(_)), "{error}");
    let error = refused(&|settings| settings.credentials = Some("/nowhere/at.all".into()));
    assert!(error.to_string().starts_with("can't read /nowhere/at.all"), "{error}");
    ask(&nats, async |stream| {
        let config = async_nats::jetstream::stream::Config {
            name: log.clone(),
            subjects: vec![format!("{log}.e.>")],
            ..Default::default()
        };
        stream.create_stream(config).await.unwrap();
    });
    let error = refused(&|_| {});
    assert!(error.to_string().contains(&format!("nats stream edit {log} --allow-batch")), "{error}");
}
