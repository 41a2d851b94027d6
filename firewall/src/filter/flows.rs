//! The table of flows of a new program: kept, made, or made and filled from the one before.

use std::path::PathBuf;

use firewall_ebpf::flows::TIMEOUTS;

use crate::{
    filter::error::FilterError,
    kernel::{
        flows::{FlowTable, FlowsError},
        pins::{self, FlowObject, PinError, PinnedObject, Pins},
        program::{FlowSetting, Program},
    },
};

/// How a new program gets its table of flows.
pub(super) struct FlowTables {
    /// The maps for the program; `None` if it needs none.
    pub(super) setting: Option<FlowSetting>,
    before: Option<FlowTable>,
    is_kept: bool,
}

impl FlowTables {
    /// Plans a table of so many slots, if rules ask for states: the one that is pinned, or one at the pins of
    /// what is to be in force next.
    pub(super) fn plan(
        pins: &Pins,
        slots: Option<u32>,
        next: impl Fn(PinnedObject) -> PathBuf,
    ) -> Result<Self, FlowsError> {
        let Some(slots) = slots else {
            return Ok(Self {
                setting: None,
                before: None,
                is_kept: false,
            });
        };
        let before = FlowTable::open(pins)?;
        if let Some(before) = &before {
            before.pin(pins)?;
        }
        let is_kept = before
            .as_ref()
            .is_some_and(|before| before.slots() == slots);
        let place = |object| {
            let pinned = PinnedObject::Flows(object);
            if is_kept {
                pins.object(pinned)
            } else {
                next(pinned)
            }
        };
        let mut paths: Vec<_> = FlowObject::TABLE
            .into_iter()
            .map(|object| (object, place(object)))
            .collect();
        let programs = FlowObject::PROGRAMS.into_iter();
        paths.extend(programs.map(|object| (object, next(PinnedObject::Flows(object)))));
        Ok(Self {
            setting: Some(FlowSetting { slots, pins: paths }),
            before,
            is_kept,
        })
    }

    /// Whether an object is new, and pinned to be in force next.
    pub(super) fn is_new(&self, object: FlowObject) -> bool {
        self.setting.is_some() && (!self.is_kept || FlowObject::PROGRAMS.contains(&object))
    }

    /// Whether there is no table before.
    pub(super) fn is_first(&self) -> bool {
        self.before.is_none()
    }

    /// Opens the table, which a program was loaded with. A new one gets its settings, and the flows of the one before.
    pub(super) fn open(
        &self,
        program: &mut Program,
        timeouts: Option<&[u16; TIMEOUTS]>,
    ) -> Result<Option<FlowTable>, FilterError> {
        let Some(setting) = &self.setting else {
            return Ok(None);
        };
        let path = |wanted: FlowObject| {
            let mut paths = setting.pins.iter();
            let found = paths.find(|(object, _)| *object == wanted);
            found.map_or_else(PathBuf::new, |(_, path)| path.clone())
        };
        let Some(table) = FlowTable::open_at(|object| Ok(vec![path(object)]))? else {
            return Ok(None);
        };
        if !self.is_kept {
            // The stamps of the flows that are taken over are of the clock that they have had.
            let ticks = match &self.before {
                Some(before) => before.ticks(),
                None => program.ticks()?,
            };
            table.initialize(ticks, self.before.as_ref())?;
            if let Some(timeouts) = timeouts {
                table.set_timeouts(timeouts);
            }
            self.fill(&table);
        }
        Ok(Some(table))
    }

    /// Fills a new table with the flows of the one before that it does not have.
    pub(super) fn fill(&self, table: &FlowTable) {
        if let (Some(before), false) = (&self.before, self.is_kept) {
            table.take_over(before);
        }
    }
}

/// Removes the pins of a table that no rule asks for any more.
pub(super) fn remove(pins: &Pins) -> Result<(), PinError> {
    FlowObject::ALL
        .into_iter()
        .try_for_each(|object| pins::unpin(&pins.object(PinnedObject::Flows(object))))
}
