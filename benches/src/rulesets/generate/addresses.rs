//! Addresses that share prefixes, as those of networks do.

use std::collections::HashMap;

use crate::{
    random::Random,
    rulesets::{Family, Prefix, family::number},
};

/// The number of bits of one step down the tree.
const STEP: u8 = 4;

/// A tree of prefixes that grows with each draw.
///
/// Each address is a walk from the root, one digit of four bits per step. At a node where `n` walks
/// have taken `k` different digits, the next walk takes a new digit with the probability `spread *
/// (1 + k) / (spread + n)`, and otherwise follows a random earlier walk: a Pitman-Yor process. A
/// small spread gives few networks with many rules each, a large one many networks with few rules;
/// prefixes nest, because short ones are the beginnings of the paths of long ones.
pub(super) struct AddressTree {
    family: Family,
    spread: u64,
    nodes: HashMap<Prefix, Node>,
}

/// The number of walks that took each digit.
#[derive(Default)]
struct Node {
    digits: [u32; 1 << STEP],
    walks: u32,
}

impl AddressTree {
    /// Makes an empty tree with this spread, in per mille at each step of an IPv4 address. IPv6
    /// addresses have four times as many steps, each with two fifths of the spread.
    pub(super) fn new(family: Family, spread: u64) -> Self {
        let spread = match family {
            Family::V4 => spread,
            Family::V6 => spread * 2 / 5,
        };
        Self {
            family,
            spread,
            nodes: HashMap::new(),
        }
    }

    /// Draws a prefix of `length` bits; one near `site` shares the first half of its bits with it.
    pub(super) fn prefix(
        &mut self,
        length: u8,
        site: Option<Prefix>,
        random: &mut Random,
    ) -> Prefix {
        let family = self.family;
        let (mut bits, mut depth) = (0, 0);
        if let Some(site) = site {
            let half = family.bits() / 2;
            depth = half.min(site.length()).min(length) / STEP * STEP;
            let open = family.bits() - depth;
            bits = number(site.first()).checked_shr(open.into()).unwrap_or(0);
        }
        while depth < length {
            let at = at(family, bits, depth);
            let digit = self.digit(at, random);
            bits = bits << STEP | u128::from(digit);
            depth += STEP;
        }
        let whole = at(family, bits, depth);
        // Not longer than the path, which is at most a whole address.
        Prefix::new(whole.first(), length).unwrap_or(whole)
    }

    fn digit(&mut self, at: Prefix, random: &mut Random) -> u8 {
        let depth = at.length();
        let node = self.nodes.entry(at).or_default();
        let taken = node.digits.iter().filter(|count| **count > 0).count() as u64;
        let walks = u64::from(node.walks);
        let is_new = random.below(1000 * walks + self.spread) < self.spread * (1 + taken);
        let digit = if is_new && taken < 1 << STEP {
            node.unused(usual_digit(self.family, depth, random), random)
        } else {
            node.used(random)
        };
        if let Some(count) = node.digits.get_mut(usize::from(digit)) {
            *count += 1;
        }
        node.walks += 1;
        digit
    }
}

impl Node {
    /// The usual digit, or another that has not been taken yet.
    fn unused(&self, usual: Option<u8>, random: &mut Random) -> u8 {
        let is_unused = |digit: &u8| self.digits.get(usize::from(*digit)) == Some(&0);
        if let Some(digit) = usual.filter(is_unused) {
            return digit;
        }
        let mut digit = random.below(1 << STEP) as u8;
        while !is_unused(&digit) {
            digit = (digit + 1) % (1 << STEP);
        }
        digit
    }

    /// The digit of an earlier walk.
    fn used(&self, random: &mut Random) -> u8 {
        let mut ticket = random.below(self.walks.into());
        let found = (0..).zip(self.digits).find(|(_, count)| {
            let count = u64::from(*count);
            let here = ticket < count;
            ticket = ticket.saturating_sub(count);
            here
        });
        found.map_or(0, |(digit, _)| digit)
    }
}

/// The most frequent digit at a depth: in IPv6, addresses in use begin with 2 (2000::/3), and the
/// number after the 64 bits of the network is mostly small.
fn usual_digit(family: Family, depth: u8, random: &mut Random) -> Option<u8> {
    match (family, depth) {
        (Family::V4, _) => None,
        (Family::V6, 0) => Some(2),
        (Family::V6, 64..116) => (random.below(100) < 95).then_some(0),
        (Family::V6, _) => None,
    }
}

/// The prefix of `depth` bits that are the low bits of `bits`.
fn at(family: Family, bits: u128, depth: u8) -> Prefix {
    let open = family.bits().saturating_sub(depth);
    let address = family.address(bits.checked_shl(open.into()).unwrap_or(0));
    Prefix::new(address, depth).unwrap_or(Prefix::any(family))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn distinct(family: Family, spread: u64, length: u8) -> usize {
        let mut tree = AddressTree::new(family, spread);
        let mut random = Random::new(1);
        let drawn: HashSet<_> = (0..2000)
            .map(|_| tree.prefix(length, None, &mut random))
            .collect();
        assert!(drawn.iter().all(|prefix| prefix.length() == length));
        drawn.len()
    }

    #[test]
    fn a_larger_spread_gives_more_addresses() {
        for (family, length) in [(Family::V4, 31), (Family::V6, 126)] {
            let counts = [40, 100, 250].map(|spread| distinct(family, spread, length));
            assert!(counts.is_sorted_by(|a, b| 3 * a < 2 * b), "{counts:?}");
        }
        assert_eq!(distinct(Family::V4, 500, 0), 1);
        assert_eq!(distinct(Family::V6, 500, 0), 1);
    }

    #[test]
    fn what_is_near_begins_alike() {
        let mut random = Random::new(1);
        for (family, network) in [(Family::V4, 16), (Family::V6, 64)] {
            let mut tree = AddressTree::new(family, 500);
            let site = tree.prefix(family.bits(), None, &mut random);
            for length in 0..=family.bits() {
                let near = tree.prefix(length, Some(site), &mut random);
                assert_eq!(near.length(), length);
                let outer = Prefix::new(site.first(), length.min(network) / STEP * STEP).unwrap();
                assert!(outer.contains(near.first()), "{site} {near}");
            }
        }
    }
}
