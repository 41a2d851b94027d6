//! Warns about sets that drop what is rarely intended: whole families, large parts of them, and
//! addresses of local networks.
//!
//! Published lists sometimes have such entries, and cut off a machine that drops them.

use std::sync::Arc;

use super::{list_files::ListFile, sets::Sets};
use crate::{
    diagnostics::{Code, Diagnostic, Note, Report, Source, Span},
    field::{AddressRange, AddressSet, FieldName, Ranges, address::BLOCKS},
    language::{
        lists,
        syntax::{Operand, Term, WrittenRule},
    },
    model::Matches,
    text::{counted, quoted},
};

/// The maximum number of lines of one list that are named.
const MOST_NAMED: usize = 3;

/// Warns about what a rule drops by the sets that it names; once for each list, at the first rule
/// that drops it.
pub(super) fn warn(
    rule: &WrittenRule<'_>,
    matches: &Matches,
    sets: &Sets<'_>,
    warned: &mut Warned,
    report: &mut Report,
) {
    let fields = [
        (FieldName::Src, &matches.src),
        (FieldName::Dst, &matches.dst),
    ];
    for (name, dropped) in fields {
        let (Some(field), Some(dropped)) = (rule.field(name), dropped) else {
            continue;
        };
        refuse_empty_exceptions(&field.terms, sets, report);
        for term in &field.terms {
            let (false, Operand::Set(name)) = term.split() else {
                continue;
            };
            let mut is_of_a_list = false;
            for file in sets.files(name) {
                if warned.is_new(&file.source) {
                    is_of_a_list |= warn_of_list(file, dropped, term, report);
                }
            }
            if let Some(set) = sets.held(name)
                && !is_of_a_list
                && let Some(share) = share(&both(set, dropped))
            {
                let message = format!("the rule drops {share}, by the set {}", quoted(name));
                report.add(Code::BroadDrop, term.span, message);
            }
        }
    }
}

/// Reports empty sets that are all that the values of a field leave out: the rule would drop every address when
/// a list of trusted ones is empty.
fn refuse_empty_exceptions(terms: &[Term<'_>], sets: &Sets<'_>, report: &mut Report) {
    let is_empty = |name: &str| {
        let held = sets.held(name);
        held.is_some_and(|set| set.v4.is_empty() && set.v6.is_empty())
    };
    let leaves_out = |term: &Term<'_>| match term.split() {
        (false, _) => None,
        (true, Operand::Set(name)) => Some(!is_empty(name)),
        (true, Operand::Literal(_)) => Some(true),
    };
    // Positive values, or other exceptions, are what the rule drops without the set.
    if !terms.iter().all(|term| leaves_out(term) == Some(false)) {
        return;
    }
    for term in terms {
        let (_, Operand::Set(name)) = term.split() else {
            continue;
        };
        let message = format!(
            "the rule drops every address, because the set {} has no members",
            quoted(name)
        );
        report
            .add(Code::EmptySet, term.span, message)
            .help("name the addresses to drop beside it, or give the set a member: `[\"192.0.2.1\", \"@set\"]`");
    }
}

/// The lists about which a warning was given.
#[derive(Default)]
pub(super) struct Warned(Vec<Arc<Source>>);

impl Warned {
    fn is_new(&mut self, source: &Arc<Source>) -> bool {
        let is_new = !self.0.iter().any(|known| Arc::ptr_eq(known, source));
        if is_new {
            self.0.push(Arc::clone(source));
        }
        is_new
    }
}

fn warn_of_list(
    file: &ListFile,
    dropped: &AddressSet,
    term: &Term<'_>,
    report: &mut Report,
) -> bool {
    let ListFile {
        set,
        source,
        options,
        ..
    } = file;
    let is_suspect =
        |set| share(set).is_some() || BLOCKS.iter().any(|(block, _)| meets(set, *block));
    if !is_suspect(set) {
        return false;
    }
    let dropped = both(set, dropped);
    let mut found: Option<(Diagnostic, usize)> = None;
    for (span, range) in lists::members(source, *options) {
        let Some(what) = described(range, &dropped) else {
            continue;
        };
        match &mut found {
            None => {
                let message = format!("the rule drops {what}, by a line of a list");
                let mut warning = Diagnostic::new(Code::BroadDrop, source, span, message);
                warning.help("take the address out where the rule uses the set: `[\"@set\", \"!192.0.2.0/24\"]`");
                found = Some((warning, 1));
            }
            Some((warning, count)) => {
                *count += 1;
                if *count <= MOST_NAMED {
                    warning
                        .notes
                        .push(note(source, span, &format!("and {what}")));
                }
            }
        }
    }
    let Some((mut warning, count)) = found else {
        return false;
    };
    if let more @ 1.. = count.saturating_sub(MOST_NAMED) {
        let verb = if more == 1 { "does" } else { "do" };
        let lines = counted(more, "more line");
        warning.note(format!("{lines} of the list {verb} so"));
    }
    let rule = report.source();
    warning
        .notes
        .push(note(&rule, term.span, "the rule names the set here"));
    report.extend([warning]);
    true
}

fn note(source: &Arc<Source>, span: Span, message: &str) -> Note {
    Note {
        message: message.to_owned(),
        label: Some(crate::diagnostics::Label {
            source: Arc::clone(source),
            span,
            text: String::new(),
        }),
    }
}

/// A description of the dropped part of a member, if dropping it is rarely intended.
fn described(range: AddressRange, dropped: &AddressSet) -> Option<&'static str> {
    if let Some(share) = share(&set_of(range))
        && meets(dropped, range)
    {
        return Some(share);
    }
    let found = BLOCKS
        .iter()
        .find(|(block, _)| common(range, *block).is_some_and(|common| meets(dropped, common)));
    found.map(|(_, what)| *what)
}

fn common(a: AddressRange, b: AddressRange) -> Option<AddressRange> {
    let common = match (a, b) {
        (AddressRange::V4(a, b), AddressRange::V4(c, d)) => AddressRange::V4(a.max(c), b.min(d)),
        (AddressRange::V6(a, b), AddressRange::V6(c, d)) => AddressRange::V6(a.max(c), b.min(d)),
        (AddressRange::V4(..), AddressRange::V6(..))
        | (AddressRange::V6(..), AddressRange::V4(..)) => {
            return None;
        }
    };
    let is_empty = match common {
        AddressRange::V4(first, last) => first > last,
        AddressRange::V6(first, last) => first > last,
    };
    (!is_empty).then_some(common)
}

fn both(a: &AddressSet, b: &AddressSet) -> AddressSet {
    AddressSet {
        v4: a.v4.intersection(&b.v4),
        v6: a.v6.intersection(&b.v6),
    }
}

fn set_of(range: AddressRange) -> AddressSet {
    let mut ranges = Ranges::default();
    ranges.push(range);
    ranges.into_set()
}

/// The share of a family that a set contains, if it is large.
fn share(set: &AddressSet) -> Option<&'static str> {
    let (mut v4, mut v6) = (set.v4.ranges().iter(), set.v6.ranges().iter());
    if set.v4.is_full() {
        Some("every IPv4 address")
    } else if set.v6.is_full() {
        Some("every IPv6 address")
    } else if v4.any(|&(first, last)| AddressRange::V4(first, last).is_large()) {
        Some("an eighth or more of all IPv4 addresses")
    } else if v6.any(|&(first, last)| AddressRange::V6(first, last).is_large()) {
        Some("an eighth or more of all IPv6 addresses")
    } else {
        None
    }
}

fn meets(set: &AddressSet, block: AddressRange) -> bool {
    match block {
        AddressRange::V4(first, last) => set.v4.meets(first, last),
        AddressRange::V6(first, last) => set.v6.meets(first, last),
    }
}
