//! A request as a command line, to repeat it in a terminal.

use fourways_shared::Technique;

use super::{
    head::{Head, is_head},
    secrets::{is_secret, shareable},
};
use crate::wire::Entry;

/// Fields that the tool writes by itself, or that belong to one connection.
const OWN: [&str; 5] = ["host", "connection", "accept-encoding", "upgrade", "content-length"];

/// Returns the command that sends this request again: `curl`, or `websocat` for a WebSocket. The fields stay as they
/// were, but secrets and the lab's tag are left out. `origin` as in `http://127.0.0.1:8080`.
pub fn curl(request: &Entry, origin: &str) -> String {
    let text = shareable(request).text(is_head);
    let head = Head::parse(&text);
    let [method, target, _] = head.words();
    let target = without_tag(target);
    let words = match request.technique {
        Technique::Websocket => websocat(&head, &format!("{}{target}", origin.replacen("http", "ws", 1))),
        technique => {
            let is_poll = technique != Technique::Sse;
            let is_packed = is_poll && head.field("accept-encoding").is_some();
            // Without `-g`, curl would take brackets for a pattern.
            let is_pattern = target.contains(['[', ']', '{', '}']);
            let program = if is_pattern { "curl -gN" } else { "curl -N" };
            let mut words = vec![program.to_owned()];
            if !matches!(method, "" | "GET") {
                words.push(format!("-X {}", quoted(method)));
            }
            words.extend(is_packed.then(|| "--compressed".to_owned()));
            words.extend(fields(&head));
            words.push(quoted(&format!("{origin}{target}")));
            words
        }
    };
    words.join(" ")
}

/// Returns the words of a `websocat` command. Fields come last, because `-H` takes any words after it for further
/// fields (`websocat --help=long`).
fn websocat(head: &Head<'_>, address: &str) -> Vec<String> {
    let mut words = vec!["websocat".to_owned(), quoted(address)];
    let protocol = head.field("sec-websocket-protocol");
    words.extend(protocol.map(|protocol| format!("--protocol {}", quoted(protocol))));
    words.extend(fields(head));
    words
}

fn fields(head: &Head<'_>) -> impl Iterator<Item = String> {
    let fields = head.fields.iter().filter(|(name, _)| is_kept(name));
    fields.map(|(name, value)| {
        // A field without a value would tell curl to leave the field out; a semicolon sends it empty (`man curl`,
        // `-H`).
        let field = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
        format!("-H {}", quoted(&field))
    })
}

fn is_kept(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !OWN.contains(&name.as_str()) && !name.starts_with("sec-websocket-") && !is_secret(&name)
}

/// Returns the target without the `lab` parameter, which says whose request it is.
fn without_tag(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("lab=")).collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

/// Quotes a text as one word of a shell, whatever the text contains. Control characters, which a terminal would obey,
/// are left out.
fn quoted(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use fourways_shared::lab::Unit;

    use super::*;
    use crate::export::example::{self, ID, ORIGIN};

    #[test]
    fn each_request_of_a_conversation_can_be_sent_again() {
        let entries = example::conversation();
        let requests = entries.iter().filter(|entry| entry.unit == Unit::Request);
        let commands: Vec<_> = requests.map(|request| curl(request, ORIGIN)).collect();
        assert_eq!(
            commands,
            [
                r#"curl -N --compressed -H 'If-None-Match: "1-6"' -H 'X-Who: it'\''s me' 'http://127.0.0.1:8080/v1/events?topic=a'"#,
                "curl -N -H 'Accept: */*' 'http://127.0.0.1:8080/v1/events?topic=a%2Fb&wait=20'",
                "curl -N -H 'Accept: text/event-stream' 'http://127.0.0.1:8080/v1/stream?topic=a'",
                "curl -N -H 'Accept: text/event-stream' -H 'Last-Event-ID: 1-7' 'http://127.0.0.1:8080/v1/stream?topic=a'",
                "websocat 'ws://127.0.0.1:8080/v1/ws?topic=a' --protocol 'fourways.json' -H 'Origin: http://127.0.0.1:8080'",
                "curl -N -H 'Accept: */*' 'http://127.0.0.1:8080/v1/events?topic=a&wait=20'",
            ]
        );
    }

    #[test]
    fn nothing_in_a_request_is_more_than_a_word() {
        let fields =
            "X: $(id) `id` \"; '; id\r\nEmpty:\r\n@/etc/passwd: 1\r\nEsc: a\u{1b}[31mb\r\nReferer: /?lab=";
        let fields = format!("{fields}{ID}.9\r\n");
        let request =
            example::request(Technique::ShortPoll, 1, &format!("/v1/events?lab={ID}.1"), &fields, 0);
        assert_eq!(
            curl(&request, "https://a"),
            r#"curl -N -H 'X: $(id) `id` "; '\''; id' -H 'Empty;' -H 'Esc: a[31mb' -H 'Referer: /?lab=****************.9' 'https://a/v1/events'"#,
        );
        let request = example::request(Technique::Websocket, 1, "/v1/ws?topic={a}'", "", 0);
        assert_eq!(curl(&request, "https://a"), r"websocat 'wss://a/v1/ws?topic={a}'\'''");
        let request = example::request(Technique::Sse, 1, "/v1/stream?topic={a}", "", 0);
        assert_eq!(curl(&request, "https://a"), "curl -gN 'https://a/v1/stream?topic={a}'");
    }
}
