//! The L4 classes of a section.

use std::{collections::HashSet, hash::Hash};

use firewall_ebpf::{
    field::{FIELDS, FieldSet},
    image::Step,
};

use crate::compiler::bit_vectors::Rows;

/// The number of a signature, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SignatureId(pub(crate) u32);

/// The fused classes of a section.
pub(crate) struct L4Key {
    /// The steps for the image.
    pub(crate) steps: [Step; FIELDS],
    /// The fields that a rule names.
    pub(crate) used: FieldSet,
    /// The maximum number of loads to find the fused class.
    pub(crate) loads: u32,
    /// The expected nanoseconds of finding it.
    pub(crate) nanoseconds: u32,
    /// The bytes of the lookups and reduction tables.
    pub(crate) bytes: usize,
    /// The signature of each rule of the section.
    pub(crate) signatures: Vec<SignatureId>,
    /// The number of signatures.
    pub(crate) signature_count: usize,
    /// The signature of rules that name no narrow field.
    pub(crate) open: Option<SignatureId>,
    /// The signatures, ascending, that each fused class has.
    pub(crate) classes: Vec<Vec<SignatureId>>,
}

impl L4Key {
    /// Those of `rules`, in their order, that some packet to which all of them are left reaches:
    /// the first of each signature, none below one that all packets match.
    pub(crate) fn reachable(&self, rules: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut met = HashSet::new();
        let mut reachable = Vec::new();
        for rule in rules {
            let signature = self.signatures[rule];
            if met.insert(signature) {
                reachable.push(rule);
                if Some(signature) == self.open {
                    break;
                }
            }
        }
        reachable
    }

    /// For each fused class the place from 1 of the first of `rules` that it fits, or 0; no two of
    /// the rules share a signature, and there are fewer than 65,535.
    pub(crate) fn first_of(&self, rules: &[usize]) -> Vec<u16> {
        let mut places = vec![u16::MAX; self.signature_count];
        for (place, rule) in (1..).zip(rules) {
            places[self.signatures[*rule].0 as usize] = place;
        }
        let first = |signatures: &Vec<SignatureId>| {
            let places = signatures.iter().map(|id| places[id.0 as usize]);
            places.min().filter(|place| *place != u16::MAX).unwrap_or(0)
        };
        self.classes.iter().map(first).collect()
    }

    /// For each fused class a row over `rules`, which are indexes of rules of the section.
    pub(crate) fn rows(&self, rules: &[usize]) -> Rows {
        let mut having = vec![Vec::new(); self.signature_count];
        for (bit, rule) in rules.iter().enumerate() {
            having[self.signatures[*rule].0 as usize].push(bit);
        }
        let mut rows = Rows::new(rules.len());
        for signatures in &self.classes {
            let bits = signatures.iter().flat_map(|id| &having[id.0 as usize]);
            rows.push(bits.copied());
        }
        rows
    }
}
