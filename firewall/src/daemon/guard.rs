//! Refuses rules that would lock the user out.

use rules::compiler::InterfaceIndex;

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
};

impl Daemon {
    /// Fails when a requested candidate would drop packets that keep this machine reachable and
    /// pass now.
    pub(super) async fn guard(
        &self,
        next: &Next,
        present: &Present,
        targets: &Targets,
    ) -> Result<(), Error> {
        let Some(requester) = targets.requester else {
            return Ok(());
        };
        let candidate = candidate(next);
        targets.progress.at(LOOKING);
        let lifelines = lockout::lifelines(requester.caller, &targets.selection.interfaces).await;
        let count = lifelines.len();
        tracing::debug!(
            event = "lifelines",
            count,
            "{count} packets keep this machine reachable"
        );
        if lockout::check(&lifelines, &candidate, None).is_ok() {
            return Ok(());
        }
        let image = self.current.image().map(bytes).transpose();
        let image = image.map_err(PinnedError::from)?;
        let in_force = image.as_deref().map(|image| RulesInForce {
            classifier: Classifier::new(image, []),
            interfaces: filtered(present),
        });
        match lockout::check(&lifelines, &candidate, in_force.as_ref()) {
            Err(error) if requester.force => {
                tracing::warn!(event = "lockout_forced", %error, "{error}; they are forced");
                Ok(())
            }
            checked => Ok(checked?),
        }
    }
}

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

fn bytes(image: &Image) -> Result<Vec<u8>, ImageError> {
    image.bytes(image.describe()?.length)
}

fn filtered(present: &Present) -> Vec<InterfaceIndex> {
    let links = present.links.iter();
    links.filter_map(|link| link.interface).collect()
}
