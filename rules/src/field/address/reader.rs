//! The text form of an address, a prefix or a range, in each of its usual spellings.

use std::{
    fmt::Display,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{
    error::{AddressError, bits},
    range::AddressRange,
    single::{Single, digit, ipv4, single},
};
use crate::field::{family::Family, ranges::Value};

/// The addresses that a text names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The addresses.
    pub range: AddressRange,
    /// Whether the text has the IPv6 form of IPv4 addresses, as in `::ffff:192.0.2.1`. Packets have
    /// the IPv4 address, which is in `range`.
    pub is_mapped: bool,
}

/// The addresses of the form `::ffff:0:0/96` (RFC 4291, section 2.5.5.2).
const MAPPED: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

/// Reads an address (`192.0.2.1`), a prefix (`2001:db8::/32`, `192.0.2.0/255.255.255.0`,
/// `192.0.2.0 255.255.255.0`) or a range (`192.0.2.1-192.0.2.9`, `192.0.2.1 - 192.0.2.9`, `192.0.2.1-9`).
///
/// # Errors
///
/// If the text is anything else, is ambiguous, or names addresses that no packet has.
pub fn read(text: &[u8]) -> Result<Addresses, AddressError> {
    let (first, rest) = match ipv4(text) {
        Some((address, rest)) => (Single::V4(address), rest),
        None => {
            let end = text
                .iter()
                .position(|byte| matches!(byte, b'/' | b'-' | b' ' | b'\t'));
            let (address, rest) = text.split_at(end.unwrap_or(text.len()));
            (single(address)?, rest)
        }
    };
    let after_space = rest.trim_ascii_start();
    match (rest, after_space) {
        ([], _) => range(first, first),
        // A single number after a space could be something else.
        ([b'-', last @ ..], _) if !last.starts_with(b" ") && !last.starts_with(b"\t") => {
            range(first, last_of(first, last)?)
        }
        (_, [b'-', last @ ..]) => range(first, single(last.trim_ascii_start())?),
        ([b'/', length @ ..], _) => prefix(first, length),
        ([b' ' | b'\t', ..], mask) => match (first, ipv4(mask)) {
            (Single::V4(0), Some((u32::MAX, []))) => Err(AddressError::MaskOrEnd),
            (Single::V4(address), Some((mask, []))) => {
                let length = netmask(mask).filter(|length| *length > 0);
                v4_prefix(address, length.ok_or(AddressError::Netmask)?)
            }
            (Single::V4(_) | Single::V6(_), _) => Err(AddressError::NotAnAddress),
        },
        (_, _) => Err(AddressError::NotAnAddress),
    }
}

/// Splits the start of a line that names addresses, and may contain spaces, from the words after
/// it.
pub(crate) fn leading(line: &[u8]) -> (&[u8], &[u8]) {
    let (word, after) = first_word(line);
    let (second, after_second) = first_word(after);
    let upto = |rest: &[u8]| {
        let (text, _) = line.split_at(line.len() - rest.len());
        (text.trim_ascii_end(), rest.len())
    };
    let (text, left) = match second {
        b"-" => {
            let (third, after_third) = first_word(after_second);
            if is_end_of_range(word, third) {
                upto(after_third)
            } else {
                upto(after)
            }
        }
        [b'-', last @ ..] if is_end_of_range(word, last) => upto(after_second),
        last if word
            .strip_suffix(b"-")
            .is_some_and(|first| is_end_of_range(first, last)) =>
        {
            upto(after_second)
        }
        mask if is_single(word)
            && matches!(ipv4(mask), Some((mask, [])) if netmask(mask).is_some()) =>
        {
            upto(after_second)
        }
        _ => upto(after),
    };
    let (_, rest) = line.split_at(line.len() - left);
    (text, rest)
}

/// The first word, and what follows the white space after it.
fn first_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(u8::is_ascii_whitespace);
    let (word, rest) = text.split_at(end.unwrap_or(text.len()));
    (word, rest.trim_ascii_start())
}

fn is_single(text: &[u8]) -> bool {
    single(text).is_ok()
}

/// Whether `first - last` is meant as a range, valid or not. A single number for `last` is not
/// enough, because `-` could mean something else.
fn is_end_of_range(first: &[u8], last: &[u8]) -> bool {
    let could_be_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    is_single(first)
        && last.iter().all(could_be_address)
        && last.iter().any(|byte| matches!(byte, b'.' | b':'))
}

/// The end of a range, for which the last octet suffices.
fn last_of(first: Single, text: &[u8]) -> Result<Single, AddressError> {
    match (first, text) {
        (Single::V4(first), [_] | [_, _] | [_, _, _]) if text.iter().all(u8::is_ascii_digit) => {
            let octet = octet(text).ok_or(AddressError::NotAnAddress)?;
            Ok(Single::V4(first & !0xff | octet))
        }
        (Single::V4(_) | Single::V6(_), _) => single(text),
    }
}

fn octet(digits: &[u8]) -> Option<u32> {
    if digits.len() > 1 && digits.starts_with(b"0") {
        return None;
    }
    let number = digits
        .iter()
        .try_fold(0, |number, byte| Some(number * 10 + digit(*byte)?))?;
    (number <= 255).then_some(number)
}

fn range(first: Single, last: Single) -> Result<Addresses, AddressError> {
    let v4 = |single: Single| match single {
        Single::V4(address) => Some(address),
        Single::V6(_) => single.mapped(),
    };
    let is_mapped = first.mapped().or(last.mapped()).is_some();
    match (first, last) {
        _ if let (Some(first), Some(last)) = (v4(first), v4(last)) => {
            if first > last {
                return Err(AddressError::Backwards);
            }
            checked(AddressRange::V4(first, last), is_mapped)
        }
        (Single::V6(first), Single::V6(last)) if first <= last => {
            checked(AddressRange::V6(first, last), false)
        }
        (Single::V6(_), Single::V6(_)) => Err(AddressError::Backwards),
        (Single::V4(_), _) | (_, Single::V4(_)) => Err(AddressError::MixedFamilies),
    }
}

/// The result, unless it would be all of IPv4 in its mapped form.
fn checked(range: AddressRange, is_mapped: bool) -> Result<Addresses, AddressError> {
    if is_mapped && range == AddressRange::V4(u32::MIN, u32::MAX) {
        return Err(AddressError::MappedBlock);
    }
    Ok(Addresses { range, is_mapped })
}

fn prefix(address: Single, length: &[u8]) -> Result<Addresses, AddressError> {
    match address {
        Single::V4(address) => {
            let length = match ipv4(length) {
                Some((mask, [])) => netmask(mask).ok_or(AddressError::Netmask)?,
                _ => prefix_length(length, Family::Ipv4)?,
            };
            v4_prefix(address, length)
        }
        Single::V6(address) => {
            let length = prefix_length(length, Family::Ipv6)?;
            let host = u128::MAX.checked_shr(length).unwrap_or(0);
            let show = Ipv6Addr::from_bits;
            masked(address, address & !host, address & host == 0, length, show)?;
            let last = address | host;
            if MAPPED.0 <= address && last <= MAPPED.1 {
                return checked(AddressRange::V4(address as u32, last as u32), true);
            }
            checked(AddressRange::V6(address, last), false)
        }
    }
}

fn v4_prefix(address: u32, length: u32) -> Result<Addresses, AddressError> {
    let host = u32::MAX.checked_shr(length).unwrap_or(0);
    let show = Ipv4Addr::from_bits;
    masked(address, address & !host, address & host == 0, length, show)?;
    checked(AddressRange::V4(address, address | host), false)
}

/// The length of a netmask.
fn netmask(mask: u32) -> Option<u32> {
    let length = mask.leading_ones();
    (mask.count_ones() == length).then_some(length)
}

fn masked<T: Value, A: Display>(
    address: T,
    network: T,
    is_network: bool,
    length: u32,
    show: fn(T) -> A,
) -> Result<(), AddressError> {
    if is_network {
        return Ok(());
    }
    Err(AddressError::HostBits {
        address: show(address).to_string(),
        prefix: format!("{}/{length}", show(network)),
    })
}

/// A decimal number without sign and leading zeros, at most the bits of an address.
fn prefix_length(text: &[u8], family: Family) -> Result<u32, AddressError> {
    let length = match text {
        [a] => digit(*a),
        [b'0', ..] => None,
        [a, b] => digit(*a).zip(digit(*b)).map(|(a, b)| a * 10 + b),
        [b'1', a, b] => digit(*a).zip(digit(*b)).map(|(a, b)| 100 + a * 10 + b),
        _ => None,
    };
    length
        .filter(|length| *length <= bits(family))
        .ok_or(AddressError::PrefixLength(family))
}
