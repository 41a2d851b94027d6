//! The memory that commands take for large rule sets.

use std::{fmt::Write as _, fs, net::Ipv4Addr, process::Stdio};

use benches::tools;

use crate::machine::{BINARY, Machine, memory_of, said};

/// The addresses of the list, of which no two follow each other.
const ADDRESSES: u32 = 500_000;

/// The maximum memory of a check, as a multiple of what the daemon took at most.
const MOST: u64 = 2;

#[test]
#[ignore = "needs root"]
fn a_check_of_a_long_list_takes_little_more_memory_than_its_daemon() {
    let machine = Machine::new();
    let mut list = String::new();
    for number in 0..ADDRESSES {
        let address = Ipv4Addr::from_bits(0x1400_0000 + number * 6);
        writeln!(list, "{address}").unwrap();
    }
    fs::write(machine.folder.path().join("list.txt"), list).unwrap();
    let rules = "[sets]\nlong = { file = \"list.txt\" }\n\
                 [[rule]]\nname = \"long\"\naction = \"drop\"\nsrc = \"@long\"\n";
    let file = machine.write_rules("pass", rules);
    let daemon = machine.apply(&file);
    let of_daemon = memory_of(daemon.child.id(), "VmHWM");

    let mut command = tools::command("sh");
    command
        .args(["-c", "ulimit -d \"$1\" && exec \"$2\" check \"$3\"", "sh"])
        .arg((MOST * of_daemon).to_string())
        .arg(BINARY)
        .arg(&file)
        .stdin(Stdio::null());
    let said = said(command.output().unwrap());
    assert!(said.status.success(), "{of_daemon} KiB: {said:?}");
}
