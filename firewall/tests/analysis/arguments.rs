//! What is said about wrong arguments and files.

use crate::support::run;

const RULES: &str = "\
[firewall]
interfaces = [\"none-such\"]
[sets]
list = { file = \"none.txt\" }
[[rule]]
name = \"a\"
action = \"drop\"
src = \"@list\"
[[test]]
name = \"t\"
pcap = \"none.pcap\"
expect = \"drop\"
";

fn said(arguments: &[&str]) -> String {
    let whole = RULES.replace("\"@list\"", "\"192.0.2.1\"");
    let whole = whole.split("[sets]").next().unwrap().to_owned()
        + "[[rule]]\nname = \"a\"\naction = \"drop\"\nsrc = \"192.0.2.1\"\n";
    run(&[("rules.toml", RULES), ("whole.toml", &whole)], arguments)
}

#[test]
fn errors_are_in_our_words() {
    for (arguments, words) in [
        (
            &["explain", "f", "--pcap", "c", "--index", "x"][..],
            "'--index <NUMBER>': expected a whole number, 1 or more\n",
        ),
        (
            &["explain", "f", "--pcap", "c", "--index", "0"],
            "'--index <NUMBER>': expected a whole number, 1 or more\n",
        ),
        (
            &["check", "f", "--budget", "1x"],
            "expected a whole number, 0 or more\n",
        ),
        (
            &["diff", "f", "f", "--budget", "1.5"],
            "expected a whole number, 0 or more\n",
        ),
        (
            &["check", "rules.toml"],
            "error[unreadable-file]: cannot read the list `none.txt`: No such file or directory\n",
        ),
        (
            &["check", "rules.toml"],
            "error[unreadable-file]: cannot read the capture `none.pcap`: No such file or directory\n",
        ),
        (
            &["explain", "whole.toml", "--pcap", "none.pcap"],
            "error: cannot read `none.pcap`: No such file or directory\n",
        ),
        (
            &["explain", "whole.toml", "--pcap", "/"],
            "error: cannot read `/`: Is a directory\n",
        ),
        (
            &["check", "none.toml"],
            "error: cannot read `none.toml`: No such file or directory\n",
        ),
    ] {
        let said = said(arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert!(!said.contains("os error"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_packet_may_be_given_in_several_words() {
    let words = ["tcp", "192.0.2.1:9", ">", "192.0.2.2:22", "syn"];
    let one = said(&["explain", "whole.toml", &words.join(" ")]);
    let several = said(&[&["explain", "whole.toml"], &words[..]].concat());
    assert_eq!(one, several);
    assert!(one.contains("verdict  drop by the rule `a`"), "{one}");
    // As it comes without quotes: the shell takes `>` and the destination.
    let cut = said(&["explain", "whole.toml", "tcp", "192.0.2.1:9", "syn"]);
    let begin = "--- stderr\nerror: the packet `tcp 192.0.2.1:9 syn` has no `>`\nhelp: write the packet in quotes";
    assert!(cut.starts_with(begin), "{cut}");
    assert!(cut.ends_with("--- exit status 2\n"), "{cut}");
}

#[test]
fn one_step_is_no_plural() {
    let spent = said(&["diff", "--budget", "1", "whole.toml", "whole.toml"]);
    assert!(!spent.contains("1 steps"), "{spent}");
    let stopped = said(&["check", "--budget", "1", "whole.toml"]);
    assert!(
        !stopped.contains("1 steps") && !stopped.contains("1 rules"),
        "{stopped}"
    );
}
