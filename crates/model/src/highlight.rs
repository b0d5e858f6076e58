//! Minimal highlighting of code: comments, string literals and keywords, enough for finding one's way.

/// Kind of a piece of code, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    Plain,
    Comment,
    /// A string literal with its quotes.
    Text,
    Keyword,
}

const KEYWORDS: [&str; 24] = [
    "fn", "async", "await", "let", "mut", "const", "for", "if", "while", "match", "loop", "return",
    "function", "try", "catch", "new", "do", "done", "use", "move", "else", "break", "of", "continue",
];

/// Splits a snippet into pieces of one ink each; joined, they are the snippet.
pub fn highlight(code: &str) -> Vec<(Ink, &str)> {
    let mut pieces = Vec::new();
    for line in code.split_inclusive('\n') {
        let comment =
            ["# ", "// "].iter().filter_map(|mark| comment_at(line, mark)).min().unwrap_or(line.len());
        let (code, comment) = line.split_at(comment);
        words(code, &mut pieces);
        if !comment.is_empty() {
            pieces.push((Ink::Comment, comment));
        }
    }
    pieces
}

/// Returns the byte position of a comment: the marker at the start of a line or after a space, outside of string
/// literals.
fn comment_at(line: &str, mark: &str) -> Option<usize> {
    line.match_indices(mark).map(|(at, _)| at).find(|at| {
        let before = &line[..*at];
        (before.is_empty() || before.ends_with(' '))
            && ['"', '\'', '`'].iter().all(|quote| before.matches(*quote).count() % 2 == 0)
    })
}

fn words<'a>(mut code: &'a str, pieces: &mut Vec<(Ink, &'a str)>) {
    while let Some(first) = code.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let (end, ink) = if matches!(first, '"' | '\'' | '`') {
            match code[1..].find(first) {
                Some(at) => (at + 2, Ink::Text),
                None => (code.len(), Ink::Plain),
            }
        } else if is_word(first) {
            let end = code.find(|c| !is_word(c)).unwrap_or(code.len());
            (end, if KEYWORDS.contains(&&code[..end]) { Ink::Keyword } else { Ink::Plain })
        } else {
            (code.find(|c| is_word(c) || matches!(c, '"' | '\'' | '`')).unwrap_or(code.len()), Ink::Plain)
        };
        pieces.push((ink, &code[..end]));
        code = &code[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_snippet_and_know_their_ink() {
        let code = "# say it\nlet a = 'x # y'; // done\nletter";
        let pieces = highlight(code);
        assert_eq!(pieces.iter().map(|(_, text)| *text).collect::<String>(), code);
        let of =
            |ink| pieces.iter().filter(|(i, _)| *i == ink).map(|(_, t)| t.trim_end()).collect::<Vec<_>>();
        assert_eq!(of(Ink::Comment), ["# say it", "// done"]);
        assert_eq!(of(Ink::Text), ["'x # y'"]);
        assert_eq!(of(Ink::Keyword), ["let"]);
    }
}
