//! VLAN tags: sets of them.

use super::ranges::RangeSet;

/// The largest VLAN identifier that fits a tag.
pub const MAX_VLAN: u16 = (1 << 12) - 1;

/// A set of outermost VLAN tags.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VlanSet {
    /// Whether frames without a tag match.
    pub untagged: bool,
    /// The identifiers that match, at most [`MAX_VLAN`].
    pub ids: RangeSet<u16>,
}

impl VlanSet {
    /// Whether nothing matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.untagged && self.ids.is_empty()
    }
}
