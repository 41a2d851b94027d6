//! A blocklist of the size that people use: it applies, blocks what it lists and nothing else, and
//! unloads.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use benches::{
    features::Feature,
    random::Random,
    rulesets::{AddressList, AddressRange, Family, generate, published},
};

use crate::machine::Machine;

const RULES: &str = r#"
[sets]
listed = { file = "listed.txt" }

[[rule]]
name = "listed"
action = "drop"
src = "@listed"
"#;

/// What people list.
const ADDRESSES: usize = 552_293;

/// What fits an image of 4 MiB wherever the addresses are.
const FEWER_ADDRESSES: usize = 300_000;

/// Writes the list and rules that drop what it holds.
fn write(machine: &Machine, list: &BTreeSet<Ipv4Addr>) -> PathBuf {
    let mut text = String::new();
    for address in list {
        writeln!(text, "{address}").unwrap();
    }
    fs::write(machine.folder.path().join("listed.txt"), text).unwrap();
    machine.write_rules("pass", RULES)
}

/// Applies the list, sends from members and from addresses beside them, and unloads.
fn blocks(list: &BTreeSet<Ipv4Addr>) {
    let machine = Machine::new();
    let mut daemon = machine.apply(&write(&machine, list));
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

/// Applies a list whose image is too large for the kernel, which must say so and leave nothing.
fn is_refused(list: &BTreeSet<Ipv4Addr>) {
    let machine = Machine::new();
    let rules = write(&machine, list);
    let said = machine.run(["apply", rules.to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(
        said.stderr
            .contains("error: no map of 8388608 bytes for the image"),
        "{said:?}"
    );
    assert!(
        said.stderr
            .contains("\nhelp: this kernel takes images of at most 4 MiB"),
        "{said:?}"
    );
    assert_eq!(machine.bpffs.pins().unwrap(), BTreeSet::new());
}

fn addresses(count: usize) -> BTreeSet<Ipv4Addr> {
    let mut random = Random::new(1);
    let addresses = std::iter::repeat_with(|| Ipv4Addr::from(random.number() as u32));
    let usual = |address: &Ipv4Addr| !address.is_loopback() && address.octets()[0] < 224;
    addresses.filter(usual).take(count).collect()
}

#[test]
#[ignore = "needs root"]
fn half_a_million_addresses_block_what_they_list_and_nothing_else() {
    let Some(lacking) = Feature::LargeImages.lacking().unwrap() else {
        blocks(&addresses(ADDRESSES));
        return;
    };
    println!("tried fewer addresses: {lacking}");
    is_refused(&addresses(ADDRESSES));
    blocks(&addresses(FEWER_ADDRESSES));
}

/// A list as people publish them: of this project's generator where no published one lies beside the
/// project.
#[test]
#[ignore = "needs root"]
fn a_published_list_blocks_what_it_lists_and_nothing_else() {
    let files = published::files("blocklists", &[".txt.gz"]);
    let single = files
        .iter()
        .filter(|path| published::name(path).contains("malicious_ip_a"));
    let lists: Vec<_> = single
        .map(|path| AddressList::read(path).unwrap())
        .collect();
    let members = if lists.is_empty() {
        // As many as fit where images are at most 4 MiB.
        generate::addresses(FEWER_ADDRESSES, Family::V4, 1).members
    } else {
        lists.into_iter().flat_map(|list| list.members).collect()
    };
    let address = |member: &AddressRange| match (member.first(), member.last()) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first == last => first,
        other => panic!("{other:?} is no single address"),
    };
    blocks(&members.iter().map(address).collect());
}
