//! TCP flags: their names and bits.

/// The TCP flags by bit, lowest first (RFC 9293, section 3.1).
const TCP_FLAGS: &[&str] = &["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];

/// The bit of the TCP flag called `name`.
#[must_use]
pub fn tcp_flag(name: &str) -> Option<u8> {
    let bit = TCP_FLAGS.iter().position(|flag| *flag == name)?;
    Some(1 << bit)
}

/// The names of the flags that are set, with commas between; `null` for none, as in the notation
/// for packets.
pub(crate) fn flags_in_words(flags: u8) -> String {
    let set = tcp_flags().enumerate();
    let set = set.filter(|(bit, _)| flags >> bit & 1 == 1);
    let names: Vec<&str> = set.map(|(_, name)| name).collect();
    if names.is_empty() {
        "null".to_owned()
    } else {
        names.join(",")
    }
}

/// The names of the TCP flags, the lowest bit first.
pub fn tcp_flags() -> impl Iterator<Item = &'static str> + Clone {
    TCP_FLAGS.iter().copied()
}
