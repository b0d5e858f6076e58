//! JSON as text: laid out for people, and written from beginning to end without building a value.

/// Lays JSON out in lines, two spaces deeper for each bracket. After about `max_bytes` the text ends with `…`.
///
/// Incomplete JSON is laid out as far as it goes. Text that does not begin with a bracket stays as it is.
pub fn pretty(text: &str, max_bytes: usize) -> String {
    let mut laid_out = String::new();
    if text.trim_start().starts_with(['{', '[']) {
        lay_out(text, max_bytes, &mut laid_out);
    } else {
        laid_out.push_str(text);
    }
    if laid_out.len() > max_bytes {
        laid_out.truncate(laid_out.floor_char_boundary(max_bytes));
        laid_out.push('…');
    }
    laid_out
}

fn lay_out(text: &str, max_bytes: usize, out: &mut String) {
    let (mut depth, mut is_fresh, mut in_text, mut is_escaped) = (0_usize, false, false, false);
    for c in text.chars() {
        if out.len() > max_bytes {
            return;
        }
        if in_text {
            out.push(c);
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => in_text = false,
                _ => {}
            }
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(c, '}' | ']');
        depth = depth.saturating_sub(usize::from(closes));
        // An empty pair of brackets stays on one line.
        if is_fresh != closes {
            begin_line(out, depth);
        }
        is_fresh = matches!(c, '{' | '[');
        out.push(c);
        match c {
            '{' | '[' => depth += 1,
            '"' => in_text = true,
            ':' => out.push(' '),
            ',' => begin_line(out, depth),
            _ => {}
        }
    }
    if !in_text {
        out.truncate(out.trim_end().len());
    }
}

fn begin_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Writes JSON, commas included. The caller must match the brackets and give each member a name.
#[derive(Debug, Default)]
pub(super) struct Writer {
    text: String,
    is_after_value: bool,
}

impl Writer {
    pub(super) fn open(&mut self, bracket: char) {
        self.begin();
        self.text.push(bracket);
    }

    pub(super) fn close(&mut self, bracket: char) {
        self.text.push(bracket);
        self.is_after_value = true;
    }

    /// Writes a member's name; the next call writes its value.
    pub(super) fn name(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.text.push(':');
        self.is_after_value = false;
        self
    }

    pub(super) fn string(&mut self, text: &str) {
        // Writing a string can't fail; if it did, an empty string would keep the rest valid JSON.
        self.raw(&serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned()));
    }

    pub(super) fn number(&mut self, number: u64) {
        self.raw(&number.to_string());
    }

    /// Writes a string, or `null` if there is none.
    pub(super) fn string_or_null(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.raw("null"),
        }
    }

    /// Writes text that is JSON already.
    pub(super) fn raw(&mut self, json: &str) {
        self.begin();
        self.text.push_str(json);
        self.is_after_value = true;
    }

    /// Ends a line; the next value begins a JSON text of its own.
    pub(super) fn end_line(&mut self) {
        self.text.push('\n');
        self.is_after_value = false;
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn begin(&mut self) {
        if std::mem::take(&mut self.is_after_value) {
            self.text.push(',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out() {
        for (text, expected) in [
            ("", ""),
            ("{}", "{}"),
            (" { \"a\" : [ ] } ", "{\n  \"a\": []\n}"),
            ("[1,{\"a\":\"x\"},[[]]]", "[\n  1,\n  {\n    \"a\": \"x\"\n  },\n  [\n    []\n  ]\n]"),
            (r#"{"a":"{\" [,]:  }"}"#, "{\n  \"a\": \"{\\\" [,]:  }\"\n}"),
            (r#"{"a":"\\","b":"\" ,"}"#, "{\n  \"a\": \"\\\\\",\n  \"b\": \"\\\" ,\"\n}"),
            ("{\"a\":1,", "{\n  \"a\": 1,"),
            ("{\"a\":\"x ", "{\n  \"a\": \"x "),
            ("{\"a\":\"x\\", "{\n  \"a\": \"x\\"),
            ("[1]]}", "[\n  1\n]\n]\n}"),
            ("data: {\"a\":1}", "data: {\"a\":1}"),
            ("12 34", "12 34"),
        ] {
            assert_eq!(pretty(text, 1000), expected, "{text}");
        }
    }

    #[test]
    fn laid_out_again_it_is_the_same_and_means_the_same() {
        let text = r#"{"a":[1,2.5,{"b":"ä, \"{\" ]","c":[{}, [ ]]}],"d":null,"e":{"f":true}}"#;
        let once = pretty(text, 1000);
        assert_eq!(pretty(&once, 1000), once);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&once), value(text));
        assert_eq!(once, serde_json::to_string_pretty(&value(text)).unwrap());
    }

    #[test]
    fn there_is_an_end_to_it() {
        assert_eq!(pretty("{\"ä\":1}", 6), "{\n  \"…");
        assert_eq!(pretty("ääää", 5), "ää…");
        assert_eq!(pretty("[1]", 7), "[\n  1\n]");
        let deep = "[".repeat(100_000);
        assert!(pretty(&deep, 4096).len() <= 4096 + '…'.len_utf8());
    }

    #[test]
    fn commas_come_by_themselves() {
        let mut out = Writer::default();
        out.open('{');
        out.name("a\"").open('[');
        out.number(1);
        out.string("ä\n");
        out.open('{');
        out.close('}');
        out.close(']');
        out.name("b").string_or_null(None);
        out.close('}');
        out.end_line();
        out.open('[');
        out.close(']');
        assert_eq!(out.finish(), "{\"a\\\"\":[1,\"ä\\n\",{}],\"b\":null}\n[]");
    }
}
