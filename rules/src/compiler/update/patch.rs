//! Patches a trie of an image: only nodes on the path to a change are rewritten.

use firewall_ebpf::image::Reference;

use crate::compiler::{
    address::{Address, Depths, Key, Move, Node, Small, Trie, hash, leaf, write_trie},
    classes::{ClassId, Identities},
    obstacle::Obstacle,
    writer::Writer,
};

/// A trie that is being patched.
pub(crate) struct Patch<'a> {
    /// The image, of which only the root of the trie is overwritten.
    pub(crate) writer: &'a mut Writer,
    /// The identities of the classes to which the trie leads.
    pub(crate) identities: &'a Identities,
    /// The loads of the trie.
    pub(crate) depths: &'a mut Depths,
}

/// A range of keys below one node that move together.
#[derive(Clone, Copy, Debug)]
struct PatchPart<K> {
    /// The first key; `None` if that is the first one of the node.
    first: Option<K>,
    /// The last key, inclusive; `None` if that is the last one of the node.
    last: Option<K>,
    /// The XOR of the numbers of the sets that gain or lose the keys.
    sets: u128,
}

impl Patch<'_> {
    /// Patches the trie at `reference` with moves, which are ascending and disjoint.
    ///
    /// # Errors
    ///
    /// [`Obstacle`] if addresses would move to a class that the image does not have, or the writer
    /// has no room.
    pub(crate) fn root<A: Address>(
        &mut self,
        reference: Reference,
        moves: &[Move<A>],
    ) -> Result<Trie, Obstacle> {
        if reference.is_hash() {
            hash::update(self.writer.written_mut(), reference, moves, self.identities)?;
            return Ok(self.unchanged(reference, 0));
        }
        if let Some(old) = Small::read(self.writer.written(), reference) {
            return self.small(&old, moves);
        }
        let (old, length) = self.read(reference)?;
        let parts: Vec<PatchPart<A>> = moves
            .iter()
            .map(|moved| PatchPart {
                first: Some(moved.first),
                last: Some(moved.last),
                sets: moved.sets,
            })
            .collect();
        let end = self.writer.len();
        let mut trie = self.node(&old, 0, &parts)?;
        // A root can be large, so it replaces the old one in place if it fits.
        let start = trie.root.offset() as usize;
        if !trie.root.is_leaf() && start >= end && self.writer.len() - start <= length {
            let place = reference.offset();
            self.writer.move_last(start, place as usize);
            trie.root = Reference::node(place, trie.root.kind());
        }
        Ok(trie)
    }

    /// Rewrites a whole small trie, which had these intervals.
    fn small<A: Address>(
        &mut self,
        old: &[(A, ClassId)],
        moves: &[Move<A>],
    ) -> Result<Trie, Obstacle> {
        let mut new = Vec::with_capacity(old.len());
        let mut push = |start: A, class: ClassId| {
            if new.last().is_none_or(|(_, last)| *last != class) {
                new.push((start, class));
            }
        };
        let mut moves = moves;
        for (index, &(start, class)) in old.iter().enumerate() {
            let end = old.get(index + 1).map(|(next, _)| *next);
            let mut at = Some(start);
            while let Some(start) = at.filter(|at| end.is_none_or(|end| *at < end)) {
                while let Some((moved, rest)) = moves.split_first()
                    && moved.last < start
                {
                    moves = rest;
                }
                at = match moves.first() {
                    Some(moved) if moved.first <= start => {
                        let moved_to = self.identities.moved(class, moved.sets);
                        push(start, moved_to.ok_or(Obstacle::NewClass)?);
                        moved.last.next()
                    }
                    Some(moved) => {
                        push(start, class);
                        Some(moved.first)
                    }
                    None => {
                        push(start, class);
                        end
                    }
                };
            }
        }
        let written = write_trie(Small::new(&new), &new, self.depths, self.writer);
        written.map(|(trie, _)| trie).map_err(|_| Obstacle::Growth)
    }

    /// Rewrites a node and those of its children that change.
    fn node<K: Key>(
        &mut self,
        old: &Node,
        level: u32,
        parts: &[PatchPart<K>],
    ) -> Result<Trie, Obstacle> {
        let mut new = Node::default();
        let mut parts = parts;
        for (mut digit, last, reference) in old.runs() {
            while digit <= last {
                while let Some((part, rest)) = parts.split_first()
                    && part.digits(level).1 < digit
                {
                    parts = rest;
                }
                let next = parts.first().map(|part| (part, part.digits(level).0));
                let Some((part, first)) = next.filter(|(_, first)| *first <= last) else {
                    new.push(digit as u16, self.unchanged(reference, level + 1));
                    break;
                };
                if first > digit {
                    new.push(digit as u16, self.unchanged(reference, level + 1));
                    digit = first;
                    continue;
                }
                let below = part.below(digit, level);
                let (child, end) = if reference.is_leaf() && below.is_whole() {
                    let end = last.min(part.last_whole(level));
                    (self.leaf(reference, below.sets)?, end)
                } else {
                    let touching = parts
                        .iter()
                        .take_while(|part| part.digits(level).0 <= digit);
                    let below: Vec<PatchPart<K>> =
                        touching.map(|part| part.below(digit, level)).collect();
                    let (old, _) = self.read(reference)?;
                    (self.node(&old, level + 1, &below)?, digit)
                };
                new.push(digit as u16, child);
                digit = end + 1;
            }
        }
        let written = new.write(level, self.writer);
        let trie = written.map_err(|_| Obstacle::Growth)?;
        self.depths.note(level, trie.loads);
        Ok(trie)
    }

    fn read(&self, reference: Reference) -> Result<(Node, usize), Obstacle> {
        Node::read(self.writer.written(), reference).ok_or(Obstacle::NoSuchNode)
    }

    /// A node at `level` that is not rewritten; its search cost is unchanged.
    fn unchanged(&self, reference: Reference, level: u32) -> Trie {
        let loads = if reference.is_leaf() {
            0
        } else {
            self.depths.at(level)
        };
        Trie {
            root: reference,
            loads,
            chain: 0,
            nodes: 0,
        }
    }

    fn leaf(&self, reference: Reference, sets: u128) -> Result<Trie, Obstacle> {
        let moved = self.identities.moved(ClassId(reference.class()), sets);
        moved.map(leaf).ok_or(Obstacle::NewClass)
    }
}

impl<K: Key> PatchPart<K> {
    /// The first and the last digit of the part's keys in a node at `level`.
    fn digits(&self, level: u32) -> (u32, u32) {
        let digit = |key: K| u32::from(key.digit(level));
        (
            self.first.map_or(0, digit),
            self.last.map_or(u16::MAX.into(), digit),
        )
    }

    /// The portion of the part below the child at `digit`, which must not be empty.
    fn below(&self, digit: u32, level: u32) -> Self {
        let (first, last) = self.digits(level);
        let inner = |key: Option<K>, at: u32, is_whole: fn(K, u32) -> bool| {
            key.filter(|key| at == digit && !is_whole(*key, level))
        };
        Self {
            first: inner(self.first, first, K::is_start),
            last: inner(self.last, last, K::is_end),
            sets: self.sets,
        }
    }

    /// Whether the part contains all keys below the node.
    fn is_whole(&self) -> bool {
        self.first.is_none() && self.last.is_none()
    }

    /// The last digit whose keys are all in the part, if there is one.
    fn last_whole(&self, level: u32) -> u32 {
        let (_, last) = self.digits(level);
        match self.last {
            Some(key) if !key.is_end(level) => last - 1,
            Some(_) | None => last,
        }
    }
}
