//! What a rule set that drops by default forgets: packets without which connections, links or the
//! machine itself do not work.
//!
//! Whether such packets pass is found out with packets, by the evaluator; how rules are written does
//! not matter. A rule that drops just these packets is taken to mean it. What depends on the machine is
//! not for this module: it knows the rule file only.

mod outgoing;
mod packets;
mod passage;
mod remedies;

use std::net::Ipv6Addr;

use firewall_ebpf::parse::protocol;

use self::{
    packets::{ACK, EPHEMERAL, SYN, SYN_ACK},
    passage::{Fate, GaveUp, Passage},
};
use crate::{
    diagnostics::{Code, Diagnostic, Report, Span},
    evaluator::{Fields, Outcome},
    field::{Family, LOOPBACK, State},
    language::File,
    model::{Direction, RuleId, Ruleset, Verdict},
    text::quoted,
};

/// Warns of what is forgotten, as far as it can be found out with this many comparisons of a packet
/// with a rule.
pub(super) fn warn(file: &File<'_>, ruleset: &Ruleset, comparisons: u64, report: &mut Report) {
    let mut needs = Needs {
        file,
        ruleset,
        passage: Passage::new(ruleset, Direction::In, comparisons),
        report,
    };
    // What was found out before the work was done stands.
    let _: Result<(), GaveUp> = needs.all();
    if ruleset.has_egress() {
        let _: Result<(), GaveUp> = needs.outgoing();
    }
}

struct Needs<'a, 'r> {
    file: &'a File<'a>,
    ruleset: &'a Ruleset,
    passage: Passage<'a>,
    report: &'r mut Report,
}

/// Packets that are needed together, by what they are for.
type Needed = (&'static str, Vec<Fields>);

impl Needs<'_, '_> {
    fn all(&mut self) -> Result<(), GaveUp> {
        self.loopback()?;
        if self.passage.has_links() {
            self.links()?;
            self.replies()?;
            self.icmp_errors(Family::Ipv4)?;
            self.icmp_errors(Family::Ipv6)?;
            self.fragments()?;
        }
        Ok(())
    }

    /// ARP, neighbor discovery and the queries of multicast routers.
    fn links(&mut self) -> Result<(), GaveUp> {
        const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        const SOLICITED: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 2);
        let discovery = |kind, dst| packets::of_link(kind, 255, dst);
        let needed = [
            (Family::Ipv4, "ARP", packets::arp()),
            (
                Family::Ipv6,
                "neighbor discovery",
                discovery(135, SOLICITED),
            ),
            (
                Family::Ipv6,
                "neighbor discovery",
                discovery(136, ALL_NODES),
            ),
            (
                Family::Ipv6,
                "router advertisements",
                discovery(134, ALL_NODES),
            ),
            (
                Family::Ipv6,
                "multicast listener queries",
                packets::of_link(130, 1, ALL_NODES),
            ),
            (Family::Ipv4, "IGMP queries", packets::group_query()),
        ];
        let used = [Family::Ipv4, Family::Ipv6].map(|family| self.passage.is_used(family));
        let [ipv4, ipv6] = used;
        let (ipv4, ipv6) = (ipv4?, ipv6?);
        // Where nothing passes at all, one family is as good as the other.
        let is_used = |family| match family {
            Family::Ipv4 => ipv4 || !ipv6,
            Family::Ipv6 => ipv6 || !ipv4,
        };
        let mut dropped: Vec<(RuleId, Vec<&str>)> = Vec::new();
        for (family, what, packet) in needed {
            if !is_used(family) {
                continue;
            }
            // What no rule decides passes.
            let Fate::Forgotten(Outcome::Rule(id)) = self.passage.fate(&packet, State::New)? else {
                continue;
            };
            match dropped.iter_mut().find(|(by, _)| *by == id) {
                Some((_, known)) if known.contains(&what) => {}
                Some((_, known)) => known.push(what),
                None => dropped.push((id, vec![what])),
            }
        }
        for (id, what) in dropped {
            // Whether the machine is in a group that a switch would forget is not known here.
            if what == ["IGMP queries"] {
                continue;
            }
            let message = format!(
                "the rule drops {}, without which no address of the link is reached",
                listed(&what)
            );
            let span = self.name(id);
            self.report
                .add(Code::DropsNeighbors, span, message)
                .help(remedies::neighbors(&what));
        }
        Ok(())
    }

    /// Answers to what the machine itself asks of the internet.
    fn replies(&mut self) -> Result<(), GaveUp> {
        let of_both =
            |packet: &dyn Fn(Family) -> Vec<Fields>| [Family::Ipv4, Family::Ipv6].map(packet);
        let https = |family| {
            [SYN_ACK, ACK]
                .map(|flags| packets::tcp(family, 443, EPHEMERAL, flags))
                .into()
        };
        let dns = |family| vec![packets::udp(family, 53, EPHEMERAL)];
        let ntp = |family| vec![packets::udp(family, 123, EPHEMERAL)];
        let ping = |family| match family {
            Family::Ipv4 => vec![packets::icmp(family, 0, 0)],
            Family::Ipv6 => vec![packets::icmp(family, 129, 0)],
        };
        let (mut missing, mut decider) = (Vec::new(), None);
        for (what, needed) in [
            ("DNS", of_both(&dns)),
            ("HTTPS", of_both(&https)),
            ("NTP", of_both(&ntp)),
            ("ping", of_both(&ping)),
        ] {
            if let Some(by) = self.forgotten_in_both(&needed)? {
                missing.push(what);
                decider.get_or_insert(by);
            }
        }
        // A clock may be set otherwise, and not every machine asks others whether they are there.
        let is_needed = missing.contains(&"DNS") || missing.contains(&"HTTPS");
        let Some(decider) = decider.filter(|_| is_needed) else {
            return Ok(());
        };
        let message = format!(
            "the answers to what this machine asks are dropped: {}",
            missing.join(", ")
        );
        self.add(Code::DropsReplies, decider, message)
            .note("an interface with a leased address needs answers of DHCP too: UDP from port 67 to 68")
            .help(placed(remedies::REPLIES.to_owned(), decider));
        Ok(())
    }

    /// What decides when answers of both families are forgotten.
    fn forgotten_in_both(&mut self, needed: &[Vec<Fields>; 2]) -> Result<Option<Outcome>, GaveUp> {
        let mut decider = None;
        for packets in needed {
            match self.forgotten(packets, State::Established)? {
                Some(by) => decider = decider.or(Some(by)),
                None => return Ok(None),
            }
        }
        Ok(decider)
    }

    /// What decides when one of the packets of a state is forgotten.
    fn forgotten(&mut self, packets: &[Fields], state: State) -> Result<Option<Outcome>, GaveUp> {
        for packet in packets {
            if let Fate::Forgotten(by) = self.passage.fate(packet, state)? {
                return Ok(Some(by));
            }
        }
        Ok(None)
    }

    /// The messages without which a sender does not learn why its packets do not arrive.
    fn icmp_errors(&mut self, family: Family) -> Result<(), GaveUp> {
        let message = |name, kind, code| (name, vec![packets::icmp(family, kind, code)]);
        // RFC 1191; RFC 4890, sections 4.3.1 and 4.4.1.
        let needed: Vec<Needed> = match family {
            Family::Ipv4 => vec![message(
                "destination-unreachable/4 (fragmentation needed)",
                3,
                4,
            )],
            Family::Ipv6 => vec![
                message("packet-too-big", 2, 0),
                message("destination-unreachable", 1, 0),
                message("time-exceeded/0", 3, 0),
                message("parameter-problem/1", 4, 1),
                message("parameter-problem/2", 4, 2),
                message("echo-request", 128, 0),
                message("echo-reply", 129, 0),
            ],
        };
        let (mut missing, mut decider) = (Vec::new(), None);
        // Where rules ask for states, answers to pings pass by theirs, and others need not be answered.
        let asks = self.ruleset.asks_for_states();
        let needed = needed.iter();
        for (what, packets) in needed.filter(|(what, _)| !asks || !what.starts_with("echo")) {
            if let Some(by) = self.forgotten(packets, State::Related)? {
                missing.push(*what);
                decider.get_or_insert((by, packets.clone()));
            }
        }
        let Some((decider, lost)) = decider else {
            return Ok(());
        };
        let cut = self.passage.let_in(family, |passage, _, arrival| {
            let packet = &arrival.fields;
            let is_small = packet.sport == Some(123) || matches!(packet.dport, Some(68 | 546));
            let has_path = matches!(packet.protocol, Some(protocol::TCP | protocol::UDP));
            if is_small || !has_path {
                return Ok(false);
            }
            let mut lost = lost.iter();
            let Some(message) = lost.next() else {
                return Ok(false);
            };
            let error = packets::error_about(packet, message);
            // Whether a flow is kept of the connection or rules let in all of its packets.
            let decided = passage.decide(&error, &arrival.interface, State::Related)?;
            Ok(decided.1 == Verdict::Drop)
        })?;
        let Some(cut) = cut else { return Ok(()) };
        let (of, help) = match family {
            Family::Ipv4 => ("ICMP", remedies::ICMP_ERRORS),
            Family::Ipv6 => ("ICMPv6", remedies::ICMPV6),
        };
        let message = format!(
            "{of} messages that must not be lost are dropped: {}",
            missing.join(", ")
        );
        let span = self.name(cut);
        self.add(Code::DropsIcmpErrors, decider, message)
            .note_at(
                span,
                "they are about connections that this rule lets in, of which some hang without them",
            )
            .help(placed(help.to_owned(), decider));
        Ok(())
    }

    /// Later fragments of what rules pass by ports, which they do not have.
    fn fragments(&mut self) -> Result<(), GaveUp> {
        for family in [Family::Ipv4, Family::Ipv6] {
            let later = packets::later_fragment(family);
            let Fate::Forgotten(decider) = self.passage.fate(&later, State::New)? else {
                continue;
            };
            let cut = self.passage.let_in(family, |passage, rule, arrival| {
                // Answers seldom come in fragments.
                let is_of_state = rule.matches.state.is_some();
                if is_of_state || !passage::may_be_fragments(rule, &arrival.fields) {
                    return Ok(false);
                }
                let rest = packets::rest_of(&arrival.fields, family);
                let decided = passage.decide(&rest, &arrival.interface, State::New)?;
                Ok(decided.1 == Verdict::Drop)
            })?;
            if let Some(cut) = cut {
                let span = self.name(cut);
                let message =
                    "the first fragment of a UDP packet passes, and later ones are dropped";
                self.add(Code::DropsFragments, decider, message.to_owned())
                    .note_at(
                        span,
                        "later fragments have no ports, and this rule does not match them",
                    )
                    .help(remedies::FRAGMENTS);
                return Ok(());
            }
        }
        Ok(())
    }

    /// What local services say to each other, where the loopback interface is filtered.
    fn loopback(&mut self) -> Result<(), GaveUp> {
        /// Ports of local services: MQTT, PostgreSQL, Redis, and of no one.
        const SERVICES: [u16; 4] = [1883, 5432, 6379, EPHEMERAL];
        let terms = self.file.settings.interfaces.iter().flatten();
        let Some(span) = terms
            .filter(|term| term.text == LOOPBACK)
            .map(|term| term.span)
            .next()
        else {
            return Ok(());
        };
        let (mut missing, mut decider) = (Vec::new(), None);
        for (family, what) in [(Family::Ipv4, "`127.0.0.1`"), (Family::Ipv6, "`::1`")] {
            let tcp = SERVICES.map(|port| packets::tcp(family, EPHEMERAL, port, SYN));
            let udp = SERVICES.map(|port| packets::udp(family, EPHEMERAL, port));
            for services in [tcp, udp] {
                let mut by = None;
                for packet in services.map(|packet| packets::on_loopback(packet, family)) {
                    let (outcome, verdict) = self.passage.decide(&packet, LOOPBACK, State::New)?;
                    by = (verdict == Verdict::Drop).then_some(outcome);
                    if by.is_none() {
                        break;
                    }
                }
                if let Some(by) = by {
                    decider.get_or_insert(by);
                    if !missing.contains(&what) {
                        missing.push(what);
                    }
                }
            }
        }
        let Some(decider) = decider else {
            return Ok(());
        };
        let message = format!(
            "`lo` is filtered, and local services do not reach each other: packets of {} are dropped",
            missing.join(" and ")
        );
        let by = match decider {
            Outcome::Rule(id) => self.name(id),
            Outcome::Reason(_) => self.policy(),
        };
        self.report
            .add(Code::DropsLoopback, span, message)
            .note_at(by, "this drops them")
            .help(remedies::LOOPBACK);
        Ok(())
    }

    /// Adds a warning where packets in are decided over.
    fn add(&mut self, code: Code, decider: Outcome, message: String) -> &mut Diagnostic {
        let policy = self.policy();
        self.add_at(code, decider, policy, message)
    }

    /// Adds a warning where packets are decided over, for which the policy is at `policy`.
    fn add_at(
        &mut self,
        code: Code,
        decider: Outcome,
        policy: Span,
        message: String,
    ) -> &mut Diagnostic {
        match decider {
            Outcome::Rule(id) => {
                let rule = self.ruleset.rules.get(id.0 as usize);
                let name = quoted(rule.map_or("", |rule| rule.name.as_str()));
                let span = self.name(id);
                self.report
                    .add(code, span, message)
                    .label(format!("by {name}, which drops all that comes to it"))
            }
            Outcome::Reason(_) => self
                .report
                .add(code, policy, message)
                .label("by the policy"),
        }
    }

    fn name(&self, id: RuleId) -> Span {
        let rule = self.file.enabled_rules().nth(id.0 as usize);
        let name = rule.and_then(|rule| rule.name);
        name.map_or(Span::from(0..0), |name| name.span)
    }

    fn policy(&self) -> Span {
        let policy = self.file.settings.policy;
        policy.map_or(Span::from(0..0), |policy| policy.span)
    }
}

/// The help, which says where the rules belong.
fn placed(help: String, decider: Outcome) -> String {
    match decider {
        Outcome::Rule(_) => help.replacen("add\n", "add before this rule\n", 1),
        Outcome::Reason(_) => help,
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(what: &[&str]) -> String {
    match what {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
