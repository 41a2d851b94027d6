//! The match fields of rules.
//!
//! This module owns the values that each field accepts and how they form a set. It does not compare
//! fields with each other, except for the ICMP type, whose numbers mean nothing without a family.

mod family;
mod icmp;
mod interface;
mod link;
mod mark;
mod named;
mod network;
mod protocol;
mod rule;
mod state;
mod tcp_flags;
mod terms;

pub(super) use self::{
    link::{ethertype, family_of_types},
    protocol::protocol,
    rule::RuleFields,
};
