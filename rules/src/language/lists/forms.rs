//! Forms of published lists that can be recognized from a single line.

use super::{
    columns,
    entry::{LineError, LineForm, ListLine},
    ipset,
};
use crate::field::{
    AddressError, AddressRange, Addresses,
    address::{self, ipv4},
};

type Found<'a> = Option<Result<Option<ListLine<'a>>, LineError>>;

/// Forms that their first words identify; `bytes` is the line with its comment.
pub(super) fn by_words<'a>(content: &'a [u8], bytes: &'a [u8]) -> Found<'a> {
    if is_json(content) {
        return Some(Err(LineError::Json));
    }
    if is_nft(content) {
        return Some(Err(LineError::NftSet));
    }
    let mut words = words(content);
    let (first, second, third) = (words.next()?, words.next(), words.next());
    // The name of a P2P line can begin with any word.
    if ipset::is_command(first, second, third) && p2p(bytes).is_none() {
        return Some(Err(LineError::Command));
    }
    match (first, second, third) {
        (b"add", Some(_), Some(member)) => Some(match address::read(member) {
            Ok(_) => ipset::entry(bytes).map(Some),
            Err(error) => p2p(bytes).unwrap_or(Err(error.into())),
        }),
        (first, Some(last), Some(length)) => dshield(first, last, length, content),
        (_, _, _) => None,
    }
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// Whether a line begins like an object of JSON, or an array of objects, arrays or texts.
fn is_json(content: &[u8]) -> bool {
    match content {
        [b'{', ..] => true,
        [b'[', after @ ..] => matches!(
            after.trim_ascii_start(),
            [] | [b'"' | b'{' | b'[' | b']', ..]
        ),
        _ => false,
    }
}

/// Whether a line is a part of what `nft list` writes.
fn is_nft(content: &[u8]) -> bool {
    let mut words = words(content);
    let is_head = match (words.next(), words.next()) {
        (Some(b"elements"), Some([b'=', ..]))
        | (Some(b"type"), Some(b"ipv4_addr" | b"ipv6_addr")) => true,
        (Some(b"table" | b"set" | b"map"), Some(_)) => content.ends_with(b"{"),
        (_, _) => false,
    };
    let expires = b" expires ";
    is_head
        || content.ends_with(b"}")
        || content.contains(&b',') && content.windows(expires.len()).any(|part| part == expires)
}

/// First address, last address and prefix length.
fn dshield<'a>(first: &[u8], last: &[u8], length: &[u8], content: &'a [u8]) -> Found<'a> {
    let (Some((first, [])), Some((last, []))) = (ipv4(first), ipv4(last)) else {
        return None;
    };
    let length: u32 = str::from_utf8(length).ok()?.parse().ok()?;
    let host = u32::MAX.checked_shr(length).unwrap_or(0);
    let agrees = length <= u32::BITS && first & host == 0 && first | host == last;
    if !agrees {
        // The second word may be a netmask.
        return None;
    }
    Some(Ok(Some(ListLine {
        addresses: Addresses {
            range: AddressRange::V4(first, last),
            is_mapped: false,
        },
        text: content,
        rest: b"",
        form: LineForm::Described,
    })))
}

/// Forms with other separators than white space, for lines that do not begin with an address; `bytes` is the
/// line with its comment.
pub(super) fn by_separators<'a>(
    content: &'a [u8],
    bytes: &'a [u8],
    error: &AddressError,
) -> Found<'a> {
    let by_colon = || match error {
        AddressError::NotAnAddress | AddressError::LeadingZero => p2p(bytes),
        AddressError::Zone
        | AddressError::PrefixLength(_)
        | AddressError::Netmask
        | AddressError::MaskOrEnd
        | AddressError::HostBits { .. }
        | AddressError::Backwards
        | AddressError::MixedFamilies
        | AddressError::MappedBlock => None,
    };
    if let Some(found) = emule(content) {
        return Some(found);
    }
    match columns::only_address(content) {
        // A name can have commas in it.
        Some(Err((_, false))) if let Some(found) = by_colon() => Some(found),
        Some(Err((error, _))) => Some(Err(error)),
        Some(Ok(line)) => Some(Ok(Some(line))),
        None => by_colon(),
    }
}

/// `192.000.002.000 - 192.000.002.255 , 000 , name`, in which octets may have leading zeros. A level above 127
/// lets the addresses pass.
fn emule(content: &[u8]) -> Found<'_> {
    let mut columns = content
        .splitn(3, |byte| *byte == b',')
        .map(<[u8]>::trim_ascii);
    let (range, level) = (columns.next()?, columns.next()?);
    let dash = range.iter().position(|byte| *byte == b'-')?;
    let (first, last) = range.split_at(dash);
    let (first, last) = (
        padded(first.trim_ascii())?,
        padded(last.get(1..)?.trim_ascii())?,
    );
    let is_number = !level.is_empty() && level.iter().all(u8::is_ascii_digit);
    if !is_number {
        return None;
    }
    let level = str::from_utf8(level).ok()?.parse::<u8>();
    Some(match level {
        Err(_) => Err(LineError::Columns),
        Ok(128..) => Ok(None),
        Ok(_) if first > last => Err(AddressError::Backwards.into()),
        Ok(_) => Ok(Some(ListLine {
            addresses: Addresses {
                range: AddressRange::V4(first, last),
                is_mapped: false,
            },
            text: range,
            rest: b"",
            form: LineForm::Described,
        })),
    })
}

/// An IPv4 address without leading zeros, or of four numbers with three digits each.
fn padded(text: &[u8]) -> Option<u32> {
    if let Some((address, [])) = ipv4(text) {
        return Some(address);
    }
    let octets = text.split(|byte| *byte == b'.').map(|octet| {
        let is_padded = octet.len() == 3 && octet.iter().all(u8::is_ascii_digit);
        is_padded.then(|| str::from_utf8(octet).ok()?.parse::<u8>().ok())?
    });
    let octets: Vec<u8> = octets.collect::<Option<_>>()?;
    Some(u32::from_be_bytes(octets.try_into().ok()?))
}

/// `name:192.0.2.0-192.0.2.255` or `name:192.0.2.1`, where the name has a letter after `f`.
fn p2p(bytes: &[u8]) -> Found<'_> {
    let colon = bytes.iter().rposition(|byte| *byte == b':')?;
    let (name, range) = bytes.split_at(colon);
    let range = range.get(1..)?;
    let (_, after) = ipv4(range)?;
    let has_form = match after.trim_ascii_start() {
        [] => !columns::resembles_address(name),
        [b'-', ..] => true,
        _ => false,
    };
    if !has_form || matches!(name, [] | [b'#' | b';', ..] | [b'/', b'/', ..]) {
        return None;
    }
    // Without a letter that no address has, the name could be groups of a damaged IPv6 address.
    let is_of_name = |byte: &u8| matches!(byte, b'g'..=b'z' | b'G'..=b'Z') || !byte.is_ascii();
    if !name.iter().any(is_of_name) {
        return None;
    }
    Some(ListLine::described(range).map(Some))
}
