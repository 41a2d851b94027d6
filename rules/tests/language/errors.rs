//! The messages for faulty rule files. Each snapshot is the complete output on the terminal.

use std::fmt::Write as _;

use insta::assert_snapshot;

use crate::support::{report, report_for_use, report_with};

/// A rule file with the rules and sets in `text`.
fn with_settings(text: &str) -> String {
    report(&format!("[firewall]\ninterfaces = [\"eth0\"]\n\n{text}"))
}

/// A rule with `fields`, one per line.
fn rule(fields: &str) -> String {
    with_settings(&rule_text("r", fields))
}

fn rule_text(name: &str, fields: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\naction = \"drop\"\n{fields}\n")
}

/// One rule for each line of `fields`.
fn rules(fields: &str) -> String {
    report(&with_rules(fields))
}

/// A rule file with these rules.
fn with_rules(fields: &str) -> String {
    let mut text = String::from("[firewall]\ninterfaces = [\"eth0\"]\n\n");
    for (number, line) in fields.lines().map(str::trim).enumerate() {
        text += &rule_text(&number.to_string(), &line.replace(" & ", "\n"));
    }
    text
}

#[test]
fn of_very_many_errors_the_first_are_reported() {
    let mut text = String::from("[firewall]\ninterfaces = [\"eth0\"]\n");
    for number in 0..5_000 {
        text += &format!("key{number} = 1\n");
    }
    let one_more: Vec<&str> = text.lines().take(2 + 101).collect();
    let said = report(&one_more.join("\n"));
    assert!(said.contains("note: there is 1 more error\n"), "{said}");
    let said = report(&text);
    assert_eq!(said.matches("error[unknown-key]").count(), 100, "{said}");
    assert!(said.contains("there are 4,900 more errors"), "{said}");
    assert!(said.contains("`key99`") && !said.contains("`key100`"));
}

#[test]
fn unknown_keys_are_named_with_the_one_that_was_meant() {
    assert_snapshot!(report(
        r#"
[firewall]
interfaces = ["eth0"]
polcy = "drop"

[set]
office = ["192.0.2.0/24"]

[sets]
drop = { fille = "drop.txt" }

[[rule]]
name = "a"
acton = "drop"
action = "drop"
saddr = "192.0.2.1"
colour = "red"
"#
    ));
}

#[test]
fn a_file_without_settings_says_how_to_begin() {
    assert_snapshot!(report(""), @r#"
    error[missing-key]: the rule file has no table `[firewall]`
     --> rules.toml:1:1
      |
    1 |
      | ^
    help: begin with `[firewall]` and `interfaces = ["eth0"]`
    "#);
}

#[test]
fn missing_keys_point_at_their_table() {
    assert_snapshot!(report(
        r#"[firewall]
mode = "auto"
[sets]
list = {}
[[rule]]
src = "192.0.2.1"
"#
    ));
}

#[test]
fn wrong_types_say_what_is_taken() {
    assert_snapshot!(report(
        r#"sets = 3

[firewall]
interfaces = "eth0"
mode = 1
policy = ["pass"]

[[rule]]
name = 12
action = true
interface = 0
src = { file = "x" }
dport = 80.5
sport = [80, [81]]
"#
    ));
}

#[test]
fn a_rule_must_be_an_array_of_tables() {
    assert_snapshot!(with_settings("[rule]\nname = \"a\"\n"));
    assert_snapshot!(report("firewall = 1\nrule = [\"a\", 2]\n"));
}

#[test]
fn a_set_must_be_an_array_or_a_file() {
    assert_snapshot!(with_settings(
        "[sets]\na = \"192.0.2.1\"\nb = 80\nc = { file = 1 }\n"
    ));
}

#[test]
fn an_open_bracket_is_not_reported_for_every_line_behind_it() {
    let text = format!(
        "[firewall]\ninterfaces = [\"eth0\"\n{}",
        "a = 1\n".repeat(1_000)
    );
    let shown = report(&text);
    assert!(shown.matches("error[toml-syntax]").count() <= 10, "{shown}");
}

#[test]
fn toml_errors_have_their_place() {
    assert_snapshot!(report(
        "[firewall]\ninterfaces = [\"eth0\"\nmode = \"auto\"\n"
    ));
    assert_snapshot!(with_settings(&rule_text("a", "src = 192.0.2.0/24")));
    assert_snapshot!(with_settings(&rule_text("a", "dport = 8000-8099")));
    assert_snapshot!(with_settings("[[rule]]\nname = \"a\naction = drop\n"));
}

#[test]
fn toml_errors_of_habit_have_help() {
    assert_snapshot!(with_settings(
        "policy: drop\n[[rule]]\nname: \"a\"\naction = drop\n- proto = \"tcp\"\ndport 23\n"
    ));
    // The lines after a list that is left open are echoes.
    assert_snapshot!(report(
        "[firewall]\ninterfaces = [\"eth0]\nmode = \"auto\"\npolicy = \"pass\"\n\n[[rule]]\nname = 'a\n"
    ));
}

#[test]
fn warnings_that_only_a_check_gives_are_documented() {
    use std::{collections::BTreeSet, sync::Arc};

    use rules::{analysis::Budget, diagnostics::Source, lint};

    let text = with_rules(
        "dport = [22, 22] & proto = \"tcp\"\ndport = 22 & proto = \"tcp\"\n\
         dport = 23 & proto = \"tcp\" & length = \"0-39\"\ninterface = [\"eth0\", \"eth0\"]",
    );
    let source = Arc::new(Source::new("rules.toml", text.as_str()));
    let none = |_: &str| Err::<Source, _>("no such file");
    let all = lint::load(&source, none, &mut Budget::new(1 << 20), || ()).unwrap();
    let used = crate::support::load_for_use(&text).unwrap();
    let all = all.loaded.warnings.iter().map(|of| of.code.as_str());
    let mut all: Vec<&str> = all.collect();
    for warning in &used.warnings {
        let at = all.iter().position(|code| *code == warning.code.as_str());
        all.remove(at.unwrap());
    }
    let only_checked: BTreeSet<&str> = all.into_iter().collect();
    let docs = include_str!("../../../docs/analysis.md");
    let docs = docs.split("`apply` and `reload` log fewer").nth(1).unwrap();
    let docs = docs.split("They leave out").nth(1).unwrap();
    let docs = docs.split("\n\n").next().unwrap();
    let documented: BTreeSet<&str> = docs
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.contains('-'))
        .collect();
    assert_eq!(only_checked, documented);
}

#[test]
fn an_interface_named_twice_is_warned_of() {
    let of = |interfaces: &str| report(&format!("[firewall]\ninterfaces = {interfaces}\n"));
    assert_snapshot!(of(r#"["eth0", "wan*", "eth0", "wan*"]"#));
    // A name that is waited for is more than the glob that fits it.
    assert_eq!(of(r#"["eth*", "eth0"]"#), of(r#"["eth0"]"#));
    let rule = "[[rule]]\nname = \"a\"\naction = \"pass\"\n";
    let settings = "[firewall]\ninterfaces = [\"eth0\", \"eth0\"]\n";
    let used = report_for_use(&format!("{settings}{rule}"));
    assert!(used.contains("warning[redundant-member]"), "{used}");
}

#[test]
fn a_key_given_twice_does_not_hide_other_errors() {
    assert_snapshot!(rule("dport = 22\ndport = 80\nsrc = \"192.0.2\""));
}

#[test]
fn a_file_that_is_not_utf8_has_a_place() {
    use std::sync::Arc;

    use rules::diagnostics::{Source, render};

    let source = Arc::new(Source::new(
        "rules.toml",
        b"[firewall]\n# caf\xe9\n".to_vec(),
    ));
    let none = |_: &str| Err::<Source, _>("no such file");
    let errors = rules::load(&source, none).unwrap_err();
    assert_snapshot!(render(&errors[0]));
}

#[test]
fn interfaces_to_attach_to_are_names_and_globs() {
    assert_snapshot!(report(
        "[firewall]\ninterfaces = [\"eth0\", \"!eth1\", \"@lan\", \"a/b\", \"\", 7, \"sixteen-letters!\"]\n"
    ));
    assert_snapshot!(report("[firewall]\ninterfaces = []\n"));
}

#[test]
fn unknown_words_are_named_with_the_one_that_was_meant() {
    assert_snapshot!(report(
        r#"[firewall]
interfaces = ["eth0"]
mode = "skb"
policy = "DROP"

[[rule]]
name = "a"
action = "accept"

[[rule]]
name = "b"
action = "mirror"
family = "ip"
"#
    ));
}

#[test]
fn the_parser_has_known_classes_and_two_verdicts() {
    assert_snapshot!(with_settings(
        r#"[parser]
malfromed = "drop"
fragments = "drop"
truncated = "drpo"
too_many_headers = "reject"
too_many_tags = true
unknown_ethertype = ["pass"]
"#
    ));
    assert_snapshot!(report(
        "parser = \"drop\"\n[firewall]\ninterfaces = [\"eth0\"]\n"
    ));
}

#[test]
fn rule_names_are_unique_short_and_printable() {
    let long = "x".repeat(65);
    assert_snapshot!(with_settings(&format!(
        "{}{}{}{}{}",
        rule_text("web", ""),
        rule_text("", ""),
        rule_text("tab\\there", ""),
        rule_text(&long, ""),
        rule_text("web", ""),
    )));
}

#[test]
fn addresses_that_are_none_say_why() {
    assert_snapshot!(rules(
        r#"src = "192.0.2"
        src = "192.0.2.256"
        src = "192.0.2.01"
        src = "192.0.2.1/24"
        src = "2001:db8::1/32"
        src = "192.0.2.0/33"
        src = "192.0.2.0/255.0.255.0"
        src = "192.0.2.9-192.0.2.1"
        src = "192.0.2.1-2001:db8::1"
        src = ["192.0.2.1", "!example.org", 80, ""]
        dst = []"#
    ));
}

#[test]
fn ports_that_are_none_say_why() {
    assert_snapshot!(rules(
        r#"dport = "http"
        dport = 65536
        dport = -1
        dport = "90-80"
        sport = ["!", "022", "80-", 99999999999999999999999]"#
    ));
}

#[test]
fn protocols_that_are_none_say_why() {
    assert_snapshot!(rules(
        r#"proto = "tpc"
        proto = "quic"
        proto = 256
        proto = "!9-3"
        proto = "@web""#
    ));
}

#[test]
fn tcp_flags_that_are_none_say_why() {
    assert_snapshot!(rules(
        r#"tcp_flags = "syn,akc"
        tcp_flags = ""
        tcp_flags = 2
        tcp_flags = "syn,!syn"
        tcp_flags = ["syn", "x"]"#
    ));
}

#[test]
fn icmp_types_that_are_none_say_why() {
    assert_snapshot!(rules(
        r#"icmp_type = "echo-requst"
        icmp_type = "pong"
        proto = "icmp" & icmp_type = 256
        proto = "icmp" & icmp_type = "3/x"
        proto = "icmp" & icmp_type = "3/256"
        proto = "icmp" & icmp_type = "packet-too-big"
        family = "ipv6" & icmp_type = "timestamp-request"
        icmp_type = "@web""#
    ));
}

#[test]
fn ethertypes_that_are_none_say_why() {
    assert_snapshot!(rules(
        r#"ethertype = "ldp"
        ethertype = "appletalk"
        ethertype = 0x10000
        ethertype = "0x88cd-0x88cc"
        ethertype = ["arp", "0x8100", 0x88a8]
        ethertype = "@web""#
    ));
}

#[test]
fn vlans_that_are_none_say_why() {
    assert_snapshot!(rules(
        r#"vlan = "non"
        vlan = 4096
        vlan = ["1-70000", "9-2"]
        vlan = true
        vlan = "!@web""#
    ));
}

#[test]
fn mac_addresses_that_are_none_say_why() {
    assert_snapshot!(rules(
        r#"src_mac = "02:00:00:00:00"
        src_mac = "02-00-00-00-00-01"
        src_mac = "00:1b:21:*"
        src_mac = "00:1b:21:00:00:00/49"
        dst_mac = ["!00:1b:21:00:00:07/24", 2]
        dst_mac = "00:00:00:00:00:02-00:00:00:00:00:01"
        dst_mac = "@office""#
    ));
}

#[test]
fn lengths_hops_and_code_points_that_are_none_say_why() {
    assert_snapshot!(rules(
        r#"length = "long"
        length = 65536
        length = "90-80"
        ttl = 256
        ttl = "x"
        dscp = "af14"
        dscp = 64
        dscp = "gold"
        dscp = "!9-3""#
    ));
}

#[test]
fn invalid_ip_options_say_why() {
    assert_snapshot!(rules(
        r#"ip_option = "router-alarm"
        ip_option = 256
        ip_option = "!0-255"
        family = "ipv6" & ip_option = "nop"
        src = "2001:db8::1" & ip_option = "nop"
        ethertype = "arp" & ip_option = "nop""#
    ));
}

#[test]
fn more_than_eight_groups_of_ip_options_are_refused() {
    let options = |last: u8| {
        let lines: Vec<String> = (1..=last)
            .map(|option| format!("ip_option = {option}"))
            .collect();
        rules(&lines.join("\n"))
    };
    assert_eq!(options(8), "\nloaded");
    assert_snapshot!(options(9));
}

#[test]
fn fragment_is_a_boolean() {
    assert_snapshot!(rules(
        r#"fragment = "true"
        fragment = [true, false]
        ttl = true"#
    ));
}

#[test]
fn logs_that_are_none_say_why() {
    assert_snapshot!(rules(
        r#"log = 10
        log = "yes"
        log = [true]
        log = { rat = 5 }
        log = { rate = 0 }
        log = { rate = "10/fortnight" }
        log = { rate = "10/minutes" }
        log = { rate = "/second" }
        log = { rate = 2000000 }
        log = { rate = true }
        log = { rate = 5, burst = 0 }
        log = { burst = "50/second" }
        log = { burst = [1, 2] }"#
    ));
}

#[test]
fn rules_that_log_beyond_the_limit_are_refused() {
    let rule = |number: u32| {
        rule_text(
            &number.to_string(),
            &format!("log = true\ndport = {number}"),
        )
    };
    let text: String = (1..=1025).map(rule).collect();
    let report = with_settings(&text);
    assert_snapshot!(report, @r#"
    error[invalid-value]: 1025 rules log, more than 1024
        --> rules.toml:5125:8
         |
    5125 | name = "1025"
         |        ^^^^^^
    help: one `count` rule in front of many can log for all of them
    "#);
    let text: String = (1..=1024).map(rule).collect();
    assert_eq!(with_settings(&text), "\nloaded");
}

#[test]
fn ethertypes_other_than_those_of_ip_have_nothing_of_ip() {
    assert_snapshot!(rules(
        r#"ethertype = "arp" & src = "192.0.2.1"
        ethertype = ["ipv4", "lldp"] & ttl = 1
        ethertype = ["!ipv4", "!ipv6"] & fragment = true
        ethertype = "0x8800-0x88ff" & family = "ipv4""#
    ));
}

#[test]
fn fields_of_the_frame_that_leave_nothing_are_warned_of() {
    assert_snapshot!(rules(
        r#"ethertype = ["arp", "!arp"]
        ethertype = "ipv4" & src = "2001:db8::1"
        vlan = ["none", "!none"]
        src_mac = ["02:00:00:00:00:01", "!02:00:00:00:00:00/16"]
        dst_mac = "!00:00:00:00:00:00/0"
        length = "0-19"
        family = "ipv6" & length = "!40-65535"
        ttl = "!0-255"
        dscp = "!0-63""#
    ));
}

#[test]
fn the_number_of_an_icmp_type_needs_its_protocol() {
    assert_snapshot!(rules(
        r#"icmp_type = 8
        icmp_type = "3/4"
        proto = ["icmp", "icmpv6"] & icmp_type = ["echo-request", 3]"#
    ));
}

#[test]
fn interfaces_and_families_that_are_none_say_why() {
    assert_snapshot!(rules(
        r#"interface = "a b"
        interface = ["@lan", 3]
        family = ["ipv4", "ipv6"]
        family = 4"#
    ));
}

#[test]
fn sets_hold_members_of_one_kind() {
    assert_snapshot!(with_settings(
        r#"[sets]
mixed = [80, "192.0.2.1", "443", "2001:db8::1"]
empty = []
negated = ["192.0.2.0/24", "!192.0.2.1"]
nested = ["@mixed"]
broken = ["192.0.2.1/24", "80-90-100"]
ports = ["70000"]
types = [true, 80]
"a b" = [1]
"#
    ));
}

#[test]
fn set_references_are_checked() {
    assert_snapshot!(with_settings(&format!(
        "[sets]\noffice = [\"192.0.2.0/24\"]\nweb = [80]\n\n{}{}{}{}",
        rule_text("a", "src = \"@ofice\"\ndport = \"@office\""),
        rule_text("b", "src = [\"!@web\", \"@nothing-like-it\"]"),
        rule_text("c", "sport = \"@web\""),
        rule_text("d", "dst = \"@\""),
    )));
}

#[test]
fn a_broken_set_is_reported_once_and_not_where_it_is_used() {
    assert_snapshot!(with_settings(&format!(
        "[sets]\nbad = [\"nonsense\"]\n\n{}{}",
        rule_text("a", "src = \"@bad\""),
        rule_text("b", "dst = [\"@bad\", \"192.0.2.1\"]\ndport = 0"),
    )));
}

#[test]
fn unused_sets_are_warned_of() {
    assert_snapshot!(with_settings("[sets]\nweb = [80]\n"), @"
    warning[unused-set]: no rule uses the set `web`
     --> rules.toml:5:1
      |
    5 | web = [80]
      | ^^^

    loaded
    ");
}

#[test]
fn list_files_are_reported_with_their_own_lines() {
    let text = format!(
        "[firewall]\ninterfaces = [\"eth0\"]\n[sets]\n\
         list = {{ file = \"lists/drop.txt\" }}\n\
         same = {{ file = \"lists/drop.txt\" }}\n\
         void = {{ file = \"lists/void.txt\" }}\n\
         gone = {{ file = \"lists/gone.txt\" }}\n{}",
        rule_text("a", "src = [\"@list\", \"@void\", \"@gone\", \"@same\"]")
    );
    let list =
        "# header\n192.0.2.1\n\t 192.0.2.1/24 ; host bits\nexample.org\n192.0.2.1 192.0.2.2\n";
    let lists = [
        ("lists/drop.txt", list),
        ("lists/void.txt", "# nothing\n\n"),
    ];
    assert_snapshot!(report_with(&text, &lists));
}

#[test]
fn a_list_file_of_nonsense_is_reported_in_part() {
    let text = format!(
        "[firewall]\ninterfaces = [\"eth0\"]\n[sets]\nlist = {{ file = \"list\" }}\n{}",
        rule_text("a", "src = \"@list\"")
    );
    let mut list = String::new();
    for number in 1..=1_234 {
        writeln!(list, "host-{number}.example.org").unwrap();
    }
    let shown = report_with(&text, &[("list", &list)]);
    assert_eq!(shown.matches("error[invalid-value]").count(), 10);
    let (_, end) = shown.split_at(shown.rfind("error[").unwrap());
    assert_snapshot!(end);
}

#[test]
fn ports_flags_and_icmp_types_need_a_protocol_that_has_them() {
    assert_snapshot!(rules(
        r#"proto = "icmp" & dport = 22
        proto = ["tcp", "esp", "47"] & sport = 22
        proto = ["!tcp", "!udp", "!dccp", "!sctp", "!udplite"] & dport = 22
        proto = "udp" & tcp_flags = "syn"
        proto = "!tcp" & tcp_flags = "syn"
        proto = ["icmp", "tcp"] & icmp_type = "echo-request"
        dport = 22 & icmp_type = "echo-request"
        tcp_flags = "syn" & icmp_type = "echo-request""#
    ));
}

#[test]
fn protocols_that_have_the_field_among_others_are_no_contradiction() {
    assert_eq!(rules("proto = [\"0-255\"] & dport = 22"), "\nloaded");
    assert_eq!(rules("proto = \"!udp\" & dport = 22"), "\nloaded");
    assert_eq!(
        rules("proto = [\"!udp\", \"!icmp\"] & icmp_type = \"echo-request\""),
        "\nloaded"
    );
}

#[test]
fn rules_that_can_never_match_are_warned_of() {
    assert_snapshot!(rules(
        r#"family = "ipv6" & src = "192.0.2.1"
        src = "192.0.2.1" & dst = "2001:db8::1"
        family = "ipv6" & proto = "icmp"
        family = "ipv6" & proto = "icmp" & icmp_type = 8
        proto = 58 & dst = "192.0.2.1"
        icmp_type = "packet-too-big" & src = "192.0.2.1"
        src = ["192.0.2.1", "!192.0.2.0/24"]
        dport = [22, "!22"]
        proto = ["tcp", "!tcp"] & dport = 22
        interface = ["eth1", "wlan0"]
        interface = ["eth0", "!eth*"]"#
    ));
}

#[test]
fn wide_text_does_not_move_the_mark() {
    assert_snapshot!(rule("src =\t[\"é\", \"192.0.2.x\"]"));
}

#[test]
fn all_errors_of_a_file_come_at_once_and_in_order() {
    let text = r#"[[rule]]
name = "first"
action = "dorp"
src = "@offce"

[[rule]]
name = "first"
action = "drop"
dport = "ssh"
protocol = "tcp"

[sets]
office = ["192.0.2.0/33"]

[firewall]
interface = "eth0"
"#;
    let shown = report(text);
    let codes: Vec<_> = shown
        .lines()
        .filter(|line| line.starts_with("error["))
        .collect();
    assert_eq!(
        codes,
        [
            "error[invalid-value]: unknown action `dorp`",
            "error[unknown-set]: unknown set `offce`",
            "error[duplicate-name]: the rule name `first` is taken",
            "error[invalid-value]: invalid port `ssh`",
            "error[unknown-key]: unknown key `protocol` in a rule",
            "error[invalid-value]: invalid address `192.0.2.0/33`",
            "error[missing-key]: `[firewall]` has no `interfaces`",
            "error[unknown-key]: unknown key `interface` in `[firewall]`",
        ]
    );
}

#[test]
fn a_rule_that_drops_everything_is_warned_of_for_the_sake_of_neighbors() {
    insta::assert_snapshot!(report_for_use(
        r#"
[firewall]
interfaces = ["eth0"]
[[rule]]
name = "the rest"
action = "drop"
[[rule]]
name = "the rest on one interface"
action = "drop"
interface = "eth0"
[[rule]]
name = "IPv4"
action = "drop"
family = "ipv4"
[[rule]]
name = "all"
action = "count"
"#
    ));
}

#[test]
fn what_other_firewalls_write_gets_help() {
    let help = |sets: &str, rule: &str| {
        let text = format!(
            "[firewall]\ninterfaces = [\"eth0\"]\n{sets}[[rule]]\nname = \"a\"\naction = \"drop\"\n{rule}\n"
        );
        let shown = report(&text);
        let help = shown.lines().find_map(|line| line.strip_prefix("help: "));
        help.unwrap_or_else(|| panic!("no help: {shown}"))
            .to_owned()
    };
    let sets = "[sets]\nfoo = [\"192.0.2.1\"]\nweb = [80]\n";
    for (rule, expected) in [
        ("src = \"foo\"", "did you mean the set `@foo`?"),
        (
            "dst = [\"192.0.2.0/24\", \"!foo\"]",
            "did you mean the set `@foo`?",
        ),
        (
            "proto = \"tcp\"\ndport = \"web\"",
            "did you mean the set `@web`?",
        ),
        (
            "proto = \"tcp\"\ndport = \"22,80\"",
            "write several values as a list: `[22, 80]`",
        ),
        (
            "proto = \"tcp\"\ndport = \"22:25\"",
            "write a range with `-`: `22-25`",
        ),
        (
            "proto = \"tcp,udp\"",
            "write several values as a list: `[\"tcp\", \"udp\"]`",
        ),
        (
            "src = \"192.0.2.1, 192.0.2.2\"",
            "write several values as a list: `[\"192.0.2.1\", \"192.0.2.2\"]`",
        ),
        ("saddr = \"192.0.2.1\"", "here it is called `src`"),
        ("destination = \"192.0.2.1\"", "here it is called `dst`"),
        ("port = 22", "here it is called `dport`"),
    ] {
        assert_eq!(help(sets, rule), expected, "{rule}");
    }
    assert!(help("", "ctstate = \"established\"").contains("called `state`"));
    assert!(help("", "rate = \"10/s\"").contains("do not limit rates"));
    assert!(help("", "limit = \"10/s\"").contains("do not limit rates"));
    let shown = report("[firewall]\ninterfaces = \"eth0\"\n");
    assert!(
        shown.contains("\nhelp: write `interfaces = [\"eth0\"]`\n"),
        "{shown}"
    );
}
