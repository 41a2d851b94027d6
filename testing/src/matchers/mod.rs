//! Every match field with every operator that it takes, and packets of every kind for each.
//!
//! What a rule does with a packet stands in the tables, written by hand: nothing here asks the
//! evaluator, the compiler or the parser. [`missing`] names the combinations without a packet.

mod address;
mod dscp;
mod ethertype;
mod family;
mod fragment;
mod icmp_type;
mod interface;
mod length;
mod mac;
mod matcher;
mod ports;
mod proto;
mod subject;
mod table;
mod tcp_flags;
mod ttl;
mod vlan;

pub use self::{
    matcher::{Aspect, Form, Kind, Matcher, Operator, Packet},
    table::{missing, table},
};
