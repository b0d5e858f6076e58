//! The recording of one exchange: the request, the head of the answer, every read with its time, and the end. Judges
//! see nothing else.

/// The bytes of one read, with their time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Time of the read, in milliseconds since the check began.
    pub(crate) ms: u64,
    /// The bytes as they came, including their framing.
    pub(crate) bytes: Vec<u8>,
}

/// The end of an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection was still open when watching stopped.
    #[default]
    Open,
    /// The other side closed the connection (FIN).
    Closed,
    /// The other side reset the connection (RST).
    Reset,
    /// The check stopped reading, because more had come than it keeps.
    Enough,
    /// The connection failed in another way, in the system's words.
    Failed(String),
}

impl End {
    /// True if the connection was open until the check stopped reading.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self, Self::Open | Self::Enough)
    }

    /// Returns the end in words that follow "the connection".
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Open => "stayed open".to_owned(),
            Self::Closed => "was closed".to_owned(),
            Self::Reset => "was reset".to_owned(),
            Self::Enough => "was left after it had sent enough".to_owned(),
            Self::Failed(error) => format!("failed: {}", literal(error)),
        }
    }
}

/// The head of an answer: its status line and header fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Status line and fields, with LF line ends.
    pub(crate) text: String,
}

impl Head {
    /// Parses the lines before the empty line (RFC 9112 4, 5); `None` if they are not HTTP/1.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").trim_end().to_owned();
        let mut parts = text.split(' ');
        parts.next().filter(|version| version.starts_with("HTTP/"))?;
        let status = parts.next()?.trim().parse().ok()?;
        Some(Self { status, text })
    }

    /// Returns every value of a field, trimmed. Names are compared without regard to case (RFC 9110 5.1).
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.text.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Returns the first value of a field.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.values(name).next().map(str::to_owned)
    }

    /// True if a list field (RFC 9110 5.6.1) has this member. Everything after `;` or `=` is ignored.
    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name).flat_map(|value| value.split(',')).any(|member| {
            member.split([';', '=']).next().unwrap_or_default().trim().eq_ignore_ascii_case(token)
        })
    }
}

/// One request and everything that was seen of its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording {
    /// The request's head, with LF line ends and without secrets.
    pub(crate) request: String,
    /// Time at which the request was written, in milliseconds since the check began, like all times here.
    pub(crate) sent_ms: u64,
    pub(crate) head: Option<Head>,
    pub(crate) head_ms: u64,
    /// All reads after the head.
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) end: End,
    /// Time at which the exchange ended, or watching stopped.
    pub(crate) ended_ms: u64,
}

/// Number of arrivals that a report shows.
const SHOWN_ARRIVALS: usize = 40;
/// Number of bytes of each arrival that a report shows.
const SHOWN_BYTES: usize = 400;

impl Recording {
    pub(crate) fn status(&self) -> Option<u16> {
        self.head.as_ref().map(|head| head.status)
    }

    /// Formats the request and the head of the answer as evidence.
    pub(crate) fn shown_heads(&self) -> String {
        let mut out = String::new();
        for line in self.request.lines() {
            push(&mut out, &format!("> {}", literal(line)));
        }
        match &self.head {
            None => push(&mut out, "< (no head)"),
            Some(head) => {
                push(&mut out, &format!("# head after {} ms", self.head_ms.saturating_sub(self.sent_ms)));
                for line in head.text.lines() {
                    push(&mut out, &format!("< {}", literal(line)));
                }
            }
        }
        out
    }

    /// Formats the exchange as evidence: the heads, each read with its time since the request, and the end.
    pub(crate) fn shown(&self) -> String {
        let mut out = self.shown_heads();
        for Arrival { ms, bytes } in self.arrivals.iter().take(SHOWN_ARRIVALS) {
            let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
            let rest = if shown.len() < bytes.len() { " …" } else { "" };
            let after = ms.saturating_sub(self.sent_ms);
            push(&mut out, &format!("+{after} ms, {} bytes: {}{rest}", bytes.len(), shown.escape_ascii()));
        }
        if let Some(more) = self.arrivals.len().checked_sub(SHOWN_ARRIVALS).filter(|more| *more > 0) {
            push(&mut out, &format!("# {more} more reads"));
        }
        let after = self.ended_ms.saturating_sub(self.sent_ms);
        push(&mut out, &format!("+{after} ms, the connection {}", self.end.words()));
        out
    }
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

/// Escapes the control characters of a text from the other side, so that no server can control the terminal.
pub(crate) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_without_case_and_lists_by_member() {
        let head = b"HTTP/1.1 200 OK\r\nCONTENT-type: text/html\r\nCache-Control: no-cache, max-age=0\r\n";
        let head = Head::parse(head).unwrap();
        assert_eq!((head.status, head.header("content-type").as_deref()), (200, Some("text/html")));
        assert!(head.has_token("cache-control", "max-age") && !head.has_token("cache-control", "no-store"));
        assert!(Head::parse(b"SSH-2.0-OpenSSH_9\r\n").is_none() && Head::parse(b"HTTP/1.1 ?\r\n").is_none());
    }

    #[test]
    fn nothing_of_the_server_reaches_the_terminal_as_control() {
        let recording = Recording {
            request: "GET / HTTP/1.1".to_owned(),
            head: Head::parse(b"HTTP/1.1 200 OK\r\nServer: a\x1b[2Jb\r\n"),
            arrivals: vec![Arrival { ms: 5, bytes: b"\x1b[31m\n".to_vec() }],
            end: End::Reset,
            ended_ms: 9,
            ..Recording::default()
        };
        let shown = recording.shown();
        assert!(!shown.contains('\x1b'), "{shown}");
        assert!(shown.contains("+5 ms, 6 bytes: \\x1b[31m\\n\n+9 ms, the connection was reset\n"), "{shown}");
    }
}
