//! The maps of captures of drops: whether one runs, what is asked for, and what became of dropped packets.

use aya::maps::{Array, Map, MapData, MapError, PerCpuArray};
use aya_obj::generated::bpf_map_type;
use firewall_ebpf::drop_capture::{DROP_RING_BYTES, DropCounts, DropSettings};

use crate::kernel::{
    events::EventsError,
    pins::{self, PinError, Pins, Shared},
    shared::{self, Spec},
};

const OBJECTS: [Shared; 4] = [
    Shared::DropSwitch,
    Shared::DropSettings,
    Shared::DropCounts,
    Shared::DropEvents,
];

/// Makes and pins the maps; whether one is new.
pub(crate) fn create(pins: &Pins) -> Result<bool, EventsError> {
    let array = |object, kind, value| Spec {
        object,
        kind,
        key: size_of::<u32>(),
        value,
        entries: 1,
        flags: 0,
    };
    let specs = [
        array(
            Shared::DropSwitch,
            bpf_map_type::BPF_MAP_TYPE_ARRAY,
            size_of::<u32>(),
        ),
        array(
            Shared::DropSettings,
            bpf_map_type::BPF_MAP_TYPE_ARRAY,
            size_of::<DropSettings>(),
        ),
        array(
            Shared::DropCounts,
            bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY,
            size_of::<DropCounts>(),
        ),
        Spec {
            object: Shared::DropEvents,
            kind: bpf_map_type::BPF_MAP_TYPE_RINGBUF,
            key: 0,
            value: 0,
            entries: DROP_RING_BYTES,
            flags: 0,
        },
    ];
    Ok(shared::make(pins, &specs)?)
}

/// Removes the pins of these maps.
pub(crate) fn unpin(pins: &Pins) -> Result<(), PinError> {
    OBJECTS
        .into_iter()
        .try_for_each(|object| pins::unpin(&pins.shared(object)))
}

type SettingsWords = [u64; size_of::<DropSettings>() / 8];

type CountsWords = [u64; size_of::<DropCounts>() / 8];

/// The maps.
pub(crate) struct DropMaps {
    switch: Array<MapData, u32>,
    settings: Array<MapData, SettingsWords>,
    counts: PerCpuArray<MapData, CountsWords>,
}

impl DropMaps {
    /// Opens the maps of an instance.
    pub(crate) fn open(pins: &Pins) -> Result<Self, EventsError> {
        let array = |object| Ok::<_, EventsError>(Map::Array(shared::open(pins, object)?));
        let counts = Map::PerCpuArray(shared::open(pins, Shared::DropCounts)?);
        Ok(Self {
            switch: Array::try_from(array(Shared::DropSwitch)?).map_err(failed)?,
            settings: Array::try_from(array(Shared::DropSettings)?).map_err(failed)?,
            counts: PerCpuArray::try_from(counts).map_err(failed)?,
        })
    }

    /// Has the programs report the dropped packets that are asked for; none without settings.
    pub(crate) fn ask_for(&mut self, settings: Option<&DropSettings>) -> Result<(), EventsError> {
        if let Some(settings) = settings {
            let &DropSettings {
                causes: [causes_in, causes_out],
                interface,
                slot,
                one_in,
                padding,
                interval,
                tolerance,
                due,
            } = settings;
            let words = [
                pair(causes_in, causes_out),
                pair(interface, slot),
                pair(one_in, padding),
                interval,
                tolerance,
                due,
            ];
            self.settings.set(0, words, 0).map_err(failed)?;
        }
        self.switch
            .set(0, u32::from(settings.is_some()), 0)
            .map_err(failed)
    }

    /// What became of dropped packets while captures ran, on all CPUs.
    pub(crate) fn counts(&self) -> Result<DropCounts, EventsError> {
        let values = self.counts.get(&0, 0).map_err(failed)?;
        let mut sums: CountsWords = Default::default();
        for words in values.iter() {
            for (sum, word) in sums.iter_mut().zip(words) {
                *sum = sum.wrapping_add(*word);
            }
        }
        let [not_chosen, not_sampled, suppressed, lost, emitted] = sums;
        Ok(DropCounts {
            not_chosen,
            not_sampled,
            suppressed,
            lost,
            emitted,
        })
    }
}

/// Two words of a structure as they lie in memory.
fn pair(first: u32, second: u32) -> u64 {
    let (first, second) = (first.to_ne_bytes(), second.to_ne_bytes());
    let [a, b, c, d] = first;
    let [e, f, g, h] = second;
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

fn failed(error: MapError) -> EventsError {
    EventsError::Drops(Box::new(error))
}
