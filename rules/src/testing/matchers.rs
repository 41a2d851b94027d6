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
mod ports;
mod proto;
mod subject;
mod tcp_flags;
mod ttl;
mod vlan;

use firewall_ebpf::abi::Reason;

use super::probes::Probe;
use crate::{
    evaluator::{Action, Evaluation, Outcome},
    field::FieldName,
    model::RuleId,
};

/// A rule of one field, and packets for it.
#[derive(Clone, Debug)]
pub struct Matcher {
    field: FieldName,
    /// How the rule gives the values of the field.
    pub operator: Operator,
    /// What the rule says beside its name and its action.
    pub rule: &'static str,
    /// The packets.
    pub packets: Vec<Packet>,
}

/// A packet, and what it is to the rule.
#[derive(Clone, Debug)]
pub struct Packet {
    /// What kind of packet it is.
    pub kind: Kind,
    /// What it is to the rule.
    pub aspect: Aspect,
    /// The packet itself.
    pub probe: Probe,
}

macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
        }
    };
}

choices! {
    /// How a rule gives the values of a field.
    Operator {
        /// One value.
        Single,
        /// A list of values.
        List,
        /// A range, a prefix or a glob.
        Range,
        /// A set by its name.
        Set,
        /// What is not to match.
        Negation,
    }
}

choices! {
    /// A kind of packet; each has tables of its own in an image.
    Kind {
        /// IPv4.
        Ipv4,
        /// IPv6.
        Ipv6,
        /// Every other EtherType.
        Other,
    }
}

choices! {
    /// What a packet is to a rule.
    Aspect {
        /// It matches.
        Match,
        /// It has the field, with another value.
        Miss,
        /// It lacks the field.
        Absent,
        /// It ends inside a header.
        Truncated,
    }
}

choices! {
    /// What the rule and the policy are.
    Form {
        /// The rule drops, the policy passes.
        Drops,
        /// The rule passes, the policy drops.
        Passes,
        /// The rule counts, the policy drops.
        Counts,
    }
}

/// The rules of all fields.
#[must_use]
pub fn table() -> Vec<Matcher> {
    FieldName::ALL.iter().flat_map(|field| of(*field)).collect()
}

/// The combinations of field, operator, kind and aspect that no packet of the table is for.
#[must_use]
pub fn missing(table: &[Matcher]) -> Vec<String> {
    let mut missing = Vec::new();
    for &field in FieldName::ALL {
        for &operator in operators(field) {
            for &kind in Kind::ALL {
                for &aspect in Aspect::ALL {
                    let is_there = || {
                        table
                            .iter()
                            .filter(|matcher| {
                                (matcher.field, matcher.operator) == (field, operator)
                            })
                            .flat_map(|matcher| &matcher.packets)
                            .any(|packet| (packet.kind, packet.aspect) == (kind, aspect))
                    };
                    if can_be(field, kind, aspect) && !is_there() {
                        let name = field.as_str();
                        missing.push(format!("`{name}`: {operator:?}, {kind:?}, {aspect:?}"));
                    }
                }
            }
        }
    }
    missing
}

/// The rules of a field.
fn of(field: FieldName) -> Vec<Matcher> {
    match field {
        FieldName::Interface => interface::matchers(),
        FieldName::Family => family::matchers(),
        FieldName::Ethertype => ethertype::matchers(),
        FieldName::Vlan => vlan::matchers(),
        FieldName::SrcMac => mac::of_source(),
        FieldName::DstMac => mac::of_destination(),
        FieldName::Src => address::of_source(),
        FieldName::Dst => address::of_destination(),
        FieldName::Proto => proto::matchers(),
        FieldName::Sport => ports::of_source(),
        FieldName::Dport => ports::of_destination(),
        FieldName::TcpFlags => tcp_flags::matchers(),
        FieldName::IcmpType => icmp_type::matchers(),
        FieldName::Length => length::matchers(),
        FieldName::Ttl => ttl::matchers(),
        FieldName::Dscp => dscp::matchers(),
        FieldName::Fragment => fragment::matchers(),
    }
}

/// The operators that a field takes.
const fn operators(field: FieldName) -> &'static [Operator] {
    use Operator::{List, Negation, Range, Set, Single};
    match field {
        FieldName::Family | FieldName::Fragment => &[Single],
        FieldName::TcpFlags => &[Single, List, Negation],
        FieldName::Interface
        | FieldName::Ethertype
        | FieldName::Vlan
        | FieldName::SrcMac
        | FieldName::DstMac
        | FieldName::Proto
        | FieldName::IcmpType
        | FieldName::Length
        | FieldName::Ttl
        | FieldName::Dscp => &[Single, List, Range, Negation],
        FieldName::Src | FieldName::Dst | FieldName::Sport | FieldName::Dport => {
            &[Single, List, Range, Set, Negation]
        }
    }
}

/// Whether a packet of this kind can be that to a rule of the field.
pub(super) const fn can_be(field: FieldName, kind: Kind, aspect: Aspect) -> bool {
    let is_ip = matches!(kind, Kind::Ipv4 | Kind::Ipv6);
    let (can_have, can_lack) = match field {
        FieldName::Interface | FieldName::Vlan => (true, true),
        FieldName::Ethertype | FieldName::SrcMac | FieldName::DstMac => (true, false),
        FieldName::Family
        | FieldName::Src
        | FieldName::Dst
        | FieldName::Proto
        | FieldName::Length
        | FieldName::Ttl
        | FieldName::Dscp
        | FieldName::Fragment => (is_ip, !is_ip),
        FieldName::Sport | FieldName::Dport | FieldName::TcpFlags | FieldName::IcmpType => {
            (is_ip, true)
        }
    };
    match aspect {
        Aspect::Match | Aspect::Miss => can_have,
        Aspect::Absent => can_lack,
        Aspect::Truncated => true,
    }
}

impl Matcher {
    /// The key of the field.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field.as_str()
    }

    /// The rule file.
    #[must_use]
    pub fn text(&self, form: Form) -> String {
        let (action, policy) = match form {
            Form::Drops => ("drop", "pass"),
            Form::Passes => ("pass", "drop"),
            Form::Counts => ("count", "drop"),
        };
        let rule = self.rule;
        format!(
            "[firewall]\ninterfaces = [\"*\"]\npolicy = \"{policy}\"\n\n[[rule]]\n\
             name = \"rule\"\naction = \"{action}\"\n{rule}\n"
        )
    }
}

impl Packet {
    /// What is to become of the packet.
    #[must_use]
    pub fn expected(&self, form: Form) -> Evaluation {
        const RULE: RuleId = RuleId(0);
        // Without `[parser]`, the verdict over other EtherTypes is the policy's.
        let reason = match self.kind {
            Kind::Ipv4 | Kind::Ipv6 => Reason::Policy,
            Kind::Other => Reason::UnknownEthertype,
        };
        let by_policy = |counted| Evaluation {
            outcome: Outcome::Reason(reason),
            action: match form {
                Form::Drops => Action::Pass,
                Form::Passes | Form::Counts => Action::Drop,
            },
            counted,
        };
        let by_rule = |action| Evaluation {
            outcome: Outcome::Rule(RULE),
            action,
            counted: Vec::new(),
        };
        match (self.aspect, form) {
            (Aspect::Match, Form::Drops) => by_rule(Action::Drop),
            (Aspect::Match, Form::Passes) => by_rule(Action::Pass),
            (Aspect::Match, Form::Counts) => by_policy(vec![RULE]),
            (Aspect::Miss | Aspect::Absent, _) => by_policy(Vec::new()),
            (Aspect::Truncated, _) => Evaluation {
                outcome: Outcome::Reason(Reason::Truncated),
                action: Action::Drop,
                counted: Vec::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_give_their_values_by_the_operator_that_they_stand_for() {
        for matcher in table() {
            let (value, sets) = matcher
                .rule
                .split_once("[sets]")
                .unwrap_or((matcher.rule, ""));
            let has = |text| value.contains(text);
            let fits = match matcher.operator {
                Operator::Single => !has("[") && !has("@") && !has("\"!"),
                Operator::List => has("[") && has(",") && !has("\"!"),
                Operator::Range => has("-") || has("/") || has("*") || has("?"),
                Operator::Set => has("@") && !sets.is_empty(),
                Operator::Negation => has("\"!"),
            };
            assert!(fits, "{:?}: {}", matcher.operator, matcher.rule);
        }
    }

    #[test]
    fn a_combination_without_a_packet_is_named() {
        let mut table = table();
        assert_eq!(missing(&table), Vec::<String>::new());
        for matcher in &mut table {
            if (matcher.field, matcher.operator) == (FieldName::Ttl, Operator::Range) {
                matcher.packets.retain(|packet| {
                    (packet.kind, packet.aspect) != (Kind::Ipv6, Aspect::Truncated)
                });
            }
        }
        assert_eq!(missing(&table), ["`ttl`: Range, Ipv6, Truncated"]);
    }
}
