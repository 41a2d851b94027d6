//! Rule sets and address lists in the languages of the filters that they are for.

pub mod firewall;
pub mod list;
