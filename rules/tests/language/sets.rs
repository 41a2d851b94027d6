//! The keys of sets, sets of sets, and the warnings about rules that drop too much.

use rules::field::AddressSet;

use crate::support::{load_with, report_with};

fn file(sets: &str, action: &str, src: &str) -> String {
    format!(
        "[firewall]\ninterfaces = [\"*\"]\n[sets]\n{sets}\n[[rule]]\nname = \"r\"\naction = \"{action}\"\nsrc = {src}\n"
    )
}

/// The addresses that `src = "@s"` matches with these sets and lists.
fn matched(sets: &str, lists: &[(&str, &str)]) -> Option<AddressSet> {
    let loaded = load_with(&file(sets, "pass", "\"@s\""), lists).ok()?;
    let src = loaded.ruleset.rules[0].matches.src.clone()?;
    Some(AddressSet::clone(&src))
}

fn report(sets: &str, lists: &[(&str, &str)]) -> String {
    report_with(&file(sets, "pass", "\"@s\""), lists)
}

fn plain(members: &str) -> Option<AddressSet> {
    let set = matched(&format!("s = [{members}]"), &[]);
    assert!(set.is_some());
    set
}

#[test]
fn a_set_can_have_several_files() {
    let lists = [("a", "192.0.2.1\n"), ("b", "2001:db8::/32\n192.0.2.1\n")];
    assert_eq!(
        matched("s = { files = [\"a\", \"b\"] }", &lists),
        plain("\"192.0.2.1\", \"2001:db8::/32\"")
    );
    let said = report("s = { files = [\"a\", \"c\"] }", &lists);
    assert!(said.contains("cannot read the list `c`"), "{said}");
    let said = report("s = { file = \"a\", files = [\"a\"] }", &lists);
    assert!(said.contains("`file` or `files`, not both"), "{said}");
    assert!(report("s = { files = [] }", &lists).contains("error["));
    assert!(report("s = { files = [1] }", &lists).contains("error["));
    assert!(report("s = { column = 1 }", &lists).contains("error[missing-key]"));
}

#[test]
fn the_column_with_the_addresses_is_counted_from_1() {
    let expected = plain("\"192.0.2.1\", \"198.51.100.0/24\"");
    for (column, list) in [
        (
            2,
            "first seen,ip,port\n# comment\n2026-01-01,192.0.2.1,80\n2026-01-01,\"198.51.100.0/24\",80\n",
        ),
        (2, "x\t192.0.2.1\ty, z\nx\t198.51.100.0/24\ty\n"),
        (2, "x;192.0.2.1;9.9.9.9\nx;198.51.100.0/24;9.9.9.9\n"),
        (1, "192.0.2.1  9.9.9.9\n198.51.100.0/24 9.9.9.9\n"),
        (3, "9.9.9.9   5  192.0.2.1\n9.9.9.9 5 198.51.100.0/24\n"),
        (1, "192.0.2.1\n198.51.100.0/24\n"),
    ] {
        let set = format!("s = {{ file = \"l\", column = {column} }}");
        assert_eq!(matched(&set, &[("l", list)]), expected, "{list}");
    }
    for column in ["0", "-1", "\"x\""] {
        let said = report(
            &format!("s = {{ file = \"l\", column = {column} }}"),
            &[("l", "192.0.2.1")],
        );
        assert!(said.contains("columns are counted from 1"), "{said}");
    }
    let said = report(
        "s = { file = \"l\", column = 3 }",
        &[("l", "192.0.2.1,x\n")],
    );
    assert!(said.contains("has no column 3"), "{said}");
    // Titles are on one line, which has the column.
    for (column, list, place) in [
        (1, "ip\ntitles\n192.0.2.1\n", "l:2:1"),
        (2, "ip\nx,192.0.2.1\n", "l:1:1"),
        (2, "192.0.2.1,x\nx,192.0.2.300\n", "l:2:3"),
        (1, "198.51.100.1x,y\n192.0.2.1,x\n", "l:1:1"),
    ] {
        let set = format!("s = {{ file = \"l\", column = {column} }}");
        let said = report(&set, &[("l", list)]);
        assert!(
            said.contains("error") && said.contains(place),
            "{list}: {said}"
        );
    }
    assert_eq!(
        matched(
            "s = { file = \"l\", column = 2 }",
            &[("l", "when,ip4\n\"a, b\",192.0.2.1\nx,198.51.100.0/24\n")]
        ),
        expected
    );
    // Only the first line can contain titles.
    let said = report(
        "s = { file = \"l\", column = 1 }",
        &[("l", "192.0.2.1\nip\n")],
    );
    assert!(said.contains("l:2:1"), "{said}");
}

#[test]
fn bad_lines_are_skipped_up_to_a_hundredth_or_ten_and_counted() {
    let list = |good: usize, bad: usize| {
        let good = (0..good).map(|at| format!("10.{}.{}.{}\n", at >> 16, at >> 8 & 255, at & 255));
        let bad = (0..bad).map(|at| format!("198.51.100.{at}203.0.113.10\n"));
        good.chain(bad).collect::<String>()
    };
    let skip = "s = { file = \"l\", bad_lines = \"skip\" }";
    for (good, bad, is_read) in [
        (1, 0, true),
        (1, 1, true),
        (1, 10, true),
        (1, 11, false),
        (989, 11, false),
        (1978, 19, true),
        (1980, 20, true),
        (1979, 21, false),
    ] {
        let list = list(good, bad);
        let lists = [("l", list.as_str())];
        assert_eq!(matched(skip, &lists).is_some(), is_read, "{good} {bad}");
        assert_eq!(matched("s = { file = \"l\" }", &lists).is_some(), bad == 0);
        let said = report(skip, &lists);
        if is_read && bad > 1 {
            let counted = format!("warning[skipped-lines]: {bad} lines of the list cannot be read");
            assert!(said.contains(&counted), "{said}");
        } else if !is_read {
            assert!(said.contains("skips at most"), "{said}");
        }
    }
    assert_eq!(
        matched(skip, &[("l", "192.0.2.1\nx\n")]),
        plain("\"192.0.2.1\"")
    );
    let said = report(
        "s = { file = \"l\", bad_lines = \"skp\" }",
        &[("l", "192.0.2.1")],
    );
    assert!(said.contains("did you mean `skip`"), "{said}");
}

#[test]
fn a_list_without_members_is_an_error_unless_it_may_be_empty() {
    let lists = [("l", "# nothing today\n"), ("m", "192.0.2.1\n")];
    let said = report("s = { file = \"l\" }", &lists);
    assert!(said.contains("error[empty-set]"), "{said}");
    assert!(said.contains("empty = \"allow\""), "{said}");
    let allowed = "s = { file = \"l\", empty = \"allow\" }";
    let said = report(allowed, &lists);
    assert!(said.contains("warning[empty-list-file]"), "{said}");
    assert!(said.contains("loaded"), "{said}");
    // Nothing matches, and not everything.
    assert_eq!(matched(allowed, &lists), Some(AddressSet::default()));
    assert_eq!(
        matched("s = { files = [\"l\", \"m\"], empty = \"allow\" }", &lists),
        plain("\"192.0.2.1\"")
    );
}

#[test]
fn the_part_by_which_a_list_may_shrink_is_read_and_members_are_counted() {
    let load = |set: &str| {
        let file = format!(
            "[firewall]\ninterfaces = [\"e\"]\n[sets]\n{set}\n\
             [[rule]]\nname = \"r\"\naction = \"drop\"\nsrc = \"@s\"\n"
        );
        let source = std::sync::Arc::new(rules::diagnostics::Source::new("rules.toml", file));
        let list = |name: &str| {
            let text = "192.0.2.1\n# none\n192.0.2.2\n192.0.2.0/24\n";
            Ok::<_, std::io::Error>(rules::diagnostics::Source::new(name, text))
        };
        rules::load(&source, list).map(|loaded| {
            let lists = loaded.lists.iter();
            lists
                .map(|list| {
                    (
                        list.set.clone(),
                        list.file.clone(),
                        list.members,
                        list.shrink,
                    )
                })
                .collect::<Vec<_>>()
        })
    };
    let size = |file: &str, shrink| ("s".to_owned(), file.to_owned(), 3, shrink);
    assert_eq!(load("s = { file = \"l\" }").unwrap(), [size("l", 50)]);
    assert_eq!(
        load("s = { files = [\"l\", \"m\"], shrink = \"100%\" }").unwrap(),
        [size("l", 100), size("m", 100)]
    );
    assert_eq!(
        load("s = { file = \"l\", shrink = \"0%\" }").unwrap(),
        [size("l", 0)]
    );
    assert_eq!(load("s = [\"192.0.2.1\"]").unwrap(), []);
    for bad in ["101%", "50", "-1%", "+5%", "05%", "1.5%", "%", ""] {
        assert!(
            load(&format!("s = {{ file = \"l\", shrink = \"{bad}\" }}")).is_err(),
            "{bad}"
        );
    }
    assert!(load("s = { file = \"l\", shrink = 50 }").is_err());
}

#[test]
fn an_empty_set_is_not_the_only_exception_of_a_rule_that_drops() {
    let report = |action: &str, src: &str| {
        let text = format!(
            "[firewall]\ninterfaces = [\"*\"]\n[sets]\ntrusted = {{ file = \"l\", empty = \"allow\" }}\n\
             more = [\"@trusted\", \"192.0.2.1\"]\n\
             [[rule]]\nname = \"r\"\naction = \"{action}\"\nproto = \"tcp\"\nsrc = {src}\n"
        );
        report_with(&text, &[("l", "# nothing today\n")])
    };
    for src in ["\"!@trusted\"", "[\"!@trusted\", \"!@trusted\"]"] {
        let said = report("drop", src);
        assert!(
            said.contains("error[empty-set]: the rule drops every address"),
            "{said}"
        );
        assert!(!report("pass", src).contains("error"), "{src}");
    }
    for src in [
        "[\"192.0.2.0/24\", \"!@trusted\"]",
        "[\"!198.51.100.1\", \"!@trusted\"]",
        "\"!@more\"",
        "\"@trusted\"",
    ] {
        let said = report("drop", src);
        assert!(!said.contains("error"), "{src}: {said}");
    }
}

#[test]
fn a_set_can_hold_sets() {
    let sets = "s = [\"192.0.2.0/24\", \"@vpn\", \"@feed\"]\nvpn = [\"198.51.100.0/24\", \"@inner\"]\n\
                inner = [\"2001:db8::/32\"]\nfeed = { file = \"l\" }";
    let said = report(sets, &[("l", "203.0.113.1\n")]);
    assert!(!said.contains("warning"), "{said}");
    assert_eq!(
        matched(sets, &[("l", "203.0.113.1\n")]),
        plain("\"192.0.2.0/24\", \"198.51.100.0/24\", \"2001:db8::/32\", \"203.0.113.1\"")
    );
    let ports = "[firewall]\ninterfaces = [\"*\"]\n[sets]\na = [80, \"@b\"]\nb = [\"8000-8099\"]\n\
                 [[rule]]\nname = \"r\"\naction = \"pass\"\nproto = \"tcp\"\ndport = \"@a\"\n";
    let rules = load_with(ports, &[]).unwrap().ruleset.rules;
    let dport = rules[0].matches.dport.as_ref().unwrap();
    assert_eq!(dport.ranges(), [(80, 80), (8000, 8099)]);
}

#[test]
fn a_set_cannot_hold_itself_another_kind_or_what_is_not_there() {
    for (sets, part) in [
        ("s = [\"192.0.2.1\", \"@s\"]", "the set `s` holds itself"),
        (
            "s = [\"192.0.2.1\", \"@t\"]\nt = [\"@u\"]\nu = [\"192.0.2.2\", \"@s\"]",
            "through `s`, `t`, `u`",
        ),
        ("s = [\"192.0.2.1\", \"@t\"]\nt = [80]", "error[mixed-set]"),
        ("s = [\"@t\", \"192.0.2.1\"]\nt = [80]", "error[mixed-set]"),
        ("s = [\"@t\"]\nt = [80]", "error[wrong-set]"),
        ("s = [\"@tt\"]\nt = [\"192.0.2.1\"]", "did you mean `@t`?"),
        ("s = [\"!@t\"]\nt = [\"192.0.2.1\"]", "no negated members"),
    ] {
        let said = report(sets, &[]);
        assert!(said.contains(part), "{sets}\n{said}");
        assert!(!said.contains("loaded"), "{said}");
        assert!(said.matches("holds itself").count() <= 1, "{said}");
    }
    let mut deep = String::from("s = [\"@a0\"]\n");
    for at in 0..1000 {
        deep.push_str(&format!("a{at} = [\"@a{}\"]\n", at + 1));
    }
    deep.push_str("a1000 = [\"192.0.2.1\"]\n");
    assert!(report(&deep, &[]).contains("deep"));
}

#[test]
fn a_drop_rule_is_warned_of_a_list_that_takes_too_much_with_the_line() {
    let said = |list: &str, action: &str, src: &str| {
        report_with(&file("s = { file = \"l\" }", action, src), &[("l", list)])
    };
    for (member, part) in [
        ("0.0.0.0/0", "every IPv4 address"),
        ("::/0", "every IPv6 address"),
        ("32.0.0.0/3", "an eighth or more of all IPv4 addresses"),
        ("2000::/3", "an eighth or more of all IPv6 addresses"),
        ("10.0.0.0/8", "private addresses"),
        ("172.20.0.0/16", "private addresses"),
        ("192.168.1.1", "private addresses"),
        ("169.254.0.0/16", "link-local addresses"),
        ("239.1.2.3", "multicast addresses"),
        ("fe80::/10", "link-local addresses"),
        ("fd00::/8", "private addresses"),
        ("ff02::1", "multicast addresses"),
    ] {
        let list = format!("203.0.113.0/24\n{member}\n198.51.100.0/24\n");
        let dropped = said(&list, "drop", "\"@s\"");
        assert!(
            dropped.contains("warning[broad-drop]"),
            "{member}: {dropped}"
        );
        assert!(dropped.contains(part), "{member}: {dropped}");
        assert!(dropped.contains("l:2:1"), "{member}: {dropped}");
        assert!(!said(&list, "pass", "\"@s\"").contains("broad-drop"));
        assert!(!said(&list, "drop", "[\"203.0.113.1\", \"!@s\"]").contains("broad-drop"));
        let taken_out = format!("[\"@s\", \"!{member}\"]");
        assert!(
            !said(&list, "drop", &taken_out).contains("broad-drop"),
            "{member}"
        );
    }
    for member in [
        "32.0.0.0/4",
        "9.255.255.255",
        "11.0.0.0/8",
        "2000::/4",
        "203.0.113.0/24",
    ] {
        assert!(
            !said(&format!("{member}\n"), "drop", "\"@s\"").contains("broad-drop"),
            "{member}"
        );
    }
    // Members written in the rule file are not warned about, unless they are almost everything.
    let inline =
        |members: &str| report_with(&file(&format!("s = [{members}]"), "drop", "\"@s\""), &[]);
    assert!(!inline("\"10.0.0.0/8\"").contains("broad-drop"));
    assert!(inline("\"0.0.0.0/0\"").contains("warning[broad-drop]"));
    // There is one warning, whatever the number of lines.
    let all = said(
        "10.0.0.0/8\n172.16.0.0/12\n192.168.0.0/16\n224.0.0.0/3\n127.0.0.1\n",
        "drop",
        "\"@s\"",
    );
    assert_eq!(all.matches("broad-drop").count(), 1, "{all}");
    assert!(all.contains("1 more line of the list"), "{all}");
}
