//! Rules for packets out: their direction, and the fields that only they have.

use rules::{
    Context,
    evaluator::{Outcome, evaluate},
    model::{Direction, RuleId, Ruleset, Verdict},
    notation,
};

use crate::support::{load_clean, load_with, matches, report, report_for_use};

/// A rule file with these rules.
fn file(settings: &str, rules: &str) -> String {
    format!("[firewall]\ninterfaces = [\"eth*\"]\n{settings}\n{rules}")
}

fn rule(fields: &str) -> String {
    file(
        "",
        &format!("[[rule]]\nname = \"r\"\naction = \"drop\"\n{fields}\n"),
    )
}

/// The rule or the verdict that decides over a packet.
fn decided(ruleset: &Ruleset, packet: &str) -> (Option<u32>, Verdict) {
    let packet = notation::read(packet).unwrap();
    let context: Context<Option<&str>> = packet.context.as_ref().map(Option::as_deref);
    let found = evaluate(ruleset, &packet.frame, &context);
    let rule = match found.outcome {
        Outcome::Rule(RuleId(id)) => Some(id),
        Outcome::Reason(_) => None,
    };
    (rule, found.verdict)
}

#[test]
fn a_rule_is_for_packets_in_unless_it_says_so() {
    let direction = |fields| load_clean(&rule(fields)).rules[0].direction;
    assert_eq!(direction(""), Direction::In);
    assert_eq!(direction("direction = \"in\""), Direction::In);
    assert_eq!(direction("direction = \"out\""), Direction::Out);
    let said = report(&rule("direction = \"output\""));
    assert!(said.contains("unknown direction `output`"), "{said}");
}

#[test]
fn only_rules_for_packets_out_need_an_egress_program() {
    let has_egress = |text: &str| load_clean(text).has_egress();
    assert!(!has_egress(&rule("")));
    assert!(has_egress(&rule("direction = \"out\"")));
    assert!(!has_egress(&rule("direction = \"out\"\nenabled = false")));
    assert!(has_egress(&file("policy_out = \"drop\"", "")));
    assert!(!has_egress(&file("policy_out = \"pass\"", "")));
    let said = report(&file("policy_out = \"reject\"", ""));
    assert!(said.contains("unknown policy_out `reject`"), "{said}");
}

#[test]
fn each_direction_has_its_rules_and_its_policy() {
    let rules = "[[rule]]\nname = \"in\"\naction = \"drop\"\nproto = \"tcp\"\n\
                 [[rule]]\nname = \"out\"\naction = \"pass\"\ndirection = \"out\"\nproto = \"tcp\"\n";
    let rules = load_clean(&file("policy_out = \"drop\"", rules));
    let tcp = "tcp 192.0.2.1:1 > 192.0.2.2:2 interface eth0";
    let udp = "udp 192.0.2.1:1 > 192.0.2.2:2 interface eth0";
    assert_eq!(decided(&rules, tcp), (Some(0), Verdict::Drop));
    assert_eq!(
        decided(&rules, &format!("in {tcp}")),
        (Some(0), Verdict::Drop)
    );
    assert_eq!(
        decided(&rules, &format!("out {tcp}")),
        (Some(1), Verdict::Pass)
    );
    assert_eq!(decided(&rules, udp), (None, Verdict::Pass));
    assert_eq!(
        decided(&rules, &format!("out {udp}")),
        (None, Verdict::Drop)
    );
    // What cannot be read gets the policy, and neighbors pass.
    let cut = |bytes| format!("out {udp} truncate {bytes}");
    assert_eq!(decided(&rules, &cut(30)), (None, Verdict::Drop));
    assert_eq!(
        decided(&rules, "out arp 192.0.2.1 > 192.0.2.2"),
        (None, Verdict::Pass)
    );
    assert_eq!(decided(&rules, "out ethertype lldp"), (None, Verdict::Drop));
}

#[test]
fn packets_of_the_host_arrived_nowhere() {
    let of = |fields: &str| load_clean(&rule(&format!("direction = \"out\"\n{fields}")));
    let sent = "out udp 192.0.2.1:1 > 192.0.2.2:2 interface eth0";
    let from = |name: &str| format!("{sent} in_interface {name}");
    let is_hit = |rules: &Ruleset, packet: &str| decided(rules, packet).0.is_some();
    let guests = of("in_interface = \"guest*\"");
    assert!(is_hit(&guests, &from("guest0")));
    assert!(!is_hit(&guests, &from("eth1")) && !is_hit(&guests, sent));
    let others = of("in_interface = \"!guest*\"");
    assert!(is_hit(&others, &from("eth1")));
    assert!(!is_hit(&others, &from("guest0")) && !is_hit(&others, sent));
    let forwarded = of("forwarded = true");
    assert!(is_hit(&forwarded, &from("eth1")) && !is_hit(&forwarded, sent));
    let own = of("forwarded = false");
    assert!(is_hit(&own, sent) && !is_hit(&own, &from("eth1")));
}

#[test]
fn marks_are_numbers_and_ranges() {
    let ranges = |value: &str| {
        let found = matches(&format!("direction = \"out\"\nmark = {value}")).mark;
        found.unwrap().ranges().to_vec()
    };
    assert_eq!(ranges("5"), [(5, 5)]);
    assert_eq!(ranges("0xffffffff"), [(u32::MAX, u32::MAX)]);
    assert_eq!(ranges("\"0x10-0x1f\""), [(16, 31)]);
    assert_eq!(ranges("[1, 2, \"4-5\"]"), [(1, 2), (4, 5)]);
    assert_eq!(ranges("\"!0\""), [(1, u32::MAX)]);
    for (value, fault) in [
        ("4294967296", "the largest mark is 0xffffffff"),
        ("\"0x1/0x1\"", "a mark is compared whole"),
        ("\"red\"", "expected a number or a range"),
    ] {
        let said = report(&rule(&format!("direction = \"out\"\nmark = {value}")));
        assert!(said.contains(fault), "{said}");
    }
}

#[test]
fn fields_of_packets_out_are_errors_in_rules_for_packets_in() {
    for field in ["in_interface = \"eth1\"", "forwarded = true", "mark = 1"] {
        let key = field.split(' ').next().unwrap();
        for direction in ["", "direction = \"in\""] {
            let said = report(&rule(&format!("{field}\n{direction}")));
            let message = format!("error[contradiction]: only packets out have `{key}`");
            assert!(said.contains(&message), "{said}");
            assert!(said.contains("direction = \"out\""), "{said}");
        }
    }
    let said = report(&rule(
        "direction = \"out\"\nforwarded = false\nin_interface = \"eth1\"",
    ));
    assert!(said.contains("arrived on no interface"), "{said}");
    assert!(said.contains("help: leave out `in_interface`"), "{said}");
}

#[test]
fn tests_are_of_packets_in_the_direction_of_their_rule() {
    let rules = |packet: &str| {
        file(
            "",
            &format!(
                "[[rule]]\nname = \"r\"\naction = \"drop\"\ndirection = \"out\"\n\
                 [[test]]\nname = \"t\"\nexpect = \"drop\"\nrule = \"r\"\n\
                 interface = \"eth0\"\npacket = \"{packet}\"\n"
            ),
        )
    };
    let loaded = load_with(&rules("out udp 192.0.2.1:1 > 192.0.2.2:2 mark 7"), &[]).unwrap();
    let context = &loaded.tests[0].packets[0].context;
    assert_eq!(context.direction, Direction::Out);
    assert_eq!(context.interface.as_deref(), Some("eth0"));
    assert_eq!((&context.in_interface, context.mark), (&None, 7));
    let said = report(&rules("udp 192.0.2.1:1 > 192.0.2.2:2"));
    assert!(
        said.contains("the rule `r` is for packets out, and the packet goes in"),
        "{said}"
    );
    let said = report(&rules("udp 192.0.2.1:1 > 192.0.2.2:2 mark 7"));
    assert!(said.contains("only packets out have `mark`"), "{said}");
}

#[test]
fn keys_of_other_firewalls_have_help() {
    for (key, help) in [
        ("iifname = \"eth0\"", "`in_interface`"),
        ("oifname = \"eth0\"", "`direction = \"out\"`"),
        ("chain = \"output\"", "here it is called `direction`"),
        ("fwmark = 1", "here it is called `mark`"),
    ] {
        let said = report(&rule(key));
        assert!(said.contains(help), "{said}");
    }
}

/// What is said of a file that is brought into force.
fn warned(settings: &str, rules: &str) -> String {
    report_for_use(&file(settings, rules))
}

#[test]
fn a_policy_that_drops_packets_out_is_warned_of_what_it_forgets() {
    let said = warned("policy_out = \"drop\"", "");
    assert!(
        said.contains("warning[drops-requests]: what this machine asks others is dropped"),
        "{said}"
    );
    assert!(said.contains("DNS, HTTPS, NTP, DHCP"), "{said}");
    let ssh = "[[rule]]\nname = \"ssh\"\naction = \"pass\"\nproto = \"tcp\"\ndport = 22\n";
    let said = warned("policy_out = \"drop\"", ssh);
    assert!(
        said.contains("warning[drops-replies]: answers of a service are dropped"),
        "{said}"
    );
    let out = |name: &str, fields: &str| {
        format!("[[rule]]\nname = \"{name}\"\naction = \"pass\"\ndirection = \"out\"\n{fields}\n")
    };
    let remedies = out(
        "requests",
        "proto = [\"tcp\", \"udp\"]\ndport = [53, 80, 123, 443]",
    ) + &out("dhcp", "proto = \"udp\"\nsport = 68\ndport = 67")
        + &out("answers", "tcp_flags = \"ack\"");
    let said = warned("policy_out = \"drop\"", &format!("{ssh}{remedies}"));
    assert!(!said.contains("drops-"), "{said}");
    // A file that drops nothing out has nothing to forget.
    let said = warned("", &format!("{ssh}{remedies}"));
    assert!(!said.contains("drops-"), "{said}");
}

#[test]
fn a_rule_that_drops_what_finds_neighbors_is_warned_of() {
    let rule = "[[rule]]\nname = \"all\"\naction = \"drop\"\ndirection = \"out\"\n";
    let said = warned("", rule);
    assert!(
        said.contains("the rule drops ARP, neighbor discovery and router solicitations"),
        "{said}"
    );
}
