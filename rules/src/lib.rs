//! The rule language: TOML to a [`model::Ruleset`], that to a table image, and the naive reference
//! evaluator that both are tested against.
//!
//! This crate does no I/O: files that a rule set names are handed to it, and it never sees the
//! kernel.

#![forbid(unsafe_code)]

pub mod analysis;
pub mod captures;
pub mod compiler;
pub mod diagnostics;
pub mod evaluator;
pub mod explanation;
pub mod field;
pub mod language;
pub mod lint;
pub mod model;
pub mod notation;
pub mod packet;
pub mod text;
pub mod walker;

pub use self::{
    field::FieldName,
    language::{Loaded, MAX_RULE_NAME_LEN, load},
};

#[doc(hidden)]
pub use self::{
    field as ranges,
    language::{self as rule_test, canonical, lists},
    model as log_limit,
    text::{self as names, hexadecimal},
};

#[doc(hidden)]
pub mod ruleset {
    pub use crate::{
        field::{
            AddressSet, Family, IcmpSet, InterfaceMatch, InterfacePattern, MAX_DSCP, MAX_MAC,
            MAX_VLAN, VlanSet,
        },
        model::{Matches, Mode, Parser, Place, Policy, Rule, RuleId, Ruleset, Settings, Verdict},
    };
}
