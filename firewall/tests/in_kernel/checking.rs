//! `firewall check`, without root.

use std::{
    fs,
    net::Ipv4Addr,
    process::{Command, Stdio},
};

use crate::machine::{BINARY, Said, json, said};

fn check(text: &str) -> Said {
    check_with(text, &[])
}

fn check_with(text: &str, arguments: &[&str]) -> Said {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), text).unwrap();
    fs::write(
        folder.path().join("list.txt"),
        "192.0.2.0/24\n2001:db8::/32\n",
    )
    .unwrap();
    let mut command = Command::new(BINARY);
    command
        .args(["check", "rules.toml"])
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::null());
    said(command.output().unwrap())
}

#[test]
fn a_good_file_is_silent_on_stdout() {
    let said = check(
        "[firewall]\ninterfaces = [\"none-such*\"]\n[sets]\nlist = { file = \"list.txt\" }\n\
         [[rule]]\nname = \"list\"\naction = \"drop\"\nsrc = \"@list\"\n",
    );
    assert!(said.status.success(), "{said:?}");
    assert_eq!(said.stdout, "");
    assert!(
        said.stderr
            .starts_with("`rules.toml`: no errors, 1 rule, image "),
        "{said:?}"
    );
}

#[test]
fn every_error_of_a_bad_file_is_on_stdout_with_its_place() {
    let said = check(
        "[firewall]\ninterfaces = [\"eth0\"]\npolcy = \"drop\"\n\
         [[rule]]\nname = \"a\"\naction = \"dorp\"\n",
    );
    assert_eq!(said.status.code(), Some(3), "{said:?}");
    for place in ["--> rules.toml:3:1", "--> rules.toml:6:10"] {
        assert!(said.stdout.contains(place), "{said:?}");
    }
    assert_eq!(said.stderr, "error: `rules.toml` has 2 errors\n");
}

#[test]
fn the_tests_of_a_file_are_run() {
    let rules = "[firewall]\ninterfaces = [\"none-such0\"]\n\
         [[rule]]\nname = \"here\"\naction = \"drop\"\ninterface = \"none-such0\"\nproto = \"tcp\"\ndport = 2\n\
         [[test]]\nname = \"dropped\"\npacket = \"tcp 192.0.2.1:1 > 192.0.2.2:2\"\n\
         expect = \"drop\"\nrule = \"here\"\n";
    let said = check(rules);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(said.stdout, "");
    assert!(
        said.stderr
            .starts_with("`rules.toml`: no errors, 1 rule, 1 test passed, image "),
        "{said:?}"
    );
    let said = check(&rules.replace(
        "\nexpect = \"drop\"\nrule = \"here\"",
        "\nexpect = \"pass\"",
    ));
    assert_eq!(said.status.code(), Some(3), "{said:?}");
    assert!(
        said.stdout.starts_with(
            "error[failed-test]: the test `dropped` fails: expected pass, found drop by the rule \
             `here`\n  --> rules.toml:12:10\n"
        ),
        "{said:?}"
    );
    assert_eq!(said.stderr, "error: `rules.toml`: 1 of 1 tests failed\n");
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let mut command = Command::new(BINARY);
    let said = said(command.args(["check", "/none/such.toml"]).output().unwrap());
    assert_eq!(said.status.code(), Some(3));
    assert_eq!(
        said.stderr,
        "error: cannot read `/none/such.toml`: No such file or directory\n"
    );
}

const TWO_RULES: &str = "[firewall]\ninterfaces = [\"none-such*\"]\n[sets]\nlist = { file = \"list.txt\" }\n\
     [[rule]]\nname = \"list\"\naction = \"drop\"\nsrc = \"@list\"\n\
     [[rule]]\nname = \"dns\"\naction = \"pass\"\nproto = \"udp\"\ndport = 53\n";

#[test]
fn the_plan_has_every_section_and_part() {
    let said = check_with(TWO_RULES, &["--plan"]);
    assert!(said.status.success(), "{said:?}");
    let first = said.stdout.lines().next().unwrap();
    assert!(
        first.starts_with("image     ")
            && first.ends_with(" in a map of 64 KiB, at most 256 MiB allowed"),
        "{first}"
    );
    for words in [
        "\nmemory    ",
        "\nworst     ",
        "\nbounds    128 steps over rows, 64 rules in a list, 64 rules that count in a cell\n",
        "\nIPv4: 2 rules, decided by cells, ",
        "\nIPv6: 2 rules, decided by cells, ",
        "\nother: 0 rules, decided by cells, ",
        "\nPART           STRUCTURE                HOLDS ",
        "\nnarrow fields  lookups and step tables  ",
    ] {
        assert!(said.stdout.contains(words), "{words:?}: {}", said.stdout);
    }
}

#[test]
fn the_plan_is_the_same_as_json() {
    let said = check_with(TWO_RULES, &["--plan", "--json"]);
    assert!(said.status.success(), "{said:?}");
    let document = json(&said.stdout);
    let plan = &document["plan"];
    assert_eq!(plan["rules"], 2);
    assert_eq!(plan["map_bytes"], 65_536);
    assert_eq!(plan["bounds"]["max_walk"], 128);
    let sections = plan["sections"].as_array().unwrap();
    let packets: Vec<_> = sections.iter().map(|section| &section["packets"]).collect();
    assert_eq!(packets, ["IPv4", "IPv6", "other"]);
    let parts = sections[0]["parts"].as_array().unwrap();
    let sum: u64 = parts
        .iter()
        .map(|part| part["bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(sections[0]["bytes"], sum);
    assert_eq!(parts[0]["holds"]["classes"], 2);
    let alone = check_with(TWO_RULES, &["--json"]);
    assert_eq!(json(&alone.stdout).get("plan"), None, "{alone:?}");
}

#[test]
fn what_is_wrong_with_a_file_is_part_of_the_json() {
    let said = check_with("[firewall]\n", &["--plan", "--json"]);
    assert_eq!(said.status.code(), Some(3), "{said:?}");
    let document = json(&said.stdout);
    let place = &document["diagnostics"][0];
    assert_eq!((&place["line"], &place["column"]), (&json("1"), &json("1")));
    assert!(!said.stderr.contains("-->"), "{said:?}");
}

#[test]
fn a_budget_is_kept() {
    let addresses: String = (0..20_000)
        .map(|number| format!("\"{}\", ", Ipv4Addr::from(0x0b00_0000 + 977 * number)))
        .collect();
    let text = format!(
        "[firewall]\ninterfaces = [\"none-such*\"]\n\
         [[rule]]\nname = \"many\"\naction = \"drop\"\nsrc = [{addresses}]\n\
         [[rule]]\nname = \"one\"\naction = \"pass\"\nsrc = [\"10.0.0.1\", \"10.1.2.3\"]\n"
    );
    let said = check_with(&text, &["--max-memory", "65536"]);
    assert_eq!(said.status.code(), Some(3), "{said:?}");
    assert!(said.stderr.contains("the most is for `many` ("), "{said:?}");
    assert!(
        said.stderr.contains("\nhelp: `--max-memory` allows more"),
        "{said:?}"
    );
    assert!(check_with(&text, &["--max-memory", "1M"]).status.success());
    for wrong in ["64MB", "1000", "-1"] {
        let said = check_with(&text, &["--max-memory", wrong]);
        assert_eq!(said.status.code(), Some(2), "{said:?}");
    }
}
