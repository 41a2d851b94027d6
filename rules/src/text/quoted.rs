//! Text of others as it is shown in a message: nothing in it can reach the terminal as an order, or stay unseen.

/// `text` in backticks for a message, with what cannot be seen made visible and a long tail cut.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 72;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}…`", escaped(text.split_at(end).0)),
        None => format!("`{}`", escaped(text)),
    }
}

/// `text` with control characters, which a terminal could obey, and characters that cannot be seen as escapes.
#[must_use]
pub fn escaped(text: &str) -> String {
    escaped_but(text, &[])
}

/// Like [`escaped`], of text that may have several lines with tabs in them.
#[must_use]
pub fn escaped_lines(text: &str) -> String {
    escaped_but(text, &['\n', '\t'])
}

fn escaped_but(text: &str, kept: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) && !kept.contains(&c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a character is a control character, or is not seen for what it is: white space other than a space,
/// what has no width, and what changes the direction of text.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{a0}'
                | '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{1680}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{2000}'..='\u{200f}'
                | '\u{2028}'..='\u{202f}'
                | '\u{205f}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3000}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}
