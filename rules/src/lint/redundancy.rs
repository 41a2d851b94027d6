//! Members of sets and fields that are covered by another member.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use crate::{
    diagnostics::{Code, Diagnostic, Report, Source, Span},
    field::{AddressRange, Form, RangeSet, Value, address},
    language::{Field, File, Members, Operand, Term, list_options, lists},
    text::{counted, number, quoted},
};

/// The maximum number of redundant members of one set that are reported individually.
const MOST_TOLD: usize = 10;

/// The maximum number of redundant members of one list file that are shown.
const MOST_SHOWN: usize = 3;

/// Warns about redundant members of sets, fields and list files, which are given by name.
pub(super) fn warn(file: &File<'_>, lists: &HashMap<String, Arc<Source>>, report: &mut Report) {
    let compared = compared_sets(file);
    let mut told = HashSet::new();
    let mut sets: HashMap<&str, Cover> = HashMap::new();
    for set in &file.sets {
        let name = set.name.value;
        let is_compared = compared.contains(name);
        let mut cover = Cover::default();
        match &set.members {
            None => {}
            Some(Members::Inline(terms)) => {
                let members: Vec<Member> = terms.iter().filter_map(literal).collect();
                if is_compared {
                    cover.extend(members.iter().copied());
                }
                warn_of_terms(members, report);
            }
            Some(Members::Files(files)) => {
                let options = list_options(files, report).unwrap_or_default();
                for file in &files.files {
                    let Some(source) = lists.get(file.text.as_ref()) else {
                        continue;
                    };
                    // A list that several sets read is reported once.
                    if told.insert((file.text.as_ref(), options)) {
                        warn_of_list(source, options, report);
                    }
                    if is_compared {
                        let members = lists::members(source, options);
                        cover
                            .extend(members.map(|(span, range)| Member::of_addresses(span, range)));
                    }
                }
            }
        }
        if is_compared {
            sets.insert(name, cover);
        }
    }
    for rule in &file.rules {
        for field in &rule.fields {
            warn_of_field(field, &sets, report);
        }
    }
}

/// The sets that a field names beside other members. Only those are compared with members, since
/// a comparison needs all addresses of a set in memory.
fn compared_sets<'a>(file: &'a File<'_>) -> HashSet<&'a str> {
    let fields = file.rules.iter().flat_map(|rule| &rule.fields);
    let compared = fields.filter(|field| field.terms.len() > 1);
    let terms = compared.flat_map(|field| &field.terms);
    let named = terms.filter_map(|term| match term.split().1 {
        Operand::Set(name) => Some(name),
        Operand::Literal(_) => None,
    });
    named.collect()
}

/// A member: a range of values, and its place. Values of different kinds are never in one range.
#[derive(Clone, Copy, Debug)]
struct Ranged<V> {
    first: V,
    last: V,
    start: u32,
    len: u32,
}

/// A member of any kind.
type Member = Ranged<(Kind, u128)>;

/// Kinds of members that cannot be compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Ipv4,
    Ipv6,
    Port,
}

impl<V: Copy + Ord> Ranged<V> {
    /// A member at a place, which lies within 4 GiB as all of a rule file and its lists do.
    fn new(span: Span, first: V, last: V) -> Self {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            first,
            last,
            start: offset(span.start),
            len: offset(span.end - span.start),
        }
    }

    fn span(&self) -> Span {
        let start = self.start as usize;
        Span::from(start..start + self.len as usize)
    }

    fn has(&self, other: &Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

impl Member {
    fn of_addresses(span: Span, range: AddressRange) -> Self {
        let (kind, first, last) = match range {
            AddressRange::V4(first, last) => (Kind::Ipv4, first.into(), last.into()),
            AddressRange::V6(first, last) => (Kind::Ipv6, first, last),
        };
        Self::new(span, (kind, first), (kind, last))
    }

    fn read(span: Span, text: &str) -> Option<Self> {
        if let Ok(addresses) = address::read(text.as_bytes()) {
            return Some(Self::of_addresses(span, addresses.range));
        }
        let (first, last): (u16, u16) = number::range(text).ok()?;
        let value = |number: u16| (Kind::Port, number.into());
        Some(Self::new(span, value(first), value(last)))
    }

    fn kind(&self) -> Kind {
        self.first.0
    }

    /// The first and the last value, as the type of values of the kind.
    fn values<V: TryFrom<u128>>(&self) -> Option<(V, V)> {
        let value = |of: (Kind, u128)| V::try_from(of.1).ok();
        Some((value(self.first)?, value(self.last)?))
    }
}

fn literal(term: &Term<'_>) -> Option<Member> {
    match term.split() {
        (false, Operand::Literal(text)) => Member::read(term.span, text),
        _ => None,
    }
}

/// Calls `tell` with each member that another covers, and that other; of two equal members, the
/// second is redundant. Sorts the members by their values.
fn redundant<V: Copy + Ord>(
    members: &mut [Ranged<V>],
    mut tell: impl FnMut(&Ranged<V>, &Ranged<V>),
) {
    members.sort_unstable_by_key(|member| (member.first, Reverse(member.last), member.start));
    let mut widest: Option<&Ranged<V>> = None;
    for member in members.iter() {
        match widest.filter(|widest| widest.has(member)) {
            Some(widest) => tell(member, widest),
            None => widest = Some(member),
        }
    }
}

/// The addresses and ports of a set.
#[derive(Default)]
struct Cover {
    v4: RangeSet<u32>,
    v6: RangeSet<u128>,
    ports: RangeSet<u16>,
}

impl Cover {
    fn extend(&mut self, members: impl Iterator<Item = Member>) {
        let (mut v4, mut v6, mut ports) = (Vec::new(), Vec::new(), Vec::new());
        for member in members {
            match member.kind() {
                Kind::Ipv4 => v4.extend(member.values()),
                Kind::Ipv6 => v6.extend(member.values()),
                Kind::Port => ports.extend(member.values()),
            }
        }
        self.v4 = self.v4.union(&RangeSet::from_ranges(v4));
        self.v6 = self.v6.union(&RangeSet::from_ranges(v6));
        self.ports = self.ports.union(&RangeSet::from_ranges(ports));
    }

    fn has(&self, member: &Member) -> bool {
        match member.kind() {
            Kind::Ipv4 => has(&self.v4, member),
            Kind::Ipv6 => has(&self.v6, member),
            Kind::Port => has(&self.ports, member),
        }
    }
}

/// Whether all values of a member are in the set.
fn has<V: Value + TryFrom<u128>>(set: &RangeSet<V>, member: &Member) -> bool {
    let values = member.values();
    values.is_some_and(|(first, last)| set.covers(first, last))
}

fn warn_of_terms(mut members: Vec<Member>, report: &mut Report) {
    let mut found = Vec::new();
    redundant(&mut members, |member, widest| {
        found.push((*member, *widest))
    });
    found.sort_by_key(|(member, _)| member.start);
    let more = found.len().saturating_sub(MOST_TOLD);
    for (at, (member, widest)) in found.iter().take(MOST_TOLD).enumerate() {
        let same = (member.first, member.last) == (widest.first, widest.last);
        let what = if same {
            "is given twice"
        } else {
            "is in another member"
        };
        let warning = report.add(
            Code::RedundantMember,
            member.span(),
            format!("the member {what}"),
        );
        warning.note_at(widest.span(), "it is here");
        if more > 0 && at == MOST_TOLD - 1 {
            let verb = if more == 1 { "is" } else { "are" };
            let members = counted(more, "more member");
            warning.note(format!("{members} {verb} in others"));
        }
    }
}

/// The redundant lines of a list: how many, and the first pairs of a line and one that covers it.
#[derive(Default)]
struct RedundantLines {
    count: usize,
    first: Vec<(Span, Span)>,
}

impl RedundantLines {
    fn find<V: Copy + Ord>(&mut self, mut members: Vec<Ranged<V>>) {
        redundant(&mut members, |member, widest| {
            self.count += 1;
            let line = (member.span(), widest.span());
            let at = self
                .first
                .partition_point(|(span, _)| span.start <= line.0.start);
            self.first.insert(at, line);
            self.first.truncate(MOST_SHOWN);
        });
    }
}

/// Gives one warning about all redundant lines of a list file.
fn warn_of_list(source: &Arc<Source>, options: lists::ListOptions, report: &mut Report) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for (span, range) in lists::members(source, options) {
        match range {
            AddressRange::V4(first, last) => v4.push(Ranged::new(span, first, last)),
            AddressRange::V6(first, last) => v6.push(Ranged::new(span, first, last)),
        }
    }
    let mut found = RedundantLines::default();
    found.find(v4);
    found.find(v6);
    let Some((first, _)) = found.first.first() else {
        return;
    };
    let message = match found.count {
        1 => "1 line of the list is in another".to_owned(),
        count => format!("{} of the list are in others", counted(count, "line")),
    };
    let mut warning = Diagnostic::new(Code::RedundantMember, source, *first, message);
    for (member, widest) in &found.first {
        let line = |span: Span| source.place(span.start).line;
        let text = |span: Span| {
            let bytes = source.bytes().get(span.start..span.end).unwrap_or_default();
            quoted(&String::from_utf8_lossy(bytes))
        };
        warning.note(format!(
            "{} in line {} is in {} of line {}",
            text(*member),
            line(*member),
            text(*widest),
            line(*widest)
        ));
    }
    report.extend([warning]);
}

/// Warns about the terms of a field that it has in the same words before.
fn warn_of_same(field: &Field<'_>, report: &mut Report) {
    let mut spans: HashMap<&str, Span> = HashMap::new();
    for term in &field.terms {
        match spans.entry(&term.text) {
            Entry::Vacant(place) => drop(place.insert(term.span)),
            Entry::Occupied(first) => {
                let message = "the member is given twice";
                report
                    .add(Code::RedundantMember, term.span, message)
                    .note_at(*first.get(), "it is here");
            }
        }
    }
}

/// Warns about the terms of a field that are covered by other terms, or by sets that it names.
fn warn_of_field(field: &Field<'_>, sets: &HashMap<&str, Cover>, report: &mut Report) {
    // The fields whose values have no names, and are neither flags nor hexadecimal.
    let is_plain = match field.name.form() {
        Form::Src | Form::Dst | Form::Sport | Form::Dport | Form::Proto | Form::Vlan => true,
        Form::Length(number) | Form::Number(number) => number.names.is_empty(),
        Form::Interface
        | Form::InInterface
        | Form::Forwarded
        | Form::Mark
        | Form::Family
        | Form::Ethertype
        | Form::SrcMac
        | Form::DstMac
        | Form::TcpFlags
        | Form::Icmp
        | Form::Options(_)
        | Form::Fragment
        | Form::State => false,
    };
    if !is_plain {
        warn_of_same(field, report);
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
        warn_of_terms(literals.clone(), report);
        for member in &literals {
            if let Some((name, term, _)) = named.iter().find(|(_, _, set)| set.has(member)) {
                let message = format!("the set {} has the member already", quoted(name));
                report
                    .add(Code::RedundantMember, member.span(), message)
                    .note_at(term.span, "the set is named here");
            }
        }
    }
}
