//! Members of sets and fields that are covered by another member.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use crate::{
    diagnostics::{Code, Report, Source, Span},
    field::{AddressRange, Form, address},
    language::{Field, File, Members, Operand, Term, list_options, lists},
    text::{number, quoted},
};

/// The maximum number of redundant members of one set that are reported individually.
const MOST_TOLD: usize = 10;

/// The maximum number of redundant members of one list file that are shown.
const MOST_SHOWN: usize = 3;

/// Warns about redundant members of sets, fields and list files, which are given by name.
pub(super) fn warn(file: &File<'_>, lists: &HashMap<String, Arc<Source>>, report: &mut Report) {
    let mut read: HashMap<(&str, lists::ListOptions), Vec<Member>> = HashMap::new();
    let mut sets: HashMap<&str, Vec<Member>> = HashMap::new();
    for set in &file.sets {
        match &set.members {
            None => {}
            Some(Members::Inline(terms)) => {
                let members: Vec<Member> = terms.iter().filter_map(literal).collect();
                warn_of_terms(&members, report);
                sets.insert(set.name.value, members);
            }
            Some(Members::Files(files)) => {
                let options = list_options(files, report).unwrap_or_default();
                let mut all = Vec::new();
                // A member is identified by its position, counted through all files.
                let mut start = 0;
                for file in &files.files {
                    let Some(source) = lists.get(file.text.as_ref()) else {
                        continue;
                    };
                    let key = (file.text.as_ref(), options);
                    let members = read
                        .entry(key)
                        .or_insert_with(|| members_of(source, options, report));
                    all.extend(members.iter().map(|member| member.moved(start)));
                    start += source.bytes().len() + 1;
                }
                sets.insert(set.name.value, all);
            }
        }
    }
    let sets: HashMap<&str, Cover> = sets
        .into_iter()
        .map(|(name, members)| (name, Cover::new(members)))
        .collect();
    for rule in &file.rules {
        for field in &rule.fields {
            warn_of_field(field, &sets, report);
        }
    }
}

/// A member: a range of addresses or numbers, and its place.
#[derive(Clone, Copy, Debug)]
struct Member {
    span: Span,
    kind: Kind,
    first: u128,
    last: u128,
}

/// Kinds of members that cannot be compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Ipv4,
    Ipv6,
    Number,
}

impl Member {
    fn of_addresses(span: Span, range: AddressRange) -> Self {
        let (kind, first, last) = match range {
            AddressRange::V4(first, last) => (Kind::Ipv4, first.into(), last.into()),
            AddressRange::V6(first, last) => (Kind::Ipv6, first, last),
        };
        Self {
            span,
            kind,
            first,
            last,
        }
    }

    fn read(span: Span, text: &str) -> Option<Self> {
        if let Ok(addresses) = address::read(text.as_bytes()) {
            return Some(Self::of_addresses(span, addresses.range));
        }
        let (first, last): (u16, u16) = number::range(text).ok()?;
        Some(Self {
            span,
            kind: Kind::Number,
            first: first.into(),
            last: last.into(),
        })
    }

    fn moved(mut self, by: usize) -> Self {
        self.span.start += by;
        self.span.end += by;
        self
    }

    fn has(&self, other: &Self) -> bool {
        self.kind == other.kind && self.first <= other.first && other.last <= self.last
    }
}

fn literal(term: &Term<'_>) -> Option<Member> {
    match term.split() {
        (false, Operand::Literal(text)) => Member::read(term.span, text),
        _ => None,
    }
}

/// The members that are covered by another, and that other; of two equal members, the second is
/// redundant.
fn redundant(members: &[Member]) -> Vec<(Member, Member)> {
    let mut sorted = members.to_vec();
    sorted.sort_by_key(|member| {
        (
            member.kind,
            member.first,
            Reverse(member.last),
            member.span.start,
        )
    });
    let mut found = Vec::new();
    let mut widest: Option<Member> = None;
    for member in sorted {
        match widest.filter(|widest| widest.has(&member)) {
            Some(widest) => found.push((member, widest)),
            None => widest = Some(member),
        }
    }
    found.sort_by_key(|(member, _)| member.span.start);
    found
}

/// The members of a set, searchable for one that covers another.
struct Cover(Vec<Member>);

impl Cover {
    fn new(members: Vec<Member>) -> Self {
        let gone: Vec<usize> = redundant(&members)
            .iter()
            .map(|(member, _)| member.span.start)
            .collect();
        let mut kept = members;
        kept.retain(|member| gone.binary_search(&member.span.start).is_err());
        kept.sort_by_key(|member| (member.kind, member.first));
        Self(kept)
    }

    fn has(&self, wanted: &Member) -> bool {
        let key = (wanted.kind, wanted.first);
        let at = self
            .0
            .partition_point(|member| (member.kind, member.first) <= key);
        let before = at.checked_sub(1).and_then(|at| self.0.get(at));
        before.is_some_and(|member| member.has(wanted))
    }
}

fn warn_of_terms(members: &[Member], report: &mut Report) {
    let found = redundant(members);
    for (at, (member, widest)) in found.iter().take(MOST_TOLD).enumerate() {
        let more = found.len().saturating_sub(MOST_TOLD);
        let same = member.first == widest.first && member.last == widest.last;
        let what = if same {
            "is given twice"
        } else {
            "is in another member"
        };
        let (note, span) = ("it is here", widest.span);
        let warning = report.add(
            Code::RedundantMember,
            member.span,
            format!("the member {what}"),
        );
        warning.note_at(span, note);
        if more > 0 && at == MOST_TOLD - 1 {
            warning.note(format!("{more} more members are in others"));
        }
    }
}

/// The members of a list file; gives one warning about all redundant ones.
fn members_of(
    source: &Arc<Source>,
    options: lists::ListOptions,
    report: &mut Report,
) -> Vec<Member> {
    let members = lists::members(source, options);
    let members: Vec<Member> = members
        .map(|(span, range)| Member::of_addresses(span, range))
        .collect();
    let found = redundant(&members);
    let Some((first, _)) = found.first() else {
        return members;
    };
    let count = found.len();
    let message = match count {
        1 => "1 line of the list is in another".to_owned(),
        _ => format!("{count} lines of the list are in others"),
    };
    let mut warning =
        crate::diagnostics::Diagnostic::new(Code::RedundantMember, source, first.span, message);
    for (member, widest) in found.iter().take(MOST_SHOWN) {
        let line = |span: Span| source.place(span.start).line;
        let text = |span: Span| {
            let bytes = source.bytes().get(span.start..span.end).unwrap_or_default();
            quoted(&String::from_utf8_lossy(bytes))
        };
        warning.note(format!(
            "{} in line {} is in {} of line {}",
            text(member.span),
            line(member.span),
            text(widest.span),
            line(widest.span)
        ));
    }
    report.extend([warning]);
    members
}

/// Warns about the terms of a field that are covered by other terms, or by sets that it names.
fn warn_of_field(field: &Field<'_>, sets: &HashMap<&str, Cover>, report: &mut Report) {
    // The fields whose values have no names, and are neither flags nor hexadecimal.
    let is_plain = match field.name.form() {
        Form::Src | Form::Dst | Form::Sport | Form::Dport | Form::Proto | Form::Vlan => true,
        Form::Length(number) | Form::Number(number) => number.names.is_empty(),
        Form::Interface
        | Form::Family
        | Form::Ethertype
        | Form::SrcMac
        | Form::DstMac
        | Form::TcpFlags
        | Form::Icmp
        | Form::Fragment => false,
    };
    if !is_plain {
        return;
    }
    for negated in [false, true] {
        let terms = field.terms.iter().filter(|term| term.split().0 == negated);
        let (mut literals, mut named) = (Vec::new(), Vec::new());
        for term in terms {
            match term.split().1 {
                Operand::Literal(text) => literals.extend(Member::read(term.span, text)),
                Operand::Set(name) => named.extend(sets.get(name).map(|set| (name, term, set))),
            }
        }
        warn_of_terms(&literals, report);
        for member in &literals {
            if let Some((name, term, _)) = named.iter().find(|(_, _, set)| set.has(member)) {
                let message = format!("the set {} has the member already", quoted(name));
                report
                    .add(Code::RedundantMember, member.span, message)
                    .note_at(term.span, "the set is named here");
            }
        }
    }
}
