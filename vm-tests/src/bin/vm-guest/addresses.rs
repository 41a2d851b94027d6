//! Long lists of addresses.

use std::{fmt::Write as _, net::Ipv4Addr};

use benches::random::Random;

/// The lines of a list of `addresses` addresses.
pub(crate) fn list(addresses: u32) -> String {
    let mut text = String::new();
    for address in Addresses::new().take(addresses as usize) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", Ipv4Addr::from(address));
    }
    text
}

/// Even addresses from the whole unicast range, the same in each run.
pub(crate) struct Addresses(Random);

impl Addresses {
    pub(crate) fn new() -> Self {
        Self(Random::new(1))
    }
}

impl Iterator for Addresses {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let first = u64::from(u32::from(Ipv4Addr::new(1, 0, 0, 0)));
        let end = u64::from(u32::from(Ipv4Addr::new(127, 0, 0, 0)));
        let address = first + self.0.below(end - first);
        u32::try_from(address & !1).ok()
    }
}
