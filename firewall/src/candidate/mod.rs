//! A compiled rule set that is not in force yet: compiled, tried against its tests, compared with its
//! predecessor. It must not know the daemon or what the kernel holds.

pub(crate) mod budget;
pub(crate) mod changes;
pub(crate) mod compile;
pub(crate) mod rule_tests;
