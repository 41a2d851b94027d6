//! Removes all objects of an instance from the kernel, also those of other processes.

use std::collections::BTreeSet;

use crate::{
    error::UserError,
    filter::attachments::{self, AttachmentError},
    kernel::{
        images::Images,
        link::AttachError,
        pins::{self, PinError, PinnedObject, Pins, Shared},
    },
};

/// Why objects may be left.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnloadError {
    /// A link.
    #[error("not everything could be unloaded")]
    Link(#[from] AttachError),
    /// A link or its pin.
    #[error("not everything could be unloaded")]
    Attachment(#[from] AttachmentError),
    /// A pin.
    #[error("not everything could be unloaded")]
    Pin(#[from] PinError),
}

impl UserError for UnloadError {}

/// Detaches every link, removes the image in force, and removes the pins, upon which the kernel
/// frees program and maps. Continues after an error, and reports the first.
///
/// Returns the names of the interfaces that were detached; `None` when nothing was loaded.
pub(crate) fn unload(pins: &Pins) -> Result<Option<Vec<String>>, UnloadError> {
    if !pins.exist() {
        // An earlier unload may have been killed before it removed the folders.
        pins.remove_folder()?;
        return Ok(None);
    }
    let opened = attachments::open_each(pins)?;
    let links = opened.attachments.iter().map(|attachment| &attachment.name);
    let failed = opened.failed.iter().map(|(_, name, _)| name);
    let names: BTreeSet<String> = links.chain(failed).cloned().collect();
    let mut first_error: Result<(), UnloadError> = Ok(());
    let mut note = |outcome: Result<(), UnloadError>| {
        if first_error.is_ok() {
            first_error = outcome;
        }
    };
    for attachment in &opened.attachments {
        let detached = attachment.link.detach();
        note(detached.map_err(Into::into));
        if attachment.link.fd().is_some() {
            note(pins::unpin(&attachment.pin(pins)).map_err(Into::into));
        }
    }
    for (hook, name, error) in opened.failed {
        note(Err(error.into()));
        note(pins::unpin(&pins.link(hook, &name)).map_err(Into::into));
    }
    for index in pins.clsacts()? {
        let cleared = attachments::clear_room(&format!("interface {index}"), index, pins);
        note(cleared.map_err(Into::into));
        note(pins::unpin(&pins.clsact(index)).map_err(Into::into));
    }
    let in_force = PinnedObject::ALL.map(|object| (object, pins.object(object)));
    let interrupted = pins
        .interrupted()?
        .into_iter()
        .map(|(generation, object)| (object, pins.next(generation, object)));
    for (object, path) in in_force.into_iter().chain(interrupted) {
        if object == PinnedObject::Images {
            clear(&path);
        }
        note(pins::unpin(&path).map_err(Into::into));
    }
    for (kept, generation) in pins.all_kept()? {
        note(pins::unpin(&pins.kept(kept, generation)).map_err(Into::into));
    }
    for object in Shared::ALL {
        note(pins::unpin(&pins.shared(object)).map_err(Into::into));
    }
    note(pins.remove_folder().map_err(Into::into));
    first_error?;
    Ok(Some(names.into_iter().collect()))
}

/// Frees the image, even while another process holds the array.
fn clear(path: &std::path::Path) {
    let Ok(Some(_)) = pins::open(path) else {
        return;
    };
    match Images::open(path) {
        Ok(mut images) => {
            if let Err(error) = images.clear() {
                tracing::warn!(
                    event = "image_not_deleted",
                    %error,
                    "the image in force could not be deleted"
                );
            }
        }
        Err(error) => tracing::warn!(
            event = "images_not_opened",
            %error,
            "the images could not be opened"
        ),
    }
}

/// The message about the result of [`unload`].
pub(crate) fn describe(interfaces: Option<&[String]>) -> String {
    match interfaces {
        None => "nothing was loaded".into(),
        Some([]) => "unloaded".into(),
        Some(names) => format!("unloaded: detached from `{}`", names.join("`, `")),
    }
}
