//! The links of this instance, and the steps of a plan that concern them.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
    sync::Arc,
};

use rules::compiler::InterfaceIndex;

use crate::{
    error::UserError,
    filter::plan::{AttachTarget, LinkStep, Plan, PresentLink},
    kernel::{
        hook::Hook,
        link::{self, AttachError, AttachMode, Link},
        pins::{self, PinError, PinState, PinnedObject, Pins},
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

impl Attachment {
    fn of(link: Link) -> Self {
        Self {
            name: link.interface().to_owned(),
            link: Arc::new(link),
        }
    }

    /// The path of its pin, which a filter of traffic control does not have.
    pub(crate) fn pin(&self, pins: &Pins) -> PathBuf {
        pins.link(self.link.hook(), &self.name)
    }
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
    /// The plan refers to a program that was not loaded.
    #[error("no program was loaded for the {0} hook")]
    NoProgram(Hook),
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

/// The programs between which links switch, by their hooks.
pub(crate) struct Programs<'a> {
    /// The programs that run now, as far as they could be opened.
    pub(crate) old: &'a BTreeMap<Hook, Arc<OwnedFd>>,
    /// The programs that are to run: of each hook that the plan has steps for.
    pub(crate) new: &'a BTreeMap<Hook, Arc<OwnedFd>>,
    /// Whether the two differ.
    pub(crate) differ: bool,
}

impl Programs<'_> {
    fn new_at(&self, hook: Hook) -> Result<&Arc<OwnedFd>, AttachmentError> {
        let program = self.new.get(&hook);
        program.ok_or(AttachmentError::NoProgram(hook))
    }
}

/// Opens the links; one whose pin is removed meanwhile is skipped.
pub(crate) fn open(pins: &Pins) -> Result<Vec<Attachment>, AttachmentError> {
    let mut attachments = filters(pins)?;
    for hook in Hook::ALL {
        for name in pins.linked(hook)? {
            let link = Link::open(&pins.link(hook, &name), hook, &name)?;
            attachments.extend(link.map(Attachment::of));
        }
    }
    Ok(attachments)
}

/// The links, and why others cannot be opened, by the names of their interfaces.
#[derive(Default)]
pub(crate) struct Opened {
    /// The links.
    pub(crate) attachments: Vec<Attachment>,
    /// The failures.
    pub(crate) failed: Vec<(Hook, String, AttachError)>,
}

/// Opens the links as far as possible.
pub(crate) fn open_each(pins: &Pins) -> Result<Opened, AttachmentError> {
    let mut opened = Opened {
        attachments: filters(pins)?,
        failed: Vec::new(),
    };
    for hook in Hook::ALL {
        for name in pins.linked(hook)? {
            match Link::open(&pins.link(hook, &name), hook, &name) {
                Ok(link) => opened.attachments.extend(link.map(Attachment::of)),
                Err(error) => opened.failed.push((hook, name, error)),
            }
        }
    }
    Ok(opened)
}

/// The filters of traffic control with the pinned programs, also those of interrupted changes.
fn filters(pins: &Pins) -> Result<Vec<Attachment>, AttachmentError> {
    let interrupted = pins.interrupted()?;
    let mut attachments = Vec::new();
    for hook in Hook::TRAFFIC_CONTROL {
        let next = interrupted
            .iter()
            .filter(|(_, object)| *object == PinnedObject::program_of(hook))
            .map(|&(generation, object)| pins.next(generation, object));
        let mut programs = BTreeSet::new();
        for path in next.chain([pins.object(PinnedObject::program_of(hook))]) {
            programs.extend(pins::program_at(&path)?);
        }
        let filters = Link::filters(hook, &programs)?;
        attachments.extend(filters.into_iter().map(Attachment::of));
    }
    Ok(attachments)
}

/// The state of the links in the kernel, for a plan.
pub(crate) fn inspect(attachments: &[Attachment]) -> Result<Vec<PresentLink>, AttachmentError> {
    attachments
        .iter()
        .map(|attachment| {
            let state = attachment.link.state()?;
            Ok(PresentLink {
                hook: attachment.link.hook(),
                name: attachment.name.clone(),
                interface: (state.interface != 0).then_some(InterfaceIndex(state.interface)),
                is_elsewhere: state.is_elsewhere,
                program: state.program,
            })
        })
        .collect()
}

/// Executes the steps up to the point of no return, at which every link to keep runs the new
/// program. [`release`] executes the rest.
pub(crate) fn establish(
    plan: &Plan,
    present: &[Attachment],
    pins: &Pins,
    programs: &Programs<'_>,
    undo: &mut Undo,
    record: impl FnOnce(),
) -> Result<Established, AttachmentError> {
    let mut present = present.to_vec();
    let mut established = Established {
        attachments: Vec::with_capacity(present.len()),
        leaving: Vec::new(),
        refused: Vec::new(),
    };
    // A program that asks for states takes its place when those that record flows have theirs, and what
    // began before is recorded.
    let records_more = plan.records_more();
    let mut take = |hook, steps: &[LinkStep]| {
        steps
            .iter()
            .try_for_each(|step| established.take(hook, step, &mut present, pins, programs, undo))
    };
    if records_more {
        for (hook, steps) in plan.steps().filter(|(hook, _)| hook.is_egress()) {
            take(hook, steps)?;
        }
        record();
    }
    for (hook, steps) in plan.steps() {
        if !records_more || !hook.is_egress() {
            take(hook, steps)?;
        }
    }
    established.give_up_egress_of_refused(plan, pins)?;
    Ok(established)
}

impl Established {
    /// Executes a step.
    fn take(
        &mut self,
        hook: Hook,
        step: &LinkStep,
        present: &mut [Attachment],
        pins: &Pins,
        programs: &Programs<'_>,
        undo: &mut Undo,
    ) -> Result<(), AttachmentError> {
        match step {
            LinkStep::Forget { name } => {
                tracing::warn!(
                    event = "interface_gone",
                    interface = name.as_str(),
                    "interface `{name}` was removed or detached by another process"
                );
                forget(find(present, hook, name)?, pins)?;
            }
            LinkStep::Rename { name, to } => rename(present, hook, name, to, pins, undo)?,
            LinkStep::Keep { name } => {
                let attachment = find(present, hook, name)?;
                if programs.differ {
                    replace(attachment, programs, undo)?;
                }
                self.attachments.push(attachment.clone());
            }
            LinkStep::Attach(target) => {
                // An interface is filtered in both directions or in none.
                let mut refused = self.refused.iter();
                if refused.any(|(refused, _)| refused.index == target.index) {
                    return Ok(());
                }
                self.note(target, attach(hook, target, pins, programs, undo))?;
            }
            LinkStep::Reattach { name, from, target } => {
                let attachment = find(present, hook, name)?;
                tracing::warn!(
                    event = "mode_changing",
                    interface = name.as_str(),
                    "`{name}` is not filtered while its mode changes"
                );
                remove(attachment, pins)?;
                restore(attachment, *from, target.index, pins, programs, undo);
                self.note(target, attach(hook, target, pins, programs, undo))?;
            }
            LinkStep::Detach { name } => self.leaving.push(find(present, hook, name)?.clone()),
        }
        Ok(())
    }

    /// Detaches what is at an egress hook of interfaces that refused at another one afterwards: an interface is filtered in
    /// both directions or in none.
    fn give_up_egress_of_refused(
        &mut self,
        plan: &Plan,
        pins: &Pins,
    ) -> Result<(), AttachmentError> {
        let refused = &self.refused;
        let is_alone = |attachment: &mut Attachment| {
            let (hook, name) = (attachment.link.hook(), attachment.link.interface());
            let mut refused = refused.iter();
            hook.is_egress()
                && refused.any(|(target, _)| target.name == name)
                && plan.attaches(hook, name)
        };
        for attachment in self.attachments.extract_if(.., is_alone) {
            remove(&attachment, pins)?;
        }
        Ok(())
    }

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
        let hook = attachment.link.hook();
        match remove(attachment, pins) {
            Ok(()) => {
                tracing::info!(
                    event = "detached",
                    interface = name,
                    %hook,
                    "detached from `{name}`{}",
                    at(hook)
                );
            }
            Err(error) => tracing::error!(
                event = "detach_failed",
                interface = name,
                %hook,
                error = &error as &dyn std::error::Error,
                "`{name}` could not be detached{}",
                at(hook)
            ),
        }
    }
}

/// The end of a message about a link, which says at which hook it is unless that is the usual one.
fn at(hook: Hook) -> String {
    match hook {
        Hook::Xdp => String::new(),
        Hook::BareIngress | Hook::Egress | Hook::BareEgress => {
            format!(" at the {hook} hook of traffic control")
        }
    }
}

/// Removes the pin of a link that is gone, unless another process has pinned its own there.
fn forget(attachment: &Attachment, pins: &Pins) -> Result<(), AttachmentError> {
    let Some(fd) = attachment.link.fd() else {
        return clear_room_of(attachment, pins);
    };
    let path = attachment.pin(pins);
    match pins::state(&path, fd)? {
        PinState::Same => pins::unpin(&path)?,
        PinState::Missing | PinState::Foreign => {}
    }
    Ok(())
}

/// Renames a pin.
fn rename(
    present: &mut [Attachment],
    hook: Hook,
    name: &str,
    to: &str,
    pins: &Pins,
    undo: &mut Undo,
) -> Result<(), AttachmentError> {
    let attachment = present
        .iter_mut()
        .find(|attachment| attachment.link.hook() == hook && attachment.name == name)
        .ok_or_else(|| AttachmentError::NoLink(name.to_owned()))?;
    let (before, after) = (pins.link(hook, name), pins.link(hook, to));
    if attachment.link.fd().is_some() {
        pins::rename(&before, &after)?;
        undo.push("give a link its name back", move || {
            pins::rename(&after, &before)
        });
    }
    to.clone_into(&mut attachment.name);
    Ok(())
}

/// Detaches a link and removes its pin.
pub(crate) fn remove(attachment: &Attachment, pins: &Pins) -> Result<(), AttachmentError> {
    attachment.link.detach()?;
    if attachment.link.fd().is_some() {
        pins::unpin(&attachment.pin(pins))?;
    }
    clear_room_of(attachment, pins)
}

fn clear_room_of(attachment: &Attachment, pins: &Pins) -> Result<(), AttachmentError> {
    match attachment.link.filtered() {
        Some(index) => clear_room(&attachment.name, index, pins),
        None => Ok(()),
    }
}

/// Removes what an interface got so that a filter could be attached, unless others use it by now.
pub(crate) fn clear_room(interface: &str, index: u32, pins: &Pins) -> Result<(), AttachmentError> {
    let mark = pins.clsact(index);
    if pins::open(&mark)?.is_some() {
        link::clear_room(interface, index)?;
        if !link::has_filters(interface, index)? {
            pins::unpin(&mark)?;
        }
    }
    Ok(())
}

fn find<'a>(
    present: &'a [Attachment],
    hook: Hook,
    name: &str,
) -> Result<&'a Attachment, AttachmentError> {
    present
        .iter()
        .find(|attachment| attachment.link.hook() == hook && attachment.name == name)
        .ok_or_else(|| AttachmentError::NoLink(name.to_owned()))
}

fn replace(
    attachment: &Attachment,
    programs: &Programs<'_>,
    undo: &mut Undo,
) -> Result<(), AttachmentError> {
    let hook = attachment.link.hook();
    attachment.link.replace(programs.new_at(hook)?.as_fd())?;
    if let Some(old) = programs.old.get(&hook).cloned() {
        let link = Arc::clone(&attachment.link);
        undo.push(
            format!("give `{}` its program back", attachment.name),
            move || link.replace(old.as_fd()),
        );
    }
    Ok(())
}

fn attach(
    hook: Hook,
    target: &AttachTarget,
    pins: &Pins,
    programs: &Programs<'_>,
    undo: &mut Undo,
) -> Result<Attachment, AttachmentError> {
    let (link, mode) = match hook {
        Hook::Xdp => {
            let (link, mode) = attach_in_some_mode(target, programs)?;
            (link, Some(mode))
        }
        Hook::BareIngress | Hook::Egress | Hook::BareEgress => (
            attach_to_traffic_control(hook, target, pins, programs, undo)?,
            None,
        ),
    };
    let attachment = Attachment::of(link);
    let detached = (attachment.clone(), pins.clone());
    undo.push(format!("detach from `{}`", target.name), move || {
        let (attachment, pins) = detached;
        attachment.link.detach()?;
        clear_room_of(&attachment, &pins)
    });
    let path = attachment.pin(pins);
    let name = target.name.as_str();
    match attachment.link.pin(&path) {
        Ok(()) => undo.push(format!("unpin the link to `{name}`"), move || {
            pins::unpin(&path)
        }),
        // Filtering matters more than what outlives this process; the audit pins it when there is room.
        Err(error) if pins::is_taken(&path) => tracing::error!(
            event = "link_not_pinned",
            interface = name,
            %hook,
            error = &error as &dyn std::error::Error,
            "the link to `{name}` is not pinned, and ends with this daemon: something else is at its place"
        ),
        Err(error) => return Err(error.into()),
    }
    match mode {
        Some(mode) => tracing::info!(
            event = "attached",
            interface = name,
            %hook,
            %mode,
            "attached to `{name}` in {mode} mode"
        ),
        None => tracing::info!(
            event = "attached",
            interface = name,
            %hook,
            "attached to `{name}`{}",
            at(hook)
        ),
    }
    Ok(attachment)
}

/// Attaches by a link, or where the kernel has none by a filter, for which the interface gets a queueing
/// discipline, if it has none. The mark that it had none is there before it has one: a process that dies in
/// between leaves nothing that the next one does not remove.
fn attach_to_traffic_control(
    hook: Hook,
    target: &AttachTarget,
    pins: &Pins,
    programs: &Programs<'_>,
    undo: &mut Undo,
) -> Result<Link, AttachmentError> {
    let program = programs.new_at(hook)?.as_fd();
    let (name, index) = (target.name.as_str(), target.index.0);
    if link::takes_links(name, index)? {
        return Ok(Link::attach_tcx(program, hook, name, index)?);
    }
    let mark = pins.clsact(index);
    let is_marked = pins::open(&mark)?.is_some();
    if !is_marked {
        pins::pin(program, &mark)?;
    }
    let is_new = link::make_room(name, index);
    if !is_marked && !matches!(is_new, Ok(true)) {
        pins::unpin(&mark)?;
    }
    if is_new? {
        let made = (target.name.clone(), pins.clone());
        undo.push(format!("remove `clsact` from `{name}`"), move || {
            let (name, pins) = made;
            clear_room(&name, index, &pins)
        });
    }
    Ok(Link::attach_filter(program, hook, name, index)?)
}

fn attach_in_some_mode(
    target: &AttachTarget,
    programs: &Programs<'_>,
) -> Result<(Link, AttachMode), AttachmentError> {
    let program = programs.new_at(Hook::Xdp)?.as_fd();
    let mut modes = target.modes.iter().copied().peekable();
    loop {
        // A target has a mode, and a mode is dropped only when another follows it.
        let Some(mode) = modes.next() else {
            return Err(AttachError::Gone {
                interface: target.name.clone(),
            }
            .into());
        };
        let attached = Link::attach(program, &target.name, target.index.0, mode);
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
            (Err(error), _) => return Err(error.into()),
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
    let Some(old) = programs.old.get(&Hook::Xdp).cloned() else {
        return;
    };
    let name = attachment.name.clone();
    let path = pins.link(Hook::Xdp, &name);
    undo.push(format!("attach to `{name}` as before"), move || {
        let link = Link::attach(old.as_fd(), &name, index.0, mode)?;
        link.pin(&path)?;
        Ok::<_, AttachmentError>(())
    });
}
