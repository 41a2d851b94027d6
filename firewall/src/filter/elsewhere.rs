//! What an instance has loaded, and the network namespace that it was loaded in.
//!
//! Pins are seen by all processes that see their BPF file system; interfaces, addresses and indexes are those of
//! a network namespace.

use crate::{
    error::UserError,
    filter::attachments,
    generation::metadata::Metadata,
    interfaces::namespace::NetworkNamespace,
    kernel::{
        images::Images,
        pins::{PinnedObject, Pins},
    },
};

/// What is loaded filters interfaces of another network namespace than that of this process.
#[derive(Debug, thiserror::Error)]
#[error(
    "what is loaded filters interfaces of the network namespace {loaded_in}, and this command runs in {own}"
)]
pub(crate) struct ElsewhereError {
    loaded_in: NetworkNamespace,
    own: NetworkNamespace,
}

impl UserError for ElsewhereError {
    fn help(&self) -> Option<String> {
        Some(
            "run it in that network namespace, or name another instance with `--instance`; \
             `firewall unload --force` ends filtering there"
                .into(),
        )
    }
}

/// Checks that this process runs in the network namespace whose interfaces are filtered, if any are.
///
/// # Errors
///
/// When it runs in another one. What cannot be read is no reason.
pub(crate) fn require_own_namespace(pins: &Pins) -> Result<(), ElsewhereError> {
    let Some(loaded_in) = recorded(pins) else {
        return Ok(());
    };
    match NetworkNamespace::own() {
        Ok(own) if own.inode != loaded_in && filters(pins) => Err(ElsewhereError {
            loaded_in: NetworkNamespace::with_inode(loaded_in),
            own,
        }),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The inode of the network namespace that the image in force was loaded in.
fn recorded(pins: &Pins) -> Option<u64> {
    let images = Images::open(&pins.object(PinnedObject::Images)).ok()?;
    let description = images.in_force().ok()??.describe().ok()?;
    Metadata::from_bytes(&description.metadata).ok()?.netns
}

/// Whether a link is attached to an interface. Those of a namespace that is gone are not.
fn filters(pins: &Pins) -> bool {
    attachments::open_each(pins).is_ok_and(|opened| {
        let mut links = opened.attachments.iter();
        links.any(|attachment| {
            let state = attachment.link.state();
            state.is_ok_and(|state| state.interface != 0)
        })
    })
}
