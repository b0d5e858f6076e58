//! The rule for doc comments that a program can check: each is a phrase that stands alone in an index.

/// Words that a doc comment must not begin with: what they refer to stands elsewhere.
const RELATIVE: [&str; 14] = [
    "As", "How", "It", "Its", "So", "They", "Those", "What", "When", "Where", "Which", "Who", "Whoever",
    "Whose",
];
/// Phrases that no doc comment has: each has a plain or a standard word in its place (N, every N, subscribers, drop, close).
const PHRASES: [&str; 8] =
    ["so many", "so often", "whoever", "one's own", "lets go", "let go", "is said", "what comes"];
/// Number of words that a doc comment has at least.
const MIN_WORDS: usize = 3;

/// Returns the doc comments of a Rust source that do not stand alone, each with file and line.
pub(crate) fn breaches_of(name: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let Some((mark, first)) = doc(line) else { continue };
        let mut comment = first.to_owned();
        while let Some((_, more)) =
            lines.next_if(|(_, line)| doc(line).is_some_and(|(found, _)| found == mark))
        {
            comment.push(' ');
            comment.push_str(doc(more).map_or("", |(_, rest)| rest));
        }
        let mut words = comment.split_whitespace();
        let begin = words.clone().next().unwrap_or_default();
        let lower = comment.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        for phrase in PHRASES.into_iter().filter(|phrase| lower.contains(phrase)) {
            breaches.push(format!("{name}:{}: {phrase:?}: say it in plain words", number + 1));
        }
        if RELATIVE.contains(&begin) || words.by_ref().take(MIN_WORDS).count() < MIN_WORDS {
            breaches.push(format!("{name}:{}: {comment:?}: a doc comment stands alone", number + 1));
        }
    }
    breaches
}

/// Returns the mark of a doc comment, and the text after it.
fn doc(line: &str) -> Option<(&'static str, &str)> {
    let line = line.trim_start();
    let of = |mark: &'static str| Some((mark, line.strip_prefix(mark)?));
    of("///").or_else(|| of("//!"))
}

#[cfg(test)]
mod tests {
    use super::breaches_of;

    #[test]
    fn a_phrase_is_found_across_lines_too() {
        let found =
            breaches_of("a.rs", "/// Returns as many events as\n/// there are, or so\n/// many bytes.\n");
        assert!(found.len() == 1 && found[0].contains("\"so many\""), "{found:?}");
    }

    #[test]
    fn a_comment_that_needs_its_item_is_found() {
        let text = "//! A room.\n/// Whose.\nfn a() {}\n\n    /// What it takes to go\n    /// on.\n    /// Returns the sum.\n// Where?\n";
        let found = breaches_of("a.rs", text);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].starts_with("a.rs:1:")
                && found[1].starts_with("a.rs:2:")
                && found[2].starts_with("a.rs:5:")
        );
    }
}
