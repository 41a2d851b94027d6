//! What is known about the interfaces that a program is to be attached to.

use crate::{
    doctor::{
        facts,
        findings::{self, Finding, Mend, Severity},
    },
    kernel::link::AttachMode,
};

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
