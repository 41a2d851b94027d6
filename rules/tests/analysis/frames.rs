//! Frames for packets of which only the fields are known.

use rules::{analysis::Witness, notation};

/// A frame with the packet, built from the text that the user reads.
#[expect(clippy::panic, reason = "how a test fails")]
pub(crate) fn frame(witness: &Witness) -> Vec<u8> {
    let text = witness.to_string();
    match notation::read(&text) {
        Ok(packet) => {
            let named = packet.context.as_ref().map(Option::as_deref);
            // The notation says nothing of states.
            let named = named.in_state(witness.context.state);
            assert_eq!(named, witness.named(), "{text}");
            packet.frame
        }
        Err(fault) => panic!("{text}: {fault:?}"),
    }
}
