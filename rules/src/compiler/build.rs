//! The order in which an image is built.

use firewall_ebpf::{
    abi::Reason,
    image::{Drops, Header, MAGIC, SECTIONS_END},
};

use super::{
    basis::{Basis, SectionBasis},
    culprits,
    error::CompileError,
    image::Image,
    kind::{PacketKind, SectionKind},
    plan::{Plan, SectionPlan},
    rules::Rules,
    section::compile_section,
    stage::Stage,
    target::Target,
    view,
    writer::Writer,
};
use crate::{
    field::{FieldName, OptionGroups},
    model::{Direction, Ruleset, Settings, Verdict},
};

/// Compiles a rule set.
///
/// # Errors
///
/// [`CompileError`] if the tables would exceed a limit.
///
/// # Panics
///
/// If the number of `target.slots` is not the number of rules.
pub fn compile(ruleset: &Ruleset, target: &Target<'_>) -> Result<Image, CompileError> {
    build(ruleset, target, |_| ()).map(|(image, _)| image)
}

/// Compiles a rule set, and returns the data that updates need with the image.
pub(crate) fn build(
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
    writer.reserve(SECTIONS_END as usize)?;
    let mut plan = Plan::default();
    let [in_basis, out_basis] = Direction::ALL.map(|direction| {
        let (sections, basis) = compile_direction(ruleset, target, direction, &mut writer)?;
        // An egress program that is about to be detached may still meet the image: it has sections
        // for out in any case.
        if direction == Direction::In || ruleset.has_egress() {
            plan.sections.extend(sections);
        }
        Ok(basis)
    });
    let bases = [in_basis?, out_basis?];
    writer.begin_frame();
    let basis = Basis::new(target, bases, writer.len());
    Ok((finish(ruleset, target, plan, writer)?, basis))
}

/// Refuses rules that distinguish too many groups of IPv4 options.
fn check_options(
    ruleset: &Ruleset,
    direction: Direction,
    slots: &[u32],
) -> Result<(), CompileError> {
    let groups = view::option_groups(ruleset, direction);
    if groups.len() <= OptionGroups::MAX {
        return Ok(());
    }
    let of_direction = ruleset
        .iter()
        .filter(|(_, rule)| rule.direction == direction);
    let (ids, its_rules): (Vec<_>, Vec<_>) = of_direction.unzip();
    let rules = Rules::new(ruleset, slots, ids);
    let of_rule = |rule: usize| {
        let options = its_rules[rule].matches.ip_option.as_ref();
        options.map_or(0, |set| groups.bits(set).count_ones() as usize)
    };
    Err(CompileError::TooManyCombinations {
        packets: SectionKind {
            direction,
            packets: PacketKind::Ipv4,
        },
        fields: FieldName::IpOption.as_str().to_owned(),
        needed: groups.len(),
        allowed: OptionGroups::MAX,
        names: culprits::largest(&rules, of_rule, ["group", "groups"]),
    })
}

/// Writes the sections of one direction; returns their plans, and the data that updates need of
/// those for packets with addresses.
fn compile_direction(
    ruleset: &Ruleset,
    target: &Target<'_>,
    direction: Direction,
    writer: &mut Writer,
) -> Result<([SectionPlan; 3], [SectionBasis; 2]), CompileError> {
    let &Target {
        interfaces, slots, ..
    } = target;
    check_options(ruleset, direction, slots)?;
    let ipv4 = view::ipv4(ruleset, direction, interfaces);
    let (ipv4, ipv4_basis) = compile_section(ruleset, slots, &ipv4, writer)?;
    let ipv6 = view::ipv6(ruleset, direction, interfaces);
    let (ipv6, ipv6_basis) = compile_section(ruleset, slots, &ipv6, writer)?;
    let other = view::other(ruleset, direction, interfaces);
    let (other, _) = compile_section(ruleset, slots, &other, writer)?;
    Ok(([ipv4, ipv6, other], [ipv4_basis, ipv6_basis]))
}

/// Writes the metadata after the tables, and the header.
pub(crate) fn finish(
    ruleset: &Ruleset,
    target: &Target<'_>,
    mut plan: Plan,
    mut writer: Writer,
) -> Result<Image, CompileError> {
    let mut header = Header {
        magic: MAGIC,
        drops: drops(&ruleset.settings, Direction::In),
        drops_out: drops(&ruleset.settings, Direction::Out),
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
    Ok(Image::new(bytes, plan))
}

/// The reasons for which packets of a direction are dropped.
fn drops(settings: &Settings, direction: Direction) -> Drops {
    Reason::ALL
        .into_iter()
        .filter(|reason| settings.verdict_for(direction, *reason) == Verdict::Drop)
        .fold(Drops::default(), Drops::with)
}
