//! The packets that this machine needs on an interface, as findings.

use crate::{
    doctor::finding::{Finding, Fix, Severity},
    interfaces::list,
    lockout::{self, lifelines::Weight},
};

/// The packets that rules must pass on the interface, one of each purpose.
pub(crate) async fn needs(interface: &str) -> Vec<Finding> {
    let interfaces = list::list().await.unwrap_or_default();
    let mut interfaces = interfaces.into_iter();
    let Some(interface) = interfaces.find(|one| one.name == interface) else {
        return Vec::new();
    };
    let mut findings: Vec<Finding> = Vec::new();
    for lifeline in lockout::lifelines(None, &[interface]).await {
        let fix = match lifeline.weight {
            Weight::Refused => "`apply` refuses rules that drop it".to_owned(),
            Weight::Warned(_, help) => format!("if rules drop it, {help}"),
            // Of a session that is shown already.
            Weight::RefusedLike(_) => continue,
        };
        let message = format!("rules must pass {}", lifeline.what);
        if findings.iter().all(|known| known.message != message) {
            findings.push(Finding {
                id: "needs",
                severity: Severity::Note,
                message,
                fix: Some(Fix::Advice(fix)),
            });
        }
    }
    findings
}
