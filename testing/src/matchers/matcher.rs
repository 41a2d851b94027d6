//! A rule on one field, and packets with the expected result for each.

use firewall_ebpf::abi::Reason;
use rules::{
    evaluator::{Evaluation, Outcome},
    field::FieldName,
    model::{Direction, RuleId, Verdict},
};

use crate::probes::Probe;

/// A rule on one field, and packets for it.
#[derive(Clone, Debug)]
pub struct Matcher {
    pub(super) field: FieldName,
    /// The form in which the rule gives the values of the field.
    pub operator: Operator,
    /// The conditions of the rule, as TOML.
    pub rule: &'static str,
    /// The packets.
    pub packets: Vec<Packet>,
}

/// A packet, and its relation to the rule.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The kind of packet.
    pub kind: Kind,
    /// Its relation to the rule.
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
    /// The form in which a rule gives the values of a field.
    Operator {
        /// One value.
        Single,
        /// A list of values.
        List,
        /// A range, a prefix or a glob.
        Range,
        /// A reference to a set.
        Set,
        /// A negation.
        Negation,
    }
}

choices! {
    /// A kind of packet; each has its own section in an image.
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
    /// The relation of a packet to a rule.
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
    /// The action of the rule, and the policy.
    Form {
        /// The rule drops, the policy passes.
        Drops,
        /// The rule passes, the policy drops.
        Passes,
        /// The rule counts, the policy drops.
        Counts,
    }
}

/// Whether a packet of this kind can have this relation to a rule on the field.
pub(super) const fn can_be(field: FieldName, kind: Kind, aspect: Aspect) -> bool {
    let is_ip = matches!(kind, Kind::Ipv4 | Kind::Ipv6);
    let (can_have, can_lack) = match field {
        FieldName::Interface | FieldName::InInterface | FieldName::Vlan => (true, true),
        FieldName::Forwarded
        | FieldName::Mark
        | FieldName::Ethertype
        | FieldName::SrcMac
        | FieldName::DstMac => (true, false),
        FieldName::Family
        | FieldName::Src
        | FieldName::Dst
        | FieldName::Proto
        | FieldName::Length
        | FieldName::Ttl
        | FieldName::Dscp
        | FieldName::Fragment
        | FieldName::State => (is_ip, !is_ip),
        FieldName::IpOption => (matches!(kind, Kind::Ipv4), true),
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

    /// The direction of the rule and of the packets.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        if self.field.form().is_of_out() {
            Direction::Out
        } else {
            Direction::In
        }
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
        let key = match self.direction() {
            Direction::In => "policy",
            Direction::Out => "policy_out",
        };
        format!(
            "[firewall]\ninterfaces = [\"*\"]\n{key} = \"{policy}\"\n\n[[rule]]\n\
             name = \"rule\"\naction = \"{action}\"\n{rule}\n"
        )
    }
}

impl Packet {
    /// The expected result for the packet.
    #[must_use]
    pub fn expected(&self, form: Form) -> Evaluation {
        const RULE: RuleId = RuleId(0);
        // Without `[parser]`, the policy is the verdict on other EtherTypes.
        let reason = match self.kind {
            Kind::Ipv4 | Kind::Ipv6 => Reason::Policy,
            Kind::Other => Reason::UnknownEthertype,
        };
        let policy = match form {
            Form::Drops => Verdict::Pass,
            Form::Passes | Form::Counts => Verdict::Drop,
        };
        let by_policy = |counted| Evaluation {
            outcome: Outcome::Reason(reason),
            verdict: policy,
            counted,
        };
        let by_rule = |verdict| Evaluation {
            outcome: Outcome::Rule(RULE),
            verdict,
            counted: Vec::new(),
        };
        match (self.aspect, form) {
            (Aspect::Match, Form::Drops) => by_rule(Verdict::Drop),
            (Aspect::Match, Form::Passes) => by_rule(Verdict::Pass),
            (Aspect::Match, Form::Counts) => by_policy(vec![RULE]),
            (Aspect::Miss | Aspect::Absent, _) => by_policy(Vec::new()),
            (Aspect::Truncated, _) => Evaluation {
                outcome: Outcome::Reason(Reason::Truncated),
                verdict: match self.probe.context.direction {
                    Direction::In => Verdict::Drop,
                    Direction::Out => policy,
                },
                counted: Vec::new(),
            },
        }
    }
}
