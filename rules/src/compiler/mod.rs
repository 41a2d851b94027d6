//! From a [`Ruleset`] to a table image.
//!
//! Each kind of packet has a section of its own: IPv4, IPv6, and all other EtherTypes. In a
//! section the values of each field that the same rules match are one *class* (`classes`); a
//! trie (`trie`, `uniform`) or a hash table (`hash`), whichever is cheaper (`search`), takes an
//! address to its class and a lookup (`lookup`) a small field; the classes of the small fields are
//! fused to one (`upper`); and the classes of source, destination and upper layer lead to the first
//! rule that matches: through a table of cells when there are few combinations
//! (`cells`), through a table of pairs of address classes when there are few of those (`grid`),
//! and else through lists of rules for pairs of address classes (`pairs`, `leaves`,
//! `displacement`) and bit vectors (`row_walk`).
//!
//! When only members of address sets have changed, the image of the rule set before is patched
//! instead (`update`).
//!
//! The compiler knows the layout of [`firewall_ebpf::image`] and nothing of TOML or the kernel.

mod address;
mod basis;
mod cells;
mod classes;
pub mod cost;
mod culprits;
mod differences;
mod displacement;
mod grid;
mod hash;
mod leaves;
mod lookup;
mod multibit;
mod pairs;
mod patch;
mod plan;
mod reissue;
mod row_walk;
mod rows;
mod rules;
pub mod search;
mod section;
mod side;
mod stage;
mod trie;
mod uniform;
mod update;
mod upper;
mod view;
mod writer;

use firewall_ebpf::{
    abi::Reason,
    image::{Header, MAGIC, MAX_WALK, SECTION_IPV4, SECTION_IPV6, SECTION_OTHER, Section},
};

use crate::ruleset::{Policy, Ruleset, Settings};
use basis::Basis;
pub use plan::{Part, Plan, SectionPlan};
pub use reissue::{is_same, reissue};
use rules::Rules;
use section::compile_section;
pub use stage::{Stage, Table};
pub use update::{Compiled, Obstacle};
use view::Kind;
use writer::Writer;

/// What the compiler needs beside the rules.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The interfaces that packets can arrive on: index and name. A packet from any other
    /// interface matches no rule that names one.
    pub interfaces: &'a [(InterfaceIndex, String)],
    /// The counter slot of each rule, in rule order.
    pub slots: &'a [u32],
    /// Bytes for user space that the image carries to its end.
    pub metadata: &'a [u8],
    /// The most bytes that the image may have.
    pub max_bytes: usize,
}

/// The kernel's number for an interface, unique in its network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceIndex(pub u32);

/// A table image, laid out as [`firewall_ebpf::image`] describes.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    bytes: Vec<u8>,
    plan: Plan,
}

impl Image {
    /// The image; its length is a multiple of 8.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the image is made of.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image")
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Why a rule set has no image.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CompileError {
    /// The tables would be larger than allowed.
    #[error(
        "the rules need an image of at least {needed} bytes, more than the {allowed} allowed, for \
         the {stage}{}",
        if names.is_empty() { String::new() } else { format!("; the most is for {names}") }
    )]
    TooLarge {
        /// The bytes that the image had reached when the compiler gave up.
        needed: usize,
        /// The bytes allowed.
        allowed: usize,
        /// What was being written.
        stage: Stage,
        /// The names of the rules that need the most of it.
        names: String,
    },
    /// A packet could need more steps than the program takes.
    #[error(
        "{rules} rules for {packets} packets, {counting} of them with the action `count`, can need \
         {needed} steps for one packet, more than the {allowed} allowed; among them {names}"
    )]
    TooMuchWork {
        /// Which packets the rules are for.
        packets: Kind,
        /// The rules that need the steps.
        rules: usize,
        /// Those that count and go on.
        counting: usize,
        /// The names of some of them.
        names: String,
        /// The steps needed in the worst case.
        needed: usize,
        /// The most steps allowed.
        allowed: usize,
    },
    /// There are more rules than an image has numbers for.
    #[error("{rules} rules are more than the {allowed} that an image can number")]
    TooManyRules {
        /// The rules there are.
        rules: usize,
        /// The most rules allowed.
        allowed: usize,
    },
    /// The small fields differ in too many combinations.
    #[error(
        "the rules for {packets} packets tell {needed} combinations of {fields} apart, more than \
         the {allowed} allowed; the most are for {names}"
    )]
    TooManyCombinations {
        /// Which packets the rules are for.
        packets: Kind,
        /// The fields that are combined.
        fields: String,
        /// The combinations there are.
        needed: usize,
        /// The most combinations allowed.
        allowed: usize,
        /// The names of the rules that are in the most of them.
        names: String,
    },
}

impl CompileError {
    /// The rules `members` of a section need too many steps.
    fn too_much_work(packets: Kind, rules: &Rules<'_>, members: &[usize], needed: usize) -> Self {
        Self::TooMuchWork {
            packets,
            rules: members.len(),
            counting: members.iter().filter(|rule| rules.counts(**rule)).count(),
            names: culprits::first(rules, members),
            needed,
            allowed: MAX_WALK as usize,
        }
    }
}

pub use view::Kind as PacketKind;

/// Compiles a rule set.
///
/// # Errors
///
/// [`CompileError`] when the tables would exceed a limit.
///
/// # Panics
///
/// When `target.slots` has another length than the rules.
pub fn compile(ruleset: &Ruleset, target: &Target<'_>) -> Result<Image, CompileError> {
    build(ruleset, target, |_| ()).map(|(image, _)| image)
}

/// Compiles a rule set; what updates need, too.
fn build(
    ruleset: &Ruleset,
    target: &Target<'_>,
    tell: impl FnMut(Stage) + 'static,
) -> Result<(Image, Basis), CompileError> {
    assert_eq!(
        ruleset.rules.len(),
        target.slots.len(),
        "a slot for each rule"
    );
    let mut writer = Writer::new(target.max_bytes).telling(tell);
    writer.reserve(SECTION_OTHER as usize + size_of::<Section>())?;
    let views = (
        view::ipv4(ruleset, target.interfaces),
        view::ipv6(ruleset, target.interfaces),
        view::other(ruleset, target.interfaces),
    );
    let slots = target.slots;
    let (ipv4, ipv4_basis) = compile_section(ruleset, slots, &views.0, SECTION_IPV4, &mut writer)?;
    let (ipv6, ipv6_basis) = compile_section(ruleset, slots, &views.1, SECTION_IPV6, &mut writer)?;
    let (other, _) = compile_section(ruleset, slots, &views.2, SECTION_OTHER, &mut writer)?;
    let plan = Plan {
        sections: vec![ipv4, ipv6, other],
        bytes: 0,
    };
    writer.begin_frame();
    let basis = Basis::new(target, [ipv4_basis, ipv6_basis], writer.len());
    Ok((finish(ruleset, target, plan, writer)?, basis))
}

/// Puts the metadata behind the tables and the header before them.
fn finish(
    ruleset: &Ruleset,
    target: &Target<'_>,
    mut plan: Plan,
    mut writer: Writer,
) -> Result<Image, CompileError> {
    let mut header = Header {
        magic: MAGIC,
        drops: drops(&ruleset.settings),
        ..Header::default()
    };
    writer.align(8)?;
    header.metadata = writer.offset();
    header.metadata_length = u32::try_from(target.metadata.len()).unwrap_or(u32::MAX);
    writer.bytes(target.metadata)?;
    writer.align(8)?;
    header.length = writer.offset();
    writer.write_header(&header);
    let bytes = writer.finish();
    plan.bytes = bytes.len();
    Ok(Image { bytes, plan })
}

/// The bits of the reasons for which packets are dropped.
fn drops(settings: &Settings) -> u32 {
    Reason::ALL
        .into_iter()
        .filter(|reason| settings.verdict_for(*reason) == Policy::Drop)
        .fold(0, |bits, reason| bits | 1 << reason.slot())
}
