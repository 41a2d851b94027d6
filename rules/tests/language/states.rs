//! The field `state`, and the table `[flows]`.

use std::time::Duration;

use rules::{
    Context,
    evaluator::{Outcome, evaluate},
    explanation::explain,
    field::{FieldName, State, StateSet},
    language::canonical,
    model::{FlowNeeds, Flows, RuleId, Verdict},
    notation,
};

use crate::support::{load_clean, load_with, matches, report};

const STATE: &str = "[[rule]]\nname = \"replies\"\naction = \"pass\"\nstate = \"established\"\n";

fn file(rest: &str) -> String {
    format!("[firewall]\ninterfaces = [\"eth0\"]\npolicy = \"drop\"\n{rest}")
}

fn rule(fields: &str) -> String {
    file(&format!(
        "[[rule]]\nname = \"r\"\naction = \"pass\"\n{fields}\n"
    ))
}

fn set(states: &[State]) -> Option<StateSet> {
    Some(states.iter().copied().collect())
}

#[test]
fn a_rule_names_states_or_excludes_them() {
    use State::{Established, Invalid, New, Related};
    for (written, expected) in [
        ("\"new\"", set(&[New])),
        ("\"established\"", set(&[Established])),
        (
            "[\"established\", \"related\"]",
            set(&[Established, Related]),
        ),
        ("\"!new\"", set(&[Established, Related, Invalid])),
        ("[\"!new\", \"!invalid\"]", set(&[Established, Related])),
        ("[\"new\", \"related\", \"!new\"]", set(&[Related])),
        (
            "[\"new\", \"established\", \"related\", \"invalid\"]",
            set(&State::ALL),
        ),
    ] {
        assert_eq!(
            matches(&format!("state = {written}")).state,
            expected,
            "{written}"
        );
    }
    assert_eq!(matches("").state, None);
}

#[test]
fn wrong_states_are_errors_with_what_was_meant() {
    let said = report(&rule("state = \"establised\""));
    assert!(said.contains("invalid state `establised`"), "{said}");
    assert!(said.contains("help: did you mean `established`?"), "{said}");
    let said = report(&rule("state = [\"new\", 7]"));
    assert!(said.contains("invalid state `7`"), "{said}");
    let said = report(&rule("state = \"new,related\""));
    assert!(said.contains("[\"new\", \"related\"]"), "{said}");
    let said = report(&rule("state = \"@new\"\n[sets]\nnew = [80]"));
    assert!(said.contains("`state` takes no sets"), "{said}");
    let said = report(&rule("state = []"));
    assert!(said.contains("empty"), "{said}");
}

#[test]
fn a_rule_for_packets_out_asks_for_the_state_of_packets_out() {
    let ruleset = load_clean(&rule("state = \"established\"\ndirection = \"out\""));
    let frame = notation::read("udp 192.0.2.1:53 > 192.0.2.2:4000")
        .unwrap()
        .frame;
    for state in State::ALL {
        let context = Context::sent(Some("eth0")).in_state(state);
        let found = evaluate(&ruleset, &frame, &context);
        let is_of_rule = found.outcome == Outcome::Rule(RuleId(0));
        assert_eq!(is_of_rule, state == State::Established);
        let context = Context::arriving(Some("eth0")).in_state(state);
        let found = evaluate(&ruleset, &frame, &context);
        assert!(matches!(found.outcome, Outcome::Reason(_)));
    }
}

#[test]
fn flows_are_known_as_far_as_rules_need_them() {
    let needs = |rules: &[&str]| {
        let rules = rules.iter().enumerate();
        let rules = rules.map(|(number, fields)| {
            let action = if fields.contains("action") {
                ""
            } else {
                "action = \"pass\"\n"
            };
            format!("[[rule]]\nname = \"r{number}\"\n{action}{fields}\n")
        });
        load_clean(&file(&rules.collect::<String>())).flow_needs()
    };
    const REPLIES: &str = "state = [\"established\", \"related\"]";
    assert_eq!(needs(&["dport = 22\nproto = \"tcp\""]), FlowNeeds::Nothing);
    assert_eq!(needs(&[REPLIES]), FlowNeeds::Replies);
    let ssh = "state = \"new\"\ndport = 22\nproto = \"tcp\"";
    assert_eq!(needs(&[REPLIES, ssh]), FlowNeeds::Replies);
    // Only their first packet is to be logged or counted, or has these flags.
    let logging = format!("{ssh}\nlog = true");
    assert_eq!(needs(&[REPLIES, &logging]), FlowNeeds::Incoming);
    let counting_all = "state = \"new\"\naction = \"count\"";
    assert_eq!(needs(&[REPLIES, counting_all]), FlowNeeds::Replies);
    let counting = format!("{ssh}\naction = \"count\"");
    assert_eq!(needs(&[REPLIES, &counting]), FlowNeeds::Incoming);
    let not_first = "action = \"drop\"\nproto = \"tcp\"\ntcp_flags = \"!syn\"\nstate = \"new\"";
    assert_eq!(needs(&[REPLIES, not_first, ssh]), FlowNeeds::Incoming);
    let flags = "proto = \"tcp\"\ntcp_flags = \"syn\"";
    assert_eq!(needs(&[flags]), FlowNeeds::Nothing);
    assert_eq!(needs(&[REPLIES, flags]), FlowNeeds::Incoming);
    let counted = "action = \"count\"\nproto = \"tcp\"\ntcp_flags = \"syn\"";
    assert_eq!(needs(&[REPLIES, counted]), FlowNeeds::Replies);
    let invalid = "action = \"drop\"\nstate = \"invalid\"";
    assert_eq!(needs(&[invalid, flags]), FlowNeeds::Replies);
    let out = "direction = \"out\"\nstate = \"established\"";
    assert_eq!(needs(&[out]), FlowNeeds::OutgoingStates);
    assert_eq!(needs(&[REPLIES, "direction = \"out\""]), FlowNeeds::Replies);
}

#[test]
fn only_ip_packets_have_a_state() {
    let said = report(&rule("state = \"new\"\nethertype = \"arp\""));
    assert!(
        said.contains("no packet has both the EtherType `arp` and `state`"),
        "{said}"
    );
    let ruleset = load_clean(&rule("state = \"!established\""));
    let arp = notation::read("arp 192.0.2.1 > 192.0.2.2").unwrap().frame;
    for state in State::ALL {
        let context = Context::arriving(Some("eth0")).in_state(state);
        let found = evaluate(&ruleset, &arp, &context);
        assert!(matches!(found.outcome, Outcome::Reason(_)), "{state:?}");
    }
}

#[test]
fn a_state_that_is_excluded_and_named_leaves_nothing() {
    let said = report(&rule("state = [\"new\", \"!new\"]"));
    assert!(said.contains("the rule `r` can never match"), "{said}");
    assert!(said.ends_with("loaded"), "{said}");
}

#[test]
fn the_state_of_a_packet_decides_and_is_explained() {
    let ruleset = load_clean(&rule("state = [\"established\", \"related\"]"));
    let frame = notation::read("udp 192.0.2.1:53 > 192.0.2.2:4000")
        .unwrap()
        .frame;
    for state in State::ALL {
        let context = Context::arriving(Some("eth0")).in_state(state);
        let found = explain(&ruleset, &frame, &context);
        let mismatch = found.rules[0].mismatch;
        let fields = found.fields.unwrap();
        let value = rules::explanation::value(FieldName::State, &fields, &context);
        assert_eq!(value.as_deref(), Some(state.as_str()));
        if matches!(state, State::Established | State::Related) {
            assert_eq!(found.evaluation.outcome, Outcome::Rule(RuleId(0)));
            assert_eq!(mismatch, None);
        } else {
            assert_eq!(found.evaluation.verdict, Verdict::Drop);
            assert_eq!(mismatch, Some(FieldName::State));
        }
    }
}

#[test]
fn packets_of_tests_are_new() {
    let test = |verdict| {
        let packet = "udp 192.0.2.1:53 > 192.0.2.2:4000";
        format!("{STATE}[[test]]\nname = \"t\"\npacket = \"{packet}\"\nexpect = \"{verdict}\"\n")
    };
    let loaded = load_with(&file(&test("drop")), &[]).unwrap();
    let test = &loaded.tests[0];
    let packet = &test.packets[0];
    assert_eq!(packet.context.state, State::New);
    let found = evaluate(
        &loaded.ruleset,
        &packet.frame,
        &packet.context.as_ref().map(Option::as_deref),
    );
    assert!(test.expected.is_met(&found));
}

#[test]
fn only_rules_in_force_ask_for_states() {
    let asks = |text: &str| load_clean(text).asks_for_states();
    assert!(!asks(&rule("")));
    assert!(asks(&rule("state = \"new\"")));
    assert!(!asks(&rule("state = \"new\"\nenabled = false")));
}

#[test]
fn flows_have_a_size_and_timeouts() {
    let flows = |text: &str| load_clean(&file(&format!("{STATE}{text}"))).settings.flows;
    let seconds = Duration::from_secs;
    let usual = flows("");
    assert_eq!(usual, Flows::default());
    assert_eq!(usual.max, 65_536);
    let expected = [
        ("tcp_opening", 120),
        ("tcp_incoming", 60),
        ("tcp", 86_400),
        ("tcp_half_closed", 3600),
        ("tcp_closed", 120),
        ("tcp_reset", 600),
        ("udp", 30),
        ("udp_answered", 120),
        ("icmp_echo", 30),
        ("other", 600),
    ];
    let expected = expected.map(|(key, time)| (key, seconds(time)));
    assert!(usual.timeouts.iter().eq(expected));
    assert_eq!(flows("[flows]\nmax = 1024\n").max, 1024);
    assert_eq!(flows("[flows]\nmax = \"16777216\"\n").max, 1 << 24);
    let changed = flows("[flows.timeouts]\ntcp = \"36h\"\nudp = 4\nother = \"1h30m\"\n").timeouts;
    assert_eq!(changed.tcp, seconds(36 * 3600));
    assert_eq!(changed.udp, seconds(4));
    assert_eq!(changed.other, seconds(5400));
    assert_eq!(changed.tcp_reset, usual.timeouts.tcp_reset);
}

#[test]
fn wrong_flows_are_errors_with_the_allowed_values() {
    let said = |text: &str| report(&file(&format!("{STATE}{text}")));
    for (max, nearest) in [
        ("50000", "65536"),
        ("0", "1024"),
        ("100", "1024"),
        ("33554432", "16777216"),
    ] {
        let said = said(&format!("[flows]\nmax = {max}\n"));
        assert!(said.contains(&format!("invalid max `{max}`")), "{said}");
        assert!(
            said.contains("a power of two from 1,024 to 16,777,216"),
            "{said}"
        );
        assert!(
            said.contains(&format!("help: write `max = {nearest}`")),
            "{said}"
        );
    }
    assert!(said("[flows]\nmax = \"many\"\n").contains("invalid max `many`"));
    for (key, time, hours) in [
        ("tcp", "3s", "36 hours"),
        ("tcp", "37h", "36 hours"),
        ("udp", "5h", "4 hours"),
        ("icmp_echo", "soon", "4 hours"),
        ("tcp_reset", "0", "4 hours"),
        ("other", "-5s", "4 hours"),
    ] {
        let said = said(&format!("[flows.timeouts]\n{key} = \"{time}\"\n"));
        assert!(
            said.contains(&format!("invalid timeout `{time}`")),
            "{said}"
        );
        let range = format!("`{key}` is a time from 4 seconds to {hours}");
        assert!(said.contains(&range), "{said}");
    }
    let said_of_key = said("[flows.timeouts]\nudp_answer = 30\n");
    assert!(
        said_of_key.contains("unknown key `udp_answer`"),
        "{said_of_key}"
    );
    assert!(
        said_of_key.contains("did you mean `udp_answered`?"),
        "{said_of_key}"
    );
    assert!(said("[flows]\nsize = 1024\n").contains("unknown key `size`"));
    assert!(said("[flows]\ntimeouts = 30\n").contains("`timeouts` takes a table"));
}

#[test]
fn flows_without_a_rule_that_asks_for_states_have_no_effect() {
    let said = report(&file("[flows]\nmax = 1024\n"));
    assert!(said.contains("[unused-flows]"), "{said}");
    assert!(said.contains("no rule asks for the state"), "{said}");
    assert!(said.ends_with("loaded"), "{said}");
    // A rule that is disabled may be enabled again.
    let disabled = format!("{STATE}enabled = false\n[flows]\nmax = 1024\n");
    load_clean(&file(&disabled));
}

#[test]
fn the_canonical_form_has_states_and_flows() {
    let ruleset = load_clean(&file(&format!(
        "[flows]\nmax = 2048\n[flows.timeouts]\nudp = \"1m\"\n{STATE}"
    )));
    let text = canonical::text(&ruleset, &[]);
    assert!(text.contains("\nstate = [\"established\"]\n"), "{text}");
    assert!(text.contains("\n[flows]\nmax = 2048\n"), "{text}");
    assert!(text.contains("\nudp = \"60s\"\n"), "{text}");
    let again = load_clean(&text);
    assert_eq!(again.settings, ruleset.settings);
    assert_eq!(again.rules[0].matches, ruleset.rules[0].matches);
    assert_eq!(canonical::text(&again, &[]), text);
    let without = canonical::text(&load_clean(&file("")), &[]);
    assert!(!without.contains("flows"), "{without}");
}
