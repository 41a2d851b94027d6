//! Diagnostics as plain text.

use std::fmt::Write as _;

use super::diagnostic::{Diagnostic, Label};
use crate::text::escaped_lines;

/// The maximum number of characters shown of a source line; of a longer line, those around the
/// label.
const WINDOW: usize = 120;

/// A diagnostic as plain text for a terminal or a log: message, place, source line with the
/// place underlined, notes, and help, in which nothing is hidden. Ends with a line feed.
#[must_use]
pub fn render(diagnostic: &Diagnostic) -> String {
    let severity = diagnostic.severity().as_str();
    let code = diagnostic.code.as_str();
    let mut out = format!("{severity}[{code}]: {}\n", diagnostic.message);
    snippet(&mut out, &diagnostic.primary);
    for note in &diagnostic.notes {
        line(&mut out, format_args!("note: {}", note.message));
        if let Some(label) = &note.label {
            snippet(&mut out, label);
        }
    }
    if let Some(help) = &diagnostic.help {
        line(&mut out, format_args!("help: {help}"));
    }
    escaped_lines(&out)
}

/// The place and the source line of a label:
///
/// ```text
///  --> rules.toml:7:1
///   |
/// 7 | acton = "drop"
///   | ^^^^^ text of the label
/// ```
fn snippet(out: &mut String, label: &Label) {
    let place = label.source.place(label.span.start);
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    let (start, bytes) = label.source.line(label.span.start);

    let from = label.span.start.saturating_sub(start).min(bytes.len());
    let to = label
        .span
        .end
        .saturating_sub(start)
        .clamp(from, bytes.len());
    let (before, rest) = bytes.split_at(from);
    let (marked, after) = rest.split_at(to - from);
    let [before, marked, after] = [before, marked, after].map(printable);
    let (before, marked, after) = window(&before, &marked, &after);

    // Tabs are kept, so that the mark is below its text however wide tabs are.
    let indent = before.replace(|c| c != '\t', " ");
    let carets = "^".repeat(marked.chars().count().max(1));
    let text = &label.text;
    let name = label.source.name();
    line(
        out,
        format_args!("{gutter}--> {name}:{number}:{}", place.column),
    );
    line(out, format_args!("{gutter} |"));
    line(out, format_args!("{number} | {before}{marked}{after}"));
    line(out, format_args!("{gutter} | {indent}{carets} {text}"));
}

/// Appends a line without the spaces at its end.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{text}");
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
}

/// The bytes as text that is safe to print, with tabs.
fn printable(bytes: &[u8]) -> String {
    escaped_lines(&String::from_utf8_lossy(bytes))
}

/// Cuts a line that is longer than [`WINDOW`] to a window around its marked part.
fn window(before: &str, marked: &str, after: &str) -> (String, String, String) {
    let marked = first(marked, WINDOW);
    let left = WINDOW.saturating_sub(marked.chars().count());
    let before = last(before, left);
    let after = first(
        after,
        left.saturating_sub(before.chars().count()).max(left / 2),
    );
    (before, marked, after)
}

/// The first `limit` characters, and an ellipsis if there are more.
fn first(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((at, _)) => format!("{}…", text.split_at(at).0),
        None => text.to_owned(),
    }
}

/// The last `limit` characters; if there are more, an ellipsis and half as many.
fn last(text: &str, limit: usize) -> String {
    let count = text.chars().count();
    if count <= limit {
        return text.to_owned();
    }
    std::iter::once('…')
        .chain(text.chars().skip(count - limit / 2))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostics::{code::Code, source::Source};

    fn rendered(text: impl Into<Vec<u8>>, span: std::ops::Range<usize>) -> String {
        let source = Arc::new(Source::new("test", text));
        let mut diagnostic = Diagnostic::new(Code::UnknownKey, &source, span.into(), "message");
        render(diagnostic.label("here"))
    }

    fn lines(text: &str) -> [&str; 2] {
        let mut lines = text.lines().skip(3);
        [lines.next().unwrap(), lines.next().unwrap()]
    }

    #[test]
    fn the_mark_stands_under_its_text_behind_tabs() {
        let text = rendered("\tké = 1\n", 7..8);
        assert_eq!(lines(&text), ["1 | \tké = 1", "  | \t     ^ here"]);
    }

    #[test]
    fn a_span_of_several_lines_is_marked_to_the_end_of_the_first() {
        let text = rendered("a = [\n1\n]\n", 4..9);
        assert_eq!(lines(&text), ["1 | a = [", "  |     ^ here"]);
    }

    #[test]
    fn an_empty_span_at_the_end_is_marked() {
        let text = rendered("a", 1..1);
        assert_eq!(lines(&text), ["1 | a", "  |  ^ here"]);
    }

    #[test]
    fn a_long_line_is_cut_around_its_mark() {
        let mut long = vec![b'x'; 1_000_000];
        long[500_000] = b'!';
        let text = rendered(long, 500_000..500_001);
        let [line, mark] = lines(&text);
        assert!(line.chars().count() < 130, "{line}");
        let at = line.chars().position(|c| c == '!');
        assert_eq!(mark.chars().position(|c| c == '^'), at);
    }

    #[test]
    fn nothing_is_hidden_in_names_and_words() {
        let source = Arc::new(Source::new("a\u{202e}b.toml", "x"));
        let mut diagnostic =
            Diagnostic::new(Code::UnknownKey, &source, (0..1).into(), "a\u{200b}b");
        diagnostic.note("c\u{2028}d").help("e\u{1b}f");
        assert_eq!(
            render(&diagnostic),
            "error[unknown-key]: a\\u{200b}b\n --> a\\u{202e}b.toml:1:1\n  |\n1 | x\n  | ^\n\
             note: c\\u{2028}d\nhelp: e\\u{1b}f\n"
        );
    }

    #[test]
    fn control_characters_are_escaped_and_broken_encodings_replaced() {
        let text = rendered(b"\x1b[2J \xff!".to_vec(), 6..7);
        assert_eq!(
            lines(&text),
            ["1 | \\u{1b}[2J \u{fffd}!", "  |            ^ here"]
        );
    }
}
