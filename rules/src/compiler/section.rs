//! One section of the image: from the fields of a packet to the rule that decides.

use std::hash::Hash;

use firewall_ebpf::image::Section;

use super::{
    address::{Address, Side},
    basis::SectionBasis,
    culprits,
    decide::{Cells, Grid, Parts, pairs},
    error::CompileError,
    l4::{L4Key, reduction as upper},
    plan::{Part, SectionPlan},
    rules::Rules,
    stage::StageTable,
    view::View,
    writer::Writer,
};
use crate::{field::Value, model::Ruleset};

/// Writes a section, for each of its states; returns its plan and the data that updates need.
///
/// # Errors
///
/// [`CompileError`] if the tables exceed a limit.
pub(super) fn compile_section<A: Address>(
    ruleset: &Ruleset,
    slots: &[u32],
    view: &View<'_, A>,
    writer: &mut Writer,
) -> Result<(SectionPlan, SectionBasis), CompileError> {
    let rules = Rules::new(
        ruleset,
        slots,
        view.rules.iter().map(|rule| rule.id).collect(),
    );
    writer.begin_section(view.kind, rules.len());
    write(&rules, view, writer).map_err(|error| culprits::name(error, view, &rules))
}

fn write<A: Address>(
    rules: &Rules<'_>,
    view: &View<'_, A>,
    writer: &mut Writer,
) -> Result<(SectionPlan, SectionBasis), CompileError> {
    writer.begin(StageTable::Source);
    let mut src = Side::new(view.rules.iter().map(|rule| rule.src));
    writer.begin(StageTable::Destination);
    let mut dst = Side::new(view.rules.iter().map(|rule| rule.dst));
    let upper = upper::write(view, rules, writer)?;
    let mut section = Section {
        steps_used: upper.used,
        steps: upper.steps,
        ..Section::default()
    };
    let upper_part = Part::Upper {
        classes: upper.classes.len(),
        signatures: upper.signature_count,
        bytes: upper.bytes,
        loads: upper.loads,
        nanoseconds: upper.nanoseconds,
    };
    let mut parts = Parts::default();
    writer.begin(StageTable::DirectTable);
    let cells = Cells::new(rules, &src, &dst, &upper);
    if cells.is_none() {
        // All other structures consist of items.
        rules.check_items()?;
    }
    if let Some(cells) = cells {
        parts.push(cells.write(&mut section, writer)?);
        parts.tries(&mut src, &mut dst, &mut section, writer)?;
    } else if let Some(grid) = grid(rules, (&src, &dst), &upper, writer) {
        let sides = (&src, &dst, &upper);
        for part in grid.write(view.kind, rules, sides, &mut section, writer)? {
            parts.push(part);
        }
        parts.tries(&mut src, &mut dst, &mut section, writer)?;
    } else {
        let mut input = pairs::Input {
            kind: view.kind,
            rules,
            src,
            dst,
            upper: &upper,
        };
        parts = pairs::write(&mut input, &mut section, writer)?;
        (src, dst) = (input.src, input.dst);
    }
    parts.insert_upper(upper_part);
    for offset in view.kind.offsets() {
        writer.write_section(offset, &section);
    }
    let plan = SectionPlan {
        direction: view.kind.direction,
        packets: view.kind.packets,
        states: view.kind.states,
        rules: rules.len(),
        parts: parts.finish(),
    };
    Ok((plan, SectionBasis::new(view.kind, rules, src, dst)))
}

/// The grid, if the section is small enough for one.
fn grid<A: Value + Hash>(
    rules: &Rules<'_>,
    (src, dst): (&Side<'_, A>, &Side<'_, A>),
    upper: &L4Key,
    writer: &mut Writer,
) -> Option<Grid> {
    writer.begin(StageTable::Grid);
    Grid::new(rules, src, dst, upper)
}
