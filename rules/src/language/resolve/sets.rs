//! The sets of a rule file.
//!
//! This module owns what sets hold and who refers to them. It does not know what a field does
//! with their members.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    files::ListReader,
    literal::{address, port},
};
use crate::{
    diagnostics::{Code, Report, Span},
    field::{AddressSet, RangeSet, Ranges},
    language::{
        lists,
        syntax::{At, Field, Members, Operand, Set, Term},
    },
    text::{nearest, quoted},
};

/// The sets of a file by name.
pub(super) struct Sets<'a> {
    entries: BTreeMap<&'a str, Entry>,
    /// How many unknown names may still be compared with all known ones.
    searches_left: u32,
}

/// The most unknown names for which the known one that was meant is searched. A generated file
/// can have ten thousand of each.
const MAX_SEARCHES: u32 = 100;

struct Entry {
    name: Span,
    /// `None` when they are not readable, which is reported.
    members: Option<Resolved>,
    is_used: bool,
}

enum Resolved {
    Addresses(Arc<AddressSet>),
    Ports(RangeSet<u16>),
}

impl<'a> Sets<'a> {
    /// Reads the members of all sets, and the list files that hold them.
    pub(super) fn resolve(
        written: &[Set<'a>],
        list: &mut ListReader<'_>,
        report: &mut Report,
    ) -> Self {
        let mut files = HashMap::new();
        let mut entries = BTreeMap::new();
        for set in written {
            check_name(set.name, report);
            let members = match &set.members {
                None => None,
                Some(Members::Inline(terms)) => inline(terms, report),
                Some(Members::File(file)) => files
                    .entry(file.value)
                    .or_insert_with(|| read_file(*file, list, report))
                    .clone()
                    .map(Resolved::Addresses),
            };
            let entry = Entry {
                name: set.name.span,
                members,
                is_used: false,
            };
            entries.insert(set.name.value, entry);
        }
        Self {
            entries,
            searches_left: MAX_SEARCHES,
        }
    }

    /// The addresses of the set `name`, to which `term` of `field` refers.
    pub(super) fn addresses(
        &mut self,
        name: &str,
        field: &Field<'_>,
        term: &Term<'_>,
        report: &mut Report,
    ) -> Option<&Arc<AddressSet>> {
        let entry = self.refer(name, term, report)?;
        match entry.members.as_ref()? {
            Resolved::Addresses(set) => Some(set),
            Resolved::Ports(_) => {
                wrong_kind(name, "ports", "addresses", entry.name, field, term, report);
                None
            }
        }
    }

    /// The ports of the set `name`, to which `term` of `field` refers.
    pub(super) fn ports(
        &mut self,
        name: &str,
        field: &Field<'_>,
        term: &Term<'_>,
        report: &mut Report,
    ) -> Option<&RangeSet<u16>> {
        let entry = self.refer(name, term, report)?;
        match entry.members.as_ref()? {
            Resolved::Ports(set) => Some(set),
            Resolved::Addresses(_) => {
                wrong_kind(name, "addresses", "ports", entry.name, field, term, report);
                None
            }
        }
    }

    /// Reports the sets that no rule has referred to.
    pub(super) fn warn_of_unused(&self, report: &mut Report) {
        for (name, entry) in &self.entries {
            if !entry.is_used {
                let message = format!("no rule uses the set {}", quoted(name));
                report.add(Code::UnusedSet, entry.name, message);
            }
        }
    }

    fn refer(&mut self, name: &str, term: &Term<'_>, report: &mut Report) -> Option<&Entry> {
        if !self.entries.contains_key(name) {
            let message = format!("unknown set {}", quoted(name));
            let names = self.entries.keys().copied();
            let meant = match self.searches_left.checked_sub(1) {
                Some(left) => {
                    self.searches_left = left;
                    nearest(name, names)
                }
                None => None,
            };
            report
                .add(Code::UnknownSet, term.span, message)
                .help(match meant {
                    Some(meant) => format!("did you mean `@{meant}`?"),
                    None => "define it under `[sets]`".to_owned(),
                });
        }
        let entry = self.entries.get_mut(name)?;
        entry.is_used = true;
        Some(entry)
    }
}

fn wrong_kind(
    name: &str,
    held: &str,
    taken: &str,
    definition: Span,
    field: &Field<'_>,
    term: &Term<'_>,
    report: &mut Report,
) {
    let key = field.name.as_str();
    let message = format!(
        "`{key}` takes {taken}, but the set {} holds {held}",
        quoted(name)
    );
    report
        .add(Code::WrongSet, term.span, message)
        .note_at(definition, "the set is defined here");
}

fn check_name(name: At<&str>, report: &mut Report) {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.value.is_empty() || !name.value.chars().all(fits) {
        let message = format!("invalid set name {}", quoted(name.value));
        report
            .add(Code::InvalidName, name.span, message)
            .help("a set name is made of ASCII letters, digits, `-` and `_`");
    }
}

fn read_file(
    file: At<&str>,
    list: &mut ListReader<'_>,
    report: &mut Report,
) -> Option<Arc<AddressSet>> {
    match list(file.value) {
        Err(error) => {
            let message = format!("cannot read the list {}: {error}", quoted(file.value));
            report.add(Code::UnreadableFile, file.span, message);
            None
        }
        Ok(source) => match lists::parse(&source) {
            Ok(set) => Some(Arc::new(set)),
            Err(diagnostics) => {
                report.extend(diagnostics);
                None
            }
        },
    }
}

/// What kind of member a term of a set is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Address,
    Port,
}

impl Kind {
    fn of(text: &str) -> Self {
        if text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-')
        {
            Self::Port
        } else {
            Self::Address
        }
    }

    const fn members(self) -> &'static str {
        match self {
            Self::Address => "addresses",
            Self::Port => "ports",
        }
    }
}

/// Reads the members of an inline set, which has at least one term.
fn inline(terms: &[Term<'_>], report: &mut Report) -> Option<Resolved> {
    let first = terms.first()?;
    let kind = Kind::of(&first.text);
    let mut addresses = Ranges::default();
    let mut ports = Vec::new();
    let mut is_whole = true;
    for term in terms {
        is_whole &= plain(term, report)
            && same_kind(term, kind, first, report)
            && match kind {
                Kind::Address => address(term, &term.text, report)
                    .map(|range| addresses.push(range))
                    .is_some(),
                Kind::Port => port(term, &term.text, report)
                    .map(|range| ports.push(range))
                    .is_some(),
            };
    }
    is_whole.then(|| match kind {
        Kind::Address => Resolved::Addresses(Arc::new(addresses.into_set())),
        Kind::Port => Resolved::Ports(RangeSet::from_ranges(ports)),
    })
}

fn plain(term: &Term<'_>, report: &mut Report) -> bool {
    let (message, help) = match term.split() {
        (false, Operand::Literal(_)) => return true,
        (true, _) => (
            "a set has no negated members",
            "negate the set where a rule uses it: `\"!@name\"`",
        ),
        (false, Operand::Set(_)) => (
            "a set cannot hold another set",
            "list both sets where a rule uses them: `[\"@one\", \"@other\"]`",
        ),
    };
    report
        .add(Code::InvalidValue, term.span, message)
        .help(help);
    false
}

fn same_kind(term: &Term<'_>, kind: Kind, first: &Term<'_>, report: &mut Report) -> bool {
    let other = Kind::of(&term.text);
    if other == kind {
        return true;
    }
    let message = format!(
        "a set of {} cannot hold {}",
        kind.members(),
        other.members()
    );
    report.add(Code::MixedSet, term.span, message).note_at(
        first.span,
        format!("the first member makes it a set of {}", kind.members()),
    );
    false
}
