//! A blocklist of the size that people use: it applies, blocks what it lists and nothing else, and
//! unloads.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
};

use benches::random::Random;

use crate::machine::Machine;

const RULES: &str = r#"
[sets]
listed = { file = "listed.txt" }

[[rule]]
name = "listed"
action = "drop"
src = "@listed"
"#;

/// Applies the list, sends from members and from addresses beside them, and unloads.
fn blocks(list: &BTreeSet<Ipv4Addr>) {
    let machine = Machine::new();
    let mut text = String::new();
    for address in list {
        writeln!(text, "{address}").unwrap();
    }
    fs::write(machine.folder.path().join("listed.txt"), text).unwrap();
    let mut daemon = machine.apply(&machine.write_rules("pass", RULES));
    let objects = machine.objects();
    let packet = |address| machine.network.link().ipv4_from(address).udp(4000, 53);
    let step = list.len() / 200;
    let members: Vec<_> = list.iter().copied().step_by(step).collect();
    let beside = members
        .iter()
        .map(|address| Ipv4Addr::from(u32::from(*address) ^ 1))
        .filter(|address| !list.contains(address));
    let (mut inside, mut outside) = ((0, 0), (0, 0));
    for address in &members {
        inside = (inside.0 + 1, inside.1 + machine.send(&packet(*address), 1));
    }
    for address in beside {
        outside = (outside.0 + 1, outside.1 + machine.send(&packet(address), 1));
    }
    assert!(outside.0 > 20, "{outside:?}");
    machine.await_counters(&[("listed", inside), ("policy", outside)]);
    assert!(machine.run(["unload"]).status.success());
    assert!(daemon.wait().success());
    machine.assert_nothing_left(&objects);
}

#[test]
#[ignore = "needs root"]
fn half_a_million_addresses_block_what_they_list_and_nothing_else() {
    let mut random = Random::new(1);
    let addresses = std::iter::repeat_with(|| Ipv4Addr::from(random.number() as u32));
    let usual = |address: &Ipv4Addr| !address.is_loopback() && address.octets()[0] < 224;
    blocks(&addresses.filter(usual).take(552_293).collect());
}

#[test]
#[ignore = "needs root"]
fn a_published_list_blocks_what_it_lists_and_nothing_else() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/blocklists");
    let Ok(entries) = fs::read_dir(&folder) else {
        println!("skipped: there is no `{}`", folder.display());
        return;
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().contains("malicious_ip_a"));
    let unpacked = Command::new("zcat").args(&files).output().unwrap();
    assert!(unpacked.status.success(), "{unpacked:?}");
    let text = String::from_utf8(unpacked.stdout).unwrap();
    blocks(
        &text
            .lines()
            .map(|line| line.trim().parse().unwrap())
            .collect(),
    );
}
