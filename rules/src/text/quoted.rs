//! Text of others as it is shown: nothing in it can reach the terminal as an order, or stay unseen.

use std::fmt::Write as _;

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

/// JSON of the same meaning, in which such characters are escapes.
#[must_use]
pub fn escaped_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        // Between values there is white space, and within strings what else is hidden.
        if is_hidden(c) && !matches!(c, '\n' | '\t' | '\r') {
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string does not fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown
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
/// what has no width, and what changes the direction of text, all of the Unicode category `Cf` included.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{a0}'
                | '\u{ad}'
                | '\u{34f}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
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
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The category `Cf` of Unicode 16 (`extracted/DerivedGeneralCategory.txt`), and the line and paragraph
    /// separators.
    const FORMAT: &[(u32, u32)] = &[
        (0xad, 0xad),
        (0x600, 0x605),
        (0x61c, 0x61c),
        (0x6dd, 0x6dd),
        (0x70f, 0x70f),
        (0x890, 0x891),
        (0x8e2, 0x8e2),
        (0x180e, 0x180e),
        (0x200b, 0x200f),
        (0x2028, 0x2029),
        (0x202a, 0x202e),
        (0x2060, 0x2064),
        (0x2066, 0x206f),
        (0xfeff, 0xfeff),
        (0xfff9, 0xfffb),
        (0x110bd, 0x110bd),
        (0x110cd, 0x110cd),
        (0x13430, 0x1343f),
        (0x1bca0, 0x1bca3),
        (0x1d173, 0x1d17a),
        (0xe0001, 0xe0001),
        (0xe0020, 0xe007f),
    ];

    #[test]
    fn control_and_format_characters_are_hidden_and_visible_ones_are_not() {
        let format = FORMAT.iter().flat_map(|&(first, last)| first..=last);
        for c in format.chain(0..0x20).chain(0x7f..0xa0) {
            let c = char::from_u32(c).unwrap();
            assert!(is_hidden(c), "{c:?}");
            assert_eq!(escaped(&c.to_string()), c.escape_default().to_string());
        }
        for c in " azé\u{5d0}\u{627}\u{4e00}\u{1f600}".chars() {
            assert!(!is_hidden(c), "{c:?}");
        }
    }

    #[test]
    fn json_with_escapes_has_the_same_meaning() {
        let json = "{\n  \"a\u{202e}\": \"\u{7f}\u{e0001}é\"\n}\n";
        let shown = escaped_json(json);
        assert_eq!(shown, "{\n  \"a\\u202e\": \"\\u007f\\udb40\\udc01é\"\n}\n");
    }
}
