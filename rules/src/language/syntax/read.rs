//! Converts a TOML tree to the tables of a rule file.
//!
//! This module owns the keys, and which of them are required.

use std::str;

use toml::{Spanned, de::DeTable};

use super::{
    table::{Entry, RULE, Table},
    tree::{
        Field, File, ListFiles, Log, Members, Set, Term, Test, WrittenBans, WrittenFlows,
        WrittenPackets, WrittenParser, WrittenRule, WrittenSettings,
    },
};
use crate::{
    diagnostics::{Code, Report},
    field::{FieldName, Form},
    model::Timeouts,
};

/// The keys of a rule.
const RULE_KEYS: [&str; 6 + FieldName::ALL.len()] = {
    let mut keys = ["name"; 6 + FieldName::ALL.len()];
    keys[1] = "action";
    keys[2] = "log";
    keys[3] = "enabled";
    keys[4] = "comment";
    keys[5] = "direction";
    let mut field = 0;
    while field < FieldName::ALL.len() {
        keys[6 + field] = FieldName::ALL[field].as_str();
        field += 1;
    }
    keys
};

/// The keys of `[parser]`.
const PARSER_KEYS: &[&str] = &[
    "malformed",
    "truncated",
    "too_many_headers",
    "too_many_tags",
    "unknown_ethertype",
    "log",
];

/// Reads the tables of a rule file, reporting every key and type that is wrong.
pub(crate) fn file<'a>(tree: &'a Spanned<DeTable<'a>>, report: &mut Report) -> File<'a> {
    let root = Table {
        entries: tree.get_ref(),
        span: tree.span().into(),
        what: "the rule file",
    };
    root.check_keys(
        &[
            "firewall", "parser", "flows", "bans", "lints", "sets", "rule", "test",
        ],
        report,
    );
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
    let bans = root
        .entry("bans")
        .and_then(|entry| entry.table("`[bans]`", "`[bans]`", report));
    let lints = root
        .entry("lints")
        .and_then(|entry| entry.table("`[lints]`", "`[lints]`", report));
    let sets = root
        .entry("sets")
        .and_then(|entry| entry.table("`[sets]`", "`[sets]`", report));
    let rules = root.entry("rule").map_or_else(Vec::new, |entry| {
        entry.tables(RULE, "`[[rule]]` above each rule", report)
    });
    let tests = root.entry("test").map_or_else(Vec::new, |entry| {
        entry.tables("a test", "`[[test]]` above each test", report)
    });
    File {
        settings: settings.map_or_else(WrittenSettings::default, |table| {
            read_settings(table, report)
        }),
        parser: parser.map_or_else(WrittenParser::default, |table| read_parser(table, report)),
        flows: root
            .entry("flows")
            .map_or_else(WrittenFlows::default, |entry| read_flows(entry, report)),
        bans: bans.map_or_else(WrittenBans::default, |table| read_bans(table, report)),
        allowed: lints.map_or_else(Vec::new, |table| read_lints(table, report)),
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

fn read_settings<'a>(table: Table<'a>, report: &mut Report) -> WrittenSettings<'a> {
    table.check_keys(
        &["interfaces", "mode", "policy", "policy_out", "log"],
        report,
    );
    WrittenSettings {
        interfaces: table
            .required("interfaces", report)
            .and_then(|entry| entry.array(report)),
        mode: table.entry("mode").and_then(|entry| entry.text(report)),
        policy: table.entry("policy").and_then(|entry| entry.text(report)),
        policy_out: table
            .entry("policy_out")
            .and_then(|entry| entry.text(report)),
        log: table.entry("log").and_then(|entry| read_log(entry, report)),
    }
}

fn read_bans<'a>(table: Table<'a>, report: &mut Report) -> WrittenBans<'a> {
    table.check_keys(&["log"], report);
    WrittenBans {
        log: table.entry("log").and_then(|entry| read_log(entry, report)),
    }
}

fn read_lints<'a>(table: Table<'a>, report: &mut Report) -> Vec<Term<'a>> {
    table.check_keys(&["allow"], report);
    let allow = table.entry("allow");
    allow
        .and_then(|entry| entry.array(report))
        .unwrap_or_default()
}

fn read_parser<'a>(table: Table<'a>, report: &mut Report) -> WrittenParser<'a> {
    table.check_keys(PARSER_KEYS, report);
    let log = table.entry("log").and_then(|entry| read_log(entry, report));
    let mut text = |key| table.entry(key).and_then(|entry| entry.text(report));
    WrittenParser {
        malformed: text("malformed"),
        truncated: text("truncated"),
        too_many_headers: text("too_many_headers"),
        too_many_tags: text("too_many_tags"),
        unknown_ethertype: text("unknown_ethertype"),
        log,
    }
}

fn read_flows<'a>(entry: Entry<'a>, report: &mut Report) -> WrittenFlows<'a> {
    let mut flows = WrittenFlows {
        span: Some(entry.key.span),
        ..WrittenFlows::default()
    };
    let Some(table) = entry.table("`[flows]`", "`[flows]`", report) else {
        return flows;
    };
    table.check_keys(&["max", "timeouts"], report);
    flows.max = table.entry("max").and_then(|entry| entry.single(report));
    let form = "`[flows.timeouts]`";
    let timeouts = table.entry("timeouts");
    let Some(timeouts) = timeouts.and_then(|entry| entry.table(form, form, report)) else {
        return flows;
    };
    timeouts.check_keys(Timeouts::KEYS, report);
    for entry in timeouts.iter() {
        if Timeouts::KEYS.contains(&entry.key.value) {
            let term = entry.single(report);
            flows
                .timeouts
                .extend(term.map(|term| (entry.key.value, term)));
        }
    }
    flows
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
        return read_list_files(table, report).map(Members::Files);
    }
    entry
        .wrong_type(entry.value, "an array or a file", report)
        .help("write the members between `[` and `]`, or `{ file = \"...\" }`");
    None
}

fn read_list_files<'a>(table: Table<'a>, report: &mut Report) -> Option<ListFiles<'a>> {
    const KEYS: &[&str] = &["file", "files", "column", "bad_lines", "empty", "shrink"];
    table.check_keys(KEYS, report);
    let files = match (table.entry("file"), table.entry("files")) {
        (_, None) => {
            let file = table.required("file", report)?;
            file.text(report)?;
            file.terms(report)?
        }
        (None, Some(files)) => {
            let names = files.array(report)?;
            if let Some(number) = names.iter().find(|name| name.is_number) {
                let message = "`files` takes the names of files";
                report.add(Code::WrongType, number.span, message);
                return None;
            }
            names
        }
        (Some(file), Some(files)) => {
            let message = "a set has `file` or `files`, not both";
            report
                .add(Code::Contradiction, files.key.span, message)
                .note_at(file.key.span, "`file` is given here");
            return None;
        }
    };
    let column = match table.entry("column") {
        Some(column) => Some(column.single(report)?),
        None => None,
    };
    let mut word = |key| {
        table
            .entry(key)
            .map_or(Some(None), |entry| entry.text(report).map(Some))
    };
    Some(ListFiles {
        files,
        column,
        bad_lines: word("bad_lines")?,
        empty: word("empty")?,
        shrink: word("shrink")?,
    })
}

fn read_rule<'a>(table: Table<'a>, report: &mut Report) -> WrittenRule<'a> {
    table.check_keys(&RULE_KEYS, report);
    let mut fields = Vec::new();
    let mut is_partial = false;
    for &name in FieldName::ALL {
        let Some(entry) = table.entry(name.as_str()) else {
            continue;
        };
        let terms = if matches!(name.form(), Form::Fragment | Form::Forwarded) {
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
    WrittenRule {
        name: table
            .required("name", report)
            .and_then(|entry| entry.text(report)),
        action: table
            .required("action", report)
            .and_then(|entry| entry.text(report)),
        direction: table
            .entry("direction")
            .and_then(|entry| entry.text(report)),
        log: table.entry("log").and_then(|entry| read_log(entry, report)),
        is_enabled: table
            .entry("enabled")
            .is_none_or(|entry| entry.boolean(report) != Some(false)),
        comment: table.entry("comment").and_then(|entry| entry.text(report)),
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
    table.check_keys(&["rate", "burst", "journal"], report);
    let journal = table.entry("journal");
    let journal = journal.is_some_and(|entry| entry.boolean(report) == Some(true));
    let mut term = |key| table.entry(key).map(|entry| entry.single(report));
    let (rate, burst) = (term("rate"), term("burst"));
    Some(Log::Limit {
        rate: rate.map_or(Some(None), |rate| rate.map(Some))?,
        burst: burst.map_or(Some(None), |burst| burst.map(Some))?,
        journal,
    })
}

fn read_test<'a>(table: Table<'a>, report: &mut Report) -> Test<'a> {
    const KEYS: &[&str] = &[
        "name",
        "packet",
        "pcap",
        "index",
        "given",
        "after",
        "expect",
        "rule",
        "reason",
        "interface",
    ];
    table.check_keys(KEYS, report);
    let name = table.required("name", report);
    let expect = table.required("expect", report);
    let given = match table.entry("given") {
        Some(entry) => entry.terms(report),
        None => Some(Vec::new()),
    };
    let after = table.entry("after").and_then(|entry| {
        if table.entry("given").is_none() {
            let message = "`after` is the time since the packets of `given`, and there are none";
            report
                .add(Code::Contradiction, entry.key.span, message)
                .help("add `given`, or leave `after` out");
            return None;
        }
        entry.single(report)
    });
    let mut text = |entry: Option<Entry<'a>>| entry.and_then(|entry| entry.text(report));
    Test {
        given,
        after,
        name: text(name),
        expect: text(expect),
        rule: text(table.entry("rule")),
        reason: text(table.entry("reason")),
        interface: text(table.entry("interface")),
        packets: read_packets(table, report),
    }
}

fn read_packets<'a>(table: Table<'a>, report: &mut Report) -> Option<WrittenPackets<'a>> {
    let index = table.entry("index");
    match (table.entry("packet"), table.entry("pcap")) {
        (None, Some(file)) => {
            let file = file.text(report);
            // A number is one term.
            let index = index.map(|entry| entry.terms(report)?.pop());
            match (file, index) {
                (Some(file), None) => Some(WrittenPackets::Captured { file, index: None }),
                (Some(file), Some(Some(index))) => Some(WrittenPackets::Captured {
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
            packet.terms(report).map(WrittenPackets::Written)
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
