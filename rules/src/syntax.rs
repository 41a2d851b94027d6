//! The shape of a rule file: from TOML to tables with known keys, and values as written.
//!
//! This module owns the keys, their TOML types, and the text forms of addresses and numbers. It
//! does not know what sets hold, nor which values a field takes.

pub(crate) mod address;
pub(crate) mod mac;
pub(crate) mod number;
mod table;

use std::{borrow::Cow, str};

use toml::{
    Spanned,
    de::{DeTable, Error},
};

use self::table::{Entry, Table};
use crate::diagnostics::{Code, Report, Source, Span, quoted};

pub(crate) use self::table::suggest;

/// A value with its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<T> {
    pub(crate) span: Span,
    pub(crate) value: T,
}

/// A rule file as written.
#[derive(Debug)]
pub(crate) struct File<'a> {
    pub(crate) settings: Settings<'a>,
    pub(crate) parser: Parser<'a>,
    /// In the order of the file.
    pub(crate) sets: Vec<Set<'a>>,
    /// In the order of the file.
    pub(crate) rules: Vec<Rule<'a>>,
    /// In the order of the file.
    pub(crate) tests: Vec<Test<'a>>,
}

/// The table `[firewall]`; what is `None` is not given, or reported.
#[derive(Debug, Default)]
pub(crate) struct Settings<'a> {
    pub(crate) interfaces: Option<Vec<Term<'a>>>,
    pub(crate) mode: Option<At<&'a str>>,
    pub(crate) policy: Option<At<&'a str>>,
}

/// The table `[parser]`, like [`Settings`].
#[derive(Debug, Default)]
pub(crate) struct Parser<'a> {
    pub(crate) malformed: Option<At<&'a str>>,
    pub(crate) truncated: Option<At<&'a str>>,
    pub(crate) too_many_headers: Option<At<&'a str>>,
    pub(crate) too_many_tags: Option<At<&'a str>>,
    pub(crate) unknown_ethertype: Option<At<&'a str>>,
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
    /// In the list file of this name.
    File(At<&'a str>),
}

/// A table `[[rule]]`.
#[derive(Debug)]
pub(crate) struct Rule<'a> {
    /// `None` when it is missing or no string, which is reported.
    pub(crate) name: Option<At<&'a str>>,
    /// Like [`Self::name`].
    pub(crate) action: Option<At<&'a str>>,
    /// `None` when it is not given, or not readable, which is reported.
    pub(crate) log: Option<Log<'a>>,
    /// Ordered like [`FieldName::ALL`].
    pub(crate) fields: Vec<Field<'a>>,
    /// Whether a field could not be read, which is reported.
    pub(crate) is_partial: bool,
}

/// What a rule says of its log.
#[derive(Debug)]
pub(crate) enum Log<'a> {
    /// Whether there is one.
    Flag(bool),
    /// There is one, with limits as far as they are given.
    Limit {
        rate: Option<Term<'a>>,
        burst: Option<Term<'a>>,
    },
}

impl<'a> Rule<'a> {
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
    pub(crate) packets: Option<Packets<'a>>,
    pub(crate) expect: Option<At<&'a str>>,
    pub(crate) rule: Option<At<&'a str>>,
    pub(crate) reason: Option<At<&'a str>>,
    pub(crate) interface: Option<At<&'a str>>,
}

/// Where the packets of a test are.
#[derive(Debug)]
pub(crate) enum Packets<'a> {
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

macro_rules! fields {
    ($($variant:ident = $key:literal,)*) => {
        /// The name of a match field.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FieldName {
            $(
                #[doc = concat!("`", $key, "`")]
                $variant,
            )*
        }

        impl FieldName {
            /// Every match field, each behind those that its meaning depends on.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The keys of a rule.
            const RULE_KEYS: &[&str] = &["name", "action", "log", $($key),*];

            /// The key of the field.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $key,)*
                }
            }
        }
    };
}

fields! {
    Interface = "interface",
    Family = "family",
    Ethertype = "ethertype",
    Vlan = "vlan",
    SrcMac = "src_mac",
    DstMac = "dst_mac",
    Src = "src",
    Dst = "dst",
    Proto = "proto",
    Sport = "sport",
    Dport = "dport",
    TcpFlags = "tcp_flags",
    IcmpType = "icmp_type",
    Length = "length",
    Ttl = "ttl",
    Dscp = "dscp",
    Fragment = "fragment",
}

/// The keys of `[parser]`.
const PARSER_KEYS: &[&str] = &[
    "malformed",
    "truncated",
    "too_many_headers",
    "too_many_tags",
    "unknown_ethertype",
];

/// The most lines that are reported when a file is not TOML.
const MAX_TOML_ERRORS: usize = 10;

/// Reads the TOML of a rule file, reporting all that is wrong with it. `None` when so much is
/// wrong that what was read may not be what was written.
pub(crate) fn tree<'a>(source: &'a Source, report: &mut Report) -> Option<Spanned<DeTable<'a>>> {
    let text = match str::from_utf8(source.bytes()) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            report.add(
                Code::NotUtf8,
                (at..at + 1).into(),
                "the rule file is not UTF-8",
            );
            return None;
        }
    };
    let (tree, errors) = DeTable::parse_recoverable(text);
    let is_duplicate = |error: &Error| error.message() == "duplicate key";
    let (duplicates, errors): (Vec<_>, Vec<_>) = errors.into_iter().partition(is_duplicate);
    for error in duplicates {
        let span = error.span().unwrap_or_default();
        let key = quoted(text.get(span.clone()).unwrap_or_default());
        report.add(
            Code::DuplicateKey,
            span.into(),
            format!("the key {key} is given twice"),
        );
    }
    let is_whole = errors.is_empty();
    report_toml(source, errors, report);
    is_whole.then_some(tree)
}

/// Reports what is not TOML: on each line the first error, of which others are mostly echoes.
fn report_toml(source: &Source, mut errors: Vec<Error>, report: &mut Report) {
    let start = |error: &Error| error.span().unwrap_or_default().start;
    errors.sort_by_key(start);
    errors.dedup_by_key(|error| source.place(start(error)).line);
    let more = errors.len().saturating_sub(MAX_TOML_ERRORS);
    errors.truncate(MAX_TOML_ERRORS);
    for (index, error) in errors.iter().enumerate() {
        let span = error.span().unwrap_or_default();
        let diagnostic = report.add(Code::Toml, span.into(), error.message());
        let misread = ["float", "integer", "number", "date", "time"];
        if misread.iter().any(|word| error.message().contains(word)) {
            diagnostic.help("addresses, ranges and names are written in quotes");
        }
        if more > 0 && index == MAX_TOML_ERRORS - 1 {
            diagnostic.note(format!("there are errors on {more} more lines"));
        }
    }
}

/// Reads the tables of a rule file, reporting every key and type that is wrong.
pub(crate) fn file<'a>(tree: &'a Spanned<DeTable<'a>>, report: &mut Report) -> File<'a> {
    let root = Table {
        entries: tree.get_ref(),
        span: tree.span().into(),
        what: "the rule file",
    };
    root.check_keys(&["firewall", "parser", "sets", "rule", "test"], report);
    let settings = match root.entry("firewall") {
        Some(entry) => entry.table("`[firewall]`", "`[firewall]`", report),
        None => {
            report
                .add(
                    Code::MissingKey,
                    root.span,
                    "the rule file has no table `[firewall]`",
                )
                .help("begin with `[firewall]` and `interfaces = [\"eth0\"]`");
            None
        }
    };
    let parser = root
        .entry("parser")
        .and_then(|entry| entry.table("`[parser]`", "`[parser]`", report));
    let sets = root
        .entry("sets")
        .and_then(|entry| entry.table("`[sets]`", "`[sets]`", report));
    let rules = root.entry("rule").map_or_else(Vec::new, |entry| {
        entry.tables("a rule", "`[[rule]]` above each rule", report)
    });
    let tests = root.entry("test").map_or_else(Vec::new, |entry| {
        entry.tables("a test", "`[[test]]` above each test", report)
    });
    File {
        settings: settings.map_or_else(Settings::default, |table| read_settings(table, report)),
        parser: parser.map_or_else(Parser::default, |table| read_parser(table, report)),
        sets: sets.map_or_else(Vec::new, |table| read_sets(table, report)),
        rules: rules
            .into_iter()
            .map(|table| read_rule(table, report))
            .collect(),
        tests: tests
            .into_iter()
            .map(|table| read_test(table, report))
            .collect(),
    }
}

fn read_settings<'a>(table: Table<'a>, report: &mut Report) -> Settings<'a> {
    table.check_keys(&["interfaces", "mode", "policy"], report);
    Settings {
        interfaces: table
            .required("interfaces", report)
            .and_then(|entry| entry.array(report)),
        mode: table.entry("mode").and_then(|entry| entry.text(report)),
        policy: table.entry("policy").and_then(|entry| entry.text(report)),
    }
}

fn read_parser<'a>(table: Table<'a>, report: &mut Report) -> Parser<'a> {
    table.check_keys(PARSER_KEYS, report);
    let mut text = |key| table.entry(key).and_then(|entry| entry.text(report));
    Parser {
        malformed: text("malformed"),
        truncated: text("truncated"),
        too_many_headers: text("too_many_headers"),
        too_many_tags: text("too_many_tags"),
        unknown_ethertype: text("unknown_ethertype"),
    }
}

fn read_sets<'a>(table: Table<'a>, report: &mut Report) -> Vec<Set<'a>> {
    let mut sets: Vec<_> = table
        .iter()
        .map(|entry| Set {
            name: entry.key,
            members: read_members(entry, report),
        })
        .collect();
    sets.sort_by_key(|set| set.name.span.start);
    sets
}

fn read_members<'a>(entry: Entry<'a>, report: &mut Report) -> Option<Members<'a>> {
    let value = entry.value.get_ref();
    if let Some(items) = value.as_array() {
        if items.is_empty() {
            let message = format!("the set `{}` is empty", entry.key.value);
            report.add(Code::EmptySet, entry.value.span().into(), message);
            return None;
        }
        return entry.array(report).map(Members::Inline);
    }
    if value.is_table() {
        let table = entry.table("a set", "", report)?;
        table.check_keys(&["file"], report);
        let file = table.required("file", report)?;
        return file.text(report).map(Members::File);
    }
    entry
        .wrong_type(entry.value, "an array or a file", report)
        .help("write the members between `[` and `]`, or `{ file = \"...\" }`");
    None
}

fn read_rule<'a>(table: Table<'a>, report: &mut Report) -> Rule<'a> {
    table.check_keys(FieldName::RULE_KEYS, report);
    let mut fields = Vec::new();
    let mut is_partial = false;
    for &name in FieldName::ALL {
        let Some(entry) = table.entry(name.as_str()) else {
            continue;
        };
        let terms = if name == FieldName::Fragment {
            entry.flag(report)
        } else {
            entry.terms(report)
        };
        match terms {
            Some(terms) => fields.push(Field {
                name,
                span: entry.value.span().into(),
                terms,
            }),
            None => is_partial = true,
        }
    }
    Rule {
        name: table
            .required("name", report)
            .and_then(|entry| entry.text(report)),
        action: table
            .required("action", report)
            .and_then(|entry| entry.text(report)),
        log: table.entry("log").and_then(|entry| read_log(entry, report)),
        fields,
        is_partial,
    }
}

fn read_log<'a>(entry: Entry<'a>, report: &mut Report) -> Option<Log<'a>> {
    let value = entry.value.get_ref();
    if let Some(flag) = value.as_bool() {
        return Some(Log::Flag(flag));
    }
    if !value.is_table() {
        entry
            .wrong_type(entry.value, "`true`, `false` or a limit", report)
            .help("write `log = true`, or `log = { rate = \"10/second\", burst = 50 }`");
        return None;
    }
    let table = entry.table("a log", "", report)?;
    table.check_keys(&["rate", "burst"], report);
    let mut term = |key| table.entry(key).map(|entry| entry.single(report));
    let (rate, burst) = (term("rate"), term("burst"));
    Some(Log::Limit {
        rate: rate.map_or(Some(None), |rate| rate.map(Some))?,
        burst: burst.map_or(Some(None), |burst| burst.map(Some))?,
    })
}

fn read_test<'a>(table: Table<'a>, report: &mut Report) -> Test<'a> {
    const KEYS: &[&str] = &[
        "name",
        "packet",
        "pcap",
        "index",
        "expect",
        "rule",
        "reason",
        "interface",
    ];
    table.check_keys(KEYS, report);
    let name = table.required("name", report);
    let expect = table.required("expect", report);
    let mut text = |entry: Option<Entry<'a>>| entry.and_then(|entry| entry.text(report));
    Test {
        name: text(name),
        expect: text(expect),
        rule: text(table.entry("rule")),
        reason: text(table.entry("reason")),
        interface: text(table.entry("interface")),
        packets: read_packets(table, report),
    }
}

fn read_packets<'a>(table: Table<'a>, report: &mut Report) -> Option<Packets<'a>> {
    let index = table.entry("index");
    match (table.entry("packet"), table.entry("pcap")) {
        (None, Some(file)) => {
            let file = file.text(report);
            // A number is one term.
            let index = index.map(|entry| entry.terms(report)?.pop());
            match (file, index) {
                (Some(file), None) => Some(Packets::Captured { file, index: None }),
                (Some(file), Some(Some(index))) => Some(Packets::Captured {
                    file,
                    index: Some(index),
                }),
                (None, _) | (_, Some(None)) => None,
            }
        }
        (Some(packet), None) => {
            if let Some(index) = index {
                let message = "`index` is for packets of `pcap`";
                report.add(Code::Contradiction, index.key.span, message);
            }
            packet.terms(report).map(Packets::Written)
        }
        (Some(_), Some(file)) => {
            let message = "a test has packets from `packet` or from `pcap`, not from both";
            report.add(Code::Contradiction, file.key.span, message);
            None
        }
        (None, None) => {
            report
                .add(Code::MissingKey, table.span, "a test has no packet")
                .help(
                    "add `packet = \"tcp 203.0.113.9:4444 > 192.0.2.1:22 syn\"`, or \
                     `pcap = \"file.pcap\"`",
                );
            None
        }
    }
}
