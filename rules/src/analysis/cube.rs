//! The packets that a rule matches, as one set of values per axis.

use std::{collections::HashMap, sync::Arc};

use super::{
    axis::{ABSENT, AXES, Axis, FIRST, GROUP_QUERY, LATER, NetworkProtocol, Packets, WHOLE, below},
    interfaces::{InterfaceClasses, Interfaces},
    states,
    values::{Values, common},
};
use crate::{
    field::{AddressSet, FieldName, RangeSet, Value, VlanSet},
    model::{Matches, Rule},
};

/// The number of a set of values in a [`Pool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CubeSet(u32);

impl CubeSet {
    /// The set of all values, [`super::axis::ABSENT`] among them.
    pub(super) const ALL: Self = Self(0);

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The packets that match on every axis.
pub(super) type Cube = [CubeSet; AXES];

/// The distinct sets of values that rules name.
#[derive(Debug)]
pub(super) struct Pool {
    sets: Vec<Arc<Values>>,
    known: HashMap<Arc<Values>, CubeSet>,
    /// Known sets by the address of the shared set, which outlives the pool.
    addresses: HashMap<(*const AddressSet, Packets), Option<CubeSet>>,
}

impl Pool {
    pub(super) fn new() -> Self {
        let all = Arc::new(Values::full());
        Self {
            sets: vec![Arc::clone(&all)],
            known: HashMap::from([(all, CubeSet::ALL)]),
            addresses: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    pub(super) fn set(&self, id: CubeSet) -> &Arc<Values> {
        // Numbers are assigned by this pool, which never removes a set.
        &self.sets[id.index()]
    }

    /// The packets of a family and direction that a rule matches; `None` if there are none.
    pub(super) fn cube(
        &mut self,
        rule: &Rule,
        packets: Packets,
        interfaces: &Interfaces,
    ) -> Option<Cube> {
        let matches = &rule.matches;
        let Matches {
            interface,
            family,
            src,
            dst,
            icmp,
            vlan,
            ip_option,
            fragment,
            state,
            ..
        } = matches;
        let mut fields = FieldName::ALL.iter();
        if rule.direction != packets.direction
            || packets.network == NetworkProtocol::Other
                && fields.any(|field| field.form().is_of_ip() && matches.has(*field))
            || family.is_some_and(|family| packets.family() != Some(family))
            || ip_option.is_some() && packets.network != NetworkProtocol::Ipv4
        {
            return None;
        }
        let mut cube = [CubeSet::ALL; AXES];
        let mut put = |axis: Axis, set: Option<CubeSet>| {
            cube[axis as usize] = set?;
            Some(())
        };
        if let Some(wanted) = interface {
            let classes = interfaces.attached.matching(wanted);
            put(Axis::Interface, self.intern(Values::from_ranges(classes)))?;
        }
        if let Some(origins) = origins(matches, &interfaces.origins) {
            put(Axis::InInterface, self.intern(origins))?;
        }
        for (axis, set) in [(Axis::Src, src), (Axis::Dst, dst)] {
            if let Some(set) = set {
                put(axis, self.intern_addresses(set, packets))?;
            }
        }
        let mut messages = None;
        if let Some(set) = icmp {
            messages = Some(match packets.network {
                NetworkProtocol::Ipv4 => wide(&set.v4),
                NetworkProtocol::Ipv6 | NetworkProtocol::Other => wide(&set.v6),
            });
        }
        let fields = [
            (Axis::IcmpType, messages),
            (Axis::Vlan, vlan.as_ref().map(tags)),
            (Axis::Fragment, fragment.map(fragments)),
            (Axis::State, state.map(states::numbers)),
        ];
        let numbers = Axis::ALL.map(|axis| {
            let numbers = if axis == Axis::IpOption {
                let options = &interfaces.options;
                ip_option.as_ref().map(|set| options.meeting(set))
            } else {
                matches.numbers(axis.field())
            };
            (axis, numbers.as_ref().map(wide))
        });
        for (axis, set) in fields.into_iter().chain(numbers) {
            if let Some(set) = set {
                put(axis, self.intern(set))?;
            }
        }
        Some(cube)
    }

    /// The packets that pass after all rules, whatever the policy.
    pub(super) fn neighbors(&mut self, packets: Packets) -> Vec<Cube> {
        let mut cube = |fields: &[(Axis, u128, u128)]| {
            let mut cube = [CubeSet::ALL; AXES];
            for (axis, first, last) in fields {
                let set = self.intern(Values::from_ranges(vec![(*first, *last)]));
                cube[*axis as usize] = set.unwrap_or(CubeSet::ALL);
            }
            cube
        };
        match packets.network {
            NetworkProtocol::Ipv4 => vec![cube(&[(Axis::IcmpType, GROUP_QUERY, GROUP_QUERY)])],
            // Neighbor discovery, and multicast listener queries from link-local addresses.
            NetworkProtocol::Ipv6 => vec![
                cube(&[
                    (Axis::IcmpType, 133 << 8, 137 << 8 | 0xff),
                    (Axis::Ttl, 255, 255),
                    (Axis::Fragment, WHOLE, WHOLE),
                ]),
                cube(&[
                    (Axis::IcmpType, 130 << 8, 130 << 8 | 0xff),
                    (Axis::Ttl, 1, 1),
                    (Axis::Fragment, WHOLE, WHOLE),
                    (Axis::Src, 0xfe80 << 112, (0xfec0 << 112) - 1),
                ]),
            ],
            // ARP.
            NetworkProtocol::Other => vec![cube(&[(Axis::Ethertype, 0x0806, 0x0806)])],
        }
    }

    fn intern_addresses(&mut self, set: &Arc<AddressSet>, packets: Packets) -> Option<CubeSet> {
        let key = (Arc::as_ptr(set), packets);
        if let Some(id) = self.addresses.get(&key) {
            return *id;
        }
        let values = match packets.network {
            NetworkProtocol::Ipv4 => wide(&set.v4),
            NetworkProtocol::Ipv6 | NetworkProtocol::Other => set.v6.clone(),
        };
        let id = self.intern(values);
        self.addresses.insert(key, id);
        id
    }

    /// The number of the set; `None` for the empty one.
    fn intern(&mut self, set: Values) -> Option<CubeSet> {
        if set.is_empty() {
            return None;
        }
        if let Some(id) = self.known.get(&set) {
            return Some(*id);
        }
        // A rule has fewer than 32 fields, and a rule set fewer than 2^27 rules.
        let id = CubeSet(u32::try_from(self.sets.len()).ok()?);
        let set = Arc::new(set);
        self.sets.push(Arc::clone(&set));
        self.known.insert(set, id);
        Some(id)
    }
}

/// The classes of interfaces on which packets arrived that match.
fn origins(matches: &Matches, classes: &InterfaceClasses) -> Option<Values> {
    let named = matches.in_interface.as_ref();
    let named = named.map(|wanted| Values::from_ranges(classes.matching(wanted)));
    let origin = matches.forwarded.map(|is| match is {
        true => below(classes.len()),
        false => Values::from_ranges(vec![(ABSENT, ABSENT)]),
    });
    match (named, origin) {
        (Some(named), Some(origin)) => Some(common(&named, &origin)),
        (named, origin) => named.or(origin),
    }
}

fn tags(set: &VlanSet) -> Values {
    let mut ranges = wide(&set.ids).ranges().to_vec();
    if set.untagged {
        ranges.push((ABSENT, ABSENT));
    }
    Values::from_ranges(ranges)
}

fn fragments(wanted: bool) -> Values {
    Values::from_ranges(vec![if wanted {
        (FIRST, LATER)
    } else {
        (WHOLE, WHOLE)
    }])
}

fn wide<T: Value + Into<u128>>(set: &RangeSet<T>) -> Values {
    let ranges = set.ranges().iter();
    Values::from_ranges(
        ranges
            .map(|&(first, last)| (first.into(), last.into()))
            .collect(),
    )
}
