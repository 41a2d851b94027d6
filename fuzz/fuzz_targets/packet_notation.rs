//! The notation for packets: whatever a line holds, it is a packet or a fault with its place; and
//! parser and decoder say the same of the frame.

#![no_main]

use firewall_ebpf::parse::parse;
use libfuzzer_sys::fuzz_target;
use rules::{evaluator::decode, notation::read};

fuzz_target!(|line: &str| {
    match read(line) {
        Ok(packet) => {
            let of_parser = parse(&*packet.frame).map(|_| ());
            let of_decoder = decode(&packet.frame).map(|_| ());
            assert_eq!(of_parser, of_decoder);
        }
        Err(fault) => {
            assert!(!fault.message.is_empty());
            // A place of whole characters, as the report shows it.
            assert!(line.get(fault.at.clone()).is_some() || fault.at.start == line.len());
        }
    }
});
