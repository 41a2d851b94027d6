//! `firewall doctor`.

use clap::Args;
use serde::Serialize;

use crate::{
    commands::output,
    doctor::{
        facts,
        findings::{self, Finding, Fix, Severity},
    },
    error::{Error, ExitStatus},
};

/// Diagnose an interface: why it cannot be filtered, or not at full speed, and how to fix it
///
/// Each finding comes with the command that fixes it. Nothing is attached or changed. Needs no
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
pub(crate) async fn run(args: DoctorArgs) -> Result<ExitStatus, Error> {
    let facts = match facts::gather(&args.interface).await {
        Ok(facts) => facts,
        Err(error) => {
            Error::from(error).tell();
            return Ok(ExitStatus::Unfit);
        }
    };
    let findings = findings::examine(&facts);
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
