//! Addresses: sets of them, and the text form of a single one, a prefix, or a range.
//!
//! This module owns the grammar. It does not know where the text stands.

use std::{
    fmt::Display,
    net::{Ipv4Addr, Ipv6Addr},
    str,
};

use super::{
    family::{Family, family_name},
    ranges::{RangeSet, Value},
};

/// A set of IPv4 and IPv6 addresses, each as its number in host byte order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AddressSet {
    /// The IPv4 members.
    pub v4: RangeSet<u32>,
    /// The IPv6 members.
    pub v6: RangeSet<u128>,
}

/// An inclusive range of addresses of one family, each as its number in host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressRange {
    /// IPv4.
    V4(u32, u32),
    /// IPv6.
    V6(u128, u128),
}

/// Why a text is not an address, a prefix or a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    /// It is none of them at all.
    #[error("expected an address, a prefix or a range of addresses")]
    NotAnAddress,
    /// An IPv4 octet with a leading zero, which some readers take for octal.
    #[error("an octet has a leading zero")]
    LeadingZero,
    /// What follows the slash is no length of a prefix of the family.
    #[error("the length of an {} prefix is a number from 0 to {}", family_name(*.0), bits(*.0))]
    PrefixLength(Family),
    /// The address has bits set that the prefix does not cover.
    #[error("the address has bits set behind the prefix length")]
    HostBits {
        /// The address.
        address: String,
        /// The prefix without those bits.
        prefix: String,
    },
    /// The range ends before it starts.
    #[error("the range ends before it starts")]
    Backwards,
    /// One end of the range is IPv4, the other is IPv6.
    #[error("the range starts in one address family and ends in the other")]
    MixedFamilies,
}

impl AddressError {
    /// How to put it right.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::LeadingZero => Some("write octets without leading zeros".to_owned()),
            Self::HostBits { address, prefix } => Some(format!(
                "write `{prefix}` for the network or `{address}` for the single address"
            )),
            Self::Backwards => Some("write the lower address first".to_owned()),
            Self::NotAnAddress | Self::PrefixLength(_) | Self::MixedFamilies => None,
        }
    }
}

/// Reads an address (`192.0.2.1`), a prefix (`2001:db8::/32`) or a range (`192.0.2.1-192.0.2.9`).
pub(crate) fn parse(text: &[u8]) -> Result<AddressRange, AddressError> {
    let (first, rest) = match ipv4(text) {
        Some((address, rest)) => (Single::V4(address), rest),
        None => {
            let separator = text.iter().position(|byte| matches!(byte, b'/' | b'-'));
            let (address, rest) = text.split_at(separator.unwrap_or(text.len()));
            (single(address)?, rest)
        }
    };
    match rest {
        [] => range(first, first),
        [b'-', last @ ..] => range(first, single(last)?),
        [b'/', length @ ..] => prefix(first, length),
        _ => Err(AddressError::NotAnAddress),
    }
}

/// Reads an IPv4 address at the start of `text`; gives its number and what follows it, which is
/// no digit. `None` for all that `Ipv4Addr` would not read, and for a further dot.
pub(crate) fn ipv4(text: &[u8]) -> Option<(u32, &[u8])> {
    let mut address = 0;
    let mut rest = text;
    for index in 0..4 {
        if index > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let (first, mut after) = rest.split_first()?;
        let mut octet = digit(*first)?;
        while let Some((next, tail)) = after.split_first()
            && let Some(next) = digit(*next)
        {
            if octet == 0 {
                return None;
            }
            octet = octet * 10 + next;
            if octet > 255 {
                return None;
            }
            after = tail;
        }
        address = address << 8 | octet;
        rest = after;
    }
    (rest.first() != Some(&b'.')).then_some((address, rest))
}

/// Ranges of both families, to become a set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges {
    /// IPv4.
    pub(crate) v4: Vec<(u32, u32)>,
    /// IPv6.
    pub(crate) v6: Vec<(u128, u128)>,
}

impl Ranges {
    /// Adds a range.
    pub(crate) fn push(&mut self, range: AddressRange) {
        match range {
            AddressRange::V4(first, last) => self.v4.push((first, last)),
            AddressRange::V6(first, last) => self.v6.push((first, last)),
        }
    }

    /// Adds the members of a set.
    pub(crate) fn extend(&mut self, set: &AddressSet) {
        self.v4.extend_from_slice(set.v4.ranges());
        self.v6.extend_from_slice(set.v6.ranges());
    }

    /// The set of all addresses within the ranges.
    pub(crate) fn into_set(self) -> AddressSet {
        AddressSet {
            v4: RangeSet::from_ranges(self.v4),
            v6: RangeSet::from_ranges(self.v6),
        }
    }
}

/// An address of either family as its number.
#[derive(Clone, Copy)]
enum Single {
    V4(u32),
    V6(u128),
}

fn single(text: &[u8]) -> Result<Single, AddressError> {
    if let Some((address, [])) = ipv4(text) {
        return Ok(Single::V4(address));
    }
    if let Some(address) = ipv6(text) {
        return Ok(Single::V6(address));
    }
    if let Ok(text) = str::from_utf8(text)
        && let Ok(address) = text.parse::<Ipv6Addr>()
    {
        return Ok(Single::V6(address.to_bits()));
    }
    Err(if has_leading_zero(text) {
        AddressError::LeadingZero
    } else {
        AddressError::NotAnAddress
    })
}

/// Reads an IPv6 address without an IPv4 one in it, several times as fast as `Ipv6Addr` does. Of
/// all other texts `None`, so that `Ipv6Addr` decides on them.
fn ipv6(text: &[u8]) -> Option<u128> {
    let mut address: u128 = 0;
    let mut groups = 0;
    let mut groups_before_gap = None;
    let mut rest = text;
    if let [b':', b':', tail @ ..] = rest {
        groups_before_gap = Some(0);
        rest = tail;
    }
    while !rest.is_empty() {
        let mut group = 0;
        let mut digits = 0;
        while let [byte, tail @ ..] = rest
            && let Some(digit) = char::from(*byte).to_digit(16)
        {
            group = group << 4 | digit;
            digits += 1;
            rest = tail;
            if digits > 4 {
                return None;
            }
        }
        if digits == 0 || groups == 8 {
            return None;
        }
        address = address << 16 | u128::from(group);
        groups += 1;
        rest = match rest {
            [] => rest,
            [b':', b':', tail @ ..] if groups_before_gap.is_none() => {
                groups_before_gap = Some(groups);
                tail
            }
            [b':', tail @ ..] if !tail.is_empty() => tail,
            _ => return None,
        };
    }
    match groups_before_gap {
        None => (groups == 8).then_some(address),
        // The gap stands for one group at least.
        Some(_) if groups == 8 => None,
        Some(before) => {
            let after = 16 * (groups - before);
            let head = (address >> after)
                .checked_shl(128 - 16 * before)
                .unwrap_or(0);
            Some(head | address & ((1 << after) - 1))
        }
    }
}

/// Whether the text would be an IPv4 address but for leading zeros.
fn has_leading_zero(text: &[u8]) -> bool {
    let octets = || text.split(|byte| *byte == b'.');
    let numeric = |octet: &[u8]| !octet.is_empty() && octet.iter().all(u8::is_ascii_digit);
    octets().count() == 4
        && octets().all(numeric)
        && octets().any(|octet| octet.len() > 1 && octet.starts_with(b"0"))
}

fn range(first: Single, last: Single) -> Result<AddressRange, AddressError> {
    match (first, last) {
        (Single::V4(first), Single::V4(last)) if first <= last => Ok(AddressRange::V4(first, last)),
        (Single::V6(first), Single::V6(last)) if first <= last => Ok(AddressRange::V6(first, last)),
        (Single::V4(_), Single::V4(_)) | (Single::V6(_), Single::V6(_)) => {
            Err(AddressError::Backwards)
        }
        (Single::V4(_), Single::V6(_)) | (Single::V6(_), Single::V4(_)) => {
            Err(AddressError::MixedFamilies)
        }
    }
}

fn prefix(address: Single, length: &[u8]) -> Result<AddressRange, AddressError> {
    match address {
        Single::V4(address) => {
            let length = prefix_length(length, Family::Ipv4)?;
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            let show = Ipv4Addr::from_bits;
            masked(address, address & !host, address & host == 0, length, show)?;
            Ok(AddressRange::V4(address, address | host))
        }
        Single::V6(address) => {
            let length = prefix_length(length, Family::Ipv6)?;
            let host = u128::MAX.checked_shr(length).unwrap_or(0);
            let show = Ipv6Addr::from_bits;
            masked(address, address & !host, address & host == 0, length, show)?;
            Ok(AddressRange::V6(address, address | host))
        }
    }
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

fn digit(byte: u8) -> Option<u32> {
    byte.is_ascii_digit().then(|| u32::from(byte - b'0'))
}

const fn bits(family: Family) -> u32 {
    match family {
        Family::Ipv4 => u32::BITS,
        Family::Ipv6 => u128::BITS,
    }
}
