//! The objects of this process in the kernel, and the execution of plans: completed steps are
//! undone when a later one fails.
//!
//! While a new program takes over, its objects are pinned beside the old ones under names that
//! begin with `next-`; once every link runs it, they take the old names. A process that is killed
//! at any point leaves every interface filtered by one whole generation or the other, and its
//! counts where the next process finds them.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use firewall_ebpf::abi::FIRST_RULE_SLOT;

use crate::{
    filter::{
        attachments::{self, Attachment, Established, Programs},
        error::FilterError,
        first_fill,
        flows::{self, FlowTables},
        plan::{AttachTarget, Plan, Present, ProgramStep},
        takeover::{Counted, Takeover},
    },
    generation::{
        confirmation::{self, ConfirmationError},
        deadline::Deadline,
        flows::FlowsEntry,
        loadable::Loadable,
        metadata::Metadata,
        pinned::Pinned,
        succession::{CommitTerms, Keeper, Succession},
    },
    kernel::{
        self,
        counters::{Count, Counters, CountersError},
        flows::FlowTable,
        held_pins::{Audit, HeldPins},
        hook::Hook,
        image_size::ImageSize,
        images::{Image, Images},
        link::AttachError,
        max_bans::MaxBans,
        pins::{self, FlowObject, PinError, PinState, PinnedObject, Pins},
        program::{self, Program, Setting},
        slot::Slot,
        undo::Undo,
    },
    packet_log::limits,
};

/// The times of the stages in the kernel, and the deadline of the confirmation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timing {
    /// Making the maps, writing the image and, if needed, loading the program.
    pub(crate) load: Duration,
    /// Bringing it into force.
    pub(crate) switch: Duration,
    /// The deadline of the confirmation, if it needs one.
    pub(crate) confirm_by: Option<Deadline>,
}

/// A program, its maps and its links.
pub(crate) struct Filter {
    pins: Pins,
    program: Program,
    images: Images,
    size: ImageSize,
    counters: Counters,
    flows: Option<FlowTable>,
    attachments: Vec<Attachment>,
    refused: Vec<(AttachTarget, AttachError)>,
    image: Image,
    metadata: Metadata,
    /// The metadata of the previous generation, if it is kept.
    previous: Option<Metadata>,
    max_bans: MaxBans,
    held: HeldPins,
}

impl Filter {
    /// Brings the first rules of this process into force, in place of those found.
    pub(crate) fn start(
        pins: Pins,
        object: &program::ObjectFile,
        found: Takeover,
        ready: &Loadable<'_>,
        plan: &Plan,
        terms: CommitTerms,
        max_bans: MaxBans,
    ) -> Result<(Self, Timing), FilterError> {
        let before = TakenOver {
            attachments: &found.attachments,
            counted: found.counted(),
            image: found.in_force.as_ref().map(Pinned::as_before),
        };
        let replaced = replace(&pins, object, &before, ready, plan, terms, max_bans)?;
        let previous = found.previous.map(|previous| previous.metadata);
        let in_force = found.in_force.map(|in_force| in_force.metadata);
        let mut held = HeldPins::open(&pins);
        held.hold(replaced.parts.program.verified());
        held.keep(ready.metadata.generation);
        let filter = Self {
            held,
            metadata: ready.metadata.clone(),
            previous: terms.succession.previous(in_force, previous),
            pins,
            program: replaced.parts.program,
            images: replaced.parts.images,
            image: replaced.parts.image,
            size: plan.size,
            counters: replaced.parts.counters,
            flows: replaced.parts.flows,
            attachments: replaced.parts.attachments,
            refused: replaced.parts.refused,
            max_bans,
        };
        filter.settle();
        Ok((filter, replaced.timing))
    }

    /// Brings other rules into force. If it fails, the previous ones stay in force.
    pub(crate) fn change(
        &mut self,
        object: &program::ObjectFile,
        ready: &Loadable<'_>,
        plan: &Plan,
        terms: CommitTerms,
    ) -> Result<Timing, FilterError> {
        let changed = match plan.program {
            ProgramStep::Keep => self.switch(ready, plan, terms),
            ProgramStep::Load | ProgramStep::LoadWithCounters(_) => {
                self.replace(object, ready, plan, terms)
            }
        };
        if changed.is_err() {
            self.open_links_again();
        }
        changed
    }

    /// Executes the steps of a plan for links, with the rules in force.
    pub(crate) fn relink(&mut self, plan: &Plan) -> Result<(), FilterError> {
        let mut undo = Undo::default();
        match self.establish(plan, &mut undo, None) {
            Ok(established) => {
                undo.commit();
                self.take(established);
                Ok(())
            }
            Err(error) => {
                drop(undo);
                self.open_links_again();
                Err(error)
            }
        }
    }

    /// Executes the steps of a plan for links up to the point of no return, with the programs that run, and
    /// those of other hooks that the plan needs. If an image is to come into force, the connections become flows that it
    /// must know.
    fn establish(
        &mut self,
        plan: &Plan,
        undo: &mut Undo,
        image: Option<&[u8]>,
    ) -> Result<Established, FilterError> {
        for hook in plan.hooks() {
            let program = self.program.at(hook)?;
            let path = self.pins.object(PinnedObject::program_of(hook));
            match pins::state(&path, program.as_fd())? {
                PinState::Same => continue,
                PinState::Missing => {}
                // Left by a process that died before it was done.
                PinState::Foreign => pins::unpin(&path)?,
            }
            pins::pin(program.as_fd(), &path)?;
            undo.push("remove the pin of a program", move || pins::unpin(&path));
        }
        let programs = self.program.verified();
        let programs = Programs {
            old: programs,
            new: programs,
            differ: false,
        };
        let (present, pins) = (&self.attachments, &self.pins);
        let flows = self.flows.as_ref();
        let record = || {
            if let (Some(flows), Some(image)) = (flows, image) {
                first_fill::fill(flows, image, &plan.interfaces);
            }
        };
        Ok(attachments::establish(
            plan, present, pins, &programs, undo, record,
        )?)
    }

    /// The interfaces that refused when links were last created.
    pub(crate) fn refused(&mut self) -> Vec<(AttachTarget, AttachError)> {
        std::mem::take(&mut self.refused)
    }

    /// Compares the pins with the objects of this process, and recreates missing pins.
    pub(crate) fn audit(&self) -> Audit {
        let links = self.attachments.iter();
        self.held.audit(
            links
                .filter_map(|attachment| Some((attachment.pin(&self.pins), attachment.link.fd()?))),
        )
    }

    /// Confirms the generation in force, as [`confirmation::confirm`] does.
    ///
    /// # Errors
    ///
    /// When it does not wait for a confirmation, or the mark cannot be removed.
    pub(crate) fn confirm(&mut self) -> Result<String, ConfirmationError> {
        let generation = self.metadata.generation;
        let message = confirmation::confirm(&self.pins, generation)?;
        self.held.confirm(generation);
        Ok(message)
    }

    /// The interfaces whose links were detached by others, or that are gone.
    ///
    /// # Errors
    ///
    /// When the kernel does not describe a link.
    pub(crate) fn detached(&self) -> Result<Vec<String>, FilterError> {
        let links = attachments::inspect(&self.attachments)?;
        let detached = links.into_iter().filter(|link| link.interface.is_none());
        let names: BTreeSet<String> = detached.map(|link| link.name).collect();
        Ok(names.into_iter().collect())
    }

    /// Detaches the links that this process holds, wherever their pins are.
    pub(crate) fn detach_held(&self) {
        for attachment in &self.attachments {
            if let Err(error) = attachment.link.detach() {
                tracing::debug!(
                    event = "detach_failed",
                    error = &error as &dyn std::error::Error,
                    "a link stays"
                );
            }
        }
    }

    /// Takes the links over, and frees the programs of hooks that have none.
    fn take(&mut self, established: Established) {
        attachments::release(&established.leaving, &self.pins);
        self.attachments = established.attachments;
        self.refused = established.refused;
        for hook in Hook::TRAFFIC_CONTROL {
            let mut links = self.attachments.iter().map(|attachment| &attachment.link);
            if !links.any(|link| link.hook() == hook) {
                self.program.forget(hook);
            }
        }
        remove_unused(&self.pins, &self.program);
        self.held.hold(self.program.verified());
    }

    /// Opens the links again: undoing steps recreated some of them.
    fn open_links_again(&mut self) {
        match attachments::open(&self.pins) {
            Ok(attachments) => self.attachments = attachments,
            Err(error) => tracing::error!(
                event = "links_not_opened",
                error = &error as &dyn std::error::Error,
                "the links could not be opened again"
            ),
        }
    }

    /// The present state of the kernel, for a plan.
    pub(crate) fn present(&self) -> Result<Present, FilterError> {
        Ok(Present {
            size: Some(self.size),
            capacity: Some(self.counters.capacity()),
            flows: self.flows.as_ref().map(FlowTable::slots),
            links: attachments::inspect(&self.attachments)?,
        })
    }

    /// The metadata of the image in force.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The metadata of the previous generation, if it is kept.
    pub(crate) fn previous(&self) -> Option<&Metadata> {
        self.previous.as_ref()
    }

    /// The image in force.
    pub(crate) fn image(&self) -> &Image {
        &self.image
    }

    /// The slots of the rules of the previous generation, if it is kept.
    pub(crate) fn held(&self) -> BTreeSet<Slot> {
        let previous = self.previous.iter();
        previous.flat_map(Metadata::all_slots).collect()
    }

    /// Records that `ready` is in force.
    fn follow(&mut self, ready: &Loadable<'_>, succession: Succession) {
        let before = std::mem::replace(&mut self.metadata, ready.metadata.clone());
        self.previous = succession.previous(Some(before), self.previous.take());
        self.held.keep(self.metadata.generation);
        self.settle();
    }

    /// Has the table of flows keep flows as long as these rules say.
    fn set_timeouts(&self, metadata: &Metadata) {
        if let (Some(flows), Some(entry)) = (&self.flows, &metadata.flows) {
            flows.set_timeouts(&entry.timeouts());
        }
    }

    /// The table of flows, if rules ask for states.
    pub(crate) fn flows(&self) -> Option<&FlowTable> {
        self.flows.as_ref()
    }

    /// Updates the log limits to the rules in force.
    fn settle(&self) {
        limits::settle(&self.pins, &self.metadata, self.previous.as_ref());
    }

    /// Keeps the program, and replaces the image in force.
    fn switch(
        &mut self,
        ready: &Loadable<'_>,
        plan: &Plan,
        terms: CommitTerms,
    ) -> Result<Timing, FilterError> {
        let begin = Instant::now();
        let mut undo = Undo::default();
        self.counters.zero(&ready.assignment.fresh)?;
        limits::prepare(&self.pins, ready)?;
        let image = Image::create(plan.size, ready.image)?;
        let load = begin.elapsed();

        let begin = Instant::now();
        let established = self.establish(plan, &mut undo, Some(ready.image))?;
        let keeper = Keeper {
            pins: &self.pins,
            terms,
            before: Some((&self.image, &self.metadata)),
        };
        let confirm_by = keeper.keep(ready.metadata.generation, &mut undo)?;
        self.images.put_in_force(&image)?;
        undo.commit();
        self.set_timeouts(ready.metadata);
        keeper.clear(ready.metadata.generation);
        self.take(established);
        self.image = image;
        self.follow(ready, terms.succession);
        let switch = begin.elapsed();
        Ok(Timing {
            load,
            switch,
            confirm_by,
        })
    }

    fn replace(
        &mut self,
        object: &program::ObjectFile,
        ready: &Loadable<'_>,
        plan: &Plan,
        terms: CommitTerms,
    ) -> Result<Timing, FilterError> {
        let before = TakenOver {
            attachments: &self.attachments,
            counted: vec![Counted {
                counters: &self.counters,
                alone: false,
            }],
            image: Some((&self.image, &self.metadata)),
        };
        let max_bans = self.max_bans;
        let replaced = replace(&self.pins, object, &before, ready, plan, terms, max_bans)?;
        let Parts {
            program,
            images,
            image,
            counters,
            flows,
            attachments,
            refused,
        } = replaced.parts;
        self.program = program;
        self.images = images;
        self.image = image;
        self.size = plan.size;
        self.counters = counters;
        self.flows = flows;
        self.attachments = attachments;
        self.refused = refused;
        self.held = HeldPins::open(&self.pins);
        self.held.hold(self.program.verified());
        self.follow(ready, terms.succession);
        Ok(replaced.timing)
    }
}

/// The objects that a new program takes over.
struct TakenOver<'a> {
    attachments: &'a [Attachment],
    counted: Vec<Counted<'a>>,
    image: Option<(&'a Image, &'a Metadata)>,
}

struct Parts {
    program: Program,
    images: Images,
    image: Image,
    counters: Counters,
    flows: Option<FlowTable>,
    attachments: Vec<Attachment>,
    refused: Vec<(AttachTarget, AttachError)>,
}

struct Replaced {
    parts: Parts,
    timing: Timing,
}

/// Loads a new program with new images, and switches every link to it.
fn replace(
    pins: &Pins,
    object: &program::ObjectFile,
    before: &TakenOver<'_>,
    ready: &Loadable<'_>,
    plan: &Plan,
    terms: CommitTerms,
    max_bans: MaxBans,
) -> Result<Replaced, FilterError> {
    let begin = Instant::now();
    let mut undo = Undo::default();
    if pins.create_folder()? {
        let pins = pins.clone();
        undo.push("remove the folder of the pins", move || {
            pins.remove_folder()
        });
    }
    let interrupted = pins.interrupted()?;
    let next = |object| pins.next(ready.metadata.generation, object);
    for object in PinnedObject::ALL {
        let pin = next(object);
        undo.push("remove a pin", move || pins::unpin(&pin));
    }
    let old = Old::open(pins)?;
    let are_new = kernel::bans::create(pins, max_bans)?;
    if kernel::events::create(pins)? || are_new {
        let pins = pins.clone();
        undo.push("remove the pins of bans and events", move || {
            kernel::shared::unpin(&pins)
        });
    }
    if kernel::drops::create(pins)? {
        let pins = pins.clone();
        undo.push("remove the pins of captures of drops", move || {
            kernel::drops::unpin(&pins)
        });
    }
    limits::prepare(pins, ready)?;

    let (counters_pin, capacity, kept) = match plan.program {
        ProgramStep::LoadWithCounters(capacity) => (next(PinnedObject::Counters), capacity, None),
        ProgramStep::Keep | ProgramStep::Load => {
            let pin = pins.object(PinnedObject::Counters);
            let mut counters = Counters::open(&pin)?;
            counters.zero(&ready.assignment.fresh)?;
            (pin, counters.capacity(), Some(counters))
        }
    };
    let image = Image::create(plan.size, ready.image)?;
    let mut images = Images::create(c"IMAGES", &image)?;
    images.pin(&next(PinnedObject::Images))?;
    let keeper = Keeper {
        pins,
        terms,
        before: before.image,
    };
    let tables = FlowTables::plan(pins, plan.flows, next)?;
    let mut program = Program::load(
        object,
        &Setting {
            images: &next(PinnedObject::Images),
            size: plan.size,
            counters: Some(&counters_pin),
            capacity,
            shared: Some(pins),
            flows: tables.setting.clone(),
        },
    )?;
    for hook in plan.hooks() {
        program.at(hook)?;
    }
    let timeouts = ready.metadata.flows.as_ref().map(FlowsEntry::timeouts);
    let flows = tables.open(&mut program, timeouts.as_ref())?;
    for (hook, fd) in program.verified() {
        pins::pin(fd.as_fd(), &next(PinnedObject::program_of(*hook)))?;
    }
    let counters_are_new = kept.is_none();
    let mut counters = match kept {
        Some(counters) => counters,
        None => Counters::open(&counters_pin)?,
    };
    let load = begin.elapsed();

    let begin = Instant::now();
    let confirm_by = keeper.keep(ready.metadata.generation, &mut undo)?;
    let programs = Programs {
        old: &old.programs,
        new: program.verified(),
        differ: true,
    };
    let record = || {
        if let Some(flows) = &flows
            && (tables.is_first() || plan.sees_more_out())
        {
            first_fill::fill(flows, ready.image, &plan.interfaces);
        }
    };
    let before_links = before.attachments;
    let established =
        attachments::establish(plan, before_links, pins, &programs, &mut undo, record)?;
    if counters_are_new {
        // Setting the image again waits until the old program runs nowhere: its counts are final.
        images.put_in_force(&image)?;
        carry(&before.counted, ready, &mut counters)?;
    }
    let loaded = program
        .verified()
        .keys()
        .map(|hook| PinnedObject::program_of(*hook));
    let loaded: Vec<PinnedObject> = loaded.collect();
    for object in PinnedObject::ALL {
        let is_new = match object {
            PinnedObject::Counters => counters_are_new,
            PinnedObject::Images => true,
            PinnedObject::Program
            | PinnedObject::BareIngress
            | PinnedObject::Egress
            | PinnedObject::BareEgress => loaded.contains(&object),
            PinnedObject::Flows(object) => tables.is_new(object),
        };
        if is_new {
            take_place(&next(object), object, pins, &old, &mut undo)?;
        }
    }
    for (generation, object) in interrupted {
        pins::unpin(&pins.next(generation, object))?;
    }
    undo.commit();
    if let Some(flows) = &flows {
        // What was added to the table before until its programs ran nowhere.
        tables.fill(flows);
        if let Some(timeouts) = &timeouts {
            flows.set_timeouts(timeouts);
        }
    }
    attachments::release(&established.leaving, pins);
    remove_unused(pins, &program);
    if flows.is_none()
        && let Err(error) = flows::remove(pins)
    {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(event = "flows_stay", error, "the table of flows stays");
    }
    keeper.clear(ready.metadata.generation);
    let switch = begin.elapsed();
    Ok(Replaced {
        parts: Parts {
            program,
            images,
            image,
            counters,
            flows,
            attachments: established.attachments,
            refused: established.refused,
        },
        timing: Timing {
            load,
            switch,
            confirm_by,
        },
    })
}

/// Removes the pins of programs that are not loaded. A failure is logged: they are removed next time.
fn remove_unused(pins: &Pins, program: &Program) {
    for hook in Hook::TRAFFIC_CONTROL {
        if program.verified().contains_key(&hook) {
            continue;
        }
        if let Err(error) = pins::unpin(&pins.object(PinnedObject::program_of(hook))) {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(event = "program_stays", error, "a program stays loaded");
        }
    }
}

/// The objects that are replaced.
struct Old {
    programs: BTreeMap<Hook, Arc<OwnedFd>>,
    images: Option<Arc<OwnedFd>>,
    counters: Option<Arc<OwnedFd>>,
    flows: BTreeMap<FlowObject, Arc<OwnedFd>>,
}

impl Old {
    fn open(pins: &Pins) -> Result<Self, PinError> {
        let open = |object| Ok(pins::open(&pins.object(object))?.map(Arc::new));
        let mut programs = BTreeMap::new();
        for hook in Hook::ALL {
            programs.extend(open(PinnedObject::program_of(hook))?.map(|program| (hook, program)));
        }
        let mut flows = BTreeMap::new();
        for object in FlowObject::ALL {
            let map = open(PinnedObject::Flows(object))?;
            flows.extend(map.map(|map| (object, map)));
        }
        Ok(Self {
            programs,
            flows,
            images: open(PinnedObject::Images)?,
            counters: open(PinnedObject::Counters)?,
        })
    }

    fn object(&self, object: PinnedObject) -> Option<&Arc<OwnedFd>> {
        let hook = match object {
            PinnedObject::Images => return self.images.as_ref(),
            PinnedObject::Counters => return self.counters.as_ref(),
            PinnedObject::Program => Hook::Xdp,
            PinnedObject::BareIngress => Hook::BareIngress,
            PinnedObject::Egress => Hook::Egress,
            PinnedObject::BareEgress => Hook::BareEgress,
            PinnedObject::Flows(object) => return self.flows.get(&object),
        };
        self.programs.get(&hook)
    }
}

/// Renames the next object to the name of the one in force.
fn take_place(
    next: &Path,
    object: PinnedObject,
    pins: &Pins,
    old: &Old,
    undo: &mut Undo,
) -> Result<(), PinError> {
    let place = pins.object(object);
    pins::rename(next, &place)?;
    let before = old.object(object).cloned();
    undo.push("put the old pin back", move || {
        pins::unpin(&place)?;
        before.map_or(Ok(()), |before| pins::pin(before.as_fd(), &place))
    });
    Ok(())
}

/// Copies the counts of the reasons, and of the rules that keep their slots, to new counters.
fn carry(
    counted: &[Counted<'_>],
    ready: &Loadable<'_>,
    counters: &mut Counters,
) -> Result<(), CountersError> {
    let reasons = (0..FIRST_RULE_SLOT).map(Slot::new);
    let slots = reasons.chain(ready.assignment.kept.iter().copied());
    let counts = slots.map(|slot| {
        let counts = counted.iter().map(|counted| counted.read(slot));
        Ok((slot, sum(counts)?))
    });
    counters.carry(counts.collect::<Result<_, CountersError>>()?)
}

fn sum(
    mut counts: impl Iterator<Item = Result<Count, CountersError>>,
) -> Result<Count, CountersError> {
    counts.try_fold(Count::default(), |sum, count| Ok(sum.plus(count?)))
}
