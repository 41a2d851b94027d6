//! `firewall capture`: packets of rules that log, in each form, against what was sent.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    path::PathBuf,
    process::{Child, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use benches::tools;
use nix::{
    pty::openpty,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pcap_parser::{Block, PcapBlockOwned, PcapNGReader, traits::PcapReaderIterator as _};
use rules::{captures::frames, text::hexadecimal};
use serde_json::{Value, json};

use crate::{
    egress::arriving,
    machine::{BINARY, Machine, json as parsed, patience, wait_until},
    reload::{drop_port, udp, under_traffic},
};

/// How many bytes of a frame are kept.
const KEPT: usize = 256;

/// A rule for a UDP port that logs.
fn logging(name: &str, action: &str, port: u16) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\naction = \"{action}\"\nproto = \"udp\"\ndport = {port}\n\
         log = true\n"
    )
}

/// One rule of each kind, and one that does not log.
fn rules() -> String {
    [
        logging("drops", "drop", 1),
        logging("passes", "pass", 2),
        logging("counts", "count", 3),
        drop_port("silent", 4),
    ]
    .concat()
}

/// What is sent for these rules: the rule, the verdict, and a frame.
fn sent(machine: &Machine) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    // Ethernet, IPv4 and UDP headers.
    const HEADERS: usize = 14 + 20 + 8;
    let frame = |port, length: usize| {
        let payload: Vec<u8> = (HEADERS..length).map(|byte| byte as u8).collect();
        udp(machine, port).payload(&payload).build()
    };
    vec![
        ("drops", "drop", frame(1, HEADERS)),
        ("passes", "pass", frame(2, KEPT - 1)),
        ("counts", "count", frame(3, KEPT)),
        ("drops", "drop", frame(1, KEPT + 1)),
        ("passes", "pass", frame(2, 1400)),
        ("counts", "count", frame(3, 99)),
    ]
}

fn send_all(machine: &Machine) {
    for (_, _, frame) in sent(machine) {
        machine.send_frame(&frame);
    }
    // Nothing of it is captured.
    machine.send(&udp(machine, 4), 2);
}

/// A capture that goes on, ended with this value.
pub(crate) struct Capture {
    child: Child,
    output: PathBuf,
    messages: PathBuf,
}

/// What a capture has left.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) status: ExitStatus,
    stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Left {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    pub(crate) fn assert_ended(&self, tally: &str) {
        assert!(self.status.success(), "{self:?}");
        assert!(self.stderr.ends_with(tally), "{self:?}");
    }
}

impl Capture {
    /// Begins a capture, and waits until it goes on.
    pub(crate) fn begin(machine: &Machine, number: usize, words: &[&str]) -> Self {
        let file = |name: &str| machine.folder.path().join(format!("{name}-{number}"));
        let (output, messages) = (file("stdout"), file("stderr"));
        Self::begin_into(
            machine,
            File::create(&output).unwrap().into(),
            words,
            (output, messages),
        )
    }

    fn begin_into(
        machine: &Machine,
        stdout: Stdio,
        words: &[&str],
        (output, messages): (PathBuf, PathBuf),
    ) -> Self {
        let mut command = machine.command(BINARY);
        command
            .arg("capture")
            .args(words)
            .stdout(stdout)
            .stderr(File::create(&messages).unwrap());
        let capture = Self {
            child: machine.network.host.spawn(&mut command).unwrap(),
            output,
            messages,
        };
        wait_until("the capture goes on", || !capture.said().is_empty());
        capture
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.messages).unwrap()
    }

    fn output(&self) -> Vec<u8> {
        fs::read(&self.output).unwrap_or_default()
    }

    pub(crate) fn await_lines(&self, lines: usize) {
        wait_until("the packets are shown", || {
            self.output().iter().filter(|&&byte| byte == b'\n').count() >= lines
        });
    }

    pub(crate) fn interrupt(self) -> Left {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).unwrap();
        self.finish()
    }

    pub(crate) fn finish(mut self) -> Left {
        let mut status = None;
        wait_until("the capture ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        Left {
            status: status.unwrap(),
            stdout: self.output(),
            stderr: self.said(),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // Unless it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn seconds_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

fn kept(frame: &[u8]) -> &[u8] {
    &frame[..frame.len().min(KEPT)]
}

#[test]
#[ignore = "needs root"]
fn packets_are_shown_in_words_and_in_json_by_rule_and_verdict() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("drop", &rules()));
    let text = Capture::begin(&machine, 1, &["--count", "6"]);
    let lines = Capture::begin(&machine, 2, &["--json"]);
    let some = Capture::begin(
        &machine,
        3,
        &["--json", "--rule", "counts", "--rule", "passes"],
    );
    let timed = Capture::begin(&machine, 4, &["--for", "100ms"]);
    timed
        .finish()
        .assert_ended("\n0 packets captured, 0 lost\n");
    assert_eq!(
        text.said(),
        "capturing packets of `counts`, `drops`, `passes`\n"
    );
    assert_eq!(some.said(), "capturing packets of `counts`, `passes`\n");
    let begin = seconds_now();
    send_all(&machine);
    let sent = sent(&machine);

    let text = text.finish();
    text.assert_ended("\n6 packets captured, 0 lost\n");
    let interface = machine.interface();
    assert_eq!(text.text().lines().count(), sent.len());
    for (line, (rule, verdict, frame)) in text.text().lines().zip(&sent) {
        let length = frame.len();
        let middle = format!("  {rule}  {verdict}  in  {interface}  {length}  udp ");
        let (time, packet) = line.split_once(&middle).unwrap_or_else(|| panic!("{line}"));
        // As in `2026-01-31 12:00:00.123`.
        let (date, fraction) = time.rsplit_once('.').unwrap();
        assert_eq!((date.len(), fraction.len()), (19, 3), "{time}");
        assert!(packet.contains(":40000 > "), "{line}");
    }

    lines.await_lines(sent.len());
    let lines = lines.interrupt();
    lines.assert_ended("\n6 packets captured, 0 lost\n");
    let told: Vec<Value> = lines.text().lines().map(parsed).collect();
    assert_eq!(told.len(), sent.len());
    for (told, (rule, verdict, frame)) in told.iter().zip(&sent) {
        assert_eq!(told["rule"], *rule);
        assert_eq!(
            (&told["action"], &told["direction"]),
            (&json!(*verdict), &json!("in"))
        );
        assert_eq!(told["interface"], interface);
        assert_eq!(told["length"], frame.len());
        assert_eq!(told["frame"], hexadecimal::digits(kept(frame)));
        let seconds = told["time_ns"].as_u64().unwrap() / 1_000_000_000;
        assert!((begin - 1..=seconds_now()).contains(&seconds), "{told}");
        // Its words are those of a packet that the same rule decides.
        let words = told["packet"].as_str().unwrap();
        let explained = machine.run(["explain", "--live", "--json", words]);
        assert!(explained.status.success(), "{explained:?}");
        let packet = &parsed(&explained.stdout)["packets"][0];
        if *verdict == "count" {
            assert_eq!(packet["verdict"]["reason"], "policy", "{packet}");
        } else {
            assert_eq!(packet["verdict"]["rule"]["name"], *rule, "{packet}");
        }
    }

    some.await_lines(4);
    let some = some.interrupt();
    some.assert_ended("\n4 packets captured, 0 lost\n");
    let ours: Vec<&Value> = told.iter().filter(|told| told["rule"] != "drops").collect();
    let some: Vec<Value> = some.text().lines().map(parsed).collect();
    assert_eq!(some.iter().collect::<Vec<_>>(), ours);
}

/// What a capture file says beside its frames: the comment, the queue and the verdict of each.
fn remarks(bytes: &[u8]) -> Vec<(String, u32, Option<Vec<u8>>)> {
    let mut reader = PcapNGReader::new(1 << 16, bytes).unwrap();
    let mut remarks = Vec::new();
    while let Ok((length, block)) = reader.next() {
        if let PcapBlockOwned::NG(Block::EnhancedPacket(packet)) = &block {
            let options: BTreeMap<u16, Vec<u8>> = packet
                .options
                .iter()
                .map(|option| (option.code.0, option.as_bytes().unwrap().to_vec()))
                .collect();
            let comment = String::from_utf8(options[&1].clone()).unwrap();
            let queue = u32::from_le_bytes(*options[&6].first_chunk().unwrap());
            remarks.push((comment, queue, options.get(&7).cloned()));
        }
        reader.consume(length);
    }
    remarks
}

/// What tcpdump reads in a capture file: seconds, length on the wire and bytes of each frame.
fn tcpdump(bytes: &[u8]) -> Vec<(u64, usize, String)> {
    let mut child = tools::command("tcpdump")
        .args(["-r", "-", "-n", "-e", "-tt", "-xx"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut packets: Vec<(u64, usize, String)> = Vec::new();
    for line in std::str::from_utf8(&output.stdout).unwrap().lines() {
        match line.trim_start().strip_prefix("0x") {
            // As in `0x0010:  0102 0304`.
            Some(row) => {
                let (_, digits) = row.split_once(':').unwrap();
                let (_, _, bytes) = packets.last_mut().unwrap();
                bytes.extend(digits.split_whitespace());
            }
            None => {
                let (time, _) = line.split_once('.').unwrap();
                let (_, rest) = line.split_once(", length ").unwrap();
                let (length, _) = rest.split_once(':').unwrap();
                packets.push((
                    time.parse().unwrap(),
                    length.parse().unwrap(),
                    String::new(),
                ));
            }
        }
    }
    packets
}

#[test]
#[ignore = "needs root"]
fn packets_out_are_shown_with_their_direction_in_every_form() {
    let machine = Machine::new();
    let rule = |name, action, port| logging(name, action, port) + "direction = \"out\"\n";
    let rules = rule("no one", "drop", 1) + &rule("two", "pass", 2);
    let _daemon = machine.apply(&machine.write_rules("pass", &rules));
    let text = Capture::begin(&machine, 1, &["--count", "2"]);
    let lines = Capture::begin(&machine, 2, &["--json", "--count", "2"]);
    let file = Capture::begin(&machine, 3, &["--write", "-", "--count", "2"]);
    for port in [1, 2] {
        arriving(&machine, port, 1);
    }
    let (text, lines, file) = (text.finish(), lines.finish(), file.finish());
    let interface = machine.interface();
    let (host, peer) = (
        machine.network.link().host.ipv4,
        machine.network.link().peer.ipv4,
    );
    // The Ethernet, IP and UDP headers, and 32 bytes.
    let length = 14 + 20 + 8 + 32;
    for (number, line) in text.text().lines().enumerate() {
        let rule = ["no one  drop", "two  pass"][number];
        let middle = format!("  {rule}  out  {interface}  {length}  out udp {host}:");
        assert!(line.contains(&middle), "{line}");
        let end = format!(" interface {interface}");
        assert!(line.ends_with(&end), "{line}");
    }
    let told: Vec<Value> = lines.text().lines().map(parsed).collect();
    assert_eq!(told.len(), 2);
    for (told, port) in told.iter().zip([1, 2]) {
        assert_eq!(told["direction"], "out");
        assert_eq!(told["interface"], interface);
        let words = told["packet"].as_str().unwrap();
        assert!(words.contains(&format!(" > {peer}:{port} ")), "{told}");
        // Its words are those of a packet that the same rule decides.
        let explained = machine.run(["explain", "--live", "--json", words]);
        assert!(explained.status.success(), "{explained:?}");
        let packet = &parsed(&explained.stdout)["packets"][0];
        assert_eq!(packet["direction"], "out");
        assert_eq!(packet["verdict"]["rule"]["name"], told["rule"], "{packet}");
        assert_eq!(packet["verdict"]["action"], told["action"], "{packet}");
    }
    let read: Vec<_> = frames(&*file.stdout).unwrap().map(Result::unwrap).collect();
    let shown = |told: &Value| told["frame"].as_str().unwrap().to_owned();
    let written: Vec<String> = read
        .iter()
        .map(|frame| hexadecimal::digits(&frame.bytes))
        .collect();
    assert_eq!(written, told.iter().map(shown).collect::<Vec<_>>());
    // So does the daemon's log.
    let logged = format!("rule `no one` drop: out udp {host}:");
    assert!(machine.log().contains(&logged), "{}", machine.log());
}

#[test]
#[ignore = "needs root"]
fn a_capture_file_has_every_frame_as_it_was_sent_and_what_became_of_it() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("drop", &rules()));
    let path = machine.folder.path().join("packets.pcapng");
    let to_file = Capture::begin(
        &machine,
        1,
        &["--write", path.to_str().unwrap(), "--count", "6"],
    );
    let to_stdout = Capture::begin(&machine, 2, &["--write", "-", "--count", "6"]);
    let begin = seconds_now();
    send_all(&machine);
    let to_file = to_file.finish();
    to_file.assert_ended("\n6 packets captured, 0 lost\n");
    assert_eq!(to_file.text(), "");
    let to_stdout = to_stdout.finish();
    to_stdout.assert_ended("\n6 packets captured, 0 lost\n");
    let bytes = fs::read(path).unwrap();
    // The same packets, told at the same times.
    assert_eq!(bytes, to_stdout.stdout);

    let sent = sent(&machine);
    let read: Vec<_> = frames(&*bytes).unwrap().map(Result::unwrap).collect();
    let dumped = tcpdump(&bytes);
    let remarks = remarks(&bytes);
    assert_eq!([read.len(), dumped.len(), remarks.len()], [sent.len(); 3]);
    for (number, (rule, verdict, frame)) in sent.iter().enumerate() {
        assert_eq!(read[number].bytes, kept(frame));
        assert_eq!(read[number].length, frame.len());
        let (seconds, length, digits) = &dumped[number];
        assert!((begin - 1..=seconds_now()).contains(seconds), "{seconds}");
        assert_eq!(
            (*length, digits.as_str()),
            (frame.len(), &*hexadecimal::digits(kept(frame)))
        );
        let (comment, queue, action) = &remarks[number];
        assert_eq!(*comment, format!("rule `{rule}`, {verdict}, queue {queue}"));
        let action = action.as_ref().map(|value| {
            let (kind, action) = value.split_first().unwrap();
            (*kind, u64::from_le_bytes(action.try_into().unwrap()))
        });
        let expected = match *verdict {
            "drop" => Some((2, 1)),
            "pass" => Some((2, 2)),
            _ => None,
        };
        assert_eq!(action, expected, "{rule}");
    }
}

#[test]
#[ignore = "needs root"]
fn what_reads_the_file_has_each_packet_as_it_comes() {
    let machine = Machine::new();
    let _daemon = machine.apply(&machine.write_rules("drop", &rules()));
    let mut tcpdump = tools::command("tcpdump")
        .args(["-r", "-", "-n", "-l"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pipe: Stdio = tcpdump.stdin.take().unwrap().into();
    let messages = machine.folder.path().join("messages");
    let words = ["--write", "-", "--rule", "drops"];
    let capture = Capture::begin_into(&machine, pipe, &words, (PathBuf::new(), messages));
    let mut shown = BufReader::new(tcpdump.stdout.take().unwrap());
    for _ in 0..3 {
        send_all(&machine);
        // Two of each round are of this rule.
        for _ in 0..2 {
            let mut line = String::new();
            shown.read_line(&mut line).unwrap();
            assert!(line.contains(".1: UDP, length "), "{line}");
        }
    }
    // Once nobody reads it any more, it ends without a word.
    tcpdump.kill().unwrap();
    tcpdump.wait().unwrap();
    drop(shown);
    send_all(&machine);
    let left = capture.finish();
    assert!(left.status.success(), "{left:?}");
    assert_eq!(left.stderr, "capturing packets of `drops`\n");
}

#[test]
#[ignore = "needs root"]
fn what_cannot_be_captured_is_told_with_what_can() {
    let machine = Machine::new();
    let said = machine.run(["capture"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(
        said.stderr
            .contains("no daemon is running for instance `test`"),
        "{said:?}"
    );

    let _daemon = machine.apply(&machine.write_rules("drop", &rules()));
    let path = machine.folder.path().join("packets.pcapng");
    let file = path.to_str().unwrap();
    for (rule, message) in [
        (
            "dorps",
            "error: there is no rule `dorps` in force\n\
             help: rules that log are `counts`, `drops`, `passes`; did you mean `drops`?\n",
        ),
        (
            "silent",
            "error: the rule `silent` does not log\n\
             help: add `log = true` to the rule; rules that log are `counts`, `drops`, `passes`\n",
        ),
    ] {
        let said = machine.run([
            "capture", "--rule", "drops", "--rule", rule, "--write", file,
        ]);
        assert_eq!(said.status.code(), Some(1));
        assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", message));
        assert!(!path.exists());
    }
    let said = machine.run(["capture", "--write", "/proc/none/such"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(
        said.stderr
            .contains("error: cannot write `/proc/none/such`: "),
        "{said:?}"
    );

    let terminal = openpty(None, None).unwrap();
    let mut command = machine.command(BINARY);
    command
        .args(["capture", "--write", "-"])
        .stdout(terminal.slave.as_fd().try_clone_to_owned().unwrap())
        .stderr(Stdio::piped());
    let child = machine.network.host.spawn(&mut command).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: a capture file is not written to a terminal\n\
         help: name a file, or pipe it as in `firewall capture --write - | tcpdump -r -`\n"
    );
}

#[test]
#[ignore = "needs root"]
fn a_capture_goes_on_through_reloads_and_ends_with_the_daemon() {
    let machine = Machine::new();
    let none = drop_port("one", 1);
    let mut daemon = machine.apply(&machine.write_rules("drop", &none));
    let all = Capture::begin(&machine, 1, &["--json"]);
    assert!(all.said().starts_with("no rule logs yet"), "{}", all.said());
    let reload = |rules: &str| {
        machine.write_rules("drop", rules);
        let said = machine.run(["reload"]);
        assert!(said.status.success(), "{said:?}");
    };
    let send = || {
        machine.send(&udp(&machine, 1), 1);
        machine.send(&udp(&machine, 2), 1);
    };
    send();
    reload(&logging("one", "drop", 1));
    let one = Capture::begin(&machine, 2, &["--json", "--rule", "one"]);
    send();
    all.await_lines(1);
    // Now it is another.
    reload(&[none, logging("two", "pass", 2)].concat());
    send();
    all.await_lines(2);
    reload(&[logging("one", "drop", 1), logging("two", "pass", 2)].concat());
    send();
    all.await_lines(4);
    one.await_lines(2);
    let begin = Instant::now();
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert!(begin.elapsed() < patience());
    let rules = |left: &Left| -> Vec<String> {
        left.text()
            .lines()
            .map(|line| parsed(line)["rule"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = all.finish();
    all.assert_ended("\nthe daemon has stopped\n4 packets captured, 0 lost\n");
    assert_eq!(rules(&all), ["one", "two", "one", "two"]);
    let one = one.finish();
    one.assert_ended("\nthe daemon has stopped\n2 packets captured, 0 lost\n");
    assert_eq!(rules(&one), ["one", "one"]);
}

#[test]
#[ignore = "needs root"]
fn a_daemon_that_takes_over_waiting_rules_relays_what_they_log() {
    let machine = Machine::new();
    let file = machine.write_rules("pass", &drop_port("silent", 4));
    let daemon = machine.apply(&file);
    let file = machine.write_rules("pass", &rules());
    let said = machine.run(["apply", "--confirm", "1h", file.to_str().unwrap()]);
    assert!(said.status.success(), "{said:?}");
    daemon.kill();

    let _daemon = machine.apply(&file);
    assert_eq!(machine.status()["waiting"]["generation"], 3);
    let capture = Capture::begin(&machine, 1, &["--count", "6"]);
    send_all(&machine);
    let left = capture.finish();
    left.assert_ended("6 packets captured, 0 lost\n");
    wait_until("the packets are logged", || {
        machine.log().matches("rule `drops` drop: ").count() == 2
    });
}

#[test]
#[ignore = "needs root"]
fn a_daemon_that_is_killed_breaks_a_capture_off() {
    let machine = Machine::new();
    let daemon = machine.apply(&machine.write_rules("drop", &rules()));
    let capture = Capture::begin(&machine, 1, &[]);
    daemon.kill();
    let left = capture.finish();
    assert_eq!(left.status.code(), Some(1), "{left:?}");
    assert!(
        left.stderr
            .contains("error: the daemon broke off the capture\n"),
        "{left:?}"
    );
    let said = machine.run(["unload"]);
    assert!(said.status.success(), "{said:?}");
}

/// Packets and packets that were missed, in the lines of a capture.
fn came_and_missed(lines: &[Value]) -> (u64, u64) {
    let missed = lines.iter().filter_map(|line| line["lost"].as_u64());
    let came = lines.iter().filter(|line| line["rule"].is_string());
    (came.count() as u64, missed.sum())
}

/// What became of the packets of a rule that logs: emitted, suppressed, lost.
fn log_of(machine: &Machine, rule: &str) -> (u64, u64, u64) {
    let counters = parsed(&machine.run(["counters", "--json"]).stdout);
    let rows = counters["rules"].as_array().unwrap().clone();
    let row = rows.into_iter().find(|row| row["name"] == rule).unwrap();
    let number = |key: &str| row["log"][key].as_u64().unwrap();
    (number("emitted"), number("suppressed"), number("lost"))
}

#[test]
#[ignore = "needs root"]
fn who_reads_nothing_holds_up_nobody_and_is_told_of_what_was_missed() {
    const RATE: u32 = 8_000;
    const LONG: Duration = Duration::from_secs(3);
    const SOON: Duration = Duration::from_secs(3);
    let machine = Machine::new();
    let rule = "[[rule]]\nname = \"all\"\naction = \"drop\"\nproto = \"udp\"\n\
                log = { rate = 1000000, burst = 1000000 }\n";
    // What is logged of each packet would drown everything when this fails.
    let mut daemon = machine.start_logging(&machine.write_rules("pass", rule), "warn");
    machine.await_daemon(&daemon);
    let connect = || {
        let mut stream = UnixStream::connect(machine.run_folder().join("test.sock")).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        stream.write_all(b"{\"command\":\"capture\"}\n").unwrap();
        let mut lines = BufReader::new(stream);
        let mut answer = String::new();
        lines.read_line(&mut answer).unwrap();
        assert_eq!(answer, "{\"answer\":\"capturing\",\"rules\":[\"all\"]}\n");
        lines
    };
    let (mut slow, stuck, gone) = (connect(), connect(), connect());
    let quick = Capture::begin(&machine, 1, &["--json"]);
    drop(gone);
    // More than the buffers hold, and not much more than the daemon can tell.
    let sent = under_traffic(&machine, RATE, || {
        let begin = Instant::now();
        while begin.elapsed() < LONG {
            let begin = Instant::now();
            let alive = machine.order("{\"command\":\"ping\"}\n");
            assert_eq!(parsed(&alive)["answer"], "alive");
            assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
            thread::sleep(Duration::from_millis(20));
        }
    });
    let (packets, bytes) = (sent.packets[0], sent.bytes[0]);
    machine.await_counters(&[("all", (packets, bytes))]);
    let (told, limited, lost) = log_of(&machine, "all");
    println!("{told} told, {lost} lost by the kernel");
    assert_eq!((told + lost, limited), (packets, 0));

    let mut lines = Vec::new();
    while {
        let (came, missed) = came_and_missed(&lines);
        came + missed < told
    } {
        let mut line = String::new();
        slow.read_line(&mut line).unwrap();
        lines.push(parsed(&line));
    }
    let (came, missed) = came_and_missed(&lines);
    println!("{came} came, {missed} were missed");
    assert_eq!(came + missed, told);
    assert!(came > 0 && missed > 0);
    // It goes on where it is.
    machine.send(&udp(&machine, 1), 1);
    let mut line = String::new();
    slow.read_line(&mut line).unwrap();
    assert_eq!(parsed(&line)["rule"], "all");

    // Whoever still reads nothing does not hold up the end.
    let begin = Instant::now();
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    line.clear();
    slow.read_line(&mut line).unwrap();
    assert_eq!(line, "{\"answer\":\"ending\"}\n");
    assert_eq!(slow.read_to_string(&mut line).unwrap(), 0);
    drop(stuck);
    let quick = quick.finish();
    assert!(quick.status.success(), "{}", quick.stderr);
    let lines: Vec<Value> = quick.text().lines().map(parsed).collect();
    let (came, missed) = came_and_missed(&lines);
    assert_eq!(came + missed, told + 1);
    println!("{came} came to the command, {missed} were missed");
}

#[test]
#[ignore = "needs root"]
fn an_output_that_is_not_read_does_not_hold_the_command() {
    let machine = Machine::new();
    let rule = "[[rule]]\nname = \"all\"\naction = \"drop\"\nproto = \"udp\"\n\
                log = { rate = 1000000, burst = 1000000 }\n";
    let daemon = machine.start_logging(&machine.write_rules("pass", rule), "warn");
    machine.await_daemon(&daemon);
    let (reader, writer) = std::io::pipe().unwrap();
    let messages = machine.folder.path().join("messages");
    let capture = Capture::begin_into(&machine, writer.into(), &[], (PathBuf::new(), messages));
    // More than the pipe takes.
    machine.send(&udp(&machine, 1), 3000);
    thread::sleep(Duration::from_millis(200));
    let left = capture.interrupt();
    assert!(left.status.success(), "{left:?}");
    assert!(left.stderr.contains(" packets captured, "), "{left:?}");
    drop(reader);
}

#[test]
#[ignore = "needs root"]
fn counters_tell_what_became_of_logged_packets() {
    let machine = Machine::new();
    let rules = "[[rule]]\nname = \"few\"\naction = \"drop\"\nproto = \"udp\"\ndport = 1\n\
                 log = { rate = \"1/hour\", burst = 3 }\n";
    let silent = drop_port("silent", 2);
    let _daemon = machine.apply(&machine.write_rules("pass", &[rules, &silent].concat()));
    assert_eq!(log_of(&machine, "few"), (0, 0, 0));
    let length = machine.send(&udp(&machine, 1), 10);
    machine.await_counters(&[("few", (10, 10 * length))]);
    assert_eq!(log_of(&machine, "few"), (3, 7, 0));
    let text = machine.run(["counters"]).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("  LOG"), "{text}");
    assert!(lines[1].ends_with("  3 emitted, 7 suppressed"), "{text}");
    assert!(lines[2].ends_with(" 0"), "{text}");
    let counters = parsed(&machine.run(["counters", "--json"]).stdout);
    assert!(counters["rules"][1].get("log").is_none(), "{counters}");

    // Without a rule that logs there is no such column.
    machine.write_rules("pass", &silent);
    let said = machine.run(["reload"]);
    assert!(said.status.success(), "{said:?}");
    let text = machine.run(["counters"]).stdout;
    assert!(!text.contains("LOG"), "{text}");
}
