//! Client code to paste: it addresses this server and asks for the topics shown.

use fourways_shared::Technique;

use super::format::plain;

/// A client in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    pub language: &'static str,
    pub code: String,
}

/// Returns the curl, JavaScript and Rust client of a technique. `origin` as in `http://127.0.0.1:8080`, `query` as in
/// `topic=host.cpu`; poll interval and hold in seconds.
pub fn snippets(technique: Technique, origin: &str, query: &str, poll_s: f64, hold_s: f64) -> [Snippet; 3] {
    let texts = match technique {
        Technique::ShortPoll => SHORT_POLL,
        Technique::LongPoll => LONG_POLL,
        Technique::Sse => SSE,
        Technique::Websocket => WEBSOCKET,
    };
    let fill = |text: &str| {
        text.replace("ORIGIN", origin)
            .replace("SOCKET", &origin.replacen("http", "ws", 1))
            .replace("QUERY", query)
            .replace("POLL_MS", &plain(poll_s * 1000.0))
            .replace("POLL_S", &plain(poll_s))
            .replace("HOLD_S", &plain(hold_s))
    };
    let [curl, javascript, rust] = texts.map(fill);
    [
        Snippet { language: "curl", code: curl },
        Snippet { language: "JavaScript", code: javascript },
        Snippet { language: "Rust", code: rust },
    ]
}

/// Returns the number of lines of the JavaScript client, which resumes and backs off, without blank lines and comments:
/// the measure of "complexity" in the comparison.
pub fn client_lines(technique: Technique) -> usize {
    let [_, javascript, _] = snippets(technique, "http://x", "topic=x", 1.0, 20.0);
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    javascript.code.lines().filter(is_code).count()
}

const SHORT_POLL: [&str; 3] = [
    r#"# ask every POLL_S s; the ETag is the cursor, 304 means nothing is new
tag='""'
while sleep POLL_S; do
  curl -s -D head.txt -H "If-None-Match: $tag" "ORIGIN/v1/events?QUERY"
  tag=$(sed -n 's/^etag: *\(.*\)\r$/\1/p' head.txt)
done"#,
    r"let after = '';
async function poll() {
  try {
    const r = await fetch(`ORIGIN/v1/events?QUERY&${after}`);
    const { events, cursor } = await r.json();
    after = `after=${cursor}`;
    events.forEach(e => console.log(e.data));
  } catch { /* the next poll asks again */ }
  setTimeout(poll, POLL_MS);   // after the answer, not between asks
}
poll();",
    r#"// cargo add reqwest --features json, serde_json, tokio --features full
let mut after = String::new();
loop {
    let url = format!("ORIGIN/v1/events?QUERY{after}");
    let page: serde_json::Value = reqwest::get(url).await?.json().await?;
    after = format!("&after={}", page["cursor"].as_str().unwrap_or_default());
    println!("{}", page["events"]);
    tokio::time::sleep(std::time::Duration::from_millis(POLL_MS)).await;
}"#,
];

const LONG_POLL: [&str; 3] = [
    r#"# the answer comes with the next event, or empty after HOLD_S s; ETag is the cursor
tag='""'
while true; do
  curl -s -D head.txt -H "If-None-Match: $tag" "ORIGIN/v1/events?QUERY&wait=HOLD_S"
  tag=$(sed -n 's/^etag: *\(.*\)\r$/\1/p' head.txt)
done"#,
    r"let after = '', wait = 500;
for (;;) {
  try {
    const r = await fetch(`ORIGIN/v1/events?QUERY&wait=HOLD_S&${after}`);
    if (!r.ok) throw r.status;
    after = `after=${r.headers.get('etag').replaceAll('\x22', '')}`;
    if (r.status === 200) (await r.json()).events.forEach(e => console.log(e.data));
    wait = 500;
  } catch {                    // full jitter: not all at once
    await new Promise(go => setTimeout(go, Math.random() * wait));
    wait = Math.min(wait * 2, 15000);
  }
}",
    r#"// cargo add reqwest --features json, serde_json, tokio --features full
let mut after = String::new();
loop {
    let answer = reqwest::get(format!("ORIGIN/v1/events?QUERY&wait=HOLD_S{after}")).await?;
    let tag = answer.headers()["etag"].to_str()?.trim_matches('"').to_owned();
    if answer.status() == 200 {
        let page: serde_json::Value = answer.json().await?;
        println!("{}", page["events"]);
    }
    after = format!("&after={tag}");
}"#,
];

const SSE: [&str; 3] = [
    r#"# -N turns curl's own buffering off; add -H "Last-Event-ID: <id>" to resume
curl -N "ORIGIN/v1/stream?QUERY""#,
    r"const source = new EventSource('ORIGIN/v1/stream?QUERY');
source.onmessage = m => console.log(JSON.parse(m.data).data);
source.addEventListener('reset', m => console.warn('gap', m.data));
// nothing else: the browser reconnects and sends Last-Event-ID",
    r#"// cargo add reqwest --features stream, futures-util, tokio --features full
use futures_util::StreamExt;
let mut stream = reqwest::get("ORIGIN/v1/stream?QUERY").await?.bytes_stream();
while let Some(piece) = stream.next().await {
    print!("{}", String::from_utf8_lossy(&piece?)); // blocks: id, event, data, empty line
}"#,
];

const WEBSOCKET: [&str; 3] = [
    r#"# curl 7.86 and newer can talk WebSocket, but websocat is made for it
websocat "SOCKET/v1/ws?QUERY"
# then type a command, such as
{"type":"publish","topic":"chat.1","data":"hello","ref":"1"}"#,
    r"let after = '', wait = 500, socket;
function connect() {
  socket = new WebSocket(`SOCKET/v1/ws?QUERY&${after}`);
  socket.onmessage = m => {
    const e = JSON.parse(m.data);
    if (e.cursor && e.type !== 'published') after = `after=${e.cursor}`;
    if (e.type === 'event') console.log(e.data);
    wait = 500;
  };
  socket.onclose = () => {     // full jitter: not all at once
    setTimeout(connect, Math.random() * wait);
    wait = Math.min(wait * 2, 15000);
  };
}
connect();
// socket.send(JSON.stringify({ type: 'publish', topic: 'chat.1', data: 'hello' }))",
    r#"// cargo add tokio-tungstenite, futures-util, tokio --features full
use futures_util::StreamExt;
let (socket, _) = tokio_tungstenite::connect_async("SOCKET/v1/ws?QUERY").await?;
let (_sender, mut messages) = socket.split();
while let Some(message) = messages.next().await {
    println!("{}", message?); // {"type":"event",…}
}"#,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snippets_speak_of_this_server_and_leave_no_blank() {
        for technique in Technique::ALL {
            for snippet in snippets(technique, "https://lab.example", "topic=host.cpu", 0.5, 20.0) {
                assert!(snippet.code.contains("lab.example/v1/"), "{}", snippet.code);
                for blank in ["ORIGIN", "SOCKET", "QUERY", "POLL_", "HOLD_"] {
                    assert!(!snippet.code.contains(blank), "{}", snippet.code);
                }
            }
        }
        assert!(
            snippets(Technique::Websocket, "https://a", "topic=x", 1.0, 1.0)[1]
                .code
                .contains("wss://a/v1/ws")
        );
    }

    #[test]
    fn complexity_is_counted_not_claimed() {
        let [short_poll, long_poll, sse, websocket] = Technique::ALL.map(client_lines);
        assert!(sse < short_poll && short_poll < long_poll && long_poll <= websocket);
    }
}
