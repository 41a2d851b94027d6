//! Frames for packets that are only known by their fields.

use rules::{analysis::Witness, notation};

/// A frame that holds the packet, by way of what the user reads.
#[expect(clippy::panic, reason = "how a test fails")]
pub(crate) fn frame(witness: &Witness) -> Vec<u8> {
    let text = witness.to_string();
    match notation::read(&text) {
        Ok(packet) => {
            assert_eq!(
                packet.interface,
                Some(witness.interface.to_string()),
                "{text}"
            );
            packet.frame
        }
        Err(fault) => panic!("{text}: {fault:?}"),
    }
}
