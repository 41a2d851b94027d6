//! The JSON documents of `docs/json.md`, from the real commands, and what does not change anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    machine::{BINARY, Machine, Said, json as parsed, said, wait_until},
    reload::{drop_port, udp},
};

/// The keys that a part of the documentation lists, by its heading.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json.md");
    let text = fs::read_to_string(path).unwrap();
    let mut parts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut heading = String::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.to_owned();
        } else if let Some(row) = line.strip_prefix("| `") {
            let key = row.split('`').next().unwrap().to_owned();
            parts.entry(heading.clone()).or_default().insert(key);
        }
    }
    parts
}

/// The keys found in documents, by the part of the documentation that lists them.
#[derive(Default)]
struct Found(BTreeMap<String, BTreeSet<String>>);

impl Found {
    fn add(&mut self, part: &str, object: &Value) {
        let keys = object.as_object().unwrap().keys().cloned();
        self.0.entry(part.to_owned()).or_default().extend(keys);
    }

    /// Sorts the keys of a document into its parts.
    fn add_document(&mut self, part: &str, document: &Value) {
        const COMMON: [&str; 6] = [
            "version",
            "command",
            "ok",
            "exit_status",
            "error",
            "diagnostics",
        ];
        let all = document.as_object().unwrap();
        let (common, own): (Vec<_>, Vec<_>) = all
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .partition(|(key, _)| COMMON.contains(&key.as_str()));
        self.add(
            "Every document",
            &Value::Object(common.into_iter().collect()),
        );
        self.add(part, &Value::Object(own.into_iter().collect()));
        if let Some(error) = all.get("error") {
            self.add("Errors", error);
        }
        for diagnostic in all["diagnostics"].as_array().unwrap() {
            self.add("Diagnostics", diagnostic);
        }
        for refusal in all
            .get("refusals")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            self.add("Refusals", refusal);
        }
    }
}

/// The document of a command, which agrees with its exit status.
fn document(command: &str, said: &Said) -> Value {
    let document = parsed(&said.stdout);
    assert_eq!(document["version"], 1, "{said:?}");
    assert_eq!(document["command"], command, "{said:?}");
    let status = said.status.code().unwrap();
    assert_eq!(document["exit_status"], status, "{said:?}");
    assert_eq!(document["ok"], [0, 4].contains(&status), "{said:?}");
    assert_eq!(document["ok"], document.get("error").is_none(), "{said:?}");
    document
}

#[test]
#[ignore = "needs root"]
fn documents_have_the_keys_that_are_documented_and_no_others() {
    const RULES: &str = "apply, reload and rollback";
    let machine = Machine::new();
    let mut found = Found::default();
    let mut run = |part: &str, words: &[&str], input: &str| {
        let mut command = machine.command(BINARY);
        command
            .args(words)
            .arg("--json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = machine.network.host.spawn(&mut command).unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let said = said(child.wait_with_output().unwrap());
        let document = document(words[0], &said);
        found.add_document(part, &document);
        document
    };
    let rules = drop_port("one", 1);
    let file = machine.write_rules("pass", &rules);
    let path = file.to_str().unwrap();
    let other = machine.folder.path().join("other.toml");
    let warned = fs::read_to_string(&file).unwrap() + &drop_port("again", 1);
    fs::write(&other, warned).unwrap();
    let other = other.to_str().unwrap();
    let bad = machine.folder.path().join("bad.toml");
    fs::write(&bad, "[firewall]\ninterface = [\"eth0\"]\n").unwrap();
    let bad = bad.to_str().unwrap();

    let good = run("check", &["check", path, "--plan"], "");
    assert_eq!(good["rules"], 1);
    assert_eq!(good["diagnostics"], json!([]));
    let warned = run("check", &["check", other], "");
    assert_eq!(warned["ok"], true);
    assert_eq!(warned["diagnostics"][0]["severity"], "warning");
    assert_eq!(warned["diagnostics"][0]["file"], other);
    assert_eq!(warned["diagnostics"][0]["line"], 10);
    let refused = run("check", &["check", bad], "");
    assert_eq!(refused["exit_status"], 3);
    let unknown = &refused["diagnostics"][1];
    assert_eq!(
        (&unknown["line"], &unknown["column"]),
        (&json!(2), &json!(1))
    );
    assert!(
        unknown["help"].as_str().unwrap().contains("interfaces"),
        "{unknown}"
    );
    let missing = run("check", &["check", "/none/such.toml"], "");
    assert!(
        missing["error"]["message"]
            .as_str()
            .unwrap()
            .contains("/none/such.toml")
    );

    // No daemon runs.
    let none = run(RULES, &["reload"], "");
    assert!(
        none["error"]["help"]
            .as_str()
            .unwrap()
            .contains("firewall apply")
    );
    let _daemon = machine.apply(&file);
    let refused = run(RULES, &["apply", bad], "");
    assert_eq!(refused["exit_status"], 3);
    assert_eq!(refused["diagnostics"][1]["line"], 2);
    let applied = run(RULES, &["apply", other, "--confirm", "60s"], "");
    assert_eq!(
        (&applied["changed"], &applied["generation"]),
        (&json!(true), &json!(2))
    );
    assert!((50..=60).contains(&applied["confirm_seconds"].as_u64().unwrap()));
    let back = run(RULES, &["rollback"], "");
    assert_eq!(
        (&back["changed"], &back["generation"]),
        (&json!(true), &json!(3))
    );
    let nothing = run(RULES, &["rollback"], "");
    assert_eq!(nothing["ok"], false);

    let banned = run(
        "ban and unban",
        &["ban", "203.0.113.7", "-"],
        "203.0.113.8 1h\n203.0.113.300\n",
    );
    assert_eq!(
        (&banned["added"], &banned["refused"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(banned["refusals"][0]["line"], 2);
    let unbanned = run(
        "ban and unban",
        &["unban", "203.0.113.7", "203.0.113.9"],
        "",
    );
    assert_eq!(
        (&unbanned["removed"], &unbanned["refused"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(unbanned["exit_status"], 1);
    assert_eq!(found.0, documented());
}

#[test]
fn a_check_prints_json_alone_on_stdout_and_nothing_when_the_command_line_is_wrong() {
    let run = |words: &[&str]| {
        let mut command = Command::new(BINARY);
        said(command.args(words).output().unwrap())
    };
    let refused = run(&["check", "/none/such.toml", "--json"]);
    document("check", &refused);
    assert!(refused.stderr.starts_with("error: "), "{refused:?}");
    let wrong = run(&["check", "--json"]);
    assert_eq!((wrong.status.code(), &*wrong.stdout), (Some(2), ""));
    let both = run(&["check", "x", "--json", "--emit", "image"]);
    assert_eq!((both.status.code(), &*both.stdout), (Some(2), ""));
}

#[test]
fn colors_come_when_asked_for_and_change_no_text() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), "[firewall]\ncolor = 1\n").unwrap();
    let check = |words: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(BINARY);
        command
            .args(["check", "rules.toml"])
            .args(words)
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .envs(variables.iter().copied())
            .current_dir(folder.path());
        said(command.output().unwrap())
    };
    let plain = check(&[], &[("TERM", "xterm")]);
    assert!(
        !plain.stdout.contains('\x1b') && !plain.stderr.contains('\x1b'),
        "{plain:?}"
    );
    for colored in [
        check(&["--color", "always"], &[("NO_COLOR", "1")]),
        check(&[], &[("CLICOLOR_FORCE", "1")]),
    ] {
        assert!(
            colored
                .stdout
                .contains("\x1b[1;31merror[unknown-key]:\x1b[0m"),
            "{colored:?}"
        );
        assert!(
            colored.stderr.starts_with("\x1b[1;31merror:\x1b[0m"),
            "{colored:?}"
        );
        let without = |text: &str| {
            let parts = text.split('\x1b');
            let parts = parts.map(|part| match part.strip_prefix('[') {
                Some(code) => code.split_once('m').unwrap().1,
                None => part,
            });
            parts.collect::<String>()
        };
        assert_eq!(without(&colored.stdout), plain.stdout);
        assert_eq!(without(&colored.stderr), plain.stderr);
    }
    for words in [&["--color", "never"] as &[&str], &[]] {
        let variables = [("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")];
        assert_eq!(check(words, &variables).stdout, plain.stdout);
    }
    // Documents have none.
    let document = check(&["--json", "--color", "always"], &[]);
    assert!(!document.stdout.contains('\x1b'), "{document:?}");
}

#[test]
#[ignore = "needs root"]
fn an_apply_that_becomes_the_daemon_prints_its_document_once_rules_are_in_force() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("one", 1));
    let out = machine.folder.path().join("out");
    let mut shell = machine.command("sh");
    shell
        .arg("-c")
        .arg("exec \"$0\" apply --json \"$1\" > \"$2\"")
        .args([BINARY, file.to_str().unwrap(), out.to_str().unwrap()]);
    let mut daemon = machine.spawn(shell);
    wait_until("the document is there", || {
        fs::read_to_string(&out).is_ok_and(|text| text.ends_with("}\n"))
    });
    let read = || parsed(&fs::read_to_string(&out).unwrap());
    assert_eq!(read()["generation"], 1);
    assert_eq!(read()["changed"], true);
    assert_eq!(machine.status()["generation"], 1);
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    // Its end adds nothing.
    assert_eq!(read()["exit_status"], 0);
}

#[test]
#[ignore = "needs root"]
fn an_unchanged_file_makes_no_generation_and_keeps_the_way_back() {
    let machine = Machine::new();
    let list = machine.folder.path().join("list.txt");
    fs::write(&list, "192.0.2.7\n").unwrap();
    let listed = "[sets]\nlist = { file = \"list.txt\" }\n\
                  [[rule]]\nname = \"listed\"\naction = \"drop\"\nsrc = \"@list\"\n";
    let daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    let file = machine.write_rules("pass", &format!("{listed}{}", drop_port("two", 2)));
    let path = file.to_str().unwrap();
    let changed = machine.run(["apply", path, "--detailed"]);
    assert_eq!(changed.status.code(), Some(0), "{changed:?}");
    let length = machine.send(&udp(&machine, 2), 3);
    let objects = machine.objects();
    for words in [
        &["apply", path] as &[_],
        &["apply", path, "--confirm", "60s"],
        &["reload"],
    ] {
        let again = machine.run(words);
        assert_eq!(again.status.code(), Some(0), "{again:?}");
        assert!(
            again
                .stderr
                .starts_with("unchanged: generation 2 stays in force"),
            "{again:?}"
        );
        let detailed = machine.run([words, &["--detailed", "--json"]].concat());
        assert_eq!(detailed.status.code(), Some(4), "{detailed:?}");
        let detailed = document(words[0], &detailed);
        assert_eq!(
            (&detailed["changed"], &detailed["generation"]),
            (&json!(false), &json!(2))
        );
    }
    daemon.signal(Signal::SIGHUP);
    wait_until("the signal is answered", || {
        machine.log().matches("unchanged: generation 2").count() == 7
    });
    let status = machine.status();
    assert_eq!(status["generation"], 2);
    assert_eq!(status["previous"]["generation"], 1);
    assert_eq!(status["waiting"], Value::Null);
    assert_eq!(machine.objects(), objects);
    machine.await_counters(&[("two", (3, 3 * length))]);

    // A list alone is a change; so is another file with the same rules, which is read from now on.
    fs::write(&list, "192.0.2.7\n192.0.2.9\n").unwrap();
    assert!(machine.run(["reload", "--detailed"]).status.success());
    assert_eq!(machine.status()["generation"], 3);
    let copy = machine.folder.path().join("copy.toml");
    fs::copy(&file, &copy).unwrap();
    let copied = machine.run(["apply", copy.to_str().unwrap(), "--detailed"]);
    assert_eq!(copied.status.code(), Some(0), "{copied:?}");
    assert_eq!(machine.status()["generation"], 4);
    assert_eq!(machine.status()["previous"]["generation"], 2);

    // After a rollback it is the file of the rules that came back that changes nothing.
    assert!(machine.run(["rollback"]).status.success());
    assert_eq!(machine.status()["generation"], 5);
    fs::write(&list, "192.0.2.7\n").unwrap();
    let same = machine.run(["apply", path, "--detailed"]);
    assert_eq!(same.status.code(), Some(4), "{same:?}");
    let other = machine.run(["apply", copy.to_str().unwrap(), "--detailed"]);
    assert_eq!(other.status.code(), Some(0), "{other:?}");
}

/// The keys that a page of reports lists, by command, each with those of the objects around it.
fn documented_reports() -> BTreeMap<String, BTreeSet<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json-reports.md");
    let mut parts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut heading = String::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.to_owned();
        } else if let Some(row) = line.strip_prefix("| `") {
            let keys = row.split('|').next().unwrap();
            let keys = keys.split('`').step_by(2).map(str::to_owned);
            parts
                .entry(heading.clone())
                .or_default()
                .extend(keys.filter(|key| !key.is_empty()));
        }
    }
    parts
}

/// All keys in a value, below those of the objects around it.
fn keys(value: &Value, around: &str, all: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let key = if around.is_empty() {
                    key.clone()
                } else {
                    format!("{around}.{key}")
                };
                keys(value, &key, all);
                all.insert(key);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                keys(element, &format!("{around}[]"), all);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether a documented key stands for this one: `*` is any key, or any array.
fn stands_for(documented: &str, key: &str) -> bool {
    let (documented, key) = (documented.split('.'), key.split('.'));
    documented.clone().count() == key.clone().count()
        && documented
            .zip(key)
            .all(|(of, key)| of == key || of == "*" || of == "*[]" && key.ends_with("[]"))
}

#[test]
#[ignore = "needs root"]
fn reports_have_the_keys_that_are_documented_and_no_others() {
    let machine = Machine::new();
    let rules = format!(
        "{}log = true\ncomment = \"c\"\n[[rule]]\nname = \"again\"\naction = \"drop\"\nproto = \"udp\"\n\
         dport = 1\n[[rule]]\nname = \"off\"\naction = \"drop\"\nenabled = false\n[[rule]]\nname = \"counted\"\n\
         action = \"count\"\nproto = \"tcp\"\n{}direction = \"out\"\n[[rule]]\nname = \"replies\"\n\
         action = \"pass\"\nstate = \"established\"\n\
         [[rule]]\nname = \"listed\"\naction = \"drop\"\nproto = \"udp\"\nsrc = \"@feed\"\ndport = \"@ports\"\n\
         [sets]\nfeed = {{ file = \"feed.txt\" }}\nports = [7000, 7001]\n",
        drop_port("one", 1),
        drop_port("sent", 9)
    );
    fs::write(machine.folder.path().join("feed.txt"), "198.51.100.1\n").unwrap();
    let file = machine.write_rules("pass", &rules);
    let path = file.to_str().unwrap();
    let other = machine.folder.path().join("other.toml");
    let text = fs::read_to_string(&file).unwrap();
    let text = text
        .replace("dport = 1", "dport = 2")
        .replace("\"tcp\"", "\"sctp\"");
    fs::write(&other, format!("{text}[parser]\nmalformed = \"pass\"\n")).unwrap();
    let other = other.to_str().unwrap();
    let capture = machine.folder.path().join("c.pcap");
    fs::write(&capture, two_packets()).unwrap();
    let capture = capture.to_str().unwrap();
    let _daemon = machine.apply(&file);
    for words in [
        &["ban", "203.0.113.7", "--for", "1h", "--reason", "r"] as &[_],
        &["apply", other, "--confirm", "60s"],
        &["confirm"],
        &["apply", path, "--confirm", "600s"],
    ] {
        let said = machine.run(words);
        assert!(said.status.success(), "{said:?}");
    }
    let peer = machine.network.link().peer.ipv4;
    let refused = machine
        .network
        .host
        .run(|| std::net::TcpStream::connect((peer, 9)));
    assert!(refused.unwrap().is_err());
    let packet = "udp 192.0.2.1:1 > 192.0.2.2:1";
    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (part, words) in [
        ("status", &["status"] as &[_]),
        ("show", &["show", "--counters"]),
        ("counters", &["counters", "--total"]),
        ("bans", &["bans"]),
        ("flows", &["flows"]),
        ("doctor", &["doctor", machine.interface()]),
        ("diff", &["diff", path, other, "--counting"]),
        ("explain", &["explain", path, packet]),
        (
            "explain",
            &["explain", path, "udp 192.0.2.1:1 > 192.0.2.2:7"],
        ),
        (
            "explain",
            &["explain", "--live", "udp 203.0.113.7:1 > 192.0.2.2:1"],
        ),
        (
            "explain",
            &[
                "explain",
                path,
                "--given",
                "out tcp 192.0.2.2:7 > 192.0.2.1:1 syn",
                "tcp 192.0.2.1:1 > 192.0.2.2:7 syn,ack",
            ],
        ),
        ("explain --pcap", &["explain", path, "--pcap", capture]),
    ] {
        let said = machine.run([words, &["--json"]].concat());
        // Over several lines, or each line by itself.
        let values: Vec<Value> = match serde_json::from_str(&said.stdout) {
            Ok(value) => vec![value],
            Err(_) => said.stdout.lines().map(parsed).collect(),
        };
        assert!(!values.is_empty(), "{said:?}");
        for value in &values {
            keys(value, "", found.entry(part).or_default());
        }
    }
    let mut wrong = Vec::new();
    let documented = documented_reports();
    for (part, found) in &found {
        let known = &documented[*part];
        let unknown = found
            .iter()
            .filter(|key| !known.iter().any(|known| stands_for(known, key)));
        wrong.extend(unknown.map(|key| format!("{part}: `{key}` is not documented")));
        let absent = known
            .iter()
            .filter(|known| !found.iter().any(|key| stands_for(known, key)));
        wrong.extend(absent.map(|key| format!("{part}: there is no `{key}`")));
    }
    // What comes with a failure, a rate, a budget that runs out, long lists or a capture of a foreign link alone.
    const SELDOM: [&str; 12] = [
        "interfaces[].error",
        "interfaces[].help",
        "daemon.last_good.",
        "_per_second",
        "findings[].advice",
        "disagrees",
        "skipped[].",
        "packets[].rules[].mismatch.value",
        "findings[].command",
        "rules[].fields[].more",
        "sets[].members.more",
        "left_out",
    ];
    wrong.retain(|line| {
        !line.contains("there is no") || !SELDOM.iter().any(|key| line.contains(key))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        found.keys().copied().collect::<Vec<_>>(),
        documented.keys().map(String::as_str).collect::<Vec<_>>()
    );
}

/// A capture with a packet that rules decide about, and one that cannot be read.
fn two_packets() -> Vec<u8> {
    let head = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1];
    let mut bytes = head.map(u32::to_le_bytes).concat();
    let mut frame = vec![0; 12];
    frame.extend([8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend([192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 1, 0, 8, 0, 0]);
    for frame in [&frame[..], &[0; 3]] {
        let length = frame.len() as u32;
        bytes.extend([0, 0, length, length].map(u32::to_le_bytes).concat());
        bytes.extend(frame);
    }
    bytes
}
