//! The findings about the hooks of traffic control: how programs are attached there, and whose.

use firewall_ebpf::abi;

use crate::{
    doctor::{
        facts::{Facts, HookProgram},
        finding::{Finding, Severity, advice, command, finding},
    },
    kernel::hook::Hook,
};

/// The findings about each hook.
const EGRESS: &str = "egress";
const INGRESS: &str = "ingress";

/// How a program is attached, and the programs that are there.
pub(super) fn examine(facts: &Facts) -> Vec<Finding> {
    let Some(hooks) = &facts.traffic_control else {
        return Vec::new();
    };
    let attachment = if hooks.takes_links {
        finding(
            EGRESS,
            Severity::Ok,
            "this kernel attaches programs for packets out by links (TCX)",
            None,
        )
    } else {
        finding(
            EGRESS,
            Severity::Note,
            "this kernel, older than Linux 6.6, attaches programs for packets out by filters in the queueing \
             discipline `clsact`, which other tools can remove",
            advice("do not use `tc qdisc del` or `replace` on `clsact`"),
        )
    };
    let mut findings: Vec<Finding> = attachment.into_iter().collect();
    for (place, program) in hooks.programs.iter().enumerate() {
        let same_hook = |other: &&HookProgram| other.hook == program.hook;
        let mut later = hooks.programs.iter().skip(place + 1).filter(same_hook);
        let mut earlier = hooks.programs.iter().take(place).filter(same_hook);
        let relation = if later.any(is_firewall) {
            Relation::Before
        } else if earlier.any(is_firewall) {
            Relation::After
        } else {
            Relation::Alone
        };
        findings.extend(of_program(facts, program, relation));
    }
    findings
}

/// Where a program stands among those at its hook.
enum Relation {
    /// Before a firewall.
    Before,
    /// After a firewall.
    After,
    /// Where there is no firewall.
    Alone,
}

fn is_firewall(program: &HookProgram) -> bool {
    let name = match program.hook {
        Hook::Xdp => abi::PROGRAM,
        Hook::BareIngress => abi::BARE_INGRESS_PROGRAM,
        Hook::Egress => abi::EGRESS_PROGRAM,
        Hook::BareEgress => abi::BARE_EGRESS_PROGRAM,
    };
    let called = program.name.as_deref();
    program.instance.is_some() || called.is_some_and(|called| abi::is_called(name, called))
}

fn of_program(facts: &Facts, program: &HookProgram, relation: Relation) -> Option<Finding> {
    let HookProgram {
        hook,
        id,
        name,
        instance,
    } = program;
    let about = if hook.is_egress() { EGRESS } else { INGRESS };
    let described = match name {
        Some(name) => format!("`{name}`, id {id}"),
        None => format!("id {id}"),
    };
    if let Some(instance) = instance {
        return finding(
            about,
            Severity::Note,
            format!("the firewall of the instance `{instance}` is at the {hook} hook: {described}"),
            command(format!("firewall --instance {instance} status")),
        );
    }
    if is_firewall(program) {
        return finding(
            about,
            Severity::Note,
            format!(
                "a firewall of an instance that is not pinned in this BPF file system is at the {hook} hook: \
                 {described}"
            ),
            advice("`--bpffs` names the BPF file system of an instance"),
        );
    }
    if name.is_none() {
        return finding(
            about,
            Severity::Note,
            format!(
                "a program is at the {hook} hook, {described}: without the privilege to see its name it is not \
                 known whether it is this firewall"
            ),
            command(format!("sudo firewall doctor {}", facts.name)),
        );
    }
    let shows = || command(format!("bpftool net show dev {}", facts.name));
    match relation {
        Relation::Before => finding(
            about,
            Severity::Warning,
            format!(
                "another program is at the {hook} hook before this firewall: {described}; packets that it ends \
                 the chain for are not filtered"
            ),
            shows(),
        ),
        Relation::After => finding(
            about,
            Severity::Note,
            format!(
                "another program is at the {hook} hook after this firewall: {described}; it may rewrite packets \
                 after they were filtered"
            ),
            shows(),
        ),
        Relation::Alone => finding(
            about,
            Severity::Note,
            format!(
                "another program is at the {hook} hook: {described}; a firewall comes before it, and it may rewrite \
                 packets after they were filtered"
            ),
            shows(),
        ),
    }
}
