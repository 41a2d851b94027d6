//! What an image is made of, in a form that can be compared line by line.

use std::fmt::Write as _;

use firewall_ebpf::image::{MAX_COUNTS, MAX_LIST, MAX_WALK};
use rules::compiler::{Image, Part, SectionPlan};

/// The sections of an image and their structures.
pub(crate) fn text(image: &Image) -> String {
    let plan = image.plan();
    let mut text = String::new();
    line(
        &mut text,
        format_args!("bounds steps={MAX_WALK} list={MAX_LIST} counts={MAX_COUNTS}"),
    );
    line(&mut text, format_args!("loads {}", plan.loads()));
    for section in &plan.sections {
        self::section(&mut text, section);
    }
    text
}

fn section(text: &mut String, section: &SectionPlan) {
    let SectionPlan { rules, parts, .. } = section;
    let packets = section.kind().to_string().replace(' ', "-");
    let (decision, loads, bytes) = (section.decision(), section.loads(), section.bytes());
    let decision = decision.replace(' ', "-");
    line(
        text,
        format_args!(
            "\nsection {packets} rules={rules} decision={decision} loads={loads} bytes={bytes}"
        ),
    );
    for part in parts {
        self::part(text, part);
    }
}

fn part(text: &mut String, part: &Part) {
    let name = part.name().replace(' ', "-");
    let structure = part.structure().replace(' ', "-");
    let holds = part.holds().into_iter().map(|(what, count)| {
        let what = what.replace(' ', "-");
        format!(" {what}={count}")
    });
    let (holds, loads, bytes) = (holds.collect::<String>(), part.loads(), part.bytes());
    line(
        text,
        format_args!("  {name} structure={structure}{holds} loads={loads} bytes={bytes}"),
    );
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{words}");
}
