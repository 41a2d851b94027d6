//! Rules that would lock somebody out are refused: with real sessions, routes and leases.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
};

use crate::{
    machine::{BINARY, Machine, Said, wait_until},
    reload::drop_port,
};

/// An established connection from the peer to a port of the host.
struct Session {
    near: TcpStream,
    far: TcpStream,
    _listener: TcpListener,
}

impl Session {
    /// A session that this process listens for.
    fn new(machine: &Machine, address: SocketAddr) -> Self {
        let host = &machine.network.host;
        let listener = host.run(|| TcpListener::bind(address)).unwrap().unwrap();
        let peer = &machine.network.peer;
        let far = peer.run(|| TcpStream::connect(address)).unwrap().unwrap();
        let (near, _) = listener.accept().unwrap();
        Self {
            near,
            far,
            _listener: listener,
        }
    }

    /// As `sshd` has it in the environment of its sessions.
    fn connection(&self) -> String {
        let (far, near) = (
            self.near.peer_addr().unwrap(),
            self.near.local_addr().unwrap(),
        );
        format!("{} {} {} {}", far.ip(), far.port(), near.ip(), near.port())
    }

    /// Checks that the session lives.
    fn use_it(&mut self) {
        let mut byte = [0];
        self.far.write_all(&[7]).unwrap();
        self.near.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [7]);
    }
}

fn host_address(machine: &Machine, port: u16) -> SocketAddr {
    (machine.network.link().host.ipv4, port).into()
}

fn drop_tcp(name: &str, port: u16) -> String {
    format!("[[rule]]\nname = \"{name}\"\naction = \"drop\"\nproto = \"tcp\"\ndport = {port}\n")
}

fn run_in(machine: &Machine, in_peer: bool, line: &str) {
    let mut words = line.split_whitespace();
    let mut command = machine.command(words.next().unwrap());
    command.args(words);
    let namespace = if in_peer {
        &machine.network.peer
    } else {
        &machine.network.host
    };
    let status = namespace.spawn(&mut command).unwrap().wait().unwrap();
    assert!(status.success(), "{line}");
}

fn apply(machine: &Machine, rules: &Path) -> Said {
    machine.run(["apply".as_ref(), rules.as_os_str()])
}

/// Checks that a command was refused, and why.
fn refused(said: &Said, parts: &[&str]) {
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let begin = "error: the rules would cut off ";
    assert!(said.stderr.contains(begin), "{said:?}");
    for part in parts {
        assert!(said.stderr.contains(part), "`{part}` in {said:?}");
    }
    let help = "\nhelp: `firewall explain FILE PACKET` shows why; `--force` brings";
    assert!(said.stderr.contains(help), "{said:?}");
}

#[test]
#[ignore = "needs root"]
fn rules_that_drop_an_established_session_are_refused_unless_forced() {
    let machine = Machine::new();
    let mut session = Session::new(&machine, host_address(&machine, 22));
    let far = session.far.local_addr().unwrap();
    let link = machine.network.link();
    let rules = machine.write_rules("pass", &(drop_port("idle", 9) + &drop_tcp("no shell", 22)));
    let packet = format!(
        "the SSH session of `192.0.2.2`: `tcp {far} > 192.0.2.1:22 ack src_mac {} dst_mac {} \
         interface fw-host0` is dropped by the rule `no shell` ({}:10)\nhelp: ",
        link.peer.mac,
        link.host.mac,
        rules.display()
    );
    refused(&apply(&machine, &rules), &[&packet]);
    assert_eq!(machine.attached(), None);
    assert!(!machine.run_folder().exists());
    session.use_it();

    // The same where the policy does it.
    let rules = machine.write_rules("drop", "");
    refused(&apply(&machine, &rules), &[" is dropped by the policy"]);
    // What explains it takes the packet that is named.
    let named = packet.split('`').nth(3).unwrap();
    let said = machine.run(["explain", rules.to_str().unwrap(), named]);
    assert!(said.status.success(), "{said:?}");
    assert!(said.stdout.contains("drop"), "{said:?}");

    // A reload is refused as well, and the rules in force stay.
    let open = machine.write_rules("pass", &drop_port("idle", 9));
    let daemon = machine.apply(&open);
    machine.write_rules("pass", &drop_tcp("no shell", 22));
    refused(&machine.run(["reload"]), &["the rule `no shell`"]);
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    wait_until("the signal is refused, too", || {
        machine
            .log()
            .matches("; generation 1 stays in force")
            .count()
            == 2
    });
    session.use_it();
    let said = machine.run(["reload", "--force"]);
    assert!(said.status.success(), "{said:?}");
    assert!(
        machine.log().contains("; they are forced"),
        "{}",
        machine.log()
    );
    assert_eq!(machine.status()["generation"], 2);
    // What the rules in force drop already is lost already.
    assert!(machine.run(["reload"]).status.success());
    // On the way back, too.
    assert!(machine.run(["rollback"]).status.success());
    session.use_it();
    refused(
        &machine.run(["rollback"]),
        &["is dropped by the rule `no shell`\n"],
    );
    assert!(machine.run(["rollback", "--force"]).status.success());
}

#[test]
#[ignore = "needs root"]
fn rules_that_pass_a_session_and_not_the_next_one_are_refused() {
    let machine = Machine::new();
    let mut session = Session::new(&machine, host_address(&machine, 22));
    let replies = "[[rule]]\nname = \"replies\"\naction = \"pass\"\ntcp_flags = \"ack\"\n";
    let said = apply(&machine, &machine.write_rules("drop", replies));
    refused(
        &said,
        &[
            "the next SSH session of `192.0.2.2`: `tcp 192.0.2.2:47211 > 192.0.2.1:22 syn ",
            "is dropped by the policy\n",
        ],
    );
    assert!(!said.stderr.contains("the SSH session of"), "{said:?}");
    let ssh = "[[rule]]\nname = \"ssh\"\naction = \"pass\"\nproto = \"tcp\"\ndport = 22\n";
    let _daemon = machine.apply(&machine.write_rules("drop", &format!("{replies}{ssh}")));
    session.use_it();
    machine.write_rules("drop", replies);
    refused(&machine.run(["reload"]), &["the next SSH session of"]);
    assert!(machine.run(["reload", "--force"]).status.success());
    // What the rules in force drop already is lost already.
    assert!(machine.run(["reload"]).status.success());
}

#[test]
#[ignore = "needs root"]
fn rules_that_drop_the_answers_of_a_session_are_refused() {
    let machine = Machine::new();
    let mut session = Session::new(&machine, host_address(&machine, 22));
    let far = session.far.local_addr().unwrap();
    let answers = "[[rule]]\nname = \"no answers\"\naction = \"drop\"\ndirection = \"out\"\n\
                   proto = \"tcp\"\nsport = 22\n";
    let packet = format!("the SSH session of `192.0.2.2`: `out tcp 192.0.2.1:22 > {far} ack ");
    let rules = machine.write_rules("pass", answers);
    let by = format!(" is dropped by the rule `no answers` ({}:", rules.display());
    refused(&apply(&machine, &rules), &[&packet, &by]);
    assert_eq!(machine.attached(), None);
    session.use_it();

    // The same where `policy_out` does it, of a reload, too.
    let daemon = machine.apply(&machine.write_rules("pass", &drop_port("idle", 9)));
    let drops = |more: &str| machine.write_rules("pass", &format!("policy_out = \"drop\"\n{more}"));
    drops("");
    let said = machine.run(["reload"]);
    refused(&said, &[&packet, " is dropped by `policy_out`"]);
    session.use_it();
    // What explains it takes the packet that is named.
    let named = said.stderr.split('`').find(|part| part.starts_with("out "));
    let file = machine.folder.path().join("rules.toml");
    let said = machine.run(["explain", file.to_str().unwrap(), named.unwrap()]);
    assert!(said.stdout.contains("drop"), "{said:?}");

    // Answers of the present session alone are not enough.
    let established = "[[rule]]\nname = \"answers\"\naction = \"pass\"\ndirection = \"out\"\n\
                       proto = \"tcp\"\nsport = 22\n";
    drops(&format!("{established}tcp_flags = \"!syn\"\n"));
    let next =
        "the next SSH session of `192.0.2.2`: `out tcp 192.0.2.1:22 > 192.0.2.2:47211 syn,ack ";
    refused(&machine.run(["reload"]), &[next, "`policy_out`"]);
    drops(established);
    let said = machine.run(["reload"]);
    assert!(said.status.success(), "{said:?}");
    session.use_it();
    drops("");
    assert!(machine.run(["reload", "--force"]).status.success());
    daemon.kill();
}

#[test]
#[ignore = "needs root"]
fn the_session_of_whoever_asks_counts_on_whatever_port_and_behind_sudo() {
    let machine = Machine::new();
    let session = Session::new(&machine, host_address(&machine, 2222));
    let _daemon = machine.apply(&machine.write_rules("pass", &drop_port("idle", 9)));
    machine.write_rules("pass", &drop_tcp("no shell", 2222));
    let reload = |connection: &str, script: &str| {
        let mut command = machine.command("sh");
        command
            .args(["-c", script, BINARY])
            .env("SSH_CONNECTION", connection);
        machine.finish(command)
    };
    let connection = session.connection();
    for script in [
        "exec \"$0\" reload",
        // As `sudo` does, which forgets the variable, and stays as the parent.
        "env -u SSH_CONNECTION -u SSH_CLIENT \"$0\" reload; exit $?",
    ] {
        let said = reload(&connection, script);
        refused(
            &said,
            &["the SSH session of `192.0.2.2`", "the rule `no shell`"],
        );
    }
    // So does one at a port where a process called `sshd` listens, as this one is for a moment.
    let name = format!("/proc/{}/comm", std::process::id());
    let before = fs::read_to_string(&name).unwrap();
    fs::write(&name, "sshd").unwrap();
    let said = reload("", "exec \"$0\" reload");
    fs::write(&name, before.trim_end()).unwrap();
    refused(
        &said,
        &["the SSH session of `192.0.2.2`", "the rule `no shell`"],
    );
    // A session that is over does not count, and a port of something else neither.
    let over = connection.replace(" 2222", " 2223");
    let said = reload(&over, "exec \"$0\" reload");
    assert!(said.status.success(), "{said:?}");
    assert_eq!(machine.status()["generation"], 2);
}

#[test]
#[ignore = "needs root"]
fn gateways_and_leases_count() {
    let drop = |fields: &str| format!("[[rule]]\nname = \"cut\"\naction = \"drop\"\n{fields}\n");
    let machine = Machine::new();
    let arp = drop("ethertype = \"arp\"");
    let discovery = drop("icmp_type = \"neighbor-advertisement\"");
    let dhcp = drop("proto = \"udp\"\ndport = 68");
    let _daemon = machine.apply(&machine.write_rules("pass", ""));
    // As long as nothing depends on it, it may be dropped.
    for rules in [&arp, &discovery, &dhcp, &String::new()] {
        machine.write_rules("pass", rules);
        let said = machine.run(["reload"]);
        assert!(said.status.success(), "{said:?}");
    }
    run_in(&machine, false, "ip route add default via 192.0.2.2");
    run_in(&machine, false, "ip -6 route add default via 2001:db8::2");
    let lease = "ip address change 192.0.2.1/28 dev fw-host0 valid_lft 3600 preferred_lft 3600";
    run_in(&machine, false, lease);
    for (rules, what, packet) in [
        (
            &arp,
            "the gateway `192.0.2.2`",
            "`arp 192.0.2.2 > 192.0.2.1 ",
        ),
        (
            &discovery,
            "the gateway `2001:db8::2`",
            "`icmpv6 2001:db8::2 > 2001:db8::1 neighbor-advertisement ",
        ),
        (
            &dhcp,
            "DHCP, from which `192.0.2.1` comes",
            "`udp 192.0.2.2:67 > 192.0.2.1:68 payload 300 ",
        ),
    ] {
        machine.write_rules("pass", rules);
        refused(&machine.run(["reload"]), &[what, packet, "the rule `cut`"]);
    }
    // ARP and neighbor discovery pass whatever the policy is; DHCP does not.
    machine.write_rules("drop", "");
    let said = machine.run(["reload"]);
    refused(&said, &["DHCP, from which", "the policy"]);
    assert!(!said.stderr.contains("gateway"), "{said:?}");
}

#[test]
#[ignore = "needs root"]
fn a_session_over_a_bridge_counts_where_its_packets_arrive() {
    let machine = Machine::new();
    let link = machine.network.link();
    let (host, peer) = (&link.host, &link.peer);
    for line in [
        format!("ip link add fw-bridge address {} type bridge", host.mac),
        format!("ip link set {} master fw-bridge", host.interface),
        "ip link set fw-bridge up".into(),
        "ip address add 198.51.100.1/24 dev fw-bridge".into(),
        format!(
            "ip neighbor add 198.51.100.2 lladdr {} dev fw-bridge",
            peer.mac
        ),
    ] {
        run_in(&machine, false, &line);
    }
    for line in [
        format!("ip address add 198.51.100.2/24 dev {}", peer.interface),
        format!(
            "ip neighbor add 198.51.100.1 lladdr {} dev {}",
            host.mac, peer.interface
        ),
    ] {
        run_in(&machine, true, &line);
    }
    let mut session = Session::new(&machine, "198.51.100.1:22".parse().unwrap());
    session.use_it();
    let said = apply(
        &machine,
        &machine.write_rules("pass", &drop_tcp("no shell", 22)),
    );
    refused(
        &said,
        &[
            "the SSH session of `198.51.100.2`",
            " interface fw-host0`",
            "the rule `no shell`",
        ],
    );
    let _daemon = machine.apply(&machine.write_rules("pass", &drop_tcp("other", 23)));
    session.use_it();
}
