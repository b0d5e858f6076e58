//! Tests of the `fourways` command as a person runs it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
};

use fourways_testkit::{DEADLINE, Process};
use serde_json::{Value, json};

use crate::FOURWAYS;

/// Starts a server on a free port, with these additional flags.
fn serve(flags: &[&str]) -> Process {
    Process::serve(FOURWAYS, &[&["--memory", "--source", "none"], flags].concat()).unwrap()
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
    let server = serve(&[]);
    let url = server.url();
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
    let server = serve(&[]);
    let url = server.url();
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
    let address = server.kill();
    // The publisher, too, waits if it starts while no server listens.
    let mut waiting = publish("after\n");
    let _again = Process::serve_on(FOURWAYS, &address, &["--memory", "--source", "none"]).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!((first.as_str(), rest.as_str()), ("before\n", "after\n"));
    assert!(subscriber.wait().unwrap().success() && waiting.wait().unwrap().success());
}

#[test]
fn help_names_every_flag_and_a_wrong_one_is_refused() {
    let output = Command::new(FOURWAYS).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    // The list of flags is that of the docs, which another test compares with the program.
    let documented = include_str!("../../../../docs/fourways.toml");
    let flags: Vec<&str> = documented.lines().filter_map(|line| line.strip_prefix("# --")).collect();
    assert!(flags.len() > 40, "{flags:?}");
    for line in flags {
        let (flag, variable) = line.split_once(", ").unwrap_or((line, ""));
        let flag = flag.split(' ').next().unwrap();
        assert!(help.contains(&format!("--{flag}")) && help.contains(variable), "{line}: {help}");
    }
    for wrong in [["--listen", "here"], ["--source-rate", "0"], ["--heartbeat", "-1"], ["--retain-age", "0"]]
    {
        let output = Command::new(FOURWAYS).arg("serve").args(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = Command::new(FOURWAYS).args(arguments).envs(variables.iter().copied()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn no_password_in_an_address_is_shown() {
    let order = "nats://node:s3cret@a:4222,nats://node:s3cret@b:4222";
    let (code, said, wrong) = run(&["config", "check"], &[("FOURWAYS_ORDER", order)]);
    assert_eq!(code, Some(0), "{wrong}");
    assert!(said.contains("order = nats://…@a:4222, nats://…@b:4222  (FOURWAYS_ORDER)"), "{said}");
    let (_, help, _) = run(&["serve", "--help"], &[("FOURWAYS_ORDER", order)]);
    assert!(help.contains("FOURWAYS_ORDER") && !help.contains("s3cret"), "{help}");
    let (_, said, wrong) = run(&["serve", "--memory", "--order", "nats://node:s3cret@:no:port"], &[]);
    assert!(wrong.contains("is not the address") && !format!("{said}{wrong}").contains("s3cret"), "{wrong}");
}

#[test]
fn a_file_sets_what_environment_and_flags_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fourways.toml");
    let file = file.to_str().unwrap();
    std::fs::write(
        file,
        "# comments are fine\nmemory = true\nheartbeat = \"9s\"\nmax_topics = 32\nmax-events = 77\nlag = [\"a.>=skip:5\", \"b=cut:6\"]\n",
    )
    .unwrap();
    let (code, said, _) = run(&["config", "check", "--config", file], &[]);
    let expected = format!(
        "heartbeat = 9s  ({file})\nmax-events = 77  ({file})\nmax-topics = 32  ({file})\nlag = a.>=skip:5, b=cut:6  ({file})\n\
         memory = true  ({file})\n"
    );
    assert_eq!(code, Some(0));
    assert!(said.starts_with(&expected) && said.ends_with(" settings are at their defaults\n"), "{said}");
    // Environment and flags win over the file, even if the environment names the file.
    let variables = [("FOURWAYS_CONFIG", file), ("FOURWAYS_MAX_TOPICS", "16"), ("FOURWAYS_HEARTBEAT", "8s")];
    let (_, said, _) = run(&["config", "check", "--heartbeat", "7s"], &variables);
    for line in [
        "heartbeat = 7s  (a flag)",
        "max-topics = 16  (FOURWAYS_MAX_TOPICS)",
        &format!("max-events = 77  ({file})"),
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
}

#[test]
fn a_wrong_file_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    let path = file.to_str().unwrap();
    for (text, says) in [
        ("hartbeat = \"1s\"", "no setting \"hartbeat\"; did you mean \"heartbeat\"?"),
        ("heartbeat = \"often\"", "not a time above 0"),
        ("max-topics = [1, 2]", "takes one value"),
        ("listen = { port = 1 }", "allowed are strings, numbers"),
        ("heartbeat = [", "line 1, column 14"),
        ("config = \"other.toml\"", "no setting \"config\""),
        ("token-key = \"HS256:/nowhere/secret\"", "/nowhere/secret"),
        ("help = true", "no setting \"help\""),
    ] {
        std::fs::write(&file, text).unwrap();
        let (code, _, said) = run(&["config", "check", "--config", path], &[]);
        assert!(code != Some(0) && said.contains(says), "{text}: {code:?} {said}");
    }
    let (code, _, said) = run(&["serve", "--config", "/nowhere/f.toml"], &[]);
    assert!(code != Some(0) && said.contains("/nowhere/f.toml"), "{said}");
}

#[test]
fn the_list_of_settings_is_in_the_docs_and_is_a_file_that_sets_nothing() {
    let (code, listed, _) = run(&["config", "list"], &[]);
    assert_eq!(code, Some(0));
    let documented = include_str!("../../../../docs/fourways.toml");
    assert!(listed == documented, "run: cargo run -p fourways -- config list > docs/fourways.toml");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.toml");
    let (bare, as_listed) = (file.to_str().unwrap(), listed.clone());
    std::fs::write(&file, as_listed).unwrap();
    let (_, said, _) = run(&["config", "check", "--config", bare], &[]);
    assert_eq!(said.lines().count(), 1, "{said}");
    // Every default can be set explicitly.
    let set: String = listed
        .lines()
        .filter(|line| line.starts_with('#') && line.contains(" = ") && !line.starts_with("# "))
        .filter(|line| {
            !["FILE", "FOLDER", "URL", "SWITCH", "\"NAME\"", "[\"", "\"N\"", "\"BYTES\"", "\"TIME\"", "data"]
                .iter()
                .any(|shape| line.contains(shape))
        })
        .flat_map(|line| [&line[1..], "\n"])
        .collect();
    assert!(set.lines().count() > 20, "{set}");
    std::fs::write(&file, &set).unwrap();
    let (code, said, wrong) = run(&["config", "check", "--config", bare], &[]);
    assert_eq!((code, said.lines().count()), (Some(0), 1), "{said}{wrong}");
}

#[test]
fn a_socket_of_this_machine_is_served_and_its_file_goes_with_the_server() {
    use std::os::unix::net::UnixStream;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fourways.sock");
    let listen = format!("unix:{}", path.display());
    let mut command = Command::new(FOURWAYS);
    command.args(["serve", "--memory", "--source", "none", "--listen", &listen]);
    let mut server = Process::start(command).unwrap();
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET /v1/stream?topic=a&after=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut publisher = UnixStream::connect(&path).unwrap();
    let publish = "POST /v1/topics/a/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n\"hi\"";
    publisher.write_all(publish.as_bytes()).unwrap();
    let (mut heard, mut piece) = (String::new(), [0; 4096]);
    while !heard.contains("\"data\":\"hi\"}") {
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "{heard}");
        heard += &String::from_utf8_lossy(&piece[..count]);
    }
    server.terminate().unwrap();
    assert!(server.ended().unwrap().success());
    assert!(!path.exists());
}

/// Reads one request on a connection that is kept open, answers it, and returns its body.
fn collect(connection: &mut BufReader<TcpStream>) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    connection.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
    Some(serde_json::from_slice(&body).unwrap())
}

#[test]
fn a_collector_is_sent_a_span_for_each_request_and_each_append() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}", collector.local_addr().unwrap());
    let mut server = serve(&["--traces", &target]);
    let (spans, sent) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for connection in collector.incoming() {
            let mut connection = BufReader::new(connection.unwrap());
            while let Some(Value::Object(body)) = collect(&mut connection) {
                for span in body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap() {
                    drop(spans.send(span.clone()));
                }
            }
        }
    });
    let address = server.address().to_owned();
    let ask = |head: &str, body: &str| {
        let mut connection = TcpStream::connect(&address).unwrap();
        let length = body.len();
        write!(connection, "{head}\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        let mut line = String::new();
        BufReader::new(&connection).read_line(&mut line).unwrap();
        line
    };
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("traceparent: 00-{trace}-b7ad6b7169203331-01");
    assert!(ask(&format!("POST /v1/topics/a/events HTTP/1.1\r\n{parent}"), "1").contains("201"));
    // The span of a stream does not wait for the stream's end, and no span has the ticket.
    assert!(ask("GET /v1/stream?topic=a&ticket=secret HTTP/1.1", "").starts_with("HTTP/1.1 "));
    server.terminate().unwrap();
    assert!(server.ended().unwrap().success());
    let spans: Vec<Value> = (0..3).map(|_| sent.recv_timeout(DEADLINE).expect("a span")).collect();
    let span =
        |name: &str| spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("{spans:#?}"));
    let attribute = |span: &Value, key: &str| {
        let all = span["attributes"].as_array().unwrap();
        all.iter().find(|attribute| attribute["key"] == key).map(|attribute| attribute["value"].clone())
    };
    let (published, append) = (span("POST /v1/topics/{topic}/events"), span("append"));
    assert_eq!(
        (&published["traceId"], &published["parentSpanId"]),
        (&json!(trace), &json!("b7ad6b7169203331"))
    );
    assert_eq!((&append["traceId"], &append["parentSpanId"]), (&json!(trace), &published["spanId"]));
    assert_eq!(attribute(append, "messaging.destination.name"), Some(json!({"stringValue": "a"})));
    assert_eq!(attribute(published, "url.path"), Some(json!({"stringValue": "/v1/topics/a/events"})));
    assert!(
        attribute(published, "http.response.status_code").unwrap().to_string().contains("201"),
        "{published}"
    );
    assert_eq!(attribute(span("GET /v1/stream"), "http.route"), Some(json!({"stringValue": "/v1/stream"})));
    assert!(!format!("{spans:?}").contains("secret"));
}
