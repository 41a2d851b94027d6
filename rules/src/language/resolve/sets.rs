//! The sets of a rule file.
//!
//! This module owns the contents of sets and the references to them. It does not know what a field
//! does with their members.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    files::ListReader,
    list_files::{self, ListFile, ListFilesRead},
    literal::{address, port},
    loaded::ListSize,
};
use crate::{
    diagnostics::{Code, Report, Span},
    field::{AddressSet, RangeSet, Ranges},
    language::syntax::{At, Field, Members, Operand, Set, Term},
    text::{nearest, quoted},
};

/// The sets of a file by name.
pub(super) struct Sets<'a> {
    entries: BTreeMap<&'a str, SetEntry>,
    unknown: UnknownNames,
    sizes: Vec<ListSize>,
}

struct SetEntry {
    name: Span,
    /// `None` when they are not readable, which is reported.
    members: Option<Resolved>,
    /// The list files among the members.
    files: Vec<ListFile>,
    is_used: bool,
}

#[derive(Clone)]
enum Resolved {
    Addresses(Arc<AddressSet>),
    Ports(RangeSet<u16>),
}

impl Resolved {
    const fn kind(&self) -> SetKind {
        match self {
            Self::Addresses(_) => SetKind::Address,
            Self::Ports(_) => SetKind::Port,
        }
    }
}

/// The maximum nesting depth of sets.
const MAX_DEPTH: usize = 32;

/// The sets of a file while they are resolved.
struct Resolver<'r, 'a> {
    written: BTreeMap<&'a str, &'r Set<'a>>,
    entries: BTreeMap<&'a str, SetEntry>,
    /// The chain of sets that led to the current one, the outermost first.
    path: Vec<&'a str>,
    files: ListFilesRead,
    list: &'r mut ListReader<'r>,
    unknown: UnknownNames,
    sizes: Vec<ListSize>,
}

impl<'a> Sets<'a> {
    /// Reads the members of all sets, and their list files.
    pub(super) fn resolve(
        written: &[Set<'a>],
        list: &mut ListReader<'_>,
        report: &mut Report,
    ) -> Self {
        let mut resolver = Resolver {
            written: written.iter().map(|set| (set.name.value, set)).collect(),
            entries: BTreeMap::new(),
            path: Vec::new(),
            files: ListFilesRead::default(),
            list: &mut |name| list(name),
            unknown: UnknownNames::default(),
            sizes: Vec::new(),
        };
        for set in written {
            check_name(set.name, report);
            resolver.resolve(set, report);
        }
        Self {
            entries: resolver.entries,
            unknown: resolver.unknown,
            sizes: resolver.sizes,
        }
    }

    /// Adds to the finding about a literal that a set of its name may have been meant. Returns false,
    /// since the literal has no value.
    pub(super) fn suggest(&self, literal: &str, report: &mut Report) -> bool {
        if self.entries.contains_key(literal)
            && let Some(diagnostic) = report.last()
        {
            diagnostic.help(format!("did you mean the set `@{literal}`?"));
        }
        false
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

    /// The addresses of the set `name`, if it contains addresses.
    pub(super) fn held(&self, name: &str) -> Option<&AddressSet> {
        match self.entries.get(name)?.members.as_ref()? {
            Resolved::Addresses(set) => Some(set),
            Resolved::Ports(_) => None,
        }
    }

    /// The kind of the members of the set `name` and the number of its ranges, if a rule uses it.
    pub(super) fn size_of_used(&self, name: &str) -> Option<(&'static str, usize)> {
        let entry = self.entries.get(name).filter(|entry| entry.is_used)?;
        let members = entry.members.as_ref()?;
        let ranges = match members {
            Resolved::Addresses(set) => set.v4.ranges().len() + set.v6.ranges().len(),
            Resolved::Ports(set) => set.ranges().len(),
        };
        Some((members.kind().members(), ranges))
    }

    /// The sizes of all list files, in the order of the sets.
    pub(super) fn sizes(&self) -> &[ListSize] {
        &self.sizes
    }

    /// The list files among the members of the set `name`.
    pub(super) fn files(&self, name: &str) -> &[ListFile] {
        self.entries.get(name).map_or(&[], |entry| &entry.files)
    }

    fn refer(&mut self, name: &str, term: &Term<'_>, report: &mut Report) -> Option<&SetEntry> {
        if !self.entries.contains_key(name) {
            let names = self.entries.keys().copied();
            self.unknown.report(name, names, term, report);
        }
        let entry = self.entries.get_mut(name)?;
        entry.is_used = true;
        Some(entry)
    }
}

/// The maximum number of unknown names for which a suggestion is searched. A generated file can
/// have ten thousand of each.
const MAX_SEARCHES: u32 = 100;

/// Reports references to sets that do not exist.
#[derive(Default)]
struct UnknownNames {
    searches: u32,
}

impl UnknownNames {
    fn report<'n>(
        &mut self,
        name: &str,
        names: impl Iterator<Item = &'n str>,
        term: &Term<'_>,
        report: &mut Report,
    ) {
        let message = format!("unknown set {}", quoted(name));
        self.searches = self.searches.saturating_add(1);
        let meant = (self.searches <= MAX_SEARCHES)
            .then(|| nearest(name, names))
            .flatten();
        report
            .add(Code::UnknownSet, term.span, message)
            .help(match meant {
                Some(meant) => format!("did you mean `@{meant}`?"),
                None => "define it under `[sets]`".to_owned(),
            });
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

/// The kind of members of a set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SetKind {
    Address,
    Port,
}

impl SetKind {
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

impl<'a> Resolver<'_, 'a> {
    fn resolve(&mut self, set: &Set<'a>, report: &mut Report) {
        let name = set.name.value;
        if self.entries.contains_key(name) {
            return;
        }
        let mut files = Vec::new();
        let members = match &set.members {
            None => None,
            Some(Members::Inline(terms)) => {
                self.path.push(name);
                let members = self.inline(terms, &mut files, report);
                self.path.pop();
                members
            }
            Some(Members::Files(written)) => {
                let shrink = list_files::shrink(written, report);
                let read = self.files.read(written, self.list, report);
                read.zip(shrink).map(|(read, shrink)| {
                    let sizes = read.iter().map(|file| ListSize {
                        set: name.to_owned(),
                        file: file.name.to_string(),
                        members: file.members,
                        shrink,
                    });
                    self.sizes.extend(sizes);
                    files = read;
                    Resolved::Addresses(list_files::union(&files))
                })
            }
        };
        let entry = SetEntry {
            name: set.name.span,
            members,
            files,
            is_used: false,
        };
        self.entries.insert(name, entry);
    }

    /// Reads the members of an inline set, which has at least one term.
    fn inline(
        &mut self,
        terms: &[Term<'a>],
        files: &mut Vec<ListFile>,
        report: &mut Report,
    ) -> Option<Resolved> {
        let mut first: Option<(SetKind, &Term<'_>)> = None;
        let mut addresses = Ranges::default();
        let mut ports = Vec::new();
        let mut is_whole = true;
        for term in terms {
            let Some(member) = self.member(term, files, report) else {
                is_whole = false;
                continue;
            };
            let (kind, _) = *first.get_or_insert((member.kind(), term));
            is_whole &= same_kind(member.kind(), kind, first, term, report)
                && match member {
                    SetMember::Address => address(term, &term.text, report)
                        .map(|range| addresses.push(range))
                        .is_some(),
                    SetMember::Port => port(term, &term.text, report)
                        .map(|range| ports.push(range))
                        .is_some(),
                    SetMember::Set(Resolved::Addresses(set)) => {
                        addresses.extend(&set);
                        true
                    }
                    SetMember::Set(Resolved::Ports(set)) => {
                        ports.extend_from_slice(set.ranges());
                        true
                    }
                };
        }
        let (kind, _) = first?;
        is_whole.then(|| match kind {
            SetKind::Address => Resolved::Addresses(Arc::new(addresses.into_set())),
            SetKind::Port => Resolved::Ports(RangeSet::from_ranges(ports)),
        })
    }

    fn member(
        &mut self,
        term: &Term<'a>,
        files: &mut Vec<ListFile>,
        report: &mut Report,
    ) -> Option<SetMember> {
        let name = match term.split() {
            (false, Operand::Literal(text)) => {
                return Some(match SetKind::of(text) {
                    SetKind::Address => SetMember::Address,
                    SetKind::Port => SetMember::Port,
                });
            }
            (true, _) => {
                report
                    .add(
                        Code::InvalidValue,
                        term.span,
                        "a set has no negated members",
                    )
                    .help("negate the set where a rule uses it: `\"!@name\"`");
                return None;
            }
            (false, Operand::Set(name)) => name,
        };
        let Some(set) = self.written.get(name).copied() else {
            let names = self.written.keys().copied();
            self.unknown.report(name, names, term, report);
            return None;
        };
        if let Some(at) = self.path.iter().position(|outer| *outer == name) {
            let path = self.path.get(at..).unwrap_or_default();
            let through: Vec<_> = path.iter().map(|name| quoted(name)).collect();
            report
                .add(
                    Code::InvalidValue,
                    term.span,
                    format!("the set {} holds itself", quoted(name)),
                )
                .label(format!("through {}", through.join(", ")));
            return None;
        }
        if self.path.len() >= MAX_DEPTH {
            let message = format!("sets are nested more than {MAX_DEPTH} deep");
            report.add(Code::InvalidValue, term.span, message);
            return None;
        }
        self.resolve(set, report);
        let entry = self.entries.get_mut(name)?;
        entry.is_used = true;
        files.extend(entry.files.iter().cloned());
        entry.members.clone().map(SetMember::Set)
    }
}

/// A member of an inline set.
enum SetMember {
    Address,
    Port,
    Set(Resolved),
}

impl SetMember {
    const fn kind(&self) -> SetKind {
        match self {
            Self::Address => SetKind::Address,
            Self::Port => SetKind::Port,
            Self::Set(set) => set.kind(),
        }
    }
}

fn same_kind(
    other: SetKind,
    kind: SetKind,
    first: Option<(SetKind, &Term<'_>)>,
    term: &Term<'_>,
    report: &mut Report,
) -> bool {
    let Some((_, first)) = first.filter(|_| other != kind) else {
        return true;
    };
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
