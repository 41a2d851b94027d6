//! Tables of every match field with every operator that it supports, and packets of every kind for
//! each.
//!
//! The tables are written by hand and state what a rule does with a packet: nothing here uses the
//! evaluator, the compiler or the parser. [`missing`] names the combinations without a packet.

mod address;
mod dscp;
mod ethertype;
mod family;
mod fragment;
mod icmp_type;
mod interface;
mod ip_option;
mod length;
mod mac;
mod matcher;
mod outgoing;
mod ports;
mod proto;
mod state;
mod subject;
mod table;
mod tcp_flags;
mod ttl;
mod vlan;

pub use self::{
    matcher::{Aspect, Form, Kind, Matcher, Operator, Packet},
    table::{missing, table},
};
