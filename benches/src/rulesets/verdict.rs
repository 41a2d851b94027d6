//! Verdicts.

/// The verdict on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The packet is passed to the kernel.
    Pass,
    /// The packet is dropped.
    Drop,
}

impl Verdict {
    /// The verdict for a rule without one, by its index from 0: of the rules at an even index and
    /// the next, one passes and one drops; a hash of the index determines which.
    #[must_use]
    pub const fn of_index(index: usize) -> Self {
        let pair = (index / 2) as u64;
        let hash = pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63;
        if hash == (index % 2) as u64 {
            Self::Drop
        } else {
            Self::Pass
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbors_have_different_verdicts() {
        for index in (0..1000).step_by(2) {
            assert_ne!(Verdict::of_index(index), Verdict::of_index(index + 1));
        }
        let first = (0..1000).filter(|pair| Verdict::of_index(2 * pair) == Verdict::Pass);
        assert!((400..600).contains(&first.count()));
    }
}
