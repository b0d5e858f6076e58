//! A full disk: publishes are refused with 507, reading goes on, and nothing needs repair once there is space again.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use fourways_testkit::{DEADLINE, Process, skipped};

use crate::FOURWAYS;

/// The script of a server on a file system of one megabyte, in a mount namespace of its own. A ballast file fills part
/// of the file system; it is removed once the test creates the file `give`.
const SCRIPT: &str = r#"
    set -e
    mount -t tmpfs -o size=1m tmpfs "$1/disk"
    "$2" serve --listen 127.0.0.1:0 --source none --publish-rate 0 --data "$1/disk/log" &
    server=$!
    trap 'kill -9 $server' EXIT
    head -c 400000 /dev/zero > "$1/disk/ballast"
    while [ ! -e "$1/give" ]; do sleep 0.05; done
    rm "$1/disk/ballast"
    touch "$1/given"
    wait $server
"#;

/// The script of a server on the same file system, where only retention frees space. Once the test creates the file
/// `stop`, the server is stopped in order and another starts on the same log.
const RETAINED: &str = r#"
    set -e
    mount -t tmpfs -o size=1m tmpfs "$1/disk"
    serve() { "$2" serve --listen 127.0.0.1:0 --source none --publish-rate 0 --retain-age 2s --data "$1/disk/log" & server=$!; }
    serve "$1" "$2"
    trap 'kill -9 $server' EXIT
    while [ ! -e "$1/stop" ]; do sleep 0.05; done
    kill -TERM $server
    wait $server
    serve "$1" "$2"
    wait $server
"#;

/// Runs a script in a mount namespace; `None` if this system allows none.
fn in_namespace(script: &str, folder: &std::path::Path) -> Option<Process> {
    let is_possible =
        Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success());
    if !is_possible {
        skipped("this system lets nobody make a mount namespace");
        return None;
    }
    std::fs::create_dir(folder.join("disk")).unwrap();
    let mut command = Command::new("unshare");
    command.args(["-rm", "bash", "-c", script, "bash"]).arg(folder).arg(FOURWAYS);
    Some(Process::start(command).unwrap())
}

#[test]
fn retention_frees_a_full_disk_and_the_log_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = in_namespace(RETAINED, folder.path()) else { return };
    let address = server.address().to_owned();
    let began = Instant::now();
    let mut refused = 0;
    // Publishes are refused, and accepted again once retention has dropped old events, without any help, and twice.
    for _ in 0..2 {
        while publish(&address).starts_with("HTTP/1.1 201") {
            assert!(began.elapsed() < DEADLINE, "the disk fills");
        }
        while !publish(&address).starts_with("HTTP/1.1 201") {
            refused += 1;
            assert!(began.elapsed() < DEADLINE, "retention frees it: {}", server.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(refused > 0);
    std::fs::write(folder.path().join("stop"), "").unwrap();
    let is_again = |said: String| {
        said.split("connections have ended").nth(1).is_some_and(|rest| rest.contains("listening on"))
    };
    while !is_again(server.said()) {
        assert!(began.elapsed() < DEADLINE * 2, "it starts again: {}", server.said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn publish(address: &str) -> String {
    let data = format!("\"{}\"", "x".repeat(20_000));
    let length = data.len();
    ask(
        address,
        &format!(
            "POST /v1/topics/a/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{data}"
        ),
    )
}

#[test]
fn a_full_disk_refuses_publishes_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = in_namespace(SCRIPT, folder.path()) else { return };
    let address = server.address().to_owned();
    let (began, mut kept) = (Instant::now(), 0);
    let refused = loop {
        let answer = publish(&address);
        if !answer.starts_with("HTTP/1.1 201") {
            break answer;
        }
        kept += 1;
        assert!(began.elapsed() < DEADLINE, "the disk fills");
    };
    assert!(refused.starts_with("HTTP/1.1 507") && refused.contains("storage_full"), "{refused}");
    assert!(publish(&address).starts_with("HTTP/1.1 507"), "and again");
    // A poll's answer has room for only a few of these events, so polls follow from its cursor until nothing is left.
    let all = |address: &str| {
        let (mut offsets, mut after) = (Vec::<u64>::new(), "earliest".to_owned());
        loop {
            let path = format!("/v1/events?topic=a&after={after}&limit=1000");
            let answer =
                ask(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            let cursors = answer.split("\"cursor\":\"").skip(1);
            let mut cursors: Vec<&str> = cursors.map(|rest| rest.split('"').next().unwrap()).collect();
            after = cursors.pop().unwrap().to_owned();
            if cursors.is_empty() {
                return offsets;
            }
            offsets.extend(
                cursors.iter().map(|cursor| cursor.split('-').nth(1).unwrap().parse::<u64>().unwrap()),
            );
        }
    };
    assert_eq!(all(&address).len(), kept, "reading goes on");
    std::fs::write(folder.path().join("give"), "").unwrap();
    while !folder.path().join("given").exists() {
        assert!(began.elapsed() < DEADLINE);
        std::thread::sleep(Duration::from_millis(20));
    }
    let after = publish(&address);
    assert!(after.starts_with("HTTP/1.1 201"), "there is room again: {after}");
    let offsets = all(&address);
    assert_eq!(offsets.len(), kept + 1);
    assert!(offsets.windows(2).all(|pair| pair[0] < pair[1]), "each once, in order");
    println!("{kept} kept, then 507; one more once there was room");
    drop(server);
}
