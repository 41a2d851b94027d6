//! Comments at the end of lines.

/// The part of a trimmed line before a comment.
pub(super) fn without_comment(line: &[u8]) -> &[u8] {
    let mut is_first_word = true;
    // Of the word so far: words of a reason may have such characters in them, as a URL does.
    let mut is_start = true;
    let mut could_be_address = true;
    for (at, byte) in line.iter().enumerate() {
        let (content, comment) = line.split_at(at);
        let ends_word = (is_first_word || could_be_address) && matches!(byte, b'#' | b';');
        if ends_word || is_start && is_comment(comment) {
            return content.trim_ascii_end();
        }
        is_start = byte.is_ascii_whitespace();
        is_first_word &= !is_start;
        let is_of_address = byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':' | b'-');
        could_be_address = is_start || could_be_address && is_of_address;
    }
    line
}

/// Whether a comment begins here.
pub(super) fn is_comment(text: &[u8]) -> bool {
    matches!(text, [b'#' | b';', ..] | [b'/', b'/', ..])
}
