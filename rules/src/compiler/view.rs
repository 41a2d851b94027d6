//! The rules as seen by packets of one kind: rules that cannot match are left out, and conditions
//! that every such packet meets are dropped.

use firewall_ebpf::{
    field::{FIELDS, FRAGMENT, Field, TRAFFICS, UNTAGGED, WITH_FLAGS},
    parse::ethertype,
};

use super::{
    kind::{PacketKind, SectionKind},
    target::InterfaceIndex,
};
use crate::{
    field::{
        AddressSet, Family, FieldName, Form, IcmpSet, InterfaceMatch, MAX_DSCP, OptionGroups,
        RangeSet, State, StateSet, Value, VlanSet,
    },
    model::{Direction, Matches, RuleAction, RuleId, Ruleset},
};

/// The rules that apply to packets of one kind and direction, whose addresses are of type `A`.
pub(super) struct View<'a, A> {
    /// The packets.
    pub(super) kind: SectionKind,
    /// The rules that can match, in order of precedence.
    pub(super) rules: Vec<RuleView<'a, A>>,
    /// The groups of options that the rules distinguish.
    pub(super) options: OptionGroups,
}

/// One rule; fields that are `None` match every packet of the kind.
pub(super) struct RuleView<'a, A> {
    pub(super) id: RuleId,
    pub(super) src: Option<&'a RangeSet<A>>,
    pub(super) dst: Option<&'a RangeSet<A>>,
    /// The values of the narrow fields, by [`Field`]. A packet without the field matches only
    /// `None`.
    pub(super) fields: [Option<RangeSet<u64>>; FIELDS],
}

/// The IPv4 view for packets of a state; `None` stands for all states.
pub(super) fn ipv4<'a>(
    ruleset: &'a Ruleset,
    direction: Direction,
    interfaces: &[(InterfaceIndex, String)],
    state: Option<State>,
) -> View<'a, u32> {
    view(
        ruleset,
        interfaces,
        SectionKind::of_all_states(direction, PacketKind::Ipv4),
        state,
        |set| &set.v4,
        |set| &set.v4,
    )
}

/// The IPv6 view, like [`ipv4`].
pub(super) fn ipv6<'a>(
    ruleset: &'a Ruleset,
    direction: Direction,
    interfaces: &[(InterfaceIndex, String)],
    state: Option<State>,
) -> View<'a, u128> {
    view(
        ruleset,
        interfaces,
        SectionKind::of_all_states(direction, PacketKind::Ipv6),
        state,
        |set| &set.v6,
        |set| &set.v6,
    )
}

/// The view of all other packets, which have no addresses.
pub(super) fn other<'a>(
    ruleset: &'a Ruleset,
    direction: Direction,
    interfaces: &[(InterfaceIndex, String)],
) -> View<'a, u32> {
    view(
        ruleset,
        interfaces,
        SectionKind::of_all_states(direction, PacketKind::Other),
        None,
        |set| &set.v4,
        |set| &set.v4,
    )
}

fn view<'a, A: Value>(
    ruleset: &'a Ruleset,
    interfaces: &[(InterfaceIndex, String)],
    kind: SectionKind,
    state: Option<State>,
    addresses: impl Fn(&'a AddressSet) -> &'a RangeSet<A>,
    messages: impl Fn(&'a IcmpSet) -> &'a RangeSet<u16>,
) -> View<'a, A> {
    let options = option_groups(ruleset, kind.direction);
    let rules = ruleset
        .iter()
        .filter_map(|(id, rule)| {
            let matches = &rule.matches;
            if rule.direction != kind.direction
                || !is_possible(matches, kind.packets)
                || !is_of_state(matches, state)
            {
                return None;
            }
            let address = |side: &'a Option<std::sync::Arc<AddressSet>>| {
                side.as_deref().map(&addresses).filter(|set| !set.is_full())
            };
            let mut fields = [const { None }; FIELDS];
            let mut set = |field: Field, values: Option<RangeSet<u64>>| {
                fields[field as usize] = values;
            };
            set(Field::Protocol, protocol(matches));
            set(Field::Sport, matches.sport.as_ref().map(widen));
            set(Field::Dport, matches.dport.as_ref().map(widen));
            set(
                Field::Icmp,
                matches.icmp.as_ref().map(|set| widen(messages(set))),
            );
            set(
                Field::Interface,
                matches
                    .interface
                    .as_ref()
                    .map(|names| indexes(names, interfaces)),
            );
            set(Field::InInterface, arrived_on(matches, interfaces));
            set(
                Field::Mark,
                matches
                    .mark
                    .as_ref()
                    .filter(|set| !set.is_full())
                    .map(widen),
            );
            set(Field::Vlan, matches.vlan.as_ref().and_then(vlans));
            set(Field::Ethertype, ethertypes(matches, kind.packets));
            for name in FieldName::ALL {
                if let Form::Length(number) | Form::Number(number) = name.form() {
                    let numbers = matches.numbers(*name);
                    let all = [(0, number.max.into())];
                    set(number.key, numbers.filter(|set| set.ranges() != all));
                }
            }
            // Code points share it with fragments.
            set(Field::Traffic, traffic(matches));
            let meeting = |set| options.meeting(set);
            set(Field::Options, matches.ip_option.as_ref().map(meeting));
            set(Field::SrcMac, matches.src_mac.as_ref().and_then(macs));
            set(Field::DstMac, matches.dst_mac.as_ref().and_then(macs));
            let view = RuleView {
                id,
                src: address(&matches.src),
                dst: address(&matches.dst),
                fields,
            };
            let is_empty = [view.src, view.dst]
                .into_iter()
                .flatten()
                .any(RangeSet::is_empty)
                || view.fields.iter().flatten().any(RangeSet::is_empty);
            (!is_empty).then_some(view)
        })
        .collect();
    View {
        kind: SectionKind {
            states: state.map(|state| StateSet::default().with(state)),
            ..kind
        },
        rules,
        options,
    }
}

/// Whether the rule can match packets of a state; `None` if no rule asks for states.
fn is_of_state(matches: &Matches, state: Option<State>) -> bool {
    let wanted = matches.state.zip(state);
    wanted.is_none_or(|(states, state)| states.has(state))
}

impl<A> View<'_, A> {
    /// The view of packets that packets out may answer, from that of new packets in: it is known what
    /// addresses, ports and protocol such a packet has, and by which interface it has come in. It is taken as whole, or
    /// else a rule for later fragments, which have no ports, would let in everything.
    ///
    /// All else is granted to rules that pass, and denied to those that drop: an answer to what any packet could
    /// have asked for makes no flow.
    ///
    /// `None` if it is the view of new packets.
    pub(super) fn into_reverse(mut self, ruleset: &Ruleset) -> Option<Self> {
        const KNOWN: [Field; 5] = [
            Field::Protocol,
            Field::Sport,
            Field::Dport,
            Field::Icmp,
            Field::Interface,
        ];
        let unknown = || {
            let mut fields = Field::ALL.into_iter();
            std::iter::from_fn(move || fields.find(|field| !KNOWN.contains(field)))
        };
        let action = |rule: &RuleView<'_, A>| ruleset.rules[rule.id.0 as usize].action;
        let is_known =
            |rule: &RuleView<'_, A>| unknown().all(|field| rule.fields[field as usize].is_none());
        let is_kept = |rule: &RuleView<'_, A>| is_known(rule) && action(rule) != RuleAction::Count;
        if self.rules.iter().all(is_kept) {
            return None;
        }
        self.rules.retain_mut(|rule| {
            let traffic = &mut rule.fields[Field::Traffic as usize];
            let last = u64::from(MAX_DSCP);
            if traffic.as_ref().is_some_and(|keys| !keys.meets(0, last)) {
                return false;
            }
            traffic.take_if(|keys| keys.covers(0, last));
            match action(rule) {
                RuleAction::Pass => {
                    unknown().for_each(|field| rule.fields[field as usize] = None);
                    true
                }
                RuleAction::Drop => is_known(rule),
                RuleAction::Count => false,
            }
        });
        self.kind.states = Some(StateSet::default());
        self.kind.is_reverse = true;
        Some(self)
    }

    /// Adds the states of another view, if both have the same rules; returns whether they have.
    pub(super) fn join(&mut self, other: &Self) -> bool {
        let ids = |rules: &[RuleView<'_, A>]| rules.iter().map(|rule| rule.id).collect::<Vec<_>>();
        let is_same = ids(&self.rules) == ids(&other.rules);
        if is_same {
            let both = self.kind.states.zip(other.kind.states);
            self.kind.states = both.map(|(states, more)| more.iter().fold(states, StateSet::with));
        }
        is_same
    }
}

/// The groups of options that the rules of a direction distinguish.
pub(super) fn option_groups(ruleset: &Ruleset, direction: Direction) -> OptionGroups {
    let rules = ruleset.rules.iter();
    let rules = rules.filter(|rule| rule.direction == direction);
    OptionGroups::new(rules.filter_map(|rule| rule.matches.ip_option.as_ref()))
}

/// The keys of protocols and TCP flags that match; `None` if every IP packet matches.
fn protocol(matches: &Matches) -> Option<RangeSet<u64>> {
    const TCP: u8 = 6;
    let every = RangeSet::full();
    let protocols = matches.proto.as_ref().unwrap_or(&every);
    if protocols.is_full() && matches.tcp_flags.is_none() {
        return None;
    }
    let mut keys = Vec::new();
    if matches.tcp_flags.is_none() {
        keys.extend_from_slice(widen(protocols).ranges());
    }
    if protocols.contains(TCP) {
        let flags = matches.tcp_flags.as_ref().unwrap_or(&every);
        let with_flags = widen(flags);
        let with_flags = with_flags.ranges().iter();
        let bit = u64::from(WITH_FLAGS);
        keys.extend(with_flags.map(|(first, last)| (bit | first, bit | last)));
    }
    Some(RangeSet::from_ranges(keys))
}

/// The keys of outermost tags that match; `None` if every frame matches.
fn vlans(set: &VlanSet) -> Option<RangeSet<u64>> {
    let mut keys = widen(&set.ids).ranges().to_vec();
    if set.untagged {
        keys.push((UNTAGGED.into(), UNTAGGED.into()));
    }
    let keys = RangeSet::from_ranges(keys);
    (keys.ranges() != [(0, UNTAGGED.into())]).then_some(keys)
}

/// The EtherTypes that match among those of the kind; `None` if all of them match.
fn ethertypes(matches: &Matches, kind: PacketKind) -> Option<RangeSet<u64>> {
    let types = matches.ethertype.as_ref()?;
    match kind {
        PacketKind::Ipv4 | PacketKind::Ipv6 => None,
        PacketKind::Other => {
            let others = other_ethertypes();
            let matching = types.intersection(&others);
            (matching != others).then(|| widen(&matching))
        }
    }
}

/// The EtherTypes of frames that are not IP, after all tags.
fn other_ethertypes() -> RangeSet<u16> {
    let known = [
        ethertype::IPV4,
        ethertype::IPV6,
        ethertype::VLAN,
        ethertype::SERVICE_VLAN,
        ethertype::OLD_QINQ,
    ];
    RangeSet::from_ranges(known.map(|kind| (kind, kind)).to_vec()).complement()
}

/// The keys of code points and fragments that match; `None` if every IP packet matches.
fn traffic(matches: &Matches) -> Option<RangeSet<u64>> {
    if matches.dscp.is_none() && matches.fragment.is_none() {
        return None;
    }
    let every = RangeSet::from_ranges(vec![(0, MAX_DSCP)]);
    let points = widen(matches.dscp.as_ref().unwrap_or(&every));
    let mut keys = Vec::new();
    for is_fragment in [false, true] {
        if matches.fragment.is_none_or(|wanted| wanted == is_fragment) {
            let bit = u64::from(is_fragment) * u64::from(FRAGMENT);
            let points = points.ranges().iter();
            keys.extend(points.map(|(first, last)| (bit | first, bit | last)));
        }
    }
    let keys = RangeSet::from_ranges(keys);
    (keys.ranges() != [(0, u64::from(TRAFFICS) - 1)]).then_some(keys)
}

/// MAC addresses in the upper 48 bits; `None` when every one matches.
fn macs(set: &RangeSet<u64>) -> Option<RangeSet<u64>> {
    let ranges = set.ranges().iter();
    let shifted = ranges.map(|(first, last)| (first << 16, last << 16 | 0xffff));
    Some(RangeSet::from_ranges(shifted.collect())).filter(|set| !set.is_full())
}

/// Whether packets of the kind can have every field that the rule names.
fn is_possible(matches: &Matches, kind: PacketKind) -> bool {
    let is_of = |number| {
        let types = matches.ethertype.as_ref();
        types.is_none_or(|types| types.contains(number))
    };
    match kind {
        PacketKind::Ipv4 => matches.family != Some(Family::Ipv6) && is_of(ethertype::IPV4),
        PacketKind::Ipv6 => {
            matches.family != Some(Family::Ipv4)
                && matches.ip_option.is_none()
                && is_of(ethertype::IPV6)
        }
        PacketKind::Other => {
            let mut fields = FieldName::ALL.iter();
            !fields.any(|field| field.form().is_of_ip() && matches.has(*field))
        }
    }
}

fn widen<T: Value + Into<u64>>(set: &RangeSet<T>) -> RangeSet<u64> {
    let ranges = set.ranges().iter();
    RangeSet::from_ranges(
        ranges
            .map(|&(first, last)| (first.into(), last.into()))
            .collect(),
    )
}

/// The indexes of the interfaces that match. An unknown interface matches no rule that names an
/// interface, not even by negation.
fn indexes(names: &InterfaceMatch, interfaces: &[(InterfaceIndex, String)]) -> RangeSet<u64> {
    let matching = interfaces
        .iter()
        .filter(|(_, name)| names.matches(name))
        .map(|(index, _)| (index.0.into(), index.0.into()));
    RangeSet::from_ranges(matching.collect())
}

/// The indexes of the interfaces on which packets out arrived that match; 0 stands for those that the
/// machine sends.
fn arrived_on(matches: &Matches, interfaces: &[(InterfaceIndex, String)]) -> Option<RangeSet<u64>> {
    let named = matches
        .in_interface
        .as_ref()
        .map(|names| indexes(names, interfaces));
    let origin = matches
        .forwarded
        .map(|is| RangeSet::from_ranges(vec![if is { (1, u32::MAX.into()) } else { (0, 0) }]));
    match (named, origin) {
        (Some(named), Some(origin)) => Some(named.intersection(&origin)),
        (named, origin) => named.or(origin),
    }
}

/// The name of a narrow field in the rule language.
pub(super) fn name(field: Field) -> &'static str {
    if field == Field::Traffic {
        return "dscp or fragment";
    }
    if field == Field::InInterface {
        return "in_interface or forwarded";
    }
    let mut names = FieldName::ALL.iter();
    let first = names.find(|name| name.form().key() == Some(field));
    first.map_or("", |name| name.as_str())
}
