//! Whether the fields of a packet match those of a rule.

use std::net::IpAddr;

use super::decode::Fields;
use crate::{
    context::Context,
    field::{AddressSet, Family, FieldName, IcmpSet, RangeSet, State, VlanSet},
    model::{Direction, Matches},
};

/// Whether a packet with these fields matches: the packet must have every field that is given, with
/// a matching value.
#[must_use]
pub fn matches(wanted: &Matches, fields: &Fields, context: &Context<Option<&str>>) -> bool {
    mismatch(wanted, fields, context).is_none()
}

/// The first field that does not match a packet with these fields; `None` if all match.
#[must_use]
pub fn mismatch(
    wanted: &Matches,
    fields: &Fields,
    context: &Context<Option<&str>>,
) -> Option<FieldName> {
    let Matches {
        interface: wanted_interface,
        in_interface,
        forwarded,
        mark,
        family,
        src,
        dst,
        proto,
        sport,
        dport,
        tcp_flags,
        icmp,
        ethertype,
        vlan,
        src_mac,
        dst_mac,
        length,
        ttl,
        dscp,
        ip_option,
        fragment,
        state,
    } = wanted;
    // Packets in have none of the fields of packets out.
    let is_out = context.direction == Direction::Out;
    let field = if !fits(wanted_interface, context.interface, |wanted, name| {
        wanted.matches(name)
    }) {
        FieldName::Interface
    } else if !fits(
        in_interface,
        context.in_interface.flatten(),
        |wanted, name| is_out && wanted.matches(name),
    ) {
        FieldName::InInterface
    } else if !fits(
        forwarded,
        is_out.then_some(context.in_interface.is_some()),
        |wanted, is| *wanted == is,
    ) {
        FieldName::Forwarded
    } else if !fits(mark, is_out.then_some(context.mark), RangeSet::contains) {
        FieldName::Mark
    } else if !fits(family, fields.family, |wanted, family| *wanted == family) {
        FieldName::Family
    } else if !fits(src, fields.src, |set, address| holds(set, address)) {
        FieldName::Src
    } else if !fits(dst, fields.dst, |set, address| holds(set, address)) {
        FieldName::Dst
    } else if !fits(proto, fields.protocol, RangeSet::contains) {
        FieldName::Proto
    } else if !fits(sport, fields.sport, RangeSet::contains) {
        FieldName::Sport
    } else if !fits(dport, fields.dport, RangeSet::contains) {
        FieldName::Dport
    } else if !fits(tcp_flags, fields.tcp_flags, RangeSet::contains) {
        FieldName::TcpFlags
    } else if !fits(icmp, fields.icmp.zip(fields.family), holds_icmp) {
        FieldName::IcmpType
    } else if !fits(ethertype, Some(fields.ethertype), RangeSet::contains) {
        FieldName::Ethertype
    } else if !fits(vlan, Some(fields.vlan), holds_vlan) {
        FieldName::Vlan
    } else if !fits(src_mac, Some(fields.src_mac), RangeSet::contains) {
        FieldName::SrcMac
    } else if !fits(dst_mac, Some(fields.dst_mac), RangeSet::contains) {
        FieldName::DstMac
    } else if !fits(length, fields.length, holds_length) {
        FieldName::Length
    } else if !fits(ttl, fields.hop_limit, RangeSet::contains) {
        FieldName::Ttl
    } else if !fits(dscp, fields.dscp, RangeSet::contains) {
        FieldName::Dscp
    } else if !fits(ip_option, some_options(fields), |set, options| {
        options.iter().any(|option| set.contains(*option))
    }) {
        FieldName::IpOption
    } else if !fits(fragment, fields.is_fragment, |wanted, is| *wanted == is) {
        FieldName::Fragment
    } else if !fits(state, state_of(fields, context), |set, state| {
        set.has(state)
    }) {
        FieldName::State
    } else {
        return None;
    };
    Some(field)
}

/// The state of a packet, which only IP packets have.
fn state_of(fields: &Fields, context: &Context<Option<&str>>) -> Option<State> {
    fields.family.map(|_| context.state)
}

/// The options of a packet that has any.
fn some_options(fields: &Fields) -> Option<&[u8]> {
    Some(fields.ip_options.as_slice()).filter(|options| !options.is_empty())
}

/// Whether a field is open, or the packet has it and it passes the test.
fn fits<W, V>(wanted: &Option<W>, value: Option<V>, test: impl Fn(&W, V) -> bool) -> bool {
    match (wanted, value) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wanted), Some(value)) => test(wanted, value),
    }
}

fn holds(set: &AddressSet, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => set.v4.contains(u32::from(address)),
        IpAddr::V6(address) => set.v6.contains(u128::from(address)),
    }
}

fn holds_icmp(set: &IcmpSet, (message, family): (u16, Family)) -> bool {
    match family {
        Family::Ipv4 => set.v4.contains(message),
        Family::Ipv6 => set.v6.contains(message),
    }
}

/// The absence of a tag can be matched, too.
fn holds_vlan(set: &VlanSet, vlan: Option<u16>) -> bool {
    match vlan {
        Some(id) => set.ids.contains(id),
        None => set.untagged,
    }
}

/// The largest number that a rule can contain also stands for all larger ones.
fn holds_length(set: &RangeSet<u16>, length: u32) -> bool {
    set.contains(u16::try_from(length).unwrap_or(u16::MAX))
}
