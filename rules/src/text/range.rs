//! The text form of ranges: both ends, or the prefix that they make.

pub(crate) fn span<T: PartialEq + Copy>(
    (first, last): (T, T),
    word: impl Fn(T) -> String,
) -> String {
    if first == last {
        word(first)
    } else {
        format!("{}-{}", word(first), word(last))
    }
}

/// A range of addresses as an address, a prefix or a range.
pub(crate) fn prefix(first: u128, last: u128, bits: u32, word: impl Fn(u128) -> String) -> String {
    let free = (first ^ last).count_ones();
    let mask = u128::MAX.checked_shr(128 - free).unwrap_or(0);
    if first != last && first & mask == 0 && last == first | mask {
        format!("{}/{}", word(first), bits - free)
    } else {
        span((first, last), word)
    }
}
