//! Findings about the interfaces that a program is about to be attached to.

use crate::{
    doctor::{
        facts,
        finding::{Finding, Fix, Severity},
        findings,
    },
    kernel::link::AttachMode,
};

/// Findings about the interfaces that a program is about to be attached to, by interface name.
#[derive(Debug, Default)]
pub(crate) struct Examined(Vec<(String, Vec<Finding>)>);

impl Examined {
    /// Examines those of the interfaces that exist. A failed examination yields no findings: it
    /// must not prevent attaching.
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

    /// Logs the findings that matter in one of the modes: the warnings and, if rules match on VLAN
    /// tags, the reason why tags are hidden from them.
    pub(crate) fn log_warnings(&self, modes: &[AttachMode], rules_ask_for_tags: bool) {
        // Missing native XDP is reported later, from the answer of the driver.
        let is_for = |finding: &&Finding| match finding.id {
            findings::NATIVE => false,
            findings::VLAN => rules_ask_for_tags && modes.contains(&AttachMode::Native),
            findings::LAYERS => finding.severity == Severity::Warning,
            _ => finding.severity == Severity::Warning && modes.contains(&AttachMode::Native),
        };
        for (interface, findings) in &self.0 {
            for finding in findings.iter().filter(is_for) {
                let (command, advice) = match &finding.fix {
                    Some(Fix::Command(command)) => (Some(command.as_str()), None),
                    Some(Fix::Advice(advice)) => (None, Some(advice.as_str())),
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

    /// The findings that prevent native XDP on an interface, with their fixes.
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
