//! `firewall doctor`: what keeps an interface from being filtered, or from being filtered fast, and
//! the command that mends it. Nothing is attached, and nothing changed.

pub(crate) mod facts;
pub(crate) mod findings;
pub(crate) mod generic_netlink;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use serde::Serialize;

use crate::{
    doctor::findings::{Finding, Mend, Severity},
    error::Error,
    kernel::link::AttachMode,
};

/// The exit status when there are warnings.
const WARNINGS: u8 = 1;

/// The exit status when there are errors, or nothing could be found out.
const ERRORS: u8 = 2;

#[derive(Serialize)]
struct DoctorReport<'a> {
    interface: &'a str,
    severity: Severity,
    findings: &'a [Finding],
}

/// Prints what there is to be known about an interface.
pub(crate) async fn run(interface: &str, json: bool) -> ExitCode {
    match report(interface, json).await {
        Ok(Severity::Ok | Severity::Note) => ExitCode::SUCCESS,
        Ok(Severity::Warning) => ExitCode::from(WARNINGS),
        Ok(Severity::Error) => ExitCode::from(ERRORS),
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            error.tell();
            ExitCode::from(ERRORS)
        }
    }
}

/// What there is to be known about interfaces that a program is to be attached to, by name.
#[derive(Debug, Default)]
pub(crate) struct Examined(Vec<(String, Vec<Finding>)>);

impl Examined {
    /// Examines those of the interfaces that are there. What cannot be found out is left out: it
    /// keeps nobody from attaching.
    pub(crate) async fn of(interfaces: &[&str]) -> Self {
        match facts::gather_all(interfaces).await {
            Ok(all) => Self(
                all.into_iter()
                    .map(|facts| (facts.name.clone(), findings::examine(&facts)))
                    .collect(),
            ),
            Err(error) => {
                tracing::debug!(
                    event = "interfaces_not_examined",
                    %error,
                    "the interfaces are not examined"
                );
                Self::default()
            }
        }
    }

    /// Logs what is to be known about a program in one of the modes: the warnings, and what hides
    /// tags from rules that ask for them, if there are such.
    pub(crate) fn log_warnings(&self, modes: &[AttachMode], rules_ask_for_tags: bool) {
        // Whether there is a native mode is told when the driver has answered.
        let is_for = |finding: &&Finding| match finding.id {
            findings::NATIVE => false,
            findings::VLAN => rules_ask_for_tags && modes.contains(&AttachMode::Native),
            findings::LAYERS => finding.severity == Severity::Warning,
            _ => finding.severity == Severity::Warning && modes.contains(&AttachMode::Native),
        };
        for (interface, findings) in &self.0 {
            for finding in findings.iter().filter(is_for) {
                let (command, advice) = match &finding.mend {
                    Some(Mend::Command(command)) => (Some(command.as_str()), None),
                    Some(Mend::Advice(advice)) => (None, Some(advice.as_str())),
                    None => (None, None),
                };
                tracing::warn!(
                    event = "interface_warning",
                    interface = interface.as_str(),
                    finding = finding.id,
                    command,
                    advice,
                    "`{interface}`: {finding}"
                );
            }
        }
    }

    /// What keeps a native program off an interface, and what mends it.
    pub(crate) fn obstacles(&self, interface: &str) -> Option<String> {
        let findings = self.0.iter().filter(|(name, _)| name == interface);
        let obstacles: Vec<String> = findings
            .flat_map(|(_, findings)| findings)
            .filter(|finding| {
                finding.severity == Severity::Error && finding.id != findings::PROGRAM
            })
            .map(ToString::to_string)
            .collect();
        (!obstacles.is_empty()).then(|| obstacles.join("; "))
    }
}

async fn report(interface: &str, json: bool) -> Result<Severity, Error> {
    let findings = findings::examine(&facts::gather(interface).await?);
    let worst = findings.iter().map(|finding| finding.severity).max();
    let severity = worst.unwrap_or(Severity::Ok);
    let text = if json {
        let report = DoctorReport {
            interface,
            severity,
            findings: &findings,
        };
        serde_json::to_string_pretty(&report).map_err(|error| Error::Output(error.into()))? + "\n"
    } else {
        to_text(&findings)
    };
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Error::Output)?;
    Ok(severity)
}

fn to_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let Finding {
            id,
            severity,
            message,
            mend,
        } = finding;
        text.push_str(&format!("{severity:7}  {id:12}  {message}\n"));
        let mend = match mend {
            None => continue,
            Some(Mend::Command(command)) => format!("run: {command}"),
            Some(Mend::Advice(advice)) => advice.clone(),
        };
        text.push_str(&format!("{:23}{mend}\n", ""));
    }
    text
}
