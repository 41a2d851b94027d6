//! Rules that ask for the state of packets.

use crate::support::run;

const RULES: &str = r#"
[firewall]
interfaces = ["none-such"]
policy = "drop"

[[rule]]
name = "replies"
action = "pass"
state = ["established", "related"]

[[rule]]
name = "ssh"
action = "pass"
proto = "tcp"
dport = 22
state = "new"
"#;

const ANSWER: &str = "udp 192.0.2.1:53 > 192.0.2.2:40000";

#[test]
fn a_packet_is_explained_in_the_state_that_is_given() {
    let explained = |arguments: &[&str]| {
        let files = [("rules.toml", RULES)];
        run(
            &files,
            &[&["explain", "rules.toml", ANSWER], arguments].concat(),
        )
    };
    let new = explained(&[]);
    assert!(new.contains("state is new"), "{new}");
    let established = explained(&["--state", "established"]);
    assert!(established.contains("replies"), "{established}");
    assert!(!established.contains("ssh"), "{established}");
    let stateless = RULES.replace("state = ", "# state = ");
    let files = [("rules.toml", stateless.as_str())];
    let arguments = ["explain", "rules.toml", ANSWER, "--state", "established"];
    let stateless = run(&files, &arguments);
    assert!(stateless.contains("replies"), "{stateless}");
    assert!(!stateless.contains("internal error"), "{stateless}");
    let wrong = explained(&["--state", "opened"]);
    assert!(wrong.ends_with("exit status 2\n"), "{wrong}");
    let files = [("rules.toml", RULES)];
    let out = format!("out {ANSWER}");
    let out = run(
        &files,
        &["explain", "rules.toml", &out, "--state", "established"],
    );
    assert!(out.contains("`--state` is for packets in"), "{out}");
    assert!(out.ends_with("exit status 2\n"), "{out}");
}

#[test]
fn a_change_is_shown_with_the_state_of_its_packet() {
    let without = RULES.replace("[\"established\", \"related\"]", "\"related\"");
    let files = [("old.toml", RULES), ("new.toml", without.as_str())];
    let shown = run(&files, &["diff", "old.toml", "new.toml"]);
    assert!(shown.contains(" state established"), "{shown}");
    assert!(shown.contains(" (established)\n"), "{shown}");
    let json = run(&files, &["diff", "old.toml", "new.toml", "--json"]);
    assert!(json.contains("\"state\": \"established\""), "{json}");
}

#[test]
fn the_plan_has_a_section_for_states_with_the_same_rules() {
    let files = [("rules.toml", RULES)];
    let shown = run(&files, &["check", "rules.toml", "--plan"]);
    for section in [
        "\nnew IPv4: 1 rule,",
        "\nestablished or related IPv4: 1 rule,",
        "\ninvalid IPv6: 0 rules,",
        "\nother: 0 rules,",
    ] {
        assert!(shown.contains(section), "{section}: {shown}");
    }
    let json = run(&files, &["check", "rules.toml", "--plan", "--json"]);
    assert!(json.contains("\"states\""), "{json}");
}

const ASKED: &str = "given = \"out udp 192.0.2.2:40000 > 192.0.2.1:53\"\n";

fn test(name: &str, given: &str, packet: &str, expect: &str) -> String {
    let packet = format!("packet = [{packet}]\nexpect = \"{expect}\"\n");
    format!("[[test]]\nname = \"{name}\"\n{given}{packet}")
}

fn checked(tests: &str) -> String {
    let rules = format!("{RULES}{tests}");
    run(&[("rules.toml", &rules)], &["check", "rules.toml"])
}

#[test]
fn packets_that_came_before_make_the_flows_of_a_test() {
    let answer = format!("\"{ANSWER}\"");
    let after = |time: &str| format!("{ASKED}after = \"{time}\"\n");
    let twice = "given = [\"out udp 192.0.2.2:40000 > 192.0.2.1:53\", \
                 \"in udp 192.0.2.1:53 > 192.0.2.2:40000\"]\nafter = \"2m\"\n";
    let tests = test("nothing before", "", &answer, "drop")
        + &test("an answer", ASKED, &answer, "pass")
        + "rule = \"replies\"\n"
        + &test("in time", &after("30s"), &answer, "pass")
        + &test("late", &after("30.001s"), &answer, "drop")
        + "reason = \"policy\"\n"
        + &test("answered, so kept for longer", twice, &answer, "pass")
        + &test("from elsewhere", ASKED, &answer.replace(":53", ":54"), "drop")
        // The packets follow one another: the answer keeps the flow, and the error is about it.
        + &test(
            "a sequence",
            ASKED,
            &format!(
                "{answer}, \"icmp 192.0.2.9 > 192.0.2.2 3/3 about udp 192.0.2.2:40000 > 192.0.2.1:53\""
            ),
            "pass",
        )
        + &test(
            "an error about nothing known",
            ASKED,
            "\"icmp 192.0.2.9 > 192.0.2.2 3/3 about udp 192.0.2.2:40001 > 192.0.2.1:53\"",
            "drop",
        )
        + &test(
            "packets out in the sequence make flows, too",
            "",
            &format!("\"out udp 192.0.2.2:40000 > 192.0.2.1:53\", {answer}"),
            "pass",
        )
        // An answer of the own server makes no flow.
        + &test(
            "ssh",
            "given = [\"in tcp 192.0.2.1:1 > 192.0.2.2:22 syn\", \"out tcp 192.0.2.2:22 > 192.0.2.1:1 psh,ack payload 9\"]\n",
            "\"in tcp 192.0.2.1:1 > 192.0.2.2:22\"",
            "pass",
        )
        + "rule = \"ssh\"\n";
    let said = checked(&tests);
    assert!(said.contains("exit status 0"), "{said}");
    // Of rules without states `given` is judged, and changes nothing.
    let stateless = RULES.replace("state = ", "# state = ");
    let rules = stateless + &test("all pass", ASKED, &answer, "pass");
    let said = run(&[("rules.toml", &rules)], &["check", "rules.toml"]);
    assert!(said.contains("exit status 0"), "{said}");
}

#[test]
fn a_test_says_which_packet_of_its_sequence_is_wrong() {
    let answer = format!("\"{ANSWER}\"");
    let dropped = "given = [\"out udp 192.0.2.2:40000 > 192.0.2.1:53\", \"in udp 192.0.2.1:54 > 192.0.2.2:40000\", \
                   \"in udp 192.0.2.1:55 > 192.0.2.2:40000\"]\n";
    let tests = test("given is dropped", dropped, &answer, "pass")
        + &test("another state", ASKED, &answer, "drop")
        + &test("fine", ASKED, &answer, "pass")
        + &test(
            "no state at all",
            ASKED,
            "\"arp 192.0.2.1 > 192.0.2.2\"",
            "drop",
        );
    insta::assert_snapshot!(checked(&tests));
}

#[test]
fn a_packet_is_explained_with_the_flow_that_gives_it_its_state() {
    const BEGIN: &str = "out tcp 192.0.2.2:40000 > 192.0.2.1:443 syn";
    const ANSWER: &str = "tcp 192.0.2.1:443 > 192.0.2.2:40000 syn,ack";
    const RESET: &str = "tcp 192.0.2.1:443 > 192.0.2.2:40000 rst";
    const ERROR: &str = "icmp 192.0.2.9 > 192.0.2.2 3/4 about tcp 192.0.2.2:40000 > 192.0.2.1:443";
    const OTHERS: &str = "icmp 192.0.2.9 > 192.0.2.3 3/4 about tcp 192.0.2.2:40000 > 192.0.2.1:443";
    const IPV6: &str = "out icmpv6 2001:db8::1 > 2001:db8::2";
    let cases: [&[&str]; 18] = [
        &[ANSWER],
        &["--given", BEGIN, ANSWER],
        &["--given", BEGIN, "--after", "2m", ANSWER],
        &["--given", BEGIN, "--after", "2m1s", ANSWER],
        &["--given", BEGIN, "--given", ANSWER, "--after", "1h", RESET],
        &["--given", BEGIN, "--given", RESET, "--after", "10s", ANSWER],
        &[
            "--given",
            BEGIN,
            "in tcp 192.0.2.2:40000 > 192.0.2.1:443 syn",
        ],
        &[
            "--given",
            "out tcp 192.0.2.2:40000 > 192.0.2.1:443 fin,ack",
            "--given",
            "out tcp 192.0.2.2:40000 > 192.0.2.1:443 rst",
            "tcp 192.0.2.1:443 > 192.0.2.2:40000 syn",
        ],
        &["--given", BEGIN, ERROR],
        &["--given", BEGIN, OTHERS],
        &["--given", BEGIN, "--after", "1h", ERROR],
        &[ERROR],
        &["--given", BEGIN, "tcp 192.0.2.1:443 > 192.0.2.2:40000 null"],
        &[
            "--given",
            IPV6,
            "icmpv6 2001:db8::2 > 2001:db8::1 echo-reply",
        ],
        &[
            "--given",
            "out gre 192.0.2.2 > 192.0.2.1",
            "gre 192.0.2.1 > 192.0.2.2",
        ],
        &["icmp 192.0.2.1 > 192.0.2.2 13/0"],
        &["udp 192.0.2.1 > 192.0.2.2 fragment 1480"],
        &["--state", "related", ANSWER],
    ];
    let mut shown = String::new();
    for case in cases {
        let files = [("rules.toml", RULES)];
        let said = run(&files, &[&["explain", "rules.toml"], case].concat());
        let mut lines = said.lines();
        let state = lines
            .find(|line| line.starts_with("state "))
            .unwrap_or(&said);
        shown += &format!("{}\n  {state}\n", case.join(" "));
    }
    // What has no state.
    let stateless = RULES.replace("state = ", "# state = ");
    for (rules, packet) in [
        (RULES, BEGIN),
        (RULES, "arp 192.0.2.1 > 192.0.2.2"),
        (RULES, "hex 00"),
        (&stateless, ANSWER),
    ] {
        let said = run(&[("rules.toml", rules)], &["explain", "rules.toml", packet]);
        assert!(!said.contains("\nstate "), "{said}");
        assert!(said.contains("exit status 0"), "{said}");
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn packets_that_came_before_an_explained_one_must_pass() {
    let files = [("rules.toml", RULES)];
    let wrong: [&[&str]; 7] = [
        &["rules.toml", "--given", ANSWER, ANSWER],
        &["rules.toml", "--given", "in udp 192.0.2.1", ANSWER],
        &[
            "rules.toml",
            "--given",
            "out udp 192.0.2.2:40000 > 192.0.2.1:53",
            "--after",
            "soon",
            ANSWER,
        ],
        &["rules.toml", "--after", "2s", ANSWER],
        &["rules.toml", "--given", ANSWER, "--state", "new", ANSWER],
        &["rules.toml", "--given", ANSWER, "--pcap", "c.pcap"],
        &["--live", "--given", ANSWER, ANSWER],
    ];
    let said = wrong.map(|case| run(&files, &[&["explain"], case].concat()));
    insta::assert_snapshot!(said.join("\n"));
}
