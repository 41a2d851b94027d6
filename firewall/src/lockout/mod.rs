//! Lockout protection: the packets that keep a machine reachable are those of SSH sessions and of the
//! next ones from the same peers, of the discovery of gateways and neighbors, of DHCP and of LACP. Rules
//! that would drop one that passes now are not brought into force, unless the user forces it. Of rules
//! that drop what else the machine is configured for, the user is warned.
//!
//! This module owns the choice of packets and the comparison. It classifies them by images, like
//! any packet, and changes nothing.

pub(crate) mod caller;
pub(crate) mod configured;
pub(crate) mod leases;
pub(crate) mod lifelines;
pub(crate) mod sessions;
pub(crate) mod surroundings;

use std::{fmt, net::IpAddr, path::PathBuf};

use firewall_ebpf::abi::Reason;
use rules::{
    compiler::InterfaceIndex,
    diagnostics::Code,
    evaluator::Outcome,
    model::{Direction, RuleId, Verdict},
};

use crate::{
    error::UserError,
    generation::classifier::Classifier,
    interfaces::list::{Interface, ListError},
    lockout::{
        caller::Caller,
        configured::DhcpClients,
        lifelines::{Lifeline, Lifelines, ServerKind, Weight},
        surroundings::Surroundings,
    },
};

/// The maximum number of packets in a message.
const SHOWN: usize = 3;

/// The packets that keep this machine reachable, as far as they pass `filtered` interfaces.
/// Failed queries are logged.
pub(crate) async fn lifelines(caller: Option<Caller>, filtered: &[Interface]) -> Vec<Lifeline> {
    let surroundings = match Surroundings::read().await {
        Ok(surroundings) => surroundings,
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                event = "surroundings_unknown",
                error,
                "what keeps this machine reachable cannot be found out"
            );
            return Vec::new();
        }
    };
    let mut lifelines = Lifelines::new(&surroundings, filtered);
    lifelines.add_gateways();
    lifelines.add_leases();
    lifelines.add_bonds();
    let names = configured::name_servers().into_iter();
    let time = configured::time_servers().into_iter();
    let servers = names.map(|server| (server, ServerKind::Names));
    for (server, service) in servers.chain(time.map(|(server, to)| (server, ServerKind::Time(to))))
    {
        if let Some(route) = surroundings::route_to(server).await {
            lifelines.add_answer(service, server, &route);
        }
    }
    let clients = DhcpClients::read();
    lifelines.add_unleased(|name| clients.serve(name));
    lifelines.add_queries(&configured::in_groups());
    for session in sessions::established(caller, &surroundings) {
        let route = surroundings::route_to(session.peer.ip()).await;
        lifelines.add_session(&session, route.as_ref());
    }
    lifelines.found
}

/// The gateways of all routes of this machine.
///
/// # Errors
///
/// When the kernel does not list them.
pub(crate) async fn gateways() -> Result<Vec<IpAddr>, ListError> {
    let surroundings = Surroundings::read().await?;
    let gateways = surroundings.gateways.iter();
    Ok(gateways.filter_map(|hop| hop.gateway).collect())
}

/// The indexes of the interfaces by which default routes of this machine lead.
///
/// # Errors
///
/// When the kernel does not list the routes.
pub(crate) async fn default_routes() -> Result<Vec<u32>, ListError> {
    Ok(Surroundings::read().await?.default_routes)
}

/// The candidate, as a classifier of packets.
pub(crate) struct Proposed<'a> {
    /// The classifier.
    pub(crate) classifier: Classifier<'a>,
    /// The names of the rules, and their lines in the rule file as far as known.
    pub(crate) rules: Vec<(&'a str, Option<u32>)>,
    /// The rule file.
    pub(crate) file: PathBuf,
}

/// The rules in force, as a classifier of packets.
pub(crate) struct RulesInForce<'a> {
    /// The classifier.
    pub(crate) classifier: Classifier<'a>,
    /// The interfaces to which they are attached.
    pub(crate) interfaces: Vec<InterfaceIndex>,
}

/// A packet that would be dropped, and the rule or policy that drops it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    what: String,
    packet: String,
    by: String,
}

/// Rules that would drop packets that keep the machine reachable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the rules would cut off {}", listed(.0))]
pub(crate) struct LockoutError(Vec<Cut>);

impl UserError for LockoutError {
    fn help(&self) -> Option<String> {
        let help = "`firewall explain FILE PACKET` shows why; `--force` brings the rules into \
                    force anyway";
        Some(help.into())
    }
}

/// Finds the packets that `candidate` drops and `in_force` lets through.
///
/// # Errors
///
/// [`LockoutError`] with one of each kind.
pub(crate) fn check(
    lifelines: &[Lifeline],
    candidate: &Proposed<'_>,
    in_force: Option<&RulesInForce<'_>>,
) -> Result<(), LockoutError> {
    let mut cuts: Vec<Cut> = Vec::new();
    for lifeline in lifelines {
        let like = match &lifeline.weight {
            Weight::Warned(..) => continue,
            Weight::Refused => &lifeline.what,
            Weight::RefusedLike(what) => what,
        };
        let after = candidate
            .classifier
            .classify(&lifeline.frame, lifeline.context_by(&candidate.classifier));
        let was_dropped = in_force.is_some_and(|in_force| {
            in_force.interfaces.contains(&lifeline.context.interface)
                && in_force
                    .classifier
                    .walk(&lifeline.frame, lifeline.context_by(&in_force.classifier))
                    .verdict
                    == Verdict::Drop
        });
        if after.verdict == Verdict::Drop && !was_dropped {
            let by = candidate.decider(after.outcome, lifeline.context.direction);
            // One packet of each kind is enough.
            let mut known = cuts.iter();
            let is_known = |cut: &Cut| cut.what == lifeline.what || cut.what == *like;
            if !known.any(|cut| is_known(cut) && cut.by == by) {
                cuts.push(Cut {
                    what: lifeline.what.clone(),
                    packet: lifeline.packet.clone(),
                    by,
                });
            }
        }
    }
    if cuts.is_empty() {
        Ok(())
    } else {
        Err(LockoutError(cuts))
    }
}

/// The warnings about packets that the machine is configured to need and `candidate` drops, one of
/// each purpose, but for those of a kind that is `allowed`.
pub(crate) fn warnings(
    lifelines: &[Lifeline],
    candidate: &Proposed<'_>,
    allowed: &[Code],
) -> Vec<DroppedNeed> {
    let mut warnings: Vec<DroppedNeed> = Vec::new();
    for lifeline in lifelines {
        let Weight::Warned(code, help) = lifeline.weight else {
            continue;
        };
        if allowed.contains(&code) {
            continue;
        }
        let after = candidate
            .classifier
            .classify(&lifeline.frame, lifeline.context_by(&candidate.classifier));
        let mut known = warnings.iter();
        if after.verdict == Verdict::Drop && !known.any(|known| known.cut.what == lifeline.what) {
            let cut = Cut {
                what: lifeline.what.clone(),
                packet: lifeline.packet.clone(),
                by: candidate.decider(after.outcome, lifeline.context.direction),
            };
            warnings.push(DroppedNeed { code, cut, help });
        }
    }
    warnings
}

/// A packet that the machine is configured to need, and that would be dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DroppedNeed {
    /// The kind.
    pub(crate) code: Code,
    cut: Cut,
    /// How to pass the packet.
    pub(crate) help: &'static str,
}

impl fmt::Display for DroppedNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this machine needs {}", self.cut)
    }
}

impl Proposed<'_> {
    fn decider(&self, outcome: Outcome, direction: Direction) -> String {
        match outcome {
            Outcome::Rule(RuleId(id)) => match self.rules.get(id as usize) {
                Some((name, Some(line))) => {
                    format!("the rule `{name}` ({}:{line})", self.file.display())
                }
                Some((name, None)) => format!("the rule `{name}`"),
                None => format!("an unknown rule, number {id}"),
            },
            Outcome::Reason(_) if direction == Direction::Out => "`policy_out`".to_owned(),
            Outcome::Reason(Reason::Policy) => "the policy".to_owned(),
            Outcome::Reason(reason) => format!("`{}` of `[parser]`", reason.name()),
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, packet, by } = self;
        write!(f, "{what}: `{packet}` is dropped by {by}")
    }
}

fn listed(cuts: &[Cut]) -> String {
    let shown: Vec<String> = cuts.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = match cuts.len().saturating_sub(SHOWN) {
        0 => String::new(),
        count => format!("; and {count} more"),
    };
    shown.join("; ") + &more
}
