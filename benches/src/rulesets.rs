//! Rule sets and address lists to judge and to measure packet filters with: read from published
//! files or generated from a seed, written for each filter in its own language, and traffic that
//! is aimed at them.
//!
//! A [`RuleSet`] holds what every filter can say: prefixes, port ranges, a protocol and TCP
//! flags. What it decides is spelled out in [`RuleSet::decide`], so that filters are compared
//! with something that knows none of them.

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
