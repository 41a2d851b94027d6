//! Random rule sets.

use std::{num::NonZeroU32, sync::Arc};

use rules::{
    field::{
        AddressSet, Family, IcmpSet, InterfaceMatch, InterfacePattern, MAX_DSCP, MAX_MAC, MAX_VLAN,
        RangeSet, State, StateSet, Value, VlanSet,
    },
    model::{
        Direction, Flows, LogLimit, Matches, Mode, Parser, Place, ReasonLogs, Rule, RuleAction,
        Ruleset, Settings, Verdict,
    },
};

use super::{
    random::Random,
    shapes::{Profile, Shape},
};

/// The interfaces of random rule sets and random packets: index and name.
pub const INTERFACES: [(u32, &str); 6] = [
    (1, "lo"),
    (2, "eth0"),
    (3, "eth1"),
    (7, "wlan0"),
    (65_536, "br-lan"),
    (0x7fff_ffff, "veth0"),
];

/// Makes a random rule set.
#[must_use]
pub fn ruleset(random: &mut Random, shape: Shape) -> Ruleset {
    let profile = shape.profile();
    let networks = (0..profile.networks).map(|_| random.wide_bits()).collect();
    let mut maker = Maker {
        random,
        profile,
        networks,
        services: Vec::new(),
    };
    maker.services = (0..profile.services).map(|_| maker.upper()).collect();
    let count = maker.within(profile.rules);
    let rules = (1..).take(count).map(|line| maker.rule(line)).collect();
    Ruleset {
        settings: Settings {
            interfaces: Vec::new(),
            mode: random.pick([Mode::Native, Mode::Generic, Mode::Auto]),
            policy: verdict(random),
            policy_out: verdict(random),
            parser: Parser {
                malformed: verdict(random),
                truncated: verdict(random),
                too_many_headers: verdict(random),
                too_many_tags: verdict(random),
                unknown_ethertype: verdict(random),
            },
            flows: Flows::default(),
            logs: ReasonLogs {
                policy: count.is_multiple_of(2).then_some(LogLimit::USUAL),
                parser: count.is_multiple_of(3).then_some(LogLimit::USUAL),
                bans: None,
            },
        },
        rules,
        disabled: Vec::new(),
    }
}

/// Makes some rules for packets in ask for states.
pub fn ask_for_states(random: &mut Random, ruleset: &mut Ruleset) {
    let percent = random.pick([5, 30, 70, 100]);
    let rules = ruleset.rules.iter_mut();
    for rule in rules.filter(|rule| rule.direction == Direction::In) {
        if random.percent(percent) {
            rule.matches.state = Some(states(random));
        }
    }
}

fn states(random: &mut Random) -> StateSet {
    let one = random.pick(State::ALL);
    let set = StateSet::default().with(one);
    match random.below(8) {
        0..3 => set,
        3..5 => set.complement(),
        // What is common in rule sets.
        5 => StateSet::default()
            .with(State::Established)
            .with(State::Related),
        6 => StateSet::ALL,
        _ => set.with(random.pick(State::ALL)),
    }
}

fn verdict(random: &mut Random) -> Verdict {
    random.pick([Verdict::Pass, Verdict::Drop])
}

struct Maker<'a> {
    random: &'a mut Random,
    profile: Profile,
    networks: Vec<u128>,
    services: Vec<Matches>,
}

impl Maker<'_> {
    fn within(&mut self, (first, last): (usize, usize)) -> usize {
        self.random.within(first, last)
    }

    fn rule(&mut self, line: u32) -> Rule {
        let action = if self.random.percent(self.profile.count) {
            RuleAction::Count
        } else {
            self.random.pick([RuleAction::Pass, RuleAction::Drop])
        };
        let direction = if self.random.percent(self.profile.out) {
            Direction::Out
        } else {
            Direction::In
        };
        let mut matches = self.matches();
        if direction == Direction::Out {
            self.origin(&mut matches);
        }
        Rule {
            name: format!("rule {line}"),
            direction,
            action,
            log: line.is_multiple_of(5).then_some(LogLimit::USUAL),
            comment: None,
            matches,
            place: Place {
                line: NonZeroU32::MIN.saturating_add(line),
                column: NonZeroU32::MIN,
            },
        }
    }

    fn matches(&mut self) -> Matches {
        let profile = self.profile;
        let family = self.random.pick([Family::Ipv4, Family::Ipv6]);
        let upper = if self.random.percent(profile.upper) {
            let shared = self.random.element(&self.services).cloned();
            shared.unwrap_or_else(|| self.upper())
        } else {
            Matches::default()
        };
        let upper = if self.random.percent(profile.details) {
            self.details(upper)
        } else {
            upper
        };
        Matches {
            interface: self.maybe(profile.interface, Self::interface),
            family: self.maybe(profile.family, |_| family),
            src: self.maybe(profile.address, Self::addresses),
            dst: self.maybe(profile.address, Self::addresses),
            ..upper
        }
    }

    fn upper(&mut self) -> Matches {
        let mut matches = Matches::default();
        match self.random.below(20) {
            0..4 => matches.proto = Some(self.protocols()),
            4..12 => {
                matches.proto = self.maybe(60, |maker| {
                    RangeSet::from_ranges(
                        maker
                            .random
                            .pick([
                                [(6, 6); 2],
                                [(17, 17); 2],
                                [(6, 6), (17, 17)],
                                [(132, 136); 2],
                            ])
                            .to_vec(),
                    )
                });
                matches.sport = self.maybe(35, Self::ports);
                matches.dport = self.maybe(80, Self::ports);
            }
            12..15 => {
                matches.proto = self.maybe(70, |_| RangeSet::from_ranges(vec![(6, 6)]));
                matches.tcp_flags = Some(self.flags());
                matches.dport = self.maybe(40, Self::ports);
            }
            15..19 => {
                let messages = self.messages();
                matches.proto = self.maybe(50, |_| RangeSet::from_ranges(vec![(1, 1), (58, 58)]));
                matches.icmp = Some(messages);
            }
            // All fields at once: most of these rules match nothing.
            _ => {
                matches.proto = self.maybe(50, Self::protocols);
                matches.sport = self.maybe(50, Self::ports);
                matches.dport = self.maybe(50, Self::ports);
                matches.tcp_flags = self.maybe(50, Self::flags);
                matches.icmp = self.maybe(50, Self::messages);
            }
        }
        matches
    }

    /// Adds conditions on one or two of the rarely used fields.
    fn details(&mut self, upper: Matches) -> Matches {
        let mut matches = upper;
        for _ in 0..self.random.within(1, 2) {
            match self.random.below(9) {
                0 => matches.ethertype = Some(self.ethertypes()),
                1 => matches.vlan = Some(self.vlans()),
                2 => matches.src_mac = Some(self.macs()),
                3 => matches.dst_mac = Some(self.macs()),
                4 => {
                    let known = [0, 20, 40, 64, 100, 576, 1500, u16::MAX];
                    matches.length = Some(self.numbers(known));
                }
                5 => matches.ttl = Some(self.numbers([0, 1, 63, 64, 128, 254, 255])),
                6 => {
                    let points = self.numbers([0, 1, 8, 10, 46, 56, 62, MAX_DSCP]);
                    let all = RangeSet::from_ranges(vec![(0, MAX_DSCP)]);
                    matches.dscp = Some(points.intersection(&all));
                }
                7 => matches.ip_option = Some(self.ip_options()),
                _ => matches.fragment = Some(self.random.percent(50)),
            }
        }
        matches
    }

    /// Options of which all sets together are no more groups than a rule set may have.
    fn ip_options(&mut self) -> RangeSet<u8> {
        if self.random.percent(4) {
            return RangeSet::full();
        }
        let known = [(0, 0), (1, 1), (7, 7), (68, 68), (131, 137), (148, 148)];
        let ranges = (0..self.random.within(1, 3)).map(|_| self.random.pick(known));
        let ranges = ranges.collect();
        self.set(ranges)
    }

    fn ethertypes(&mut self) -> RangeSet<u16> {
        self.numbers([
            0, 0x05ff, 0x0600, 0x0800, 0x0806, 0x8100, 0x86dd, 0x8864, 0x88a8, 0x88cc, 0xffff,
        ])
    }

    fn vlans(&mut self) -> VlanSet {
        let ids = self.numbers([0, 1, 7, 100, 4094, MAX_VLAN]);
        let all = RangeSet::from_ranges(vec![(0, MAX_VLAN)]);
        match self.random.below(4) {
            0 => VlanSet {
                untagged: true,
                ids: RangeSet::empty(),
            },
            which => VlanSet {
                untagged: which == 1,
                ids: ids.intersection(&all),
            },
        }
    }

    fn macs(&mut self) -> RangeSet<u64> {
        let some = (0..self.random.within(1, 4)).map(|_| {
            let known = self.random.pick([
                0,
                1,
                0x0200_0000_0001,
                0x0200_0000_0002,
                0x001b_2101_0203,
                MAX_MAC,
            ]);
            // A prefix; every fourth ends at a level of a trie.
            let free = match self.random.below(4) {
                0 => 0,
                1 => self.random.pick([16, 32]),
                _ => self.random.within(0, 47),
            };
            let mask = (1 << free) - 1;
            (known & !mask, known | mask)
        });
        let set = RangeSet::from_ranges(some.collect());
        let all = RangeSet::from_ranges(vec![(0, MAX_MAC)]);
        match self.random.percent(20) {
            true => all.difference(&set),
            false => set,
        }
    }

    /// Some of the known numbers, and ranges that start at them.
    fn numbers<T: Value, const N: usize>(&mut self, known: [T; N]) -> RangeSet<T> {
        let ranges = (0..self.random.within(1, 3)).map(|_| {
            let (one, other) = (self.random.pick(known), self.random.pick(known));
            if self.random.percent(60) {
                (one, one)
            } else {
                (one.min(other), one.max(other))
            }
        });
        let ranges = ranges.collect();
        if self.random.percent(4) {
            return RangeSet::full();
        }
        self.set(ranges)
    }

    fn maybe<T>(&mut self, odds: usize, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.random.percent(odds).then(|| make(self))
    }

    fn interface(&mut self) -> InterfaceMatch {
        const PATTERNS: [&str; 12] = [
            "lo", "eth0", "eth1", "wlan0", "br-lan", "veth0", "eth*", "*0", "?o", "*th?", "*",
            "tun7",
        ];
        let mut some = |most| {
            let count = self.random.within(0, most);
            (0..count)
                .filter_map(|_| InterfacePattern::parse(self.random.pick(PATTERNS)))
                .collect()
        };
        InterfaceMatch {
            positives: some(3),
            negatives: some(1),
        }
    }

    /// Conditions that only packets out can meet.
    fn origin(&mut self, matches: &mut Matches) {
        const MARKS: [u32; 5] = [0, 1, 0x10, 0xffff, u32::MAX];
        matches.in_interface = self.maybe(20, Self::interface);
        let forwarded = self.maybe(20, |maker| maker.random.percent(50));
        // No rule file says that what the machine sends arrived somewhere.
        matches.forwarded = forwarded.filter(|is| *is || matches.in_interface.is_none());
        matches.mark = self.maybe(20, |maker| {
            let count = maker.random.within(1, 3);
            let ends = (0..count).map(|_| {
                let (one, other) = (maker.random.pick(MARKS), maker.random.pick(MARKS));
                (one.min(other), one.max(other))
            });
            RangeSet::from_ranges(ends.collect())
        });
    }

    fn addresses(&mut self) -> Arc<AddressSet> {
        let (v4, v6) = self
            .random
            .pick([(true, false), (false, true), (true, true)]);
        let narrow = |(first, last): (u128, u128)| (first as u32, last as u32);
        let v4_ranges = if v4 {
            self.address_ranges(32)
        } else {
            Vec::new()
        };
        let v6_ranges = if v6 {
            self.address_ranges(128)
        } else {
            Vec::new()
        };
        let mut set = AddressSet {
            v4: self.set(v4_ranges.into_iter().map(narrow).collect()),
            v6: self.set(v6_ranges),
        };
        // The members of the other family in a set that has only negations in one family.
        if self.random.percent(self.profile.negatives / 2) {
            if !v4 {
                set.v4 = RangeSet::full();
            }
            if !v6 {
                set.v6 = RangeSet::full();
            }
        }
        Arc::new(set)
    }

    /// Ranges of addresses of this many bits, close to the networks of the rule set.
    fn address_ranges(&mut self, bits: u32) -> Vec<(u128, u128)> {
        let count = self.within(self.profile.ranges);
        (0..count).map(|_| self.address_range(bits)).collect()
    }

    fn address_range(&mut self, bits: u32) -> (u128, u128) {
        let all = u128::MAX >> (128 - bits);
        let network = self
            .random
            .element(&self.networks)
            .map_or(0, |n| n >> (128 - bits));
        // A mask of some of the last bits; every fourth ends at a multiple of 16 bits, where a
        // level of a trie ends.
        let widest = bits as usize * self.profile.widest / 100;
        let free = if self.random.percent(25) {
            self.random.within(0, widest / 16) as u32 * 16
        } else {
            self.random.within(0, widest) as u32
        };
        let mask = u128::MAX.checked_shl(free).map_or(all, |high| !high & all);
        if self.random.percent(self.profile.prefixes) {
            return (network & !mask, network | mask);
        }
        let bend = |random: &mut Random, address: u128| match random.below(4) {
            0 => address.saturating_sub(1),
            1 => address.saturating_add(1).min(all),
            _ => address,
        };
        match self.random.below(4) {
            0 => {
                let first = bend(self.random, network & !mask);
                (first, bend(self.random, network | mask).max(first))
            }
            1 => (network & !mask, network),
            2 => {
                let last = self.random.wide_bits() & mask;
                (network, network.saturating_add(last).min(all))
            }
            _ => {
                let first = network ^ (self.random.wide_bits() & self.profile.scatter);
                let run = self.profile.run;
                let more = if run == 0 {
                    0
                } else {
                    self.random.wide_bits() & run
                };
                (first, first.saturating_add(more).min(all))
            }
        }
    }

    /// The set of these ranges, its complement, or the set with holes.
    fn set<T: Value>(&mut self, mut ranges: Vec<(T, T)>) -> RangeSet<T> {
        if ranges.is_empty() || !self.random.percent(self.profile.negatives) {
            return RangeSet::from_ranges(ranges);
        }
        if self.random.percent(50) {
            return RangeSet::from_ranges(ranges).complement();
        }
        let holes = ranges.split_off(ranges.len() / 2);
        let holes = RangeSet::from_ranges(holes);
        if ranges.is_empty() {
            return RangeSet::full().difference(&holes);
        }
        RangeSet::from_ranges(ranges).difference(&holes)
    }

    fn protocols(&mut self) -> RangeSet<u8> {
        let count = self.random.within(1, 3);
        let ranges = (0..count).map(|_| {
            let first = self.random.pick([
                0, 1, 6, 6, 17, 33, 44, 47, 50, 51, 58, 59, 60, 132, 136, 255,
            ]);
            let last = if self.random.percent(20) {
                self.random.byte().max(first)
            } else {
                first
            };
            (first, last)
        });
        let ranges = ranges.collect();
        if self.random.percent(5) {
            return RangeSet::full();
        }
        self.set(ranges)
    }

    fn ports(&mut self) -> RangeSet<u16> {
        let count = self.within(self.profile.ranges).min(self.profile.ports);
        let ranges = (0..count).map(|_| {
            let known = self
                .random
                .pick([0, 22, 53, 80, 443, 1023, 1024, 8080, 32_768, 65_535]);
            let first = if self.random.percent(70) {
                known
            } else {
                self.random.half()
            };
            let last = match self.random.below(5) {
                0 => self.random.half().max(first),
                1 => first.saturating_add(self.random.pick([1, 2, 7, 99])),
                2 => u16::MAX,
                _ => first,
            };
            (first, last)
        });
        let ranges = ranges.collect();
        self.set(ranges)
    }

    /// The values of the flags byte in which some bits have given values, as in `syn,!ack`.
    fn flags(&mut self) -> RangeSet<u8> {
        let bits = self
            .random
            .pick([1, 2, 4, 16, 2 | 16, 1 | 2 | 4 | 16, 128, 0xff]);
        let wanted = bits & self.random.byte();
        let fitting = (0..=u8::MAX).filter(|flags| flags & bits == wanted);
        let set = RangeSet::from_ranges(fitting.map(|flags| (flags, flags)).collect());
        match self.random.below(20) {
            0 => RangeSet::full(),
            1 | 2 => set.complement(),
            _ => set,
        }
    }

    fn messages(&mut self) -> IcmpSet {
        let (v4, v6) = self
            .random
            .pick([(true, false), (false, true), (true, true)]);
        let mut some = |wanted: bool| {
            let count = if wanted { self.random.within(1, 3) } else { 0 };
            let ranges = (0..count).map(|_| {
                let first: u8 = self
                    .random
                    .pick([0, 3, 8, 11, 128, 129, 133, 135, 137, 138, 255]);
                let last = if self.random.percent(20) {
                    first.saturating_add(4)
                } else {
                    first
                };
                if self.random.percent(30) {
                    let code = u16::from(self.random.pick([0_u8, 1, 4, 255]));
                    (u16::from(first) << 8 | code, u16::from(first) << 8 | code)
                } else {
                    (u16::from(first) << 8, u16::from(last) << 8 | 0xff)
                }
            });
            let ranges = ranges.collect();
            if wanted && self.random.percent(5) {
                return RangeSet::full();
            }
            self.set(ranges)
        };
        IcmpSet {
            v4: some(v4),
            v6: some(v6),
        }
    }
}
