//! Regions in the words of the rule language.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    axis::{ABSENT, Axis, GROUP_QUERY, NetworkProtocol, Packets, WHOLE},
    interfaces::{InterfaceClasses, Interfaces},
    region::Region,
    states::of_number,
    values::{Values, common, without},
};
use crate::{
    field::{
        Family, Form, Mac, OptionGroups, RangeSet, ethertype_name, icmp_type_name, ip_option_name,
        protocol_name, tcp_flag_conditions,
    },
    text::{prefix, span},
};

/// The values that packets of a region have in one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldValues {
    /// The key of the field in a rule.
    pub field: &'static str,
    /// The first values and ranges of values, as written in a rule. `none` stands for packets
    /// without the field.
    pub values: Vec<String>,
    /// The number of ranges left out.
    pub more: usize,
}

/// The maximum number of ranges of a field that are listed.
const MOST: usize = 8;

/// The fields in which the packets of a region differ from other packets, in the order of the
/// language.
pub(super) fn describe(
    region: &Region,
    packets: Packets,
    kinds: &[Region],
    interfaces: &Interfaces,
) -> Vec<FieldValues> {
    let mut fields = Vec::new();
    for axis in Axis::ALL {
        // The other fields restrict this one: a port leaves only protocols that have ports.
        let possible = kinds.iter().filter(|kind| region.meets_beside(axis, kind));
        let domain = possible.flat_map(|kind| kind.values(axis).ranges());
        let domain = Values::from_ranges(domain.copied().collect());
        let values = common(region.values(axis), &domain);
        if values == domain || is_implied(axis, packets) {
            continue;
        }
        if let Form::Options(_) = axis.form() {
            let words = options(&values, &interfaces.options);
            fields.push(FieldValues {
                field: axis.name(),
                more: words.len().saturating_sub(MOST),
                values: words.into_iter().take(MOST).collect(),
            });
            continue;
        }
        if axis == Axis::InInterface
            && let Some(is_forwarded) = forwarded(&values, &domain)
        {
            fields.push(FieldValues {
                field: Axis::Forwarded.name(),
                more: 0,
                values: vec![is_forwarded.to_string()],
            });
            continue;
        }
        // A set of all but a few values is clearer by what it lacks.
        let lacking = without(&domain, &values);
        let is_negatable = !matches!(axis.form(), Form::TcpFlags);
        let (sign, told) = if is_negatable && 2 * lacking.ranges().len() < values.ranges().len() {
            ("!", lacking)
        } else {
            ("", values)
        };
        let words: Vec<String> = words(axis, packets, &told, interfaces);
        fields.push(FieldValues {
            field: axis.name(),
            more: words.len().saturating_sub(MOST),
            values: words
                .into_iter()
                .take(MOST)
                .map(|word| format!("{sign}{word}"))
                .collect(),
        });
    }
    fields
}

/// Whether these are the values of all packets that are forwarded, or of all others.
fn forwarded(values: &Values, domain: &Values) -> Option<bool> {
    let sent = Values::from_ranges(vec![(ABSENT, ABSENT)]);
    if *values == sent {
        return Some(false);
    }
    (*values == without(domain, &sent)).then_some(true)
}

/// Whether the name of the family implies the values on the axis.
fn is_implied(axis: Axis, packets: Packets) -> bool {
    axis == Axis::Ethertype && packets.network != NetworkProtocol::Other
}

fn words(axis: Axis, packets: Packets, values: &Values, interfaces: &Interfaces) -> Vec<String> {
    if matches!(axis.form(), Form::TcpFlags) {
        return flags(values);
    }
    let ranges = values.ranges().iter();
    ranges
        .flat_map(|&(first, last)| match axis.form() {
            Form::Interface => names(&interfaces.attached, first, last),
            Form::InInterface if first != ABSENT => names(&interfaces.origins, first, last),
            Form::Fragment => vec![if first == WHOLE { "false" } else { "true" }.to_owned()],
            _ if first == GROUP_QUERY => vec!["igmp-query".to_owned()],
            _ if first == ABSENT => vec!["none".to_owned()],
            Form::Family
            | Form::InInterface
            | Form::Forwarded
            | Form::TcpFlags
            | Form::Options(_) => Vec::new(),
            Form::Mark => vec![span((first, last), |mark| format!("0x{mark:x}"))],
            Form::Src | Form::Dst => vec![address(packets, first, last)],
            Form::State => states(first, last),
            Form::Proto => vec![range(first, last, |number| {
                let name = u8::try_from(number).ok().and_then(protocol_name);
                name.map_or_else(|| number.to_string(), str::to_owned)
            })],
            Form::Icmp => messages(packets, first, last),
            Form::Ethertype => vec![range(first, last, |number| {
                let name = u16::try_from(number).ok().and_then(ethertype_name);
                name.map_or_else(|| format!("0x{number:04x}"), str::to_owned)
            })],
            Form::SrcMac | Form::DstMac => vec![macs(first, last)],
            Form::Sport | Form::Dport | Form::Vlan | Form::Length(_) | Form::Number(_) => {
                vec![range(first, last, |number| number.to_string())]
            }
        })
        .collect()
}

/// The names of the classes from the first to the last.
fn names(of: &InterfaceClasses, first: u128, last: u128) -> Vec<String> {
    let classes = first as usize..=last as usize;
    let names = classes.filter_map(|class| of.name(class));
    names.map(str::to_owned).collect()
}

/// The names of the states from the first to the last.
fn states(first: u128, last: u128) -> Vec<String> {
    let states = (first..=last).filter_map(of_number);
    states.map(|state| state.as_str().to_owned()).collect()
}

/// TCP flags as conditions, like `syn,!ack`, which stand for many values of the flags byte.
fn flags(values: &Values) -> Vec<String> {
    let ranges = values.ranges().iter();
    let bytes = ranges.filter_map(|(first, last)| {
        let first = u8::try_from(*first).ok()?;
        Some((first, u8::try_from(*last).unwrap_or(u8::MAX)))
    });
    let bytes = RangeSet::from_ranges(bytes.collect());
    let none = values.contains(ABSENT).then(|| "none".to_owned());
    let is_any = bytes.is_full();
    let conditions = if is_any {
        vec!["any".to_owned()]
    } else {
        tcp_flag_conditions(&bytes)
    };
    conditions.into_iter().chain(none).collect()
}

fn range(first: u128, last: u128, word: impl Fn(u128) -> String) -> String {
    if first == last {
        word(first)
    } else {
        format!("{first}-{last}")
    }
}

/// The options of which packets have one; of other packets, each set of options that they have.
fn options(values: &Values, groups: &OptionGroups) -> Vec<String> {
    let names = |group: &[u8]| -> Vec<String> {
        group.iter().map(|option| ip_option_name(*option)).collect()
    };
    let has = |bits: u64| values.contains(bits.into());
    let groups_alone = (0..).zip(groups.iter()).filter(|(bit, _)| has(1 << bit));
    let (wanted, alone) = groups_alone.fold((0, Vec::new()), |(bits, mut words), (bit, group)| {
        words.extend(names(group));
        (bits | 1 << bit, words)
    });
    if groups.all().all(|bits| has(bits) == (bits & wanted != 0)) {
        return alone;
    }
    let all = groups.all().filter(|bits| has(*bits));
    all.map(|bits| {
        let having = (0..)
            .zip(groups.iter())
            .filter(|(bit, _)| bits >> bit & 1 != 0);
        let words: Vec<String> = having
            .map(|(_, group)| match group {
                [only] => ip_option_name(*only),
                _ => format!("({})", names(group).join("|")),
            })
            .collect();
        if words.is_empty() {
            "none".to_owned()
        } else {
            words.join("+")
        }
    })
    .collect()
}

/// A range of addresses as an address, a prefix or a range.
fn address(packets: Packets, first: u128, last: u128) -> String {
    let (bits, text): (u32, fn(u128) -> String) = match packets.network {
        NetworkProtocol::Ipv4 => (32, |number| Ipv4Addr::from(number as u32).to_string()),
        NetworkProtocol::Ipv6 | NetworkProtocol::Other => {
            (128, |number| Ipv6Addr::from(number).to_string())
        }
    };
    prefix(first, last, bits, text)
}

/// MAC addresses.
fn macs(first: u128, last: u128) -> String {
    let text = |number: u128| Mac(number as u64).to_string();
    if first == last {
        text(first)
    } else {
        format!("{}-{}", text(first), text(last))
    }
}

/// ICMP messages by type, and by code where not all codes are meant.
fn messages(packets: Packets, first: u128, last: u128) -> Vec<String> {
    let family = packets.family().unwrap_or(Family::Ipv4);
    let kind = |number: u128| {
        let name = u8::try_from(number)
            .ok()
            .and_then(|kind| icmp_type_name(family, kind));
        name.map_or_else(|| number.to_string(), str::to_owned)
    };
    let (low, high) = (first >> 8, last >> 8);
    if first & 0xff == 0 && last & 0xff == 0xff {
        return vec![range(low, high, kind)];
    }
    if first == last {
        return vec![format!("{low}/{}", first & 0xff)];
    }
    vec![format!("{low}/{}-{high}/{}", first & 0xff, last & 0xff)]
}
