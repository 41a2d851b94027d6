//! What the machine or the kernel refuses is told with what to do, and leaves nothing behind.

use std::{collections::BTreeSet, fs, io, path::PathBuf};

use benches::{features::Feature, network::Tun};

use crate::{
    machine::{BINARY, Machine, Said},
    reload::{drop_port, idle_rules, udp},
};

/// Runs `apply`, which must fail and leave nothing.
fn refused(machine: &Machine, arguments: &[&str]) -> Said {
    let said = machine.run(arguments);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert_eq!(machine.bpffs.pins().unwrap(), BTreeSet::new());
    assert!(!machine.run_folder().exists());
    said
}

fn apply(machine: &Machine, interfaces: &str, mode: &str) -> Said {
    let rules = machine.write_file(&format!(
        "[firewall]\ninterfaces = [{interfaces}]\nmode = \"{mode}\"\n"
    ));
    refused(machine, &["apply", rules.to_str().unwrap()])
}

/// The object file with an instruction in it that reads beyond its context.
fn broken_object(machine: &Machine) -> PathBuf {
    let mut elf = include_bytes!(concat!(env!("OUT_DIR"), "/firewall-xdp")).to_vec();
    for program in [b"xdp".as_slice(), b"xdp.frags"] {
        let at = section(&elf, program);
        // BPF_LDX | BPF_DW | BPF_MEM: r1 = *(u64 *)(r1 + 4096)
        elf[at..at + 8].copy_from_slice(&[0x79, 0x11, 0x00, 0x10, 0, 0, 0, 0]);
    }
    let path = machine.folder.path().join("broken.o");
    fs::write(&path, elf).unwrap();
    path
}

/// The offset of a section in an ELF file of 64 bits.
fn section(elf: &[u8], name: &[u8]) -> usize {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes(*elf[at..].first_chunk().unwrap()));
    let u32_at = |at: usize| u32::from_le_bytes(*elf[at..].first_chunk().unwrap()) as usize;
    let u64_at =
        |at: usize| usize::try_from(u64::from_le_bytes(*elf[at..].first_chunk().unwrap())).unwrap();
    let header = |index: usize| u64_at(0x28) + index * 64;
    let names = u64_at(header(u16_at(0x3e)) + 0x18);
    let found = (0..u16_at(0x3c)).map(header).find(|&header| {
        let its_name = &elf[names + u32_at(header)..];
        its_name.strip_prefix(name).is_some_and(|rest| rest[0] == 0)
    });
    u64_at(found.unwrap() + 0x18)
}

#[test]
#[ignore = "needs root"]
fn a_program_that_the_verifier_refuses_is_told_with_the_end_of_its_log() {
    let machine = Machine::new();
    let object = broken_object(&machine);
    let rules = machine.write_rules("pass", &drop_port("one", 1));
    let said = refused(
        &machine,
        &[
            "apply",
            "--object",
            object.to_str().unwrap(),
            rules.to_str().unwrap(),
        ],
    );
    let program = if Feature::Frags.is_expected().unwrap() {
        "firewall"
    } else {
        "firewall_linear"
    };
    let first = format!(
        "error: the kernel's verifier refused the program `{program}`: Permission denied\n"
    );
    assert!(said.stderr.contains(&first), "{}", said.stderr);
    assert!(
        said.stderr
            .contains("  | invalid bpf_context access off=4096 size=8\n")
    );
    assert!(
        said.stderr.contains("\nhelp: nothing was loaded"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("processed "), "{}", said.stderr);
    assert_eq!(machine.attached(), None);
}

#[test]
#[ignore = "needs root"]
fn somebody_elses_program_is_named_and_untouched() {
    for mode in ["native", "generic"] {
        let machine = Machine::new();
        let rules = machine.write_rules("pass", &drop_port("one", 1));
        let _other = machine.apply(&rules);
        let theirs = machine.attached().unwrap();
        let file = machine.folder.path().join("mine.toml");
        let interface = machine.interface();
        let text = format!("[firewall]\ninterfaces = [\"{interface}\"]\nmode = \"{mode}\"\n");
        fs::write(&file, text).unwrap();
        let said = machine.run(["--instance", "mine", "apply", file.to_str().unwrap()]);
        assert_eq!(said.status.code(), Some(1));
        // Kernels that know of no frames in several buffers have a program of their own.
        let program = match Feature::Frags.is_expected().unwrap() {
            true => "firewall",
            false => "firewall_linear",
        };
        let message = format!(
            "error: interface `{interface}` already has an XDP program: `{program}`, id {theirs}, of \
             the instance `test`\nhelp: it was left untouched"
        );
        assert!(said.stderr.starts_with(&message), "{}", said.stderr);
        assert_eq!(machine.attached(), Some(theirs));
        let length = machine.send(&udp(&machine, 1), 2);
        machine.await_counters(&[("one", (2, 2 * length))]);
    }
}

#[test]
#[ignore = "needs root"]
fn an_interface_whose_packets_are_not_understood_is_refused() {
    let machine = Machine::new();
    let tun = machine.network.host.run(|| Tun::new("fw-tun"));
    tun.as_ref()
        .unwrap()
        .as_ref()
        .unwrap()
        .set_link_layer(libc::ARPHRD_IEEE80211)
        .unwrap();
    for mode in ["native", "generic", "auto"] {
        let said = apply(&machine, "\"fw-tun\"", mode);
        let message = "error: the packets on interface `fw-tun` begin with neither an Ethernet nor an IP header\nhelp: ";
        assert!(said.stderr.starts_with(message), "{}", said.stderr);
    }
}

#[test]
#[ignore = "needs root"]
fn a_driver_without_native_xdp_is_told_and_auto_falls_back_aloud() {
    let machine = Machine::new();
    let said = apply(&machine, "\"lo\"", "native");
    assert!(
        said.stderr
            .contains("error: the driver of `lo` has no native XDP\nhelp: set `mode"),
        "{said:?}"
    );
    let rules = machine.write_file("[firewall]\ninterfaces = [\"lo\"]\nmode = \"auto\"\n");
    let _daemon = machine.apply(&rules);
    assert_eq!(machine.status()["interfaces"][0]["mode"], "generic");
    let log = machine.log();
    assert!(
        log.contains("WARN the driver of `lo` has no native XDP"),
        "{log}"
    );
}

#[test]
#[ignore = "needs root"]
fn unknown_interfaces_are_told_with_those_there_are() {
    let machine = Machine::new();
    let said = apply(&machine, "\"eth7\"", "native");
    assert_eq!(
        said.stderr,
        "error: no interface is called `eth7`\nhelp: there are `lo`, `fw-host0`; `--wait` attaches \
         to interfaces once they are there\n"
    );
}

#[test]
#[ignore = "needs root"]
fn a_folder_that_is_no_bpf_file_system_is_told() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", "");
    let folder = machine.folder.path().to_str().unwrap();
    let said = refused(
        &machine,
        &["apply", "--bpffs", folder, rules.to_str().unwrap()],
    );
    assert!(
        said.stderr.starts_with(&format!(
            "error: no BPF file system at `{folder}`\nhelp: mount one with `mount -t bpf bpf {folder}`"
        )),
        "{said:?}"
    );
}

#[test]
#[ignore = "needs root"]
fn lacking_privileges_are_named() {
    let machine = Machine::new();
    let rules = machine.write_rules("pass", "");
    let mut command = machine.command("setpriv");
    command
        .args(["--bounding-set", "-all", BINARY, "apply"])
        .arg(rules);
    let said = machine.finish(command);
    assert_eq!(said.status.code(), Some(1));
    assert_eq!(
        said.stderr,
        "error: not enough privilege: CAP_SYS_ADMIN and CAP_NET_ADMIN missing\n\
         help: run it as root, for example with `sudo`\n"
    );
}

#[test]
#[ignore = "needs root"]
fn what_was_attached_before_a_failure_is_detached_again() {
    let machine = Machine::with_links(1);
    let mut add = machine.command("ip");
    // A driver wants a queue to receive from for each that the other end sends to.
    let words = "link add fw-host1 numrxqueues 1 numtxqueues 1 type veth \
                 peer name fw-other1 numrxqueues 2 numtxqueues 2";
    add.args(words.split_whitespace());
    let mut add = machine.network.host.spawn(&mut add).unwrap();
    assert!(add.wait().unwrap().success());
    // Attached by index, `fw-host0` first.
    let said = apply(&machine, "\"fw-host*\"", "native");
    // In the words of the C library.
    let refusal = io::Error::from_raw_os_error(libc::ENOSPC).to_string();
    let refusal = refusal.strip_suffix(" (os error 28)").unwrap();
    let message = format!(
        "error: the driver of `fw-host1` refuses a native XDP program with its present settings: \
         {refusal}\nhelp: "
    );
    assert!(
        said.stderr
            .contains("attached to `fw-host0` in native mode"),
        "{said:?}"
    );
    assert!(said.stderr.contains(&message), "{said:?}");
    for link in machine.network.links() {
        assert_eq!(machine.network.xdp_program(&link.host).unwrap(), None);
    }
}

#[test]
#[ignore = "needs root"]
fn a_change_that_fails_in_the_kernel_gives_everything_back() {
    let machine = Machine::new();
    let one = drop_port("one", 1);
    let _daemon = machine.apply(&machine.write_rules("pass", &one));
    let program = machine.attached();
    let before = machine.objects();
    let length = machine.send(&udp(&machine, 1), 3);
    // More counters need another program; it takes the link over before `lo` refuses it.
    machine.write_file(&format!(
        "[firewall]\ninterfaces = [\"{}\", \"lo\"]\n{}{one}",
        machine.interface(),
        idle_rules(100)
    ));
    let said = machine.run(["reload"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(
        said.stderr.contains("the driver of `lo` has no native XDP"),
        "{said:?}"
    );
    assert_eq!(machine.attached(), program);
    assert_eq!(machine.objects(), before);
    assert_eq!(fs::read_dir(machine.pins()).unwrap().count(), 9);
    machine.send(&udp(&machine, 1), 4);
    machine.await_counters(&[("one", (7, 7 * length))]);
    machine.write_rules("pass", &(idle_rules(100) + &one));
    assert!(machine.run(["reload"]).status.success());
    machine.await_counters(&[("one", (7, 7 * length))]);
}

#[test]
#[ignore = "needs root"]
fn a_mode_that_the_driver_lacks_gives_the_old_one_back() {
    let machine = Machine::new();
    let file = |mode: &str| {
        machine.write_file(&format!(
            "[firewall]\ninterfaces = [\"lo\"]\nmode = \"{mode}\"\n"
        ))
    };
    let _daemon = machine.apply(&file("generic"));
    file("native");
    let said = machine.run(["reload"]);
    assert_eq!(said.status.code(), Some(1));
    assert_eq!(machine.status()["generation"], 1);
    assert_eq!(machine.status()["interfaces"][0]["mode"], "generic");
    file("auto");
    assert!(machine.run(["reload"]).status.success());
    assert_eq!(machine.status()["generation"], 2);
}
