//! The examples of the documentation have the fields that their comments state.

use std::{fs, path::Path};

use rules::notation::read;

use crate::fields::shown;

#[test]
fn the_examples_of_the_documentation_are_packets() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/packets.md");
    let text = fs::read_to_string(path).unwrap();
    let blocks: Vec<&str> = text.split("```").skip(1).step_by(2).collect();
    let packets: Vec<&str> = blocks
        .iter()
        .filter_map(|block| block.strip_prefix("packets\n"))
        .flat_map(str::lines)
        .collect();
    assert!(packets.len() > 10, "{packets:?}");
    for line in packets {
        let (packet, fields) = line.split_once('#').unwrap_or((line, ""));
        let described = read(packet).unwrap_or_else(|fault| panic!("{packet}: {fault:?}"));
        let shown = shown(&described.frame, &described.context);
        let shown: Vec<&str> = shown.split(' ').collect();
        for field in fields.split_whitespace() {
            assert!(shown.contains(&field), "{packet}: {field} not in {shown:?}");
        }
    }
}
