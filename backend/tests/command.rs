//! The `fourways` command as a person runs it.
#![cfg(not(feature = "shuttle"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::{Child, Command, Stdio},
};

const FOURWAYS: &str = env!("CARGO_BIN_EXE_fourways");

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already is what is wanted.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A server on a free port, and its address.
fn serve() -> (Running, String) {
    let mut child = Command::new(FOURWAYS)
        .args(["serve", "--memory", "--listen", "127.0.0.1:0", "--source", "none"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = lines
        .find_map(|line| line.split("http://").nth(1).map(str::to_owned))
        .expect("it says where it listens");
    // The pipe is emptied until the server ends, so that it never blocks on it.
    std::thread::spawn(move || lines.for_each(drop));
    (Running(child), format!("http://{address}"))
}

#[test]
fn a_port_that_is_taken_is_told_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Command::new(FOURWAYS).args(["serve", "--memory", "--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&format!("can't listen on {address}")) && said.contains("in use"), "{said}");
}

#[test]
fn lines_that_are_piped_in_come_out_by_every_technique() {
    let (_server, url) = serve();
    let publish = |lines: &str, flags: &[&str]| {
        let mut publisher = Command::new(FOURWAYS)
            .args(["publish", "--topic", "logs", "--server", &url])
            .args(flags)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        publisher.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(publisher.wait().unwrap().success());
    };
    publish("one\ntwo \"2\"\n", &[]);
    publish("{\"n\":3}\n", &["--json"]);
    for technique in ["short-poll", "long-poll", "sse", "websocket"] {
        let output = Command::new(FOURWAYS)
            .args(["subscribe", "--topic", "logs", "--server", &url, "--by", technique])
            .args(["--after", "earliest", "--count", "3"])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "one\ntwo \"2\"\n{\"n\":3}\n", "{technique}");
        assert!(output.status.success());
    }
}

#[test]
fn a_subscriber_goes_on_when_the_server_comes_back() {
    let (server, url) = serve();
    let mut subscriber = Command::new(FOURWAYS)
        .args(["subscribe", "--topic", "logs", "--server", &url, "--after", "earliest", "--count", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let publish = |line: &str| {
        let mut publisher = Command::new(FOURWAYS)
            .args(["publish", "--topic", "logs", "--server", &url])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        publisher.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
        publisher
    };
    assert!(publish("before\n").wait().unwrap().success());
    let mut out = BufReader::new(subscriber.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    drop(server);
    // The publisher starts while nobody listens: it waits, too.
    let mut waiting = publish("after\n");
    let address = url.strip_prefix("http://").unwrap();
    let again = Command::new(FOURWAYS)
        .args(["serve", "--memory", "--listen", address, "--source", "none"])
        .stderr(Stdio::null())
        .spawn();
    let _again = Running(again.unwrap());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!((first.as_str(), rest.as_str()), ("before\n", "after\n"));
    assert!(subscriber.wait().unwrap().success() && waiting.wait().unwrap().success());
}

#[test]
fn help_names_every_flag_and_a_wrong_one_is_refused() {
    let output = Command::new(FOURWAYS).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for flag in ["--listen", "--source", "--max-wait", "--heartbeat", "--retain-age", "FOURWAYS_LISTEN"] {
        assert!(help.contains(flag), "{help}");
    }
    for wrong in [["--listen", "here"], ["--source-rate", "0"], ["--heartbeat", "-1"], ["--retain-age", "0"]]
    {
        let output = Command::new(FOURWAYS).arg("serve").args(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}
