//! Explains the verdict on a packet: its fields, and for each rule the first field that did not
//! match.
//!
//! This module owns the contents of an explanation. The reasons come from the [`evaluator`];
//! callers decide how to show them.

use std::net::IpAddr;

use firewall_ebpf::abi::Reason;

use crate::{
    context::Context,
    evaluator::{self, Evaluation, Fields},
    field::{self, Family, FieldName, Form, Mac},
    model::{Direction, RuleAction, RuleId, Ruleset},
};

/// The explanation of the verdict on a frame.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The fields that the evaluator reads from the frame, or the reason why it cannot.
    pub fields: Result<Fields, Reason>,
    /// The rules for the direction of the packet in order, down to the one that decides.
    pub rules: Vec<Meeting>,
    /// The rules after that one that match as well.
    pub hidden: Vec<RuleId>,
    /// The result of the evaluator.
    pub evaluation: Evaluation,
}

/// The comparison of a packet with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// The rule.
    pub rule: RuleId,
    /// The first field that does not match; `None` if all match.
    pub mismatch: Option<FieldName>,
}

/// Explains the verdict on a frame.
#[must_use]
pub fn explain(ruleset: &Ruleset, frame: &[u8], context: &Context<Option<&str>>) -> Explanation {
    let fields = evaluator::decode(frame);
    let evaluation = evaluator::evaluate(ruleset, frame, context);
    let (mut rules, mut hidden) = (Vec::new(), Vec::new());
    if let Ok(fields) = &fields {
        let mut is_decided = false;
        let all = ruleset.iter();
        for (id, rule) in all.filter(|(_, rule)| rule.direction == context.direction) {
            let mismatch = evaluator::mismatch(&rule.matches, fields, context);
            if is_decided {
                hidden.extend(mismatch.is_none().then_some(id));
                continue;
            }
            rules.push(Meeting { rule: id, mismatch });
            is_decided = mismatch.is_none() && rule.action != RuleAction::Count;
        }
    }
    Explanation {
        fields,
        rules,
        hidden,
        evaluation,
    }
}

/// The value of a field in a packet, as rules write it; `None` when the packet lacks the field.
#[must_use]
pub fn value(field: FieldName, fields: &Fields, context: &Context<Option<&str>>) -> Option<String> {
    let is_out = context.direction == Direction::Out;
    match field.form() {
        Form::Interface => context.interface.map(str::to_owned),
        Form::InInterface => context.in_interface.flatten().map(str::to_owned),
        Form::Forwarded => is_out.then(|| context.in_interface.is_some().to_string()),
        Form::Mark => is_out.then(|| format!("{:#x}", context.mark)),
        Form::Family => fields.family.map(|family| {
            match family {
                Family::Ipv4 => "ipv4",
                Family::Ipv6 => "ipv6",
            }
            .to_owned()
        }),
        Form::Src => fields.src.as_ref().map(IpAddr::to_string),
        Form::Dst => fields.dst.as_ref().map(IpAddr::to_string),
        Form::Proto => fields
            .protocol
            .map(|number| named(number, field::protocol_name(number))),
        Form::Sport => fields.sport.map(|port| port.to_string()),
        Form::Dport => fields.dport.map(|port| port.to_string()),
        Form::TcpFlags => fields.tcp_flags.map(field::flags_in_words),
        Form::Icmp => {
            let (message, family) = fields.icmp.zip(fields.family)?;
            let [kind, code] = message.to_be_bytes();
            let kind = named(kind, field::icmp_type_name(family, kind));
            Some(format!("{kind}/{code}"))
        }
        Form::Ethertype => {
            let number = fields.ethertype;
            let name = field::ethertype_name(number).map(str::to_owned);
            Some(name.unwrap_or_else(|| format!("{number:#06x}")))
        }
        Form::Vlan => Some(fields.vlan.map_or("none".to_owned(), |id| id.to_string())),
        Form::SrcMac => Some(Mac(fields.src_mac).to_string()),
        Form::DstMac => Some(Mac(fields.dst_mac).to_string()),
        Form::Length(_) | Form::Number(_) => fields.number(field).map(|number| number.to_string()),
        Form::Options(_) => {
            let names = fields
                .ip_options
                .iter()
                .map(|option| field::ip_option_name(*option));
            let names: Vec<String> = names.collect();
            (!names.is_empty()).then(|| names.join(","))
        }
        Form::Fragment => fields.is_fragment.map(|is| is.to_string()),
        Form::State if is_out => None,
        Form::State => fields.family.map(|_| context.state.as_str().to_owned()),
    }
}

fn named(number: u8, name: Option<&str>) -> String {
    name.map_or_else(|| number.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation;

    fn values(text: &str) -> Vec<(&'static str, String)> {
        let frame = notation::read(text).unwrap().frame;
        let fields = evaluator::decode(&frame).unwrap();
        let value = |field: &FieldName| {
            let value = value(*field, &fields, &Context::arriving(Some("eth0")))?;
            Some((field.as_str(), value))
        };
        FieldName::ALL.iter().filter_map(value).collect()
    }

    #[test]
    fn values_are_written_as_rules_write_them() {
        let tcp = values(
            "tcp [2001:db8::1]:1 > [2001:db8::2]:22 syn,ece vlan 7 ttl 3 dscp ef \
             src_mac 02:00:00:00:00:01 dst_mac 02:00:00:00:00:02 ah",
        );
        let expected = [
            ("interface", "eth0"),
            ("family", "ipv6"),
            ("ethertype", "ipv6"),
            ("vlan", "7"),
            ("src_mac", "02:00:00:00:00:01"),
            ("dst_mac", "02:00:00:00:00:02"),
            ("src", "2001:db8::1"),
            ("dst", "2001:db8::2"),
            ("proto", "tcp"),
            ("sport", "1"),
            ("dport", "22"),
            ("tcp_flags", "syn,ece"),
            ("length", "84"),
            ("ttl", "3"),
            ("dscp", "46"),
            ("fragment", "false"),
            ("state", "new"),
        ];
        assert_eq!(tcp, expected.map(|(name, value)| (name, value.to_owned())));
        let icmp = values("icmp 192.0.2.1 > 192.0.2.2 3/1");
        assert!(icmp.contains(&("icmp_type", "destination-unreachable/1".to_owned())));
        let lldp = values("ethertype lldp");
        let names: Vec<_> = lldp.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            ["interface", "ethertype", "vlan", "src_mac", "dst_mac"]
        );
    }
}
