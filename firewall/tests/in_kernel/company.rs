//! Other XDP programs on the interface: those of libxdp, loaded with the real `xdp-loader`.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    examining::{finding, run},
    machine::{Machine, Said, json},
    reload::{drop_port, udp},
};

/// An object file that comes with `xdp-loader`: a filter that passes everything.
fn object() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap();
    folders
        .map(|folder| folder.unwrap().path().join("bpf/xdpfilt_alw_all.o"))
        .find(|path| path.exists())
        .unwrap_or_else(|| {
            panic!("there is no xdpfilt_alw_all.o of xdp-tools\nhelp: run `make setup`")
        })
}

/// `xdp-loader`, with the BPF file system of this machine.
fn loader(machine: &Machine, words: &[&str]) -> Said {
    let mut command: Command = machine.command("xdp-loader");
    command
        .args(words)
        .env("LIBXDP_BPFFS", machine.bpffs.path());
    machine.finish(command)
}

/// Loads it natively on an interface.
pub(crate) fn load(machine: &Machine, interface: &str) -> Said {
    let object = object();
    loader(
        machine,
        &[
            "load",
            "-v",
            "-m",
            "native",
            interface,
            object.to_str().unwrap(),
        ],
    )
}

/// The name of a program, as bpftool has it.
fn name(machine: &Machine, id: u32) -> String {
    let mut command = machine.command("bpftool");
    command.args(["-j", "prog", "show", "id", &id.to_string()]);
    let said = machine.finish(command);
    json(&said.stdout)["name"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs root"]
fn what_xdp_loader_attached_is_named_and_untouched() {
    let machine = Machine::new();
    let interface = machine.interface();
    let loaded = load(&machine, interface);
    assert!(loaded.status.success(), "{loaded:?}");
    let theirs = machine.attached().unwrap();
    let name = name(&machine, theirs);
    // Where the kernel takes it, the program is behind the dispatcher of libxdp.
    let is_behind = loader(&machine, &["status", interface])
        .stdout
        .contains("xdp_dispatcher");
    let expected = if is_behind {
        "xdp_dispatcher"
    } else {
        assert!(loaded.stderr.contains("without dispatcher"), "{loaded:?}");
        "xdpfilt_alw_all"
    };
    assert_eq!(name, expected);
    for mode in ["native", "generic", "auto"] {
        let text = format!("[firewall]\ninterfaces = [\"{interface}\"]\nmode = \"{mode}\"\n");
        let file = machine.write_file(&text);
        let said = machine.run(["apply", file.to_str().unwrap()]);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        let message = format!(
            "error: interface `{interface}` already has an XDP program: `{name}`, id {theirs}\nhelp: "
        );
        assert!(said.stderr.starts_with(&message), "{said:?}");
        assert_eq!(machine.attached(), Some(theirs));
    }

    let finding = finding(&machine, interface, "program");
    assert_eq!(finding["severity"], "error");
    let message = finding["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("`{name}`, id {theirs}")),
        "{message}"
    );
    let fix = finding["command"].as_str().unwrap();
    if is_behind {
        let unloaded = loader(&machine, &["unload", "--all", interface]);
        assert!(unloaded.status.success(), "{unloaded:?}");
        assert!(fix.starts_with("xdp-loader unload"));
    } else {
        run(&machine, fix);
    }
    assert_eq!(machine.attached(), None);
    let _daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
}

#[test]
#[ignore = "needs root"]
fn xdp_loader_leaves_the_firewall_where_it_is() {
    let machine = Machine::new();
    let interface = machine.interface();
    let _daemon = machine.apply(&machine.write_rules("pass", &drop_port("one", 1)));
    let ours = machine.attached();
    let loaded = load(&machine, interface);
    assert!(!loaded.status.success(), "{loaded:?}");
    assert_eq!(machine.attached(), ours);
    let listed = loader(&machine, &["status", interface]);
    assert!(listed.stdout.contains("firewall"), "{listed:?}");
    let unloaded = loader(&machine, &["unload", "--all", interface]);
    assert!(!unloaded.status.success(), "{unloaded:?}");
    assert_eq!(machine.attached(), ours);
    let mut off = machine.command("ip");
    off.args(["link", "set", "dev", interface, "xdp", "off"]);
    assert!(!machine.finish(off).status.success());
    assert_eq!(machine.attached(), ours);
    let length = machine.send(&udp(&machine, 1), 3);
    machine.await_counters(&[("one", (3, 3 * length))]);
}
