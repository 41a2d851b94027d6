//! The match fields: their names, their values and sets of values, and the text form of each.
//!
//! This module knows single fields. It knows neither rules nor rule files.

pub mod address;
mod dscp;
mod ethertype;
mod family;
mod icmp;
mod interface;
mod ip_option;
mod length;
pub(crate) mod mac;
mod name;
mod number;
mod protocol;
mod ranges;
mod state;
mod table;
mod tcp_flags;
#[cfg(test)]
mod tests;
mod ttl;
mod vlan;
mod wanted;

pub(crate) use self::{
    address::Ranges, ip_option::OptionGroups, name::each_field, state::state_named,
    tcp_flags::flags_in_words, wanted::Wanted,
};
pub use self::{
    address::{AddressError, AddressRange, AddressSet, Addresses},
    dscp::{DSCP, MAX_DSCP},
    ethertype::{ethertype_name, ethertype_number, ethertypes},
    family::{Family, family_name},
    icmp::{IcmpSet, icmp_type_name, icmp_type_number, icmp_types},
    interface::{InterfaceMatch, InterfacePattern, LOOPBACK},
    ip_option::{IP_OPTION, ip_option_bytes, ip_option_name},
    mac::{MAX_MAC, Mac},
    name::{FieldName, Form},
    number::Number,
    protocol::{protocol_name, protocol_number, protocols},
    ranges::{RangeSet, Value},
    state::{State, StateSet},
    tcp_flags::{tcp_flag, tcp_flag_conditions, tcp_flags},
    ttl::TTL,
    vlan::{MAX_VLAN, VlanSet},
};
