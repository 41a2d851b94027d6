//! What a rule set that drops packets out by default forgets: what the machine asks others, the answers
//! of its services, and what finds the hosts of its links.

use std::net::Ipv6Addr;

use super::{
    Needs, listed,
    packets::{self, ACK, EPHEMERAL, SYN, SYN_ACK},
    passage::{Fate, GaveUp, Passage},
    placed, remedies,
};
use crate::{
    diagnostics::{Code, Span},
    evaluator::{Fields, Outcome},
    field::{Family, State},
    model::{Direction, Verdict},
};

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

impl Needs<'_, '_> {
    /// Warns of what is forgotten of packets out.
    pub(super) fn outgoing(&mut self) -> Result<(), GaveUp> {
        let left = self.passage.left();
        let mut out = Passage::new(self.ruleset, Direction::Out, left);
        if !out.has_links() {
            return Ok(());
        }
        self.discovery(&mut out)?;
        self.requests(&mut out)?;
        self.answers(&mut out)
    }

    /// ARP and neighbor discovery, which only a rule drops.
    fn discovery(&mut self, out: &mut Passage<'_>) -> Result<(), GaveUp> {
        const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
        const SOLICITED: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 2);
        let needed = [
            ("ARP", packets::arp()),
            ("neighbor discovery", packets::of_link(135, 255, SOLICITED)),
            (
                "neighbor discovery",
                packets::of_link(136, 255, ALL_ROUTERS),
            ),
            (
                "router solicitations",
                packets::of_link(133, 255, ALL_ROUTERS),
            ),
        ];
        let (mut dropped, mut by) = (Vec::new(), None);
        for (what, packet) in needed {
            if let Fate::Forgotten(Outcome::Rule(id)) = out.fate(&packet, State::New)? {
                by.get_or_insert(id);
                if !dropped.contains(&what) {
                    dropped.push(what);
                }
            }
        }
        if let Some(id) = by {
            let message = format!(
                "the rule drops {} on the way out, without which no address of the link is reached",
                listed(&dropped)
            );
            let span = self.name(id);
            self.report
                .add(Code::DropsNeighbors, span, message)
                .help(remedies::DISCOVERY_OUT);
        }
        Ok(())
    }

    /// What the machine asks others.
    fn requests(&mut self, out: &mut Passage<'_>) -> Result<(), GaveUp> {
        let of_both = |answer: &dyn Fn(Family) -> Fields| {
            FAMILIES.map(|family| packets::back(answer(family)))
        };
        let needed: [(&str, Vec<Fields>); 4] = [
            (
                "DNS",
                of_both(&|family| packets::udp(family, 53, EPHEMERAL)).into(),
            ),
            (
                "HTTPS",
                of_both(&|family| packets::tcp(family, 443, EPHEMERAL, SYN)).into(),
            ),
            (
                "NTP",
                of_both(&|family| packets::udp(family, 123, EPHEMERAL)).into(),
            ),
            ("DHCP", vec![packets::dhcp_question()]),
        ];
        let (mut missing, mut decider) = (Vec::new(), None);
        for (what, packets) in needed {
            let mut by = None;
            let mut passes = false;
            for packet in &packets {
                match out.fate(packet, State::New)? {
                    Fate::Forgotten(outcome) => by = by.or(Some(outcome)),
                    Fate::Passes | Fate::DroppedOnPurpose => passes = true,
                }
            }
            if let Some(by) = by.filter(|_| !passes) {
                missing.push(what);
                decider.get_or_insert(by);
            }
        }
        // A clock may be set otherwise, and an address be configured by hand.
        let is_needed = missing.contains(&"DNS") || missing.contains(&"HTTPS");
        let Some(decider) = decider.filter(|_| is_needed) else {
            return Ok(());
        };
        let message = format!(
            "what this machine asks others is dropped on the way out: {}",
            missing.join(", ")
        );
        let policy = self.policy_out();
        self.add_at(Code::DropsRequests, decider, policy, message)
            .help(placed(remedies::REQUESTS.to_owned(), decider));
        Ok(())
    }

    /// The answers of services that rules for packets in let in.
    fn answers(&mut self, out: &mut Passage<'_>) -> Result<(), GaveUp> {
        for family in FAMILIES {
            let mut decider = None;
            let served = self.passage.let_in(family, |_, _, arrival| {
                let packet = &arrival.fields;
                if packet.tcp_flags != Some(SYN) {
                    return Ok(false);
                }
                for flags in [SYN_ACK, ACK] {
                    let answer = Fields {
                        tcp_flags: Some(flags),
                        ..packets::back(packet.clone())
                    };
                    let (outcome, verdict) = out.decide(&answer, &arrival.interface, State::New)?;
                    if verdict == Verdict::Drop {
                        decider.get_or_insert(outcome);
                        return Ok(true);
                    }
                }
                Ok(false)
            })?;
            if let (Some(service), Some(decider)) = (served, decider) {
                let (span, policy) = (self.name(service), self.policy_out());
                let message = "answers of a service are dropped on the way out".to_owned();
                self.add_at(Code::DropsReplies, decider, policy, message)
                    .note_at(span, "this rule lets connections in, which get no answer")
                    .help(placed(remedies::ANSWERS.to_owned(), decider));
                return Ok(());
            }
        }
        Ok(())
    }

    fn policy_out(&self) -> Span {
        let policy = self.file.settings.policy_out;
        policy.map_or(Span::from(0..0), |policy| policy.span)
    }
}
