//! Compiled rule sets, and updates from one to the next.

use std::{mem::offset_of, sync::Arc};

use firewall_ebpf::image::{Header, Memory as _, Reference, Section};

use super::{differences::Differences, patch::Patch};
use crate::{
    compiler::{
        address::{Address, Depths, Move},
        basis::{Basis, SectionBasis},
        build::{build, finish},
        error::CompileError,
        image::Image,
        kind::{PacketKind, SectionKind},
        obstacle::Obstacle,
        plan::{Part, Plan},
        stage::Stage,
        target::Target,
        writer::Writer,
    },
    model::Ruleset,
};

/// The number of bytes by which updates may enlarge any image.
const GROWTH: usize = 1 << 16;

/// The share of the image by which updates may enlarge it, if that is more: one byte in this many.
const GROWTH_IN: usize = 4;

/// The maximum size of a new root in bytes, until it replaces the old one: its pages and their
/// numbers.
const ROOT: usize = (1 << 18) + (1 << 10);

/// A compiled rule set that can be updated.
#[derive(Clone, Debug)]
pub struct Compiled {
    image: Image,
    ruleset: Arc<Ruleset>,
    basis: Arc<Basis>,
    /// By section and side.
    depths: Vec<[Depths; 2]>,
    updates: u32,
}

impl Compiled {
    /// Compiles a whole rule set, and reports each stage when it begins.
    ///
    /// # Errors
    ///
    /// [`CompileError`] if the tables would exceed a limit.
    ///
    /// # Panics
    ///
    /// If the number of `target.slots` is not the number of rules.
    pub fn new(
        ruleset: Arc<Ruleset>,
        target: &Target<'_>,
        tell: impl FnMut(Stage) + 'static,
    ) -> Result<Self, CompileError> {
        let (image, basis) = build(&ruleset, target, tell)?;
        let of_section = |section: &SectionBasis| section.sides.each_ref().map(|side| side.depths);
        let depths = basis.sections.iter().map(of_section).collect();
        Ok(Self {
            image,
            ruleset,
            basis: Arc::new(basis),
            depths,
            updates: 0,
        })
    }

    /// The image.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The rule set from which the image was compiled.
    #[must_use]
    pub fn ruleset(&self) -> &Arc<Ruleset> {
        &self.ruleset
    }

    /// The number of updates since the last full build.
    #[must_use]
    pub fn updates(&self) -> u32 {
        self.updates
    }

    /// Returns the image of another rule set, patched from a copy of this one. The new image leads
    /// every packet to the same rules as a full build would.
    ///
    /// # Errors
    ///
    /// [`Obstacle`] if the rule sets differ too much.
    pub fn update(&self, ruleset: Arc<Ruleset>, target: &Target<'_>) -> Result<Self, Obstacle> {
        if !self.basis.fits(target) {
            return Err(Obstacle::Target);
        }
        let differences = Differences::between(&self.ruleset, &ruleset)?;
        let old = self.image.bytes();
        let metadata = old.u32(offset_of!(Header, metadata) as u32) as usize;
        let full = self.basis.bytes;
        let most = full + GROWTH.max(full / GROWTH_IN);
        let spare = (most + target.metadata.len()).saturating_sub(metadata);
        let limit = target.max_bytes.min(most + ROOT);
        let mut writer = Writer::resume(&old[..metadata], spare, limit);
        let mut plan = self.image.plan().clone();
        let mut depths = self.depths.clone();
        let mut update = Update {
            old,
            differences: &differences,
            writer: &mut writer,
            plan: &mut plan,
        };
        for (basis, depths) in self.basis.sections.iter().zip(&mut depths) {
            match basis.kind.packets {
                PacketKind::Ipv4 => update.section::<u32>(basis, depths)?,
                PacketKind::Ipv6 => update.section::<u128>(basis, depths)?,
                PacketKind::Other => {}
            }
        }
        if writer.len() > most {
            return Err(Obstacle::Growth);
        }
        writer.set_limit(target.max_bytes);
        let image = finish(&ruleset, target, plan, writer).map_err(|_| Obstacle::Growth)?;
        Ok(Self {
            image,
            ruleset,
            basis: Arc::clone(&self.basis),
            depths,
            updates: self.updates + 1,
        })
    }
}

/// An update of one image.
struct Update<'a> {
    old: &'a [u8],
    differences: &'a Differences,
    writer: &'a mut Writer,
    plan: &'a mut Plan,
}

impl Update<'_> {
    /// Updates the section with this basis.
    fn section<A: Address>(
        &mut self,
        basis: &SectionBasis,
        depths: &mut [Depths; 2],
    ) -> Result<(), Obstacle> {
        let roots = [offset_of!(Section, src), offset_of!(Section, dst)];
        for (side, root) in roots.into_iter().enumerate() {
            let moves = self.differences.moves::<A>(basis, side)?;
            if moves.is_empty() {
                continue;
            }
            let places = basis.kind.offsets().map(|section| section + root as u32);
            let places: Vec<u32> = places.collect();
            // A section is for at least one state, and the words of all its states are equal.
            let before = places.first().map_or(0, |place| self.old.u32(*place));
            let before = Reference::from_bits(before);
            let length = self.writer.len();
            let mut patch = Patch {
                writer: self.writer,
                identities: &basis.sides[side].identities,
                depths: &mut depths[side],
            };
            let trie = patch.root(before, &moves)?;
            for place in places {
                self.writer.overwrite(place, &[trie.root.bits()]);
            }
            // A plan does not say which section is also that of what packets out may answer.
            let planned = SectionKind {
                is_reverse: false,
                ..basis.kind
            };
            let mut sections = self.plan.sections.iter_mut();
            let section = sections.find(|section| section.kind() == planned);
            if let Some(Part::Address {
                intervals,
                bytes,
                loads,
                ..
            }) = section.and_then(|section| section.parts.get_mut(side))
            {
                let new = self.writer.written();
                *intervals += intervals_that_start(&moves, new, trie.root);
                *intervals -= intervals_that_start(&moves, self.old, before);
                *bytes += new.len() - length;
                *loads = trie.loads;
            }
        }
        Ok(())
    }
}

/// The number of intervals of a trie that start where moves begin or right after they end; all
/// other intervals are unchanged.
fn intervals_that_start<A: Address>(moves: &[Move<A>], image: &[u8], root: Reference) -> usize {
    let mut counted = None;
    let mut starts = 0;
    let bounds = moves
        .iter()
        .flat_map(|moved| [Some(moved.first), moved.last.next()]);
    for bound in bounds.flatten() {
        if let Some(before) = bound.previous()
            && counted.replace(bound) != Some(bound)
        {
            starts += usize::from(before.class(image, root) != bound.class(image, root));
        }
    }
    starts
}
