//! The rules in force, read from the pins: the image that judges packets at this moment, and the
//! rule file it came from, if that is still what it was.

use rules::evaluator::decode;
use tokio::task;

use crate::{
    commands::explain::{
        packets::{Packet, index_of, on_usual_interface},
        report::Shown,
    },
    config::Config,
    error::Error,
    generation::{
        classifier::{Classifier, NOWHERE},
        in_force,
        metadata::Metadata,
    },
    interfaces::list,
    logging::{lines::tell_progress, progress::Progress},
    observe::bans::{self, BanEntry},
    rule_file::load::{self, RuleFile},
};

/// Explains packets by the rules in force.
pub(super) async fn explain(config: &Config, packets: Vec<Packet>) -> Result<Vec<Shown>, Error> {
    let (loaded, image) = in_force::read_whole(config)?;
    let metadata = loaded.metadata;
    let linked = config.pins.linked().map_err(in_force::LoadedError::Pin)?;
    let packets = on_usual_interface(packets, linked.first().map(String::as_str));
    let interfaces = list::list().await?;
    let file = unchanged(&metadata).await?;
    let classifier = Classifier::new(&image, metadata.rules.iter().map(|rule| rule.slot));
    let bans = packets.iter().map(|packet| {
        let source = decode(&packet.frame).ok().and_then(|fields| fields.src);
        match source {
            Some(source) => Ok(bans::ban_of(&config.pins, source)?),
            None => Ok(None),
        }
    });
    let bans: Vec<Option<BanEntry>> = bans.collect::<Result<_, Error>>()?;
    let shown = packets.into_iter().zip(bans).map(|(packet, ban)| {
        if let Some(ban) = ban {
            return Shown::banned(packet, ban);
        }
        let index = index_of(&interfaces, packet.interface.as_deref()).unwrap_or(NOWHERE);
        let verdict = classifier.classify(&packet.frame, index);
        match &file {
            Some(file) => {
                let path = metadata.file.display().to_string();
                Shown::explained(&file.ruleset, &path, packet, verdict, false)
            }
            None => Shown::judged(&metadata, packet, &verdict),
        }
    });
    Ok(shown.collect())
}

/// The rule file in force, if it can be read and is what it was.
async fn unchanged(metadata: &Metadata) -> Result<Option<RuleFile>, Error> {
    let progress = Progress::told_to(tell_progress);
    let path = metadata.file.clone();
    let loaded = task::spawn_blocking(move || load::load(&path, &progress)).await?;
    let is_same = |file: &RuleFile| {
        let names = file.ruleset.rules.iter().map(|rule| rule.name.as_str());
        file.sha256 == metadata.sha256
            && names.eq(metadata.rules.iter().map(|rule| rule.name.as_str()))
    };
    Ok(loaded.ok().filter(is_same))
}
