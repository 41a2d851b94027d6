//! Rule sets and address lists for tests and measurements of packet filters: read from published
//! files or generated from a seed, and written in the language of each filter; and traffic aimed at
//! them.
//!
//! A [`RuleSet`] contains what every filter can express: prefixes, port ranges, a protocol and TCP
//! flags. Its meaning is defined by [`RuleSet::decide`], an independent reference for all filters.

pub mod address_list;
pub mod address_range;
pub mod capture;
pub mod classbench;
pub mod error;
pub mod family;
pub mod flags;
pub mod generate;
pub mod index;
pub mod list_policy;
pub mod origin;
pub mod ports;
pub mod prefix;
pub mod published;
pub mod rule;
pub mod rule_set;
pub mod statistics;
pub mod stream;
mod text;
pub mod trace;
pub mod verdict;
pub mod write;

pub use self::{
    address_list::AddressList,
    address_range::AddressRange,
    error::{Fault, ReadError},
    family::Family,
    flags::FlagMatch,
    index::Index,
    list_policy::ListPolicy,
    origin::Origin,
    ports::PortRange,
    prefix::Prefix,
    rule::Rule,
    rule_set::{Decision, RuleSet},
    statistics::Statistics,
    verdict::Verdict,
};
