//! Rule sets that the compiler refuses, and its messages: which table does not fit, and which rules
//! need the largest part of it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails where something is not as it should be"
)]

use std::{fmt::Write as _, sync::Arc};

use rules::{
    compiler::{
        CompileError, Compiled, Image, PacketKind, SectionKind, Stage, StageTable, Target, compile,
    },
    diagnostics::{Source, render},
    field::RangeSet,
    load,
    model::{Direction, Ruleset},
};

/// IPv4 packets in.
const IPV4: SectionKind = SectionKind::of_all_states(Direction::In, PacketKind::Ipv4);

fn ruleset(rules: &str) -> Ruleset {
    let text = format!("[firewall]\ninterfaces = [\"eth0\"]\n{rules}");
    let loaded = load(&Arc::new(Source::new("rules.toml", text)), |_| {
        Err::<Source, _>("no such file")
    });
    let loaded = loaded.unwrap_or_else(|errors| {
        let shown: Vec<_> = errors.iter().take(3).map(render).collect();
        panic!("{}", shown.join("\n"))
    });
    loaded.ruleset
}

fn compile_within(rules: &str, max_bytes: usize) -> Result<Image, CompileError> {
    let ruleset = ruleset(rules);
    let slots: Vec<u32> = (1..).take(ruleset.rules.len()).collect();
    let target = Target {
        interfaces: &[],
        slots: &slots,
        metadata: &[0; 100],
        max_bytes,
    };
    compile(&ruleset, &target)
}

fn rule(name: &str, action: &str, fields: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\naction = \"{action}\"\n{fields}\n")
}

/// The text of `count` rules with numbered names.
fn rules(count: u32, action: &str, fields: impl Fn(u32) -> String) -> String {
    (0..count)
        .map(|number| rule(&format!("rule {number}"), action, &fields(number)))
        .collect()
}

/// A host of 10.0.0.0/8; no two are adjacent.
fn host(number: u32) -> String {
    format!("\"{}\"", std::net::Ipv4Addr::from(0x0a00_0000 + 3 * number))
}

fn hosts(count: u32) -> String {
    let mut list = String::new();
    for number in 0..count {
        write!(list, "{}, ", host(number)).unwrap();
    }
    format!("[{list}]")
}

/// Compiles rules for which there is not enough room; returns the table that does not fit, and the
/// names of rules in the message.
fn refused(rules: &str, max_bytes: usize) -> (StageTable, String) {
    assert!(compile_within(rules, 1 << 28).is_ok());
    let error = compile_within(rules, max_bytes).unwrap_err();
    let CompileError::TooLarge {
        needed,
        allowed,
        stage: Stage::Table { packets, table, .. },
        names,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(allowed, max_bytes);
    assert!(needed > allowed);
    assert_eq!(packets, IPV4);
    (table, names)
}

#[test]
fn addresses_that_do_not_fit_are_told_with_the_rules_that_have_the_most() {
    let three = rule("few", "pass", &format!("src = {}", hosts(3)))
        + &rule("many", "drop", &format!("src = {}", hosts(50_000)))
        + &rule(
            "some",
            "pass",
            &format!("src = {}\ndport = 53\nproto = \"udp\"", hosts(20)),
        )
        + &rule("one", "pass", "src = \"192.0.2.1\"")
        + &rule("other side", "pass", "dst = \"192.0.2.1\"");
    let error = compile_within(&three, 1 << 16).unwrap_err().to_string();
    assert!(
        error.ends_with(
            " bytes, more than the 65536 allowed, for the source addresses of IPv4 packets; the \
             most is for `many` (50000 address ranges), `some` (20 address ranges), `few` (3 \
             address ranges), ..."
        ),
        "{error}"
    );
    let turned = three.replace("src", "dst");
    let (table, names) = refused(&turned, 1 << 16);
    assert_eq!(table, StageTable::Destination);
    assert!(
        names.starts_with("`many` (50000 address ranges)"),
        "{names}"
    );
}

#[test]
fn small_fields_that_do_not_fit_are_told() {
    let ports = rules(2000, "drop", |n| {
        format!("proto = \"udp\"\ndport = {}", 3 * n)
    });
    let odd = rule("odd", "pass", "proto = \"tcp\"\nsport = [1, 3, 5]");
    let (table, names) = refused(&(ports + &odd), 1 << 12);
    assert_eq!(table, StageTable::NarrowFields);
    assert_eq!(
        names,
        "`odd` (5 ranges of narrow fields), `rule 0` (2 ranges of narrow fields), `rule 1` \
         (2 ranges of narrow fields), ..."
    );
}

#[test]
fn what_leads_to_the_rules_is_told_when_it_does_not_fit() {
    let crossing = |count: u32| {
        rules(2 * count, "drop", |n| {
            let side = if n < count { "src" } else { "dst" };
            format!("{side} = {}", host(n))
        })
    };
    let both = |n: u32| format!("src = {}\ndst = {}", host(n), host(n));
    let ports = |n: u32| format!("src = {}\nproto = \"udp\"\ndport = {}", host(n), n + 1);
    for (rules, max_bytes, table, first) in [
        (
            crossing(200),
            1 << 16,
            StageTable::DirectTable,
            "`rule 0` (201 pairs of address classes)",
        ),
        (
            crossing(400),
            1 << 16,
            StageTable::Grid,
            "`rule 0` (401 pairs of address classes)",
        ),
        (
            rules(1000, "drop", both),
            1 << 14,
            StageTable::Pairs,
            "`rule 0` (1 pair of address classes)",
        ),
        (
            rules(1000, "count", both),
            1 << 16,
            StageTable::Rows,
            "`rule 0` (1 pair of address classes)",
        ),
        (
            rules(13_000, "drop", ports),
            1 << 17,
            StageTable::Records,
            "`rule 0` (1 pair of address classes)",
        ),
    ] {
        let (found, names) = refused(&rules, max_bytes);
        assert_eq!(found, table, "{names}");
        assert!(names.starts_with(first), "{table}: {names}");
        assert_eq!(names.matches('`').count(), 6, "{names}");
        assert!(names.ends_with(", ..."), "{names}");
    }
}

#[test]
fn what_stands_beside_the_tables_has_a_limit_too() {
    let one = rule("one", "drop", "src = \"192.0.2.1\"");
    let whole = compile_within(&one, 1 << 16).unwrap().bytes().len();
    let error = compile_within(&one, whole - 8).unwrap_err();
    assert!(
        matches!(
            error,
            CompileError::TooLarge {
                stage: Stage::Frame,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error.to_string().ends_with("for the names of the rules"),
        "{error}"
    );
}

#[test]
fn small_fields_in_too_many_combinations_are_told_with_the_rules() {
    let crossed = rules(3000, "drop", |n| {
        format!(
            "proto = \"tcp\"\nsport = \"{}-{}\"\ndport = {n}",
            n + 1,
            65_535 - n
        )
    });
    let error = compile_within(&crossed, 1 << 28).unwrap_err();
    let CompileError::TooManyCombinations { fields, names, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(fields, "proto, sport, dport");
    assert!(names.starts_with("`rule 0` ("), "{names}");
    assert!(error.to_string().ends_with(", ..."), "{error}");
}

#[test]
fn each_stage_is_told_as_it_begins() {
    let ruleset = ruleset(&rule("one", "drop", "src = \"192.0.2.1\""));
    let target = Target {
        interfaces: &[],
        slots: &[1],
        metadata: &[],
        max_bytes: 1 << 16,
    };
    let (sender, told) = std::sync::mpsc::channel();
    let tell = move |stage| sender.send(stage).unwrap();
    Compiled::new(Arc::new(ruleset), &target, tell).unwrap();
    let told: Vec<Stage> = told.iter().collect();
    let first = Stage::Table {
        packets: IPV4,
        rules: 1,
        table: StageTable::Source,
    };
    assert_eq!(told.first(), Some(&first));
    assert_eq!(told.last(), Some(&Stage::Frame));
    let cells = told.iter().filter(|stage| {
        matches!(
            stage,
            Stage::Table {
                table: StageTable::DirectTable,
                ..
            }
        )
    });
    assert_eq!(cells.count(), 6);
}

#[test]
fn options_in_too_many_groups_are_reported_with_the_rules() {
    let mut ruleset = ruleset(&rules(9, "drop", |n| format!("ttl = {n}")));
    for (rule, option) in ruleset.rules.iter_mut().zip([1, 2, 3, 4, 5, 6, 7, 8, 9]) {
        rule.matches.ip_option = Some(RangeSet::from_ranges(vec![(option, option + 1)]));
    }
    let compile = |ruleset: &Ruleset| {
        let slots: Vec<u32> = (1..).take(ruleset.rules.len()).collect();
        let target = Target {
            interfaces: &[],
            slots: &slots,
            metadata: &[],
            max_bytes: 1 << 20,
        };
        compile(ruleset, &target)
    };
    let error = compile(&ruleset).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the rules for IPv4 packets tell 10 combinations of ip_option apart, more than the 8 \
         allowed; the most are for `rule 0` (2 groups), `rule 1` (2 groups), `rule 2` (2 groups), ..."
    );
    ruleset.rules.truncate(7);
    assert!(compile(&ruleset).is_ok());
}
