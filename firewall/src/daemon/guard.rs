//! Refuses rules that would lock the user out.

use rules::{
    compiler::InterfaceIndex,
    diagnostics::Code,
    model::{Rule, RuleAction},
};

use crate::{
    daemon::{
        state::Daemon,
        switch::{Next, Targets},
    },
    error::Error,
    filter::plan::Present,
    generation::{classifier::Classifier, pinned::PinnedError},
    kernel::images::{Image, ImageError},
    lockout::{self, RulesInForce},
    text::format::counted,
};

impl Daemon {
    /// Fails when a requested candidate would drop packets that keep this machine reachable and
    /// pass now; returns warnings of others that it needs.
    pub(super) async fn guard(
        &self,
        next: &Next,
        present: &Present,
        targets: &Targets,
    ) -> Result<Vec<lockout::DroppedNeed>, Error> {
        let Some(requester) = targets.requester else {
            return Ok(Vec::new());
        };
        let candidate = candidate(next);
        targets.progress.at(LOOKING);
        let lifelines = lockout::lifelines(requester.caller, &targets.selection.interfaces).await;
        let count = lifelines.len();
        tracing::debug!(
            event = "lifelines",
            count,
            "{} must pass to keep this machine reachable",
            counted(count, "packet")
        );
        let warnings = lockout::warnings(&lifelines, &candidate, &allowed(next));
        for warning in &warnings {
            tracing::warn!(
                event = "needed_packet_dropped",
                code = warning.code.as_str(),
                help = warning.help,
                "{warning}"
            );
        }
        if lockout::check(&lifelines, &candidate, None).is_ok() {
            return Ok(warnings);
        }
        let image = match self.current.image().map(Image::bytes).transpose() {
            // The image is of another version. Its rules are known if they are those of the same file.
            Err(ImageError::Layout { .. }) if self.has_in_force(next) => return Ok(warnings),
            Err(ImageError::Layout { .. }) => None,
            image => image.map_err(PinnedError::from)?,
        };
        let in_force = image.as_deref().map(|image| RulesInForce {
            classifier: Classifier::new(image, []),
            interfaces: filtered(present),
        });
        match lockout::check(&lifelines, &candidate, in_force.as_ref()) {
            Err(error) if requester.force => {
                tracing::warn!(event = "lockout_forced", %error, "{error}; they are forced");
                Ok(warnings)
            }
            checked => {
                checked?;
                Ok(warnings)
            }
        }
    }
}

impl Daemon {
    /// Whether an earlier daemon left the rules of the same file in force.
    fn has_in_force(&self, next: &Next) -> bool {
        let in_force = self.current.metadata();
        in_force.is_some_and(|in_force| in_force.sha256 == next.loadable().metadata.sha256)
    }
}

/// The warnings that the rule file allows; none of an image, which does not have them.
fn allowed(next: &Next) -> Vec<Code> {
    let Next::File {
        candidate, source, ..
    } = next
    else {
        return Vec::new();
    };
    let mut allowed = source.allowed.clone();
    // Which server will answer is not known: a rule for one is taken to be for the right one.
    let mut rules = candidate.ruleset().rules.iter();
    let is_of_dhcp = |rule: &Rule| {
        let ports = rule.matches.dport.as_ref();
        rule.action == RuleAction::Pass && ports.is_some_and(|ports| ports.contains(DHCP_CLIENT))
    };
    if rules.any(is_of_dhcp) {
        allowed.push(Code::DropsDhcp);
    }
    allowed
}

/// The port of DHCP clients (RFC 2131, section 4.1).
const DHCP_CLIENT: u16 = 68;

/// The candidate, in the form for the check of lifelines.
fn candidate(next: &Next) -> lockout::Proposed<'_> {
    match next {
        Next::File { candidate, .. } => {
            let rules = candidate.ruleset().rules.iter();
            lockout::Proposed {
                classifier: candidate.classifier(),
                rules: rules
                    .map(|rule| (rule.name.as_str(), Some(rule.place.line.get())))
                    .collect(),
                file: candidate.metadata.file.clone(),
            }
        }
        Next::Pinned { again, .. } => {
            let rules = again.metadata.rules.iter();
            lockout::Proposed {
                classifier: again.classifier(),
                rules: rules.map(|rule| (rule.name.as_str(), None)).collect(),
                file: again.metadata.file.clone(),
            }
        }
    }
}

const LOOKING: &str = "looking for what keeps this machine reachable";

fn filtered(present: &Present) -> Vec<InterfaceIndex> {
    let links = present.links.iter();
    let links = links.filter(|link| !link.hook.is_egress());
    links.filter_map(|link| link.interface).collect()
}
