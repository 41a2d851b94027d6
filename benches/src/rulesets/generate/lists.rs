//! Blocklists: addresses and prefixes.

use std::collections::HashSet;

use super::choice::Weights;
use crate::{
    random::Random,
    rulesets::{AddressList, AddressRange, Family, Prefix, family::number},
};

/// Prefix lengths with their frequencies in BGP announcements.
const V4_LENGTHS: &[(u32, u8)] = &[
    (600, 24),
    (115, 22),
    (110, 23),
    (47, 21),
    (42, 20),
    (26, 19),
    (15, 18),
    (9, 17),
    (14, 16),
    (2, 15),
    (1, 14),
    (1, 13),
];

/// The same for IPv6.
const V6_LENGTHS: &[(u32, u8)] = &[
    (470, 48),
    (130, 32),
    (110, 44),
    (105, 40),
    (60, 36),
    (40, 29),
    (30, 46),
    (20, 47),
    (20, 45),
    (15, 34),
];

/// The percentage of new members close to an existing one.
const NEAR: u64 = 60;

/// Makes a list of `count` different addresses that hosts can have, in random order. More than half
/// share their network with another, as in published lists.
#[must_use]
pub fn addresses(count: usize, family: Family, seed: u64) -> AddressList {
    collect(count, seed, |random, known| {
        let address = match known {
            // In its /24, or its /64.
            Some(known) => {
                let host = match family {
                    Family::V4 => random.below(1 << 8),
                    Family::V6 => random.number(),
                };
                let mask: u128 = match family {
                    Family::V4 => 0xff,
                    Family::V6 => u64::MAX.into(),
                };
                number(known.first()) & !mask | u128::from(host)
            }
            None => network(family, random),
        };
        Prefix::host(family.address(address))
    })
}

/// Makes a list of `count` different prefixes whose lengths are distributed as in the routing
/// tables of the Internet, in random order. Some are within others.
#[must_use]
pub fn prefixes(count: usize, family: Family, seed: u64) -> AddressList {
    let lengths = match family {
        Family::V4 => V4_LENGTHS,
        Family::V6 => V6_LENGTHS,
    };
    collect(count, seed, |random, known| {
        let length = *Weights::of(lengths).draw(random);
        let address = match known {
            // Within the /16, or the /32, of the existing one.
            Some(known) => {
                let (keep, open) = match family {
                    Family::V4 => (0xffff_0000, 0xffff),
                    Family::V6 => (!0 << 96, !0 >> 32),
                };
                number(known.first()) & keep | any(random) & open
            }
            None => network(family, random),
        };
        // The lengths are those of the family.
        Prefix::new(family.address(address), length).unwrap_or(Prefix::any(family))
    })
}

/// Draws different members, some of them close to earlier ones.
fn collect(
    count: usize,
    seed: u64,
    mut draw: impl FnMut(&mut Random, Option<AddressRange>) -> Prefix,
) -> AddressList {
    let mut random = Random::new(seed);
    let mut known = HashSet::with_capacity(count);
    let mut members: Vec<AddressRange> = Vec::with_capacity(count);
    while members.len() < count {
        let is_near = random.below(100) < NEAR;
        let place = random.below(members.len() as u64);
        let near = usize::try_from(place)
            .ok()
            .and_then(|place| members.get(place));
        let member = draw(&mut random, near.copied().filter(|_| is_near));
        if known.insert(member) {
            members.push(member.into());
        }
    }
    AddressList { members }
}

/// The number of an address that hosts can have: from 1.0.0.0 to 223.255.255.255 without
/// 127.0.0.0/8, or from 2000::/3.
fn network(family: Family, random: &mut Random) -> u128 {
    match family {
        Family::V4 => {
            let first = match random.below(222) {
                octet @ ..126 => octet + 1,
                octet => octet + 2,
            };
            u128::from(first << 24 | random.below(1 << 24))
        }
        Family::V6 => any(random) & (!0 >> 3) | 1 << 125,
    }
}

fn any(random: &mut Random) -> u128 {
    u128::from(random.number()) << 64 | u128::from(random.number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_different_and_of_hosts() {
        for list in [
            addresses(5000, Family::V4, 1),
            addresses(5000, Family::V6, 1),
            prefixes(5000, Family::V4, 1),
            prefixes(5000, Family::V6, 1),
        ] {
            assert_eq!(list.members.len(), 5000);
            let different: HashSet<_> = list.members.iter().collect();
            assert_eq!(different.len(), 5000);
            let of_hosts: AddressList = AddressList::parse(
                "1.0.0.0-126.255.255.255\n128.0.0.0-223.255.255.255\n2000::/3",
                "hosts".as_ref(),
            )
            .unwrap();
            for member in &list.members {
                assert!(of_hosts.members.iter().any(|m| m.contains(member.first())));
                assert!(member.as_prefix().is_some());
            }
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_list() {
        assert_eq!(addresses(100, Family::V4, 7), addresses(100, Family::V4, 7));
        assert_ne!(addresses(100, Family::V4, 7), addresses(100, Family::V4, 8));
    }
}
