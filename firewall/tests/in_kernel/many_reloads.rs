//! A thousand reloads while packets come as fast as they can be made.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Instant};

use benches::objects::{self, Object, ObjectKind};

use crate::{
    machine::{Machine, memory_of, wait_until},
    reload::under_traffic,
};

const RELOADS: usize = 1_000;

/// How often the image in force is noted.
const NOTED: usize = 50;

/// More than any machine sends: the sender does not pause.
const NO_PAUSE: u32 = 100_000_000;

/// A rule that counts packets for a port, and one that drops them.
fn pair(name: &str, port: u16) -> String {
    let rule = |name: String, action| {
        format!(
            "[[rule]]\nname = \"{name}\"\naction = \"{action}\"\nproto = \"udp\"\ndport = {port}\n"
        )
    };
    rule(format!("{name} seen"), "count") + &rule(name.to_owned(), "drop")
}

/// Writes rules by which one pair of rules takes the packets for port 1, and the other those for
/// another port. Both keep their names, and so their counts, in either file.
fn write(machine: &Machine, name: &str, ports: [u16; 2]) -> PathBuf {
    let path = machine.folder.path().join(name);
    let interface = machine.interface();
    let [a, b] = ports;
    let rules = pair("a", a) + &pair("b", b);
    let text = format!("[firewall]\ninterfaces = [\"{interface}\"]\npolicy = \"pass\"\n{rules}");
    fs::write(&path, text).unwrap();
    path
}

/// The maps that a process holds.
fn maps(pid: u32) -> usize {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let is_map = |path: PathBuf| {
        let info = fs::read_to_string(path).unwrap_or_default();
        info.lines().any(|line| line.starts_with("map_id:"))
    };
    descriptors
        .filter(|entry| is_map(entry.as_ref().unwrap().path()))
        .count()
}

#[test]
#[ignore = "needs root"]
fn a_thousand_reloads_lose_no_packet_and_mix_no_generations() {
    let machine = Machine::new();
    let files = [
        write(&machine, "a.toml", [1, 9]),
        write(&machine, "b.toml", [9, 1]),
    ];
    let daemon = machine.apply(&files[0]);
    let pid = daemon.child.id();
    let reload = |number: usize| {
        let file = files[number % 2].display();
        let answer = machine.order(&format!("{{\"command\":\"apply\",\"file\":\"{file}\"}}\n"));
        assert!(
            answer.starts_with("{\"version\":1,\"answer\":\"done\""),
            "{answer}"
        );
    };
    // What is made once is made by then.
    (1..=20).for_each(reload);
    let before = (
        maps(pid),
        memory_of(pid, "VmRSS"),
        machine.bpffs.pins().unwrap().len(),
    );
    let program = machine.attached();

    let mut images = BTreeSet::new();
    let begin = Instant::now();
    let mut took = Vec::with_capacity(RELOADS);
    let sent = under_traffic(&machine, NO_PAUSE, || {
        for number in 1..=RELOADS {
            let begin = Instant::now();
            reload(number);
            took.push(begin.elapsed());
            if number % NOTED == 0 {
                images.extend(image(&machine));
            }
        }
    });
    took.sort();
    println!(
        "{RELOADS} reloads in {:.1?}, the median {:.2?}, while {:.0} packets came a second",
        begin.elapsed(),
        took[RELOADS / 2],
        sent.total() as f64 / sent.elapsed.as_secs_f64()
    );

    // Each packet was seen and dropped by rules of the same generation, and by nothing else.
    let counters = machine.counters();
    for name in ["a", "b"] {
        assert!(counters[name].0 > 0, "{counters:?}");
        assert_eq!(counters[name], counters[&format!("{name} seen")]);
    }
    let sum = (
        counters["a"].0 + counters["b"].0,
        counters["a"].1 + counters["b"].1,
    );
    assert_eq!(sum, (sent.packets[0], sent.bytes[0]));
    assert_eq!(counters.len(), 4, "{counters:?}");
    assert_eq!(machine.status()["generation"], 1 + 20 + RELOADS);
    assert_eq!(machine.attached(), program);

    // Of all those generations two are left: the one in force and the one before.
    let after = (
        maps(pid),
        memory_of(pid, "VmRSS"),
        machine.bpffs.pins().unwrap().len(),
    );
    assert_eq!((after.0, after.2), (before.0, before.2));
    assert!(
        after.1 < before.1 + 8192,
        "{} KiB, then {} KiB",
        before.1,
        after.1
    );
    assert_eq!(images.len(), RELOADS / NOTED);
    let in_force = image(&machine);
    let freed: BTreeSet<Object> = images.difference(&in_force).cloned().collect();
    wait_until("the images of old generations are freed", || {
        objects::all().unwrap().is_disjoint(&freed)
    });
}

/// The image in force.
fn image(machine: &Machine) -> BTreeSet<Object> {
    let status = machine.status();
    let maps = status["maps"].as_array().unwrap().iter();
    let images = maps.filter(|map| map["name"] == "image");
    images
        .map(|map| Object {
            kind: ObjectKind::Map,
            id: u32::try_from(map["id"].as_u64().unwrap()).unwrap(),
        })
        .collect()
}
