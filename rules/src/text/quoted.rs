//! Text from a file as it is shown in a message.

/// `text` in backticks for a message, with control characters made visible and a long tail cut.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 72;
    let mut shown = String::with_capacity(text.len().min(LONGEST) + 2);
    shown.push('`');
    for (index, c) in text.chars().enumerate() {
        if index == LONGEST {
            shown.push('…');
            break;
        }
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown.push('`');
    shown
}
