//! Forms of published lists that can be recognized from a single line.

use super::entry::{LineError, LineForm, ListLine};
use crate::field::{
    AddressError, AddressRange, Addresses,
    address::{self, ipv4},
};

type Found<'a> = Option<Result<Option<ListLine<'a>>, LineError>>;

/// Forms that their first words identify.
pub(super) fn by_words(content: &[u8]) -> Found<'_> {
    let mut words = content
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let (first, second, third) = (words.next()?, words.next(), words.next());
    match (first, second, third) {
        // The output of `ipset save`.
        (b"create" | b"flush" | b"destroy", Some(_), _) | (b"COMMIT" | b"quit", None, _) => {
            Some(Ok(None))
        }
        (b"add", Some(_), Some(member)) => Some(ipset(member, words).map(Some)),
        (first, Some(last), Some(length)) => dshield(first, last, length, content),
        (_, _, _) => None,
    }
}

/// The member of a set, and its options.
fn ipset<'a>(
    member: &'a [u8],
    mut options: impl Iterator<Item = &'a [u8]>,
) -> Result<ListLine<'a>, LineError> {
    let mut rest: &[u8] = b"";
    while let Some(option) = options.next() {
        match option {
            b"nomatch" => return Err(LineError::Exception),
            // 0 is for ever.
            b"timeout" => rest = options.next().filter(|&time| time != b"0").unwrap_or(b""),
            // Nothing but words of the comment follow.
            b"comment" => break,
            _ => {}
        }
    }
    Ok(ListLine {
        rest,
        form: LineForm::Ipset,
        ..whole(member)?
    })
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
    emule(content)
        .or_else(|| commas(content))
        .or_else(|| match error {
            AddressError::NotAnAddress | AddressError::LeadingZero => p2p(bytes),
            AddressError::Zone
            | AddressError::PrefixLength(_)
            | AddressError::Netmask
            | AddressError::HostBits { .. }
            | AddressError::Backwards
            | AddressError::MixedFamilies
            | AddressError::MappedBlock => None,
        })
}

/// `192.000.002.000 - 192.000.002.255 , 000 , name`, with three digits for each number. A level above 127 lets
/// the addresses pass.
fn emule(content: &[u8]) -> Found<'_> {
    let mut columns = content
        .splitn(3, |byte| *byte == b',')
        .map(<[u8]>::trim_ascii);
    let (range, level, _name) = (columns.next()?, columns.next()?, columns.next()?);
    let dash = range.iter().position(|byte| *byte == b'-')?;
    let (first, last) = range.split_at(dash);
    let (first, last) = (
        padded(first.trim_ascii())?,
        padded(last.get(1..)?.trim_ascii())?,
    );
    let level: u32 = str::from_utf8(level).ok()?.parse().ok()?;
    Some(if level > 127 {
        Ok(None)
    } else if first > last {
        Err(AddressError::Backwards.into())
    } else {
        Ok(Some(ListLine {
            addresses: Addresses {
                range: AddressRange::V4(first, last),
                is_mapped: false,
            },
            text: range,
            rest: b"",
            form: LineForm::Described,
        }))
    })
}

/// An IPv4 address of four numbers with three digits each.
fn padded(text: &[u8]) -> Option<u32> {
    let octets = text.split(|byte| *byte == b'.').map(|octet| {
        let is_padded = octet.len() == 3 && octet.iter().all(u8::is_ascii_digit);
        is_padded.then(|| str::from_utf8(octet).ok()?.parse::<u8>().ok())?
    });
    let octets: Vec<u8> = octets.collect::<Option<_>>()?;
    Some(u32::from_be_bytes(octets.try_into().ok()?))
}

/// Columns separated by commas, of which only one is an address.
fn commas(content: &[u8]) -> Found<'_> {
    if !content.contains(&b',') {
        return None;
    }
    let mut found = None;
    for column in content.split(|byte| *byte == b',').map(unquoted) {
        if let Ok(line) = whole(column)
            && found.replace(line).is_some()
        {
            return Some(Err(LineError::Columns));
        }
    }
    let line = found?;
    Some(Ok(Some(ListLine {
        rest: content,
        form: LineForm::Columns,
        ..line
    })))
}

/// `name:192.0.2.0-192.0.2.255`, where the name may contain any character.
fn p2p(bytes: &[u8]) -> Found<'_> {
    let colon = bytes.iter().rposition(|byte| *byte == b':')?;
    let (name, range) = bytes.split_at(colon);
    let range = range.get(1..)?;
    let (_, after) = ipv4(range)?;
    if !after.starts_with(b"-") || matches!(name, [] | [b'#' | b';', ..] | [b'/', b'/', ..]) {
        return None;
    }
    // A text that could be groups of an IPv6 address is not a name.
    let of_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    if name.iter().all(of_address) {
        return None;
    }
    Some(whole(range).map(Some))
}

/// The column of this number, counted from 1, between tabs; if the line has none, between commas, semicolons
/// or white space.
pub(super) fn column(content: &[u8], number: usize) -> Option<&[u8]> {
    let separator = [b'\t', b',', b';']
        .into_iter()
        .find(|separator| content.contains(separator));
    let at = number.checked_sub(1)?;
    match separator {
        Some(separator) => content
            .split(|byte| *byte == separator)
            .map(unquoted)
            .nth(at),
        None => content
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .map(unquoted)
            .nth(at),
    }
}

fn unquoted(column: &[u8]) -> &[u8] {
    let column = column.trim_ascii();
    let inner = column
        .strip_prefix(b"\"")
        .and_then(|inner| inner.strip_suffix(b"\""));
    inner.unwrap_or(column).trim_ascii()
}

/// The addresses that a whole text names.
fn whole(text: &[u8]) -> Result<ListLine<'_>, LineError> {
    Ok(ListLine {
        addresses: address::read(text)?,
        text,
        rest: b"",
        form: LineForm::Described,
    })
}
