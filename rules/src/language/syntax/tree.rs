//! A rule file as written: every value with its place.

use std::{borrow::Cow, str};

use crate::{diagnostics::Span, field::FieldName};

/// A value with its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<T> {
    pub(crate) span: Span,
    pub(crate) value: T,
}

/// A rule file as written.
#[derive(Debug)]
pub(crate) struct File<'a> {
    pub(crate) settings: WrittenSettings<'a>,
    pub(crate) parser: WrittenParser<'a>,
    pub(crate) flows: WrittenFlows<'a>,
    pub(crate) bans: WrittenBans<'a>,
    /// The codes of warnings that are not given, as far as they are readable.
    pub(crate) allowed: Vec<Term<'a>>,
    /// In the order of the file.
    pub(crate) sets: Vec<Set<'a>>,
    /// In the order of the file.
    pub(crate) rules: Vec<WrittenRule<'a>>,
    /// In the order of the file.
    pub(crate) tests: Vec<Test<'a>>,
}

impl<'a> File<'a> {
    /// The rules that are in force; the index of each is its `RuleId`.
    pub(crate) fn enabled_rules(&self) -> impl Iterator<Item = &WrittenRule<'a>> {
        self.rules.iter().filter(|rule| rule.is_enabled)
    }
}

/// The table `[firewall]`; what is `None` is not given, or reported.
#[derive(Debug, Default)]
pub(crate) struct WrittenSettings<'a> {
    pub(crate) interfaces: Option<Vec<Term<'a>>>,
    pub(crate) mode: Option<At<&'a str>>,
    pub(crate) policy: Option<At<&'a str>>,
    pub(crate) policy_out: Option<At<&'a str>>,
    pub(crate) log: Option<Log<'a>>,
}

/// The table `[parser]`, like [`WrittenSettings`].
#[derive(Debug, Default)]
pub(crate) struct WrittenParser<'a> {
    pub(crate) malformed: Option<At<&'a str>>,
    pub(crate) truncated: Option<At<&'a str>>,
    pub(crate) too_many_headers: Option<At<&'a str>>,
    pub(crate) too_many_tags: Option<At<&'a str>>,
    pub(crate) unknown_ethertype: Option<At<&'a str>>,
    pub(crate) log: Option<Log<'a>>,
}

/// The table `[bans]`, like [`WrittenSettings`].
#[derive(Debug, Default)]
pub(crate) struct WrittenBans<'a> {
    pub(crate) log: Option<Log<'a>>,
}

/// The table `[flows]`, like [`WrittenSettings`].
#[derive(Debug, Default)]
pub(crate) struct WrittenFlows<'a> {
    /// The place of its name, if there is one.
    pub(crate) span: Option<Span>,
    pub(crate) max: Option<Term<'a>>,
    /// The keys of `[flows.timeouts]` that are known, and their values.
    pub(crate) timeouts: Vec<(&'a str, Term<'a>)>,
}

/// An entry of `[sets]`.
#[derive(Debug)]
pub(crate) struct Set<'a> {
    pub(crate) name: At<&'a str>,
    /// `None` when they are not readable, which is reported.
    pub(crate) members: Option<Members<'a>>,
}

/// Where the members of a set are.
#[derive(Debug)]
pub(crate) enum Members<'a> {
    /// In the rule file.
    Inline(Vec<Term<'a>>),
    /// In list files.
    Files(ListFiles<'a>),
}

/// List files, and how they are to be read.
#[derive(Debug)]
pub(crate) struct ListFiles<'a> {
    /// Their names; never empty.
    pub(crate) files: Vec<Term<'a>>,
    /// The number of the column that has the addresses.
    pub(crate) column: Option<Term<'a>>,
    /// What becomes of lines that cannot be read.
    pub(crate) bad_lines: Option<At<&'a str>>,
    /// Whether there may be no members.
    pub(crate) empty: Option<At<&'a str>>,
    /// By how much a list may shrink.
    pub(crate) shrink: Option<At<&'a str>>,
}

/// A table `[[rule]]`.
#[derive(Debug)]
pub(crate) struct WrittenRule<'a> {
    /// `None` when it is missing or no string, which is reported.
    pub(crate) name: Option<At<&'a str>>,
    /// Like [`Self::name`].
    pub(crate) action: Option<At<&'a str>>,
    /// `None` when it is not given, or no string, which is reported.
    pub(crate) direction: Option<At<&'a str>>,
    /// `None` when it is not given, or not readable, which is reported.
    pub(crate) log: Option<Log<'a>>,
    /// Whether it is to be in force.
    pub(crate) is_enabled: bool,
    /// Like [`Self::log`].
    pub(crate) comment: Option<At<&'a str>>,
    /// Ordered like [`FieldName::ALL`].
    pub(crate) fields: Vec<Field<'a>>,
    /// Whether a field could not be read, which is reported.
    pub(crate) is_partial: bool,
}

/// What a key `log` says.
#[derive(Debug)]
pub(crate) enum Log<'a> {
    /// Whether there is one.
    Flag(bool),
    /// There is one, with limits as far as they are given.
    Limit {
        rate: Option<Term<'a>>,
        burst: Option<Term<'a>>,
        /// Whether the log of the daemon has the packets, too.
        journal: bool,
    },
}

impl<'a> WrittenRule<'a> {
    /// The field called `name`, if the rule has it.
    pub(crate) fn field(&self, name: FieldName) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// A match field of a rule.
#[derive(Debug)]
pub(crate) struct Field<'a> {
    pub(crate) name: FieldName,
    /// The whole value.
    pub(crate) span: Span,
    /// The value, or the elements of the list; never empty.
    pub(crate) terms: Vec<Term<'a>>,
}

/// One string or number as written.
#[derive(Debug)]
pub(crate) struct Term<'a> {
    pub(crate) span: Span,
    /// The string, the number in decimal, or `true` or `false`.
    pub(crate) text: Cow<'a, str>,
    pub(crate) is_number: bool,
}

/// A table `[[test]]`; what is `None` is not given, or reported.
#[derive(Debug)]
pub(crate) struct Test<'a> {
    pub(crate) name: Option<At<&'a str>>,
    pub(crate) packets: Option<WrittenPackets<'a>>,
    /// The packets that came before; empty if there are none.
    pub(crate) given: Option<Vec<Term<'a>>>,
    /// The time between these and the packets.
    pub(crate) after: Option<Term<'a>>,
    pub(crate) expect: Option<At<&'a str>>,
    pub(crate) rule: Option<At<&'a str>>,
    pub(crate) reason: Option<At<&'a str>>,
    pub(crate) interface: Option<At<&'a str>>,
}

/// Where the packets of a test are.
#[derive(Debug)]
pub(crate) enum WrittenPackets<'a> {
    /// In the rule file, in the notation.
    Written(Vec<Term<'a>>),
    /// In a capture file.
    Captured {
        /// Its name.
        file: At<&'a str>,
        /// The number of the only one that is meant.
        index: Option<Term<'a>>,
    },
}

/// What a term of a match field stands for, when `!` and `@` have their usual meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand<'t> {
    /// The value written.
    Literal(&'t str),
    /// The members of the set of this name.
    Set(&'t str),
}

impl Term<'_> {
    /// Whether the term is negated, and what follows the negation.
    pub(crate) fn split(&self) -> (bool, Operand<'_>) {
        let (negated, rest) = match self.text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, self.text.as_ref()),
        };
        let operand = match rest.strip_prefix('@') {
            Some(name) => Operand::Set(name),
            None => Operand::Literal(rest),
        };
        (negated, operand)
    }
}
