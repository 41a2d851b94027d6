//! The data of a full build that updates need: the sets that rules name, and the identities of the
//! classes.

use super::{
    address::{Depths, Side},
    classes::{Identities, SetId},
    kind::SectionKind,
    rules::Rules,
    target::{InterfaceIndex, Target},
};
use crate::model::RuleId;

/// The data of a full build that is kept as long as updates follow.
#[derive(Debug)]
pub(super) struct Basis {
    interfaces: Vec<(InterfaceIndex, String)>,
    slots: Vec<u32>,
    /// The sections of packets with addresses.
    pub(super) sections: Vec<SectionBasis>,
    /// The bytes of the image before the metadata.
    pub(super) bytes: usize,
}

/// The basis of one section.
#[derive(Debug)]
pub(super) struct SectionBasis {
    /// The packets.
    pub(super) kind: SectionKind,
    /// The rules of the section.
    pub(super) rules: Vec<RuleId>,
    /// Source and destination.
    pub(super) sides: [SideBasis; 2],
}

/// The basis of one address of a section.
#[derive(Debug)]
pub(super) struct SideBasis {
    /// The set that each rule of the section names.
    pub(super) named: Vec<Option<SetId>>,
    /// The identities of the classes, indexed by their numbers in the image.
    pub(super) identities: Identities,
    /// The loads of the trie.
    pub(super) depths: Depths,
}

impl Basis {
    /// The basis of a build for `target`.
    pub(super) fn new(target: &Target<'_>, sections: Vec<SectionBasis>, bytes: usize) -> Self {
        Self {
            interfaces: target.interfaces.to_vec(),
            slots: target.slots.to_vec(),
            sections,
            bytes,
        }
    }

    /// Whether an image for `target` has the same interfaces and counter slots.
    pub(super) fn fits(&self, target: &Target<'_>) -> bool {
        self.interfaces == target.interfaces && self.slots == target.slots
    }
}

impl SectionBasis {
    /// The basis of a section of these rules.
    pub(super) fn new<A: crate::field::Value>(
        kind: SectionKind,
        rules: &Rules<'_>,
        src: Side<'_, A>,
        dst: Side<'_, A>,
    ) -> Self {
        Self {
            kind,
            rules: rules.ids().to_vec(),
            sides: [SideBasis::new(src), SideBasis::new(dst)],
        }
    }
}

impl SideBasis {
    fn new<A: crate::field::Value>(side: Side<'_, A>) -> Self {
        Self {
            named: side.named,
            identities: side.classes.into_identities(),
            depths: side.depths,
        }
    }
}
