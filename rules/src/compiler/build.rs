//! The order in which an image is built.

use firewall_ebpf::{
    abi::Reason,
    image::{Drops, Header, MAGIC, SECTIONS_END, STATE_SECTIONS_END},
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
    view::{self, View},
    writer::Writer,
};
use crate::{
    field::{FieldName, OptionGroups, State},
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
    let sections_end = if ruleset.asks_for_states() {
        STATE_SECTIONS_END
    } else {
        SECTIONS_END
    };
    writer.reserve(sections_end as usize)?;
    let mut plan = Plan::default();
    let mut bases = Vec::new();
    for direction in Direction::ALL {
        let sections = compile_direction(ruleset, target, direction, &mut writer, &mut bases)?;
        // An egress program that is about to be detached may still meet the image: it has sections
        // for out in any case.
        if direction == Direction::In || ruleset.has_egress() {
            plan.sections.extend(sections);
        }
    }
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
        packets: SectionKind::of_all_states(direction, PacketKind::Ipv4),
        fields: FieldName::IpOption.as_str().to_owned(),
        needed: groups.len(),
        allowed: OptionGroups::MAX,
        names: culprits::largest(&rules, of_rule, ["group", "groups"]),
    })
}

/// Writes the sections of one direction; returns their plans, and adds the data that updates need
/// of those for packets with addresses.
fn compile_direction(
    ruleset: &Ruleset,
    target: &Target<'_>,
    direction: Direction,
    writer: &mut Writer,
    bases: &mut Vec<SectionBasis>,
) -> Result<Vec<SectionPlan>, CompileError> {
    let &Target {
        interfaces, slots, ..
    } = target;
    check_options(ruleset, direction, slots)?;
    let mut plans = Vec::new();
    let mut keep = |(plan, basis): (SectionPlan, SectionBasis)| {
        plans.push(plan);
        bases.push(basis);
    };
    let ipv4 = |state| view::ipv4(ruleset, direction, interfaces, state);
    for view in with_reverse(ruleset, direction, by_state(ruleset, ipv4), ipv4) {
        keep(compile_section(ruleset, slots, &view, writer)?);
    }
    let ipv6 = |state| view::ipv6(ruleset, direction, interfaces, state);
    for view in with_reverse(ruleset, direction, by_state(ruleset, ipv6), ipv6) {
        keep(compile_section(ruleset, slots, &view, writer)?);
    }
    let other = view::other(ruleset, direction, interfaces);
    let (other, _) = compile_section(ruleset, slots, &other, writer)?;
    plans.push(other);
    Ok(plans)
}

/// The views of the states: one for all states to which the same rules apply.
fn by_state<'a, A>(
    ruleset: &Ruleset,
    of: impl Fn(Option<State>) -> View<'a, A>,
) -> Vec<View<'a, A>> {
    if !ruleset.asks_for_states() {
        return vec![of(None)];
    }
    let mut views: Vec<View<'a, A>> = Vec::new();
    for state in State::ALL {
        let view = of(Some(state));
        if !views.iter_mut().any(|known| known.join(&view)) {
            views.push(view);
        }
    }
    views
}

/// The views with that of packets in that packets out may answer, if it is not that of new packets.
fn with_reverse<'a, A>(
    ruleset: &Ruleset,
    direction: Direction,
    mut views: Vec<View<'a, A>>,
    of: impl Fn(Option<State>) -> View<'a, A>,
) -> Vec<View<'a, A>> {
    if direction == Direction::Out || !ruleset.asks_for_states() {
        return views;
    }
    match of(Some(State::New)).into_reverse(ruleset) {
        Some(reverse) => views.push(reverse),
        None => {
            let is_of_new = |view: &&mut View<'_, A>| {
                let states = view.kind.states;
                states.is_some_and(|states| states.has(State::New))
            };
            if let Some(view) = views.iter_mut().find(is_of_new) {
                view.kind.is_reverse = true;
            }
        }
    }
    views
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

/// The reasons for which packets of a direction are dropped, and those for which they are logged.
fn drops(settings: &Settings, direction: Direction) -> Drops {
    let all = Reason::ALL.into_iter();
    let drops = all
        .clone()
        .filter(|reason| settings.verdict_for(direction, *reason) == Verdict::Drop)
        .fold(Drops::default(), Drops::with);
    all.filter(|reason| settings.logs.limit_for(*reason).is_some())
        .fold(drops, Drops::with_log)
}
