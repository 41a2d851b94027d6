//! The rules in force, read from the pins: the image that judges packets at this moment, and the
//! rule file it came from, if that is still what it was.

use tokio::task;

use crate::{
    commands::explain::{
        asked::Asked, explained::Explained, explainer::Explainer, packets::index_of,
    },
    config::Config,
    error::Error,
    generation::{classifier::Classifier, in_force, metadata::Metadata},
    interfaces::list,
    kernel::hook::Hook,
    logging::{lines::tell_progress, progress::Progress},
    rule_file::{
        input::RuleInput,
        load::{self, RuleFile},
    },
};

/// Explains packets by the rules in force. Returns whether that shows a defect.
pub(super) async fn explain(config: &Config, asked: Asked) -> Result<bool, Error> {
    let (loaded, image) = in_force::read_whole(config)?;
    let metadata = loaded.metadata;
    let linked = config.pins.linked(Hook::Xdp);
    let linked = linked.map_err(in_force::LoadedError::Pin)?;
    let mut asked = asked.on_usual_interface(linked.first().map(String::as_str));
    let interfaces = list::list().await?;
    let file = unchanged(&metadata).await?;
    let outcome = asked.print(&Explainer {
        classifier: Classifier::new(&image, metadata.rules.iter().map(|rule| rule.slot)),
        metadata: &metadata,
        ruleset: file.as_ref().map(|file| &*file.ruleset),
        is_certain: false,
        index_of: Box::new(|name| index_of(&interfaces, name)),
        learns_interfaces: false,
        pins: Some(&config.pins),
    })?;
    Ok(outcome == Explained::Defect)
}

/// The rule file in force, if it can be read and is what it was.
async fn unchanged(metadata: &Metadata) -> Result<Option<RuleFile>, Error> {
    let progress = Progress::told_to(tell_progress);
    let input = RuleInput::File(metadata.file.clone());
    let loaded = task::spawn_blocking(move || load::load(&input, &progress)).await?;
    let is_same = |file: &RuleFile| {
        let names = file.ruleset.rules.iter().map(|rule| rule.name.as_str());
        file.sha256 == metadata.sha256
            && names.eq(metadata.rules.iter().map(|rule| rule.name.as_str()))
    };
    Ok(loaded.ok().filter(is_same))
}
