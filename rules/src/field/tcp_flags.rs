//! TCP flags: their names and bits, and sets of them as conditions.

use std::cmp::Reverse;

use super::ranges::RangeSet;

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

/// Conditions that exactly these values of the flags byte meet, with the fewest flags first.
#[must_use]
pub fn tcp_flag_conditions(values: &RangeSet<u8>) -> Vec<String> {
    let mut conditions: Vec<(u8, u8)> = (0..=u8::MAX)
        .flat_map(|named| (0..=u8::MAX).map(move |set| (named, set)))
        .filter(|(named, set)| *named != 0 && set & !named == 0)
        .collect();
    conditions.sort_by_key(|(named, set)| (named.count_ones(), *named, Reverse(*set)));
    let fitting = |(named, set): (u8, u8)| (0..=u8::MAX).filter(move |value| value & named == set);
    let mut words = Vec::new();
    let mut told = [false; 256];
    for condition in conditions {
        let is_new = fitting(condition).any(|value| !told[usize::from(value)]);
        if is_new && fitting(condition).all(|value| values.contains(value)) {
            fitting(condition).for_each(|value| told[usize::from(value)] = true);
            words.push(condition_word(condition));
        }
    }
    words
}

fn condition_word((named, set): (u8, u8)) -> String {
    let flags = (0..)
        .zip(tcp_flags())
        .filter(|(bit, _)| named & 1 << bit != 0);
    let words = flags.map(|(bit, name)| {
        let sign = if set & 1 << bit == 0 { "!" } else { "" };
        format!("{sign}{name}")
    });
    words.collect::<Vec<_>>().join(",")
}
