//! The interfaces by which the default routes lead, as findings.

use rules::field::InterfacePattern;

use crate::{
    doctor::finding::{Finding, Fix, Severity},
    interfaces::list,
    lockout,
};

/// The interfaces of default routes that `interfaces` of the rules in force does not have.
pub(crate) async fn uplinks(patterns: &[InterfacePattern]) -> Vec<Finding> {
    let interfaces = list::list().await.unwrap_or_default();
    let routes = lockout::default_routes().await.unwrap_or_default();
    let unfiltered = interfaces.into_iter().filter(|interface| {
        let is_selected = patterns
            .iter()
            .any(|pattern| pattern.selects(&interface.name));
        routes.contains(&interface.index.0) && !is_selected
    });
    unfiltered.map(|interface| of(&interface.name)).collect()
}

fn of(interface: &str) -> Finding {
    let message = format!(
        "a default route leads by `{interface}`, which is not in `interfaces` of the rules in force: packets there \
         are not filtered"
    );
    Finding {
        id: "uplink",
        severity: Severity::Note,
        message,
        fix: Some(Fix::Advice(
            "add it to `interfaces` if they should be".to_owned(),
        )),
    }
}
