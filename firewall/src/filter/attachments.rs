//! The links of this instance, and the steps of a plan that concern them.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
};

use rules::compiler::InterfaceIndex;

use crate::{
    error::UserError,
    filter::plan::{AttachTarget, LinkStep, PresentLink},
    kernel::{
        link::{AttachError, AttachMode, Link},
        pins::{self, PinError, PinState, Pins},
        undo::Undo,
    },
};

/// A link and the name under which it is pinned.
#[derive(Clone, Debug)]
pub(crate) struct Attachment {
    /// The interface's name when the link was pinned.
    pub(crate) name: String,
    /// The link.
    pub(crate) link: Arc<Link>,
}

/// Why the links could not be brought into the planned state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachmentError {
    /// A link was refused.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// A pin could not be made or removed.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The plan refers to a link that does not exist.
    #[error("there is no link called `{0}`")]
    NoLink(String),
}

impl UserError for AttachmentError {}

/// The result of the steps of a plan.
pub(crate) struct Established {
    /// The links to keep.
    pub(crate) attachments: Vec<Attachment>,
    /// The links that [`release`] detaches.
    pub(crate) leaving: Vec<Attachment>,
    /// The optional interfaces that refused or were gone.
    pub(crate) refused: Vec<(AttachTarget, AttachError)>,
}

/// The programs between which links switch.
pub(crate) struct Programs<'a> {
    /// The program that runs now, if it could be opened.
    pub(crate) old: Option<&'a Arc<OwnedFd>>,
    /// The program that is to run.
    pub(crate) new: &'a Arc<OwnedFd>,
    /// Whether the two differ.
    pub(crate) differ: bool,
}

/// Opens the pinned links; one whose pin is removed meanwhile is skipped.
pub(crate) fn open(pins: &Pins) -> Result<Vec<Attachment>, AttachmentError> {
    let mut attachments = Vec::new();
    for name in pins.linked()? {
        if let Some(link) = Link::open(&pins.link(&name), &name)? {
            let link = Arc::new(link);
            attachments.push(Attachment { name, link });
        }
    }
    Ok(attachments)
}

/// The pinned links, and why others cannot be opened, by the names of their interfaces.
#[derive(Default)]
pub(crate) struct Opened {
    /// The links.
    pub(crate) attachments: Vec<Attachment>,
    /// The failures.
    pub(crate) failed: Vec<(String, AttachError)>,
}

/// Opens the pinned links as far as possible.
pub(crate) fn open_each(pins: &Pins) -> Result<Opened, AttachmentError> {
    let mut opened = Opened::default();
    for name in pins.linked()? {
        match Link::open(&pins.link(&name), &name) {
            Ok(Some(link)) => {
                let link = Arc::new(link);
                opened.attachments.push(Attachment { name, link });
            }
            Ok(None) => {}
            Err(error) => opened.failed.push((name, error)),
        }
    }
    Ok(opened)
}

/// The state of the links in the kernel, for a plan.
pub(crate) fn inspect(attachments: &[Attachment]) -> Result<Vec<PresentLink>, AttachmentError> {
    attachments
        .iter()
        .map(|attachment| {
            let info = attachment.link.info()?;
            Ok(PresentLink {
                name: attachment.name.clone(),
                interface: (info.interface != 0).then_some(InterfaceIndex(info.interface)),
                program: info.program,
            })
        })
        .collect()
}

/// Executes the steps up to the point of no return, at which every link to keep runs the new
/// program. [`release`] executes the rest.
pub(crate) fn establish(
    steps: &[LinkStep],
    present: &[Attachment],
    pins: &Pins,
    programs: &Programs<'_>,
    undo: &mut Undo,
) -> Result<Established, AttachmentError> {
    let mut present = present.to_vec();
    let mut established = Established {
        attachments: Vec::with_capacity(steps.len()),
        leaving: Vec::new(),
        refused: Vec::new(),
    };
    for step in steps {
        match step {
            LinkStep::Forget { name } => {
                tracing::warn!(
                    event = "interface_gone",
                    interface = name.as_str(),
                    "interface `{name}` was removed or detached by another process"
                );
                forget(find(&present, name)?, pins)?;
            }
            LinkStep::Rename { name, to } => rename(&mut present, name, to, pins, undo)?,
            LinkStep::Keep { name } => {
                let attachment = find(&present, name)?;
                if programs.differ {
                    replace(attachment, programs, undo)?;
                }
                established.attachments.push(attachment.clone());
            }
            LinkStep::Attach(target) => {
                established.note(target, attach(target, pins, programs, undo))?;
            }
            LinkStep::Reattach { name, from, target } => {
                let attachment = find(&present, name)?;
                tracing::warn!(
                    event = "mode_changing",
                    interface = name.as_str(),
                    "`{name}` is not filtered while its mode changes"
                );
                remove(attachment, pins)?;
                restore(attachment, *from, target.index, pins, programs, undo);
                established.note(target, attach(target, pins, programs, undo))?;
            }
            LinkStep::Detach { name } => established.leaving.push(find(&present, name)?.clone()),
        }
    }
    Ok(established)
}

impl Established {
    /// Records a link, or a refusal that is no error.
    fn note(
        &mut self,
        target: &AttachTarget,
        attached: Result<Attachment, AttachmentError>,
    ) -> Result<(), AttachmentError> {
        match attached {
            Ok(attachment) => self.attachments.push(attachment),
            Err(AttachmentError::Attach(error))
                if !target.required || matches!(error, AttachError::Gone { .. }) =>
            {
                self.refused.push((target.clone(), error));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Detaches unwanted links. Failures are logged: the new rules are in force already.
pub(crate) fn release(leaving: &[Attachment], pins: &Pins) {
    for attachment in leaving {
        let name = attachment.link.interface();
        match remove(attachment, pins) {
            Ok(()) => {
                tracing::info!(
                    event = "detached",
                    interface = name,
                    "detached from `{name}`"
                );
            }
            Err(error) => tracing::error!(
                event = "detach_failed",
                interface = name,
                error = &error as &dyn std::error::Error,
                "`{name}` could not be detached"
            ),
        }
    }
}

/// Removes the pin of a link that is gone, unless another process has pinned its own there.
fn forget(attachment: &Attachment, pins: &Pins) -> Result<(), PinError> {
    let path = pins.link(&attachment.name);
    match pins::state(&path, attachment.link.fd())? {
        PinState::Same => pins::unpin(&path),
        PinState::Missing | PinState::Foreign => Ok(()),
    }
}

/// Renames a pin.
fn rename(
    present: &mut [Attachment],
    name: &str,
    to: &str,
    pins: &Pins,
    undo: &mut Undo,
) -> Result<(), AttachmentError> {
    let attachment = present
        .iter_mut()
        .find(|attachment| attachment.name == name)
        .ok_or_else(|| AttachmentError::NoLink(name.to_owned()))?;
    let (before, after) = (pins.link(name), pins.link(to));
    pins::rename(&before, &after)?;
    to.clone_into(&mut attachment.name);
    undo.push("give a link its name back", move || {
        pins::rename(&after, &before)
    });
    Ok(())
}

/// Detaches a link and removes its pin.
pub(crate) fn remove(attachment: &Attachment, pins: &Pins) -> Result<(), AttachmentError> {
    attachment.link.detach()?;
    pins::unpin(&pins.link(&attachment.name))?;
    Ok(())
}

fn find<'a>(present: &'a [Attachment], name: &str) -> Result<&'a Attachment, AttachmentError> {
    present
        .iter()
        .find(|attachment| attachment.name == name)
        .ok_or_else(|| AttachmentError::NoLink(name.to_owned()))
}

fn replace(
    attachment: &Attachment,
    programs: &Programs<'_>,
    undo: &mut Undo,
) -> Result<(), AttachmentError> {
    attachment.link.replace(programs.new.as_fd())?;
    if let Some(old) = programs.old.cloned() {
        let link = Arc::clone(&attachment.link);
        undo.push(
            format!("give `{}` its program back", attachment.name),
            move || link.replace(old.as_fd()),
        );
    }
    Ok(())
}

fn attach(
    target: &AttachTarget,
    pins: &Pins,
    programs: &Programs<'_>,
    undo: &mut Undo,
) -> Result<Attachment, AttachmentError> {
    let (link, mode) = attach_in_some_mode(target, programs)?;
    let attachment = Attachment {
        name: target.name.clone(),
        link: Arc::new(link),
    };
    let link = Arc::clone(&attachment.link);
    undo.push(format!("detach from `{}`", target.name), move || {
        link.detach()
    });
    let path = pins.link(&target.name);
    let name = target.name.as_str();
    match attachment.link.pin(&path) {
        Ok(()) => undo.push(format!("unpin the link to `{name}`"), move || {
            pins::unpin(&path)
        }),
        // Filtering matters more than what outlives this process; the audit pins it when there is room.
        Err(error) if pins::is_taken(&path) => tracing::error!(
            event = "link_not_pinned",
            interface = name,
            error = &error as &dyn std::error::Error,
            "the link to `{name}` is not pinned, and ends with this daemon: something else is at its place"
        ),
        Err(error) => return Err(error.into()),
    }
    tracing::info!(
        event = "attached",
        interface = name,
        %mode,
        "attached to `{name}` in {mode} mode"
    );
    Ok(attachment)
}

fn attach_in_some_mode(
    target: &AttachTarget,
    programs: &Programs<'_>,
) -> Result<(Link, AttachMode), AttachError> {
    let mut modes = target.modes.iter().copied().peekable();
    loop {
        // A target has a mode, and a mode is dropped only when another follows it.
        let Some(mode) = modes.next() else {
            return Err(AttachError::Gone {
                interface: target.name.clone(),
            });
        };
        let attached = Link::attach(programs.new.as_fd(), &target.name, target.index.0, mode);
        match (attached, modes.peek()) {
            (Ok(link), _) => return Ok((link, mode)),
            (
                Err(error @ (AttachError::NoNative { .. } | AttachError::Settings { .. })),
                Some(next),
            ) => tracing::warn!(
                event = "mode_fallback",
                interface = target.name.as_str(),
                mode = %next,
                %error,
                "{error}: attaching in {next} mode, which is slower"
            ),
            (Err(error), _) => return Err(error),
        }
    }
}

/// Adds the step that attaches the old program again in the mode it had.
fn restore(
    attachment: &Attachment,
    mode: AttachMode,
    index: InterfaceIndex,
    pins: &Pins,
    programs: &Programs<'_>,
    undo: &mut Undo,
) {
    let Some(old) = programs.old.cloned() else {
        return;
    };
    let name = attachment.name.clone();
    let path = pins.link(&name);
    undo.push(format!("attach to `{name}` as before"), move || {
        let link = Link::attach(old.as_fd(), &name, index.0, mode)?;
        link.pin(&path)?;
        Ok::<_, AttachmentError>(())
    });
}
