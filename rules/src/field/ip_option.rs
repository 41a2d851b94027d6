//! IPv4 options: their names and numbers, the sets of them that rules distinguish, and their bytes.

use std::collections::HashMap;

use firewall_ebpf::field::Field;

use super::{number::Number, ranges::RangeSet};

/// The end of the list of options, which has no length byte.
const END: u8 = 0;

/// The option that does nothing, which has no length byte.
const NOP: u8 = 1;

/// IPv4 options (IANA "IP Option Numbers"); the first name of a number is the one to print.
const IP_OPTIONS: &[(&str, u8)] = &[
    ("end-of-options", END),
    ("eol", END),
    ("nop", NOP),
    ("record-route", 7),
    ("rr", 7),
    ("experimental-measurement", 10),
    ("mtu-probe", 11),
    ("mtu-reply", 12),
    ("quick-start", 25),
    ("timestamp", 68),
    ("traceroute", 82),
    ("security", 130),
    ("loose-source-route", 131),
    ("lsrr", 131),
    ("extended-security", 133),
    ("commercial-security", 134),
    ("cipso", 134),
    ("stream-id", 136),
    ("strict-source-route", 137),
    ("ssrr", 137),
    ("experimental-access-control", 142),
    ("imi-traffic-descriptor", 144),
    ("extended-internet-protocol", 145),
    ("address-extension", 147),
    ("router-alert", 148),
    ("selective-directed-broadcast", 149),
    ("dynamic-packet-state", 151),
    ("upstream-multicast", 152),
    ("experimental-flow-control", 205),
];

/// The options of an IPv4 packet.
pub const IP_OPTION: Number = Number {
    what: "IPv4 option",
    max: 255,
    largest: "the largest IPv4 option is 255",
    names: IP_OPTIONS,
    usual: 0,
    key: Field::Options,
};

/// The name of an option, or its number.
#[must_use]
pub fn ip_option_name(number: u8) -> String {
    super::table::name(IP_OPTIONS, number).map_or_else(|| number.to_string(), str::to_owned)
}

/// The options that a rule set distinguishes: in one group are those that the same rules match. The
/// options that a packet has are, to the rules, the set of their groups, a bit for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OptionGroups {
    groups: Vec<Vec<u8>>,
}

impl OptionGroups {
    /// The maximum number of groups that the rules of one rule set may distinguish.
    pub(crate) const MAX: usize = firewall_ebpf::field::OPTION_GROUPS as usize;

    /// The groups of options that these sets distinguish. Options in none of them are in no group.
    pub(crate) fn new<'a>(sets: impl IntoIterator<Item = &'a RangeSet<u8>>) -> Self {
        let mut distinct: Vec<&RangeSet<u8>> = Vec::new();
        for set in sets {
            if !distinct.contains(&set) {
                distinct.push(set);
            }
        }
        let mut known: HashMap<Vec<bool>, usize> = HashMap::new();
        let mut groups: Vec<Vec<u8>> = Vec::new();
        for option in 0..=u8::MAX {
            let holders: Vec<bool> = distinct.iter().map(|set| set.contains(option)).collect();
            if !holders.contains(&true) {
                continue;
            }
            let at = *known.entry(holders).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(at) {
                group.push(option);
            }
        }
        Self { groups }
    }

    /// The number of groups.
    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// The options of each group, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.groups.iter().map(Vec::as_slice)
    }

    /// The bits of the groups that have an option in the set.
    pub(crate) fn bits(&self, set: &RangeSet<u8>) -> u64 {
        self.bits_where(|group| group.iter().any(|option| set.contains(*option)))
    }

    /// The bits of the groups that have one of these options.
    pub(crate) fn bits_of(&self, options: &[u8]) -> u64 {
        self.bits_where(|group| group.iter().any(|option| options.contains(option)))
    }

    fn bits_where(&self, fits: impl Fn(&[u8]) -> bool) -> u64 {
        let groups = (0..u64::BITS).zip(self.iter());
        let fitting = groups.filter(|(_, group)| fits(group));
        fitting.fold(0, |bits, (bit, _)| bits | 1 << bit)
    }

    /// All sets of groups that have one of those that have an option in `set`.
    pub(crate) fn meeting(&self, set: &RangeSet<u8>) -> RangeSet<u64> {
        let wanted = self.bits(set);
        let fitting = self.all().filter(|bits| bits & wanted != 0);
        RangeSet::from_ranges(fitting.map(|bits| (bits, bits)).collect())
    }

    /// All sets of groups.
    pub(crate) fn all(&self) -> impl Iterator<Item = u64> + use<> {
        0..1 << self.len()
    }

    /// An option of each of the groups, as few bytes long as possible.
    pub(crate) fn options(&self, bits: u64) -> Vec<u8> {
        let groups = (0..u64::BITS).zip(self.iter());
        let wanted = groups.filter(|(bit, _)| bits >> bit & 1 != 0);
        let mut options: Vec<u8> = wanted
            .filter_map(|(_, group)| {
                let short = [NOP, END].into_iter().find(|short| group.contains(short));
                short.or_else(|| group.first().copied())
            })
            .collect();
        options.sort_unstable();
        options
    }
}

/// The bytes of these options, each without data, filled up to a multiple of 4 so that nothing but
/// these options is in them.
#[must_use]
pub fn ip_option_bytes(options: &[u8]) -> Vec<u8> {
    let has = |option| options.contains(&option);
    let mut bytes = Vec::new();
    if has(NOP) {
        bytes.push(NOP);
    }
    let long: Vec<u8> = options.iter().copied().filter(|it| *it > NOP).collect();
    let short = usize::from(has(NOP)) + usize::from(has(END));
    let fill = (short + 2 * long.len()).next_multiple_of(4) - short - 2 * long.len();
    for (at, option) in long.iter().enumerate() {
        // The bytes that are missing are data of the last one.
        let data = if at + 1 == long.len() { fill } else { 0 };
        // At most 3 bytes are missing.
        bytes.extend([*option, 2 + data as u8]);
        bytes.resize(bytes.len() + data, 0);
    }
    if has(END) {
        // What comes after the end is no option.
        bytes.push(END);
    }
    let filler = if has(END) { END } else { NOP };
    bytes.resize(bytes.len().next_multiple_of(4), filler);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(options: &[u8]) -> RangeSet<u8> {
        RangeSet::from_ranges(options.iter().map(|option| (*option, *option)).collect())
    }

    #[test]
    fn options_that_the_same_rules_match_are_one_group() {
        let groups = OptionGroups::new(&[set(&[7, 68, 131]), set(&[131, 137]), set(&[7, 68, 131])]);
        let members: Vec<&[u8]> = groups.iter().collect();
        assert_eq!(members, [&[7, 68][..], &[131], &[137]]);
        assert_eq!(groups.bits(&set(&[131, 137])), 0b110);
        assert_eq!(groups.bits_of(&[1, 68, 137]), 0b101);
        let meeting: Vec<_> = groups.meeting(&set(&[131])).ranges().to_vec();
        assert_eq!(meeting, [(2, 3), (6, 7)]);
    }

    #[test]
    fn bytes_hold_the_options_and_no_others() {
        assert_eq!(ip_option_bytes(&[]), [0_u8; 0]);
        assert_eq!(ip_option_bytes(&[1]), [1, 1, 1, 1]);
        assert_eq!(ip_option_bytes(&[0]), [0, 0, 0, 0]);
        assert_eq!(ip_option_bytes(&[148]), [148, 4, 0, 0]);
        assert_eq!(ip_option_bytes(&[0, 1, 148]), [1, 148, 2, 0]);
        assert_eq!(ip_option_bytes(&[1, 7, 148]), [1, 7, 2, 148, 5, 0, 0, 0]);
    }
}
