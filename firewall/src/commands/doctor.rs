//! `firewall doctor`.

use clap::Args;
use serde::Serialize;

use crate::{
    commands::output,
    config::Config,
    control::{
        client,
        protocol::{Answer, Request},
    },
    doctor::{
        facts,
        finding::{Finding, Fix, Severity},
        findings, needs, uplinks,
    },
    error::{Error, ExitStatus},
    generation::in_force,
    interfaces::namespace,
    observe::flows::FlowStatus,
};

/// Diagnose an interface: why it cannot be filtered, or not at full speed, and how to fix it
///
/// Also shown is which packets this machine needs there, such as those of DHCP or of its gateway.
/// Each finding comes with the command that fixes it. If a daemon is running, its rules are examined, too. Nothing is attached or changed. Needs no
/// privileges, but finds out less without them. The exit status is 0 if nothing is worse than a note,
/// 1 if there are warnings, and 6 if there are errors or no such interface.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Interface
    interface: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Diagnosis<'a> {
    interface: &'a str,
    severity: Severity,
    findings: &'a [Finding],
}

/// Prints the findings about an interface.
pub(crate) async fn run(config: &Config, args: DoctorArgs) -> Result<ExitStatus, Error> {
    let facts = match facts::gather(&args.interface, &config.bpffs).await {
        Ok(facts) => facts,
        Err(error) => {
            Error::from(error).tell();
            return Ok(ExitStatus::Unfit);
        }
    };
    let mut findings = findings::examine(&facts);
    findings.extend(rules(config).await);
    // Without the privilege to read the pins it is not known what the rules in force select.
    if let Ok(loaded) = in_force::read(config)
        && loaded.metadata.netns == namespace::own_inode().ok()
    {
        findings.extend(uplinks::uplinks(&loaded.metadata.patterns()).await);
    }
    findings.extend(flows(config));
    if !facts.is_loopback {
        findings.extend(needs::needs(&args.interface).await);
    }
    let worst = findings.iter().map(|finding| finding.severity).max();
    let severity = worst.unwrap_or(Severity::Ok);
    let text = if args.json {
        output::json(&Diagnosis {
            interface: &args.interface,
            severity,
            findings: &findings,
        })?
    } else {
        to_text(&findings)
    };
    output::print_result(&text)?;
    Ok(match severity {
        Severity::Ok | Severity::Note => ExitStatus::Done,
        Severity::Warning => ExitStatus::Refused,
        Severity::Error => ExitStatus::Unfit,
    })
}

/// What is the matter with the rules of the daemon, if one runs.
async fn rules(config: &Config) -> Option<Finding> {
    let answer = client::ask(config, &Request::Ping {}).await;
    let Ok(Answer::Alive {
        last_good: Some(last_good),
        ..
    }) = answer
    else {
        return None;
    };
    Some(Finding {
        id: findings::RULES,
        severity: Severity::Warning,
        message: last_good.to_string(),
        fix: Some(Fix::Command("firewall reload".to_owned())),
    })
}

/// How full the table of flows is, if there is one and it can be read.
fn flows(config: &Config) -> Option<Finding> {
    let flows = FlowStatus::read(config).ok()??;
    Some(findings::flows(
        flows.count,
        flows.max,
        flows.events.evicted_answered,
    ))
}

fn to_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let Finding {
            id,
            severity,
            message,
            fix,
        } = finding;
        text.push_str(&format!("{severity:7}  {id:12}  {message}\n"));
        let fix = match fix {
            None => continue,
            Some(Fix::Command(command)) => format!("run: {command}"),
            Some(Fix::Advice(advice)) => advice.clone(),
        };
        text.push_str(&format!("{:23}{fix}\n", ""));
    }
    text
}
