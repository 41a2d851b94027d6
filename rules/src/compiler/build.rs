//! The order in which an image is built.

use firewall_ebpf::{
    abi::Reason,
    image::{Drops, Header, MAGIC, SECTION_IPV4, SECTION_IPV6, SECTION_OTHER, Section},
};

use super::{
    basis::Basis, culprits, error::CompileError, image::Image, kind::PacketKind, plan::Plan,
    rules::Rules, section::compile_section, stage::Stage, target::Target, view, writer::Writer,
};
use crate::{
    field::{FieldName, OptionGroups},
    model::{Ruleset, Settings, Verdict},
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
    check_options(ruleset, target.slots)?;
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

/// Refuses rules that distinguish too many groups of IPv4 options.
fn check_options(ruleset: &Ruleset, slots: &[u32]) -> Result<(), CompileError> {
    let groups = view::option_groups(ruleset);
    if groups.len() <= OptionGroups::MAX {
        return Ok(());
    }
    let rules = Rules::new(ruleset, slots, ruleset.iter().map(|(id, _)| id).collect());
    let of_rule = |rule: usize| {
        let options = ruleset.rules[rule].matches.ip_option.as_ref();
        options.map_or(0, |set| groups.bits(set).count_ones() as usize)
    };
    Err(CompileError::TooManyCombinations {
        packets: PacketKind::Ipv4,
        fields: FieldName::IpOption.as_str().to_owned(),
        needed: groups.len(),
        allowed: OptionGroups::MAX,
        names: culprits::largest(&rules, of_rule, ["group", "groups"]),
    })
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
    Ok(Image::new(bytes, plan))
}

/// The reasons for which packets are dropped.
fn drops(settings: &Settings) -> Drops {
    Reason::ALL
        .into_iter()
        .filter(|reason| settings.verdict_for(*reason) == Verdict::Drop)
        .fold(Drops::default(), Drops::with)
}
