//! Rules are not brought into force when they would lock somebody out.

use rules::compiler::InterfaceIndex;

use crate::{
    candidate::compile,
    daemon::{Daemon, Means},
    error::Error,
    filter::plan::Present,
    generation::{classifier::Judge, pinned::Again},
    kernel::images::{Image, ImageError},
    lockout::{self, InForce, caller::Caller},
};

/// Who asks for rules, and how much they want them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// The SSH session of whoever asks.
    pub(crate) caller: Option<Caller>,
    /// Whether the rules are wanted even if they lock somebody out.
    pub(crate) force: bool,
}

/// The rules in force, when there are some.
pub(super) struct Before<'a> {
    /// Their image.
    pub(super) image: Option<&'a Image>,
    /// What they filter.
    pub(super) present: &'a Present,
}

impl Daemon {
    /// Fails when a candidate that somebody asks for would cut off what keeps this machine reachable
    /// and is reachable now.
    pub(super) async fn guard(
        &self,
        candidate: lockout::Candidate<'_>,
        before: Before<'_>,
        means: &Means,
    ) -> Result<(), Error> {
        let Some(asked) = means.demand.asked else {
            return Ok(());
        };
        means.progress.at(LOOKING);
        let lifelines = lockout::lifelines(asked.caller, &means.interfaces).await;
        let count = lifelines.len();
        tracing::debug!(
            event = "lifelines",
            count,
            "{count} packets keep this machine reachable"
        );
        if lockout::check(&lifelines, &candidate, None).is_ok() {
            return Ok(());
        }
        let image = before.image.map(bytes).transpose();
        let image = image.map_err(|error| Error::Earlier(error.into()))?;
        let in_force = image.as_deref().map(|image| InForce {
            judge: Judge::new(image, []),
            interfaces: filtered(before.present),
        });
        match lockout::check(&lifelines, &candidate, in_force.as_ref()) {
            Err(error) if asked.force => {
                tracing::warn!(event = "lockout_forced", %error, "{error}; they are forced");
                Ok(())
            }
            checked => Ok(checked?),
        }
    }
}

/// A compiled rule file as it is judged.
pub(super) fn of_file(candidate: &compile::Candidate) -> lockout::Candidate<'_> {
    let rules = candidate.ruleset().rules.iter();
    lockout::Candidate {
        judge: candidate.judge(),
        rules: rules
            .map(|rule| (rule.name.as_str(), Some(rule.place.line.get())))
            .collect(),
        file: candidate.metadata.file.clone(),
    }
}

/// An earlier generation as it is judged.
pub(super) fn of_earlier(again: &Again) -> lockout::Candidate<'_> {
    let rules = again.metadata.rules.iter();
    lockout::Candidate {
        judge: again.judge(),
        rules: rules.map(|rule| (rule.name.as_str(), None)).collect(),
        file: again.metadata.file.clone(),
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
