//! Leaves: the rules that remain when both address classes are known, in the forms that the walker
//! resolves by L4 class.

use std::collections::HashMap;

use firewall_ebpf::image::{Item, Leaf, MAX_LIST, MAX_SIGNATURES, Signature};

use crate::compiler::{
    error::CompileError,
    l4::{L4Key, SignatureId},
    rules::Rules,
    writer::Writer,
};

/// The maximum length of a list that is searched item by item even if there is room for a table: a
/// table takes two dependent loads, of which the first is often a cache miss.
const SHORT: usize = 8;

/// The maximum number of bytes of a section's tables.
const MAX_TABLES: usize = 1 << 25;

/// Why a list of rules has no leaf.
pub(super) enum NoLeaf {
    /// These rules are too many for a list, and there is no room for a table.
    TooLong(Vec<usize>),
    /// The image is too large, or a number does not fit its field.
    Error(CompileError),
}

impl From<CompileError> for NoLeaf {
    fn from(error: CompileError) -> Self {
        Self::Error(error)
    }
}

/// The leaves of a section; lists of the same rules share one.
pub(super) struct Leaves<'a> {
    rules: &'a Rules<'a>,
    upper: &'a L4Key,
    made: HashMap<Vec<usize>, Leaf>,
    /// The bit number of each signature that occurs in lists.
    bits: HashMap<SignatureId, u32>,
    table_bytes: usize,
    longest: usize,
    tables: usize,
    bytes: usize,
}

impl<'a> Leaves<'a> {
    /// An empty collection of leaves.
    pub(super) fn new(rules: &'a Rules<'a>, upper: &'a L4Key) -> Self {
        Self {
            rules,
            upper,
            made: HashMap::new(),
            bits: HashMap::new(),
            table_bytes: 0,
            longest: 0,
            tables: 0,
            bytes: 0,
        }
    }

    /// The leaf of `rules`, which are ascending and contain no `count` rule.
    ///
    /// # Errors
    ///
    /// [`NoLeaf`].
    pub(super) fn leaf(
        &mut self,
        rules: impl IntoIterator<Item = usize>,
        writer: &mut Writer,
    ) -> Result<Leaf, NoLeaf> {
        let rules = self.upper.reachable(rules);
        match rules.as_slice() {
            [] => Ok(Leaf::EMPTY),
            [rule] => Ok(Leaf::one(self.item(*rule)?)),
            _ => match self.made.get(&rules) {
                Some(made) => Ok(*made),
                None => {
                    let start = writer.len();
                    let made = self.write(&rules, writer)?;
                    self.bytes += writer.len() - start;
                    self.made.insert(rules, made);
                    Ok(made)
                }
            },
        }
    }

    fn item(&mut self, rule: usize) -> Result<Item, CompileError> {
        let signature = self.upper.signatures[rule];
        // No packet has signature 0.
        let next = self.bits.len() as u32 + 1;
        let bit = *self.bits.entry(signature).or_insert(next);
        if bit as usize >= MAX_SIGNATURES {
            return Err(CompileError::TooManyRules {
                rules: self.rules.len(),
                allowed: MAX_SIGNATURES - 1,
            });
        }
        Ok(self.rules.item(rule, bit))
    }

    fn write(&mut self, rules: &[usize], writer: &mut Writer) -> Result<Leaf, NoLeaf> {
        let table_bytes = self.upper.classes.len() * 2 + rules.len() * 8 + 16;
        let room =
            self.table_bytes + table_bytes <= MAX_TABLES && rules.len() < Leaf::TABLE as usize;
        if rules.len() > SHORT && room {
            self.table_bytes += table_bytes;
            self.tables += 1;
            return Ok(self.write_table(rules, writer)?);
        }
        if rules.len() > MAX_LIST as usize {
            return Err(NoLeaf::TooLong(rules.to_vec()));
        }
        self.longest = self.longest.max(rules.len());
        let mut items = Vec::with_capacity(rules.len());
        for rule in rules {
            items.push(self.item(*rule)?.bits());
        }
        writer.align(8)?;
        let offset = writer.offset();
        writer.u64s(items)?;
        Ok(Leaf::list(offset, rules.len() as u32))
    }

    fn write_table(&self, rules: &[usize], writer: &mut Writer) -> Result<Leaf, CompileError> {
        let mut items = Vec::with_capacity(rules.len() + 1);
        for rule in rules.iter().rev() {
            items.push(self.rules.item(*rule, 0).bits());
        }
        items.push(Item::NONE.bits());
        writer.align(8)?;
        writer.u64s(items)?;
        let offset = writer.offset();
        writer.u16s(self.upper.first_of(rules))?;
        Ok(Leaf::table(offset))
    }

    /// Writes which of the lists' signatures each L4 class has, and returns the offset and the
    /// bytes from one class to the next.
    ///
    /// # Errors
    ///
    /// [`CompileError::TooLarge`].
    pub(super) fn write_signatures(&self, writer: &mut Writer) -> Result<(u32, u32), CompileError> {
        let words = (self.bits.len() + 1).div_ceil(64);
        writer.align(8)?;
        let offset = writer.offset();
        writer.check(self.upper.classes.len() * words * 8)?;
        let mut row = vec![0_u64; words];
        for signatures in &self.upper.classes {
            row.fill(0);
            for number in signatures.iter().filter_map(|id| self.bits.get(id)) {
                let signature = Signature::new(*number);
                row[signature.word() as usize] |= 1 << signature.bit();
            }
            writer.u64s(row.iter().copied())?;
        }
        Ok((offset, words as u32 * 8))
    }

    /// The maximum number of loads to resolve a leaf.
    pub(super) fn loads(&self) -> u32 {
        let table = if self.tables > 0 { 2 } else { 0 };
        // An item and the word of signatures that has its bit.
        (self.longest.max(1) as u32 * 2).max(table)
    }

    /// The number of tables.
    pub(super) fn tables(&self) -> usize {
        self.tables
    }

    /// The bytes of lists and tables so far.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
