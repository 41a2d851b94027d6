//! Rule sets: rules in order of precedence, and the fields of each.

use std::sync::Arc;

use firewall_ebpf::abi::Direction;

use super::{
    log_limit::LogLimit,
    place::Place,
    settings::Settings,
    verdict::{RuleAction, Verdict},
};
use crate::field::{
    AddressSet, Family, FieldName, IcmpSet, InterfaceMatch, RangeSet, StateSet, VlanSet, Wanted,
    each_field,
};

/// A rule set: settings and rules in order of precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    /// The settings in `[firewall]`, `[parser]` and `[flows]`.
    pub settings: Settings,
    /// The rules; the index of each is its [`RuleId`].
    pub rules: Vec<Rule>,
    /// The rules with `enabled = false`, which match nothing and keep their names.
    pub disabled: Vec<DisabledRule>,
}

impl Ruleset {
    /// The names of the rules in order, and after them those of the disabled ones.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let disabled = self.disabled.iter().map(|rule| rule.name.as_str());
        let rules = self.rules.iter().map(|rule| rule.name.as_str());
        rules.chain(disabled)
    }

    /// Whether packets out are filtered: a rule is for them, or the policy drops them. Only then is
    /// a program needed at the egress hook.
    #[must_use]
    pub fn has_egress(&self) -> bool {
        self.settings.policy_out == Verdict::Drop
            || self
                .rules
                .iter()
                .any(|rule| rule.direction == Direction::Out)
    }

    /// Whether a rule names the interface on which forwarded packets arrived, which may be any of
    /// the machine.
    #[must_use]
    pub fn names_origins(&self) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|rule| rule.matches.in_interface.is_some())
    }

    /// Whether a rule asks for the states of packets. Only then must flows be known.
    #[must_use]
    pub fn asks_for_states(&self) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|rule| rule.matches.state.is_some())
    }

    /// The rules with their identities, in order of precedence.
    pub fn iter(&self) -> impl Iterator<Item = (RuleId, &Rule)> {
        (0..).map(RuleId).zip(&self.rules)
    }
}

/// The position of a rule in its rule set, counted from 0; lower matches first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The unique name under which counters are kept.
    pub name: String,
    /// The direction of the packets that it is for.
    pub direction: Direction,
    /// The action on a packet that matches.
    pub action: RuleAction,
    /// The conditions on packets.
    pub matches: Matches,
    /// The limit of logged packets; `None` if none are logged.
    pub log: Option<LogLimit>,
    /// What its author notes on it; for people alone.
    pub comment: Option<String>,
    /// The place of the rule in its file.
    pub place: Place,
}

/// A rule that is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisabledRule {
    /// Its name, under which its counter is kept.
    pub name: String,
    /// The direction of the packets that it would be for.
    pub direction: Direction,
    /// What it would do.
    pub action: RuleAction,
    /// See [`Rule::comment`].
    pub comment: Option<String>,
    /// Where it stands in its file.
    pub place: Place,
}

macro_rules! matches {
    ($($(#[$doc:meta])* $name:ident = $key:literal, $slot:ident: $type:ty, $form:expr;)*) => {
        /// The fields of one rule. A packet matches when every field that is given matches; `None`
        /// leaves the field open. A field that is given never matches a packet that lacks the
        /// field.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Matches {
            $($(#[$doc])* pub $slot: Option<$type>,)*
        }

        impl Matches {
            /// Whether the field is given.
            #[must_use]
            pub const fn has(&self, field: FieldName) -> bool {
                match field {
                    $(FieldName::$name => self.$slot.is_some(),)*
                }
            }

            /// Whether the field is given and, by itself, already matches no packet.
            pub(crate) fn is_empty(&self, field: FieldName) -> bool {
                match field {
                    $(FieldName::$name => self.$slot.as_ref().is_some_and(Wanted::is_empty),)*
                }
            }

            /// Whether both have the same condition on a field.
            pub(crate) fn agrees(&self, other: &Self, field: FieldName) -> bool {
                match field {
                    $(FieldName::$name => self.$slot == other.$slot,)*
                }
            }

            /// The matching values of a field, if it is given and its values are numbers.
            pub(crate) fn numbers(&self, field: FieldName) -> Option<RangeSet<u64>> {
                match field {
                    $(FieldName::$name => self.$slot.as_ref().and_then(Wanted::numbers),)*
                }
            }

            /// Sets a field whose values are numbers; returns whether they are.
            pub(crate) fn set_numbers(&mut self, field: FieldName, numbers: &RangeSet<u16>) -> bool {
                match field {
                    $(FieldName::$name => {
                        self.$slot = Wanted::of_numbers(numbers);
                        self.$slot.is_some()
                    })*
                }
            }
        }
    };
}
each_field!(matches);
